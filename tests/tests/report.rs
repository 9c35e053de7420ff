//! `bitspike report` as a user types it: a page that is well formed, whole, and points nowhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bitspike_tests::cli::{Outcome, bitspike, tiny_with};

/// The headings that every report has.
const SECTIONS: [&str; 10] = [
    "reached",
    "curves",
    "rasters",
    "confusion",
    "mistakes",
    "size",
    "cost",
    "reproduce",
    "configuration",
    "</html>",
];

/// Reads a page on standard input; fails where an element is not closed or ends twice.
const WELL_FORMED: &str = r#"
import sys
from html.parser import HTMLParser
VOID = {"meta", "img", "br", "input", "link", "hr"}
class Parser(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []
        self.count = {}
    def handle_starttag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
        names = [name for name, _ in attributes]
        if len(names) != len(set(names)):
            sys.exit(f"<{tag}> has an attribute twice, line {self.getpos()[0]}")
        if tag not in VOID:
            self.open.append(tag)
    def handle_startendtag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            sys.exit(f"</{tag}> closes something else, line {self.getpos()[0]}")
parser = Parser()
parser.feed(sys.stdin.read())
parser.close()
if parser.open:
    sys.exit(f"not closed: {parser.open}")
print(parser.count.get("svg", 0), parser.count.get("img", 0), parser.count.get("script", 0))
"#;

/// A run of the given weights, shared by the tests, which change copies of it only.
fn trained(weights: &'static str) -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    static FLOAT: OnceLock<PathBuf> = OnceLock::new();
    let cell = if weights == "float" { &FLOAT } else { &BINARY };
    cell.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{weights}"));
        // The last session's; there is none the first time.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a folder");
        let slope = format!("slope = 2.0\nweights = \"{weights}\"");
        let text = tiny_with(&[("slope = 2.0", &slope), ("epochs = 1", "epochs = 2")]);
        fs::write(dir.join("tiny.toml"), text).expect("the configuration is written");
        let outcome = bitspike(&dir, &["train", "tiny.toml", "--out", "run"]);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        dir.join("run")
    })
}

/// A copy of the files of a run that a report reads.
fn copy(weights: &'static str, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for name in ["config.toml", "metrics.jsonl", "model.bsnn"] {
        // A run of float weights has no model.
        let _ = fs::copy(trained(weights).join(name), to.join(name));
    }
}

fn report(dir: &Path, run: &str) -> Outcome {
    bitspike(dir, &["report", run])
}

/// The numbers of charts, pictures and scripts of a page; `None` where there is no Python.
#[track_caller]
fn well_formed(page: &str) -> Option<Vec<usize>> {
    use std::io::Write as _;

    let python = Command::new("python3")
        .args(["-c", WELL_FORMED])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut python) = python else {
        eprintln!("skipped: no python3 to read the page with");
        return None;
    };
    let mut input = python.stdin.take().expect("a pipe");
    input.write_all(page.as_bytes()).expect("python reads");
    drop(input);
    let output = python.wait_with_output().expect("python ends");
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "not well formed: {trouble}");
    let counts = String::from_utf8_lossy(&output.stdout);
    let counts = counts
        .split_whitespace()
        .map(|n| n.parse().expect("a number"));
    Some(counts.collect())
}

#[track_caller]
fn whole(page: &str) {
    for section in SECTIONS {
        let wanted = if section.starts_with('<') {
            section.to_owned()
        } else {
            format!("<h2 id=\"{section}\">")
        };
        assert!(page.contains(&wanted), "{section} is missing");
    }
    for address in ["http:", "https:", "//www", "url(", "@import", "<link"] {
        assert!(
            !page.contains(address),
            "the page points elsewhere: {address}"
        );
    }
}

