//! One conversation's turn: delete what moved a day ago, move what has grown old since, say when to look again.
//!
//! Each step may be made by several runs, and a run may end between any two:
//!
//! 1. SEGMENT, put if absent, decides which numbers move together;
//! 2. their object is written: the log doesn't change, so whoever writes it again writes the same;
//! 3. META's `first_seq` moves forward, if it is still where the segment begins: from here on, readers look in the archive;
//! 4. [`DELETE_AFTER`] that the items are deleted, when nobody is left who read META before. How far that has come is said
//!    with what is written next on META, a move or the next look: a write of its own would cost each segment a unit more.
//!
//! Only messages with a RECEIPT are moved: an open send whose number might be below `first_seq` finds that instead. Never
//! moved is the highest number, by which the next is found, nor what an inbox names as its last.

use std::collections::HashMap;
use std::ops::Range;

use futures::future::try_join;
use shared::app::App;
use shared::archive::{line_bytes, object_name};
use shared::chat::participants::{Participant, participants};
use shared::clock::is_to_come;
use shared::config::Retention;
use shared::error::Error;
use shared::limits::{
    ARCHIVE_PATIENCE, CLEANUP_LOOK_EVERY, DELETE_AFTER, DELETE_MARK_EVERY, SEGMENT_BYTES_MAX, SEGMENT_MESSAGES_MAX,
    SEGMENT_MESSAGES_MIN,
};
use shared::store::Read;
use shared::store::conversations::{Meta, Move, NextLook, Stage};
use shared::store::log::LogItem;
use shared::store::segments::Segment;
use shared::store::table::Key;
use shared::telemetry::{Metric, count};
use wire::{ConversationId, Seq, Time};

/// Gives a conversation its turn, if it is due. After STOP nothing new is begun; then it stays due.
///
/// # Errors
/// Those of the store and of the archive.
pub async fn look(app: &App, retention: &Retention, stop: Time, id: &ConversationId) -> Result<(), Error> {
    let now = app.clock.now();
    let meta = app.store.conversation(id).await?;
    // The index may be behind: another run has looked.
    let Some(mut meta) = meta.filter(|meta| meta.is_due(now)) else { return Ok(()) };
    match meta.stage(now) {
        Stage::Undated => {
            // Nobody knows when it moved: from now on is long enough.
            let next = NextLook::Dated { at: now.after(DELETE_AFTER), moved_at: now };
            return Ok(app.store.conversation_look_again(id, next).await?);
        }
        Stage::Deletable => {
            if !delete(app, stop, &mut meta).await? {
                return Ok(());
            }
        }
        Stage::Moved | Stage::Clean { .. } => {}
    }
    let horizons = Horizons::of(app, &meta).await?;
    let mut moved = false;
    while app.clock.now() < stop {
        let Some(slots) = due(app, retention, &meta, &horizons).await? else { break };
        let Some(first) = move_on(app, retention, &meta, slots).await? else { return Ok(()) };
        meta.first_seq = first;
        moved = true;
    }
    match moved {
        // A move has said what is deleted, and when to look again.
        true => Ok(()),
        false if app.clock.now() < stop => look_again(app, &meta, &horizons).await,
        false => Ok(app.store.conversation_deleted(id, meta.deleted_below).await?),
    }
}

/// Deletes what moved; whether that is all of it. What is deleted is said when more of it follows, else by who called.
async fn delete(app: &App, stop: Time, meta: &mut Meta) -> Result<bool, Error> {
    while meta.deleted_below < meta.first_seq {
        if app.clock.now() >= stop {
            return Ok(false);
        }
        let to = meta.first_seq.min(Seq(meta.deleted_below.0 + DELETE_MARK_EVERY));
        let slots = Range { start: meta.deleted_below, end: to };
        app.store.log_delete(&meta.id, slots).await?;
        count(Metric::MessagesDeleted, (to.0 - meta.deleted_below.0) as f64);
        meta.deleted_below = to;
        if to < meta.first_seq {
            app.store.conversation_deleted(&meta.id, to).await?;
        }
    }
    Ok(true)
}

/// How far everybody is.
struct Horizons {
    /// What all members' devices have.
    delivered: Seq,
    /// What stays where it is: the highest number of the log, and what an inbox names as its last.
    stays: Seq,
}

