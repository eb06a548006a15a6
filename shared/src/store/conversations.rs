//! META: what a conversation is. Its id is derived from who is in it, so creating is one put if absent.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use wire::{Avatar, ConversationId, Name, Seq, Time, UserId, direct_id};

use super::client::condition::{Condition, Part};
use super::client::error::StoreError;
use super::client::item::{AttributeValue, attribute, from_item, ms, number, text, to_item};
use super::client::{Read, Store, Written};
use super::requests::Requests;
use super::several::Several;
use super::table::Key;
use super::work::{LIST, Listing, UNLIST, before, latest_look};
use crate::clock::is_to_come;
use crate::limits::{CLEANUP_LOOK_EVERY, DELETE_AFTER};

/// Who is in a conversation. What each kind answers stands in `chat/kinds.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Who {
    /// Two people.
    Direct {
        /// Who made it, and the other.
        members: [UserId; 2],
    },
    /// A group: its members are items of their own.
    Group(Group),
}

/// What META keeps of a group: what people change, and nothing that grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What it is called.
    pub name: Name,
    /// Where its picture is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<Avatar>,
    /// How many are in it, as they were last counted.
    pub count: usize,
    /// Counts each change of what META says of the group.
    pub roster: u64,
    /// What was asked for when it was made, hashed.
    pub asked: String,
    /// Whether all its first members are there. Until then there is no such group for anybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Whether it was given up: it never becomes whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// The last requests that have changed its name or picture.
    #[serde(default, skip_serializing_if = "Requests::is_empty")]
    pub requests: Requests,
}

/// What a conversation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Which; also in the key.
    pub id: ConversationId,
    /// Who is in it, as its kind keeps that.
    #[serde(flatten)]
    pub who: Who,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    #[serde(with = "ms")]
    pub created_at: Time,
    /// The invocation that made it: tells our own write, applied with its answer lost, from another's.
    pub creation: String,
    /// The lowest number that is read from the table; those below are in the archive.
    #[serde(default = "first")]
    pub first_seq: Seq,
    /// The lowest number that is kept at all; those below were discarded, where there is no archive.
    #[serde(default = "first", skip_serializing)]
    pub oldest_seq: Seq,
    /// The number below which the table has nothing any more; from here up to `first_seq` it may still have something.
    #[serde(default = "first")]
    pub deleted_below: Seq,
    /// When `first_seq` last moved.
    #[serde(default, with = "ms", skip_serializing)]
    pub moved_at: Time,
    /// Whether the cleanup has found nothing more to do here: whoever finishes a message lists it again.
    #[serde(default, skip_serializing)]
    pub idle: bool,
    /// Where it stands in the index of what is due; each look of the cleanup's puts it elsewhere.
    #[serde(default, rename = "work_sk", skip_serializing)]
    pub listed: Option<String>,
}

impl Meta {
    /// A new conversation of two people, made by the first.
    pub fn direct(members: [UserId; 2], created_at: Time, creation: String) -> Self {
        let (id, created_by) = (direct_id(&members[0], &members[1]), members[0].clone());
        Self::new(id, Who::Direct { members }, created_by, created_at, creation)
    }

    /// A new one.
    pub fn new(id: ConversationId, who: Who, created_by: UserId, created_at: Time, creation: String) -> Self {
        Self {
            id,
            created_by,
            who,
            created_at,
            creation,
            first_seq: first(),
            oldest_seq: first(),
            deleted_below: first(),
            moved_at: Time::default(),
            idle: false,
            listed: None,
        }
    }

    /// How far the cleanup is with it.
    pub fn stage(&self, now: Time) -> Stage {
        if is_to_come(self.moved_at, now) {
            Stage::Undated
        } else if self.deleted_below == self.first_seq {
            Stage::Clean { idle: self.idle }
        } else if self.moved_at.after(DELETE_AFTER) <= now {
            Stage::Deletable
        } else {
            Stage::Moved
        }
    }

    /// Whether the cleanup was to look at it before now, or a clock that was wrong has said when.
    pub fn is_due(&self, now: Time) -> bool {
        self.listed.as_ref().is_some_and(|listed| *listed < before(now) || *listed > before(latest_look(now)))
    }
}

