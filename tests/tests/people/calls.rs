//! How often a call is tried and how long that may take, whatever service doesn't answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use shared::limits::{
    ARCHIVE_ATTEMPT_TIMEOUT, ARCHIVE_ATTEMPTS_MAX, ARCHIVE_CALL_TIMEOUT, ATTEMPT_TIMEOUT, BATCH_ROUNDS_MAX,
    CALL_ATTEMPTS_MAX, CALL_TIMEOUT, PUSH_ATTEMPTS_BEFORE_QUEUE, PUSH_ATTEMPTS_MAX, PUSH_BACKOFF, PUSH_TIMEOUT,
    QUEUE_ATTEMPT_TIMEOUT, QUEUE_ATTEMPTS_MAX, QUEUE_CALL_TIMEOUT,
};
use tests::{Call, Fault, Operation, Phone, World};
use tokio::time::Instant;

use crate::deliver::room;

/// The answer never comes.
const NEVER: Fault = Fault::Late(Duration::MAX);
/// The SDK's longest wait before it tries a second time.
const SECOND_TRY_AFTER_MAX: Duration = Duration::from_secs(1);
/// What a call's way may take besides, there and back, and what a function does behind it.
const WAY_MAX: Duration = Duration::from_millis(200);

/// When calls were tried.
#[derive(Clone, Default)]
pub(crate) struct Tries(Arc<Mutex<Vec<Instant>>>);

impl Tries {
    /// Each call that this describes breaks so from now on, and is noted.
    pub(crate) fn of(world: &World, fault: Fault, matches: impl Fn(&Call) -> bool + Send + 'static) -> Self {
        let tries = Self::default();
        let noted = tries.clone();
        world.breaks(move |call| {
            let breaks = matches(call);
            if breaks {
                noted.0.lock().expect("no panic before").push(Instant::now());
            }
            breaks.then_some(fault)
        });
        tries
    }

    /// Takes them.
    pub(crate) fn take(&self) -> Vec<Instant> {
        std::mem::take(&mut self.0.lock().expect("no panic before"))
    }
}

/// Checks what calls took that were never answered, and of which the last has just been given up: each as long as one attempt
/// may, and all as long as the whole call.
fn took(tries: &[Instant], attempt: Duration, call: Duration) {
    let ended = Instant::now();
    let each = attempt..attempt + SECOND_TRY_AFTER_MAX + WAY_MAX;
    assert!(each.contains(&(tries[1] - tries[0])), "{tries:?}");
    let all = call..call + WAY_MAX;
    assert!(all.contains(&(ended - tries[0])), "{tries:?}, until {ended:?}");
}

/// Whether a call reads an account, by its key.
fn reads_account(call: &Call) -> bool {
    matches!(&call.operation, Operation::Dynamo(name, _) if name == "GetItem") && call.operation.sk() == Some("ACCOUNT")
}

#[tokio::test(start_paused = true)]
async fn the_table_is_asked_so_often_and_so_long() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let asks = json!({ "action": "getBalance" });
    let tries = Tries::of(&world, Fault::Refuse(500), reads_account);
    let mut most = 0;
    for seed in 0..16 {
        // From here the SDK draws how long it waits between its tries; where that is long, the whole call has no more time.
        fastrand::seed(seed);
        assert_eq!(ann.says(asks.clone()).await.code(), "unavailable");
        most = most.max(tries.take().len());
    }
    assert_eq!(most, CALL_ATTEMPTS_MAX as usize);
    let tries = Tries::of(&world, NEVER, reads_account);
    assert_eq!(ann.says(asks.clone()).await.code(), "unavailable");
    took(&tries.take(), ATTEMPT_TIMEOUT, CALL_TIMEOUT);
    world.heals();
    assert_eq!(ann.says(asks).await["balance"], 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_batch_leaves_undone_is_asked_for_again_so_often() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let asks = json!({ "action": "getPresence", "userIds": ["ann"] });
    let is_batch = |call: &Call| matches!(&call.operation, Operation::Dynamo(name, _) if name.starts_with("Batch"));
    let tries = Tries::of(&world, Fault::Unprocessed, is_batch);
    assert_eq!(ann.says(asks.clone()).await.code(), "unavailable");
    assert_eq!(tries.take().len(), BATCH_ROUNDS_MAX as usize);
    let mut left = BATCH_ROUNDS_MAX - 1;
    world.breaks(move |call| {
        let breaks = left > 0 && is_batch(call);
        left -= u32::from(breaks);
        breaks.then_some(Fault::Unprocessed)
    });
    assert_eq!(ann.says(asks).await["users"][0]["online"], true, "the last time it is done");
}

