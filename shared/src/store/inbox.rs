//! INBOX: how far a user is in a conversation. One item per user and conversation; each number moves only forward, and
//! `read <= delivered <= last` always.

use serde::Deserialize;
use wire::derived::GROUP as GROUP_ID_PREFIX;
use wire::limits::GROUPS_MAX;
use wire::{ConversationId, Kind, Seq, Status, Time, UserId};

use super::client::condition::{Condition, Part};
use super::client::error::StoreError;
use super::client::item::{Item, attribute, from_item, ms, number, some_ms, text};
use super::client::{Read, Store, Update, Written};
use super::several::Several;
use super::table::{INBOX_PREFIX, Key, user_pk};
use super::work::{LIST, LIST_IF_NOT_LISTED, Listing, UNLIST};
use crate::limits::{CHANGES_MAX, GROUPS_LEFT_MAX, INBOX_PAGES_MAX};

/// What an inbox keeps of the others in its conversation. What each kind answers stands in `chat/kinds.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Side {
    /// Of two people.
    Direct {
        /// The other.
        peer: UserId,
    },
    /// Of a group.
    Group(Joined),
}

/// What an inbox keeps of its user's membership in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Joined {
    /// The membership's version.
    pub version: u64,
    /// The first number that the user may see.
    pub first_seq: Seq,
    /// When the user has gone, milliseconds since 1970.
    #[serde(default)]
    pub left_at: Option<i64>,
}

/// How far a user is in a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Inbox {
    /// Of which kind the conversation is, and who else is in it.
    #[serde(flatten)]
    pub side: Side,
    /// The highest number that it has been told of. Of a group TAIL says it: an inbox as it is kept doesn't.
    #[serde(default)]
    pub last_seq: Seq,
    /// What the user's devices have.
    pub delivered_seq: Seq,
    /// What the user has read.
    pub read_seq: Seq,
    /// When something was last said, or when it was made.
    #[serde(with = "ms")]
    pub last_at: Time,
    /// Until when the user has muted the conversation, if they have: [`FOR_GOOD`], or a moment that may be past.
    #[serde(default, with = "some_ms")]
    pub muted: Option<Time>,
}

/// Until when what is muted for good is muted. No request can name so late a moment.
pub const FOR_GOOD: Time = Time { ms: i64::MAX };

impl Inbox {
    /// The membership of its user, in a group.
    pub const fn joined(&self) -> Option<Joined> {
        match &self.side {
            Side::Direct { .. } => None,
            Side::Group(joined) => Some(*joined),
        }
    }

    /// Whether its user has gone: it is a tombstone.
    pub fn is_left(&self) -> bool {
        self.joined().is_some_and(|joined| joined.left_at.is_some())
    }

    /// How many messages the user hasn't read.
    pub fn unread(&self) -> u64 {
        self.last_seq.0.saturating_sub(self.read_seq.0)
    }

    /// How many messages none of the user's devices has.
    pub fn undelivered(&self) -> u64 {
        self.last_seq.0.saturating_sub(self.delivered_seq.0)
    }

    /// How far the message SEQ has come with this user.
    pub fn status_of(&self, seq: Seq) -> Status {
        match seq {
            seq if seq <= self.read_seq => Status::Read,
            seq if seq <= self.delivered_seq => Status::Delivered,
            _ => Status::Sent,
        }
    }
}

/// Which horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Horizon {
    /// The user's devices have it.
    Delivered,
    /// The user has read it; so it was delivered, too.
    Read,
}

/// A write that moves a horizon. An expression knows no maximum, so where something is read `delivered` moves along or stays:
/// two forms, each right for its case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The delivered one, **if** it is below and the inbox has been told of the number.
    Delivered,
    /// Both, **if** the read one is below, the delivered one not beyond, and the inbox has been told of the number.
    Read,
    /// The read one alone, **if** it is below. Only where [`Mark::Read`] was refused as `delivered` is beyond: it never goes back.
    ReadBehindDelivered,
}

