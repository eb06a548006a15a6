//! The last requests that have changed an item: so that a late repeat of one changes nothing that came after it.

use serde::{Deserialize, Serialize};
use wire::{ClientRequestId, UserId, hash};

use crate::limits::REQUESTS_REMEMBERED;

/// With this ends the id of a request's part that names the admins: no digit of a hash.
const OF_ADMINS: char = '+';

/// One request: the caller's id of it, and what it asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The caller and their id of it, hashed: another caller's may be the same.
    pub id: String,
    /// What it asked, hashed.
    pub what: String,
}

impl Asked {
    /// Of a caller's request. PARTS are all that it asks; with no id of the caller's, the INVOCATION's own is taken: then only what
    /// the network repeats is the same.
    pub fn new(caller: &UserId, id: Option<&ClientRequestId>, invocation: &str, parts: &[impl AsRef<str>]) -> Self {
        let digest = match id {
            Some(id) => hash(&["request", caller.as_str(), id.as_str()]),
            None => hash(&["invocation", caller.as_str(), invocation]),
        };
        Self { id: hex(&digest[..16]), what: hex(&hash(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())[..8]) }
    }

    /// The part of it that names the admins: it is remembered by itself.
    pub fn of_admins(&self) -> Self {
        Self { id: format!("{}{OF_ADMINS}", self.id), ..self.clone() }
    }
}

/// The last [`REQUESTS_REMEMBERED`] of them, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests(Vec<Asked>);

impl Requests {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The request of this id, if it is among them.
    pub fn of(&self, asked: &Asked) -> Option<&Asked> {
        self.0.iter().find(|other| other.id == asked.id)
    }

    /// The newest.
    pub fn last(&self) -> Option<&Asked> {
        self.0.last()
    }

    /// The newest that names the admins.
    pub fn last_of_admins(&self) -> Option<&Asked> {
        self.0.iter().rev().find(|asked| asked.id.ends_with(OF_ADMINS))
    }

    /// With one more; the oldest makes room.
    pub fn with(&self, asked: &Asked) -> Self {
        let mut requests = self.0.clone();
        requests.push(asked.clone());
        let surplus = requests.len().saturating_sub(REQUESTS_REMEMBERED);
        requests.drain(..surplus);
        Self(requests)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(caller: &str, id: &str, what: &str) -> Asked {
        Asked::new(&caller.parse().expect("a user id"), Some(&id.parse().expect("an id")), "invocation", &[what])
    }

    #[test]
    fn the_last_ones_are_remembered_each_callers_own() {
        let mut requests = Requests::default();
        for n in 0..=REQUESTS_REMEMBERED {
            requests = requests.with(&asked("ann", &format!("r{n}"), "this"));
        }
        assert_eq!(requests.of(&asked("ann", "r0", "this")), None, "the oldest has made room");
        let last = asked("ann", "r1", "this");
        assert_eq!(requests.of(&last), Some(&last));
        assert_ne!(requests.of(&asked("ann", "r1", "that")), Some(&asked("ann", "r1", "that")), "it asked for this");
        assert_eq!(requests.of(&asked("bob", "r1", "this")), None, "another's");
    }
}
