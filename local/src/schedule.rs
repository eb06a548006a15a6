//! The clock that starts scheduled functions, as EventBridge Scheduler does.

use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tracing::Level;
use wire::Time;

use crate::invoker::Invoker;
use crate::template::{ACCOUNT_ID, REGION, Schedule};
use crate::{clock, ids, logs};

/// Runs a schedule for good: at once, then every period. The next run waits for the last one's end, so there are never
/// two; runs that were missed meanwhile are skipped. The interval is monotonic: setting the clock changes nothing.
pub async fn run(schedule: Schedule, invoker: Invoker) {
    let mut ticks = tokio::time::interval(schedule.period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let id = ids::id();
        let event = event(&schedule, &id, clock::now());
        if let Err(error) = invoker.invoke(&schedule.function, event).await {
            logs::line("schedule", Some(&id), Level::ERROR, &format!("{} failed: {error}", schedule.name));
        }
    }
}

/// The event that EventBridge Scheduler sends to a target that has no input of its own.
#[must_use]
pub fn event(schedule: &Schedule, id: &str, time: Time) -> Value {
    json!({
        "version": "0",
        "id": id,
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT_ID,
        "time": format!("{:.0}", clock::timestamp(time)),
        "region": REGION,
        "resources": [format!("arn:aws:scheduler:{REGION}:{ACCOUNT_ID}:schedule/default/{}", schedule.name)],
        "detail": "{}",
    })
}