impl Mark {
    /// What it writes, and on which condition: of a group the membership decides what may be marked.
    const fn form(self, of_group: bool) -> (&'static str, &'static Condition) {
        match (self, of_group) {
            (Self::Delivered, false) => ("SET #delivered_seq = :seq", &MARKS_DELIVERED),
            (Self::Delivered, true) => ("SET #delivered_seq = :seq", &MEMBER_MARKS_DELIVERED),
            (Self::Read, false) => ("SET #read_seq = :seq, #delivered_seq = :seq", &MARKS_READ),
            (Self::Read, true) => ("SET #read_seq = :seq, #delivered_seq = :seq", &MEMBER_MARKS_READ),
            (Self::ReadBehindDelivered, _) => ("SET #read_seq = :seq", &MARKS_READ_BEHIND_DELIVERED),
        }
    }
}

/// What became of a mark.
#[derive(Clone, Debug)]
pub enum Marked {
    /// It was made; the inbox as it is now.
    Here(Inbox),
    /// It was refused; the inbox as it is.
    Refused(Inbox),
    /// The user has no such inbox.
    NoInbox,
}

/// What became of muting, or of unmuting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Muted {
    /// It is as was asked, now or before.
    Here,
    /// The user has no such inbox.
    NoInbox,
}

/// What became of telling the sender's inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It knows, and its horizons are there.
    Here,
    /// It knew of a later one: its horizons are still to be moved.
    LaterCame,
}

/// A message's arrival in the inbox of a direct conversation.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// Where.
    pub conversation: &'a ConversationId,
    /// Its number.
    pub seq: Seq,
    /// Its time.
    pub at: Time,
    /// Who else is in the conversation.
    pub peer: UserId,
}

/// A message is told of, once; the inbox may not be there yet.
pub const ARRIVES: Condition = Condition {
    name: "an arrival",
    parts: &[Part {
        name: "it knows of none so high",
        expression: "attribute_not_exists(#last_seq) OR #last_seq < :seq",
    }],
};

/// The delivered horizon only moves forward, and to nothing that the inbox hasn't been told of.
pub const MARKS_DELIVERED: Condition = Condition {
    name: "a delivered mark",
    parts: &[
        Part { name: "it goes forward", expression: "#delivered_seq < :seq" },
        Part { name: "the inbox was told of it", expression: "#last_seq >= :seq" },
    ],
};

/// So does the read one, and takes the delivered one along.
pub const MARKS_READ: Condition = Condition {
    name: "a read mark",
    parts: &[
        Part { name: "it goes forward", expression: "#read_seq < :seq" },
        Part { name: "delivered doesn't go back", expression: "#delivered_seq <= :seq" },
        Part { name: "the inbox was told of it", expression: "#last_seq >= :seq" },
    ],
};

/// Only where [`MARKS_READ`], or [`MEMBER_MARKS_READ`], was refused as `delivered` is beyond: it never goes back. What a later
/// membership has read is beyond it, too.
pub const MARKS_READ_BEHIND_DELIVERED: Condition = Condition {
    name: "a read mark behind delivered",
    parts: &[Part { name: "it goes forward", expression: "#read_seq < :seq" }],
};

/// A mark in an inbox of an older membership would be lost when that is told of this one.
const OF_THIS_MEMBERSHIP: Part =
    Part { name: "it is of the membership that was read", expression: "#first_seq = :first_seq" };
/// Of an inbox whose membership wasn't read.
const STILL_IN: Part = Part { name: "its user hasn't gone", expression: "attribute_not_exists(#left_at)" };

/// The delivered horizon in a group: to a number that its log has.
pub const MEMBER_MARKS_DELIVERED: Condition = Condition {
    name: "a member's delivered mark",
    parts: &[Part { name: "it goes forward", expression: "#delivered_seq < :seq" }, OF_THIS_MEMBERSHIP],
};

