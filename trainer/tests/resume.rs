//! A training that was stopped, killed or damaged ends with the very bits of one that was not.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bitspike_trainer::config::Config;
use bitspike_trainer::data::{self, Splits};
use bitspike_trainer::run::RunDir;
use bitspike_trainer::train::{EpochMetrics, Observer, Outcome, Progress, Trainer};
use bitspike_trainer::{Error, Result};

/// Stops after a given update.
struct StopAfter(u64);

impl Observer for StopAfter {
    fn updated(&mut self, progress: &Progress) -> ControlFlow<()> {
        if progress.update == self.0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn epoch_done(&mut self, _metrics: &EpochMetrics) {}
}

const NEVER: StopAfter = StopAfter(0);

/// Four updates an epoch, three epochs.
fn config(settings: &[&str]) -> Result<Config> {
    let mut all = vec![
        "data.limit=300",
        "network.steps=2",
        "train.batch=64",
        "train.epochs=3",
    ];
    all.extend(settings);
    Config::load(
        "mnist",
        &all.into_iter().map(str::to_owned).collect::<Vec<_>>(),
    )
}

fn splits(config: &Config) -> Result<Splits> {
    data::load(&config.data_request(None))
}

fn train(config: &Config, splits: &Splits, dir: &Path, mut observer: StopAfter) -> Result<Outcome> {
    let run = RunDir::open(dir, config, true)?;
    let mut trainer = Trainer::new(config, splits)?;
    trainer.restore(&run)?;
    trainer.run(&run, &mut observer)
}

fn checkpoint(dir: &Path, update: u64, ending: &str) -> PathBuf {
    dir.join("checkpoints")
        .join(format!("{update:08}.{ending}"))
}

/// The last tensors, byte for byte, and the metrics but for the time they took.
fn result(dir: &Path, config: &Config) -> Result<(Vec<u8>, Vec<EpochMetrics>)> {
    let mut metrics = RunDir::open(dir, config, true)?.metrics()?;
    metrics.iter_mut().for_each(|metrics| metrics.seconds = 0.0);
    let tensors = fs::read(checkpoint(dir, 12, "safetensors"));
    Ok((
        tensors.map_err(|error| Error::failed(error.to_string()))?,
        metrics,
    ))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn interrupted_trainings_end_with_the_same_bits() -> Result<()> {
    let config = config(&[])?;
    let splits = splits(&config)?;
    let whole = folder();
    assert_eq!(
        train(&config, &splits, whole.path(), NEVER)?,
        Outcome::Finished
    );
    let expected = result(whole.path(), &config)?;
    assert_eq!(expected.1.len(), 3);

    // Stopped in the middle of an epoch, at its end, and twice in one.
    let stopped = folder();
    for update in [1, 4, 6, 7] {
        let outcome = train(&config, &splits, stopped.path(), StopAfter(update))?;
        assert_eq!(outcome, Outcome::Stopped);
    }
    train(&config, &splits, stopped.path(), NEVER)?;
    assert!(result(stopped.path(), &config)? == expected, "stopped");

    // Killed: the updates since the last checkpoint are lost, and files are left behind.
    let killed = folder();
    train(&config, &splits, killed.path(), StopAfter(9))?;
    fs::remove_file(checkpoint(killed.path(), 9, "json")).expect("removed");
    train(&config, &splits, killed.path(), NEVER)?;
    assert!(result(killed.path(), &config)? == expected, "killed");

    // Killed between an epoch's metrics and its checkpoint.
    let between = folder();
    train(&config, &splits, between.path(), StopAfter(8))?;
    for ending in ["json", "safetensors"] {
        fs::remove_file(checkpoint(between.path(), 8, ending)).expect("removed");
    }
    train(&config, &splits, between.path(), NEVER)?;
    assert!(result(between.path(), &config)? == expected, "between");

    // The last checkpoint is damaged: the one before counts.
    let damaged = folder();
    train(&config, &splits, damaged.path(), StopAfter(6))?;
    let path = checkpoint(damaged.path(), 6, "safetensors");
    let mut bytes = fs::read(&path).expect("read");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).expect("written");
    train(&config, &splits, damaged.path(), NEVER)?;
    assert!(result(damaged.path(), &config)? == expected, "damaged");
    Ok(())
}

#[test]
fn another_seed_gives_another_network() -> Result<()> {
    let short = ["train.epochs=1"];
    let one = config(&short)?;
    let two = config(&[short[0], "train.seed=2"])?;
    let splits = splits(&one)?;
    let mut networks = Vec::new();
    for config in [&one, &two, &one] {
        let dir = folder();
        let run = RunDir::open(dir.path(), config, false)?;
        let mut trainer = Trainer::new(config, &splits)?;
        trainer.run(&run, &mut StopAfter(0))?;
        networks.push(trainer.network().trained()?);
    }
    assert!(networks[0] != networks[1] && networks[0] == networks[2]);
    Ok(())
}

#[test]
fn a_run_is_not_overwritten_changed_or_shared() -> Result<()> {
    let (dir, first) = (folder(), config(&[])?);
    let open = |config: &Config, resume| {
        let refused = RunDir::open(dir.path(), config, resume).map(|_| ());
        refused
            .err()
            .map(|error| (error.exit_code(), error.to_string()))
    };
    let held = RunDir::open(dir.path(), &first, false)?;
    let (code, message) = open(&first, true).expect("two in one run directory");
    assert!(
        code == 2 && message.contains("another process"),
        "{message}"
    );
    drop(held);
    let (code, message) = open(&first, false).expect("a run is there");
    assert!(code == 2 && message.contains("add --resume"), "{message}");
    let (code, message) = open(&config(&["train.batch=32"])?, true).expect("another batch");
    assert!(
        code == 2 && message.contains("train.batch = 64, not 32"),
        "{message}"
    );
    assert_eq!(open(&first, true), None);
    Ok(())
}

#[test]
fn other_data_and_foreign_folders_are_refused() -> Result<()> {
    let (dir, config) = (folder(), config(&[])?);
    train(&config, &splits(&config)?, dir.path(), StopAfter(1))?;
    let mut other = config.clone();
    other.train.seed += 1;
    let other = splits(&other)?;
    let refused = train(&config, &other, dir.path(), NEVER);
    let message = refused.expect_err("another split").to_string();
    assert!(message.contains("other data"), "{message}");

    let foreign = folder();
    fs::write(foreign.path().join("letter.txt"), "Dear").expect("written");
    let refused = RunDir::open(foreign.path(), &config, true).map(|_| ());
    let message = refused.expect_err("somebody's folder").to_string();
    assert!(message.contains("letter.txt"), "{message}");
    Ok(())
}
