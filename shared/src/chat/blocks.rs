//! Who blocks whom, and what is shown of others then.
//!
//! A block is one item of its blocker. Whoever sends, writes or asks for presence reads both sides' items strongly, so what was
//! answered as blocked holds for all that begins later. What a blocked person reads is kept, and their blocker isn't shown it.

use std::collections::{BTreeSet, HashMap, HashSet};

use wire::{Seq, UserId, direct_id};

use super::kinds::has_members;
use crate::app::App;
use crate::error::Error;
use crate::limits::BLOCKS_MAX;
use crate::store::blocks::{Block, Changed, blocked_by};
use crate::store::inbox::{Inbox, inbox_conversation};
use crate::store::table::Key;
use crate::store::{Several, StoreError};

/// How often a change is tried while others change the same block.
const CHANGE_ATTEMPTS_MAX: u32 = 4;

/// Makes USER block another. What the other has read so far is noted: it goes on being shown.
///
/// # Errors
/// [`Error::SelfConversation`]; [`Error::TooMany`] where the user blocks [`BLOCKS_MAX`] others: people blocked at the same moment may
/// be some more; [`Error::Unavailable`] when others keep changing it; those of the store.
pub async fn block(app: &App, user: &UserId, other: &UserId) -> Result<(), Error> {
    change(app, user, other, true).await
}

/// Takes a block back, if there is one.
///
/// # Errors
/// As [`block`]'s, but there are never too many.
pub async fn unblock(app: &App, user: &UserId, other: &UserId) -> Result<(), Error> {
    change(app, user, other, false).await
}

async fn change(app: &App, user: &UserId, other: &UserId, blocked: bool) -> Result<(), Error> {
    if user == other {
        return Err(Error::SelfConversation);
    }
    let (inbox, block) = (Key::inbox(other, &direct_id(user, other)), Key::block(user, other));
    for _ in 0..CHANGE_ATTEMPTS_MAX {
        let look = app.store.inboxes_and_blocks(std::slice::from_ref(&inbox), std::slice::from_ref(&block)).await?;
        let read = look.0.read.first().map(|(_, inbox)| (inbox.delivered_seq, inbox.read_seq)).unwrap_or_default();
        let seen = look.1.all()?.first().map(|(_, block)| *block);
        let is_new = blocked && !seen.is_some_and(|seen| seen.blocked);
        if seen.is_none() && !blocked {
            return Ok(());
        }
        if is_new && app.store.blocks_as_many(user, BLOCKS_MAX).await? {
            return Err(Error::TooMany { what: "blocked users", max: BLOCKS_MAX, user: None });
        }
        let (delivered_seq, read_seq) = match seen {
            Some(seen) if !is_new => (seen.delivered_seq, seen.read_seq),
            _ => read,
        };
        let version = seen.map_or(1, |seen| seen.version + 1);
        let to = Block { version, blocked, delivered_seq, read_seq };
        if app.store.block_change(user, other, seen, to).await? == Changed::Here {
            return Ok(());
        }
    }
    Err(Error::Unavailable("a block was changed by others too often".to_owned()))
}

/// The inboxes of others as one user may see them.
#[derive(Debug)]
pub struct Others {
    /// Of whom the user blocks, as far as they were when that began.
    pub inboxes: Several<(Key, Inbox)>,
    /// Whom of them the user blocks.
    pub blocked: HashSet<UserId>,
}

/// Reads inboxes of others, and the user's own, as USER may see them: strongly, as a status that somebody was told of is not taken
/// back. A block is between two: what they do in a group both see.
///
/// # Errors
/// Those of the store.
pub async fn others(app: &App, user: &UserId, keys: &[Key]) -> Result<Others, StoreError> {
    let of_two = keys.iter().filter(|key| is_of_two(key));
    let owners: BTreeSet<UserId> = of_two.map(Key::owner).collect::<Result<_, _>>()?;
    let blocks: Vec<Key> = owners.iter().filter(|owner| *owner != user).map(|owner| Key::block(user, owner)).collect();
    let (mut inboxes, blocks) = app.store.inboxes_and_blocks(keys, &blocks).await?;
    let mut seen = HashMap::new();
    for (key, block) in blocks.read.into_iter().filter(|(_, block)| block.blocked) {
        seen.insert(blocked_by(&key)?, (block.delivered_seq, block.read_seq));
    }
    for key in &blocks.skipped {
        // One that can't be read holds.
        seen.insert(blocked_by(key)?, (Seq(0), Seq(0)));
    }
    for (key, inbox) in inboxes.read.iter_mut().filter(|(key, _)| is_of_two(key)) {
        if let Some((delivered, read)) = seen.get(&key.owner()?) {
            inbox.delivered_seq = inbox.delivered_seq.min(*delivered);
            inbox.read_seq = inbox.read_seq.min(*read);
        }
    }
    Ok(Others { inboxes, blocked: seen.into_keys().collect() })
}

/// Whether an inbox is of a conversation of two.
fn is_of_two(inbox: &Key) -> bool {
    inbox_conversation(inbox).is_ok_and(|id| !has_members(&id))
}
