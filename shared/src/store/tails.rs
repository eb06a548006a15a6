//! TAIL: what moves with a group's messages. An item of its own, so that a message never meets a change of the group; the members'
//! inboxes don't move.

use serde::Deserialize;
use wire::{ConversationId, Seq, Time};

use super::client::condition::{Condition, Part};
use super::client::error::StoreError;
use super::client::item::{from_item, ms, number};
use super::client::{Read, Store};
use super::several::Several;
use super::table::Key;

/// How far a group's messages are. It may be behind the log: whoever died in between has left it so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Tail {
    /// The highest number that has been told.
    pub last_seq: Seq,
    /// Its time.
    #[serde(with = "ms")]
    pub last_at: Time,
}

/// A group's tail only moves forward.
pub const TAIL_FORWARD: Condition = Condition {
    name: "a tail",
    parts: &[Part {
        name: "it knows of none so high",
        expression: "attribute_not_exists(#last_seq) OR #last_seq < :seq",
    }],
};

impl Store {
    /// Moves a group's tail forward to a message, **if** it knows of none so high.
    pub async fn tail_forward(&self, conversation: &ConversationId, seq: Seq, at: Time) -> Result<(), StoreError> {
        let update =
            self.update(Key::tail(conversation), "SET #last_seq = :seq, #last_at = :at").only_if(&TAIL_FORWARD);
        update.value(":seq", number(seq)).value(":at", number(at.ms)).run().await.map(drop)
    }

    /// Reads a group's tail; nothing was said where there is none.
    pub async fn tail(&self, conversation: &ConversationId, read: Read) -> Result<Tail, StoreError> {
        Ok(self.get(Key::tail(conversation), read).await?.map(from_item).transpose()?.unwrap_or_default())
    }

    /// Reads many groups' tails, as far as they can be read; those in which nothing was said are left out.
    pub async fn tails(
        &self,
        conversations: impl Iterator<Item = &ConversationId>,
        read: Read,
    ) -> Result<Several<(ConversationId, Tail)>, StoreError> {
        let keys: Vec<Key> = conversations.map(Key::tail).collect();
        let tail = |key: &Key, item| Ok((key.conversation()?, from_item(item)?));
        Several::of(self.get_many(&keys, read).await?, tail)
    }
}