/// So does the read one, and takes the delivered one along.
pub const MEMBER_MARKS_READ: Condition = Condition {
    name: "a member's read mark",
    parts: &[
        Part { name: "it goes forward", expression: "#read_seq < :seq" },
        Part { name: "delivered doesn't go back", expression: "#delivered_seq <= :seq" },
        OF_THIS_MEMBERSHIP,
    ],
};

/// An inbox learns of a membership that it has none of, or another one: its horizons begin anew.
pub const ANOTHER_MEMBERSHIP: Condition = Condition {
    name: "a membership begins",
    parts: &[
        Part { name: "it has an older one", expression: "(attribute_not_exists(#version) OR #version < :version)" },
        Part {
            name: "its horizons are another one's",
            expression: "(attribute_not_exists(#first_seq) OR #first_seq <> :first_seq)",
        },
    ],
};

/// An inbox learns of a newer version of the same membership: its horizons stay.
pub const SAME_MEMBERSHIP: Condition = Condition {
    name: "a membership goes on",
    parts: &[
        Part { name: "it has an older one", expression: "#version < :version" },
        Part { name: "its horizons are this one's", expression: "#first_seq = :first_seq" },
    ],
};

/// A tombstone goes with its MEMBER.
pub const STILL_LEFT: Condition = Condition {
    name: "an inbox is deleted",
    parts: &[Part { name: "nobody has come back since", expression: "#version <= :version" }],
};

/// A number that the log has is told of where that wasn't done.
pub const KNOWS_OF_LESS: Condition =
    Condition { name: "a raise", parts: &[Part { name: "it knows of none so high", expression: "#last_seq < :seq" }] };

/// Only what is there is muted, and only where that changes something: a repeat writes nothing.
pub const MUTES: Condition = Condition {
    name: "an inbox is muted",
    parts: &[
        Part { name: "the inbox is there", expression: "attribute_exists(#delivered_seq)" },
        Part { name: "it isn't muted until then", expression: "(attribute_not_exists(#muted) OR #muted <> :muted)" },
        STILL_IN,
    ],
};

/// Only what is muted is unmuted.
pub const UNMUTES: Condition = Condition {
    name: "an inbox is unmuted",
    parts: &[Part { name: "it is muted", expression: "attribute_exists(#muted)" }, STILL_IN],
};

/// Only an inbox in which nothing waits leaves the index.
pub const NOTHING_CAME_SINCE: Condition = Condition {
    name: "an inbox is unlisted",
    parts: &[Part { name: "nothing has come since the look", expression: "#last_seq = :seen" }],
};

/// What every inbox is made with, if it isn't there.
const ORIGIN: &str = "#kind = :kind, #peer = :peer";

impl Store {
    /// Makes an empty inbox of a direct conversation, **if there is none**.
    pub async fn inbox_create(
        &self,
        user: &UserId,
        conversation: &ConversationId,
        peer: &UserId,
        at: Time,
    ) -> Result<(), StoreError> {
        let item = Item::from([
            ("kind".to_owned(), attribute(Kind::Direct)?),
            ("peer".to_owned(), text(peer.as_str())),
            ("last_seq".to_owned(), number(0)),
            ("delivered_seq".to_owned(), number(0)),
            ("read_seq".to_owned(), number(0)),
            ("last_at".to_owned(), number(at.ms)),
        ]);
        self.put_new(Key::inbox(user, conversation), item).await.map(drop)
    }

