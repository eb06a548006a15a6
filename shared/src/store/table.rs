//! Every key and index name, on one screen. Who knows the prefixes, knows the table.
//!
//! | item | pk | sk | holds |
//! |---|---|---|---|
//! | ACCOUNT | `USER#u` | `ACCOUNT` | balance, open sends, epoch, up to which id all were dropped, rate, settling |
//! | PROFILE | `USER#u` | `PROFILE` | price |
//! | BLOCK | `USER#u` | `BLOCK#other` | whether u blocks another, and what the other had read before; stays as a tombstone |
//! | PRESENCE | `USER#u` | `PRESENCE` | map of live connections, last seen |
//! | INBOX | `USER#u` | `INBOX#c` | last, delivered and read number; muted until when |
//! | RECEIPT | `USER#u` | `RECEIPT#cmid` | fingerprint, conversation, number, price; void? No TTL |
//! | ENTRY | `USER#u` | `ENTRY#ms#id` | one ledger entry, in the order of time |
//! | TOPUP | `USER#u` | `TOPUP#key` | amount and time of a top-up, by its idempotency key |
//! | META | `CONV#c` | `META` | kind, members or what a group is called, where its messages are |
//! | TAIL | `CONV#c` | `TAIL` | last number of a group |
//! | MEMBER | `CONV#c` | `MEMBER#u` | a membership in a group with its version, or the tombstone of one |
//! | LOG | `CONV#c` | `MSG#%020d` | one message, or one void |
//! | SEGMENT | `CONV#c` | `SEGMENT#%020d` | which object of the archive holds the messages from this number on |
//!
//! The index `work` (keys only) lists what is due: see [`super::work`].

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use wire::{ClientMessageId, ConversationId, IdempotencyKey, Seq, Time, UserId};

use super::client::error::StoreError;
use super::client::item::{AttributeValue, Item};

/// The index of what is due.
pub const WORK_INDEX: &str = "work";

/// An item's key. Prefixes end in `#` and what follows them is the rest of the key, so no two kinds can meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.pk, self.sk)
    }
}

impl Key {
    fn user(user: &UserId, sk: String) -> Self {
        Self { pk: user_pk(user), sk }
    }

    /// ACCOUNT of a user.
    pub fn account(user: &UserId) -> Self {
        Self::user(user, "ACCOUNT".to_owned())
    }

    /// PROFILE of a user.
    pub fn profile(user: &UserId) -> Self {
        Self::user(user, "PROFILE".to_owned())
    }

    /// BLOCK of a user, of another.
    pub fn block(user: &UserId, other: &UserId) -> Self {
        Self::user(user, format!("{BLOCK_PREFIX}{other}"))
    }

    /// PRESENCE of a user.
    pub fn presence(user: &UserId) -> Self {
        Self::user(user, "PRESENCE".to_owned())
    }

    /// INBOX of a user for one conversation.
    pub fn inbox(user: &UserId, conversation: &ConversationId) -> Self {
        Self::user(user, format!("{INBOX_PREFIX}{conversation}"))
    }

    /// RECEIPT of one send.
    pub fn receipt(user: &UserId, id: &ClientMessageId) -> Self {
        Self::user(user, format!("{RECEIPT_PREFIX}{id}"))
    }

    /// ENTRY of a user's ledger. The time is the decision's, so whoever repeats the write meets the same key.
    pub fn entry(user: &UserId, at: Time, id: &str) -> Self {
        Self::user(user, format!("{ENTRY_PREFIX}{:013}#{id}", at.ms))
    }

    /// TOPUP of a user, by its idempotency key.
    pub fn topup(user: &UserId, key: &IdempotencyKey) -> Self {
        Self::user(user, format!("{TOPUP_PREFIX}{key}"))
    }

    /// META of a conversation.
    pub fn meta(conversation: &ConversationId) -> Self {
        Self { pk: conversation_pk(conversation), sk: "META".to_owned() }
    }

