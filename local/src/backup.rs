//! A copy of a data directory, made while people chat: a data directory of its own, with everything that was acknowledged before
//! the copy was begun.
//!
//! The order is the point. The database is copied as it is at one moment, by `SQLite`'s own backup
//! (<https://www.sqlite.org/backup.html>), and the archive after it. What the table has moved to the archive by that moment is
//! there already, and what is written there never changes: so the copy lacks nothing. What it has besides is what a crash of the
//! cleanup leaves.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::data_dir::{ARCHIVE_DIRECTORY, DATABASE_FILE, SECRET_FILE, make_private_dir, sync_directory};
use crate::engine::soundness;
use crate::file_error::FileError;
use crate::s3::OBJECTS;

/// How many pages of the database are copied between two looks at whether it is to stop.
const PAGES_A_STEP: i32 = 1_000;
/// How long it is waited for a machine that is just opening or closing the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Why there is no copy. Nothing is left of one that was begun.
#[derive(Debug)]
pub enum BackupError {
    /// There is no database in the data directory.
    Nothing(PathBuf),
    /// Something has the name that the copy was to have, or the one that it has until it is whole.
    There(PathBuf),
    /// A file or a directory can't be read or written.
    File(FileError),
    /// The database can't be copied.
    Database {
        /// Which one.
        path: PathBuf,
        /// What `SQLite` says.
        problem: String,
    },
    /// It was told to stop.
    Stopped,
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(path) => write!(
                f,
                "{} has no {DATABASE_FILE}: give the --data-dir that a machine uses; a table of another engine is backed up there",
                path.display()
            ),
            Self::There(path) => write!(f, "{} is there already: remove it, or give another name", path.display()),
            Self::File(error) => error.fmt(f),
            Self::Database { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Stopped => f.write_str("stopped; nothing is left of the copy"),
        }
    }
}

impl Error for BackupError {}

impl From<FileError> for BackupError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Objects of the archive.
    pub objects: u64,
    /// And their bytes.
    pub object_bytes: u64,
}

/// Copies a data directory to INTO, which must not exist. It is there as a whole or not at all. Tells TELL how far it is, and
/// stops when that says so. A machine may run meanwhile.
///
/// # Errors
/// [`BackupError`].
pub fn backup(data_dir: &Path, into: &Path, mut tell: impl FnMut(&str) -> bool) -> Result<Copied, BackupError> {
    let database = data_dir.join(DATABASE_FILE);
    if !database.is_file() {
        return Err(BackupError::Nothing(data_dir.to_owned()));
    }
    let unfinished = PathBuf::from(format!("{}.unfinished", into.display()));
    if let Some(there) = [into, &unfinished].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(BackupError::There(there.to_owned()));
    }
    make_private_dir(&unfinished)?;
    let copied = fill(data_dir, &unfinished, &mut tell).and_then(|copied| {
        fs::rename(&unfinished, into).map_err(|source| FileError::new(into, source))?;
        // Without this a power cut could still take the name away, not what is in it.
        let above = into.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = sync_directory(above);
        Ok(copied)
    });
    if copied.is_err() {
        // What can't be removed is said by the next one.
        let _ = fs::remove_dir_all(&unfinished);
    }
    copied
}

fn fill(data_dir: &Path, copy: &Path, tell: &mut impl FnMut(&str) -> bool) -> Result<Copied, BackupError> {
    let (from, to) = (data_dir.join(DATABASE_FILE), copy.join(DATABASE_FILE));
    let mut copied = Copied::default();
    copy_database(&from, &to, tell)?;
    let synced = File::open(&to).and_then(|file| file.sync_all().and_then(|()| file.metadata()));
    copied.database_bytes = synced.map_err(|source| FileError::new(&to, source))?.len();
    let secret = data_dir.join(SECRET_FILE);
    match copy_file(&secret, &copy.join(SECRET_FILE)) {
        // None was needed: tokens are checked by published keys.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        done => drop(done.map_err(|source| FileError::new(&secret, source))?),
    }
    let archive = Path::new(ARCHIVE_DIRECTORY).join(OBJECTS);
    copy_objects(&data_dir.join(&archive), &copy.join(&archive), &mut copied, tell)?;
    Ok(copied)
}

/// Copies a database as it is now, and holds that the copy is sound.
fn copy_database(from: &Path, to: &Path, tell: &mut impl FnMut(&str) -> bool) -> Result<(), BackupError> {
    let problem = |problem: String| BackupError::Database { path: from.to_owned(), problem };
    let failed = |error: rusqlite::Error| problem(error.to_string());
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    source.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    // In a transaction that has read something it stays as it is now, for this connection: else each write of others would begin
    // the copy anew.
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    let mut target = Connection::open(to).map_err(failed)?;
    let copying = Backup::new(&source, &mut target).map_err(failed)?;
    loop {
        match copying.step(PAGES_A_STEP).map_err(failed)? {
            StepResult::Done => break,
            StepResult::More => {
                let progress = copying.progress();
                let left = 100 * i64::from(progress.remaining) / i64::from(progress.pagecount.max(1));
                if !tell(&format!("database: {} %", 100 - left)) {
                    return Err(BackupError::Stopped);
                }
            }
            _ => std::thread::sleep(BUSY_PAUSE),
        }
    }
    drop(copying);
    if let Some(found) = soundness(&target).map_err(failed)? {
        return Err(problem(format!("it is damaged: {found}")));
    }
    target.close().map_err(|(_, error)| failed(error))
}

/// Copies what is below a directory, if there is one.
fn copy_objects(
    from: &Path,
    to: &Path,
    copied: &mut Copied,
    tell: &mut impl FnMut(&str) -> bool,
) -> Result<(), BackupError> {
    make_private_dir(to)?;
    let unreadable = |source| FileError::new(from, source);
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(unreadable)?,
    };
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_objects(&path, &copy, copied, tell)?;
            continue;
        }
        copied.object_bytes += copy_file(&path, &copy).map_err(|source| FileError::new(&path, source))?;
        copied.objects += 1;
        if !tell(&format!("archive: {} objects", copied.objects)) {
            return Err(BackupError::Stopped);
        }
    }
    // The names of what is in it.
    sync_directory(to).map_err(|source| FileError::new(to, source).into())
}

/// Copies a file, with who may read it, so that it outlives a power cut; gives its bytes.
fn copy_file(from: &Path, to: &Path) -> io::Result<u64> {
    let bytes = fs::copy(from, to)?;
    File::open(to)?.sync_all()?;
    Ok(bytes)
}
