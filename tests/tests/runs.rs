//! Runs that are killed, that find no room, that two processes want: nothing is lost, and a
//! resumed training ends with the very bits of one that was never stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bitspike_tests::cli::{bitspike, command, tiny_with};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// Kills of a training.
const KILLS: u32 = 20;

/// A small network on few of the bundled digits: `epochs` of a few updates each.
fn folder(epochs: u32, limit: u32) -> TempDir {
    let dir = tempdir().expect("a temporary folder");
    let text = tiny_with(&[
        ("limit = 200", &format!("limit = {limit}\nshift = 1")),
        ("epochs = 1", &format!("epochs = {epochs}")),
        (
            "pool = 4 },",
            "pool = 2 },\n{ kind = \"conv\", channels = 8, kernel = 5, pool = 2 },",
        ),
    ]);
    fs::write(dir.path().join("tiny.toml"), text).expect("the configuration is written");
    dir
}

fn train(dir: &Path, out: &str) -> Command {
    let mut command = command(dir, &["train", "tiny.toml", "--out", out, "--resume"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// What a run ended with: the model, the last checkpoint's tensors, the metrics but for the time.
fn ending(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |path: &Path| {
        fs::read(path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
    };
    let mut parts = BTreeMap::from([("model".to_owned(), read(&run.join("model.bsnn")))]);
    let checkpoints = fs::read_dir(run.join("checkpoints")).expect("checkpoints");
    let last = checkpoints
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ending == "safetensors")
        })
        .max()
        .expect("a checkpoint");
    let name = last.file_name().expect("a name").to_string_lossy();
    parts.insert(name.into_owned(), read(&last));
    let metrics = String::from_utf8(read(&run.join("metrics.jsonl"))).expect("text");
    let lines = metrics.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        line["seconds"] = 0.into();
        line.to_string()
    });
    let lines = lines.collect::<Vec<_>>().join("\n");
    parts.insert("metrics".to_owned(), lines.into_bytes());
    parts
}

/// No file that a killed process left half-written.
#[track_caller]
fn no_leftovers(run: &Path) {
    for folder in [run.to_owned(), run.join("checkpoints")] {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            assert!(
                path.extension().is_none_or(|ending| ending != "tmp"),
                "{}",
                path.display()
            );
        }
    }
}

/// Numbers from 0 to 1 that differ from run to run; printed, so that a failure can be repeated.
fn moments() -> impl Iterator<Item = f64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut state = now.expect("a clock after 1970").as_nanos() as u64 | 1;
    println!("moments from seed {state}");
    std::iter::repeat_with(move || {
        // Knuth's multiplier; the upper bits are good enough to pick a moment.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f64 / (1u64 << 24) as f64
    })
}

/// Kills trainings at random moments, each in a run of its own and all in one run; every resume
/// ends like the training that nobody killed.
fn killed_trainings_end_alike(epochs: u32, limit: u32) {
    let dir = folder(epochs, limit);
    let whole = |out: &str| {
        let status = train(dir.path(), out).status().expect("bitspike starts");
        assert!(status.success(), "{out}: {status}");
    };
    // The first start reads the program from the disk: only the second one's time is typical.
    whole("warm");
    let start = Instant::now();
    whole("whole");
    let time = start.elapsed();
    let expected = ending(&dir.path().join("whole"));
    assert!(
        ending(&dir.path().join("warm")) == expected,
        "two whole runs differ"
    );

    let (mut kills, mut with_checkpoint) = (0, 0);
    for (attempt, moment) in moments().enumerate().take(10 * KILLS as usize) {
        let out = format!("killed-{attempt}");
        // `kill` is SIGKILL: the process cannot notice.
        let kill_after = |out: &str, after: Duration| {
            let mut child = train(dir.path(), out).spawn().expect("bitspike starts");
            sleep(after);
            let ended = child.try_wait().expect("a child").is_some();
            child.kill().expect("killed or ended");
            child.wait().expect("a child");
            !ended
        };
        if !kill_after(&out, time.mul_f64(moment)) {
            continue;
        }
        kills += 1;
        // One run is killed again and again before it may end.
        kill_after("often", time.mul_f64(moment));
        let run = dir.path().join(&out);
        with_checkpoint += u32::from(
            fs::read_dir(run.join("checkpoints")).is_ok_and(|mut entries| entries.next().is_some()),
        );
        whole(&out);
        assert!(
            ending(&run) == expected,
            "killed after {moment} of {time:?}"
        );
        no_leftovers(&run);
        if kills == KILLS {
            break;
        }
    }
    assert_eq!(
        kills, KILLS,
        "the trainings ended before they could be killed"
    );
    assert!(
        with_checkpoint > 0,
        "no training was killed after its first checkpoint"
    );
    whole("often");
    assert!(
        ending(&dir.path().join("often")) == expected,
        "killed again and again"
    );
    no_leftovers(&dir.path().join("often"));
}

#[test]
fn a_training_killed_at_any_moment_resumes_to_the_same_bits() {
    killed_trainings_end_alike(4, 300);
}

/// As above with longer trainings: `cargo test -p bitspike-tests --test runs -- --ignored`.
#[test]
#[ignore = "some minutes"]
fn a_longer_training_killed_at_any_moment_resumes_to_the_same_bits() {
    killed_trainings_end_alike(12, 3000);
}