    /// Tells an inbox of its user's membership in a group, **if** it has an older one or none; AT is when that has changed. The
    /// horizons of another membership begin anew, those of the same stay.
    pub async fn inbox_join(
        &self,
        user: &UserId,
        conversation: &ConversationId,
        joined: Joined,
        at: Time,
    ) -> Result<(), StoreError> {
        // An expression can't ask which it is: two forms. Most are of a new membership; who goes has had an inbox.
        let forms = [
            (&ANOTHER_MEMBERSHIP, ", #delivered_seq = :before, #read_seq = :before, #last_at = :at"),
            (&SAME_MEMBERSHIP, ""),
        ];
        let forms = if joined.left_at.is_some() { [forms[1], forms[0]] } else { forms };
        let (left, gone) = match joined.left_at {
            Some(_) => (", #left_at = :left_at", ""),
            None => ("", " REMOVE #left_at"),
        };
        for (condition, horizons) in forms.into_iter().cycle().take(CHANGES_MAX as usize) {
            let set = format!("SET #kind = :kind, #version = :version, #first_seq = :first_seq{horizons}{left}{gone}");
            let mut update = self.update(Key::inbox(user, conversation), &set).only_if(condition);
            update = update.value(":kind", attribute(Kind::Group)?).value(":version", number(joined.version));
            update = update.value(":first_seq", number(joined.first_seq));
            if !horizons.is_empty() {
                let before = joined.first_seq.before();
                update = update.value(":before", number(before)).value(":at", number(at.ms));
            }
            if let Some(left_at) = joined.left_at {
                update = update.value(":left_at", number(left_at));
            }
            match update.run().await? {
                Written::Done(_) => return Ok(()),
                Written::Refused(Some(item)) => {
                    // This one, or a newer: then there is nothing to tell.
                    if inbox_of(item)?.joined().is_some_and(|there| there.version >= joined.version) {
                        return Ok(());
                    }
                }
                Written::Refused(None) => {}
            }
        }
        Err(StoreError::contended("an inbox that others tell of memberships"))
    }

    /// Deletes the inbox of who has left a group, **if** nobody has come back since.
    pub async fn inbox_delete(
        &self,
        user: &UserId,
        conversation: &ConversationId,
        version: u64,
    ) -> Result<(), StoreError> {
        let delete = self.delete(Key::inbox(user, conversation), &STILL_LEFT);
        delete.value(":version", number(version)).run().await
    }

    /// Reads one inbox, as it is kept.
    pub async fn inbox(
        &self,
        user: &UserId,
        conversation: &ConversationId,
        read: Read,
    ) -> Result<Option<Inbox>, StoreError> {
        self.get(Key::inbox(user, conversation), read).await?.map(inbox_of).transpose()
    }

    /// Whether a user has an inbox for a conversation, strongly; it needn't be one that can be read.
    pub async fn inbox_is_there(&self, user: &UserId, conversation: &ConversationId) -> Result<bool, StoreError> {
        Ok(!self.get_many(&[Key::inbox(user, conversation)], Read::Strong).await?.is_empty())
    }

    /// Reads many inboxes by their keys, strongly, with their keys; those that don't exist are left out. Strongly: a status
    /// that somebody was told of is not taken back.
    pub async fn inboxes(&self, keys: &[Key]) -> Result<Several<(Key, Inbox)>, StoreError> {
        let items = self.get_many(keys, Read::Strong).await?;
        Several::of(items, |key, item| Ok((key.clone(), inbox_of(item)?)))
    }

    /// Reads all of a user's inboxes, up to [`INBOX_PAGES_MAX`] pages of 1 MB.
    ///
    /// Keeping them in the order of activity would cost two index writes per message and person; reading a user's whole
    /// partition costs one read unit per 25 conversations, and is needed for the sum of the unread anyway.
    pub async fn inbox_all(&self, user: &UserId, read: Read) -> Result<Several<(ConversationId, Inbox)>, StoreError> {
        let mut inboxes = Several { read: Vec::new(), skipped: Vec::new() };
        let mut start = None;
        for _ in 0..INBOX_PAGES_MAX {
            let query = self.query("#pk = :pk AND begins_with(#sk, :sk)").value(":pk", user_pk(user));
            let page = query.value(":sk", INBOX_PREFIX).read(read).starting_after(start).page().await?;
            let inbox = |key: &Key, item| Ok((inbox_conversation(key)?, inbox_of(item)?));
            let Several { read, skipped } = Several::of(page.items, inbox)?;
            inboxes.read.extend(read);
            inboxes.skipped.extend(skipped);
            start = page.next;
            if start.is_none() {
                return Ok(inboxes);
            }
        }
        tracing::warn!(conversations = inboxes.read.len(), "a user has more conversations than are read");
        Ok(inboxes)
    }

