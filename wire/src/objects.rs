//! What events hold: messages, conversations, transactions, people; and why something was refused.

use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as NoSuchWord, StringDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Code;
use crate::ids::{ClientMessageId, ConversationId, UserId};
use crate::values::{Avatar, Coins, Name, Seq, Time};

/// A word of which a later version may have more. Whoever reads one that it doesn't know keeps it, and goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Open<T> {
    /// One of this version's.
    Known(T),
    /// Another one.
    Unknown(String),
}

impl<T> From<T> for Open<T> {
    fn from(word: T) -> Self {
        Self::Known(word)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Open<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let known: StringDeserializer<NoSuchWord> = word.clone().into_deserializer();
        Ok(T::deserialize(known).map_or(Self::Unknown(word), Self::Known))
    }
}

/// How far a message has come: derived from the horizons of the others. In this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has its number.
    Sent,
    /// Every other participant's device has it.
    Delivered,
    /// Every other participant has read it.
    Read,
}

/// One message, as a client sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Where it was said.
    pub conversation_id: ConversationId,
    /// Its number there.
    pub seq: Seq,
    /// Who said it.
    pub sender_id: UserId,
    /// The sender's id of it.
    pub client_message_id: ClientMessageId,
    /// What was said; empty when it was deleted or given up.
    pub content: String,
    /// The number of the message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// What it cost the sender.
    pub price: Coins,
    /// When it was accepted.
    pub created_at: Time,
    /// How far it has come.
    pub status: Status,
    /// Whether it was deleted or given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

impl GroupChange {
    /// Nothing has changed in this group of so many people.
    pub const fn none(conversation_id: ConversationId, participant_count: usize) -> Self {
        let (name, avatar) = (None, None);
        Self { conversation_id, name, avatar, participant_count, added: vec![], removed: vec![], admins: vec![] }
    }
}

/// What kind of conversation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Two people.
    Direct,
    /// Up to [`crate::limits::GROUP_MEMBERS_MAX`] people, who come and go.
    Group,
}

/// What somebody may do in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything that a member may; and they add, remove, rename and appoint.
    Admin,
    /// Read and write, and leave.
    Member,
}

/// Somebody who is in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Who.
    pub user_id: UserId,
    /// What they may do.
    pub role: Open<Role>,
    /// The first number that they may see.
    pub since: Seq,
}

/// What has changed in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupChange {
    /// Which.
    pub conversation_id: ConversationId,
    /// Its new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its new picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<Avatar>,
    /// How many are in it now.
    pub participant_count: usize,
    /// Who has come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<UserId>,
    /// Who has gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<UserId>,
    /// Who its admins are now, where that has changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub admins: Vec<UserId>,
}

/// One conversation, as one participant sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// Its id.
    pub conversation_id: ConversationId,
    /// What kind it is.
    pub kind: Open<Kind>,
    /// Who is in it; nobody is named where they are too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<UserId>,
    /// How many are in it.
    pub participant_count: usize,
    /// What the caller may do in it, in a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Open<Role>>,
    /// What it is called, in a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Where its picture is, in a group that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<Avatar>,
    /// Who made it.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: Time,
    /// The first number that the caller may see.
    pub first_seq: Seq,
    /// The highest number.
    pub last_seq: Seq,
    /// The message with that number, if the caller may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message: Option<Message>,
    /// When something was last said, or when it was made.
    pub last_activity_at: Time,
    /// How far the caller has read.
    pub read_seq: Seq,
    /// How far the caller's devices have it.
    pub delivered_seq: Seq,
    /// How many messages the caller hasn't read.
    pub unread: u64,
    /// What one message costs the caller.
    pub price: Coins,
    /// Whether the caller has muted it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
    /// Until when; for good, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Time>,
    /// Whether the caller has blocked the other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
}

/// How far somebody is in a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Horizons {
    /// Which.
    pub conversation_id: ConversationId,
    /// Up to here their devices have it.
    pub delivered_seq: Seq,
    /// Up to here they have read it.
    pub read_seq: Seq,
}

/// What a ledger entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransactionKind {
    /// Coins that an operator added.
    Topup,
    /// What a message cost.
    Charge,
    /// What a message earned.
    Earning,
    /// The house's part of a message's price.
    Share,
}

/// One ledger entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    /// Its id, unique for this user.
    pub id: String,
    /// What it is for.
    pub kind: Open<TransactionKind>,
    /// Whole coins; negative when they were spent.
    pub amount: i64,
    /// The conversation, of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<ConversationId>,
    /// The other side, of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterparty: Option<UserId>,
    /// When it was decided.
    pub created_at: Time,
}

/// Whether somebody is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserPresence {
    /// Who.
    pub user_id: UserId,
    /// Whether a device of theirs is connected.
    pub online: bool,
    /// When the last device went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Time>,
}

/// What somebody is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Who.
    pub user_id: UserId,
    /// The name, if they have set one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Where their picture is, if they have set one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<Avatar>,
}

/// Why a request was refused, or why something can't be read now: the wire's `error` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorObject {
    /// For a program.
    pub code: Open<Code>,
    /// For a person.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// What else a program may want to know; which of it, [`Code::details`] says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<ErrorDetails>,
}

/// What else a program may want to know of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorDetails {
    /// The field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the sender can spend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Coins>,
    /// What the message costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Coins>,
    /// How long to wait before the next try, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Of what there is too much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// How much there may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
    /// With whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// What finds the cause in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
