//! `bitspike data`: what data sets there are, whether files are right, and how to get them.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use crate::data::fetch::{self, Fetched};
use crate::data::{self, DATASETS, Dataset};
use crate::{Error, Result};

/// Arguments of `bitspike data`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// What to do with data sets.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands of `bitspike data`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// List the data sets that are known by name
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Read a data set, count its samples and compare its files with the published ones
    Check {
        /// Name of the data set
        name: String,
        /// Folder with its files; without it the bundled samples are checked
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Download a data set: resumed where it was cut, checked by SHA-256
    Fetch {
        /// Name of the data set
        name: String,
        /// Folder to put the files into [default: data/NAME]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Server to ask instead of the known ones; the file names are appended to it
        #[arg(long, value_name = "BASE")]
        url: Option<String>,
    },
}

/// Runs `bitspike data`.
///
/// # Errors
/// [`Error::Usage`] for an unknown name and missing or malformed files; [`Error::Failed`] for files
/// that are not the published ones, and downloads that fail.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::List { json } => list(json),
        Command::Check { name, data, json } => check(&name, data.as_deref(), json),
        Command::Fetch { name, dir, url } => {
            let dataset = Dataset::by_name(&name)?;
            let dir = dir.unwrap_or_else(|| Path::new("data").join(dataset.name));
            download(dataset, &dir, url.as_deref())
        }
    }
}

/// Prints to standard output; a reader that went away, as `head` does, ends the command quietly.
fn print(text: &str) -> Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::failed(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

fn list(as_json: bool) -> Result<()> {
    if as_json {
        let datasets: Vec<_> = DATASETS.iter().map(describe).collect();
        return print(&json!({ "schema": 1, "datasets": datasets }).to_string());
    }
    for dataset in DATASETS {
        print(&format!("{}: {}", dataset.name, dataset.about))?;
        print("  bundled: the first 10,000 training and 1,000 test pictures, used without --data")?;
        print(
            "  all of it: files as published, each with or without .gz, in a folder for --data;",
        )?;
        print(&format!(
            "  `bitspike data fetch {}` downloads them",
            dataset.name
        ))?;
        for file in dataset.files() {
            print(&format!(
                "    {} ({} bytes, SHA-256 {})",
                file.name, file.bytes, file.sha256
            ))?;
        }
    }
    Ok(())
}

fn describe(dataset: &Dataset) -> serde_json::Value {
    let files: Vec<_> = dataset
        .files()
        .map(|file| json!({ "name": file.name, "bytes": file.bytes, "sha256": file.sha256 }))
        .collect();
    json!({
        "name": dataset.name,
        "about": dataset.about,
        "shape": dataset.shape,
        "classes": dataset.classes,
        "files": files,
        "mirrors": dataset.mirrors,
    })
}

fn check(name: &str, dir: Option<&Path>, as_json: bool) -> Result<()> {
    let checked = data::check(name, dir)?;
    let parts = [("training", &checked.train), ("test", &checked.test)];
    if as_json {
        let mut report = json!({ "schema": 1, "name": name, "differences": checked.differences });
        for (part, samples) in parts {
            report[part] = json!({ "samples": samples.len(), "classes": samples.histogram() });
        }
        print(&report.to_string())?;
    } else {
        for (part, samples) in parts {
            let counts: Vec<_> = samples.histogram().iter().map(usize::to_string).collect();
            let [height, width, channels] = samples.shape();
            print(&format!(
                "{part}: {} samples of {height}x{width}x{channels}, by class {}",
                samples.len(),
                counts.join(" ")
            ))?;
        }
    }
    if !checked.differences.is_empty() {
        return Err(Error::failed(format!(
            "readable, but not the published files of `{name}`:\n  {}",
            checked.differences.join("\n  ")
        )));
    }
    match dir {
        _ if as_json => Ok(()),
        Some(_) => print("all four files have the published content"),
        None => print("the bundled samples are whole"),
    }
}

fn download(dataset: &Dataset, dir: &Path, url: Option<&str>) -> Result<()> {
    let mirrors = match &url {
        Some(url) => std::slice::from_ref(url),
        None => dataset.mirrors,
    };
    let mut news = false;
    fetch::fetch(dataset, dir, mirrors, |file, fetched| {
        let line = match fetched {
            Fetched::Present => "already there, content right".to_owned(),
            Fetched::Downloaded {
                bytes,
                resumed_from: 0,
            } => format!("{bytes} bytes, content right"),
            Fetched::Downloaded {
                bytes,
                resumed_from,
            } => {
                format!("{bytes} bytes, {resumed_from} of them from before; content right")
            }
        };
        news |= fetched != Fetched::Present;
        // Progress, not the result: whether it can be shown changes nothing.
        let _ = writeln!(io::stderr(), "{}: {line}", file.name);
    })?;
    let state = if news {
        "is complete"
    } else {
        "was complete already, nothing was fetched"
    };
    print(&format!(
        "{} {state}: use it by --data {}",
        dataset.name,
        dir.display()
    ))
}
