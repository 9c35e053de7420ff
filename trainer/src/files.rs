//! Files that are either whole or not there.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes `bytes` to `path` by way of a temporary file beside it, so that a reader sees the old
/// content or the new, never a part.
///
/// # Errors
/// [`Error::Failed`] with the path where the folder is missing or not writable, or the disk full;
/// what `path` held before is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary_beside(path)?;
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        // The first error is the one to report; a file that cannot be removed either changes nothing.
        let _ = fs::remove_file(&temporary);
        let way = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                "; free some space and run the command again (`bitspike train` with --resume)"
            }
            _ => "",
        };
        Error::failed(format!("cannot write {}: {error}{way}", path.display()))
    })
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
