use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::{PUSH_ATTEMPTS_MAX, SYNC_TAILS_MAX};
use tests::{Fault, Operation, World};
use wire::limits::{MESSAGE_BYTES_MAX, SYNC_MESSAGES_MAX, SYNC_SINCE_MAX};

use crate::moved::{imports, short};

fn numbers(messages: &[Value]) -> Vec<u64> {
    messages.iter().filter_map(|message| message["seq"].as_u64()).collect()
}

#[tokio::test(start_paused = true)]
async fn who_was_offline_gets_everything_in_order_and_once() {
    let world = World::new().await;
    let (ann, carl) = (world.person("ann").connects().await, world.person("carl").connects().await);
    for n in 1..=7 {
        ann.sends_to("bob", &format!("ann {n}")).await.data();
    }
    carl.sends_to("bob", "carl 1").await.data();
    let bob = world.person("bob").connects().await;
    let synced = bob.syncs().await;
    assert_eq!(synced.data(), &json!({ "conversations": 2, "messages": 8, "complete": true }));
    let from = |who: &str| -> Vec<Value> {
        synced.messages().into_iter().filter(|message| message["senderId"] == who).collect()
    };
    assert_eq!(numbers(&from("ann")), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(numbers(&from("carl")), [1]);
    assert_eq!(synced.pages[0].json["data"]["messages"][0]["senderId"], "carl", "the latest conversation comes first");
    assert_eq!(bob.heard().len(), 0, "nothing comes twice");
    assert_eq!(bob.syncs().await["messages"], 8, "a sync moves no horizon");
    let conversation = &from("ann")[0]["conversationId"];
    bob.marks_delivered(conversation, 7).await.data();
    assert_eq!(bob.syncs().await["messages"], 1);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_clients_own_numbers_come_before_the_horizon() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    for n in 1..=5 {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    bob.marks_read(&conversation, 5).await.data();
    let id = conversation.as_str().expect("an id");
    for (since, wanted) in [(0, vec![1, 2, 3, 4, 5]), (3, vec![4, 5]), (5, vec![]), (9, vec![])] {
        let synced = bob.says(json!({ "action": "sync", "since": { id: since } })).await;
        assert_eq!(numbers(&synced.messages()), wanted, "since {since}");
    }
    let unknown = bob.says(json!({ "action": "sync", "since": { "d_other": 3 } })).await;
    assert_eq!(unknown["complete"], true);
}

#[tokio::test(start_paused = true)]
async fn pages_say_whether_another_follows_and_carry_the_request() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    for n in 1..=5 {
        ann.sends_to("bob", &n.to_string()).await.data();
    }
    let synced = bob.says(json!({ "action": "sync", "limit": 2, "requestId": "s" })).await;
    let more: Vec<bool> = synced.pages.iter().map(|page| page.json["data"]["hasMore"] == true).collect();
    assert_eq!(more, [true, true, false]);
    let full = bob.says(json!({ "action": "sync", "limit": 5 })).await;
    assert_eq!((full.pages.len(), &full.pages[0].json["data"]["hasMore"]), (1, &json!(false)), "no other page follows");
    assert!(synced.pages.iter().all(|page| page.json["requestId"] == "s"));
    assert_eq!(numbers(&synced.messages()), [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn every_page_fits_a_frame_whatever_was_written() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    // A quoted control character takes six bytes of JSON, an emoji four: pages end by bytes, not by count.
    for text in ["\u{1}", "🦀", "x", "\""] {
        for _ in 0..4 {
            ann.sends_to("bob", &text.repeat(10_000)).await.data();
        }
    }
    let bob = world.person("bob").connects().await;
    let synced = bob.says(json!({ "action": "sync", "limit": 100 })).await;
    assert_eq!(synced["messages"], 16);
    assert_eq!(numbers(&synced.messages()), (1..=16).collect::<Vec<_>>());
    assert!(synced.pages.iter().all(|page| page.bytes < MESSAGE_BYTES_MAX));
    assert!(synced.pages.len() > 3, "{} pages", synced.pages.len());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_messages_come_at_once_and_the_rest_when_asked_again() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    for n in 1..=1_000 {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    let all = bob.says(json!({ "action": "sync", "limit": 100 })).await;
    assert_eq!((&all["messages"], &all["complete"]), (&json!(1_000), &json!(true)));
    for n in 1_001..=1_003 {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    let first = bob.says(json!({ "action": "sync", "limit": 100 })).await;
    assert_eq!((&first["messages"], &first["complete"]), (&json!(1_000), &json!(false)));
    assert_eq!(numbers(&first.messages()), (1..=1_000).collect::<Vec<_>>());
    assert_eq!(first.pages.last().map(|page| page.json["data"]["hasMore"].clone()), Some(json!(false)));
    let id = conversation.as_str().expect("an id");
    let rest = bob.says(json!({ "action": "sync", "since": { id: 1_000 } })).await;
    assert_eq!((&rest["messages"], &rest["complete"]), (&json!(3), &json!(true)));
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_client_may_not_ask_is_named() {
    let world = World::new().await;
    let bob = world.person("bob").connects().await;
    for (frame, field) in [
        (json!({ "action": "sync", "limit": 0 }), "limit"),
        (json!({ "action": "sync", "limit": 101 }), "limit"),
        (json!({ "action": "sync", "since": 7 }), "since"),
        (json!({ "action": "sync", "since": { "d_x": -1 } }), "since.d_x"),
    ] {
        let answer = bob.says(frame.clone()).await;
        let named = answer.details()["field"].as_str().unwrap_or_default();
        assert_eq!((answer.code(), named), ("bad_request", field), "{frame}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_cannot_be_sent_is_not_called_complete() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    ann.sends_to("bob", "hi").await.data();
    let bob = world.person("bob").connects().await;
    let mut refusals = 0;
    world.breaks(move |call| {
        let page = call.function == "sync" && matches!(call.operation, Operation::Push(_));
        refusals += u32::from(page);
        (page && refusals <= PUSH_ATTEMPTS_MAX).then_some(Fault::Refuse(429))
    });
    assert_eq!(bob.syncs().await.code(), "unavailable");
    let again = bob.syncs().await;
    assert_eq!((again.messages().len(), &again["complete"]), (1, &json!(true)));
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_known_to_be_new_only_the_last_active_logs_are_looked_at() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for n in 0..=SYNC_TAILS_MAX {
        ann.sends_to(&format!("user {n}"), "hi").await.data();
    }
    // Two functions die between publishing a message and telling of it: in the oldest conversation and in the newest.
    for n in [0, SYNC_TAILS_MAX] {
        world.breaks_once(Fault::KillAfter, |call| call.operation.writes("MSG#"));
        assert!(ann.tries(ann.message_to(&format!("user {n}"), &format!("unfinished {n}"))).await.is_none());
    }
    world.heals();
    let contents: Vec<Value> = ann.syncs().await.messages().iter().map(|message| message["content"].clone()).collect();
    assert_eq!(contents, [format!("unfinished {SYNC_TAILS_MAX}")]);
    world.comes_to_rest().await;
    assert_eq!(ann.heard_messages().len(), 2, "the sweep brings the other one");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_name_so_many_conversations() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let asks = |count: usize| {
        let since: serde_json::Map<String, Value> = (0..count).map(|n| (format!("d_{n}"), json!(1))).collect();
        json!({ "action": "sync", "since": since })
    };
    assert_eq!(ann.says(asks(SYNC_SINCE_MAX)).await["complete"], true);
    let refused = ann.says(asks(SYNC_SINCE_MAX + 1)).await;
    assert_eq!((refused.code(), &refused.details()["field"]), ("bad_request", &json!("since")));
}

#[tokio::test(start_paused = true)]
async fn what_is_new_comes_from_however_many_conversations() {
    let world = World::new().await;
    let count = SYNC_TAILS_MAX + 1;
    for n in 0..count {
        world.person(&format!("user {n}")).connects().await.sends_to("bob", "hi").await.data();
    }
    let bob = world.person("bob").connects().await;
    let synced = bob.syncs().await;
    assert_eq!(synced.data(), &json!({ "conversations": count, "messages": count, "complete": true }));
    // And where nothing is, nothing is read but how far everybody is, and the logs' last numbers.
    for message in synced.messages() {
        bob.marks_read(&message["conversationId"], 1).await.data();
    }
    world.calls();
    assert_eq!(bob.syncs().await["messages"], 0);
    let kinds: BTreeSet<String> =
        world.calls().iter().filter_map(|call| call.operation.item_kind().map(str::to_owned)).collect();
    assert_eq!(kinds, ["INBOX", "MSG"].map(str::to_owned).into());
}

/// How many messages each conversation has, the latest first: the last page is as long as there is room for.
#[tokio::test(start_paused = true)]
async fn a_sync_is_full_to_the_last_message() {
    for (counts, complete) in [(&[550, 450][..], true), (&[550, 451], false), (&[550, 450, 1], false)] {
        let world = World::new().await;
        let ids = counts.iter().enumerate().map(|(n, count)| {
            let at = world.now().before(Duration::from_secs(60 * (n as u64 + 1)));
            imports(&world, &format!("user {n}"), &short(*count), 0, at)
        });
        let since: serde_json::Map<String, Value> = ids.map(|id| (id.to_string(), json!(0))).collect();
        let ann = world.person("ann").connects().await;
        let synced = ann.says(json!({ "action": "sync", "limit": 100, "since": since })).await;
        assert_eq!(synced.data(), &json!({ "conversations": 2, "messages": SYNC_MESSAGES_MAX, "complete": complete }));
        assert_eq!(synced.messages().len(), SYNC_MESSAGES_MAX);
        let last = synced.pages.last().map(|page| &page.json["data"]["hasMore"]);
        assert_eq!(last, Some(&json!(false)), "{counts:?}: no other page follows");
    }
}
