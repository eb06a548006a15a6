use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use shared::limits::{SETTLE_BATCH, SETTLE_ROUNDS_MAX};
use shared::store::work::Listing;
use tests::engine::typed_value;
use tests::{Fault, Phone, World};
use wire::limits::COINS_MAX;

#[tokio::test(start_paused = true)]
async fn a_new_user_has_nothing_and_leaves_nothing() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let before = world.items().len();
    assert_eq!(ann.balance().await, 0);
    assert_eq!(world.items().len(), before);
}

/// A deployment where a message costs a coin, and Ann, who has 150, and Bob.
pub(crate) async fn one_coin_each() -> (World, Phone, Phone) {
    let world = World::deployed_with(&[("DefaultPrice", "1"), ("SendBurst", "1000")]).await;
    world.tops_up("ann", 150).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    (world, ann, bob)
}

/// She sends Bob so many messages.
pub(crate) async fn are_sent(ann: &Phone, count: u32) {
    let conversation = ann.opens("bob").await;
    for n in 0..count {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
}

#[tokio::test(start_paused = true)]
async fn everything_earned_is_in_it_exactly_once() {
    let (world, ann, bob) = one_coin_each().await;
    are_sent(&ann, 130).await;
    // Many fold at once; each earning counts once.
    let balances = join_all((0..8).map(|_| bob.balance())).await;
    assert!(balances.iter().all(|balance| *balance <= 130), "{balances:?}");
    assert_eq!(bob.balance().await, 130);
    let items = world.items();
    let account = items.iter().find(|item| item["pk"] == "USER#bob" && item["sk"] == "ACCOUNT").expect("an account");
    let foldings = account["settle_version"].as_u64().and_then(|version| usize::try_from(version).ok());
    assert!(foldings >= Some(130_usize.div_ceil(SETTLE_BATCH)), "each takes so many at most: {account:#}");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_waits_and_holds_nothing_else_up() {
    let world = World::new().await;
    world.tops_up("ann", 10).await;
    let (ann, at) = ("ann".parse().expect("a user id"), world.now().ms);
    // More than one folding takes, as earlier versions have let in.
    for n in 0..=SETTLE_BATCH {
        let sk = format!("ENTRY#{at:013}#topup#{n}");
        let Listing { pk, sk: place } = Listing::unsettled(&ann, &sk);
        let topup = json!({ "amount": COINS_MAX, "at": at });
        let line = json!({
            "kind": "topup", "amount": COINS_MAX, "created_at": at, "work_pk": pk, "work_sk": place,
        });
        for (sk, attributes) in [(format!("TOPUP#{n}"), topup), (sk, line)] {
            let attributes = attributes.as_object().expect("attributes").clone();
            let typed = attributes.iter().map(|(name, value)| (name.clone(), typed_value(value)));
            world.edits("USER#ann", &sk, |item| item.extend(typed));
        }
    }
    world.advance(Duration::from_secs(1)).await;
    world.tops_up("ann", 7).await;
    let ann = world.person("ann").connects().await;
    assert_eq!(ann.balance().await, 17);
    world.sweeps().await;
    let dear = json!({ "action": "sendMessage", "to": "bob", "clientMessageId": "dear", "content": "hello" });
    world.prices("bob", 20).await;
    assert_eq!(ann.says(dear).await.details(), &json!({ "balance": 17, "price": 20 }));
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_top_up_that_does_not_fit_is_refused_with_what_does() {
    let world = World::new().await;
    world.tops_up("ann", 10).await;
    let before = world.items();
    let refused = async |amount: u64, fits: u64| {
        let answer = world.credits("ann", amount, &format!("of {amount}")).await;
        assert_eq!((answer.status, &answer.body["error"]["details"]["field"]), (400, &json!("amount")), "{answer:?}");
        let text = answer.body["error"]["message"].as_str().expect("a text").to_owned();
        assert!(text.contains(&format!(" {fits} more")), "{text}");
    };
    refused(COINS_MAX, COINS_MAX - 10).await;
    refused(COINS_MAX - 9, COINS_MAX - 10).await;
    assert_eq!(world.items(), before, "nothing was written");
    let all = async |amount: u64| world.credits("ann", amount, "all that fits").await;
    for _ in 0..2 {
        let answer = all(COINS_MAX - 10).await;
        assert_eq!((answer.status, &answer.body["balance"]), (200, &json!(COINS_MAX)), "{answer:?}");
    }
    assert_eq!(all(COINS_MAX).await.body["error"]["code"], "idempotency_key_reused");
    refused(1, 0).await;
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_balance_has_room_for_what_an_open_send_may_bring_back() {
    let world = World::deployed_with(&[("DefaultPrice", "5")]).await;
    world.tops_up("ann", COINS_MAX).await;
    let ann = world.person("ann").connects().await;
    let conversation = ann.opens("bob").await;
    assert_eq!(ann.balance().await, COINS_MAX);
    world.breaks_once(Fault::KillBefore, |call| call.operation.writes("MSG#"));
    let frame =
        json!({ "action": "sendMessage", "conversationId": conversation, "content": "hi", "clientMessageId": "m" });
    assert!(ann.tries(frame).await.is_none());
    assert_eq!(world.credits("ann", 5, "five").await.status, 400, "the send may still be given up");
    assert_eq!(ann.balance().await, COINS_MAX - 5);
    world.comes_to_rest().await;
    assert_eq!(ann.balance().await, COINS_MAX, "it was");
}

#[tokio::test(start_paused = true)]
async fn a_settling_tries_so_often_while_others_settle() {
    let world = World::deployed_with(&[("DefaultPrice", "5")]).await;
    world.tops_up("ann", 5).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    ann.sends_to("bob", "hi").await.data();
    assert_eq!(bob.balance().await, 5, "his account is there");
    world.tops_up("ann", 5).await;
    ann.sends_to("bob", "again").await.data();
    let rounds = Arc::new(AtomicU64::new(0));
    let (others, counted) = (world.clone(), rounds.clone());
    world.breaks(move |call| {
        if call.operation.folds() {
            let n = counted.fetch_add(1, Ordering::Relaxed);
            let version = json!({ "N": (100 + n).to_string() });
            others.edits("USER#bob", "ACCOUNT", |account| account["settle_version"] = version);
        }
        None
    });
    assert_eq!(bob.balance().await, 5, "what he can spend already");
    assert_eq!(rounds.load(Ordering::Relaxed), u64::from(SETTLE_ROUNDS_MAX));
    world.heals();
    assert_eq!(bob.balance().await, 10);
    world.comes_to_rest().await;
}
