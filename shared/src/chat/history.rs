//! Pages of a conversation's messages, wherever they are: in the table, in the archive, or in both.
//!
//! META says which: numbers from `first_seq` on are read from the table, those below from the archive, those below
//! `oldest_seq` are kept nowhere. It is read strongly, before the messages: what was in the archive then still is, and
//! what was in the table stays there for [`crate::limits::DELETE_AFTER`] after it has moved, longer than any function lives.
//! So each number is found where META says, whatever a cleanup does meanwhile.

use std::ops::RangeInclusive;

use wire::limits::PAGE_BYTES_MAX;
use wire::{Limit, Seq};

use crate::app::App;
use crate::error::Error;
use crate::limits::HISTORY_SEGMENTS_MAX;
use crate::store::conversations::Meta;
use crate::store::log::LogItem;
use crate::store::segments::Segment;

/// A page, in the order of the numbers.
#[derive(Debug)]
pub struct Page {
    /// The slots.
    pub slots: Vec<(Seq, LogItem)>,
    /// Whether there is more in the direction that was asked for.
    pub more: bool,
}

/// The messages above AFTER: at most LIMIT, and never more than a frame holds.
///
/// # Errors
/// Those of the store and of the archive.
pub async fn after(app: &App, meta: &Meta, after: Seq, limit: Limit) -> Result<Page, Error> {
    let mut filling = Filling::new(limit);
    let mut next = after.next().max(meta.oldest_seq);
    for _ in 0..HISTORY_SEGMENTS_MAX {
        if next >= meta.first_seq || filling.room() == 0 {
            break;
        }
        let segment = segment_with(app, meta, next).await?;
        let to = segment.last.min(Seq(next.0 + filling.room() as u64 - 1));
        if !filling.take_all(archived(app, &segment, next..=to).await?) {
            break;
        }
        next = to.next();
    }
    // The highest number is never moved: above what is archived there is always more.
    let mut more = true;
    if next >= meta.first_seq && filling.room() > 0 {
        // One more than there is room for: DynamoDB says that there may be more whenever an answer is full, and a client
        // must not be told of a page that never comes.
        let found = app.store.log_range(&meta.id, next..=Seq(u64::MAX), filling.room() + 1, false).await?;
        more = !filling.take_all(found.slots) || found.more;
    }
    Ok(Page { slots: filling.slots, more })
}

/// The messages below BEFORE (nothing: the newest), down to FROM: at most LIMIT, and never more than a frame holds.
///
/// # Errors
/// Those of the store and of the archive.
pub async fn before(app: &App, meta: &Meta, before: Option<Seq>, from: Seq, limit: Limit) -> Result<Page, Error> {
    let mut filling = Filling::new(limit);
    let mut next = Seq(before.map_or(u64::MAX, |before| before.0.saturating_sub(1)));
    let oldest = meta.oldest_seq.max(from);
    let mut fits = true;
    if next >= meta.first_seq.max(oldest) {
        let numbers = meta.first_seq.max(oldest)..=next;
        let found = app.store.log_range(&meta.id, numbers, filling.room() + 1, true).await?;
        fits = filling.take_all(found.slots) && !found.more;
        next = Seq(meta.first_seq.0 - 1);
    }
    for _ in 0..HISTORY_SEGMENTS_MAX {
        if !fits || next < oldest || filling.room() == 0 {
            break;
        }
        let segment = segment_with(app, meta, next).await?;
        let lowest = Seq(next.next().0.saturating_sub(filling.room() as u64));
        let from = lowest.max(segment.first).max(oldest);
        let mut slots = archived(app, &segment, from..=next).await?;
        slots.reverse();
        fits = filling.take_all(slots);
        next = Seq(from.0 - 1);
    }
    filling.slots.reverse();
    Ok(Page { slots: filling.slots, more: !fits || next >= oldest })
}

/// What number SEQ is, if there is one and it is kept.
///
/// # Errors
/// Those of the store and of the archive.
pub async fn item(app: &App, meta: &Meta, seq: Seq) -> Result<Option<LogItem>, Error> {
    if seq >= meta.first_seq {
        return Ok(app.store.log_item(&meta.id, seq).await?);
    }
    if seq < meta.oldest_seq {
        return Ok(None);
    }
    let segment = segment_with(app, meta, seq).await?;
    Ok(archived(app, &segment, seq..=seq).await?.pop().map(|(_, item)| item))
}

/// The segment that holds a number which META says is in the archive.
async fn segment_with(app: &App, meta: &Meta, seq: Seq) -> Result<Segment, Error> {
    let segment = app.store.segment_with(&meta.id, seq).await?;
    segment.ok_or_else(|| Error::Unreadable(format!("no segment of {} holds {seq}", meta.id)))
}

/// Some of a segment's messages.
async fn archived(app: &App, segment: &Segment, numbers: RangeInclusive<Seq>) -> Result<Vec<(Seq, LogItem)>, Error> {
    let archive = app.archive.as_ref();
    let archive =
        archive.ok_or_else(|| Error::Unreadable("messages are archived, ARCHIVE_BUCKET is empty".to_owned()))?;
    archive.read(segment, numbers).await
}

/// A page in the making.
struct Filling {
    limit: usize,
    bytes: usize,
    slots: Vec<(Seq, LogItem)>,
}

impl Filling {
    fn new(limit: Limit) -> Self {
        Self { limit: usize::try_from(limit.0).unwrap_or(usize::MAX), bytes: 0, slots: Vec::new() }
    }

    /// How many messages more it may have.
    fn room(&self) -> usize {
        self.limit - self.slots.len()
    }

    /// Takes what fits of these; says whether that is all of them.
    fn take_all(&mut self, slots: Vec<(Seq, LogItem)>) -> bool {
        for slot in slots {
            self.bytes += message_bytes(&slot.1);
            // The first always fits: the longest content, escaped, has half a page.
            if self.room() == 0 || self.bytes >= PAGE_BYTES_MAX && !self.slots.is_empty() {
                return false;
            }
            self.slots.push(slot);
        }
        true
    }
}

/// About how many bytes a message takes in a frame; never fewer than it does.
fn message_bytes(item: &LogItem) -> usize {
    let json = |text: &str| serde_json::to_string(text).map_or(PAGE_BYTES_MAX, |json| json.len());
    // 512 covers the names, the conversation's id, numbers and times.
    json(&item.content) + json(item.sender.as_str()) + json(item.client_message_id.as_str()) + 512
}
