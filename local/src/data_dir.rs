//! The data directory: who has it, and the files in it that are the machine's own.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::file_error::FileError;
use crate::ids;

/// The database in a data directory.
pub const DATABASE_FILE: &str = "parley.db";
/// The archive's objects are below this.
pub const ARCHIVE_DIRECTORY: &str = "archive";
/// Who finds the directory locked learns from this file where the machine takes `Invoke`. It holds nothing, or isn't there, while
/// a machine starts, and when none runs.
const LAMBDA_ENDPOINT_FILE: &str = "lambda-endpoint";
const LOCK_FILE: &str = "parley.lock";
/// The secret that this machine's tokens are signed with.
pub const SECRET_FILE: &str = "jwt-secret";
/// The shortest secret that HS256 should have (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Where everything is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataDir {
    /// A directory, made if missing.
    Path(PathBuf),
    /// Nowhere: it ends with the process.
    Memory,
}

impl From<&str> for DataDir {
    fn from(text: &str) -> Self {
        if text == ":memory:" { Self::Memory } else { Self::Path(text.into()) }
    }
}

impl fmt::Display for DataDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Memory => f.write_str(":memory:"),
        }
    }
}

/// Why a data directory can't be used.
#[derive(Debug)]
pub enum DirectoryError {
    /// It, or something in it, isn't what it must be.
    File(FileError),
    /// Another process has it.
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other process's id, where it could be read.
        process: Option<u32>,
    },
    /// The file of the machine's secret holds none.
    Secret(PathBuf),
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Locked { path, process } => {
                let process = process.as_ref().map_or(String::new(), |id| format!(" (process {id})"));
                let path = path.display();
                write!(f, "{path} is in use by another parley{process}: stop it, or choose another --data-dir")
            }
            Self::Secret(path) => write!(
                f,
                "{} is damaged (it must be text of at least {SECRET_BYTES_MIN} bytes): restore it from a copy, or remove it \
                 to get another one, with which tokens given so far are no longer accepted",
                path.display()
            ),
        }
    }
}

impl std::error::Error for DirectoryError {}

impl From<FileError> for DirectoryError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// A data directory that no other process uses. The lock goes with the value, or with the process; and with the value goes what
/// says where the machine takes `Invoke`.
#[derive(Debug)]
pub struct DataLock {
    path: PathBuf,
    _file: File,
}

impl Drop for DataLock {
    fn drop(&mut self) {
        // While the lock is held still: the next machine's word is never taken away. What can't be removed names an id that no
        // machine has any more.
        let _ = fs::remove_file(self.path.join(LAMBDA_ENDPOINT_FILE));
    }
}

impl DataLock {
    /// Makes the directory if it is missing, readable for its owner only, and locks it.
    ///
    /// # Errors
    /// The directory can't be made or written to, or another process has it.
    pub fn take(path: &Path) -> Result<Self, DirectoryError> {
        make_private_dir(path)?;
        let lock = path.join(LOCK_FILE);
        let unusable = |source| FileError::new(&lock, source);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&lock).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(unusable(source).into()),
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                // Without its id it is locked all the same.
                let _ = file.read_to_string(&mut process);
                return Err(DirectoryError::Locked { path: path.to_owned(), process: process.trim().parse().ok() });
            }
        }
        // The id only helps whoever finds the directory locked.
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        written.map_err(unusable)?;
        let lock = Self { path: path.to_owned(), _file: file };
        forget_endpoint(path)?;
        Ok(lock)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a directory, and those above it that are missing, for its owner only.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), FileError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| FileError::new(path, source))
}

/// Waits until the disk has a directory's entries. Only Unix has a call for it.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// The secret in this directory, made at the first start, readable for its owner only.
///
/// # Errors
/// The file can't be read or written, or holds no secret. It is never replaced: with another secret, tokens that were given
/// would not be accepted any more.
pub fn kept_secret(directory: &Path) -> Result<String, DirectoryError> {
    let path = directory.join(SECRET_FILE);
    match fs::read_to_string(&path) {
        Ok(secret) if secret.len() >= SECRET_BYTES_MIN => return Ok(secret),
        Ok(_) => return Err(DirectoryError::Secret(path)),
        Err(error) if error.kind() == ErrorKind::InvalidData => return Err(DirectoryError::Secret(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(FileError::new(&path, error).into()),
    }
    let secret = ids::secret();
    write_private(&path, &secret).map_err(|error| FileError::new(&path, error))?;
    Ok(secret)
}

/// Writes a file for its owner only. It is there as a whole or not at all: what a crash leaves half written has another name.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    // What can't be removed can't be made again either, and then says why.
    let _ = fs::remove_file(&unfinished);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// Where a machine takes `Invoke`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvokeEndpoint {
    /// As the AWS SDKs take it.
    pub url: String,
    /// An id that only this machine has. It answers with it: another may listen there once it has ended.
    pub machine: String,
}

/// Leaves word in this directory where the machine takes `Invoke`.
///
/// # Errors
/// The file can't be written.
pub fn leave_endpoint(directory: &Path, endpoint: &InvokeEndpoint) -> Result<(), FileError> {
    let path = directory.join(LAMBDA_ENDPOINT_FILE);
    let text = format!("{} {}", endpoint.url, endpoint.machine);
    fs::write(&path, text).map_err(|source| FileError::new(&path, source))
}

/// Where the machine that has this directory takes `Invoke`, if it has left word.
#[must_use]
pub fn find_endpoint(directory: &Path) -> Option<InvokeEndpoint> {
    let text = fs::read_to_string(directory.join(LAMBDA_ENDPOINT_FILE)).ok()?;
    let (url, machine) = text.split_once(' ')?;
    Some(InvokeEndpoint { url: url.to_owned(), machine: machine.to_owned() })
}

/// Empties what a machine has left that was killed.
fn forget_endpoint(directory: &Path) -> Result<(), FileError> {
    let path = directory.join(LAMBDA_ENDPOINT_FILE);
    match OpenOptions::new().write(true).truncate(true).open(&path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(FileError::new(&path, source)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_process() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = DataLock::take(dir.path()).expect("is free");
        let error = DataLock::take(dir.path()).expect_err("is taken").to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.contains("--data-dir"), "{error}");
        drop(first);
        DataLock::take(dir.path()).expect("is free again");
    }

    #[test]
    fn where_a_machine_takes_invoke_is_known_for_as_long_as_it_has_the_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let endpoint = InvokeEndpoint { url: "http://127.0.0.1:1".to_owned(), machine: "one".to_owned() };
        let lock = DataLock::take(dir.path()).expect("is free");
        assert_eq!(find_endpoint(dir.path()), None);
        leave_endpoint(dir.path(), &endpoint).expect("is written");
        DataLock::take(dir.path()).expect_err("is taken");
        assert_eq!(find_endpoint(dir.path()), Some(endpoint.clone()));
        drop(lock);
        assert_eq!(find_endpoint(dir.path()), None);
        // One that was killed.
        leave_endpoint(dir.path(), &endpoint).expect("is written");
        let _lock = DataLock::take(dir.path()).expect("is free");
        assert_eq!(find_endpoint(dir.path()), None, "it isn't this one's");
    }

    #[test]
    fn the_secret_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().expect("a directory");
        // A crash at the first start may have left this.
        fs::write(dir.path().join("jwt-secret.unfinished"), "half of it").expect("is written");
        let secret = kept_secret(dir.path()).expect("is made");
        assert_eq!(kept_secret(dir.path()).expect("is kept"), secret);
        assert_eq!(fs::read_dir(dir.path()).expect("is there").count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(dir.path().join(SECRET_FILE)).expect("is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
