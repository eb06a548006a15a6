//! What waits for whom, in all: counted from the index, for operators.

use std::collections::HashSet;

use wire::{ConversationId, Seq, Time};

use crate::app::App;
use crate::error::Error;
use crate::limits::{BATCH_GET_KEYS_MAX, STATS_ROWS_MAX};
use crate::store::inbox::{Inbox, inbox_conversation};
use crate::store::table::Key;
use crate::store::work::Work;

/// What waits.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Messages that none of a receiver's devices has.
    pub undelivered: u64,
    /// Those receivers.
    pub users: usize,
    /// When the oldest of these messages was sent that is still in the table.
    pub oldest_at: Option<Time>,
    /// Whether that is all: no more than [`STATS_ROWS_MAX`] conversations were looked at.
    pub complete: bool,
}

/// Counts it. The index proposes, the inboxes are counted.
///
/// # Errors
/// Those of the store.
pub async fn count(app: &App) -> Result<Waiting, Error> {
    let rows = app.store.work_listed(Work::Waiting, STATS_ROWS_MAX).await?;
    let mut inboxes = app.store.inboxes(&rows).await?.read;
    inboxes.retain(|(_, inbox)| inbox.undelivered() > 0);
    let users: HashSet<&str> = inboxes.iter().map(|(key, _)| key.pk.as_str()).collect();
    Ok(Waiting {
        undelivered: inboxes.iter().map(|(_, inbox)| inbox.undelivered()).sum(),
        users: users.len(),
        oldest_at: oldest(app, &inboxes).await?,
        complete: rows.len() < STATS_ROWS_MAX,
    })
}

/// When the oldest undelivered message was sent.
async fn oldest(app: &App, inboxes: &[(Key, Inbox)]) -> Result<Option<Time>, Error> {
    let first = |(key, inbox): &(Key, Inbox)| Some((inbox_conversation(key).ok()?, inbox.delivered_seq.next()));
    let slots: Vec<(ConversationId, Seq)> = inboxes.iter().filter_map(first).collect();
    let mut oldest = None;
    for chunk in slots.chunks(BATCH_GET_KEYS_MAX) {
        let items = app.store.log_items(chunk).await?;
        oldest = items.iter().map(|(_, item)| item.created_at).chain(oldest).min();
    }
    Ok(oldest)
}