/// How far the cleanup is with a conversation. What it does in its turn, and where that leads:
///
/// | stage | in its turn | then |
/// |---|---|---|
/// | [`Stage::Undated`] | says that it moved now: [`NextLook::Dated`] | `Moved` |
/// | [`Stage::Moved`] | moves more, if there is: [`Move`]; else waits: [`NextLook::Undeleted`] | `Moved`, and by time `Deletable` |
/// | [`Stage::Deletable`] | deletes | goes on as `Clean`; cut short, stays |
/// | [`Stage::Clean`] | moves, if there is: [`Move`] | `Moved` |
/// | | else, where something may come to be moved: [`NextLook::Clean`] | the same |
/// | | else [`NextLook::Idle`] | `idle` |
/// | `idle` | the same; where nothing can be moved, it leaves the index | out of it |
/// | any, by who finishes a message and reads `idle` | lists it anew | not `idle` |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has moved at a time that is to come: a clock was wrong.
    Undated,
    /// What has moved is still in the table: who read META before the move reads it there.
    Moved,
    /// Nobody is left who reads in the table what has moved.
    Deletable,
    /// The table has nothing that has moved.
    Clean {
        /// Whether it was found so, with nothing to do until somebody says something.
        idle: bool,
    },
}

/// The number of a conversation's first message.
fn first() -> Seq {
    Seq(1)
}

/// What became of creating a conversation.
#[derive(Debug)]
pub enum Created {
    /// This attempt made it.
    Here,
    /// It was there.
    There(Box<Meta>),
}

/// What moves begins where readers begin to read the table.
pub const NOT_MOVED_SINCE: Condition = Condition {
    name: "a move",
    parts: &[Part { name: "no other move since the look", expression: "#first_seq = :from" }],
};

/// Another run may have deleted more.
pub const DELETED_LESS: Condition = Condition {
    name: "a deletion is told",
    parts: &[Part { name: "it is news", expression: "#deleted_below < :below" }],
};

/// Only a conversation that no message has listed anew leaves the index.
pub const STANDS_WHERE_SEEN: Condition = Condition {
    name: "a conversation is unlisted",
    parts: &[Part { name: "nobody has listed it since the look", expression: "#work_sk = :seen" }],
};

/// What META says of a group changes from what was read.
pub const ROSTER_AS_READ: Condition = Condition {
    name: "a group changes",
    parts: &[Part { name: "it is the one that was read", expression: "#roster = :seen" }],
};

/// A group becomes whole once all its first members are there. META is, whatever becomes of it.
pub const NOT_GIVEN_UP: Condition = Condition {
    name: "a group is whole",
    parts: &[Part { name: "it wasn't given up", expression: "attribute_not_exists(#gone)" }],
};

/// A group whose creation has stopped is given up.
pub const NEVER_WHOLE: Condition = Condition {
    name: "a group is given up",
    parts: &[Part { name: "it isn't whole", expression: "attribute_not_exists(#whole)" }],
};

impl Store {
    /// Reads META, strongly.
    pub async fn conversation(&self, id: &ConversationId) -> Result<Option<Meta>, StoreError> {
        self.get(Key::meta(id), Read::Strong).await?.map(from_item).transpose()
    }

    /// Reads many METAs. Only one that a cheap read doesn't find is read strongly: it may have been made a moment ago. In the
    /// others `first_seq` may be old by seconds; what has moved meanwhile is still in the table for [`DELETE_AFTER`].
    pub async fn conversations(
        &self,
        ids: impl Iterator<Item = &ConversationId>,
    ) -> Result<Several<(ConversationId, Meta)>, StoreError> {
        let mut missing: Vec<Key> = ids.map(Key::meta).collect();
        let mut found = Several { read: Vec::new(), skipped: Vec::new() };
        for read in [Read::Eventual, Read::Strong] {
            let meta = |_: &Key, item| from_item::<Meta>(item).map(|meta| (meta.id.clone(), meta));
            let Several { read, skipped } = Several::of(self.get_many(&missing, read).await?, meta)?;
            let there: HashSet<Key> = read.iter().map(|(id, _)| Key::meta(id)).chain(skipped.clone()).collect();
            missing.retain(|key| !there.contains(key));
            found.read.extend(read);
            found.skipped.extend(skipped);
        }
        Ok(found)
    }

