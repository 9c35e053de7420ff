//! Every parser on sound files, on files wrong in one way each, and on random damage.

use std::fs;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;

const SHD: &[u8] = include_bytes!("../../../tests/data/shd-small.h5");

fn source(classes: usize) -> Source {
    Source {
        format: "csv".into(),
        train: "train".into(),
        test: None,
        classes,
        sensor: None,
        label: Labelling::Folder,
        first_class: 0,
        test_takes: None,
    }
}

fn event(time: u32, x: u16, y: u16, polarity: u8) -> Event {
    Event {
        time,
        x,
        y,
        polarity,
    }
}

/// What a sink got.
type Got = Vec<(Vec<Event>, usize)>;

fn collected(read: impl FnOnce(&mut Sink<'_>) -> Result<()>) -> Result<Got> {
    let mut got = Vec::new();
    read(&mut |item, class| {
        if let Item::Events(events) = item {
            got.push((events.to_vec(), class));
        }
        Ok(())
    })?;
    Ok(got)
}

fn shd(bytes: &[u8]) -> Result<Got> {
    collected(|sink| shd::read(bytes.to_vec(), &source(3), sink))
}

fn csv(bytes: &[u8]) -> Result<Got> {
    collected(|sink| csv::parse(bytes, &source(3), sink))
}

/// Two five-byte events.
fn five() -> Vec<u8> {
    vec![3, 4, 0x80, 0, 10, 5, 6, 0x01, 0x02, 0x03]
}

fn wav() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    (0..200).for_each(|n| writer.write_sample(n as i16 * 100).unwrap());
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

const ROWS: &str = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), }\n";
const FIELDS: &str = "{'descr': [('x', '<i2'), ('y', '<i2'), ('p', '|b1'), ('t', '<i8')], \
                      'fortran_order': False, 'shape': (1,), }\n";

fn rows() -> Vec<u8> {
    let values = [1.0f64, 2.0, 1.0, 0.5, 3.0, 4.0, 0.0, 7.0];
    npy(
        ROWS,
        &values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<u8>>(),
    )
}

fn fields() -> Vec<u8> {
    let data = [&[7, 0, 9, 0, 1][..], &1234u64.to_le_bytes()].concat();
    npy(FIELDS, &data)
}

fn aedat_packet(kind: u16, size: u32, number: u32, events: &[[u32; 2]]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), [1, 0]].concat();
    for word in [size, 4, 0, number, number, number] {
        bytes.extend(word.to_le_bytes());
    }
    events
        .iter()
        .flatten()
        .for_each(|word| bytes.extend(word.to_le_bytes()));
    bytes
}

const AEDAT_HEADER: &[u8] = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n";

fn aedat() -> Vec<u8> {
    // x = 5, y = 9, polarity 1, valid; then one that the camera marked as not valid.
    let events = [[5 << 17 | 9 << 2 | 0b11, 1000], [1 << 17, 1001]];
    [
        AEDAT_HEADER,
        &aedat_packet(0, 8, 1, &[[7, 7]]),
        &aedat_packet(1, 8, 2, &events),
    ]
    .concat()
}

/// A grey picture of 2 x 1 pixels, written by hand so that its checksums are known to be right.
fn png() -> Vec<u8> {
    vec![
        0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44,
        0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0xd1,
        0x49, 0x20, 0x56, 0x00, 0x00, 0x00, 0x0b, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0xe0,
        0x3a, 0x01, 0x00, 0x00, 0xdf, 0x00, 0xd3, 0x4b, 0x21, 0xa5, 0x49, 0x00, 0x00, 0x00, 0x00,
        0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
    ]
}

#[test]
fn sound_files_are_read() {
    let recordings = shd(SHD).unwrap();
    assert_eq!(
        recordings,
        [
            (
                vec![
                    event(0, 0, 0, 0),
                    event(250_000, 699, 0, 0),
                    event(1_000_000, 3, 0, 0)
                ],
                1
            ),
            (vec![event(500_000, 7, 0, 0)], 0),
            (vec![], 2),
        ]
    );
    assert_eq!(
        events::parse(&five()).unwrap(),
        [event(10, 3, 4, 1), event(0x10203, 5, 6, 0)]
    );
    // Row 240 says that the clock began anew.
    let anew = [&[3, 4, 0, 0, 10][..], &[0, 240, 0, 0, 0], &[5, 6, 0, 0, 1]].concat();
    assert_eq!(
        events::parse(&anew).unwrap(),
        [event(10, 3, 4, 0), event(8193, 5, 6, 0)]
    );
    assert_eq!(
        npy::parse(&rows()).unwrap(),
        [event(500, 1, 2, 1), event(7000, 3, 4, 0)]
    );
    assert_eq!(npy::parse(&fields()).unwrap(), [event(1234, 7, 9, 1)]);
    assert_eq!(aedat::parse(&aedat()).unwrap(), [event(1000, 5, 9, 1)]);
    assert_eq!(wav::parse(&wav()).unwrap().0.len(), 200);
    let (shape, pixels) = images::parse(&png()).unwrap();
    assert_eq!((shape, pixels), ([1, 2, 1], vec![10, 200]));
    let text = b"sample,class,time_us,x\n0,2,5,7\n0,2,6,8\n1,0,,\n";
    assert_eq!(
        csv(text).unwrap(),
        [(vec![event(5, 7, 0, 0), event(6, 8, 0, 0)], 2), (vec![], 0)]
    );
}

