//! What a process has seen and what never changes: it saves reads and writes. Nothing needs it, and only what a claim drops rests on
//! it. Also how much each user has asked lately. Each process has its own, and it ends with the process.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wire::{ConversationId, SendId, Time, UserId};

use crate::limits::{CLOCKS_DIFFER_MAX, REMEMBERED_MAX, REQUESTS_AT_ONCE, REQUESTS_PER_SECOND};
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
    /// By when each user's requests so far would have come one by one, at the rate that may go on.
    asked: HashMap<UserId, Time>,
}

/// The time from one request to the next, at the rate that may go on.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(1_000 / REQUESTS_PER_SECOND as u64);

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

    /// A user asks something that is no send: counts it, or says how long they must wait, and doesn't count it.
    pub fn asks(&self, user: &UserId, now: Time) -> Option<Duration> {
        let mut seen = self.seen();
        let at_once = BETWEEN_REQUESTS * REQUESTS_AT_ONCE;
        // What no right clock could have set says nothing: the clock was set back.
        let is_right = |until: &Time| *until <= now.after(at_once + CLOCKS_DIFFER_MAX);
        let until = seen.asked.get(user).copied().filter(is_right).unwrap_or(now).max(now).after(BETWEEN_REQUESTS);
        let wait = until.since(now.after(at_once));
        if !wait.is_zero() {
            return Some(wait);
        }
        if seen.asked.len() >= REMEMBERED_MAX && !seen.asked.contains_key(user) {
            seen.asked.clear();
        }
        seen.asked.insert(user.clone(), until);
        None
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

    fn user(n: usize) -> UserId {
        format!("user {n}").parse().expect("a user id")
    }

    /// How many of so many requests at a moment are let through, and what the next one must wait.
    fn asks(memory: &Memory, user: &UserId, now: Time) -> (u32, Option<Duration>) {
        let passed = (0..10 * REQUESTS_AT_ONCE).take_while(|_| memory.asks(user, now).is_none());
        (u32::try_from(passed.count()).expect("few"), memory.asks(user, now))
    }

    #[test]
    fn so_many_requests_are_let_through_at_once_and_so_many_a_second() {
        let (memory, ann, began) = (Memory::default(), user(1), Time { ms: 1_767_225_600_000 });
        assert_eq!(asks(&memory, &ann, began), (REQUESTS_AT_ONCE, Some(BETWEEN_REQUESTS)));
        assert_eq!(memory.asks(&ann, began.after(BETWEEN_REQUESTS)), None, "after the wait");
        assert_eq!(asks(&memory, &user(2), began).0, REQUESTS_AT_ONCE, "each user for themselves");
        let later = began.after(Duration::from_secs(1)).after(BETWEEN_REQUESTS);
        assert_eq!(asks(&memory, &ann, later).0, REQUESTS_PER_SECOND);
        let much_later = later.after(Duration::from_secs(3_600));
        assert_eq!(asks(&memory, &ann, much_later).0, REQUESTS_AT_ONCE, "nothing is saved up");
    }

    #[test]
    fn who_asks_no_more_than_fifty_times_a_second_is_never_refused() {
        let (memory, ann) = (Memory::default(), user(1));
        for second in 0..100 {
            // All at the end of one second, all at the beginning of the next.
            let now = Time { ms: 1_767_225_600_000 + second * 1_000 + if second % 2 == 0 { 999 } else { 0 } };
            assert!((0..REQUESTS_PER_SECOND).all(|_| memory.asks(&ann, now).is_none()), "{second}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_refuses_nobody() {
        let (memory, ann, began) = (Memory::default(), user(1), Time { ms: 1_767_225_600_000 });
        asks(&memory, &ann, began);
        assert_eq!(asks(&memory, &ann, began.before(Duration::from_secs(3_600))).0, REQUESTS_AT_ONCE);
    }

    #[test]
    fn so_many_who_ask_are_remembered_and_then_all_are_forgotten() {
        let (memory, began) = (Memory::default(), Time { ms: 1_767_225_600_000 });
        asks(&memory, &user(0), began);
        for n in 1..REMEMBERED_MAX {
            memory.asks(&user(n), began);
        }
        assert!(memory.asks(&user(0), began).is_some());
        memory.asks(&user(REMEMBERED_MAX), began);
        assert_eq!(asks(&memory, &user(0), began).0, REQUESTS_AT_ONCE);
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