/// docs/runs.md: the result does not depend on the number of threads.
#[test]
fn the_number_of_threads_changes_no_bit() {
    let dir = folder(2, 300);
    let mut endings = Vec::new();
    for threads in ["1", "2", "3"] {
        let status = train(dir.path(), threads)
            .env("RAYON_NUM_THREADS", threads)
            .status()
            .expect("bitspike starts");
        assert!(status.success(), "{threads} threads: {status}");
        endings.push(ending(&dir.path().join(threads)));
    }
    assert!(endings[0] == endings[1] && endings[0] == endings[2]);
}

/// A training in a shell that first does `prepare`, for limits that hold for the process.
fn limited(dir: &Path, shell: &[&str], prepare: &str, out: &str) -> (Option<i32>, String) {
    let training = train(dir, out);
    let words = std::iter::once(training.get_program()).chain(training.get_args());
    let words: Vec<String> = words
        .map(|word| format!("'{}'", word.to_str().expect("a path in UTF-8")))
        .collect();
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .arg(format!("{prepare} && exec {}", words.join(" ")))
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect("the shell starts");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code(), said)
}

/// Trains for one epoch without a limit, then on with too little room, then without again.
#[cfg(unix)]
fn survives(shell: &[&str], prepare: &str, out: &str) {
    let dir = folder(4, 300);
    let status = train(dir.path(), "whole").status();
    assert!(status.expect("bitspike starts").success());
    let (code, said) = limited(dir.path(), shell, prepare, out);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("cannot write") && said.contains(out),
        "{said}"
    );
    assert!(said.contains("free some space"), "{said}");
    no_leftovers(&dir.path().join(out));
    let status = train(dir.path(), out).status();
    assert!(status.expect("bitspike starts").success());
    let same = ending(&dir.path().join(out)) == ending(&dir.path().join("whole"));
    assert!(same, "resumed after {said}");
}

/// The largest file that a process may write, as on a disk with no room for a checkpoint.
#[cfg(unix)]
#[test]
fn no_room_for_a_checkpoint_is_survived() {
    // The configuration fits into 4 blocks of 512 bytes, a checkpoint does not.
    survives(&["sh", "-c"], "trap '' XFSZ && ulimit -f 4", "small-files");
}

/// A file system that runs full: checkpoints of some epochs fit, later ones do not.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_no_checkpoint() {
    let mount = "mount -t tmpfs -o size=80k none full";
    let shell = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
    ];
    let dir = folder(4, 300);
    fs::create_dir(dir.path().join("full")).expect("a folder");
    let possible = Command::new(shell[0])
        .args(&shell[1..])
        .arg(mount)
        .current_dir(dir.path())
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this machine lets nobody mount a small file system of his own");
        return;
    }
    // What is in the small file system when it is full: copied out, since it goes with the shell.
    let program = train(dir.path(), "full/run");
    let program = program.get_program().to_str().expect("a path in UTF-8");
    let script = format!(
        "{mount} && '{program}' train tiny.toml --out full/run --set train.epochs=4; code=$?; \
         head -c 1M /dev/zero > full/filler; rm -rf kept; \
         '{program}' train tiny.toml --out full/second; second=$?; \
         rm full/filler; cp -r full/run kept; exit $((10 * code + second))"
    );
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .arg(script)
        .current_dir(dir.path())
        .output()
        .expect("the shell starts");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(!said.contains("panicked"), "{said}");
    // Both end with 1: the first in the middle of its training, the second at its start.
    assert_eq!(output.status.code(), Some(11), "{said}");
    assert_eq!(said.matches("error: cannot").count(), 2, "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    let kept = fs::read_dir(dir.path().join("kept/checkpoints")).expect("a copy of the run");
    assert!(kept.count() >= 2, "the last checkpoint is there: {said}");
    for out in ["kept", "whole"] {
        let status = train(dir.path(), out).status();
        assert!(status.expect("bitspike starts").success());
    }
    let same = ending(&dir.path().join("kept")) == ending(&dir.path().join("whole"));
    assert!(same, "resumed from the full disk");
}

#[test]
fn a_place_that_cannot_be_written_is_refused_by_name() {
    let dir = folder(1, 100);
    fs::write(dir.path().join("file"), "not a folder").expect("written");
    for out in ["file", "file/run"] {
        let outcome = bitspike(dir.path(), &["train", "tiny.toml", "--out", out]);
        assert_eq!(outcome.code, Some(1), "{outcome:#?}");
        assert!(outcome.stderr.contains(out), "{outcome:#?}");
    }
    // Nobody, not even root, makes folders here.
    #[cfg(target_os = "linux")]
    {
        let outcome = bitspike(dir.path(), &["train", "tiny.toml", "--out", "/proc/run"]);
        assert_eq!(outcome.code, Some(1), "{outcome:#?}");
        assert!(outcome.stderr.contains("/proc/run"), "{outcome:#?}");
    }
}

#[test]
fn a_second_process_in_a_run_directory_is_refused() {
    let dir = folder(200, 1000);
    let mut first = train(dir.path(), "run").spawn().expect("bitspike starts");
    let begun = dir.path().join("run/metrics.jsonl");
    let patience = Instant::now();
    while !begun.exists() && patience.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(20));
    }
    let second = bitspike(
        dir.path(),
        &["train", "tiny.toml", "--out", "run", "--resume"],
    );
    first.kill().expect("killed");
    first.wait().expect("a child");
    assert_eq!(second.code, Some(2), "{second:#?}");
    assert!(second.stderr.contains("another process"), "{second:#?}");
    assert!(begun.exists(), "the first was training");
}
