use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::{
    BATCH_BACKOFF, DELIVER_AT_ONCE, DELIVER_BACKOFF, DELIVER_RECEIVES_MAX, PUSH_BACKOFF, QUEUE_BATCH_MAX,
};
use tests::{Call, Fault, Operation, Phone, World};
use tokio::time::Instant;

/// A world where Ann talks to Bob, who has been connected for long enough to be told at once.
pub(crate) async fn room() -> (World, Phone, Phone) {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    world.advance(shared::limits::CONNECT_GRACE).await;
    ann.opens("bob").await;
    bob.heard();
    (world, ann, bob)
}

/// Whether a call pushes to this phone.
fn pushes_to(call: &Call, connection: &str) -> bool {
    matches!(&call.operation, Operation::Push(to) if to == connection)
}

/// The next so many pushes to a phone are answered with this status.
fn refuses(world: &World, phone: &Phone, status: u16, mut times: usize) {
    let connection = phone.connection.clone();
    world.breaks(move |call| {
        let refused = times > 0 && pushes_to(call, &connection);
        times -= usize::from(refused);
        refused.then_some(Fault::Refuse(status))
    });
}

/// When each of some calls was made, and by whom.
pub(crate) type Times = Arc<Mutex<Vec<(Instant, Call)>>>;

/// As REFUSED says; writes down when each call is made that MATCHES.
pub(crate) fn watches(
    world: &World,
    matches: impl Fn(&Call) -> bool + Send + 'static,
    mut refused: impl FnMut(&Call) -> Option<Fault> + Send + 'static,
) -> Times {
    let times = Times::default();
    let seen = times.clone();
    world.breaks(move |call| {
        if matches(call) {
            seen.lock().expect("no panic before").push((Instant::now(), call.clone()));
        }
        refused(call)
    });
    times
}

