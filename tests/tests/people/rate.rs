//! How fast somebody may send, to the millisecond: 20 a second, five at once; and how much else they may ask.

use std::time::Duration;

use serde_json::Value;
use shared::limits::{CLOCKS_DIFFER_MAX, REQUESTS_AT_ONCE, REQUESTS_PER_SECOND};
use shared::store::accounts::{Account, Rate};
use tests::{Phone, World};
use wire::Time;

/// How many instances a function has here.
const INSTANCES: usize = 2;

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

/// Ann asks so often at the same moment; how many are refused, and the last refusal.
async fn asks_at_once(ann: &Phone, count: u32) -> (usize, Option<tests::Answer>) {
    let asks = (0..count).map(|_| ann.says(serde_json::json!({ "action": "getBalance" })));
    let answers = futures::future::join_all(asks).await;
    let mut refused: Vec<_> = answers.into_iter().filter(|answer| answer.frame["success"] == false).collect();
    (refused.len(), refused.pop())
}

/// Each function has two instances here, which count for themselves.
#[tokio::test(start_paused = true)]
async fn who_asks_too_much_at_once_is_refused_and_told_when_to_go_on() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let most = REQUESTS_AT_ONCE * u32::try_from(INSTANCES).expect("few");
    assert_eq!(asks_at_once(&ann, REQUESTS_AT_ONCE).await.0, 0, "by no instance");
    let (refused, last) = asks_at_once(&ann, 2 * most).await;
    assert!(refused >= usize::try_from(most).expect("few"), "{refused}");
    let last = last.expect("a refusal");
    assert_eq!((last.event(), last.code(), &last.frame["error"]["retryable"]), ("error", "rate_limited", &true.into()));
    let wait = last.details()["retryAfterMs"].as_u64().expect("milliseconds");
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(asks_at_once(&bob, REQUESTS_AT_ONCE).await.0, 0, "each for themselves");
    ann.sends_to("bob", "a send has its own rate").await.data();
    ann.says(serde_json::json!({ "action": "ping" })).await.data();
    world.advance(Duration::from_secs(1)).await;
    assert_eq!(asks_at_once(&ann, REQUESTS_PER_SECOND).await.0, 0, "by then as many as a second has room for");
}

#[tokio::test(start_paused = true)]
async fn who_asks_fifty_times_a_second_is_never_refused() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for second in 0..10 {
        assert_eq!(asks_at_once(&ann, REQUESTS_PER_SECOND).await.0, 0, "{second}");
        world.advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_has_done_nothing() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    asks_at_once(&ann, 8 * REQUESTS_AT_ONCE).await;
    world.calls();
    let (refused, _) = asks_at_once(&ann, 8).await;
    let reads = world.calls().iter().filter(|call| matches!(call.operation, tests::Operation::Dynamo(..))).count();
    // Who is let through asks the index and the account.
    assert!(refused > 0 && reads <= 2 * (8 - refused), "{refused} are refused, and {reads} calls are made");
}
