//! Downloads from a server on this machine that does what servers do, and what they should not.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::data::Storage;
use crate::data::idx::Idx;

/// A request as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    file: String,
    from: Option<usize>,
}

/// Answers every connection with the bytes that `answer` makes of its request, then closes it.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn new(answer: impl Fn(&Asked) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mnist/", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        // The thread ends with the test process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read_request(&mut stream);
                log.lock().unwrap().push(request.clone());
                // The client may have gone already.
                let _ = stream.write_all(&answer(&request));
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read_request(stream: &mut TcpStream) -> Asked {
    let lines: Vec<String> = BufReader::new(stream)
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty())
        .collect();
    let path = lines[0].split(' ').nth(1).unwrap();
    let from = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let range = value.strip_prefix("bytes=")?.strip_suffix('-')?;
        name.eq_ignore_ascii_case("range")
            .then(|| range.parse().unwrap())
    });
    Asked {
        file: path.strip_prefix("/mnist/").unwrap().to_owned(),
        from,
    }
}

fn respond(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// What a good server answers.
fn serve(content: &[u8], asked: &Asked) -> Vec<u8> {
    match asked.from {
        None => respond("200 OK", "", content),
        Some(from) if from >= content.len() => respond("416 Range Not Satisfiable", "", b""),
        Some(from) => {
            let range = format!(
                "Content-Range: bytes {from}-{}/{}\r\n",
                content.len() - 1,
                content.len()
            );
            respond("206 Partial Content", &range, &content[from..])
        }
    }
}

/// A small data set and the `.gz` content of its files.
fn dataset() -> (Dataset, Files) {
    let mut files = Vec::new();
    let mut publish = |name: &'static str, dims: Vec<usize>| {
        // Noise does not compress: a half of the file is a good part of it.
        let mut noise = vec![0; dims.iter().product()];
        ChaCha8Rng::seed_from_u64(1).fill_bytes(&mut noise);
        let idx = Idx::new(dims, noise).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.gz");
        idx.write(&path).unwrap();
        files.push((format!("{name}.gz"), fs::read(path).unwrap()));
        let plain = idx.to_bytes();
        PublishedFile {
            name,
            bytes: plain.len() as u64,
            sha256: hexadecimal(&Sha256::digest(plain)).leak(),
        }
    };
    let dataset = Dataset {
        name: "tiny",
        about: "four small files",
        classes: 10,
        storage: Storage::Idx {
            shape: [28, 28, 1],
            bundled: false,
            files: Box::leak(Box::new([
                publish("train-images", vec![50, 28, 28]),
                publish("train-labels", vec![50]),
                publish("t10k-images", vec![5, 28, 28]),
                publish("t10k-labels", vec![5]),
            ])),
        },
        mirrors: &[],
    };
    (dataset, Files(files))
}

/// The file of that number of a data set.
fn file(dataset: &Dataset, index: usize) -> &'static PublishedFile {
    dataset.files().nth(index).unwrap()
}

#[derive(Clone)]
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    fn get(&self, name: &str) -> &[u8] {
        &self.0.iter().find(|(other, _)| other == name).unwrap().1
    }
}

/// Runs one download and returns what it said of each file.
fn run(dataset: &Dataset, dir: &Path, mirrors: &[&str]) -> Result<Vec<Fetched>> {
    // A proxy that the environment names must not stand between the test and its server.
    let agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_per_read(Some(Duration::from_secs(10)))
        .proxy(None)
        .build()
        .new_agent();
    let mut told = Vec::new();
    fetch_by(&agent, dataset, dir, mirrors, |_, fetched| {
        told.push(fetched)
    })?;
    Ok(told)
}

fn assert_complete(dir: &Path, files: &Files) {
    for (name, content) in &files.0 {
        assert_eq!(&fs::read(dir.join(name)).unwrap(), content, "{name}");
    }
    assert_eq!(
        fs::read_dir(dir).unwrap().count(),
        files.0.len(),
        "no other file is left"
    );
}

const FIRST: &str = "train-images.gz";
const FIRST_PART: &str = "train-images.gz.part";

