//! The engine's database: one file, opened, or why it can't be.

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use dynoxide::Database;
use dynoxide::actions::scan::ScanRequest;
use rusqlite::{Connection, OpenFlags};
use tracing::Level;

use crate::data_dir::{ARCHIVE_DIRECTORY, DATABASE_FILE, DataLock};
use crate::logs;
use crate::template::{TABLE_NAME, Table};

/// What the engine says of a file that its later versions have written.
const NEWER: &str = "written by a newer version";
/// What it says of one that is no database. It goes on with advice for who has built it otherwise.
const NO_DATABASE: &str = "not a valid SQLite database";

/// What `SQLite` says (<https://www.sqlite.org/rescode.html>) when it isn't the file itself that is wrong, and what to do.
const WAYS_OUT: [(&str, &str); 7] = [
    (
        "unable to open database file",
        "it must be a file that this user may read and write; or choose another --data-dir",
    ),
    ("attempt to write a readonly database", "let this user write it, or choose another --data-dir"),
    ("access permission denied", "let this user read and write it, or choose another --data-dir"),
    ("database is locked", "another program has it open: close that, or choose another --data-dir"),
    ("out of memory", "leave it more memory"),
    ("disk I/O error", "its disk is full, or broken: make room on it, or choose another --data-dir"),
    (FULL, MAKE_ROOM),
];
/// A database that is larger takes a while to be checked.
const LONG_CHECK_BYTES: u64 = 1_000_000_000;
const FULL: &str = "database or disk is full";
const MAKE_ROOM: &str = "make room on its disk, or choose another --data-dir";

/// Why a database can't be opened.
#[derive(Debug)]
pub enum DatabaseError {
    /// It is damaged, or something else.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A later version has written it.
    Newer(PathBuf),
    /// It may be well: what is around it isn't.
    Closed {
        /// The file.
        path: PathBuf,
        /// What `SQLite` says.
        problem: String,
        /// What to do.
        way_out: &'static str,
    },
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { path, problem } => write!(
                f,
                "{} is damaged ({problem}): restore {} from a copy, all of it, or move it away to begin anew",
                path.display(),
                path.parent().unwrap_or(path).display()
            ),
            Self::Newer(path) => write!(
                f,
                "{} was written by a later version of Parley: use that version, or choose another --data-dir",
                path.display()
            ),
            Self::Closed { path, problem, way_out } => write!(f, "{}: {problem}; {way_out}", path.display()),
        }
    }
}

impl Error for DatabaseError {}

/// Makes the database of a directory that has none, with this table in it. It is there as a whole or not at all: what a crash
/// or a full disk leaves half made has another name.
///
/// # Errors
/// It can't be written; or it is missing where it should be.
pub fn make_database(lock: &DataLock, table: &Table) -> Result<(), DatabaseError> {
    let path = lock.path().join(DATABASE_FILE);
    if path.exists() {
        return Ok(());
    }
    if log_of(&path).metadata().is_ok_and(|log| log.len() > 0) {
        let problem = format!("it is missing, and {DATABASE_FILE}-wal, which is a part of it, is there");
        return Err(DatabaseError::Damaged { path, problem });
    }
    let unfinished = path.with_extension("unfinished");
    remove(&unfinished);
    let made = fill(&unfinished, table).map_err(|error| words(&error)).and_then(|()| {
        // What couldn't be moved from there into the file when it was closed would be lost.
        if log_of(&unfinished).exists() { Err(FULL.to_owned()) } else { Ok(()) }
    });
    let made = made.and_then(|()| fs::rename(&unfinished, &path).map_err(|error| error.to_string()));
    made.map_err(|problem| {
        remove(&unfinished);
        let (problem, way_out) = way_out(&problem).unwrap_or((problem, MAKE_ROOM));
        DatabaseError::Closed { path, problem, way_out }
    })
}

/// What has been written and isn't in the database's file yet. `SQLite` keeps it beside the file while that is open.
fn log_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

/// Removes a database, if there is one.
fn remove(path: &Path) {
    for file in [path.to_owned(), log_of(path), PathBuf::from(format!("{}-shm", path.display()))] {
        // What can't be removed can't be made again either, and then says why.
        let _ = fs::remove_file(file);
    }
}

/// A new database with this table, closed again.
fn fill(path: &Path, table: &Table) -> Result<(), Box<dyn Error>> {
    let database = Database::new(&path.to_string_lossy())?;
    let mut request = serde_json::to_value(table)?;
    request["TableName"] = TABLE_NAME.into();
    request["BillingMode"] = "PAY_PER_REQUEST".into();
    database.create_table(serde_json::from_value(request)?)?;
    Ok(())
}

/// Opens the database in this file, made if missing.
pub(super) fn open(path: &Path) -> Result<Database, DatabaseError> {
    // The archive is made after the table: beside it, an empty file isn't one that a crash has left at the first start.
    let is_empty = path.metadata().is_ok_and(|file| file.len() == 0);
    if is_empty && path.with_file_name(ARCHIVE_DIRECTORY).exists() {
        return Err(DatabaseError::Damaged { path: path.to_owned(), problem: "it is empty".to_owned() });
    }
    let database = Database::new(&path.to_string_lossy()).and_then(|database| {
        // Whether it has what it says is seen before anybody asks for it.
        if database.get_table_metadata(TABLE_NAME)?.is_some() {
            database.scan(ScanRequest {
                table_name: TABLE_NAME.to_owned(),
                limit: Some(1),
                ..ScanRequest::default()
            })?;
        }
        Ok(database)
    });
    let database = database.map_err(|error| why(path, &error))?;
    // A copy that was made file by file while a machine wrote may look well until somebody asks for what is torn.
    if path.metadata().is_ok_and(|file| file.len() > LONG_CHECK_BYTES) {
        logs::line("engine", None, Level::INFO, &format!("checks {}: some 3 s a GB", path.display()));
    }
    let found = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|it| soundness(&it));
    match found {
        Ok(None) => Ok(database),
        Ok(Some(problem)) => Err(DatabaseError::Damaged { path: path.to_owned(), problem }),
        Err(error) => Err(why(path, &error)),
    }
}

/// What is wrong with a database, as `SQLite` finds by reading all of it.
pub(crate) fn soundness(database: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let found: String = database.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((found != "ok").then(|| found.replace('\n', " ")))
}

fn why(path: &Path, error: &impl fmt::Display) -> DatabaseError {
    let (path, problem) = (path.to_owned(), words(error));
    if problem.contains(NEWER) {
        return DatabaseError::Newer(path);
    }
    if problem.contains(NO_DATABASE) {
        return DatabaseError::Damaged { path, problem: "it is no SQLite database".to_owned() };
    }
    match way_out(&problem) {
        Some((problem, way_out)) => DatabaseError::Closed { path, problem, way_out },
        None => DatabaseError::Damaged { path, problem },
    }
}

/// What `SQLite` says of what is around a database, without the file's name, and what to do.
fn way_out(problem: &str) -> Option<(String, &'static str)> {
    let (said, way_out) = WAYS_OUT.iter().find(|(said, _)| problem.contains(said))?;
    Some(((*said).to_owned(), way_out))
}

/// What `SQLite` says, without the engine's own words before it.
fn words(error: &dyn fmt::Display) -> String {
    let said = error.to_string();
    ["Internal error: ", "backend: "].iter().fold(said.as_str(), |said, own| said.trim_start_matches(own)).to_owned()
}
