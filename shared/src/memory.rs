//! What a process has seen and what never changes: it saves reads and writes. Nothing needs it, and only what a claim drops rests on
//! it. Each process has its own, and it ends with the process.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::{ConversationId, SendId};

use crate::limits::REMEMBERED_MAX;
use crate::store::conversations::Who;

/// What a process remembers.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Sends with a RECEIPT that has a number: put or read by this process.
    ended: HashSet<SendId>,
    /// Who is in a conversation, for good.
    met: HashMap<ConversationId, Who>,
}

impl Memory {
    /// Remembers that a send has a RECEIPT with a number. RECEIPTs stay as they are and are never deleted.
    pub fn ended(&self, send: SendId) {
        let mut seen = self.seen();
        if seen.ended.len() >= REMEMBERED_MAX && !seen.ended.contains(&send) {
            seen.ended.clear();
        }
        seen.ended.insert(send);
    }

    /// Whether a send is known to have a RECEIPT with a number.
    pub fn has_ended(&self, send: &SendId) -> bool {
        self.seen().ended.contains(send)
    }

    /// Forgets sends that nobody asks for any more: they are open no longer.
    pub fn forget(&self, sends: &[SendId]) {
        let mut seen = self.seen();
        for send in sends {
            seen.ended.remove(send);
        }
    }

    /// Remembers who is in a conversation where that never changes.
    pub fn met(&self, conversation: &ConversationId, who: &Who) {
        let mut seen = self.seen();
        if seen.met.contains_key(conversation) {
            return;
        }
        if seen.met.len() >= REMEMBERED_MAX {
            seen.met.clear();
        }
        seen.met.insert(conversation.clone(), who.clone());
    }

    /// Who is in a conversation, if that is known.
    pub fn who(&self, conversation: &ConversationId) -> Option<Who> {
        self.seen().met.get(conversation).cloned()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(n: usize) -> SendId {
        let ann = "ann".parse().expect("a user id");
        SendId::new(&ann, &format!("m{n}").parse().expect("a clientMessageId"))
    }

    #[test]
    fn so_much_is_remembered_and_then_all_is_forgotten() {
        let memory = Memory::default();
        for n in 0..REMEMBERED_MAX {
            memory.ended(send(n));
        }
        memory.ended(send(REMEMBERED_MAX - 1));
        assert!(memory.has_ended(&send(0)) && memory.has_ended(&send(REMEMBERED_MAX - 1)), "nothing new has come");
        memory.ended(send(REMEMBERED_MAX));
        assert!(!memory.has_ended(&send(0)) && memory.has_ended(&send(REMEMBERED_MAX)));
        memory.forget(&[send(REMEMBERED_MAX)]);
        assert!(!memory.has_ended(&send(REMEMBERED_MAX)));
    }
}