#[test]
fn a_whole_set_is_fetched_once() {
    let (dataset, files) = dataset();
    let served = files.clone();
    let server = Server::new(move |asked| serve(served.get(&asked.file), asked));
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("new").join("folder");
    // Without the slash at its end, as a user may type it.
    let url = server.url.trim_end_matches('/');
    let told = run(&dataset, &target, &[url]).unwrap();
    let bytes = files.get(FIRST).len() as u64;
    assert_eq!(
        told[0],
        Fetched::Downloaded {
            bytes,
            resumed_from: 0
        }
    );
    assert_complete(&target, &files);

    assert_eq!(
        run(&dataset, &target, &[url]).unwrap(),
        [Fetched::Present; 4]
    );
    assert_eq!(
        server.asked().len(),
        4,
        "the second command asks for nothing"
    );
}

#[test]
fn a_cut_connection_is_resumed_by_the_same_command() {
    let (dataset, files) = dataset();
    let served = files.clone();
    let server = Server::new(move |asked| {
        let answer = serve(served.get(&asked.file), asked);
        let cut = asked.file == FIRST && asked.from.is_none();
        if cut {
            answer[..answer.len() / 2].to_vec()
        } else {
            answer
        }
    });
    let dir = tempfile::tempdir().unwrap();
    run(&dataset, dir.path(), &[&server.url]).unwrap();
    assert_complete(dir.path(), &files);
    let asked = server.asked();
    assert_eq!(
        (asked[0].file.as_str(), asked[1].file.as_str()),
        (FIRST, FIRST)
    );
    assert!(asked[1].from.is_some_and(|from| from > 1000), "{asked:?}");
}

#[test]
fn what_an_earlier_command_left_is_resumed() {
    let (dataset, files) = dataset();
    let dir = tempfile::tempdir().unwrap();
    let cut = files.clone();
    // Each connection brings 1,000 bytes: too little for the resumptions of one command.
    let poor = Server::new(move |asked| {
        let mut answer = serve(cut.get(&asked.file), asked);
        let head = answer.len() - (cut.get(&asked.file).len() - asked.from.unwrap_or(0));
        answer.truncate(head + 1000);
        answer
    });
    let error = run(&dataset, dir.path(), &[&poor.url]).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let message = error.to_string();
    assert!(
        message.contains("the connection ended after 4000 bytes"),
        "{message}"
    );
    assert!(
        message.contains("4000 bytes are kept in") && message.contains(FIRST_PART),
        "{message}"
    );

    let served = files.clone();
    let good = Server::new(move |asked| serve(served.get(&asked.file), asked));
    let told = run(&dataset, dir.path(), &[&good.url]).unwrap();
    assert!(
        matches!(
            told[0],
            Fetched::Downloaded {
                resumed_from: 4000,
                ..
            }
        ),
        "{told:?}"
    );
    assert_eq!(good.asked()[0].from, Some(4000));
    assert_complete(dir.path(), &files);
}

#[test]
fn a_server_that_ignores_ranges_starts_again() {
    let (dataset, files) = dataset();
    let served = files.clone();
    let server = Server::new(move |asked| respond("200 OK", "", served.get(&asked.file)));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FIRST_PART), &files.get(FIRST)[..2000]).unwrap();
    run(&dataset, dir.path(), &[&server.url]).unwrap();
    assert_eq!(server.asked()[0].from, Some(2000));
    assert_complete(dir.path(), &files);
}

#[test]
fn a_leftover_longer_than_the_file_is_dropped() {
    let (dataset, files) = dataset();
    let served = files.clone();
    let server = Server::new(move |asked| serve(served.get(&asked.file), asked));
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join(FIRST_PART),
        [files.get(FIRST), b"more"].concat(),
    )
    .unwrap();
    run(&dataset, dir.path(), &[&server.url]).unwrap();
    assert_complete(dir.path(), &files);
}

#[test]
fn corrupted_content_is_removed_and_told() {
    let (dataset, files) = dataset();
    let other = Idx::new(vec![2], vec![1, 2]).unwrap();
    let wrong_dir = tempfile::tempdir().unwrap();
    other.write(&wrong_dir.path().join("x.gz")).unwrap();
    let wrong = fs::read(wrong_dir.path().join("x.gz")).unwrap();
    let server = Server::new(move |asked| serve(&wrong, asked));
    let dir = tempfile::tempdir().unwrap();
    let error = run(&dataset, dir.path(), &[&server.url]).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let message = error.to_string();
    let got = hexadecimal(&Sha256::digest(other.to_bytes()));
    for part in [
        FIRST,
        &got,
        file(&dataset, 0).sha256,
        "type the same command again",
        "--url BASE",
    ] {
        assert!(message.contains(part), "{part} is not in\n{message}");
    }
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing is left"
    );

    // A damaged stream is told as such, and the next mirror is asked.
    let flipped = files.clone();
    let damaged = Server::new(move |asked| {
        let mut content = flipped.get(&asked.file).to_vec();
        let middle = content.len() / 2;
        content[middle] ^= 1;
        serve(&content, asked)
    });
    let served = files.clone();
    let good = Server::new(move |asked| serve(served.get(&asked.file), asked));
    run(&dataset, dir.path(), &[&damaged.url, &good.url]).unwrap();
    assert_complete(dir.path(), &files);
}

