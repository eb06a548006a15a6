//! The wire, version 1: ids, what a client may ask ([`Request`]), what it is told ([`Event`]). No AWS in here.
//!
//! Ids are types that exist only if valid: parse, don't check. A request's shape is its struct; a wrong field is named by
//! the error that [`Frame::parse`] returns.

use std::collections::HashMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Error;
use crate::limits::{
    CLIENT_ID_CHARS_MAX, COINS_MAX, CONTENT_CHARS_MAX, CONVERSATION_ID_CHARS_MAX, CURSOR_CHARS_MAX, PAGE_ITEMS_DEFAULT,
    PAGE_ITEMS_MAX, PRESENCE_USERS_MAX, SYNC_SINCE_MAX, USER_ID_BYTES_MAX,
};

/// Defines an id: a string that exists only if its rule holds.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let rule: fn(&str) -> bool = $rule;
                if rule(&text) { Ok(Self(text)) } else { Err($what.to_owned()) }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::try_from(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Whether TEXT has 1 to MAX characters and no control characters.
fn short(text: &str, max: usize) -> bool {
    !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control)
}

id!(
    /// Who somebody is: the `sub` of the token.
    UserId,
    "a user id has 1 to 128 bytes and no control characters",
    |text| text.len() <= USER_ID_BYTES_MAX && short(text, USER_ID_BYTES_MAX)
);
id!(
    /// The server's id of a conversation.
    ConversationId,
    "a conversation id has 1 to 64 letters, digits, `-` and `_`",
    |text| {
        short(text, CONVERSATION_ID_CHARS_MAX) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    }
);
id!(
    /// The sender's id of a message, unique per sender.
    ClientMessageId,
    "a clientMessageId has 1 to 64 characters and no control characters",
    |text| short(text, CLIENT_ID_CHARS_MAX)
);
id!(
    /// The client's name for a request, echoed in its answer.
    RequestId,
    "a requestId has at most 64 characters and no control characters",
    |text| text.is_empty() || short(text, CLIENT_ID_CHARS_MAX)
);
id!(
    /// The caller's name for a top-up, so that a repeat adds nothing.
    IdempotencyKey,
    "an idempotencyKey has 1 to 64 characters and no control characters",
    |text| short(text, CLIENT_ID_CHARS_MAX)
);
id!(
    /// A client's name for the device that it runs on.
    Device,
    "a device has 1 to 64 characters and no control characters",
    |text| short(text, CLIENT_ID_CHARS_MAX)
);
id!(
    /// API Gateway's id of a connection.
    ConnectionId,
    "a connection id has 1 to 128 characters and no control characters",
    |text| short(text, 128)
);

impl ConversationId {
    /// One that we derived ourselves, of letters, digits, `-` and `_`.
    pub(crate) fn derived(text: String) -> Self {
        Self(text)
    }
}

/// A message's number in its conversation: 1, 2, 3 … without holes. 0 stands for "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Seq(pub u64);

impl Seq {
    /// The number after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl<'de> Deserialize<'de> for Seq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What a JavaScript client can count exactly also leaves room for `+ 1`.
        whole_number(deserializer).map(Self)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message's place.
pub type LogSlot = (ConversationId, Seq);

/// An amount of whole coins, 0 to [`COINS_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Coins(pub u64);

impl Coins {
    /// The sum, if it can be held.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).filter(|sum| *sum <= COINS_MAX).map(Self)
    }
}

impl<'de> Deserialize<'de> for Coins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole_number(deserializer).map(Self)
    }
}

/// Reads a whole number from 0 to 2^53 - 1.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number > COINS_MAX {
        return Err(serde::de::Error::custom(format!("at most {COINS_MAX}")));
    }
    Ok(number)
}

/// A moment, in milliseconds since 1970. On the wire RFC 3339, UTC, with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub ms: i64,
}

