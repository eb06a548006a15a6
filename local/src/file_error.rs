//! Why a file or a directory can't be used, and what to do about it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file or a directory that can't be used as it must be.
#[derive(Debug)]
pub struct FileError {
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    /// What the system says of this path. Where a file is in the place of a directory on the way to it, it is about that.
    #[must_use]
    pub fn new(path: &Path, source: io::Error) -> Self {
        let is_file = |above: &&Path| above.exists() && !above.is_dir();
        let in_the_way = match source.kind() {
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => path.ancestors().find(is_file),
            _ => None,
        };
        Self { path: in_the_way.unwrap_or(path).to_owned(), source }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, source) = (self.path.display(), &self.source);
        match source.kind() {
            ErrorKind::IsADirectory => write!(f, "{path} is a directory, and should be a file: move it away"),
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                write!(f, "{path} is a file, and should be a directory: move it away, or choose another --data-dir")
            }
            ErrorKind::PermissionDenied => {
                write!(f, "{path}: {source}; let this user read and write it, or choose another --data-dir")
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                write!(f, "{path}: {source}; make room on its disk, or choose another --data-dir")
            }
            _ => write!(f, "{path}: {source}; choose another --data-dir"),
        }
    }
}

impl std::error::Error for FileError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_names_the_path_and_a_way_out() {
        for (kind, way) in [
            (ErrorKind::StorageFull, "make room"),
            (ErrorKind::QuotaExceeded, "make room"),
            (ErrorKind::PermissionDenied, "let this user read and write it"),
            (ErrorKind::ReadOnlyFilesystem, "choose another --data-dir"),
            (ErrorKind::IsADirectory, "move it away"),
            (ErrorKind::NotADirectory, "move it away"),
        ] {
            let said = FileError::new(Path::new("data/jwt-secret"), kind.into()).to_string();
            assert!(said.starts_with("data/jwt-secret") && said.contains(way), "{kind:?}: {said}");
        }
    }
}