    /// TAIL of a group.
    pub fn tail(conversation: &ConversationId) -> Self {
        Self { pk: conversation_pk(conversation), sk: "TAIL".to_owned() }
    }

    /// MEMBER of a group.
    pub fn member(conversation: &ConversationId, user: &UserId) -> Self {
        Self { pk: conversation_pk(conversation), sk: format!("{MEMBER_PREFIX}{user}") }
    }

    /// LOG item of a conversation.
    pub fn log(conversation: &ConversationId, seq: Seq) -> Self {
        Self { pk: conversation_pk(conversation), sk: log_sk(seq) }
    }

    /// SEGMENT of a conversation, by its first number.
    pub fn segment(conversation: &ConversationId, first: Seq) -> Self {
        Self { pk: conversation_pk(conversation), sk: segment_sk(first) }
    }

    /// As attributes.
    pub(super) fn item(self) -> Item {
        HashMap::from([("pk".to_owned(), AttributeValue::S(self.pk)), ("sk".to_owned(), AttributeValue::S(self.sk))])
    }

    /// From an item or an index row.
    pub fn of(item: &Item) -> Result<Self, StoreError> {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        match (text("pk"), text("sk")) {
            (Some(pk), Some(sk)) => Ok(Self { pk, sk }),
            _ => Err(StoreError::broken("an item without a key")),
        }
    }

    /// Whose item it is.
    pub fn owner(&self) -> Result<UserId, StoreError> {
        let user = self.pk.strip_prefix(USER_PREFIX).and_then(|user| user.parse().ok());
        user.ok_or_else(|| StoreError::broken(&format!("{} is no user's", self.pk)))
    }

    /// Whose membership it is.
    pub fn member_user(&self) -> Result<UserId, StoreError> {
        let user = self.sk.strip_prefix(MEMBER_PREFIX).and_then(|user| user.parse().ok());
        user.ok_or_else(|| StoreError::broken(&format!("{self} is no membership's")))
    }

    /// Which conversation's item it is.
    pub fn conversation(&self) -> Result<ConversationId, StoreError> {
        let id = self.pk.strip_prefix(CONVERSATION_PREFIX).and_then(|id| id.parse().ok());
        id.ok_or_else(|| StoreError::broken(&format!("{} is no conversation's", self.pk)))
    }
}

const USER_PREFIX: &str = "USER#";
const CONVERSATION_PREFIX: &str = "CONV#";
/// Sort keys of BLOCK items start so.
pub const BLOCK_PREFIX: &str = "BLOCK#";
/// Sort keys of INBOX items start so.
pub const INBOX_PREFIX: &str = "INBOX#";
/// Sort keys of ENTRY items start so.
pub const ENTRY_PREFIX: &str = "ENTRY#";
/// Sort keys of RECEIPT items start so.
pub const RECEIPT_PREFIX: &str = "RECEIPT#";
/// Sort keys of TOPUP items start so.
pub const TOPUP_PREFIX: &str = "TOPUP#";
/// Sort keys of LOG items start so.
pub const LOG_PREFIX: &str = "MSG#";
/// Sort keys of MEMBER items start so.
pub const MEMBER_PREFIX: &str = "MEMBER#";
/// Sort keys of SEGMENT items start so.
pub const SEGMENT_PREFIX: &str = "SEGMENT#";

/// The partition of a user's items.
pub fn user_pk(user: &UserId) -> String {
    format!("{USER_PREFIX}{user}")
}

/// The partition of a conversation's items.
pub fn conversation_pk(conversation: &ConversationId) -> String {
    format!("{CONVERSATION_PREFIX}{conversation}")
}

/// The sort key of a message: 20 digits, so that text order is the numbers' order.
pub fn log_sk(seq: Seq) -> String {
    format!("{LOG_PREFIX}{:020}", seq.0)
}

/// The sort key of a segment, by its first number.
pub fn segment_sk(first: Seq) -> String {
    format!("{SEGMENT_PREFIX}{:020}", first.0)
}
