//! The cleanup, every day: moves messages that have grown old to the archive, a day later deletes them from the table, and
//! reports what waits for whom. One conversation's turn is in [`conversation`].

pub mod conversation;

use shared::app::App;
use shared::archive::Archive;
use shared::chat::{turns, waiting};
use shared::config::Retention;
use shared::error::Error;
use shared::limits::{CLEANUP_AT_ONCE, CLEANUP_STOPS_BEFORE, WORK_SHARDS};
use shared::run::{Function, Handling, OnSchedule};
use shared::store::work::{Row, Work};
use shared::telemetry::{Metric, count, highest, passed_over};
use wire::Time;

/// The function.
pub static FUNCTION: Function<OnSchedule> =
    Function { name: "cleanup", trigger: OnSchedule { handle, archive: Some(Archive::open) } };

fn handle(app: &App, deadline: Time) -> Handling<'_, ()> {
    Box::pin(cleanup(app, deadline))
}

/// Gives each conversation its turn that is due, until all have had it or the time is nearly over: the next run goes on.
/// Several runs at once do nothing twice that matters. Where there is no archive, nothing is moved or deleted, unless
/// messages are to be discarded.
///
/// # Errors
/// The first of the store's, where a part of the index can't be read: in the end, when the rest is done. What fails for one
/// conversation is logged and left to the next run.
pub async fn cleanup(app: &App, deadline: Time) -> Result<(), Error> {
    let retention = app.config.retention;
    let retention = retention.ok_or_else(|| Error::Internal("DELIVERED_RETENTION_DAYS is not set".to_owned()))?;
    // 0 where there is nothing: a report must tell "none" from "nobody looked".
    for metric in [Metric::MessagesMoved, Metric::MessagesDeleted, Metric::SegmentsWritten, Metric::SegmentBytes] {
        count(metric, 0.0);
    }
    let unread = report(app).await.err();
    if app.archive.is_none() && !retention.discard {
        return unread.map_or(Ok(()), Err);
    }
    let stop = deadline.before(CLEANUP_STOPS_BEFORE);
    let now = app.clock.now();
    let shards = (0..WORK_SHARDS).map(|shard| app.store.work_due(Work::Archive, shard, now));
    let turns = turns::give(app, shards, stop, CLEANUP_AT_ONCE, |row: Row| turn(app, &retention, stop, row)).await;
    let (conversations, failed) = (turns.given, turns.failed);
    let complete = unread.is_none() && turns.is_complete();
    tracing::info!(conversations, failed, complete, "cleaned up");
    unread.or(turns.unread.map(Error::from)).map_or(Ok(()), Err)
}

/// One conversation's turn; says whether it went well.
async fn turn(app: &App, retention: &Retention, stop: Time, row: Row) -> bool {
    let Ok(id) = row.key.conversation().map_err(|error| passed_over(&error.to_string())) else { return false };
    let looked = conversation::look(app, retention, stop, &id).await;
    turns::went_well(looked, |error| {
        tracing::warn!(%error, cause = error.cause(), conversation = id.as_str(), "left to the next cleanup");
    })
}

/// Says what waits, and for how many.
async fn report(app: &App) -> Result<(), Error> {
    let waiting = waiting::count(app).await?;
    let oldest = waiting.oldest_at.map_or(0.0, |at| app.clock.now().since(at).as_secs_f64());
    highest(Metric::UsersWaiting, waiting.users as f64);
    highest(Metric::OldestWaiting, oldest);
    Ok(())
}
