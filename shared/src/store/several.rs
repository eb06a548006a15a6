//! Reading many items, of which some may be unreadable: one of them stops nothing else.

use super::client::error::StoreError;
use super::client::item::Item;
use super::table::Key;
use crate::telemetry::passed_over;

/// Items of which each stands for itself, as far as they can be read.
#[derive(Debug)]
pub struct Several<T> {
    /// Those that can be.
    pub read: Vec<T>,
    /// Where the others are: they are damaged, or of a kind that a later version writes.
    pub skipped: Vec<Key>,
}

impl<T> Several<T> {
    /// Reads each, with its key. What can't be read is passed over: it is counted, and named in the log.
    pub(in crate::store) fn of(
        items: Vec<Item>,
        read: impl Fn(&Key, Item) -> Result<T, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut several = Self { read: Vec::with_capacity(items.len()), skipped: Vec::new() };
        for item in items {
            let key = Key::of(&item)?;
            match read(&key, item) {
                Ok(it) => several.read.push(it),
                Err(error) => {
                    passed_over(&error.to_string());
                    several.skipped.push(key);
                }
            }
        }
        Ok(several)
    }

    /// All of them, where none can be done without.
    ///
    /// # Errors
    /// One of them can't be read.
    pub fn all(self) -> Result<Vec<T>, StoreError> {
        match self.skipped.first() {
            None => Ok(self.read),
            Some(key) => Err(StoreError::broken(&format!("{key} can't be read"))),
        }
    }
}
