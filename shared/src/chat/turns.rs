//! Scheduled work: what the index says is due gets its turn, what has waited longest first, until the time is over.

use futures::stream::{Stream, StreamExt as _, select_all};
use wire::Time;

use crate::app::App;
use crate::error::Error;
use crate::store::StoreError;
use crate::telemetry::passed_over;

/// How a walk through what is due went.
#[derive(Debug, Default)]
pub struct Turns {
    /// How many had their turn.
    pub given: u32,
    /// How many of these failed: they are left to the next run.
    pub failed: u32,
    /// Whether the time was over before the work was.
    pub cut: bool,
    /// The first of the store's errors where a part of the index couldn't be read: the other parts went on.
    pub unread: Option<StoreError>,
}

impl Turns {
    /// Whether all had their turn, and all went well.
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && !self.cut && self.unread.is_none()
    }
}

/// Whether a turn went well. What can't be read is passed over; LEFT logs whatever else is left to the next run.
pub fn went_well(turn: Result<(), Error>, left: impl FnOnce(&Error)) -> bool {
    match &turn {
        Ok(()) => {}
        Err(Error::Unreadable(problem)) => passed_over(problem),
        Err(error) => left(error),
    }
    turn.is_ok()
}

/// Gives each row of SHARDS its TURN, so many at the same time, and begins nothing after STOP. A turn logs what fails, and
/// says whether it went well.
pub async fn give<R, S, F>(
    app: &App,
    shards: impl Iterator<Item = S>,
    stop: Time,
    at_once: usize,
    turn: impl Fn(R) -> F,
) -> Turns
where
    S: Stream<Item = Result<R, StoreError>>,
    F: Future<Output = bool>,
{
    let mut turns = Turns::default();
    let in_time = || app.clock.now() < stop;
    let rows = select_all(shards.map(Box::pin)).take_while(|_| std::future::ready(in_time()));
    let outcomes = rows.map(|row| async { Ok(turn(row?).await) }).buffer_unordered(at_once);
    let mut outcomes = std::pin::pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(went_well) => {
                turns.given += 1;
                turns.failed += u32::from(!went_well);
            }
            // Its shard ends here; the others go on.
            Err(error) => _ = turns.unread.get_or_insert(error),
        }
    }
    turns.cut = !in_time();
    turns
}