/// Checks that a parser refuses each of `wrong` with its cause.
fn refused<T>(parse: impl Fn(&[u8]) -> Result<T>, wrong: &[(&[u8], &str)]) {
    for (bytes, cause) in wrong {
        let error = parse(bytes).err();
        let message = error.map(|error| {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        });
        let message = message.unwrap_or_else(|| panic!("not refused: {cause}"));
        assert!(message.contains(cause), "`{cause}` is not in `{message}`");
    }
}

#[test]
fn each_wrong_file_is_refused_by_its_cause() {
    refused(
        events::parse,
        &[
            (b"", "it is empty"),
            (
                &five()[..7],
                "7 bytes are no whole number of events of 5 bytes",
            ),
            (
                &[&five()[5..], &five()[..5]].concat(),
                "event 1 at 10 microseconds comes after",
            ),
        ],
    );
    let two = ROWS.replace("(2, 4)", "(3, 4)");
    let many = ROWS.replace("(2, 4)", "(18446744073709551615, 4)");
    let longer = [rows(), vec![0]].concat();
    let data = rows()[10 + ROWS.len()..].to_vec();
    let mut far = rows();
    let at = far.len() - 32;
    far[at..at + 8].copy_from_slice(&(-1.0f64).to_le_bytes());
    refused(
        npy::parse,
        &[
            (b"PK\x03\x04", "not a .npy file"),
            (&rows()[..9], "the header is not whole"),
            (&rows()[..40], "the header is not whole"),
            (
                &rows()[..rows().len() - 1],
                "2 rows of 32 bytes are 64, 63 are there",
            ),
            (&longer, "65 are there"),
            (&npy(&two, &data), "3 rows of 32 bytes are 96, 64 are there"),
            (&npy(&many, &data), "its header lies"),
            (
                &npy(&ROWS.replace("<f8", ">f8"), &data),
                "type `>f8` are not read",
            ),
            (
                &npy(&ROWS.replace("False", "True"), &data),
                "columns come first",
            ),
            (
                &npy(&FIELDS.replace("'t'", "'z'"), &data),
                "lacks one of the fields",
            ),
            (&far, "event 1: x is -1"),
        ],
    );
    let header = AEDAT_HEADER;
    refused(
        aedat::parse,
        &[
            (b"#!AER-DAT2.0\r\n", "not AEDAT 3.1"),
            (&header[..20], "has no #!END-HEADER"),
            (
                &aedat()[..aedat().len() - 1],
                "packet 1: its 2 events of 8 bytes do not fit the 15",
            ),
            (
                &aedat()[..header.len() + 20],
                "packet 0: cut short: 20 bytes where its header needs 28",
            ),
            (
                &[header, &aedat_packet(1, u32::MAX, u32::MAX, &[])].concat(),
                "it is cut, or its header lies",
            ),
            (
                &[header, &aedat_packet(1, 4, 2, &[[0, 0]])].concat(),
                "have 8 bytes, not 4",
            ),
        ],
    );
    let labels = |text: &[u8]| aedat::labels(std::str::from_utf8(text).unwrap(), &source(3));
    let first = "class,startTime_usec,endTime_usec\n";
    refused(
        labels,
        &[
            (b"1,2,3\n", "not a label file"),
            (first.as_bytes(), "it labels nothing"),
            (
                format!("{first}1,9,3\n").as_bytes(),
                "line 2: the gesture ends before",
            ),
            (
                format!("{first}1,2\n").as_bytes(),
                "line 2: three whole numbers",
            ),
            (
                format!("{first}7,2,3\n").as_bytes(),
                "line 2: class 7 is out of range",
            ),
        ],
    );
    let mut stereo = wav();
    // Two channels, the bytes a second and a sample that follow from them.
    (stereo[22], stereo[32]) = (2, 4);
    stereo[28..32].copy_from_slice(&32_000u32.to_le_bytes());
    let mut claims = wav();
    claims[40..44].copy_from_slice(&0x7fff_fff0u32.to_le_bytes());
    refused(
        wav::parse,
        &[
            (b"RIFX", "not a sound WAV"),
            (&wav()[..30], "not a sound WAV"),
            (&wav()[..100], "it is cut, or its header lies"),
            (&claims, "it is cut, or its header lies"),
            (&stereo, "one channel of 16-bit integers is read"),
        ],
    );
    refused(
        images::parse,
        &[
            (b"GIF89a", "not a sound PNG"),
            (&png()[..40], "not a sound PNG"),
            (&png()[..20], "not a sound PNG"),
        ],
    );
    let head = "sample,class,time_us,x,y,polarity\n";
    refused(
        csv,
        &[
            (b"time,unit\n", "its first line is `time,unit`"),
            (b"", "its first line is ``"),
            (head.as_bytes(), "it holds no events"),
            (
                format!("{head}0,1,2,3,4\n").as_bytes(),
                "line 2: 5 columns, not 6",
            ),
            (
                format!("{head}0,1,-2,3,4,0\n").as_bytes(),
                "line 2: time_us is `-2`",
            ),
            (
                format!("{head}0,1,5000000000,3,4,0\n").as_bytes(),
                "time_us is `5000000000`",
            ),
            (format!("{head}0,1,2,3,4,2\n").as_bytes(), "polarity is `2`"),
            (
                format!("{head}0,9,2,3,4,1\n").as_bytes(),
                "class 9 is out of range",
            ),
            (
                format!("{head}0,1,2,3,4,1\n0,2,2,3,4,1\n").as_bytes(),
                "sample 0 has two classes",
            ),
            (
                format!("{head}1,1,2,3,4,1\n0,2,2,3,4,1\n").as_bytes(),
                "comes after a later one",
            ),
            (b"sample,class,time_us,x\n0,1,2,\xff\n", "no UTF-8"),
        ],
    );
    let text = |find: &[u8], put: &[u8]| {
        let at = SHD
            .windows(find.len())
            .position(|window| window == find)
            .unwrap();
        let mut bytes = SHD.to_vec();
        bytes[at..at + put.len()].copy_from_slice(put);
        bytes
    };
    refused(
        shd,
        &[
            (b"\x1f\x8b\x08", "not an HDF5 file"),
            (
                &SHD[..600],
                "cut short: it says that it has 13376 bytes, 600 are there",
            ),
            (&text(b"labels", b"labelz"), "no data set `labels`"),
            (&text(b"GCOL", b"XCOL"), "lie in no heap of the file"),
        ],
    );
}