    /// Creates a conversation **if there is none** with this id. It is listed for the cleanup at once: later would cost
    /// a write of its own.
    pub async fn conversation_create(&self, meta: &Meta) -> Result<Created, StoreError> {
        let mut item = to_item(meta)?;
        item.extend(Listing::archive(look_at(meta.created_at), &meta.id).item());
        match self.put_new(Key::meta(&meta.id), item).await? {
            Written::Done(_) => Ok(Created::Here),
            Written::Refused(Some(item)) => {
                let there: Meta = from_item(item)?;
                if there.creation == meta.creation { Ok(Created::Here) } else { Ok(Created::There(Box::new(there))) }
            }
            Written::Refused(None) => Err(StoreError::broken("a conversation is there and is empty")),
        }
    }

    /// Says that all first members of a group are there, **if** it wasn't given up; says whether it is whole.
    pub async fn group_whole(&self, id: &ConversationId) -> Result<bool, StoreError> {
        let update = self.update(Key::meta(id), "SET #whole = :true").only_if(&NOT_GIVEN_UP);
        Ok(matches!(update.value(":true", attribute(true)?).run().await?, Written::Done(_)))
    }

    /// Gives a group up **if it isn't whole**; says whether it is given up.
    pub async fn group_give_up(&self, id: &ConversationId) -> Result<bool, StoreError> {
        let update = self.update(Key::meta(id), "SET #gone = :true").only_if(&NEVER_WHOLE);
        Ok(matches!(update.value(":true", attribute(true)?).run().await?, Written::Done(_)))
    }

    /// Says what a group is called, **if its roster is the one read**; says whether it did.
    pub async fn group_rename(&self, id: &ConversationId, seen: u64, group: &Group) -> Result<bool, StoreError> {
        let avatar = if group.avatar.is_some() { ", #avatar = :avatar" } else { "" };
        let set = format!("SET #name = :name, #requests = :requests, #roster = :roster{avatar}");
        let mut update = self.update(Key::meta(id), &set).only_if(&ROSTER_AS_READ);
        if let Some(avatar) = &group.avatar {
            update = update.value(":avatar", text(avatar.as_str()));
        }
        let update = update.value(":name", text(group.name.as_str())).value(":requests", attribute(&group.requests)?);
        let update = update.value(":seen", number(seen)).value(":roster", number(seen + 1));
        Ok(matches!(update.run().await?, Written::Done(_)))
    }

    /// Says how many were counted, **if the roster is the one read before**; says whether it did.
    pub async fn group_count(&self, id: &ConversationId, seen: u64, count: usize) -> Result<bool, StoreError> {
        let update = self.update(Key::meta(id), "SET #count = :count, #roster = :roster").only_if(&ROSTER_AS_READ);
        let update = update.value(":count", number(count)).value(":seen", number(seen));
        Ok(matches!(update.value(":roster", number(seen + 1)).run().await?, Written::Done(_)))
    }

    /// Moves the lowest number that is read from the table, **if** it is still the one that was moved from; then what
    /// [`Move::deleted`] says of that number is still news, or what META says. The next look comes when what has moved
    /// may be deleted. With DISCARD nothing below is kept.
    pub async fn conversation_move(
        &self,
        id: &ConversationId,
        moved: &Move,
        discard: bool,
    ) -> Result<bool, StoreError> {
        let oldest = if discard { ", #oldest_seq = :to" } else { "" };
        let deleted = if moved.deleted { ", #deleted_below = :from" } else { "" };
        let update = self.update(Key::meta(id), &format!("{LIST}, #first_seq = :to, #moved_at = :at{oldest}{deleted}"));
        let update = update.only_if(&NOT_MOVED_SINCE).value(":from", number(moved.from));
        let update = update.value(":to", number(moved.to));
        let update = update.value(":at", number(moved.at.ms)).at(&Listing::archive(moved.look_at, id));
        Ok(matches!(update.run().await?, Written::Done(_)))
    }