impl Horizons {
    async fn of(app: &App, meta: &Meta) -> Result<Self, Error> {
        let participants = participants(app, &meta.id, meta.who.named()).await?;
        let keys: Vec<Key> = participants.iter().map(|it| Key::inbox(&it.user, &meta.id)).collect();
        let (tail, inboxes) = try_join(app.store.log_tail(&meta.id, Read::Strong), app.store.inboxes(&keys)).await?;
        let inboxes = inboxes.all()?;
        if meta.who.named().is_none() {
            let told = app.store.tail(&meta.id, Read::Strong).await?.last_seq;
            let delivered: HashMap<Key, Seq> = inboxes.into_iter().map(|(key, it)| (key, it.delivered_seq)).collect();
            // What was said before somebody came they needn't have; nor is the inbox of their membership always made yet.
            let of = |(key, it): (&Key, &Participant)| {
                delivered.get(key).copied().unwrap_or_default().max(it.first_seq.before())
            };
            // Where all have left nobody is waited for.
            let delivered = keys.iter().zip(&participants).map(of).min().unwrap_or(told);
            return Ok(Self { delivered, stays: told.min(tail) });
        }
        if inboxes.len() < keys.len() {
            // Nobody has finished a message here.
            return Ok(Self { delivered: Seq(0), stays: Seq(0) });
        }
        let lowest = |of: fn(&shared::store::inbox::Inbox) -> Seq| inboxes.iter().map(|(_, inbox)| of(inbox)).min();
        let delivered = lowest(|inbox| inbox.delivered_seq).unwrap_or_default();
        Ok(Self { delivered, stays: lowest(|inbox| inbox.last_seq).unwrap_or_default().min(tail) })
    }
}

/// How old a message must be to move.
struct Ages {
    now: Time,
    /// What is as old as this moves when all devices have it.
    delivered_before: Time,
    /// What is as old as this moves.
    any_before: Time,
}

impl Ages {
    fn of(retention: &Retention, now: Time) -> Self {
        let (delivered_before, any_before) = (now.before(retention.delivered), now.before(retention.undelivered));
        Self { now, delivered_before, any_before }
    }

    /// What a clock that was wrong has put into the future: it is as old as what was said next.
    fn is_undated(&self, item: &LogItem) -> bool {
        is_to_come(item.created_at, self.now)
    }

    fn is_old(&self, item: &LogItem, is_delivered: bool) -> bool {
        item.created_at <= self.any_before || item.created_at <= self.delivered_before && is_delivered
    }

    /// Whether the oldest of these has waited for so long that it moves with however few others.
    fn is_overdue(&self, slots: &[(Seq, LogItem)]) -> bool {
        let oldest = slots.iter().find(|(_, item)| !self.is_undated(item));
        oldest.is_some_and(|(_, oldest)| oldest.created_at < self.delivered_before.before(ARCHIVE_PATIENCE))
    }
}

/// The messages that move next, from `first_seq` on; none while there are too few.
async fn due(
    app: &App,
    retention: &Retention,
    meta: &Meta,
    horizons: &Horizons,
) -> Result<Option<Vec<(Seq, LogItem)>>, Error> {
    let ages = Ages::of(retention, app.clock.now());
    let (mut slots, mut full) = old(app, &ages, meta, horizons).await?;
    // What follows the last that has a time may be young.
    slots.truncate(slots.iter().rposition(|(_, item)| !ages.is_undated(item)).map_or(0, |last| last + 1));
    let finished = finished(app, &slots).await?;
    full &= finished == slots.len();
    slots.truncate(finished);
    let enough = full || slots.len() >= SEGMENT_MESSAGES_MIN;
    Ok((enough || ages.is_overdue(&slots)).then_some(slots))
}

