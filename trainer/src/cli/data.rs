//! `bitspike data`: what data sets there are, whether files are right, and how to get them.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use crate::config::Config;
use crate::data::fetch::{self, Fetched};
use crate::data::format::{FORMATS, Source};
use crate::data::{self, Census, DATASETS, DataRequest, Dataset, Part, Storage};
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
        /// Name of the data set, or a configuration (TOML) that describes one
        name: String,
        /// Folder with its files; without it the bundled samples are checked
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Write a part of a data set of recordings as CSV of spikes, one event a line
    Convert {
        /// Name of the data set, or a configuration (TOML) that describes one
        name: String,
        /// Folder with its files
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Which samples
        #[arg(long, value_enum, default_value_t = Part::Train)]
        part: Part,
        /// File to write; compressed where its name ends in .gz
        #[arg(short, long, value_name = "FILE.csv[.gz]")]
        out: PathBuf,
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
        Command::Check { name, data, json } => {
            let named = Named::of(&name)?;
            check(&named, data.as_deref(), json)
        }
        Command::Convert {
            name,
            data,
            part,
            out,
        } => {
            let named = Named::of(&name)?;
            let census = data::convert(&named.request(Some(&data)), part, &out)?;
            print(&format!("{}: {}", out.display(), in_words(&census)))
        }
        Command::Fetch { name, dir, url } => {
            let dataset = Dataset::by_name(&name)?;
            let dir = dir.unwrap_or_else(|| Path::new("data").join(dataset.name));
            download(dataset, &dir, url.as_deref())
        }
    }
}

/// A data set by its name, or by a configuration that describes it.
struct Named {
    name: String,
    source: Option<Source>,
}

impl Named {
    fn of(name: &str) -> Result<Self> {
        let known = DATASETS.iter().any(|dataset| dataset.name == name);
        if !known
            && Path::new(name)
                .extension()
                .is_some_and(|ending| ending == "toml")
        {
            let data = Config::load(name, &[])?.data;
            return Ok(Self {
                name: data.name,
                source: data.source,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            source: None,
        })
    }

    fn request<'a>(&'a self, dir: Option<&'a Path>) -> DataRequest<'a> {
        DataRequest {
            source: self.source.as_ref(),
            ..DataRequest::test(&self.name, dir)
        }
    }
}

fn print(text: &str) -> Result<()> {
    say!("{text}")
}

fn list(as_json: bool) -> Result<()> {
    if as_json {
        let datasets: Vec<_> = DATASETS.iter().map(describe).collect();
        let formats: Vec<_> = FORMATS
            .iter()
            .map(|format| json!({ "name": format.name(), "about": format.about() }))
            .collect();
        let document = json!({ "schema": 1, "datasets": datasets, "formats": formats });
        return say!("{document}");
    }
    for dataset in DATASETS {
        print(&format!("{}: {}", dataset.name, dataset.about))?;
        match dataset.storage {
            Storage::Idx { bundled, .. } => {
                if bundled {
                    print(
                        "  bundled: the first 10,000 training and 1,000 test pictures, used \
                         without --data",
                    )?;
                }
                print(
                    "  all of it: files as published, each with or without .gz, in a folder for \
                     --data;",
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
            Storage::Files { needs, .. } => print(&format!("  in a folder for --data: {needs}"))?,
        }
    }
    print("formats, for a data set that a configuration describes (docs/datasets.md):")?;
    for format in FORMATS {
        print(&format!("  {}: {}", format.name(), format.about()))?;
    }
    Ok(())
}

fn describe(dataset: &Dataset) -> serde_json::Value {
    let mut description = json!({
        "name": dataset.name,
        "about": dataset.about,
        "classes": dataset.classes,
        "mirrors": dataset.mirrors,
    });
    let files: Vec<_> = dataset
        .files()
        .map(|file| json!({ "name": file.name, "bytes": file.bytes, "sha256": file.sha256 }))
        .collect();
    description["files"] = json!(files);
    match dataset.storage {
        Storage::Idx { shape, .. } => description["shape"] = json!(shape),
        Storage::Files { source, .. } => description["source"] = json!(source()),
    }
    description
}

fn check(named: &Named, dir: Option<&Path>, as_json: bool) -> Result<()> {
    let name = &named.name;
    let checked = data::check(&named.request(dir))?;
    let parts = [
        ("training", Some(&checked.train)),
        ("test", checked.test.as_ref()),
    ];
    if as_json {
        let mut report = json!({ "schema": 1, "name": name, "differences": checked.differences });
        for (part, census) in parts {
            report[part] = json!(census);
            if let Some(census) = census {
                report[part]["samples"] = json!(census.samples());
            }
        }
        print(&report.to_string())?;
    } else {
        for (part, census) in parts {
            print(&match census {
                Some(census) => format!("{part}: {}", in_words(census)),
                None => format!("{part}: its files are not there"),
            })?;
        }
    }
    if !checked.differences.is_empty() {
        return Err(Error::failed(format!(
            "readable, but not the published files of `{name}`:\n  {}",
            checked.differences.join("\n  ")
        )));
    }
    let published = named.source.is_none() && Dataset::by_name(name)?.files().next().is_some();
    match dir {
        _ if as_json => Ok(()),
        Some(_) if published && checked.test.is_some() => {
            print("all four files have the published content")
        }
        Some(_) if published => print("the files that are there have the published content"),
        Some(_) => print("every sample is whole"),
        None => print("the bundled samples are whole"),
    }
}

fn in_words(census: &Census) -> String {
    let counts: Vec<_> = census.classes.iter().map(usize::to_string).collect();
    let what = match census.picture {
        Some([height, width, channels]) => format!("samples of {height}x{width}x{channels}"),
        None => format!(
            "recordings of {} to {} events (mean {:.0}), the longest {:.3} s",
            census.fewest,
            census.most,
            census.events as f64 / census.samples() as f64,
            f64::from(census.longest) / 1e6
        ),
    };
    format!("{} {what}, by class {}", census.samples(), counts.join(" "))
}

fn download(dataset: &Dataset, dir: &Path, url: Option<&str>) -> Result<()> {
    if let Storage::Files { needs, .. } = dataset.storage {
        return Err(Error::usage(format!(
            "`{}` is not downloaded by this program; get it from its authors and give the folder \
             with {needs} by --data DIR",
            dataset.name
        )));
    }
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
        note!("{}: {line}", file.name);
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
