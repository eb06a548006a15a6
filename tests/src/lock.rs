//! Locks that a test's panic doesn't spoil for the tests after it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a test has panicked with the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