    /// Says that the table has nothing below a number, **if** that is news: another run may have deleted more.
    pub async fn conversation_deleted(&self, id: &ConversationId, below: Seq) -> Result<(), StoreError> {
        let update = self.update(Key::meta(id), "SET #deleted_below = :below");
        update.only_if(&DELETED_LESS).value(":below", number(below)).run().await.map(drop)
    }

    /// Says when the cleanup looks again, and what this look has found.
    ///
    /// No condition: of two looks at once each has seen what it says. That goes for the number below which nothing is left,
    /// too: it is META's `first_seq`, and what moves after that was read is deleted when no such look can arrive any more
    /// ([`DELETE_AFTER`]). And for when it has moved: what another run moves meanwhile moves in the same minutes.
    pub async fn conversation_look_again(&self, id: &ConversationId, next: NextLook) -> Result<(), StoreError> {
        let (at, found) = match next {
            NextLook::Dated { at, .. } => (at, ", #moved_at = :moved_at"),
            NextLook::Undeleted { at } => (at, ""),
            NextLook::Clean { at, .. } => (at, ", #deleted_below = :below"),
            NextLook::Idle { at, .. } => (at, ", #deleted_below = :below, #idle = :idle"),
        };
        let update = self.update(Key::meta(id), &format!("{LIST}{found}")).at(&Listing::archive(at, id));
        let update = match next {
            NextLook::Dated { moved_at, .. } => update.value(":moved_at", number(moved_at.ms)),
            NextLook::Undeleted { .. } => update,
            NextLook::Clean { below, .. } => update.value(":below", number(below)),
            NextLook::Idle { below, .. } => {
                update.value(":below", number(below)).value(":idle", AttributeValue::Bool(true))
            }
        };
        update.run().await.map(drop)
    }

    /// Takes an idle conversation out of the index, **if** it is where it was seen: no message has listed it anew. The
    /// table has nothing below a number: as in the look before, that needs no condition.
    pub async fn conversation_unlist(
        &self,
        id: &ConversationId,
        seen: &str,
        deleted_below: Seq,
    ) -> Result<(), StoreError> {
        let update = self.update(Key::meta(id), &format!("SET #deleted_below = :below {UNLIST}"));
        let update = update.only_if(&STANDS_WHERE_SEEN).value(":seen", text(seen));
        update.value(":below", number(deleted_below)).run().await.map(drop)
    }

    /// Lists a conversation anew that is idle: a message has come.
    pub async fn conversation_relist(&self, id: &ConversationId, at: Time) -> Result<(), StoreError> {
        let update = self.update(Key::meta(id), &format!("{LIST} REMOVE #idle"));
        update.at(&Listing::archive(look_at(at), id)).run().await.map(drop)
    }
}

/// A move of the lowest number that is read from the table.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// From here.
    pub from: Seq,
    /// To here.
    pub to: Seq,
    /// When.
    pub at: Time,
    /// When the cleanup looks again.
    pub look_at: Time,
    /// Whether the table has nothing below `from` any more.
    pub deleted: bool,
}

/// When the cleanup looks again, and what it has found.
#[derive(Clone, Copy, Debug)]
pub enum NextLook {
    /// It is taken to have moved at this moment.
    Dated {
        /// When it looks.
        at: Time,
        /// The moment.
        moved_at: Time,
    },
    /// What has moved can't be deleted yet.
    Undeleted {
        /// When it looks.
        at: Time,
    },
    /// All is deleted that has moved.
    Clean {
        /// When it looks.
        at: Time,
        /// The table has nothing below this number.
        below: Seq,
    },
    /// The same, and there is nothing to do until somebody says something: who does so lists the conversation anew.
    Idle {
        /// When it looks.
        at: Time,
        /// The table has nothing below this number.
        below: Seq,
    },
}

/// When the cleanup looks at a conversation in which something was said.
fn look_at(at: Time) -> Time {
    at.after(CLEANUP_LOOK_EVERY)
}
