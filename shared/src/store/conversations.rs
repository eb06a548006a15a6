//! META: what a conversation is. Its id is derived from who is in it, so creating is one put if absent.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use wire::{ConversationId, Kind, Seq, Time, UserId, direct_id};

use super::client::error::StoreError;
use super::client::item::{AttributeValue, from_item, ms, number, text, to_item};
use super::client::{Read, Store, Written};
use super::table::Key;
use super::work::{LIST, Listing, UNLIST, before, latest_look};
use crate::limits::CLEANUP_LOOK_EVERY;

/// What a conversation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Which; also in the key.
    pub id: ConversationId,
    /// What kind.
    pub kind: Kind,
    /// Who is in it.
    pub members: Vec<UserId>,
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
        Self {
            id: direct_id(&members[0], &members[1]),
            kind: Kind::Direct,
            created_by: members[0].clone(),
            members: members.to_vec(),
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

    /// Whether the cleanup was to look at it before now, or a clock that was wrong has said when.
    pub fn is_due(&self, now: Time) -> bool {
        self.listed.as_ref().is_some_and(|listed| *listed < before(now) || *listed > before(latest_look(now)))
    }
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
    There(Meta),
}

impl Store {
    /// Reads META, strongly.
    pub async fn conversation(&self, id: &ConversationId) -> Result<Option<Meta>, StoreError> {
        self.get(Key::meta(id), Read::Strong).await?.map(from_item).transpose()
    }

    /// Reads many METAs. Only one that a cheap read doesn't find is read strongly: it may have been made a moment ago. In the
    /// others `first_seq` may be old by seconds; what has moved meanwhile is still in the table for [`crate::limits::DELETE_AFTER`].
    pub async fn conversations(
        &self,
        ids: impl Iterator<Item = &ConversationId>,
    ) -> Result<HashMap<ConversationId, Meta>, StoreError> {
        let mut missing: Vec<&ConversationId> = ids.collect();
        let mut found = HashMap::new();
        for read in [Read::Eventual, Read::Strong] {
            let keys: Vec<Key> = missing.iter().map(|id| Key::meta(id)).collect();
            for item in self.get_many(&keys, read).await? {
                let meta: Meta = from_item(item)?;
                found.insert(meta.id.clone(), meta);
            }
            missing.retain(|id| !found.contains_key(*id));
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
                if there.creation == meta.creation { Ok(Created::Here) } else { Ok(Created::There(there)) }
            }
            Written::Refused(None) => Err(StoreError::broken("a conversation is there and is empty")),
        }
    }

    /// Moves the lowest number that is read from the table, **if** it is still the one that was moved from; then what
    /// [`Moved::deleted`] says of that number is still news, or what META says. The next look comes when what has moved
    /// may be deleted. With DISCARD nothing below is kept.
    pub async fn conversation_move(
        &self,
        id: &ConversationId,
        moved: &Moved,
        discard: bool,
    ) -> Result<bool, StoreError> {
        let oldest = if discard { ", #oldest_seq = :to" } else { "" };
        let deleted = if moved.deleted { ", #deleted_below = :from" } else { "" };
        let update = self.update(Key::meta(id), &format!("{LIST}, #first_seq = :to, #moved_at = :at{oldest}{deleted}"));
        let update = update.only_if("#first_seq = :from").value(":from", number(moved.from));
        let update = update.value(":to", number(moved.to));
        let update = update.value(":at", number(moved.at.ms)).at(&Listing::archive(moved.look_at, id));
        Ok(matches!(update.run().await?, Written::Done(_)))
    }

    /// Says that the table has nothing below a number, **if** that is news: another run may have deleted more.
    pub async fn conversation_deleted(&self, id: &ConversationId, below: Seq) -> Result<(), StoreError> {
        let update = self.update(Key::meta(id), "SET #deleted_below = :below");
        update.only_if("#deleted_below < :below").value(":below", number(below)).run().await.map(drop)
    }

    /// Says when the cleanup looks again.
    ///
    /// No condition: of two looks at once each has seen what it says. That goes for [`Look::deleted_below`], too: it is
    /// META's `first_seq`, and what moves after that was read is deleted when no such look can arrive any more
    /// ([`crate::limits::DELETE_AFTER`]). And for [`Look::moved_at`]: what another run moves meanwhile moves in the same minutes.
    pub async fn conversation_look_again(&self, id: &ConversationId, look: &Look) -> Result<(), StoreError> {
        let deleted = if look.deleted_below.is_some() { ", #deleted_below = :below" } else { "" };
        let idle = if look.idle { ", #idle = :idle" } else { "" };
        let moved_at = if look.moved_at.is_some() { ", #moved_at = :moved_at" } else { "" };
        let mut update = self.update(Key::meta(id), &format!("{LIST}{deleted}{idle}{moved_at}"));
        if let Some(below) = look.deleted_below {
            update = update.value(":below", number(below));
        }
        if let Some(at) = look.moved_at {
            update = update.value(":moved_at", number(at.ms));
        }
        if look.idle {
            update = update.value(":idle", AttributeValue::Bool(true));
        }
        update.at(&Listing::archive(look.at, id)).run().await.map(drop)
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
        let update = update.only_if("#work_sk = :seen").value(":seen", text(seen));
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
pub struct Moved {
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

/// A look of the cleanup's that is to come.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// When.
    pub at: Time,
    /// Whether there is nothing more to do until then, so that the next message lists the conversation anew.
    pub idle: bool,
    /// The number below which the table has nothing any more, when all is deleted that had moved.
    pub deleted_below: Option<Seq>,
    /// When what had moved is said to have moved, where a clock that was wrong had said it.
    pub moved_at: Option<Time>,
}

/// When the cleanup looks at a conversation in which something was said.
fn look_at(at: Time) -> Time {
    at.after(CLEANUP_LOOK_EVERY)
}
