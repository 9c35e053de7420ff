//! Downloading a published data set: resumed where it was cut, checked by SHA-256, in place only
//! when whole and right.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use ureq::http::StatusCode;
use ureq::{Agent, Body, http::Response};

use super::{Dataset, PublishedFile, hexadecimal, idx};
use crate::{Error, Result};

/// How often a mirror is asked to go on after the connection was cut.
const RESUMPTIONS: usize = 3;

/// How a file came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It was there before, with the right content.
    Present,
    /// It was downloaded; so many bytes of it by an earlier command.
    Downloaded {
        /// Its length.
        bytes: u64,
        /// How much of it an earlier command had left.
        resumed_from: u64,
    },
}

/// Downloads the files of `dataset` that `dir` lacks, from `mirrors` in that order (each the address
/// that the file names are appended to), and calls `done` after each.
///
/// # Errors
/// [`Error::Usage`] where a mirror is no HTTP address. [`Error::Failed`] where no mirror gives the
/// right content, `dir` cannot be written, another process is downloading the same file, or a file
/// of that name but with other content is there.
pub fn fetch(
    dataset: &Dataset,
    dir: &Path,
    mirrors: &[&str],
    done: impl FnMut(&PublishedFile, Fetched),
) -> Result<()> {
    fetch_by(&agent(), dataset, dir, mirrors, done)
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(Duration::from_secs(30)))
        .build()
        .new_agent()
}

fn fetch_by(
    agent: &Agent,
    dataset: &Dataset,
    dir: &Path,
    mirrors: &[&str],
    mut done: impl FnMut(&PublishedFile, Fetched),
) -> Result<()> {
    if let Some(mirror) = mirrors.iter().find(|mirror| !is_http(mirror)) {
        return Err(Error::usage(format!(
            "{mirror} is not an address: it must start with https:// or http://"
        )));
    }
    fs::create_dir_all(dir).map_err(|error| cannot_write(dir, &error))?;
    for file in dataset.files() {
        done(file, fetch_file(agent, file, dir, mirrors)?);
    }
    Ok(())
}

fn is_http(address: &str) -> bool {
    ["https://", "http://"]
        .iter()
        .any(|scheme| address.starts_with(scheme))
}

fn fetch_file(
    agent: &Agent,
    file: &PublishedFile,
    dir: &Path,
    mirrors: &[&str],
) -> Result<Fetched> {
    let there = file
        .spellings()
        .map(|name| dir.join(name))
        .into_iter()
        .find(|path| path.exists());
    if let Some(path) = there {
        return match check_content(&path, file) {
            Ok(()) => Ok(Fetched::Present),
            Err(cause) => Err(Error::failed(format!(
                "{}: {cause}; it is left alone: move it away or name another folder by --dir",
                path.display()
            ))),
        };
    }

    let mut part = PartFile::open(dir, file)?;
    let resumed_from = part.length;
    let mut refusals = Vec::new();
    for mirror in mirrors {
        let slash = if mirror.ends_with('/') { "" } else { "/" };
        let url = format!("{mirror}{slash}{}.gz", file.name);
        match download(agent, &url, &mut part, file) {
            Ok(()) => {
                let bytes = part.length;
                part.put_in_place(&dir.join(format!("{}.gz", file.name)))?;
                return Ok(Fetched::Downloaded {
                    bytes,
                    resumed_from: resumed_from.min(bytes),
                });
            }
            Err(Trouble::Here(error)) => return Err(error),
            Err(Trouble::There(cause) | Trouble::Cut(cause)) => {
                refusals.push(format!("\n  {url}: {cause}"));
            }
        }
    }
    let go_on = match part.length {
        0 => {
            part.remove();
            "type the same command again to try once more".to_owned()
        }
        kept => format!(
            "{kept} bytes are kept in {}: type the same command again to go on from there",
            part.path.display()
        ),
    };
    Err(Error::failed(format!(
        "cannot fetch {}.gz:{}\n{go_on}, or name another server by --url BASE",
        file.name,
        refusals.concat()
    )))
}

/// Why an attempt ended.
enum Trouble {
    /// On this machine: no other mirror helps.
    Here(Error),
    /// The mirror refused or sent something wrong.
    There(String),
    /// The connection ended early; what came is kept.
    Cut(String),
}

/// Downloads what `part` lacks, as often as the connection is cut and something came, and checks the
/// content.
fn download(
    agent: &Agent,
    url: &str,
    part: &mut PartFile,
    file: &PublishedFile,
) -> Result<(), Trouble> {
    let bar = progress_bar(file.name);
    let mut resumptions = 0;
    loop {
        let before = part.length;
        match attempt(agent, url, part, file, &bar) {
            Ok(()) => break,
            Err(Trouble::Cut(_)) if part.length > before && resumptions < RESUMPTIONS => {
                resumptions += 1;
            }
            Err(trouble) => return Err(trouble),
        }
    }
    bar.finish_and_clear();
    check_content(&part.path, file).map_err(|cause| match part.restart() {
        Ok(()) => Trouble::There(format!("{cause}; removed")),
        Err(error) => Trouble::Here(error),
    })
}