impl Time {
    /// This much later.
    pub fn after(self, wait: std::time::Duration) -> Self {
        Self { ms: self.ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)) }
    }

    /// This much earlier.
    pub fn before(self, wait: std::time::Duration) -> Self {
        Self { ms: self.ms.saturating_sub(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)) }
    }

    /// How long it is since then; nothing, if it is still to come.
    pub fn since(self, then: Self) -> std::time::Duration {
        let ms = self.ms.saturating_sub(then.ms);
        std::time::Duration::from_millis(u64::try_from(ms).unwrap_or_default())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{moment:.3}")
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A message's text: 1 to [`CONTENT_CHARS_MAX`] characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Content(String);

impl Content {
    /// Takes a text if its length is right.
    ///
    /// # Errors
    /// [`Error::ContentEmpty`], [`Error::ContentTooLong`].
    pub fn new(text: String) -> Result<Self, Error> {
        match text.chars().count() {
            0 => Err(Error::ContentEmpty),
            1..=CONTENT_CHARS_MAX => Ok(Self(text)),
            _ => Err(Error::ContentTooLong),
        }
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How many items a page may have: 1 to [`PAGE_ITEMS_MAX`], [`PAGE_ITEMS_DEFAULT`] when not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Limit(pub u32);

impl Default for Limit {
    fn default() -> Self {
        Self(PAGE_ITEMS_DEFAULT)
    }
}

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        if (1..=PAGE_ITEMS_MAX).contains(&limit) { Ok(Self(limit)) } else { Err("a limit is 1 to 100".to_owned()) }
    }
}

/// Where the next page starts. Opaque to clients: base64url of what the store says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Cursor(String);

impl Cursor {
    /// Wraps a position.
    pub fn new(position: &str) -> Self {
        use base64::Engine as _;
        Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(position))
    }

    /// The position that [`Cursor::new`] wrapped.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when it isn't one of ours.
    pub fn position(&self) -> Result<String, Error> {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(&self.0)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(Self::foreign)
    }

    /// What a cursor that isn't one of ours gets.
    pub fn foreign() -> Error {
        Error::bad_request("cursor", "send the nextCursor of the last answer, unchanged")
    }
}

impl TryFrom<String> for Cursor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.len() > CURSOR_CHARS_MAX {
            return Err("send the nextCursor of the last answer, unchanged".to_owned());
        }
        Ok(Self(text))
    }
}

// ---- objects ---------------------------------------------------------------------------------------------------------

/// How far a message has come: derived from the horizons of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// What kind of conversation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Two people.
    Direct,
}

/// One conversation, as one participant sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// Its id.
    pub conversation_id: ConversationId,
    /// What kind it is.
    pub kind: Kind,
    /// Who is in it.
    pub participants: Vec<UserId>,
    /// How many are in it.
    pub participant_count: usize,
    /// Who made it.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: Time,
    /// The highest number.
    pub last_seq: Seq,
    /// The message with that number.
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
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    /// Its id, unique for this user.
    pub id: String,
    /// What it is for.
    pub kind: TransactionKind,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

// ---- requests --------------------------------------------------------------------------------------------------------

/// What a client may ask: one type per action.
pub trait Request: DeserializeOwned {
    /// The `action` that names it.
    const ACTION: &'static str;
}

/// Defines a request: its action and its fields.
macro_rules! request {
    ($(#[$doc:meta])* $action:literal $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Request for $name {
            const ACTION: &'static str = $action;
        }
    };
}

