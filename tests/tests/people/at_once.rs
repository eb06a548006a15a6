//! How much a function does at the same time, when there is more to do.

use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::{
    CLEANUP_AT_ONCE, CONNECT_GRACE, CONNECTIONS_MAX, MEMBERS_AT_ONCE, PUSHES_AT_ONCE, SWEEP_AT_ONCE, VERIFY_AT_ONCE,
    VOID_AFTER,
};
use shared::store::conversations::Meta;
use shared::store::table::Key;
use shared::store::work::Listing;
use tests::years::item;
use tests::{Call, Fault, Operation, World};
use wire::UserId;

use crate::calls::Tries;

/// So long each call takes that is counted: less than any time limit, and longer than all other calls beside it.
const LONG: Duration = Duration::from_secs(1);

/// Of all calls that this describes, how many are made before the first is answered; once DONE was awaited.
async fn before_the_first_answer(
    world: &World,
    matches: impl Fn(&Call) -> bool + Send + 'static,
    done: impl Future<Output = ()>,
) -> usize {
    let tries = Tries::of(world, Fault::Late(LONG), matches);
    done.await;
    world.heals();
    let tries = tries.take();
    let first = tries.first().copied().expect("one at least");
    let at_once = tries.iter().filter(|at| **at - first < LONG).count();
    assert!(at_once < tries.len(), "only {at_once} calls were to be made");
    at_once
}

#[tokio::test(start_paused = true)]
async fn so_many_pushes_are_sent() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann"), world.person("bob"));
    let phone = ann.connects().await;
    for _ in 0..CONNECTIONS_MAX {
        bob.connects().await;
    }
    for _ in CONNECTIONS_MAX..=PUSHES_AT_ONCE {
        ann.connects().await;
    }
    world.advance(CONNECT_GRACE).await;
    let own = Operation::Push(phone.connection.clone());
    let is_push = move |call: &Call| matches!(call.operation, Operation::Push(_)) && call.operation != own;
    let sends = async { drop(phone.sends_to("bob", "to all devices").await) };
    assert_eq!(before_the_first_answer(&world, is_push, sends).await, PUSHES_AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn so_many_members_of_a_group_are_put() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let others: Vec<String> = (0..=MEMBERS_AT_ONCE).map(|n| format!("user {n}")).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let puts = |call: &Call| call.operation.is_put() && call.operation.writes("MEMBER#");
    let makes = async { drop(ann.makes_group("g1", &others).await) };
    assert_eq!(before_the_first_answer(&world, puts, makes).await, MEMBERS_AT_ONCE);
}

/// Whether a function reads an item of this kind by its key.
fn reads(function: &'static str, sk: &'static str) -> impl Fn(&Call) -> bool {
    move |call| {
        let is_get = matches!(&call.operation, Operation::Dynamo(name, _) if name == "GetItem");
        is_get && call.function == function && call.operation.sk() == Some(sk)
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_accounts_are_swept() {
    let world = World::new().await;
    for n in 0..=SWEEP_AT_ONCE {
        world.person(&format!("user {n}")).connects().await.sends_to("bob", "hi").await.data();
    }
    world.advance(VOID_AFTER + Duration::from_secs(1)).await;
    let at_once = before_the_first_answer(&world, reads("sweep", "ACCOUNT"), world.sweeps()).await;
    assert_eq!(at_once, SWEEP_AT_ONCE);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn so_many_conversations_are_cleaned_up() {
    let world = World::new().await;
    let long_ago = world.now().before(Duration::from_secs(86_400));
    let user = |name: &str| -> UserId { name.parse().expect("an id") };
    let due = (0..=CLEANUP_AT_ONCE).map(|n| {
        let meta = Meta::direct([user("ann"), user(&format!("user {n}"))], long_ago, n.to_string());
        item(Key::meta(&meta.id), &meta, Some(&Listing::archive(long_ago, &meta.id)))
    });
    world.imports(due.collect());
    let at_once = before_the_first_answer(&world, reads("cleanup", "META"), world.cleans_up()).await;
    assert_eq!(at_once, CLEANUP_AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn so_many_accounts_are_verified() {
    let world = World::new().await;
    // Nothing but accounts: whatever takes no time is in the way of none.
    let account = json!({ "balance": 0, "open": {}, "epoch": 0, "settle_version": 0 });
    let accounts = (0..=VERIFY_AT_ONCE).map(|n| {
        let user: UserId = format!("user {n}").parse().expect("an id");
        item(Key::account(&user), &account, None)
    });
    world.imports(accounts.collect());
    let verifies = async { assert_eq!(world.is_verified(false).await, [] as [Value; 0]) };
    assert_eq!(before_the_first_answer(&world, reads("verify", "ACCOUNT"), verifies).await, VERIFY_AT_ONCE);
}