fn attempt(
    agent: &Agent,
    url: &str,
    part: &mut PartFile,
    file: &PublishedFile,
    bar: &ProgressBar,
) -> Result<(), Trouble> {
    let mut response = ask(agent, url, part.length)?;
    if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && part.length > 0 {
        // What an earlier command left is longer than the file here: it is of no use.
        part.restart().map_err(Trouble::Here)?;
        response = ask(agent, url, 0)?;
    }
    match response.status() {
        // Also the answer of a server that does not know `Range`: it starts again.
        StatusCode::OK => part.restart().map_err(Trouble::Here)?,
        StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(part.length) => {}
        StatusCode::PARTIAL_CONTENT => {
            return Err(Trouble::There(
                "sends another range than was asked for".to_owned(),
            ));
        }
        status => return Err(Trouble::There(format!("HTTP status {status}"))),
    }

    let most = most_bytes(file);
    let too_long = |length: u64| {
        Trouble::There(format!(
            "sends {length} bytes or more where the file has {most} at most"
        ))
    };
    if let Some(rest) = response.body().content_length() {
        let announced = part.length.saturating_add(rest);
        if announced > most {
            return Err(too_long(announced));
        }
        bar.set_length(announced);
    }
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let cause = format!("the connection ended after {} bytes: {error}", part.length);
                return Err(Trouble::Cut(cause));
            }
        };
        let length = part.length + read as u64;
        if length > most {
            part.restart().map_err(Trouble::Here)?;
            return Err(too_long(length));
        }
        part.append(&buffer[..read]).map_err(Trouble::Here)?;
        bar.set_position(part.length);
    }
}

fn ask(agent: &Agent, url: &str, from: u64) -> Result<Response<Body>, Trouble> {
    let mut request = agent.get(url);
    if from > 0 {
        request = request.header("Range", format!("bytes={from}-"));
    }
    request
        .call()
        .map_err(|error| Trouble::There(error.to_string()))
}

/// The first byte of `Content-Range: bytes FIRST-LAST/LENGTH`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get("Content-Range")?.to_str().ok()?;
    range
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .trim()
        .parse()
        .ok()
}

/// No honest `.gz` is longer than this: gzip adds 5 bytes for each stored block, and a header.
fn most_bytes(file: &PublishedFile) -> u64 {
    file.bytes + file.bytes / 1000 + 1024
}

fn progress_bar(name: &'static str) -> ProgressBar {
    // Shown only where stderr is a terminal.
    let bar = ProgressBar::new(0).with_message(name);
    match ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Compares the content, decompressed where it is compressed, with what was published.
///
/// # Errors
/// What differs, in words that follow a path.
pub(crate) fn check_content(path: &Path, file: &PublishedFile) -> Result<(), String> {
    match content_sha256(path, file.bytes) {
        Ok(got) if got == file.sha256 => Ok(()),
        Ok(got) => Err(format!(
            "wrong content: SHA-256 (decompressed) is {got}, not {}",
            file.sha256
        )),
        Err(error) => Err(format!("damaged: {error}")),
    }
}

/// Checksum of the content; of one byte more than `bytes` at most, which is enough to differ.
fn content_sha256(path: &Path, bytes: u64) -> io::Result<String> {
    let mut stored = BufReader::new(File::open(path)?);
    if idx::is_gzip(stored.fill_buf()?) {
        hash(MultiGzDecoder::new(stored).take(bytes + 1))
    } else {
        hash(stored.take(bytes + 1))
    }
}

fn hash(mut content: impl Read) -> io::Result<String> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&sha256.finalize())),
            read => sha256.update(&buffer[..read]),
        }
    }
}

/// The beginning of a file that is not whole yet: `NAME.gz.part`, locked against a second download.
struct PartFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl PartFile {
    fn open(dir: &Path, file: &PublishedFile) -> Result<Self> {
        let path = dir.join(format!("{}.gz.part", file.name));
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let file = opened.map_err(|error| cannot_write(&path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::failed(format!(
                    "{} is being downloaded by another process",
                    path.display()
                )));
            }
            // A file system without locks: two downloads at once then end in a wrong checksum.
            Err(TryLockError::Error(error)) => tracing::debug!("{}: {error}", path.display()),
        }
        let length = file
            .metadata()
            .map_err(|error| cannot_write(&path, &error))?
            .len();
        Ok(Self { path, file, length })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|error| cannot_write(&self.path, &error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        if self.length > 0 {
            self.file
                .set_len(0)
                .and_then(|()| self.file.rewind())
                .map_err(|error| cannot_write(&self.path, &error))?;
            self.length = 0;
        }
        Ok(())
    }

    fn remove(self) {
        // An empty file that stays is in nobody's way.
        let _ = fs::remove_file(&self.path);
    }

    fn put_in_place(self, path: &Path) -> Result<()> {
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, path))
            .map_err(|error| cannot_write(path, &error))
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::failed(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
