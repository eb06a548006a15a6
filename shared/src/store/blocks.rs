//! BLOCK: whether a user blocks another. Once it was made it stays, also when the block is taken back: its version tells a late
//! repeat of an older request from a new one.

use std::collections::HashSet;

use serde::Deserialize;
use wire::{Cursor, Limit, Seq, UserId};

use super::client::condition::{Condition, Part};
use super::client::error::StoreError;
use super::client::item::{AttributeValue, Item, from_item, number};
use super::client::{Read, Store, Written};
use super::inbox::Inbox;
use super::several::Several;
use super::table::{BLOCK_PREFIX, Key, user_pk};
use crate::error::Error;
use crate::limits::BLOCK_PAGES_MAX;

/// Whether a user blocks another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Block {
    /// How often it was written.
    pub version: u64,
    /// Whether the block holds.
    #[serde(default)]
    pub blocked: bool,
    /// Of the blocked one, in the direct conversation: what their devices had before. The blocker sees no more of it.
    #[serde(default)]
    pub delivered_seq: Seq,
    /// And what they had read.
    #[serde(default)]
    pub read_seq: Seq,
}

/// What became of changing a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is as was asked.
    Here,
    /// It was written since the look, perhaps by this very request, whose answer was lost.
    ByAnother,
}

/// A block is changed by who has seen it as it is: an older request that comes late undoes nothing.
pub const UNCHANGED_SINCE: Condition = Condition {
    name: "a block changes",
    parts: &[Part { name: "nobody has changed it since the look", expression: "#version = :seen" }],
};

impl Store {
    /// Of these BLOCKs those that hold. One that can't be read does: nobody is let through because of damage.
    pub async fn blocks_that_hold(&self, blocks: &[Key], read: Read) -> Result<HashSet<Key>, StoreError> {
        let blocks = blocks_of(self.get_many(blocks, read).await?)?;
        let read = blocks.read.into_iter().filter(|(_, block)| block.blocked).map(|(key, _)| key);
        Ok(read.chain(blocks.skipped).collect())
    }

    /// Reads inboxes and BLOCKs by their keys, strongly and at once, with their keys; those that don't exist are left out.
    pub async fn inboxes_and_blocks(
        &self,
        inboxes: &[Key],
        blocks: &[Key],
    ) -> Result<(Several<(Key, Inbox)>, Several<(Key, Block)>), StoreError> {
        let items = self.get_many(&[inboxes, blocks].concat(), Read::Strong).await?;
        let is_block = |item: &Item| Key::of(item).is_ok_and(|key| key.sk.starts_with(BLOCK_PREFIX));
        let (blocks, inboxes): (Vec<Item>, Vec<Item>) = items.into_iter().partition(is_block);
        let inboxes = Several::of(inboxes, |key, item| Ok((key.clone(), from_item(item)?)))?;
        Ok((inboxes, blocks_of(blocks)?))
    }

    /// Makes a BLOCK what it is to be, **if** it is as it was SEEN: not there, or of this version. Also where it is so already:
    /// then a request that is older and still under way changes nothing any more.
    pub async fn block_change(
        &self,
        user: &UserId,
        other: &UserId,
        seen: Option<Block>,
        to: Block,
    ) -> Result<Changed, StoreError> {
        let key = Key::block(user, other);
        let fields = [
            ("version".to_owned(), number(to.version)),
            ("blocked".to_owned(), AttributeValue::Bool(to.blocked)),
            ("delivered_seq".to_owned(), number(to.delivered_seq)),
            ("read_seq".to_owned(), number(to.read_seq)),
        ];
        let written = match seen {
            None => self.put_new(key, Item::from(fields)).await?,
            Some(seen) => {
                let set: Vec<String> = fields.iter().map(|(name, _)| format!("#{name} = :{name}")).collect();
                let mut update = self.update(key, &format!("SET {}", set.join(", "))).only_if(&UNCHANGED_SINCE);
                for (name, value) in fields {
                    update = update.value(&format!(":{name}"), value);
                }
                update.value(":seen", number(seen.version)).run().await?
            }
        };
        Ok(match written {
            Written::Done(_) => Changed::Here,
            Written::Refused(_) => Changed::ByAnother,
        })
    }

    /// Whether a user blocks so many, or more. May be a moment behind; of [`BLOCK_PAGES_MAX`] pages of 1 MB at most.
    pub async fn blocks_as_many(&self, user: &UserId, max: usize) -> Result<bool, StoreError> {
        let (mut count, mut start) = (0, None);
        for _ in 0..BLOCK_PAGES_MAX {
            let query = self.query("#pk = :pk AND begins_with(#sk, :sk)").value(":pk", user_pk(user));
            let page = query.value(":sk", BLOCK_PREFIX).read(Read::Eventual).starting_after(start).page().await?;
            count += blocks_of(page.items)?.read.iter().filter(|(_, block)| block.blocked).count();
            start = page.next;
            if count >= max || start.is_none() {
                break;
            }
        }
        Ok(count >= max)
    }

    /// A page of those whom a user blocks. May be a moment behind. Where many blocks were taken back it may be shorter than its limit,
    /// and go on.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the cursor isn't one of ours.
    pub async fn blocked_page(
        &self,
        user: &UserId,
        cursor: Option<&Cursor>,
        Limit(limit): Limit,
    ) -> Result<(Vec<UserId>, Option<Cursor>), Error> {
        let mut after = match cursor.map(Cursor::position).transpose()? {
            // A position that isn't a block's must not reach the user's other items.
            Some(position) if !position.starts_with(BLOCK_PREFIX) => return Err(Cursor::foreign().into()),
            position => position,
        };
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut blocked: Vec<Key> = Vec::new();
        for _ in 0..BLOCK_PAGES_MAX {
            let start = after.take().map(|sk| Key { pk: user_pk(user), sk }.item());
            let query = self.query("#pk = :pk AND begins_with(#sk, :sk)").value(":pk", user_pk(user));
            let query = query.value(":sk", BLOCK_PREFIX).read(Read::Eventual).starting_after(start);
            // One more: then it is known whether another page follows.
            let page = query.limit(limit + 1).page().await?;
            let those = blocks_of(page.items)?.read.into_iter().filter(|(_, block)| block.blocked);
            blocked.extend(those.map(|(key, _)| key));
            after = page.next.as_ref().map(Key::of).transpose()?.map(|key| key.sk);
            if blocked.len() > room || after.is_none() {
                break;
            }
        }
        if blocked.len() > room {
            blocked.truncate(room);
            after = blocked.last().map(|key| key.sk.clone());
        }
        let users = blocked.iter().map(blocked_by).collect::<Result<_, _>>()?;
        Ok((users, after.map(|after| Cursor::new(&after))))
    }
}

/// Reads BLOCKs, with their keys.
fn blocks_of(items: Vec<Item>) -> Result<Several<(Key, Block)>, StoreError> {
    Several::of(items, |key, item| Ok((key.clone(), from_item(item)?)))
}

/// Whom a BLOCK's key names.
pub fn blocked_by(key: &Key) -> Result<UserId, StoreError> {
    let user = key.sk.strip_prefix(BLOCK_PREFIX).and_then(|user| user.parse().ok());
    user.ok_or_else(|| StoreError::broken(&format!("{} is no block's key", key.sk)))
}