#[test]
fn refusals_name_the_address_and_the_cause_of_each_mirror() {
    let (dataset, _) = dataset();
    let missing = Server::new(|_| respond("404 Not Found", "", b"no such file"));
    let closing = Server::new(|_| Vec::new());
    let unreachable = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let dir = tempfile::tempdir().unwrap();
    let mirrors = [missing.url.as_str(), &closing.url, &unreachable];
    let error = run(&dataset, dir.path(), &mirrors).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let message = error.to_string();
    assert!(
        message.contains(&format!("{}{FIRST}: HTTP status 404", missing.url)),
        "{message}"
    );
    for url in [&closing.url, &unreachable] {
        assert!(message.contains(&format!("{url}{FIRST}: ")), "{message}");
    }
    assert!(message.to_lowercase().contains("refused"), "{message}");
}

#[test]
fn a_file_longer_than_the_published_one_is_not_stored() {
    let (dataset, _) = dataset();
    let announced = Server::new(|_| respond("200 OK", "", &vec![7; 50_000]));
    // No length given: the end of the connection would be that of the file.
    let endless = Server::new(|_| {
        [
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".as_slice(),
            &vec![7; 1 << 20],
        ]
        .concat()
    });
    let dir = tempfile::tempdir().unwrap();
    let message = run(&dataset, dir.path(), &[&announced.url, &endless.url])
        .unwrap_err()
        .to_string();
    assert_eq!(
        message.matches("bytes or more where the file has").count(),
        2,
        "{message}"
    );
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing is left"
    );
}

#[test]
fn a_wrong_file_that_is_there_is_left_alone() {
    let (dataset, _) = dataset();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t10k-labels");
    fs::write(&path, "mine").unwrap();
    fs::write(dir.path().join("train-labels.gz"), "mine").unwrap();
    let error = check_content(&path, file(&dataset, 3)).unwrap_err();
    assert!(error.contains("wrong content"), "{error}");
    let server = Server::new(|_| respond("404 Not Found", "", b""));
    fs::remove_file(dir.path().join("train-labels.gz")).unwrap();
    fs::write(dir.path().join(FIRST), "mine").unwrap();
    let message = run(&dataset, dir.path(), &[&server.url])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains(FIRST) && message.contains("left alone"),
        "{message}"
    );
    assert_eq!(fs::read(dir.path().join(FIRST)).unwrap(), b"mine");
}

#[test]
fn an_unwritable_folder_and_a_wrong_address_are_named() {
    let (dataset, _) = dataset();
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    fs::write(&blocked, "").unwrap();
    let error = run(&dataset, &blocked.join("sub"), &["http://127.0.0.1:9/"]).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(
        error.to_string().contains(&*blocked.to_string_lossy()),
        "{error}"
    );
    let error = run(&dataset, dir.path(), &["ftp://example.org/"]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error
            .to_string()
            .contains("ftp://example.org/ is not an address"),
        "{error}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_with_the_file() {
    let (dataset, files) = dataset();
    let server = Server::new(move |asked| serve(files.get(&asked.file), asked));
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join(FIRST_PART)).unwrap();
    let error = run(&dataset, dir.path(), &[&server.url]).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let message = error.to_string();
    assert!(
        message.contains("cannot write") && message.contains(FIRST_PART),
        "{message}"
    );
    assert_eq!(server.asked().len(), 1, "no other mirror helps");
}

#[test]
fn two_downloads_of_one_file_do_not_mix() {
    let (dataset, _) = dataset();
    let dir = tempfile::tempdir().unwrap();
    let _first = PartFile::open(dir.path(), file(&dataset, 0)).unwrap();
    let message = run(&dataset, dir.path(), &["http://127.0.0.1:9/"])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("is being downloaded by another process"),
        "{message}"
    );
}
