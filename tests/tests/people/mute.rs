//! A conversation is muted: for the user alone, and in the list that all their devices see.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Answer, Fault, Phone, World};

async fn mutes(phone: &Phone, conversation: &Value, until: Value) -> Answer {
    phone.says(json!({ "action": "mute", "conversationId": conversation, "until": until })).await
}

/// `muted` and `mutedUntil` of the one conversation in somebody's list.
async fn seen(phone: &Phone) -> (Value, Value) {
    let list = phone.says(json!({ "action": "getConversations" })).await;
    let of = |name: &str| list["conversations"][0].get(name).cloned().unwrap_or_default();
    (of("muted"), of("mutedUntil"))
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_muted_for_good_until_a_moment_or_no_more() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let (tablet, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = phone.opens("bob").await;
    bob.heard();
    let (past, soon, later) = (
        json!(world.now().before(Duration::from_secs(1)).to_string()),
        json!(world.now().after(Duration::from_secs(60)).to_string()),
        json!(world.now().after(Duration::from_secs(600)).to_string()),
    );
    for (until, muted) in [
        (&Value::Null, true),
        (&Value::Null, true),
        (&soon, true),
        (&past, false),
        (&past, false),
        (&later, true),
        (&soon, true),
    ] {
        let answer = mutes(&phone, &conversation, until.clone()).await;
        let told = if muted { until.clone() } else { Value::Null };
        let mut expected = json!({ "conversationId": conversation, "muted": muted });
        if !told.is_null() {
            expected["until"] = told.clone();
        }
        assert_eq!(*answer.data(), expected);
        assert_eq!(tablet.hears("muted").await, expected);
        let muted = if muted { json!(true) } else { Value::Null };
        assert_eq!(seen(&tablet).await, (muted, told));
    }
    assert_eq!(seen(&bob).await, (Value::Null, Value::Null), "for oneself alone");
    world.advance(Duration::from_secs(61)).await;
    assert_eq!(seen(&phone).await, (Value::Null, Value::Null), "by itself, when its time is over");
    assert!(phone.heard().is_empty() && bob.heard().is_empty());
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_repeat_writes_nothing() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let conversation = ann.opens("bob").await;
    let done = |world: &World| {
        let calls = world.calls();
        let of_inbox: Vec<_> =
            calls.iter().filter(|call| call.operation.writes("INBOX#")).map(|call| call.status).collect();
        of_inbox
    };
    for (until, statuses) in [
        (json!("2026-01-01T00:00:00Z"), [400]),
        (Value::Null, [200]),
        (Value::Null, [400]),
        (json!("2026-01-01T00:00:00Z"), [200]),
    ] {
        world.calls();
        world.advance(Duration::from_secs(1)).await;
        mutes(&ann, &conversation, until.clone()).await.data();
        assert_eq!(done(&world), statuses.map(Some), "{until}");
    }
}

/// Messages come, marks are made, the sweep looks, and what is muted stays so.
#[tokio::test(start_paused = true)]
async fn what_is_muted_stays_so_whatever_else_is_written() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    mutes(&ann, &conversation, Value::Null).await.data();
    bob.sends(&conversation, "1").await.data();
    assert_eq!(ann.heard_messages().len(), 1, "it is pushed all the same");
    ann.marks_delivered(&conversation, 1).await.data();
    ann.marks_read(&conversation, 1).await.data();
    ann.sends(&conversation, "2").await.data();
    ann.opens("bob").await;
    world.advance(Duration::from_secs(25 * 3_600)).await;
    world.comes_to_rest().await;
    assert!(world.is_verified(true).await.is_empty());
    let ann = world.person("ann").connects().await;
    assert_eq!(seen(&ann).await.0, true);
}

/// The sender's function died before it made the inboxes.
#[tokio::test(start_paused = true)]
async fn what_has_no_inbox_yet_is_muted_too() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    world.breaks_once(Fault::KillAfter, |call| call.operation.writes("MSG#"));
    assert!(ann.tries(ann.message_to("bob", "hi")).await.is_none(), "the function has died");
    world.heals();
    let meta = world.items().into_iter().find(|item| item["sk"] == "META").expect("a conversation");
    mutes(&bob, &meta["id"], Value::Null).await.data();
    world.comes_to_rest().await;
    assert_eq!(seen(&world.person("bob").connects().await).await.0, true);
}

#[tokio::test(start_paused = true)]
async fn only_who_is_in_it_mutes_it() {
    let world = World::new().await;
    let conversation = world.person("ann").connects().await.opens("bob").await;
    let eve = world.person("eve").connects().await;
    for (id, until) in
        [(&conversation, Value::Null), (&json!("d_none"), Value::Null), (&conversation, json!("2020-01-01T00:00:00Z"))]
    {
        assert_eq!(mutes(&eve, id, until).await.code(), "not_a_participant");
    }
    let refused = mutes(&eve, &conversation, json!("tomorrow")).await;
    assert_eq!((refused.code(), &refused.details()["field"]), ("bad_request", &json!("until")));
    assert!(!world.items().iter().any(|item| item["pk"] == "USER#eve" && item["sk"] != "PRESENCE"));
}

#[tokio::test(start_paused = true)]
async fn a_group_is_muted_like_any_other_by_who_is_in_it() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let group = ann.makes_group("g1", &["bob"]).await;
    mutes(&bob, &group, Value::Null).await.data();
    ann.sends(&group, "hi all").await.data();
    bob.marks_read(&group, 1).await.data();
    assert_eq!((seen(&bob).await.0, seen(&ann).await.0), (json!(true), Value::Null));
    mutes(&bob, &group, json!("2020-01-01T00:00:00Z")).await.data();
    assert_eq!(seen(&bob).await.0, Value::Null);
    mutes(&bob, &group, json!("2999-01-01T00:00:00Z")).await.data();
    bob.leaves(&group).await.data();
    for until in [json!("2020-01-01T00:00:00Z"), Value::Null] {
        assert_eq!(mutes(&bob, &group, until).await.code(), "not_a_participant");
    }
    world.comes_to_rest().await;
}