/// Whether a call pushes to this phone.
fn pushes_to(phone: &Phone) -> impl Fn(&Call) -> bool + Clone + Send + 'static {
    let push = Operation::Push(phone.connection.clone());
    move |call| call.operation == push
}

#[tokio::test(start_paused = true)]
async fn a_push_is_tried_so_often_and_so_long() {
    let (world, ann, bob) = room().await;
    let tries = Tries::of(&world, NEVER, pushes_to(&bob));
    ann.sends_to("bob", "hi").await.data();
    let tries = tries.take();
    assert_eq!(tries.len(), PUSH_ATTEMPTS_BEFORE_QUEUE as usize);
    let each = PUSH_TIMEOUT..PUSH_TIMEOUT + PUSH_BACKOFF + WAY_MAX;
    assert!(each.contains(&(tries[1] - tries[0])), "{tries:?}");

    // What nothing tries again later: Bob's own answers.
    let mut waited = Duration::ZERO;
    for _ in 0..10 {
        let tries = Tries::of(&world, Fault::Refuse(429), pushes_to(&bob));
        assert!(bob.tries(json!({ "action": "ping" })).await.is_none());
        let tries = tries.take();
        assert_eq!(tries.len(), PUSH_ATTEMPTS_MAX as usize);
        for (n, two) in (0..).zip(tries.windows(2)) {
            let wait = two[1] - two[0];
            assert!(wait <= PUSH_BACKOFF * 2_u32.pow(n) + WAY_MAX, "{tries:?}");
            waited += wait;
        }
    }
    assert!(waited > PUSH_BACKOFF * 10, "{waited:?}");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_asked_so_often_and_so_long() {
    let (world, ann, bob) = room().await;
    let is_push = pushes_to(&bob);
    // The SDK draws how long it waits between its tries; where that is long, the limit of the whole call ends it.
    for (seed, fault) in (0..8).flat_map(|seed| [(seed, Fault::Refuse(500)), (seed, NEVER)]) {
        fastrand::seed(seed);
        let tries = Tries::default();
        let (noted, is_push) = (tries.clone(), is_push.clone());
        world.breaks(move |call| match &call.operation {
            Operation::Queue(..) => {
                noted.0.lock().expect("no panic before").push(Instant::now());
                Some(fault)
            }
            _ => is_push(call).then_some(Fault::Refuse(429)),
        });
        ann.sends_to("bob", "sync brings it").await.data();
        let (ended, tries) = (Instant::now(), tries.take());
        assert_eq!(tries.len(), QUEUE_ATTEMPTS_MAX as usize, "{seed} {fault:?}");
        if fault == NEVER {
            let each = QUEUE_ATTEMPT_TIMEOUT..QUEUE_ATTEMPT_TIMEOUT + SECOND_TRY_AFTER_MAX + WAY_MAX;
            assert!(each.contains(&(tries[1] - tries[0])), "{seed}: {tries:?}");
            assert!(ended - tries[0] < QUEUE_CALL_TIMEOUT + WAY_MAX, "{seed}: {tries:?}, until {ended:?}");
        }
    }
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn the_archive_is_asked_so_often_and_so_long() {
    fastrand::seed(7);
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    for n in 1..=2 {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    bob.marks_read(&conversation, 2).await.data();
    world.advance(Duration::from_secs(100 * 86_400)).await;
    world.cleans_up().await;
    let ann = ann.person.connects().await;
    let asks = json!({ "action": "getMessages", "conversationId": conversation });
    let reads = |call: &Call| matches!(call.operation, Operation::GetObject(_));
    let tries = Tries::of(&world, Fault::Refuse(500), reads);
    assert_eq!(ann.says(asks.clone()).await.code(), "unavailable");
    assert_eq!(tries.take().len(), ARCHIVE_ATTEMPTS_MAX as usize);
    let tries = Tries::of(&world, NEVER, reads);
    assert_eq!(ann.says(asks.clone()).await.code(), "unavailable");
    took(&tries.take(), ARCHIVE_ATTEMPT_TIMEOUT, ARCHIVE_CALL_TIMEOUT);
    world.heals();
    let found = ann.says(asks).await["messages"].as_array().map(Vec::len);
    assert_eq!(found, Some(2));
}