#[test]
fn every_cut_of_every_file_is_refused() {
    for (name, bytes, parse) in targets() {
        // Text ends where a line does; a CSV of fewer lines is a sound one.
        let from = if name == "csv" { 0..20 } else { 0..bytes.len() };
        for length in from.step_by(if bytes.len() > 2000 { 37 } else { 1 }) {
            let whole_events = name == "events" && length > 0 && length % 5 == 0;
            let whole_packets =
                name == "aedat" && length >= AEDAT_HEADER.len() && parse(&bytes[..length]).is_ok();
            if whole_packets {
                // Cut behind a packet.
                assert_eq!(length, AEDAT_HEADER.len() + 36);
                continue;
            }
            assert_eq!(
                parse(&bytes[..length]).is_err(),
                !whole_events,
                "{name} cut to {length} bytes"
            );
        }
    }
}

type Target = (&'static str, Vec<u8>, fn(&[u8]) -> Result<()>);

/// Each parser with a sound file for it.
fn targets() -> Vec<Target> {
    let text = b"sample,class,time_us,x,y,polarity\n0,1,2,3,4,1\n0,1,3,3,4,0\n1,2,,,,\n".to_vec();
    let list: Vec<u8> = b"class,startTime_usec,endTime_usec\n1,2,30\n2,40,50\n".to_vec();
    vec![
        ("shd", SHD.to_vec(), |bytes| shd(bytes).map(drop)),
        ("events", five(), |bytes| events::parse(bytes).map(drop)),
        ("npy", rows(), |bytes| npy::parse(bytes).map(drop)),
        ("npy", fields(), |bytes| npy::parse(bytes).map(drop)),
        ("aedat", aedat(), |bytes| aedat::parse(bytes).map(drop)),
        ("wav", wav(), |bytes| wav::parse(bytes).map(drop)),
        ("png", png(), |bytes| images::parse(bytes).map(drop)),
        ("csv", text, |bytes| csv(bytes).map(drop)),
        ("csv", list, |bytes| match std::str::from_utf8(bytes) {
            Ok(text) => aedat::labels(text, &source(3)).map(drop),
            Err(_) => Err(Error::usage("no text")),
        }),
    ]
}

/// Changes a file at random: bits, bytes, words of large numbers, cuts, copies of parts.
fn damage(random: &mut impl Rng, sound: &[u8]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..random.random_range(1..8) {
        if bytes.is_empty() {
            break;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..6) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = random.random(),
            2 => {
                let large = [u64::MAX, 1 << 62, 1 << 31, 0xffff, 0][random.random_range(0..5)];
                let word = large.to_le_bytes();
                let end = (at + random.random_range(1..=8usize)).min(bytes.len());
                bytes[at..end].copy_from_slice(&word[..end - at]);
            }
            3 => bytes.truncate(at),
            4 => {
                let end = (at + random.random_range(1..64usize)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, part);
            }
            _ => {
                let end = (at + random.random_range(1..64usize)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
    }
    bytes
}

fn attack(seed: u64, until: impl Fn(u64) -> bool) -> u64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let targets = targets();
    let mut rounds = 0;
    while until(rounds) {
        for (_, sound, parse) in &targets {
            // Refused or read: neither a panic nor memory beyond the file's own size.
            let _ = parse(&damage(&mut random, sound));
        }
        rounds += 1;
    }
    rounds
}

#[test]
fn random_damage_never_panics() {
    attack(1, |rounds| rounds < 2000);
}

/// `BITSPIKE_FUZZ_SECONDS=300 cargo test -p bitspike-trainer --lib fuzz -- --ignored --nocapture`
#[test]
#[ignore = "runs for as long as BITSPIKE_FUZZ_SECONDS says"]
fn fuzz_every_parser() {
    let seconds = std::env::var("BITSPIKE_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(60);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = now.map_or(0, |now| now.as_nanos() as u64);
    let start = Instant::now();
    eprintln!("seed {seed}");
    let rounds = attack(seed, |_| start.elapsed() < Duration::from_secs(seconds));
    eprintln!("{rounds} damaged files of each kind in {seconds} s, seed {seed}");
}

#[test]
fn labels_come_from_folders_stems_prefixes_lists_and_takes() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "a/cat/1.bin",
        "a/dog/2.bin",
        "b/3.bin",
        "b/1.bin",
        "c/2_x_4.bin",
        "c/1_x_5.bin",
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, five()).unwrap();
    }
    fs::write(dir.path().join("b/list.txt"), "#sample class\n3 2\n1\t0\n").unwrap();
    let files = Files::open(dir.path()).unwrap();
    let classes = |change: &dyn Fn(&mut Source), part| {
        let mut source = source(4);
        change(&mut source);
        labelled::labelled(&files, part, &source, &[".bin"]).map(|samples| {
            let classes: Vec<usize> = samples.iter().map(|(_, class)| *class).collect();
            classes
        })
    };
    let train = Part::Train;
    assert_eq!(classes(&|s| s.train = "a".into(), train).unwrap(), [0, 1]);
    let stem = |s: &mut Source| {
        (s.train, s.label, s.first_class) = ("b".into(), Labelling::Stem, 1);
    };
    assert_eq!(classes(&stem, train).unwrap(), [0, 2]);
    assert_eq!(
        classes(&|s| s.train = "b/list.txt".into(), train).unwrap(),
        [2, 0]
    );
    let takes = |s: &mut Source| {
        (s.train, s.label, s.test_takes) = ("c".into(), Labelling::Prefix, Some(5));
    };
    assert_eq!(classes(&takes, train).unwrap(), [1]);
    assert_eq!(classes(&takes, Part::Test).unwrap(), [2]);
    for (change, cause) in [
        (
            (&|s: &mut Source| (s.train, s.classes) = ("a".into(), 1)) as &dyn Fn(&mut Source),
            "dog/2.bin: class 1 is out of range",
        ),
        (
            &|s| s.train = "nowhere".into(),
            "holds no file that ends in .bin",
        ),
    ] {
        let error = classes(change, train).unwrap_err().to_string();
        assert!(error.contains(cause), "{error}");
    }
    fs::write(dir.path().join("b/list.txt"), "3 2\n9 0\n").unwrap();
    let error = classes(&|s| s.train = "b/list.txt".into(), train).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("list.txt: line 2: the sample b/9 is not there"),
        "{error}"
    );
}