request!(
    /// Asks whether the server is there.
    "ping" Ping {}
);
request!(
    /// Asks for everything since the client's numbers.
    "sync" Sync {
        /// The client's number of each conversation; where it names none, the delivered horizon counts.
        #[serde(default, deserialize_with = "since")]
        since: HashMap<ConversationId, Seq>,
        /// Messages a page.
        #[serde(default)]
        limit: Limit,
    }
);
request!(
    /// Asks for the one conversation with somebody.
    "getOrCreateDirect" GetOrCreateDirect {
        /// The other.
        other_user_id: UserId,
    }
);
request!(
    /// Asks for the caller's conversations, latest activity first.
    "getConversations" GetConversations {
        /// Where the page starts.
        cursor: Option<Cursor>,
        /// Conversations a page.
        #[serde(default)]
        limit: Limit,
    }
);
request!(
    /// Asks for one conversation.
    "getConversation" GetConversation {
        /// Which.
        conversation_id: ConversationId,
    }
);
request!(
    /// Says something.
    "sendMessage" SendMessage {
        /// Where; or `to`.
        conversation_id: Option<ConversationId>,
        /// To whom; or `conversation_id`.
        to: Option<UserId>,
        /// What. [`Content::new`] takes it.
        content: String,
        /// The sender's id of it.
        client_message_id: ClientMessageId,
        /// Not offered: see [`SendMessage::target`].
        attachment: Option<serde::de::IgnoredAny>,
        /// The number of the message that it answers.
        reply_to: Option<Seq>,
        /// What it may cost at most.
        max_price: Option<Coins>,
    }
);
request!(
    /// Asks for a page of a conversation.
    "getMessages" GetMessages {
        /// Which.
        conversation_id: ConversationId,
        /// Those below this number.
        before: Option<Seq>,
        /// Those above this number.
        after: Option<Seq>,
        /// Messages a page.
        #[serde(default)]
        limit: Limit,
    }
);
request!(
    /// Says how far the caller's device has a conversation.
    "markDelivered" MarkDelivered {
        /// Which.
        conversation_id: ConversationId,
        /// Up to here.
        seq: Seq,
    }
);
request!(
    /// Says how far the caller has read a conversation.
    "markRead" MarkRead {
        /// Which.
        conversation_id: ConversationId,
        /// Up to here.
        seq: Seq,
    }
);
request!(
    /// Asks who has a message.
    "getReceipts" GetReceipts {
        /// Where.
        conversation_id: ConversationId,
        /// Its number.
        seq: Seq,
    }
);
request!(
    /// Says that the caller is writing, or has stopped.
    "typing" Typing {
        /// Where.
        conversation_id: ConversationId,
        /// Whether.
        typing: bool,
    }
);
request!(
    /// Asks who is here.
    "getPresence" GetPresence {
        /// Whom.
        #[serde(deserialize_with = "presence_users")]
        user_ids: Vec<UserId>,
    }
);
request!(
    /// Asks what the caller can spend.
    "getBalance" GetBalance {}
);
request!(
    /// Asks for the caller's ledger, newest first.
    "getTransactions" GetTransactions {
        /// Where the page starts.
        cursor: Option<Cursor>,
        /// Entries a page.
        #[serde(default)]
        limit: Limit,
    }
);

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a conversation.
    Conversation(ConversationId),
    /// To somebody; the direct conversation is made when there is none.
    User(UserId),
}

impl SendMessage {
    /// Where it goes: exactly one of `conversationId` and `to`.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when neither or both were given, or an attachment.
    pub fn target(&self) -> Result<Target, Error> {
        if self.attachment.is_some() {
            return Err(Error::bad_request("attachment", "this deployment takes no attachments; leave it out"));
        }
        match (&self.conversation_id, &self.to) {
            (Some(conversation), None) => Ok(Target::Conversation(conversation.clone())),
            (None, Some(user)) => Ok(Target::User(user.clone())),
            (None, None) => Err(Error::bad_request("conversationId", "give conversationId or to")),
            (Some(_), Some(_)) => Err(Error::bad_request("to", "give either conversationId or to, not both")),
        }
    }
}

/// Reads `since`, at most [`SYNC_SINCE_MAX`] conversations.
fn since<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashMap<ConversationId, Seq>, D::Error> {
    let since = Option::<HashMap<ConversationId, Seq>>::deserialize(deserializer)?.unwrap_or_default();
    if since.len() > SYNC_SINCE_MAX {
        return Err(serde::de::Error::custom(format!("at most {SYNC_SINCE_MAX} conversations")));
    }
    Ok(since)
}

/// Reads `userIds`, 1 to [`PRESENCE_USERS_MAX`].
fn presence_users<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<UserId>, D::Error> {
    let users = Vec::<UserId>::deserialize(deserializer)?;
    if users.is_empty() || users.len() > PRESENCE_USERS_MAX {
        return Err(serde::de::Error::custom(format!("1 to {PRESENCE_USERS_MAX} users")));
    }
    Ok(users)
}