    /// How many groups a user is in, as far as the inboxes say, and how many the user has left of which a tombstone is kept; counted
    /// up to a little more than there may be of one of them.
    pub async fn inbox_groups(&self, user: &UserId) -> Result<(usize, usize), StoreError> {
        let (mut groups, mut left, mut start) = (0, 0, None);
        while groups < GROUPS_MAX && left < GROUPS_LEFT_MAX {
            let query = self.query("#pk = :pk AND begins_with(#sk, :sk)").value(":pk", user_pk(user));
            let query = query.value(":sk", format!("{INBOX_PREFIX}{GROUP_ID_PREFIX}")).project("#pk, #sk, #left_at");
            let page = query.read(Read::Eventual).starting_after(start).page().await?;
            let gone = page.items.iter().filter(|item| item.contains_key("left_at")).count();
            groups += page.items.len() - gone;
            left += gone;
            start = page.next;
            if start.is_none() {
                break;
            }
        }
        Ok((groups, left))
    }

    /// Tells a receiver's inbox of a message, **if** it knows of none so high. Marks it as waiting.
    pub async fn inbox_receive(&self, user: &UserId, arrival: &Arrival<'_>) -> Result<(), StoreError> {
        let update = self.update(
            Key::inbox(user, arrival.conversation),
            &format!(
                "SET #last_seq = :seq, #last_at = :at, #delivered_seq = if_not_exists(#delivered_seq, :zero), \
                 #read_seq = if_not_exists(#read_seq, :zero), {LIST_IF_NOT_LISTED}, {ORIGIN}"
            ),
        );
        let update = arrives(update, arrival)?.value(":zero", number(0)).at(&Listing::waiting(
            arrival.at,
            user,
            arrival.conversation,
        ));
        update.run().await.map(drop)
    }

    /// Tells the sender's inbox of its own message: who writes has read. **If** it knows of none so high.
    pub async fn inbox_sent(&self, user: &UserId, arrival: &Arrival<'_>) -> Result<Told, StoreError> {
        let update = self.update(
            Key::inbox(user, arrival.conversation),
            &format!("SET #last_seq = :seq, #last_at = :at, #delivered_seq = :seq, #read_seq = :seq, {ORIGIN}"),
        );
        match arrives(update, arrival)?.run().await? {
            Written::Done(_) => Ok(Told::Here),
            Written::Refused(_) => Ok(Told::LaterCame),
        }
    }

    /// Moves a horizon forward to SEQ, **if** what [`Mark`] says holds; in a group, also **if** the inbox is of the membership that
    /// begins with `first_seq`.
    pub async fn inbox_mark(
        &self,
        user: &UserId,
        conversation: &ConversationId,
        mark: Mark,
        seq: Seq,
        first_seq: Option<Seq>,
    ) -> Result<Marked, StoreError> {
        let (expression, condition) = mark.form(first_seq.is_some());
        let mut update = self.update(Key::inbox(user, conversation), expression).only_if(condition);
        if let Some(first_seq) = first_seq.filter(|_| mark != Mark::ReadBehindDelivered) {
            update = update.value(":first_seq", number(first_seq));
        }
        match update.value(":seq", number(seq)).run().await? {
            Written::Done(item) => Ok(Marked::Here(inbox_of(item)?)),
            Written::Refused(Some(item)) => Ok(Marked::Refused(inbox_of(item)?)),
            Written::Refused(None) => Ok(Marked::NoInbox),
        }
    }

