//! Tests of loading and splitting; each format's own tests stand in its file.

use std::fs;

use super::*;

fn request(dir: Option<&Path>) -> DataRequest<'_> {
    DataRequest {
        name: "mnist",
        source: None,
        dir,
        frames: None,
        steps: 1,
        validation: 0.1,
        limit: None,
        seed: 1,
    }
}

/// `count` blank pictures whose first pixel is their index, labelled `index % 10`.
fn pictures(count: usize) -> [Idx; 2] {
    let mut pixels = vec![0; count * 784];
    (0..count).for_each(|index| pixels[index * 784] = index as u8);
    let labels = (0..count).map(|index| (index % 10) as u8).collect();
    [
        Idx::new(vec![count, 28, 28], pixels).unwrap(),
        Idx::new(vec![count], labels).unwrap(),
    ]
}

fn folder(train: [&str; 2], test: [&str; 2]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (names, count) in [(train, 50), (test, 20)] {
        for (name, idx) in names.iter().zip(pictures(count)) {
            idx.write(&dir.path().join(name)).unwrap();
        }
    }
    dir
}

fn standard_folder() -> tempfile::TempDir {
    folder(
        ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"],
        ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"],
    )
}

fn first_pixels(samples: &Samples) -> Vec<u8> {
    (0..samples.len())
        .map(|index| samples.pixels(index)[0])
        .collect()
}

#[test]
fn the_bundled_set_is_split_by_seed() {
    let splits = load(&request(None)).unwrap();
    assert_eq!(
        [
            splits.train.len(),
            splits.validation.len(),
            splits.test.as_ref().unwrap().len()
        ],
        [9000, 1000, 1000]
    );
    assert_eq!(splits, load(&request(None)).unwrap());
    let other = load(&DataRequest {
        seed: 2,
        ..request(None)
    })
    .unwrap();
    assert_ne!(splits.validation, other.validation);
    assert_eq!(splits.test, other.test);
}

#[test]
fn train_and_validation_share_no_sample_and_lose_none() {
    let dir = standard_folder();
    let splits = load(&request(Some(dir.path()))).unwrap();
    assert_eq!(
        [
            splits.train.len(),
            splits.validation.len(),
            splits.test.as_ref().unwrap().len()
        ],
        [45, 5, 20]
    );
    let mut all = [
        first_pixels(&splits.train),
        first_pixels(&splits.validation),
    ]
    .concat();
    all.sort_unstable();
    assert_eq!(all, (0..50).collect::<Vec<u8>>());
    for index in 0..splits.train.len() {
        assert_eq!(
            splits.train.label(index),
            splits.train.pixels(index)[0] % 10
        );
    }
}

#[test]
fn the_samples_that_a_seed_selects_never_change() {
    assert_eq!(samples::shuffled(10, 7), [5, 3, 9, 8, 1, 6, 2, 0, 4, 7]);
}

#[test]
fn a_limit_takes_the_first_training_samples_before_the_split() {
    let limited = DataRequest {
        limit: Some(200),
        ..request(None)
    };
    let splits = load(&limited).unwrap();
    assert_eq!(
        [
            splits.train.len(),
            splits.validation.len(),
            splits.test.as_ref().unwrap().len()
        ],
        [180, 20, 1000]
    );
    let too_low = load(&DataRequest {
        limit: Some(1),
        ..request(None)
    })
    .unwrap_err();
    assert!(
        too_low
            .to_string()
            .contains("a limit of 1 training samples"),
        "{too_low}"
    );
}