/// One JSON object from a client, with an `action`.
#[derive(Debug)]
pub struct Frame {
    /// What it asks.
    pub action: String,
    /// The client's name for it.
    pub request_id: Option<RequestId>,
    /// The sender's id of a message, when there is one: errors echo it.
    pub client_message_id: Option<String>,
    body: serde_json::Value,
}

impl Frame {
    /// Reads a frame's envelope.
    ///
    /// # Errors
    /// [`Error::BadRequest`] that says what is wrong.
    pub fn new(text: &str) -> Result<Self, Error> {
        let body: serde_json::Value = serde_json::from_str(text)
            .map_err(|cause| Error::bad_request("", &format!("the frame isn't JSON: {cause}")))?;
        if !body.is_object() {
            return Err(Error::bad_request("", "the frame isn't a JSON object"));
        }
        let request_id = match body.get("requestId") {
            None | Some(serde_json::Value::Null) => None,
            Some(value) => {
                let id = serde_json::from_value(value.clone());
                Some(id.map_err(|cause| Error::bad_request("requestId", &cause.to_string()))?)
            }
        };
        let client_message_id = body.get("clientMessageId").and_then(|id| id.as_str());
        let client_message_id = client_message_id.filter(|id| id.chars().count() <= CLIENT_ID_CHARS_MAX);
        let Some(action) = body.get("action").and_then(|action| action.as_str()) else {
            return Err(Error::bad_request("action", "give the action's name, a string"));
        };
        let action = action.to_owned();
        Ok(Self { action, request_id, client_message_id: client_message_id.map(str::to_owned), body })
    }

    /// Reads the action's fields. Unknown ones are ignored.
    ///
    /// # Errors
    /// [`Error::BadRequest`] that names the field.
    pub fn parse<R: Request>(self) -> Result<R, Error> {
        parse(self.body)
    }
}

/// Reads an object, and says which field is wrong.
///
/// # Errors
/// [`Error::BadRequest`] that names the field.
pub fn parse<T: DeserializeOwned>(body: serde_json::Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(body).map_err(|cause| {
        let path = cause.path().to_string();
        let problem = cause.inner().to_string();
        // A missing field has no path of its own; serde names it in backquotes.
        let named = problem.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let field = match (path.as_str(), named) {
            (".", Some(name)) => name.to_owned(),
            (".", None) => String::new(),
            (path, Some(name)) => format!("{path}.{name}"),
            (path, None) => path.to_owned(),
        };
        Error::bad_request(&field, &problem)
    })
}