    /// Mutes an inbox until a moment, **if** it is there and isn't yet; without one, unmutes it, **if** it is muted. The last one
    /// counts.
    pub async fn inbox_mute(
        &self,
        user: &UserId,
        conversation: &ConversationId,
        until: Option<Time>,
    ) -> Result<Muted, StoreError> {
        let key = Key::inbox(user, conversation);
        let update = match until {
            Some(until) => self.update(key, "SET #muted = :muted").only_if(&MUTES).value(":muted", number(until.ms)),
            None => self.update(key, "REMOVE #muted").only_if(&UNMUTES),
        };
        match update.run().await? {
            Written::Done(_) => Ok(Muted::Here),
            Written::Refused(Some(item)) => match inbox_of(item)?.is_left() {
                true => Ok(Muted::NoInbox),
                false => Ok(Muted::Here),
            },
            Written::Refused(None) => Ok(Muted::NoInbox),
        }
    }

    /// Tells an inbox of a number that its log has, **if** it is there and knows of none so high: a reader may be faster
    /// than the sender's last write. Marks it as waiting, as that write would have: the reader may stop before its mark.
    pub async fn inbox_raise_last(
        &self,
        user: &UserId,
        conversation: &ConversationId,
        seq: Seq,
        now: Time,
    ) -> Result<(), StoreError> {
        let update =
            self.update(Key::inbox(user, conversation), &format!("SET #last_seq = :seq, {LIST_IF_NOT_LISTED}"));
        let update = update.only_if(&KNOWS_OF_LESS).value(":seq", number(seq));
        update.at(&Listing::waiting(now, user, conversation)).run().await.map(drop)
    }

    /// Has the sweep ask again a while after NOW whether something waits.
    ///
    /// No condition: where another has taken it out meanwhile the sweep looks once for nothing.
    pub async fn inbox_list(&self, key: Key, now: Time) -> Result<(), StoreError> {
        let place = Listing::waiting(now, &key.owner()?, &inbox_conversation(&key)?);
        self.update(key, LIST).at(&place).run().await.map(drop)
    }

    /// Takes an inbox in which nothing was undelivered out of the index of those that wait, **if** nothing has come since:
    /// `delivered_seq` never goes back and is never above `last_seq`.
    pub async fn inbox_unlist(&self, key: Key, seen: &Inbox) -> Result<(), StoreError> {
        let update = self.update(key, UNLIST);
        let update = update.only_if(&NOTHING_CAME_SINCE);
        update.value(":seen", number(seen.last_seq)).run().await.map(drop)
    }
}

/// What the two kinds of arrival have in common.
fn arrives<'a>(update: Update<'a>, arrival: &Arrival<'_>) -> Result<Update<'a>, StoreError> {
    Ok(update
        .only_if(&ARRIVES)
        .value(":seq", number(arrival.seq))
        .value(":at", number(arrival.at.ms))
        .value(":kind", attribute(Kind::Direct)?)
        .value(":peer", text(arrival.peer.as_str())))
}

/// An inbox as it is kept. A direct one says itself up to where it was told.
fn inbox_of(item: Item) -> Result<Inbox, StoreError> {
    let (tells, key) = (item.contains_key("last_seq"), Key::of(&item));
    let inbox: Inbox = from_item(item)?;
    match inbox.side {
        Side::Direct { .. } if !tells => {
            let key = key.map(|key| key.to_string()).unwrap_or_default();
            Err(StoreError::broken(&format!("{key} can't be read: it has no last_seq")))
        }
        _ => Ok(inbox),
    }
}

/// The conversation that an INBOX's key names.
pub fn inbox_conversation(key: &Key) -> Result<ConversationId, StoreError> {
    let id = key.sk.strip_prefix(INBOX_PREFIX).and_then(|id| id.parse().ok());
    id.ok_or_else(|| StoreError::broken(&format!("{} is no inbox's key", key.sk)))
}
