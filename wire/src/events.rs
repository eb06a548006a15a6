//! What a client is told: one enum, and the frames that carry it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::echo::Echo;
use crate::ids::{ConversationId, RequestId, UserId};
use crate::objects::{
    Conversation, ErrorObject, GroupChange, Horizons, Member, Message, Status, Transaction, User, UserPresence,
};
use crate::requests::{Request as _, SendMessage};
use crate::values::{Avatar, Coins, Cursor, Name, Seq, Time};

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
        /// Why the conversation can't be read now: the client's number stays where it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<ErrorObject>,
    },
    /// Answers `sync`.
    #[serde(rename = "sync:done")]
    SyncDone {
        /// How many conversations had something new.
        conversations: usize,
        /// How many messages were sent.
        messages: usize,
        /// Where the caller is in no more, of the conversations that the client named, and of the last weeks.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<ConversationId>,
        /// Whether that was all.
        complete: bool,
    },
    /// Answers `getOrCreateDirect` and `createGroup`, and tells the others; tells who was added to a group.
    #[serde(rename = "conversation:created")]
    ConversationCreated {
        /// The conversation.
        conversation: Box<Conversation>,
        /// Whether this request made it.
        created: bool,
    },
    /// Answers `updateGroup`, and tells the others.
    #[serde(rename = "conversation:updated")]
    ConversationUpdated(ConversationUpdated),
    /// Answers `leaveGroup`, and tells who has left or was removed.
    #[serde(rename = "conversation:left")]
    ConversationLeft {
        /// Which.
        conversation_id: ConversationId,
        /// Who has done it.
        by: UserId,
    },
    /// Answers `getMembers`.
    #[serde(rename = "members")]
    Members {
        /// In the order of their ids.
        members: Vec<Member>,
        /// Where the next page starts.
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<Cursor>,
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
        /// How many are left out because they can't be read now.
        #[serde(default, skip_serializing_if = "is_none")]
        skipped: usize,
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
    Marked(Marked),
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
        /// Where the next page starts.
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<Cursor>,
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
    /// Answers `getUsers`.
    #[serde(rename = "users")]
    Users {
        /// In the order that was asked for; who is not known has only an id.
        users: Vec<User>,
    },
    /// Answers `updateProfile`, and tells the caller's other devices.
    #[serde(rename = "profile")]
    Profile {
        /// What the user is called now.
        user: User,
    },
    /// Answers `blockUser`, and tells the caller's other devices.
    #[serde(rename = "blocked")]
    Blocked {
        /// Who.
        user_id: UserId,
    },
    /// Answers `unblockUser`, and tells the caller's other devices.
    #[serde(rename = "unblocked")]
    Unblocked {
        /// Who.
        user_id: UserId,
    },
    /// Answers `getBlocked`.
    #[serde(rename = "blocked:list")]
    BlockedList {
        /// In no order that means something.
        user_ids: Vec<UserId>,
        /// Where the next page starts.
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<Cursor>,
    },
    /// Answers `mute`, and tells the caller's other devices.
    #[serde(rename = "muted")]
    Muted {
        /// Which.
        conversation_id: ConversationId,
        /// Whether it is muted now.
        muted: bool,
        /// Until when; for good, if not given.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
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

/// What became of a group: as it is for the caller, or what has changed for the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ConversationUpdated {
    /// For the caller.
    Now {
        /// The group as it is now.
        conversation: Box<Conversation>,
    },
    /// For the others.
    Changed(GroupChange),
}

/// The one that has a conversation is for the caller. Derived, it would keep fields that nobody knows, whatever they hold.
impl<'de> Deserialize<'de> for ConversationUpdated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Either {
            conversation: Option<Box<Conversation>>,
            conversation_id: Option<ConversationId>,
            name: Option<Name>,
            avatar: Option<Avatar>,
            participant_count: Option<usize>,
            #[serde(default)]
            added: Vec<UserId>,
            #[serde(default)]
            removed: Vec<UserId>,
            #[serde(default)]
            admins: Vec<UserId>,
        }
        let Either { conversation, conversation_id, name, avatar, participant_count, added, removed, admins } =
            Either::deserialize(deserializer)?;
        if let Some(conversation) = conversation {
            return Ok(Self::Now { conversation });
        }
        let conversation_id = conversation_id.ok_or_else(|| D::Error::missing_field("conversationId"))?;
        let participant_count = participant_count.ok_or_else(|| D::Error::missing_field("participantCount"))?;
        Ok(Self::Changed(GroupChange { conversation_id, name, avatar, participant_count, added, removed, admins }))
    }
}

/// How far the caller is, in as many conversations as were marked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Marked {
    /// One was.
    One(Horizons),
    /// Several were.
    Several {
        /// Each once, in the order in which they were named first.
        marks: Vec<MarkOutcome>,
    },
}

/// What became of one of several marks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum MarkOutcome {
    /// How far the caller is there now.
    Marked(Horizons),
    /// It wasn't made.
    Failed {
        /// Where.
        conversation_id: ConversationId,
        /// Why.
        error: ErrorObject,
    },
}

/// A page of a ledger, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionsList {
    /// Newest first.
    pub transactions: Vec<Transaction>,
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<Cursor>,
    /// How many lines of this page are left out because they can't be read now.
    #[serde(default, skip_serializing_if = "is_none")]
    pub skipped: usize,
}

/// Whether nothing was left out: that isn't said.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(skipped: &usize) -> bool {
    *skipped == 0
}

impl Event {
    /// Whether it can be the final answer to a request: a page of `sync` comes before that.
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::SyncPage { .. })
    }

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

/// What the frame of an error calls itself: first where a message was to be sent.
pub const ERROR_EVENTS: [&str; 2] = ["message:error", "error"];

/// The frame that tells a client why its request was refused: with an `error` object, and what it echoes of its request.
pub fn error_frame(error: &ErrorObject, echo: &Echo) -> Vec<u8> {
    let [of_message, of_others] = ERROR_EVENTS;
    let event = if echo.action.as_deref() == Some(SendMessage::ACTION) { of_message } else { of_others };
    let mut body = serde_json::json!({ "event": event, "success": false, "error": error });
    if let Some(id) = &echo.request_id {
        body["requestId"] = id.as_str().into();
    }
    if let Some(id) = &echo.client_message_id {
        body["clientMessageId"] = id.as_str().into();
    }
    body.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
