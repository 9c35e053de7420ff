//! `bitspike report`.

use std::path::PathBuf;

use serde_json::json;

use crate::{Result, report};

const EXAMPLES: &str = "Examples:
  bitspike report runs/mnist-1                   writes runs/mnist-1/report.html
  bitspike report runs/full --data DIR           with the data set's files in DIR
  bitspike report runs/full -o full.html";

/// Arguments of `bitspike report`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A run directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Folder with the data set's files [default: the small set that comes with bitspike]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The page to write [default: RUN/report.html]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs `bitspike report`.
///
/// # Errors
/// If there is no run, a file of it is damaged, or the page cannot be written.
pub fn run(args: Args) -> Result<()> {
    let out = args.output.unwrap_or_else(|| report::path(&args.run));
    let missing = report::write(&args.run, args.data.as_deref(), &out)?;
    if args.json {
        say!(
            "{:#}",
            json!({ "schema": 1, "page": out, "missing": missing })
        )?;
        return Ok(());
    }
    if let Some(missing) = missing {
        note!("the page shows no samples: {missing}");
    }
    say!("{}", out.display())?;
    Ok(())
}