#[test]
fn both_parts_keep_a_sample_at_any_share() {
    for share in [1e-9, 0.999_999] {
        let limited = DataRequest {
            validation: share,
            limit: Some(2),
            ..request(None)
        };
        let splits = load(&limited).unwrap();
        assert_eq!((splits.train.len(), splits.validation.len()), (1, 1));
    }
    for share in [0.0, 1.0, -0.1, f64::NAN] {
        let error = load(&DataRequest {
            validation: share,
            ..request(None)
        })
        .unwrap_err();
        assert!(error.to_string().contains("validation share of"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}

#[test]
fn a_split_alone_equals_that_of_the_whole() {
    let dir = standard_folder();
    let request = request(Some(dir.path()));
    let splits = load(&request).unwrap();
    assert_eq!(load_split(&request, Split::Train).unwrap(), *splits.train);
    assert_eq!(
        load_split(&request, Split::Validation).unwrap(),
        *splits.validation
    );
    fs::remove_file(dir.path().join("train-images-idx3-ubyte.gz")).unwrap();
    assert_eq!(
        load_split(&request, Split::Test).unwrap(),
        **splits.test.as_ref().unwrap()
    );
}

#[test]
fn every_spelling_of_the_file_names_is_found() {
    let dir = folder(
        ["train-images.idx3-ubyte", "train-labels-idx1-ubyte"],
        ["t10k-images-idx3-ubyte.gz", "t10k-labels.idx1-ubyte.gz"],
    );
    assert_eq!(
        load(&request(Some(dir.path())))
            .unwrap()
            .test
            .unwrap()
            .len(),
        20
    );
}

#[test]
fn what_is_missing_is_named_with_the_way_to_get_it() {
    let dir = standard_folder();
    fs::remove_file(dir.path().join("t10k-labels-idx1-ubyte.gz")).unwrap();
    let message = load(&request(Some(dir.path()))).unwrap_err().to_string();
    for part in [
        "t10k-labels-idx1-ubyte.gz",
        "t10k-labels.idx1-ubyte",
        "data fetch mnist --dir",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let nowhere = dir.path().join("nowhere");
    let error = load(&request(Some(&nowhere))).unwrap_err();
    assert!(error.to_string().contains("there is no folder"), "{error}");
    assert!(
        error.to_string().contains(&*nowhere.to_string_lossy()),
        "{error}"
    );
    let unknown = load(&DataRequest {
        name: "mnits",
        ..request(None)
    })
    .unwrap_err();
    assert!(
        unknown
            .to_string()
            .contains("unknown data set `mnits`; known: mnist"),
        "{unknown}"
    );
}

#[test]
fn pictures_of_another_shape_than_the_named_set_are_refused() {
    let dir = standard_folder();
    let path = dir.path().join("t10k-images-idx3-ubyte.gz");
    Idx::new(vec![20, 14, 14], vec![0; 20 * 196])
        .unwrap()
        .write(&path)
        .unwrap();
    let message = load(&request(Some(dir.path()))).unwrap_err().to_string();
    assert!(
        message.contains("[14, 14, 1], but those of `mnist` have [28, 28, 1]"),
        "{message}"
    );
}

#[test]
fn a_pair_of_files_takes_its_classes_from_the_labels() {
    let dir = tempfile::tempdir().unwrap();
    let (images, labels) = (dir.path().join("images"), dir.path().join("labels"));
    Idx::new(vec![3, 2, 4], (0..24).collect())
        .unwrap()
        .write(&images)
        .unwrap();
    Idx::new(vec![3], vec![0, 2, 6])
        .unwrap()
        .write(&labels)
        .unwrap();
    let samples = read_pair(&images, &labels).unwrap();
    assert_eq!(
        (samples.len(), samples.shape(), samples.classes()),
        (3, [2, 4, 1], 7)
    );
    assert_eq!(
        (samples.pixels(1), samples.label(2)),
        (&[8, 9, 10, 11, 12, 13, 14, 15][..], 6)
    );
    assert_eq!(samples.histogram(), [1, 0, 1, 0, 0, 0, 1]);

    // The two files swapped: the message says what each should be.
    let message = read_pair(&labels, &images).unwrap_err().to_string();
    assert!(
        message.contains("labels: 1 dimensions where 3 are wanted"),
        "{message}"
    );
    Idx::new(vec![2], vec![0, 2])
        .unwrap()
        .write(&labels)
        .unwrap();
    let message = read_pair(&images, &labels).unwrap_err().to_string();
    assert!(
        message.contains("3 pictures in") && message.contains("2 labels in"),
        "{message}"
    );
    let message = read_pair(&dir.path().join("absent"), &labels)
        .unwrap_err()
        .to_string();
    assert!(message.contains("absent"), "{message}");
}

#[test]
fn a_check_names_each_file_that_is_not_the_published_one() {
    let dir = standard_folder();
    let checked = check(&request(Some(dir.path()))).unwrap();
    assert_eq!(
        (checked.train.samples(), checked.test.unwrap().samples()),
        (50, 20)
    );
    assert_eq!(checked.differences.len(), 4);
    assert!(checked.differences[3].contains("t10k-labels-idx1-ubyte.gz: wrong content: SHA-256"));
    assert!(check(&request(None)).unwrap().differences.is_empty());
}

#[test]
fn samples_that_do_not_fit_their_shape_are_refused() {
    assert!(Samples::new([1, 2, 1], 2, vec![0; 4], vec![0, 1]).is_ok());
    assert!(Samples::new([1, 2, 1], 2, vec![0; 3], vec![0, 1]).is_err());
    assert!(Samples::new([1, 2, 1], 2, vec![0; 4], vec![0, 2]).is_err());
    assert!(Samples::new([1, 0, 1], 2, vec![], vec![0, 1]).is_err());
    assert!(Samples::new([1, 2, 1], 2, vec![], vec![]).is_err());
}