/// The messages that are old, from `first_seq` up to the first that isn't, and whether these are as many as fit a segment.
async fn old(app: &App, ages: &Ages, meta: &Meta, horizons: &Horizons) -> Result<(Vec<(Seq, LogItem)>, bool), Error> {
    let (mut slots, mut bytes) = (Vec::new(), 0);
    let mut next = meta.first_seq;
    while next < horizons.stays {
        let last = Seq(horizons.stays.0 - 1);
        let page = app.store.log_range(&meta.id, next..=last, SEGMENT_MESSAGES_MAX - slots.len(), false).await?;
        for (seq, item) in page.slots {
            if seq != next {
                return Err(Error::Internal(format!("{} has no number {next}", meta.id)));
            }
            if !ages.is_old(&item, seq <= horizons.delivered) && !ages.is_undated(&item) {
                return Ok((slots, false));
            }
            bytes += line_bytes(seq, &item);
            if bytes > SEGMENT_BYTES_MAX && !slots.is_empty() {
                return Ok((slots, true));
            }
            slots.push((seq, item));
            next = next.next();
        }
        let full = slots.len() >= SEGMENT_MESSAGES_MAX;
        if full || !page.more {
            return Ok((slots, full));
        }
    }
    Ok((slots, false))
}

/// How many of these messages have a RECEIPT, up to the first that has none.
async fn finished(app: &App, slots: &[(Seq, LogItem)]) -> Result<usize, Error> {
    let sends: Vec<_> = slots.iter().map(|(_, item)| (&item.sender, &item.client_message_id)).collect();
    Ok(app.store.receipts_there(&sends).await?.into_iter().take_while(|there| *there).count())
}

/// Moves messages; says what is the lowest number in the table now, or nothing when another run is at it.
async fn move_on(
    app: &App,
    retention: &Retention,
    meta: &Meta,
    mut slots: Vec<(Seq, LogItem)>,
) -> Result<Option<Seq>, Error> {
    let id = &meta.id;
    let (Some((first, _)), Some((last, _))) = (slots.first(), slots.last()) else { return Ok(None) };
    let (first, mut last) = (*first, *last);
    if let Some(archive) = &app.archive {
        let segment = Segment { first, last, object: object_name(id, &(first..=last)) };
        let segment = app.store.segment_decide(id, segment).await?;
        if segment.last > last {
            // Another run saw more of them.
            slots = whole(app, id, &segment).await?;
        }
        last = segment.last;
        slots.retain(|(seq, _)| *seq <= last);
        let bytes = archive.put(&segment.object, &slots).await?;
        count(Metric::SegmentsWritten, 1.0);
        count(Metric::SegmentBytes, bytes as f64);
    }
    let at = app.clock.now();
    let deleted = meta.deleted_below == first;
    let moved = Move { from: first, to: last.next(), at, look_at: at.after(DELETE_AFTER), deleted };
    let discard = retention.discard && app.archive.is_none();
    if !app.store.conversation_move(id, &moved, discard).await? {
        return Ok(None);
    }
    count(Metric::MessagesMoved, slots.len() as f64);
    Ok(Some(moved.to))
}

/// All of a segment that was decided, from the table.
async fn whole(app: &App, id: &ConversationId, segment: &Segment) -> Result<Vec<(Seq, LogItem)>, Error> {
    let mut slots = Vec::new();
    let mut next = segment.first;
    while next <= segment.last {
        let page = app.store.log_range(id, next..=segment.last, SEGMENT_MESSAGES_MAX, false).await?;
        let Some((last, _)) = page.slots.last() else {
            return Err(Error::Internal(format!("{id} has no number {next}")));
        };
        next = last.next();
        slots.extend(page.slots);
    }
    Ok(slots)
}

/// Says when the next look is. A conversation where nothing can be done until somebody says something leaves the index in
/// two looks, a day apart: the first says so in META, and whoever finishes a message and reads that lists the conversation
/// anew. When the second comes, nobody is left who read META before the first, and what they said is seen.
async fn look_again(app: &App, meta: &Meta, horizons: &Horizons) -> Result<(), Error> {
    let (Some(seen), now) = (&meta.listed, app.clock.now()) else { return Ok(()) };
    let below = meta.deleted_below;
    let next = match meta.stage(now) {
        Stage::Clean { idle } if meta.first_seq >= horizons.stays => {
            if idle {
                return Ok(app.store.conversation_unlist(&meta.id, seen, below).await?);
            }
            NextLook::Idle { at: now.after(DELETE_AFTER), below }
        }
        Stage::Clean { .. } => NextLook::Clean { at: now.after(CLEANUP_LOOK_EVERY), below },
        Stage::Undated | Stage::Moved | Stage::Deletable => {
            NextLook::Undeleted { at: meta.moved_at.after(DELETE_AFTER) }
        }
    };
    Ok(app.store.conversation_look_again(&meta.id, next).await?)
}
