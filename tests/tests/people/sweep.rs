use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use shared::limits::{FOLD_AFTER, LIVELY, WORK_SHARDS};
use shared::store::accounts::CLAIM;
use shared::store::table::Key;
use shared::store::work::Listing;
use tests::years::item;
use tests::{Fault, World};
use wire::{Time, UserId};

use super::to_the_last;

/// How long a look takes that meets what comes meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// A world where Ann's message was decided, and its function died before it was published.
async fn claimed_and_dead() -> (World, tests::Phone, serde_json::Value) {
    let world = World::new().await;
    world.prices("bob", 5).await;
    world.tops_up("ann", 12).await;
    let ann = world.person("ann").connects().await;
    let frame = ann.dies_sending("bob", "lost").await;
    assert_eq!(ann.balance().await, 7, "it was charged");
    (world, ann, frame)
}

#[tokio::test(start_paused = true)]
async fn a_send_that_nobody_finishes_is_given_up_and_refunded() {
    let (world, ann, frame) = claimed_and_dead().await;
    world.advance(Duration::from_secs(30)).await;
    world.sweeps().await;
    assert_eq!(ann.balance().await, 7, "not before a minute has passed");
    world.advance(Duration::from_secs(31)).await;
    world.sweeps().await;
    world.is_at_rest();
    assert_eq!(ann.balance().await, 12);
    let again = ann.says(frame.clone()).await;
    assert_eq!((again.code(), &again.frame["error"]["retryable"]), ("send_expired", &json!(false)));
    let mut other = frame;
    other["content"] = "something else".into();
    assert_eq!(ann.says(other).await.code(), "client_message_id_reused");
    let next = ann.sends_to("bob", "anew").await;
    assert_eq!((&next["message"]["seq"], &next["balance"]), (&json!(2), &json!(7)), "the conversation goes on");
    let bob = world.person("bob").connects().await;
    let seen = bob.history(&next["message"]["conversationId"]).await;
    assert_eq!((&seen[0]["deleted"], &seen[0]["content"], &seen[0]["price"]), (&json!(true), &json!(""), &json!(0)));
    assert_eq!(seen[1]["content"], "anew");
    let ledger = ann.says(json!({ "action": "getTransactions" })).await;
    let amounts: Vec<i64> =
        ledger["transactions"].as_array().expect("a list").iter().filter_map(|line| line["amount"].as_i64()).collect();
    assert_eq!(amounts, [-5, 12], "what was given up is no line");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_before_the_sweep_finishes_the_send() {
    let (world, ann, frame) = claimed_and_dead().await;
    let sent = ann.says(frame).await;
    assert_eq!((&sent["message"]["seq"], &sent["duplicate"]), (&json!(1), &json!(true)));
    assert_eq!(ann.balance().await, 7, "it isn't charged again");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_during_the_sweep_ends_like_the_sweep_or_before_it() {
    for delay in 0..25 {
        let (world, ann, frame) = claimed_and_dead().await;
        world.advance(Duration::from_secs(61)).await;
        let retry = async {
            world.advance(Duration::from_millis(4 * delay)).await;
            ann.says(frame.clone()).await
        };
        let ((), answer) = futures::future::join(world.sweeps(), retry).await;
        world.comes_to_rest().await;
        let sent = answer.frame["success"] == true;
        assert!(sent || answer.code() == "send_expired", "{:#}", answer.frame);
        assert_eq!(ann.balance().await, if sent { 7 } else { 12 }, "after {delay}");
        assert_eq!(ann.says(frame).await.frame["success"], sent, "an answer is never contradicted");
    }
}

#[tokio::test(start_paused = true)]
async fn sweeps_that_overlap_give_up_and_refund_once() {
    let (world, ann, _) = claimed_and_dead().await;
    world.advance(Duration::from_secs(61)).await;
    futures::future::join_all((0..4).map(|_| world.sweeps())).await;
    world.is_at_rest();
    assert_eq!(ann.balance().await, 12);
}

/// Who goes on sending drops, too. What the sweep has given up comes back in the same sweep all the same.
#[tokio::test(start_paused = true)]
async fn a_refund_does_not_wait_because_another_drops_meanwhile() {
    let (world, ann, _) = claimed_and_dead().await;
    ann.sends_to("bob", "has ended").await.data();
    assert_eq!(ann.balance().await, 2);
    world.advance(Duration::from_secs(61)).await;
    world.tops_up("ann", 5).await;
    let mut published = false;
    world.breaks(move |call| {
        let publishes = call.operation.writes("MSG#") && !published;
        published |= publishes;
        publishes.then_some(Fault::Late(LOOK))
    });
    let goes_on = async {
        world.advance(LOOK / 2).await;
        ann.sends_to("bob", "meanwhile").await.data();
        to_the_last::item(&world, "USER#ann", "ACCOUNT")["open"].as_object().map(serde_json::Map::len)
    };
    let ((), open) = futures::join!(world.sweeps(), goes_on);
    assert_eq!(open, Some(2), "what had ended was dropped meanwhile");
    assert_eq!(ann.balance().await, 7, "2, a top-up of 5, a message for 5, and the refund of 5");
    world.heals();
    world.comes_to_rest().await;
    world.is_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_published_message_is_finished_and_pushed_by_the_sweep() {
    let world = World::new().await;
    world.prices("bob", 5).await;
    world.tops_up("ann", 5).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let frame = ann.message_to("bob", "hi");
    world.breaks_once(Fault::KillAfter, |call| call.operation.writes("MSG#"));
    assert!(ann.tries(frame.clone()).await.is_none());
    assert_eq!(bob.heard_messages().len(), 0);
    world.comes_to_rest().await;
    assert_eq!(bob.heard_messages().len(), 1, "the sweep tells who waits");
    assert_eq!(bob.balance().await, 5);
    assert_eq!(ann.says(frame).await["duplicate"], true);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn earnings_that_nobody_asks_for_are_folded_in() {
    let world = World::deployed_with(&[("DefaultPrice", "2")]).await;
    world.tops_up("ann", 2).await;
    world.person("ann").connects().await.sends_to("bob", "hi").await.data();
    world.advance(FOLD_AFTER).await;
    world.sweeps().await;
    let items = world.items();
    let account = items.iter().find(|item| item["pk"] == "USER#bob" && item["sk"] == "ACCOUNT");
    assert_eq!(account.map(|item| &item["balance"]), Some(&json!(2)));
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_leaves_the_list_of_what_waits() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    ann.sends(&conversation, "hi").await.data();
    ann.sends_to("carl", "hi").await.data();
    bob.marks_delivered(&conversation, 1).await.data();
    let waiting = || {
        world.items().iter().filter(|item| item["work_pk"].as_str().is_some_and(|pk| pk.starts_with("WAITING"))).count()
    };
    assert_eq!(waiting(), 2);
    world.advance(Duration::from_secs(25 * 3_600)).await;
    world.sweeps().await;
    assert_eq!(waiting(), 1, "only Carl's still waits");
    world.comes_to_rest().await;
}

/// Users by the part of the index in which their open sends stand.
fn users_of(shard: impl Fn(&str) -> bool) -> impl Iterator<Item = UserId> {
    let users = (0..).map(|n| format!("user {n}").parse().expect("an id"));
    users.filter(move |user| shard(&Listing::open(Time::default(), user).pk))
}

/// Accounts that are listed as having open sends, and have none.
fn listed(world: &World, users: impl Iterator<Item = UserId>) {
    let account = json!({ "balance": 0, "open": {}, "epoch": 0, "settle_version": 0 });
    let items = users.map(|user| item(Key::account(&user), &account, Some(&Listing::open(Time::default(), &user))));
    world.imports(items.collect());
}

/// How many accounts are listed as having open sends.
fn listed_still(world: &World) -> usize {
    world.items().iter().filter(|item| item["work_pk"].as_str().is_some_and(|pk| pk.starts_with("OPEN#"))).count()
}

#[tokio::test(start_paused = true)]
async fn a_sweep_looks_into_every_part_of_the_index() {
    let parts: BTreeSet<String> = (0..WORK_SHARDS).map(|shard| format!("OPEN#{shard}")).collect();
    let found: BTreeSet<String> =
        users_of(|_| true).take(500).map(|user| Listing::open(Time::default(), &user).pk).collect();
    assert_eq!(found, parts);
    let world = World::new().await;
    for part in parts {
        listed(&world, users_of(|pk| pk == part).take(1));
    }
    world.sweeps().await;
    assert_eq!(listed_still(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_index_gives_in_parts_is_swept_all_the_same() {
    let world = World::new().await;
    listed(&world, users_of(|pk| pk == "OPEN#0").take(3));
    world.breaks(|call| call.operation.reads_index().then_some(Fault::Part(1)));
    world.sweeps().await;
    assert_eq!(listed_still(&world), 0);
}

/// A function that dropped the last open send has left its account in the index: the next sweep takes it out, but for a claim that
/// comes after the sweep's look.
#[tokio::test(start_paused = true)]
async fn an_account_stays_in_the_index_for_a_send_that_dies_meanwhile() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    ann.sends_to("bob", "dropped").await.data();
    world.edits("USER#ann", "ACCOUNT", |account| {
        account["open"] = json!({ "M": {} });
        account["epoch"] = json!({ "N": "1" });
    });
    world.advance(LIVELY).await;
    let mut looked = false;
    world.breaks(move |call| {
        let looks = call.operation.item_kind() == Some("ACCOUNT") && !call.operation.is_write() && !looked;
        looked |= looks;
        if call.operation.is_on(&CLAIM) { Some(Fault::KillAfter) } else { looks.then_some(Fault::Late(LOOK)) }
    });
    let dies = async {
        world.advance(LOOK / 2).await;
        ann.tries(json!({ "action": "sendMessage", "to": "bob", "content": "dies", "clientMessageId": "m" })).await
    };
    let (_, dead) = futures::join!(world.sweeps(), dies);
    assert!(dead.is_none(), "it has died");
    world.heals();
    world.comes_to_rest().await;
    world.is_at_rest();
}