#[test]
fn training_leaves_a_whole_report() {
    let page = fs::read_to_string(trained("binary").join("report.html")).expect("the report");
    whole(&page);
    // Six charts; pictures of three samples, two layers of each, and the mistakes; no script.
    if let Some(counts) = well_formed(&page) {
        assert_eq!((counts[0], counts[2]), (6, 0));
        assert!(counts[1] > 3 + 6, "{counts:?}");
    }
    assert!(page.contains("integer network, test"), "no accuracy");
    assert!(page.contains("synaptic operations a decision"), "no cost");
}

#[test]
fn a_report_made_again_is_the_same_page() {
    let run = trained("binary");
    let before = fs::read_to_string(run.join("report.html")).expect("the report");
    let folder = run.parent().expect("a parent");
    let outcome = bitspike(folder, &["report", "run", "-o", "again.html", "--json"]);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(
        (&document["schema"], &document["missing"]),
        (&1.into(), &serde_json::Value::Null)
    );
    let again = fs::read_to_string(folder.join("again.html")).expect("the page");
    assert_eq!(again, before);
}

#[test]
fn a_float_run_and_one_without_data_say_what_they_lack() {
    let page = fs::read_to_string(trained("float").join("report.html")).expect("the report");
    whole(&page);
    well_formed(&page);
    assert!(page.contains("The weights are float"), "{page}");
    assert!(page.contains("float network, test"), "no accuracy");

    let dir = tempfile::tempdir().expect("a folder");
    copy("binary", &dir.path().join("run"));
    let outcome = bitspike(dir.path(), &["report", "run", "--data", "nowhere"]);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(outcome.stderr.contains("nowhere"), "{}", outcome.stderr);
    let page = fs::read_to_string(dir.path().join("run/report.html")).expect("the page");
    whole(&page);
    well_formed(&page);
    assert!(
        page.contains("Without samples (there is no folder nowhere"),
        "{page}"
    );
}

#[test]
fn what_is_wrong_with_a_run_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let refused = |run: &str, parts: &[&str]| {
        let outcome = report(dir.path(), run);
        assert_eq!(outcome.code, Some(2), "{outcome:#?}");
        for part in parts {
            assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
        }
        assert!(!dir.path().join(run).join("report.html").exists());
    };
    refused("nothing", &["nothing is not a run directory"]);
    let damaged = dir.path().join("damaged");
    copy("binary", &damaged);
    let mut lines = fs::read_to_string(damaged.join("metrics.jsonl")).expect("metrics");
    lines.push_str("{\"epoch\": 3, \"lo");
    fs::write(damaged.join("metrics.jsonl"), lines).expect("written");
    refused("damaged", &["metrics.jsonl", "line 3"]);
    let cut = dir.path().join("cut");
    copy("binary", &cut);
    let model = fs::read(cut.join("model.bsnn")).expect("a model");
    fs::write(cut.join("model.bsnn"), &model[..model.len() - 9]).expect("written");
    refused("cut", &["model.bsnn"]);
}

#[test]
fn what_comes_from_files_is_text_on_the_page() {
    let dir = tempfile::tempdir().expect("a folder");
    let hostile = "<script>alert(1)</script>&\"'";
    let run = dir.path().join(hostile.replace('/', "_"));
    copy("binary", &run);
    let config = fs::read_to_string(run.join("config.toml")).expect("the configuration");
    let config = config.replace("name = \"mnist\"", &format!("name = '''{hostile}'''"));
    assert!(config.contains(hostile));
    fs::write(run.join("config.toml"), config).expect("written");
    let run = run.to_str().expect("UTF-8");
    let outcome = report(dir.path(), run);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let page = fs::read_to_string(Path::new(run).join("report.html")).expect("the page");
    whole(&page);
    assert!(!page.contains("<script"), "a script came through");
    assert!(
        page.contains("&lt;script&gt;alert(1)"),
        "the name is not shown"
    );
    if let Some(counts) = well_formed(&page) {
        assert_eq!(counts[2], 0);
    }
}