// ---- events ----------------------------------------------------------------------------------------------------------

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", content = "data", rename_all_fields = "camelCase")]
pub enum Event {
    /// Answers `ping`.
    #[serde(rename = "pong")]
    Pong {
        /// The server's clock.
        server_time: Time,
    },
    /// A page of one conversation, before `sync:done`.
    #[serde(rename = "sync:page")]
    SyncPage {
        /// Which.
        conversation_id: ConversationId,
        /// In the order of their numbers.
        messages: Vec<Message>,
        /// Whether another page of this conversation follows.
        has_more: bool,
    },
    /// Answers `sync`.
    #[serde(rename = "sync:done")]
    SyncDone {
        /// How many conversations had something new.
        conversations: usize,
        /// How many messages were sent.
        messages: usize,
        /// Whether that was all.
        complete: bool,
    },
    /// Answers `getOrCreateDirect`, and tells the other.
    #[serde(rename = "conversation:created")]
    ConversationCreated {
        /// The conversation.
        conversation: Box<Conversation>,
        /// Whether this request made it.
        created: bool,
    },
    /// Answers `getConversations`.
    #[serde(rename = "conversations:list")]
    ConversationsList {
        /// Latest activity first.
        conversations: Vec<Conversation>,
        /// The unread of all conversations, not only of this page.
        total_unread: u64,
        /// Where the next page starts.
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<Cursor>,
    },
    /// Answers `getConversation`.
    #[serde(rename = "conversation")]
    Conversation {
        /// The conversation.
        conversation: Box<Conversation>,
    },
    /// Answers `sendMessage`: it has its number and is safe.
    #[serde(rename = "message:sent")]
    MessageSent {
        /// The message.
        message: Message,
        /// Whether another attempt had decided it already.
        duplicate: bool,
        /// What the sender can spend now, when the message cost something.
        #[serde(skip_serializing_if = "Option::is_none")]
        balance: Option<Coins>,
    },
    /// Tells everybody else of a message.
    #[serde(rename = "message:new")]
    MessageNew {
        /// The message.
        message: Message,
    },
    /// Answers `getMessages`.
    #[serde(rename = "messages:page")]
    MessagesPage {
        /// Which.
        conversation_id: ConversationId,
        /// In the order of their numbers.
        messages: Vec<Message>,
        /// Whether there are more in the direction that was asked for.
        has_more: bool,
    },
    /// Answers `markDelivered` and `markRead`.
    #[serde(rename = "marked")]
    Marked {
        /// Which.
        conversation_id: ConversationId,
        /// The caller's horizon now.
        delivered_seq: Seq,
        /// The caller's horizon now.
        read_seq: Seq,
    },
    /// Tells the others how far somebody has come.
    #[serde(rename = "message:status")]
    MessageStatus {
        /// Which.
        conversation_id: ConversationId,
        /// Who.
        user_id: UserId,
        /// Delivered or read.
        status: Status,
        /// Up to here.
        seq: Seq,
        /// When.
        at: Time,
    },
    /// Answers `getReceipts`.
    #[serde(rename = "receipts")]
    Receipts {
        /// Whose devices have it.
        delivered: Vec<UserId>,
        /// Who has read it.
        read: Vec<UserId>,
    },
    /// Answers `typing`.
    #[serde(rename = "typing:ok")]
    TypingOk {},
    /// Tells the others that somebody is writing.
    #[serde(rename = "typing")]
    Typing {
        /// Where.
        conversation_id: ConversationId,
        /// Who.
        user_id: UserId,
        /// Whether.
        typing: bool,
        /// Until when it may be shown.
        expires_at: Time,
    },
    /// Answers `getPresence`.
    #[serde(rename = "presence")]
    Presence {
        /// In the order that was asked for.
        users: Vec<UserPresence>,
    },
    /// Answers `getBalance`.
    #[serde(rename = "balance")]
    Balance {
        /// What the caller can spend.
        balance: Coins,
    },
    /// Answers `getTransactions`.
    #[serde(rename = "transactions:list")]
    TransactionsList(TransactionsList),
}

/// A page of a ledger, newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionsList {
    /// Newest first.
    pub transactions: Vec<Transaction>,
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<Cursor>,
}

impl Event {
    /// The frame that carries this event: as an answer when it names a request, as a push otherwise.
    pub fn frame(&self, request_id: Option<&RequestId>) -> Vec<u8> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            #[serde(flatten)]
            event: &'a Event,
            #[serde(rename = "requestId", skip_serializing_if = "Option::is_none")]
            request_id: Option<&'a RequestId>,
            success: bool,
        }
        // Strings, numbers and lists: serialising them can't fail.
        serde_json::to_vec(&Envelope { event: self, request_id, success: true }).unwrap_or_default()
    }
}

/// The frame that tells a client why its request was refused.
pub fn error_frame(error: &Error, frame: &ErrorContext, trace_id: &str) -> Vec<u8> {
    let event = if frame.action.as_deref() == Some(SendMessage::ACTION) { "message:error" } else { "error" };
    let mut body = serde_json::json!({ "event": event, "success": false, "error": error.body(trace_id) });
    if let Some(id) = &frame.request_id {
        body["requestId"] = id.as_str().into();
    }
    if let Some(id) = &frame.client_message_id {
        body["clientMessageId"] = id.as_str().into();
    }
    body.to_string().into_bytes()
}