/// What was waited between one and the next.
pub(crate) fn waits(times: &Times, of: impl Fn(&Call) -> bool) -> Vec<Duration> {
    let times = times.lock().expect("no panic before");
    let times: Vec<Instant> = times.iter().filter(|(_, call)| of(call)).map(|(at, _)| *at).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// What a phone was pushed: the numbers.
fn numbers(phone: &Phone) -> Vec<u64> {
    phone.heard_messages().iter().map(|message| message["seq"].as_u64().expect("a number")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_phone_whose_pushes_are_refused_gets_the_message_without_a_sync() {
    for status in [429, 500, 503] {
        let (world, ann, bob) = room().await;
        refuses(&world, &bob, status, 4);
        assert_eq!(ann.sends_to("bob", "hi").await["message"]["seq"], 1, "the sender doesn't wait for it");
        let queued = world.queued();
        assert_eq!((queued.len(), &queued[0]["user"], &queued[0]["seq"]), (1, &json!("bob"), &json!(1)));
        assert!(!queued[0].to_string().contains("hi"), "no content is queued: {queued:?}");
        world.queue_empties().await;
        let heard = bob.heard_messages();
        assert_eq!((heard.len(), &heard[0]["content"]), (1, &json!("hi")));
        assert!(world.dead_letters().is_empty());
        world.comes_to_rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_whose_answer_is_lost_may_come_twice_and_says_the_same() {
    let (world, ann, bob) = room().await;
    let connection = bob.connection.clone();
    let mut left = 4;
    world.breaks(move |call| {
        let lost = left > 0 && pushes_to(call, &connection);
        left -= usize::from(lost);
        lost.then_some(Fault::LoseReply)
    });
    ann.sends_to("bob", "hi").await.data();
    world.queue_empties().await;
    let heard = bob.heard_messages();
    assert!(heard.len() > 1 && heard.iter().all(|message| *message == heard[0]), "{heard:#?}");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_sent_meanwhile_all_arrive() {
    let (world, ann, bob) = room().await;
    refuses(&world, &bob, 429, 30);
    for n in 0..25 {
        ann.sends_to("bob", &n.to_string()).await.data();
    }
    world.queue_empties().await;
    let mut numbers = numbers(&bob);
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=25).collect::<Vec<u64>>(), "in some order");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_gone_gets_nothing_and_leaves_nothing() {
    let (world, ann, bob) = room().await;
    refuses(&world, &bob, 429, 2);
    ann.sends_to("bob", "to one that is told").await.data();
    bob.goes_away().await;
    world.queue_empties().await;
    let again = world.person("bob").connects().await;
    world.advance(shared::limits::CONNECT_GRACE).await;
    refuses(&world, &again, 429, 2);
    ann.sends_to("bob", "to one that isn't").await.data();
    again.vanishes();
    world.queue_empties().await;
    assert!(world.dead_letters().is_empty());
    assert!(world.person("bob").known_connections().is_empty(), "the first 410 is the end of a connection");
    assert_eq!(world.person("bob").connects().await.syncs().await.messages().len(), 2);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_never_goes_is_dead_lettered_with_its_reason_and_sync_brings_it() {
    let (world, ann, bob) = room().await;
    refuses(&world, &bob, 429, usize::MAX);
    ann.sends_to("bob", "hi").await.data();
    let queued = world.queued();
    let connection = bob.connection.clone();
    let pushed = move |call: &Call| pushes_to(call, &connection);
    let times = watches(&world, pushed.clone(), move |call| pushed(call).then_some(Fault::Refuse(429)));
    world.queue_empties().await;
    let waits = waits(&times, |_| true);
    assert_eq!(waits.len() + 1, DELIVER_RECEIVES_MAX as usize);
    for (waited, longest) in waits.iter().zip((0..).map(|n| DELIVER_BACKOFF * 2_u32.pow(n))) {
        // The queue's batches come after a second at the latest.
        let may = Duration::from_secs(1)..longest + Duration::from_secs(2);
        assert!(may.contains(waited), "{waits:?}");
    }
    let dead = world.dead_letters();
    let reason = dead[0].1.as_deref().expect("a reason");
    assert!(dead.len() == 1 && reason.contains("the gateway refused"), "{dead:?}");
    assert_eq!(serde_json::from_str::<Value>(&dead[0].0).expect("JSON"), queued[0]);
    world.heals();
    assert_eq!(bob.syncs().await.messages()[0]["content"], "hi");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_dead_lettered_at_once_and_holds_up_nothing() {
    let (world, ann, bob) = room().await;
    world.puts_into_queue("not JSON");
    world.puts_into_queue(&json!({ "user": "bob" }).to_string());
    refuses(&world, &bob, 429, 2);
    ann.sends_to("bob", "hi").await.data();
    let mut unknown = world.queued().remove(2);
    unknown["seq"] = 7.into();
    world.puts_into_queue(&unknown.to_string());
    let before = world.now();
    world.queue_empties().await;
    assert!(world.now().ms - before.ms < 3_000, "nothing is tried again");
    assert_eq!(numbers(&bob), [1]);
    let mut reasons: Vec<String> = world.dead_letters().into_iter().filter_map(|(_, reason)| reason).collect();
    reasons.sort();
    assert_eq!(reasons.len(), 3);
    assert!(reasons[0].ends_with("has no message 7"), "{reasons:?}");
    assert!(reasons[1..].iter().all(|reason| reason.starts_with("not a delivery: ")), "{reasons:?}");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_only_what_failed_comes_again() {
    let (world, ann, bob) = room().await;
    let tablet = world.person("bob").connects().await;
    world.advance(shared::limits::CONNECT_GRACE).await;
    let refused = [bob.connection.clone(), tablet.connection.clone()];
    let mut seen = 0;
    world.breaks(move |call| {
        let refuse = refused.iter().any(|connection| pushes_to(call, connection)) && call.function == "send"
            || call.function == "deliver" && pushes_to(call, &refused[0]) && seen < 3;
        seen += usize::from(call.function == "deliver" && pushes_to(call, &refused[0]));
        refuse.then_some(Fault::Refuse(503))
    });
    ann.sends_to("bob", "hi").await.data();
    assert_eq!(world.queued().len(), 2);
    world.queue_empties().await;
    assert_eq!((numbers(&bob), numbers(&tablet)), (vec![1], vec![1]), "each once");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_a_message_is_sent_all_the_same_and_sync_brings_it() {
    for fault in [Fault::Refuse(500), Fault::Refuse(403)] {
        let (world, ann, bob) = room().await;
        let connection = bob.connection.clone();
        world.breaks(move |call| match &call.operation {
            Operation::Queue(..) => Some(fault),
            _ => pushes_to(call, &connection).then_some(Fault::Refuse(429)),
        });
        assert_eq!(ann.sends_to("bob", "hi").await["message"]["seq"], 1);
        world.heals();
        assert!(world.queued().is_empty());
        assert_eq!(bob.syncs().await.messages()[0]["content"], "hi");
        world.comes_to_rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_death_at_any_call_of_deliver_loses_nothing() {
    for fault in [Fault::KillBefore, Fault::KillAfter, Fault::Refuse(500), Fault::LoseReply] {
        for n in 1..=5 {
            let (world, ann, bob) = room().await;
            refuses(&world, &bob, 429, 3);
            ann.sends_to("bob", "hi").await.data();
            let (connection, mut refused, mut calls) = (bob.connection.clone(), false, 0);
            world.breaks(move |call| {
                calls += usize::from(call.function == "deliver");
                if calls == n && call.function == "deliver" {
                    return Some(fault);
                }
                // One failure more, so that it also dies while it puts a message back.
                let refuse = !refused && pushes_to(call, &connection);
                refused |= refuse;
                refuse.then_some(Fault::Refuse(429))
            });
            world.queue_empties().await;
            assert!(!numbers(&bob).is_empty(), "{fault:?} at call {n}");
            assert!(world.dead_letters().is_empty(), "{fault:?} at call {n}");
            world.comes_to_rest().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_that_dies_before_it_could_queue_a_push_is_finished_by_the_sweep() {
    let (world, ann, bob) = room().await;
    let connection = bob.connection.clone();
    world.breaks(move |call| match &call.operation {
        Operation::Queue(..) => Some(Fault::KillBefore),
        _ => pushes_to(call, &connection).then_some(Fault::Refuse(429)),
    });
    ann.tries(ann.message_to("bob", "hi")).await;
    world.comes_to_rest().await;
    assert_eq!(numbers(&bob), [1], "without a sync");
}

#[tokio::test(start_paused = true)]
async fn pushes_are_tried_again_no_faster_than_the_deployment_wants() {
    let world = World::deployed_with(&[("PushesPerSecond", "10"), ("SendBurst", "1000")]).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    world.advance(shared::limits::CONNECT_GRACE).await;
    refuses(&world, &bob, 429, usize::MAX);
    for n in 0..100 {
        ann.sends_to("bob", &n.to_string()).await.data();
    }
    // Each is refused once more.
    let connection = bob.connection.clone();
    let again = move |call: &Call| call.function == "deliver" && pushes_to(call, &connection);
    let (counted, mut left) = (again.clone(), 100);
    let times = watches(&world, again, move |call| {
        let refused = left > 0 && counted(call);
        left -= usize::from(refused);
        refused.then_some(Fault::Refuse(429))
    });
    world.queue_empties().await;
    assert_eq!(numbers(&bob).len(), 100);
    let times: Vec<Instant> = times.lock().expect("no panic before").iter().map(|(at, _)| *at).collect();
    assert_eq!(times.len(), 200);
    // 10 a second: an instance one every half second, a little more or less for its reads before each.
    let at_once = DELIVER_AT_ONCE as usize;
    for (span, most) in [(Duration::from_millis(250), at_once), (Duration::from_secs(5), 50 + at_once)] {
        for (n, at) in times.iter().enumerate() {
            let there = times[n..].iter().take_while(|other| **other - *at < span).count();
            assert!(there <= most, "{there} pushes in {span:?}");
        }
    }
    let took = times[199] - times[0];
    assert!((Duration::from_secs(19)..Duration::from_secs(40)).contains(&took), "200 pushes, 10 a second: {took:?}");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn those_who_were_refused_together_do_not_come_back_together() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let bob = world.person("bob");
    let phones: Vec<Phone> = futures::future::join_all((0..40).map(|_| bob.connects())).await;
    world.advance(shared::limits::CONNECT_GRACE).await;
    let own = ann.connection.clone();
    let pushed = move |call: &Call| matches!(&call.operation, Operation::Push(to) if *to != own);
    let (refused, mut left) = (pushed.clone(), phones.len());
    let times = watches(&world, pushed, move |call| {
        let refused = left > 0 && refused(call);
        left -= usize::from(refused);
        refused.then_some(Fault::Refuse(429))
    });
    ann.sends_to("bob", "hi").await.data();
    let waited: Vec<Duration> =
        phones.iter().flat_map(|phone| waits(&times, |call| pushes_to(call, &phone.connection))).collect();
    assert_eq!(waited.len(), phones.len(), "each was tried once more");
    // The network takes up to 16 ms of it.
    assert!(waited.iter().all(|wait| *wait < PUSH_BACKOFF + Duration::from_millis(17)), "{waited:?}");
    let early = waited.iter().filter(|wait| **wait < PUSH_BACKOFF / 2).count();
    assert!((8..=32).contains(&early), "of 40 about half in each half: {waited:?}");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_unprocessed_is_asked_for_again_after_waits_of_ones_own() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let batch = |call: &Call| matches!(&call.operation, Operation::Dynamo(name, _) if name == "BatchGetItem");
    let times = watches(&world, batch, move |call| batch(call).then_some(Fault::Unprocessed));
    let asks = json!({ "action": "getPresence", "userIds": ["cid"] });
    let (ann, bob) = futures::future::join(ann.says(asks.clone()), bob.says(asks)).await;
    assert_eq!((ann.code(), bob.code()), ("unavailable", "unavailable"));
    let asked: std::collections::BTreeSet<String> =
        times.lock().expect("no panic before").iter().map(|(_, call)| call.trace_id.clone()).collect();
    let all: Vec<Vec<Duration>> = asked.iter().map(|id| waits(&times, |call| call.trace_id == *id)).collect();
    let [one, other] = all.as_slice() else { panic!("{all:?}") };
    let network = Duration::from_millis(17);
    for (n, (one, other)) in (0..).zip(one.iter().zip(other)) {
        let longest = BATCH_BACKOFF * 2_u32.pow(n) + network;
        assert!(*one < longest && *other < longest, "{all:?}");
    }
    let differ = one.iter().zip(other).filter(|(one, other)| one.abs_diff(**other) > network).count();
    assert!(differ > 1, "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn answers_and_what_is_not_kept_are_never_queued() {
    let (world, ann, bob) = room().await;
    let conversation = ann.opens("bob").await;
    world.breaks(|call| matches!(call.operation, Operation::Push(_)).then_some(Fault::Refuse(429)));
    ann.tries(json!({ "action": "typing", "conversationId": conversation, "typing": true })).await;
    bob.tries(json!({ "action": "getBalance" })).await;
    assert!(world.queued().is_empty());
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn more_pushes_than_a_batch_takes_are_queued_all_the_same() {
    let (world, ann, bob) = room().await;
    for _ in 0..QUEUE_BATCH_MAX {
        world.person("bob").connects().await;
    }
    world.advance(shared::limits::CONNECT_GRACE).await;
    world.breaks(move |call| {
        let refused = call.function == "send" && matches!(&call.operation, Operation::Push(_));
        refused.then_some(Fault::Refuse(429))
    });
    ann.tries(ann.message_to("bob", "hi")).await;
    assert_eq!(world.queued().len(), QUEUE_BATCH_MAX + 1);
    world.heals();
    world.queue_empties().await;
    assert_eq!(numbers(&bob), [1]);
    world.comes_to_rest().await;
}
