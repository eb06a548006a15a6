//! SEGMENT: which object of the archive holds which numbers of a conversation. Segments follow each other without holes,
//! from META's `oldest_seq` up to `first_seq`; the one that begins at `first_seq`, if there is one, is being moved.

use serde::{Deserialize, Serialize};
use wire::{ConversationId, Seq};

use super::client::error::StoreError;
use super::client::item::{Item, from_item, to_item};
use super::client::{Read, Store, Written};
use super::table::{Key, SEGMENT_PREFIX, conversation_pk, segment_sk};

/// Consecutive numbers of a conversation, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The lowest number; it is the item's key.
    pub first: Seq,
    /// The highest number.
    pub last: Seq,
    /// The object's name.
    pub object: String,
}

/// What the item holds beside its key.
#[derive(Serialize, Deserialize)]
struct Held {
    last: Seq,
    object: String,
}

impl Store {
    /// Decides which numbers move together: **if no segment begins at its first number**. Returns the segment that does,
    /// this one or another's.
    pub async fn segment_decide(&self, conversation: &ConversationId, segment: Segment) -> Result<Segment, StoreError> {
        let held = Held { last: segment.last, object: segment.object.clone() };
        match self.put_new(Key::segment(conversation, segment.first), to_item(&held)?).await? {
            Written::Done(_) => Ok(segment),
            Written::Refused(Some(item)) => segment_of(item, segment.first),
            Written::Refused(None) => Err(StoreError::broken("a segment is there and is empty")),
        }
    }

    /// The segment that holds this number, strongly: the one with the highest first number that isn't above it.
    pub async fn segment_with(&self, conversation: &ConversationId, seq: Seq) -> Result<Option<Segment>, StoreError> {
        let query = self.query("#pk = :pk AND #sk BETWEEN :from AND :to").value(":pk", conversation_pk(conversation));
        let query = query.value(":from", segment_sk(Seq(0))).value(":to", segment_sk(seq));
        let page = query.read(Read::Strong).backwards().limit(1).page().await?;
        let segment = page.items.into_iter().next().map(segment_in).transpose()?;
        Ok(segment.filter(|segment| segment.last >= seq))
    }

    /// The segments of a conversation from this number on, strongly, in their order: at most LIMIT.
    pub async fn segments(
        &self,
        conversation: &ConversationId,
        from: Seq,
        limit: u32,
    ) -> Result<Vec<Segment>, StoreError> {
        let query = self.query("#pk = :pk AND #sk BETWEEN :from AND :to").value(":pk", conversation_pk(conversation));
        let query = query.value(":from", segment_sk(from)).value(":to", segment_sk(Seq(u64::MAX)));
        query.read(Read::Strong).limit(limit).page().await?.items.into_iter().map(segment_in).collect()
    }
}

/// A segment from its item.
fn segment_in(item: Item) -> Result<Segment, StoreError> {
    let key = Key::of(&item)?;
    let first = key.sk.strip_prefix(SEGMENT_PREFIX).and_then(|digits| digits.parse().ok());
    segment_of(item, Seq(first.ok_or_else(|| StoreError::broken(&format!("{} is no segment's key", key.sk)))?))
}

fn segment_of(item: Item, first: Seq) -> Result<Segment, StoreError> {
    let Held { last, object } = from_item(item)?;
    Ok(Segment { first, last, object })
}