/// What an error's answer echoes of its frame.
#[derive(Clone, Debug, Default)]
pub struct ErrorContext {
    /// The action.
    pub action: Option<String>,
    /// The client's name for the request.
    pub request_id: Option<RequestId>,
    /// The sender's id of the message.
    pub client_message_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<R: Request>(frame: &str) -> String {
        let error = Frame::new(frame).and_then(Frame::parse::<R>).err().expect("it is refused");
        assert_eq!(error.code(), "bad_request", "{error}");
        error.to_string()
    }

    #[test]
    fn a_wrong_field_is_named() {
        let long = "x".repeat(65);
        for (frame, field) in [
            (r#"{"action":"markRead","conversationId":"c"}"#, "seq: "),
            (r#"{"action":"markRead","conversationId":7,"seq":1}"#, "conversationId: "),
            (r#"{"action":"markRead","conversationId":"a b","seq":1}"#, "conversationId: "),
            (r#"{"action":"markRead","conversationId":"c","seq":-1}"#, "seq: "),
            (r#"{"action":"markRead","conversationId":"c","seq":9007199254740992}"#, "seq: "),
            (&format!(r#"{{"action":"markRead","requestId":"{long}"}}"#), "requestId: "),
            (r#"{"action":7}"#, "action: "),
            (r#"{}"#, "action: "),
            (r#"[]"#, "the frame isn't a JSON object"),
            ("hello", "the frame isn't JSON"),
        ] {
            let error = refusal::<MarkRead>(frame);
            assert!(error.starts_with(field), "{frame}: {error}");
        }
        let error = refusal::<GetPresence>(r#"{"action":"getPresence","userIds":["ann",""]}"#);
        assert!(error.starts_with("userIds[1]: "), "{error}");
        let error = refusal::<Sync>(r#"{"action":"sync","since":{"c":"1"}}"#);
        assert!(error.starts_with("since.c: "), "{error}");
        let error = refusal::<GetMessages>(r#"{"action":"getMessages","conversationId":"c","limit":101}"#);
        assert!(error.starts_with("limit: "), "{error}");
    }

    #[test]
    fn unknown_fields_are_ignored_and_defaults_hold() {
        let frame = Frame::new(r#"{"action":"sync","requestId":"r","colour":"red"}"#).expect("a frame");
        assert_eq!(frame.request_id.as_ref().map(RequestId::as_str), Some("r"));
        let sync: Sync = frame.parse().expect("a sync");
        assert_eq!((sync.limit, sync.since.len()), (Limit(PAGE_ITEMS_DEFAULT), 0));
    }

    #[test]
    fn an_event_is_a_frame_of_the_protocol() {
        let id: RequestId = "r1".parse().expect("an id");
        let event = Event::Pong { server_time: Time { ms: 1_700_000_000_007 } };
        let answer: serde_json::Value = serde_json::from_slice(&event.frame(Some(&id))).expect("JSON");
        let data = serde_json::json!({ "serverTime": "2023-11-14T22:13:20.007Z" });
        let expected = serde_json::json!({ "event": "pong", "requestId": "r1", "success": true, "data": data });
        assert_eq!(answer, expected);
        let push: serde_json::Value = serde_json::from_slice(&event.frame(None)).expect("JSON");
        assert!(push.get("requestId").is_none());
    }

    #[test]
    fn content_is_counted_in_characters() {
        assert!(Content::new("🦀".repeat(CONTENT_CHARS_MAX)).is_ok());
        assert!(matches!(Content::new("x".repeat(CONTENT_CHARS_MAX + 1)), Err(Error::ContentTooLong)));
        assert!(matches!(Content::new(String::new()), Err(Error::ContentEmpty)));
    }

    #[test]
    fn a_cursor_that_is_not_ours_is_refused() {
        let ours = Cursor::new("here");
        assert_eq!(ours.position().ok().as_deref(), Some("here"));
        for text in ["", "%%%", &"a".repeat(CURSOR_CHARS_MAX + 1)] {
            let cursor = Cursor::try_from(text.to_owned());
            assert!(cursor.is_err() || cursor.is_ok_and(|cursor| cursor.position().is_err()), "{text}");
        }
    }
}
