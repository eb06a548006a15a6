//! The clock that starts scheduled functions, as EventBridge Scheduler does.

use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tracing::Level;

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
        let event = event(&schedule);
        let request_id = event["id"].as_str().map(str::to_owned);
        if let Err(error) = invoker.invoke(&schedule.function, event).await {
            logs::line("schedule", request_id.as_deref(), Level::ERROR, &format!("{} failed: {error}", schedule.name));
        }
    }
}

/// The event that EventBridge Scheduler sends to a target that has no input of its own.
fn event(schedule: &Schedule) -> Value {
    json!({
        "version": "0",
        "id": ids::id(),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT_ID,
        "time": format!("{:.0}", clock::now()),
        "region": REGION,
        "resources": [format!("arn:aws:scheduler:{REGION}:{ACCOUNT_ID}:schedule/default/{}", schedule.name)],
        "detail": "{}",
    })
}
