//! How fast somebody may send, to the millisecond: 20 a second, five at once.

use std::time::Duration;

use serde_json::Value;
use shared::limits::CLOCKS_DIFFER_MAX;
use shared::store::accounts::{Account, Rate};
use tests::{Phone, World};
use wire::Time;

/// From one send to the next, in milliseconds, and how far ahead a burst may be.
const INTERVAL: i64 = 50;
const AHEAD: i64 = 4 * INTERVAL;

/// How long somebody waits whose sends so far would have ended so many milliseconds from now.
fn wait(ahead: i64) -> Option<u64> {
    let now = Time { ms: 1_000_000 };
    let account = Account { rate_until: now.ms + ahead, ..Account::default() };
    Rate::new(20, 5).wait(&account, now).map(|wait| u64::try_from(wait.as_millis()).expect("a short wait"))
}

#[test]
fn who_is_ahead_waits_as_long_as_needed_and_a_time_from_the_future_is_not_believed() {
    let latest = CLOCKS_DIFFER_MAX.as_millis() as i64 + AHEAD + INTERVAL;
    let waits = [-1_000_000, 0, AHEAD, AHEAD + 1, latest - 1, latest, latest + 1].map(wait);
    assert_eq!(waits, [None, None, None, Some(1), Some(5_049), Some(5_050), None]);
}

/// When Ann's sends so far would have ended, and when the last of them was decided.
async fn sends(world: &World, ann: &Phone) -> (i64, i64) {
    let sent = ann.sends_to("bob", "hi").await;
    let decided = world.items().into_iter().filter_map(|item| {
        (item["sender"] == "ann" && item["cmid"] == sent["message"]["clientMessageId"])
            .then(|| item["created_at"].as_i64().expect("a time"))
    });
    let account = |item: &Value| item["pk"] == "USER#ann" && item["sk"] == "ACCOUNT";
    let until = world.items().iter().find(|item| account(item)).and_then(|item| item["rate_until"].as_i64());
    (until.expect("it has sent"), decided.max().expect("it is in the log"))
}

#[tokio::test(start_paused = true)]
async fn each_send_takes_its_part_of_the_rate() {
    let world = World::deployed_with(&[("SendsPerSecond", "20"), ("SendBurst", "5")]).await;
    let ann = world.person("ann").connects().await;
    let (first, decided) = sends(&world, &ann).await;
    assert_eq!(first, decided + INTERVAL, "from now on, where the last was long ago");
    world.advance(Duration::from_secs(1)).await;
    let (second, decided) = sends(&world, &ann).await;
    assert_eq!(second, decided + INTERVAL);
    world.edits("USER#ann", "ACCOUNT", |item| {
        item.insert("rate_until".to_owned(), serde_json::json!({ "N": (world.now().ms + AHEAD).to_string() }));
    });
    let ahead = world.now().ms + AHEAD;
    let (third, _) = sends(&world, &ann).await;
    assert_eq!(third, ahead + INTERVAL, "from where the last would have ended");
    world.edits("USER#ann", "ACCOUNT", |item| {
        item.insert("rate_until".to_owned(), serde_json::json!({ "N": (world.now().ms + 86_400_000).to_string() }));
    });
    let (fourth, decided) = sends(&world, &ann).await;
    assert_eq!(fourth, decided + AHEAD + INTERVAL, "as if a burst had just been sent, where a clock was wrong");
}
