//! Clocks that were wrong for a while, as a laptop's or with a wrong NTP server: what they set is believed no further than their
//! rule could have set it.

use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::{DELETE_AFTER, SECRET_REFETCH_AFTER, VOID_AFTER};
use tests::world::SECRET;
use tests::{Fault, Handshake, World};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

#[tokio::test(start_paused = true)]
async fn who_has_sent_may_send_when_the_clock_is_set_back() {
    for (there, back) in [(0, -HOUR), (3 * HOUR, -3 * HOUR), (365 * DAY, -365 * DAY)] {
        let world = World::deployed_with(&[("SendsPerSecond", "2"), ("SendBurst", "3")]).await;
        world.sets_clock(there);
        let ann = world.person("ann").connects().await;
        let conversation = ann.opens("bob").await;
        for n in 0..3 {
            ann.sends(&conversation, &n.to_string()).await.data();
        }
        world.sets_clock(back);
        let ann = world.person("ann").connects().await;
        ann.sends(&conversation, "at once").await.data();
        // The burst counts as just used up: the rate still holds.
        assert_eq!(ann.sends(&conversation, "too fast").await.code(), "rate_limited");
        for n in 0..4 {
            world.advance(Duration::from_millis(500)).await;
            ann.sends(&conversation, &format!("later {n}")).await.data();
        }
        assert_eq!(ann.sends(&conversation, "too fast").await.code(), "rate_limited");
        world.comes_to_rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_by_seconds_give_nobody_a_second_burst() {
    let world = World::deployed_with(&[("SendsPerSecond", "2"), ("SendBurst", "3")]).await;
    let ann = world.person("ann").connects().await;
    let conversation = ann.opens("bob").await;
    let mut sent = 0;
    for n in 0..20 {
        world.sets_clock(if n % 2 == 0 { 4 } else { -4 });
        sent += usize::from(ann.sends(&conversation, &n.to_string()).await.frame["success"] == true);
    }
    assert!(
        sent <= 3 + 2 * 4,
        "{sent} sends: a burst, and the rate of the four seconds that the faster clock is ahead"
    );
}

#[tokio::test(start_paused = true)]
async fn a_send_from_the_future_is_swept() {
    let world = World::deployed_with(&[("DefaultPrice", "5")]).await;
    world.tops_up("ann", 5).await;
    let ann = world.person("ann").connects().await;
    world.sets_clock(DAY);
    world.breaks_once(Fault::KillAfter, |call| call.operation.writes("ACCOUNT"));
    assert!(ann.tries(ann.message_to("bob", "hi")).await.is_none());
    world.heals();
    world.sets_clock(-DAY);
    world.sweeps().await;
    assert_eq!(world.person("ann").connects().await.balance().await, 5, "it was given up, and its price given back");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_from_the_future_is_over() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    bob.sends_to("ann", "hi").await.data();
    let asks = json!({ "action": "getPresence", "userIds": ["bob"] });
    assert_eq!(ann.says(asks.clone()).await["users"][0]["online"], true);
    bob.goes_away().await;
    world.sets_clock(DAY);
    let bob = world.person("bob").connects().await;
    world.sets_clock(-DAY);
    let ann = world.person("ann").connects().await;
    assert_eq!(ann.says(asks).await["users"][0]["online"], false);
    world.sweeps().await;
    assert!(!bob.is_connected(), "the sweep has ended it");
    assert_eq!(world.person("bob").known_connections(), [] as [String; 0]);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_fetched_in_the_future_is_fetched_again() {
    let world = World::new().await;
    world.sets_clock(DAY);
    world.handshake(&Handshake::with_header(&world.token("ann", Value::Null))).await.expect("accepted");
    world.sets_clock(-DAY);
    let token = world.token("ann", Value::Null);
    world.handshake(&Handshake::with_header(&token)).await.expect("accepted");
    world.has_secrets([("AWSCURRENT", format!("{SECRET}, but another"))]);
    world.advance(SECRET_REFETCH_AFTER + shared::limits::SECRET_LIFE).await;
    assert_eq!(world.handshake(&Handshake::with_header(&token)).await, Err(401), "that secret isn't good any more");
}

/// How many messages are in the table.
fn messages_left(world: &World) -> usize {
    world.items().iter().filter(|item| item["sk"].as_str().is_some_and(|sk| sk.starts_with("MSG#"))).count()
}

#[tokio::test(start_paused = true)]
async fn messages_from_the_future_grow_old_with_the_next() {
    let world = World::new().await;
    let mut conversation = Value::Null;
    for (clock, messages) in [(100 * DAY, 60), (-100 * DAY, 70)] {
        world.sets_clock(clock);
        let ann = world.person("ann").connects().await;
        conversation = ann.opens("bob").await;
        for n in 0..messages {
            world.advance(Duration::from_millis(60)).await;
            ann.sends(&conversation, &n.to_string()).await.data();
        }
    }
    world.person("bob").connects().await.marks_read(&conversation, 130).await.data();
    world.advance(VOID_AFTER).await;
    world.sweeps().await;
    world.sets_clock(8 * DAY);
    world.cleans_up().await;
    assert_eq!(world.archived().len(), 1, "129 are moved at once");
    world.sets_clock(DAY);
    world.cleans_up().await;
    assert_eq!(messages_left(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn what_moved_in_the_future_is_deleted_a_day_after_it_is_seen() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    for n in 1..=101 {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    bob.marks_read(&conversation, 101).await.data();
    world.advance(VOID_AFTER).await;
    world.sweeps().await;
    let left = || messages_left(&world);
    world.sets_clock(365 * DAY);
    world.cleans_up().await;
    assert_eq!((world.archived().len(), left()), (1, 101));
    world.sets_clock(-300 * DAY);
    // It says now that it has just moved.
    world.cleans_up().await;
    assert_eq!(left(), 101, "somebody may have read META a moment ago");
    world.sets_clock(i64::try_from(DELETE_AFTER.as_secs()).expect("small") - 60);
    world.cleans_up().await;
    assert_eq!(left(), 101, "a day hasn't passed");
    world.sets_clock(120);
    world.cleans_up().await;
    assert_eq!(left(), 1);
}
