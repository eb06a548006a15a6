//! The bucket and its objects.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;

use crate::data_dir::sync_directory;
use crate::file_error::FileError;

/// The largest object that is taken, in bytes: four times the largest that the functions write.
pub const OBJECT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest key, in bytes: S3's own limit
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
const KEY_BYTES_MAX: usize = 1_024;
/// What a part of a key may have at most, in bytes: it is a file's name.
const KEY_PART_BYTES_MAX: usize = 255;
/// What is being written is here, beside the objects: on the same file system, and never taken for one.
const UNFINISHED: &str = "unfinished";
/// The objects are below this, each where its key says.
pub const OBJECTS: &str = "objects";

/// Objects by their keys.
pub type Objects = BTreeMap<String, Bytes>;

/// The bucket. Clones are the same bucket.
#[derive(Clone, Debug)]
pub struct Bucket(Arc<Kept>);

#[derive(Debug)]
enum Kept {
    Memory(Arc<Mutex<Objects>>),
    Files { root: PathBuf, written: AtomicU64 },
}

impl Bucket {
    /// One that ends with the process. Its objects are these, and whoever has them sees what becomes of them.
    #[must_use]
    pub fn in_memory(objects: Arc<Mutex<Objects>>) -> Self {
        Self(Arc::new(Kept::Memory(objects)))
    }

    /// The one in this directory, made if it is missing. What a crash has left half written is removed.
    ///
    /// # Errors
    /// The directory can't be used.
    pub fn in_directory(root: &Path) -> Result<Self, FileError> {
        let unfinished = root.join(UNFINISHED);
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(FileError::new(&unfinished, error)),
            _ => {}
        }
        for directory in [unfinished, root.join(OBJECTS)] {
            fs::create_dir_all(&directory).map_err(|error| FileError::new(&directory, error))?;
        }
        Ok(Self(Arc::new(Kept::Files { root: root.to_owned(), written: AtomicU64::new(0) })))
    }

    /// Keeps an object under this key, instead of the one that has it. It is there as a whole or not at all, and when this
    /// returns it outlives a kill and a power cut.
    ///
    /// # Errors
    /// Those of the file system; [`io::ErrorKind::InvalidInput`] for what is no key here.
    pub fn put(&self, key: &str, object: Bytes) -> io::Result<()> {
        let place = place(key)?;
        match self.0.as_ref() {
            Kept::Memory(objects) => {
                objects.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), object);
                Ok(())
            }
            Kept::Files { root, written } => {
                let unfinished = root.join(UNFINISHED).join(written.fetch_add(1, Ordering::Relaxed).to_string());
                let mut file = File::create(&unfinished)?;
                file.write_all(&object)?;
                file.sync_all()?;
                let place = root.join(OBJECTS).join(place);
                let directory = place.parent().unwrap_or(root);
                make_lasting(directory)?;
                fs::rename(&unfinished, &place)?;
                sync_directory(directory)
            }
        }
    }

    /// The object with this key, if there is one.
    ///
    /// # Errors
    /// Those of the file system; [`io::ErrorKind::InvalidInput`] for what is no key here.
    pub fn get(&self, key: &str) -> io::Result<Option<Bytes>> {
        let place = place(key)?;
        match self.0.as_ref() {
            Kept::Memory(objects) => Ok(objects.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()),
            Kept::Files { root, .. } => match fs::read(root.join(OBJECTS).join(place)) {
                Ok(object) => Ok(Some(object.into())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
        }
    }
}

/// Where an object is kept: its key, as a path. S3 takes more keys than these; what could lead out of the directory, or is no
/// file's name somewhere, is refused.
fn place(key: &str) -> io::Result<&Path> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.=".contains(character);
    let is_part = |part: &str| {
        (1..=KEY_PART_BYTES_MAX).contains(&part.len()) && part.chars().all(plain) && !part.starts_with('.')
    };
    if key.len() <= KEY_BYTES_MAX && key.split('/').all(is_part) {
        return Ok(Path::new(key));
    }
    let problem = "a key here has parts of letters, digits, `-`, `_`, `.` and `=`, with `/` between them";
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

/// Makes a directory, and the ones above it, so that they outlive a power cut.
fn make_lasting(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(above) = directory.parent() {
        make_lasting(above)?;
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_directory(above)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_it_was_written_last() {
        let directory = tempfile::tempdir().expect("a directory");
        for bucket in [Bucket::in_memory(Arc::default()), Bucket::in_directory(directory.path()).expect("opens")] {
            assert_eq!(bucket.get("segments/a/1").expect("is read"), None);
            for object in ["first", "second"] {
                bucket.put("segments/a/1", object.into()).expect("is written");
                assert_eq!(bucket.get("segments/a/1").expect("is read").as_deref(), Some(object.as_bytes()));
            }
        }
        let again = Bucket::in_directory(directory.path()).expect("opens");
        assert!(again.get("segments/a/1").expect("is read").is_some());
    }

    #[test]
    fn what_a_crash_has_left_half_written_is_no_object() {
        let directory = tempfile::tempdir().expect("a directory");
        Bucket::in_directory(directory.path()).expect("opens");
        let left = directory.path().join(UNFINISHED).join("0");
        fs::write(&left, "half").expect("is written");
        let bucket = Bucket::in_directory(directory.path()).expect("opens");
        assert!(!left.exists());
        bucket.put("a", "whole".into()).expect("is written");
        assert_eq!(fs::read_dir(directory.path().join(UNFINISHED)).expect("is there").count(), 0);
    }

    #[test]
    fn no_key_leads_out_of_the_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let bucket = Bucket::in_directory(directory.path()).expect("opens");
        let long = "a".repeat(KEY_PART_BYTES_MAX + 1);
        for key in ["", "/", "../a", "a/../b", "a//b", ".a", "a/", "/etc/a", "a\\b", "a b", "\u{e9}", &long] {
            let refused = bucket.put(key, "x".into()).expect_err(key);
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{key}");
            assert!(bucket.get(key).is_err(), "{key}");
        }
    }
}
