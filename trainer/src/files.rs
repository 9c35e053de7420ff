//! Files that are either whole or not there.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A file that is being written beside the place it is for, and put there when it is whole.
///
/// Where the place is a device or a pipe (`/dev/stdout`), it is written to as it is; where it is a
/// symbolic link, what it points to is replaced. A file that is dropped before
/// [`finish`](Self::finish) leaves nothing behind.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    /// Where it lies until it is whole, and what it then replaces.
    beside: Option<[PathBuf; 2]>,
    file: File,
}

impl WholeFile {
    /// Starts the file for `path`.
    ///
    /// # Errors
    /// [`Error::Usage`] where `path` names no file, [`Error::Failed`] where the folder is missing
    /// or not writable.
    pub fn create(path: &Path) -> Result<Self> {
        let special = fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir());
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let temporary = temporary_beside(&place)?;
        let (beside, file) = if special {
            (None, File::options().write(true).open(path))
        } else {
            let file = File::create(&temporary);
            (Some([temporary, place]), file)
        };
        Ok(Self {
            file: file.map_err(|error| cannot_write(path, &error))?,
            path: path.to_owned(),
            beside,
        })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Error::Failed`] where the disk is full or the place cannot be written; what it held
    /// before is then untouched.
    pub fn finish(mut self) -> Result<()> {
        let placed = match &self.beside {
            None => self.file.flush(),
            Some([temporary, place]) => self
                .file
                .sync_all()
                .and_then(|()| fs::rename(temporary, place)),
        };
        placed.map_err(|error| cannot_write(&self.path, &error))?;
        self.beside = None;
        Ok(())
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let Some([temporary, _]) = &self.beside {
            // The first error is the one to report; a file that stays changes nothing.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Writes `bytes` to `path` as a [`WholeFile`], so that a reader sees the old content or the new,
/// never a part.
///
/// # Errors
/// [`Error::Failed`] with the path where the folder is missing or not writable, or the disk full;
/// what `path` held before is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(bytes)
        .map_err(|error| cannot_write(path, &error))?;
    file.finish()
}

/// The error of a file that cannot be written, with what to do where the disk is full.
pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Error {
    let way = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "; free some space and run the command again (`bitspike train` with --resume)"
        }
        _ => "",
    };
    Error::failed(format!("cannot write {}: {error}{way}", path.display()))
}

/// Takes hold of a run directory: the file `lock` in it, which the system unlocks when this process
/// ends, however it ends.
///
/// # Errors
/// [`Error::Usage`] where another process holds it, [`Error::Failed`] where it cannot be written.
pub fn lock_folder(path: &Path) -> Result<File> {
    let shown = path.display();
    let cannot = |error| Error::failed(format!("cannot write the run directory {shown}: {error}"));
    let lock = File::create(path.join("lock")).map_err(cannot)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Error::usage(format!(
            "another process is training in {shown}; wait for it, or give another folder by --out"
        )),
        TryLockError::Error(error) => cannot(error),
    })?;
    Ok(lock)
}

fn temporary_beside(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(Error::usage(format!(
            "{} does not name a file",
            path.display()
        )));
    };
    // The process id keeps two processes that write the same path apart.
    let mut temporary = name.to_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_whole_content_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.txt");
        write_atomically(&path, b"a longer first content").unwrap();
        write_atomically(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.txt");
        write_atomically(&path, b"before").unwrap();
        let mut file = WholeFile::create(&path).unwrap();
        file.write_all(b"a part").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_link_keeps_pointing_and_a_device_stays_a_device() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("out.txt"), dir.path().join("link"));
        write_atomically(&path, b"before").unwrap();
        std::os::unix::fs::symlink("out.txt", &link).unwrap();
        write_atomically(&link, b"after").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"after");

        let device = dir.path().join("full");
        std::os::unix::fs::symlink("/dev/full", &device).unwrap();
        let error = write_atomically(&device, b"x").unwrap_err().to_string();
        assert!(error.contains("free some space"), "{error}");
        assert!(!fs::metadata("/dev/full").unwrap().is_file());
    }

    #[test]
    fn a_missing_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing").join("out.txt");
        let error = write_atomically(&path, b"x").unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(
            error.to_string().contains(&*path.to_string_lossy()),
            "{error}"
        );
    }
}
