//! How far somebody is in their conversations, up to the last number of each: that of a group stands in TAIL.

use std::collections::{HashMap, HashSet};

use wire::{ConversationId, UserId};

use super::kinds::has_members;
use crate::app::App;
use crate::store::inbox::{Inbox, Side};
use crate::store::table::Key;
use crate::store::tails::Tail;
use crate::store::{Read, Several, StoreError};

/// A user's inboxes, those of groups that the user has left, too.
///
/// # Errors
/// Those of the store.
pub async fn all(app: &App, user: &UserId, read: Read) -> Result<Several<(ConversationId, Inbox)>, StoreError> {
    let mut inboxes = app.store.inbox_all(user, read).await?;
    // After the inboxes, so that who has synced knows of what was told by then.
    let groups = inboxes.read.iter().filter(|(_, inbox)| matches!(inbox.side, Side::Group(_)) && !inbox.is_left());
    let tails = app.store.tails(groups.map(|(id, _)| id), read).await?;
    let unread: HashSet<ConversationId> = tails.skipped.iter().filter_map(|key| key.conversation().ok()).collect();
    inboxes.skipped.extend(unread.iter().map(|id| Key::inbox(user, id)));
    inboxes.read.retain(|(id, _)| !unread.contains(id));
    let tails: HashMap<ConversationId, Tail> = tails.read.into_iter().collect();
    for (id, inbox) in inboxes.read.iter_mut().filter(|(_, inbox)| inbox.joined().is_some()) {
        up_to_tail(inbox, tails.get(id).copied().unwrap_or_default());
    }
    Ok(inboxes)
}

/// A user's inbox of one conversation, strongly.
///
/// # Errors
/// Those of the store.
pub async fn one(app: &App, user: &UserId, id: &ConversationId) -> Result<Option<Inbox>, StoreError> {
    let Some(mut inbox) = app.store.inbox(user, id, Read::Strong).await? else { return Ok(None) };
    if has_members(id) {
        up_to_tail(&mut inbox, app.store.tail(id, Read::Strong).await?);
    }
    Ok(Some(inbox))
}

/// Says the last number in an inbox of a group. The tail may be behind what the user has marked.
pub fn up_to_tail(inbox: &mut Inbox, tail: Tail) {
    inbox.last_seq = tail.last_seq.max(inbox.delivered_seq).max(inbox.read_seq);
    inbox.last_at = inbox.last_at.max(tail.last_at);
}
