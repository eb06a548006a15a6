//! What a client may ask: one type per action.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Invalid;
use crate::ids::{ClientMessageId, ClientRequestId, ConversationId, RequestId, UserId};
use crate::limits::{MARKS_MAX, SYNC_SINCE_MAX, USERS_ASKED_MAX};
use crate::values::{Avatar, Change, Coins, Cursor, Limit, Name, Seq, Time};

/// What a client may ask: one type per action.
pub trait Request: DeserializeOwned + Serialize {
    /// The `action` that names it.
    const ACTION: &'static str;
    /// Its fields, as they are called here: in a frame their names are in camelCase.
    const FIELDS: &'static [&'static str];

    /// The frame that asks it. What isn't given stands as `null`, which counts as not given.
    fn frame(&self, request_id: &RequestId) -> String {
        #[derive(Serialize)]
        struct Envelope<'a, R> {
            action: &'a str,
            #[serde(rename = "requestId")]
            request_id: &'a RequestId,
            #[serde(flatten)]
            fields: &'a R,
        }
        // Strings, numbers, lists and maps with texts for keys: serialising them can't fail.
        serde_json::to_string(&Envelope { action: Self::ACTION, request_id, fields: self }).unwrap_or_default()
    }
}

/// Defines a request: its action and its fields.
macro_rules! request {
    ($(#[$doc:meta])* $action:literal $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Clone, Debug, Deserialize, Serialize)]
        #[serde(rename_all = "camelCase")]
        $(#[$doc])*
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Request for $name {
            const ACTION: &'static str = $action;
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
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
    /// Makes a group.
    "createGroup" CreateGroup {
        /// What it is called.
        name: Name,
        /// Who is in it besides the caller.
        participants: Vec<UserId>,
        /// The caller's id of it: a repeat makes no other.
        client_request_id: ClientRequestId,
        /// Where its picture is.
        avatar: Option<Avatar>,
    }
);
request!(
    /// Changes a group, for its admins.
    "updateGroup" UpdateGroup {
        /// Which.
        conversation_id: ConversationId,
        /// Its new name.
        name: Option<Name>,
        /// Its new picture.
        avatar: Option<Avatar>,
        /// Who comes.
        #[serde(default)]
        add: Vec<UserId>,
        /// Who goes.
        #[serde(default)]
        remove: Vec<UserId>,
        /// Who its admins are, all of them.
        admins: Option<Vec<UserId>>,
        /// The caller's id of it: a repeat changes nothing more.
        client_request_id: Option<ClientRequestId>,
    }
);
request!(
    /// Leaves a group.
    "leaveGroup" LeaveGroup {
        /// Which.
        conversation_id: ConversationId,
        /// The caller's id of it: a repeat changes nothing more.
        client_request_id: Option<ClientRequestId>,
    }
);
request!(
    /// Asks who is in a group.
    "getMembers" GetMembers {
        /// Which.
        conversation_id: ConversationId,
        /// Where the page starts.
        cursor: Option<Cursor>,
        /// Members a page.
        #[serde(default)]
        limit: Limit,
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
        /// What. [`crate::Content::new`] takes it.
        content: String,
        /// The sender's id of it.
        client_message_id: ClientMessageId,
        /// Not offered: see [`SendMessage::target`].
        #[serde(skip_serializing)]
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
    /// Says how far the caller's device has one conversation, or several. [`Marks::of`] takes it.
    "markDelivered" MarkDelivered {
        /// Which, with `seq`; or `marks`.
        conversation_id: Option<ConversationId>,
        /// Up to here.
        seq: Option<Seq>,
        /// Several.
        marks: Option<Vec<Mark>>,
    }
);
request!(
    /// Says how far the caller has read one conversation, or several. [`Marks::of`] takes it.
    "markRead" MarkRead {
        /// Which, with `seq`; or `marks`.
        conversation_id: Option<ConversationId>,
        /// Up to here.
        seq: Option<Seq>,
        /// Several.
        marks: Option<Vec<Mark>>,
    }
);
request!(
    /// Asks who has a message.
    "getReceipts" GetReceipts {
        /// Where.
        conversation_id: ConversationId,
        /// Its number.
        seq: Seq,
        /// Where the page starts.
        cursor: Option<Cursor>,
        /// How many members are looked at.
        #[serde(default)]
        limit: Limit,
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
        #[serde(deserialize_with = "users_asked")]
        user_ids: Vec<UserId>,
        /// Of this group; else of the direct conversations with the caller.
        conversation_id: Option<ConversationId>,
    }
);
request!(
    /// Asks what people are called.
    "getUsers" GetUsers {
        /// Who.
        #[serde(deserialize_with = "users_asked")]
        user_ids: Vec<UserId>,
    }
);
request!(
    /// Says what the caller is called: what isn't given stays, `null` takes it away.
    #[serde(rename = "where null counts")]
    "updateProfile" UpdateProfile {
        /// The name.
        #[serde(default, skip_serializing_if = "Change::is_none")]
        name: Change<Name>,
        /// The picture.
        #[serde(default, skip_serializing_if = "Change::is_none")]
        avatar: Change<Avatar>,
    }
);
request!(
    /// Blocks somebody.
    "blockUser" BlockUser {
        /// Whom.
        user_id: UserId,
    }
);
request!(
    /// Takes a block back.
    "unblockUser" UnblockUser {
        /// Whose.
        user_id: UserId,
    }
);
request!(
    /// Asks whom the caller has blocked.
    "getBlocked" GetBlocked {
        /// Where the page starts.
        cursor: Option<Cursor>,
        /// People a page.
        #[serde(default)]
        limit: Limit,
    }
);
request!(
    /// Mutes a conversation, or unmutes it.
    "mute" Mute {
        /// Which.
        conversation_id: ConversationId,
        /// Until then; for good, if not given. What is past unmutes.
        until: Option<Time>,
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

/// Up to where a conversation is marked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// Which.
    pub conversation_id: ConversationId,
    /// Up to here.
    pub seq: Seq,
}

/// What `markDelivered` and `markRead` mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marks {
    /// One conversation.
    One(Mark),
    /// Several, each once, in the order in which they were named first.
    Several(Vec<Mark>),
}

impl Marks {
    /// Of the fields: exactly one of `conversationId` with `seq`, and `marks`. Of a conversation that is named twice the higher
    /// number counts.
    ///
    /// # Errors
    /// [`Invalid::Field`] that names the field; [`Invalid::TooMany`].
    pub fn of(
        conversation_id: Option<ConversationId>,
        seq: Option<Seq>,
        marks: Option<Vec<Mark>>,
    ) -> Result<Self, Invalid> {
        match (conversation_id, seq, marks) {
            (Some(conversation_id), Some(seq), None) => Ok(Self::One(Mark { conversation_id, seq })),
            (None, None, Some(marks)) => Self::several(marks),
            (_, _, Some(_)) => Err(Invalid::field("marks", "give either conversationId and seq, or marks, not both")),
            (None, _, None) => Err(Invalid::field("conversationId", "give conversationId and seq, or marks")),
            (Some(_), None, None) => Err(Invalid::field("seq", "this field is missing")),
        }
    }

    fn several(asked: Vec<Mark>) -> Result<Self, Invalid> {
        if asked.is_empty() {
            return Err(Invalid::field("marks", "name at least one conversation"));
        }
        if asked.len() > MARKS_MAX {
            return Err(Invalid::TooMany { what: "marks", max: MARKS_MAX });
        }
        let mut marks: Vec<Mark> = Vec::with_capacity(asked.len());
        for mark in asked {
            match marks.iter_mut().find(|before| before.conversation_id == mark.conversation_id) {
                Some(before) => before.seq = before.seq.max(mark.seq),
                None => marks.push(mark),
            }
        }
        Ok(Self::Several(marks))
    }
}

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
    /// [`Invalid::Field`] when neither or both were given, or an attachment.
    pub fn target(&self) -> Result<Target, Invalid> {
        if self.attachment.is_some() {
            return Err(Invalid::field("attachment", "this deployment takes no attachments; leave it out"));
        }
        match (&self.conversation_id, &self.to) {
            (Some(conversation), None) => Ok(Target::Conversation(conversation.clone())),
            (None, Some(user)) => Ok(Target::User(user.clone())),
            (None, None) => Err(Invalid::field("conversationId", "give conversationId or to")),
            (Some(_), Some(_)) => Err(Invalid::field("to", "give either conversationId or to, not both")),
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

/// Reads `userIds`, 1 to [`USERS_ASKED_MAX`].
fn users_asked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<UserId>, D::Error> {
    let users = Vec::<UserId>::deserialize(deserializer)?;
    if users.is_empty() || users.len() > USERS_ASKED_MAX {
        return Err(serde::de::Error::custom(format!("1 to {USERS_ASKED_MAX} users")));
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(id: &str, seq: u64) -> Mark {
        Mark { conversation_id: id.parse().expect("an id"), seq: Seq(seq) }
    }

    #[test]
    fn of_a_conversation_that_is_marked_twice_the_higher_number_counts() {
        let marks = vec![mark("a", 2), mark("b", 5), mark("a", 3), mark("b", 4)];
        let marks = Marks::of(None, None, Some(marks)).expect("they are right");
        assert_eq!(marks, Marks::Several(vec![mark("a", 3), mark("b", 5)]));
    }

    #[test]
    fn so_many_marks_may_be_in_one_request() {
        let marks = |count: usize| Marks::of(None, None, Some(vec![mark("a", 1); count]));
        assert!(marks(MARKS_MAX).is_ok());
        assert_eq!(marks(MARKS_MAX + 1), Err(Invalid::TooMany { what: "marks", max: MARKS_MAX }));
    }

    #[test]
    fn what_is_marked_is_said_in_one_way() {
        let (id, seq, marks) = (Some(mark("a", 1).conversation_id), Some(Seq(1)), Some(vec![mark("a", 1)]));
        for (id, seq, marks, wrong) in [
            (None, None, None, "conversationId"),
            (None, seq, None, "conversationId"),
            (id.clone(), None, None, "seq"),
            (id.clone(), None, marks.clone(), "marks"),
            (None, seq, marks.clone(), "marks"),
            (id, seq, marks, "marks"),
            (None, None, Some(Vec::new()), "marks"),
        ] {
            let refused = Marks::of(id, seq, marks).expect_err("it is refused");
            assert!(matches!(&refused, Invalid::Field { field, .. } if field == wrong), "{refused}: {wrong}");
        }
    }
}
