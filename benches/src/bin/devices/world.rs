//! The machine and its people, for those who live there and for who judges.

use std::sync::atomic::{AtomicU64, Ordering};

use benches::machine::token;
use benches::problem::Problem;
use serde_json::json;
use shared::clock::Clock;
use wire::{Message, UserId};

/// What everybody is given: more than they can spend.
pub(crate) const COINS: u64 = 10_000;

/// The machine, as its people know it.
pub(crate) struct World {
    /// Where it listens, as `ADDRESS:PORT`.
    pub(crate) machine: String,
    pub(crate) operator: String,
    pub(crate) clock: Clock,
    sent: AtomicU64,
}

impl World {
    pub(crate) async fn new(machine: &str) -> Result<Self, Problem> {
        let operator = token(machine, &json!({ "sub": "operator", "roles": ["admin"] })).await?;
        Ok(Self { machine: machine.to_owned(), operator, clock: Clock::system(), sent: AtomicU64::new(0) })
    }

    /// Counts messages that were sent.
    pub(crate) fn has_sent(&self, messages: usize) {
        self.sent.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// How many messages were sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Somebody.
pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) token: String,
}

/// A message that was answered, with what it said.
pub(crate) struct Sent {
    /// Who is shown it in the end, besides its sender.
    pub(crate) to: Vec<UserId>,
    pub(crate) content: String,
    pub(crate) message: Message,
}
