//! The files of a data set's folder, as they are or inside an archive.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::idx::is_gzip;
use crate::{Error, Result};

/// No file is read beyond this, decompressed; that of the Spiking Speech Commands has 1.1 GB.
const MAX_FILE_BYTES: u64 = 1 << 31;
/// Nor is more than this kept of an archive.
const MAX_ARCHIVE_BYTES: u64 = 1 << 31;

/// The files below a folder by their names relative to it, with `/` between the parts; those of a
/// `.tar`, `.tar.gz` or `.tgz` beside them count as unpacked there.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    entries: BTreeMap<String, Place>,
}

/// Where a file is.
#[derive(Debug)]
enum Place {
    Disk(PathBuf),
    Archive(Vec<u8>),
}

impl Files {
    /// Lists a folder and reads its archives.
    ///
    /// # Errors
    /// [`Error::Usage`] where the folder is not there, an archive is damaged, or it unpacks to more
    /// than 2 GiB.
    pub fn open(root: &Path) -> Result<Self> {
        let shown = root.display();
        if !root.exists() {
            return Err(Error::usage(format!("there is no folder {shown}")));
        }
        if !root.is_dir() {
            return Err(Error::usage(format!("{shown} is not a folder")));
        }
        let mut files = Self {
            root: root.to_owned(),
            entries: BTreeMap::new(),
        };
        files.list(root, "")?;
        let archives: Vec<PathBuf> = files
            .entries
            .iter()
            .filter(|(name, _)| {
                let ends = |ending| name.ends_with(ending);
                !name.contains('/') && (ends(".tar") || ends(".tar.gz") || ends(".tgz"))
            })
            .map(|(name, _)| root.join(name))
            .collect();
        for archive in archives {
            files
                .unpack(&archive)
                .map_err(|error| Error::usage(format!("{}: {error}", archive.display())))?;
        }
        Ok(files)
    }

    fn list(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let cannot = |error| {
            Error::usage(format!(
                "cannot read the folder {}: {error}",
                folder.display()
            ))
        };
        for entry in fs::read_dir(folder).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let (path, name) = (entry.path(), format!("{prefix}{name}"));
            // A link to a folder is not followed: it could lead back here.
            if entry.file_type().map_err(cannot)?.is_dir() {
                self.list(&path, &format!("{name}/"))?;
            } else if path.is_file() {
                self.entries.insert(name, Place::Disk(path));
            }
        }
        Ok(())
    }

    fn unpack(&mut self, path: &Path) -> io::Result<()> {
        let content = decompressed(File::open(path)?)?;
        let mut archive = tar::Archive::new(content);
        let mut left = MAX_ARCHIVE_BYTES;
        for entry in archive.entries()? {
            let entry = entry?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = entry.path()?.to_string_lossy().replace('\\', "/");
            let length = entry.size();
            let mut bytes = Vec::new();
            entry.take(left + 1).read_to_end(&mut bytes)?;
            left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
                io::Error::other("the archive unpacks to more than the 2 GiB that are read")
            })?;
            if (bytes.len() as u64) < length {
                return Err(io::Error::other(format!("{name} in it is cut short")));
            }
            let name = name.trim_start_matches("./").to_owned();
            self.entries.entry(name).or_insert(Place::Archive(bytes));
        }
        Ok(())
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Names of all files, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Names of the files below a folder of that name, in order; all of them for an empty name.
    pub fn below<'s>(&'s self, folder: &'s str) -> impl Iterator<Item = &'s str> {
        let folder = folder.trim_end_matches('/');
        self.names().filter(move |name| {
            folder.is_empty()
                || name
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// The name under which a file is there: as given, or with `.gz` behind it.
    pub fn find(&self, name: &str) -> Option<&str> {
        let compressed = format!("{name}.gz");
        [name, &compressed]
            .into_iter()
            .find_map(|name| self.entries.get_key_value(name))
            .map(|(name, _)| name.as_str())
    }

    /// The path of a file, for messages.
    pub fn path(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }

    /// The content of a file, found as by [`Files::find`], decompressed where it starts as gzip does.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the file where it is not there, cannot be read, is damaged, or has
    /// more than 2 GiB.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let Some(found) = self.find(name) else {
            return Err(Error::usage(format!("{} is not there", self.path(name))));
        };
        let read = || match &self.entries[found] {
            Place::Disk(path) => all_of(decompressed(File::open(path)?)?),
            Place::Archive(bytes) => all_of(decompressed(bytes.as_slice())?),
        };
        read()
            .map_err(|error| Error::usage(format!("{}: cannot be read: {error}", self.path(found))))
    }
}

/// A reader of the content, whether it is compressed or not.
fn decompressed<'r>(mut stored: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut start = Vec::new();
    stored.by_ref().take(2).read_to_end(&mut start)?;
    let compressed = is_gzip(&start);
    let whole = io::Cursor::new(start).chain(stored);
    Ok(if compressed {
        Box::new(MultiGzDecoder::new(io::BufReader::new(whole)))
    } else {
        Box::new(whole)
    })
}

fn all_of(content: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("it has more than the 2 GiB that are read"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in [("in/a.bin", b"first".as_slice()), ("./in/b.bin", b"second")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append_data(&mut header, name, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn files_are_found_in_folders_archives_and_compressed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        fs::write(dir.path().join("out/c.bin.gz"), gzip(b"third")).unwrap();
        fs::write(dir.path().join("set.tar.gz"), gzip(&archive())).unwrap();
        let files = Files::open(dir.path()).unwrap();
        assert_eq!(
            files.names().collect::<Vec<_>>(),
            ["in/a.bin", "in/b.bin", "out/c.bin.gz", "set.tar.gz"]
        );
        assert_eq!(files.below("in").count(), 2);
        assert_eq!(files.below("i").count(), 0);
        assert_eq!(files.read("in/b.bin").unwrap(), b"second");
        assert_eq!(files.read("out/c.bin").unwrap(), b"third");
        let error = files.read("out/d.bin").unwrap_err().to_string();
        assert!(error.contains("d.bin is not there"), "{error}");
    }

    #[test]
    fn damaged_archives_and_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Files::open(&dir.path().join("no")).unwrap_err().to_string();
        assert!(missing.contains("there is no folder"), "{missing}");
        let (whole, compressed) = (archive(), gzip(&archive()));
        let path = dir.path().join("set.tar.gz");
        for cut in [
            &whole[..514],
            &compressed[..compressed.len() / 2],
            b"no archive",
        ] {
            fs::write(&path, cut).unwrap();
            let error = Files::open(dir.path()).unwrap_err().to_string();
            assert!(error.contains("set.tar.gz"), "{error}");
        }
        fs::remove_file(&path).unwrap();
        let half = gzip(&[7; 5000]);
        fs::write(dir.path().join("x.gz"), &half[..half.len() / 2]).unwrap();
        let files = Files::open(dir.path()).unwrap();
        let error = files.read("x.gz").unwrap_err().to_string();
        assert!(error.contains("x.gz: cannot be read"), "{error}");
    }
}
