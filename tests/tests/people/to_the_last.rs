//! Where one more or one less would be another answer: times to the millisecond, pages to the last line, marks to the last
//! number; and that what changes nothing costs nothing more.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join;
use serde_json::{Value, json};
use shared::limits::{
    CLEANUP_LOOK_EVERY, CLOCKS_DIFFER_MAX, CONNECT_GRACE, CONNECTION_LIFE, DELETE_AFTER, DROP_BATCH, FOLD_AFTER,
    OPEN_MAX, SEGMENT_MESSAGES_MIN, TOKEN_LEEWAY,
};
use shared::store::conversations::Meta;
use shared::store::presence::{Connected, Connection};
use tests::{Call, Fault, Operation, World};
use wire::Time;

const NOW: Time = Time { ms: 1_000_000_000 };

/// A connection that ends so many milliseconds from now.
fn ends(in_ms: i64) -> Connection {
    Connection { device: None, connected_at: NOW, expires_at: Time { ms: NOW.ms + in_ms } }
}

#[test]
fn a_connection_is_over_at_its_end_and_when_no_right_clock_has_set_that() {
    let latest = (CONNECTION_LIFE + CLOCKS_DIFFER_MAX).as_millis() as i64;
    let over = [-1, 0, 1, latest - 1, latest, latest + 1].map(|ms| ends(ms).is_over(NOW));
    assert_eq!(over, [true, true, false, false, false, true]);
    let leeway = TOKEN_LEEWAY.as_millis() as i64;
    let closed = [-leeway - 1, -leeway, -leeway + 1, 0, latest - 1, latest, latest + 1];
    let closed = closed.map(|ms| ends(ms).may_be_closed(NOW));
    assert_eq!(closed, [true, true, false, false, false, false, true], "not while a frame on it is answered");
}

#[test]
fn a_connection_is_settled_when_its_connecting_has_ended_for_certain() {
    let since = |ago: Duration| Connected {
        user: "ann".parse().expect("a user id"),
        connection: "one".parse().expect("an id"),
        since: NOW.before(ago),
        is_over: false,
        may_be_closed: false,
    };
    let settled = [Duration::ZERO, CONNECT_GRACE - Duration::from_millis(1), CONNECT_GRACE].map(since);
    assert_eq!(settled.map(|connected| connected.is_settled(NOW)), [false, false, true]);
}

fn writes(world: &World, sk: &str) -> usize {
    world.calls().iter().filter(|call: &&Call| call.operation.writes(sk)).count()
}

pub(super) fn item(world: &World, pk: &str, sk: &str) -> Value {
    let items = world.items();
    items.into_iter().find(|item| item["pk"] == pk && item["sk"] == sk).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn connecting_is_one_write_and_the_last_to_leave_leaves_the_index() {
    let world = World::new().await;
    let ann = world.person("ann");
    let short = ann.connects_for(Duration::from_secs(600)).await;
    let phone = ann.connects().await;
    let presence = item(&world, "USER#ann", "PRESENCE");
    let connections = presence["connections"].as_object().expect("two").values();
    let first_end = connections.filter_map(|connection| connection["expires_at"].as_i64()).min();
    let place = presence["work_sk"].clone();
    let at = place.as_str().and_then(|sk| sk.split('\u{1f}').next()?.parse().ok());
    assert_eq!(at, first_end, "it is looked at when the first of them ends");
    short.goes_away().await;
    writes(&world, "");
    let tablet = ann.connects().await;
    assert_eq!(writes(&world, "PRESENCE"), 1, "it is looked at early enough");
    assert_eq!(item(&world, "USER#ann", "PRESENCE")["work_sk"], place);
    for phone in [phone, tablet] {
        phone.goes_away().await;
    }
    assert!(item(&world, "USER#ann", "PRESENCE")["work_pk"].is_null(), "nobody is online");
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_was_made_is_one_write_that_is_refused() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    ann.sends(&conversation, "hi").await.data();
    for _ in 0..2 {
        bob.marks_delivered(&conversation, 1).await.data();
    }
    let calls = |world: &World| {
        let calls = world.calls();
        let stored = calls.iter().filter(|call| matches!(call.operation, Operation::Dynamo(..)));
        stored.map(|call| call.operation.is_write()).collect::<Vec<bool>>()
    };
    calls(&world);
    assert_eq!(bob.marks_delivered(&conversation, 1).await["deliveredSeq"], 1);
    assert_eq!(calls(&world), [true]);
    bob.marks_read(&conversation, 1).await.data();
    calls(&world);
    assert_eq!(bob.marks_read(&conversation, 1).await["readSeq"], 1);
    assert_eq!(calls(&world), [true]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_just_full_has_no_next() {
    let world = World::new().await;
    for amount in 1..=3 {
        world.tops_up("ann", amount).await;
    }
    let ann = world.person("ann").connects().await;
    let page = async |limit: u32| ann.says(json!({ "action": "getTransactions", "limit": limit })).await;
    let all = page(3).await;
    assert_eq!(all["transactions"].as_array().map(Vec::len), Some(3));
    assert!(all["nextCursor"].is_null(), "{:#}", all.frame);
    let two = page(2).await;
    let rest = ann.says(json!({ "action": "getTransactions", "cursor": two["nextCursor"] })).await;
    assert_eq!(rest["transactions"], json!([all["transactions"][2]]));
    assert!(rest["nextCursor"].is_null(), "{:#}", rest.frame);
}

#[tokio::test(start_paused = true)]
async fn a_new_conversation_is_looked_at_a_week_later() {
    let world = World::new().await;
    let conversation = world.person("ann").connects().await.opens("bob").await;
    let meta = item(&world, &format!("CONV#{}", conversation.as_str().expect("an id")), "META");
    let place = meta["work_sk"].as_str().and_then(|sk| sk.split('\u{1f}').next());
    let at: i64 = place.and_then(|ms| ms.parse().ok()).expect("a time");
    assert_eq!(at, meta["created_at"].as_i64().expect("a time") + CLEANUP_LOOK_EVERY.as_millis() as i64);
}

#[tokio::test(start_paused = true)]
async fn a_check_says_how_many_of_each_kind_there_were() {
    let world = World::deployed_with(&[("DefaultPrice", "1")]).await;
    world.tops_up("ann", 5).await;
    world.prices("carl", 2).await;
    world.person("ann").connects().await.sends_to("bob", "hi").await.data();
    world.comes_to_rest().await;
    let report = world.invoke("verify", json!({})).await.expect("it ends");
    let kinds: BTreeSet<&str> = report["checked"].as_object().expect("kinds").keys().map(String::as_str).collect();
    let expected = ["ACCOUNT", "ENTRY", "INBOX", "LOG", "META", "PRESENCE", "PROFILE", "RECEIPT", "TOPUP"];
    assert!(expected.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    assert_eq!(report["checked"]["LOG"], 1, "{report:#}");
}

#[tokio::test(start_paused = true)]
async fn the_cleanup_looks_at_nothing_before_its_time() {
    let world = World::new().await;
    world.person("ann").connects().await.opens("bob").await;
    let looked = async |world: &World| {
        world.calls();
        world.cleans_up().await;
        let calls = world.calls();
        calls.iter().any(|call| call.operation.item_kind() == Some("META"))
    };
    assert!(!looked(&world).await, "a week has not passed");
    world.advance(CLEANUP_LOOK_EVERY + Duration::from_secs(1)).await;
    assert!(looked(&world).await);
}

#[test]
fn a_conversation_is_due_behind_its_time_and_when_no_right_clock_has_set_that() {
    let two = ["ann", "bob"].map(|name| name.parse().expect("a user id"));
    let mut meta = Meta::direct(two, NOW, "one".to_owned());
    assert!(!meta.is_due(NOW), "it isn't listed");
    let latest = (CLEANUP_LOOK_EVERY + CLOCKS_DIFFER_MAX).as_millis() as i64;
    let due = [-1, 0, 1, latest - 1, latest, latest + 1].map(|ms| {
        // Where nothing follows the time, only what is really before or behind it counts.
        meta.listed = Some(format!("{:013}", NOW.ms + ms));
        meta.is_due(NOW)
    });
    assert_eq!(due, [true, false, false, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn the_fourth_send_drops_all_that_have_ended() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for n in 1..=DROP_BATCH {
        // Whoever dies so early knows nothing of the RECEIPT, and so no claim of theirs drops the send.
        if n < DROP_BATCH {
            world.breaks_once(Fault::KillAfter, |call| call.operation.writes("RECEIPT#"));
        }
        ann.tries(ann.message_to("bob", &n.to_string())).await;
        world.heals();
        let open = item(&world, "USER#ann", "ACCOUNT")["open"].as_object().map(serde_json::Map::len);
        assert_eq!(open, Some(n % DROP_BATCH));
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_just_enough_is_not_settled_for_nothing() {
    let world = World::deployed_with(&[("DefaultPrice", "5")]).await;
    world.tops_up("ann", 5).await;
    let ann = world.person("ann").connects().await;
    world.calls();
    assert_eq!(ann.sends_to("bob", "hi").await["balance"], 0);
    assert!(!world.calls().iter().any(|call| call.operation.reads_index()));
}

/// The same message twice, of somebody whose coins are earned and not yet in the balance: what one attempt settles the other
/// pays with, and neither is refused.
#[tokio::test(start_paused = true)]
async fn two_attempts_of_one_send_are_paid_from_what_one_of_them_settles() {
    for delay in 0..30 {
        let world = World::deployed_with(&[("DefaultPrice", "5")]).await;
        world.tops_up("ann", 5).await;
        world.person("ann").connects().await.sends_to("bob", "for five").await.data();
        let bob = world.person("bob").connects().await;
        let frame = bob.message_to("carl", "from what I earned");
        let again = async {
            world.advance(Duration::from_millis(2 * delay)).await;
            bob.says(frame.clone()).await
        };
        let (first, second) = join(bob.says(frame.clone()), again).await;
        for answer in [first, second] {
            assert_eq!(answer["message"]["seq"], 1, "{delay}: {:#}", answer.frame);
        }
        world.comes_to_rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_earns_nothing_has_no_line_of_it() {
    let world = World::deployed_with(&[("DefaultPrice", "5"), ("ReceiverSharePercent", "0")]).await;
    world.tops_up("ann", 5).await;
    world.person("ann").connects().await.sends_to("bob", "hi").await.data();
    world.comes_to_rest().await;
    let lines = world.items().into_iter().filter(|item| item["sk"].as_str().is_some_and(|sk| sk.starts_with("ENTRY#")));
    let mut kinds: Vec<String> = lines.map(|line| line["kind"].as_str().unwrap_or_default().to_owned()).collect();
    kinds.sort();
    assert_eq!(kinds, ["charge", "share", "topup"]);
}

#[tokio::test(start_paused = true)]
async fn operators_are_told_how_many_sends_are_open() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    ann.dies_sending("bob", "lost").await;
    let stats = world.admin("GET", "/api/messages/buffer-stats", None).await.body;
    assert_eq!(stats["openSends"], 1, "{stats:#}");
}

#[tokio::test(start_paused = true)]
async fn a_page_is_as_full_as_it_may_be() {
    let world = World::new().await;
    let (ann, bob) = (world.person(&"a".repeat(100)).connects().await, world.person("bob").connects().await);
    for n in 0..20 {
        let mut frame = ann.message_to("bob", &"x".repeat(1_000));
        frame["clientMessageId"] = format!("{:a>64}", n).into();
        ann.says(frame).await.data();
    }
    let conversation = &bob.says(json!({ "action": "getConversations" })).await["conversations"][0]["conversationId"];
    assert_eq!(bob.history(&conversation.clone()).await.len(), 20, "the longest ids and a thousand characters each");
}

#[tokio::test(start_paused = true)]
async fn a_page_goes_on_from_the_archive_into_the_table_and_asks_for_no_more_than_it_holds() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    let count = SEGMENT_MESSAGES_MIN as u64 + 2;
    for n in 1..=count {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    bob.marks_read(&conversation, count).await.data();
    world.advance(CLEANUP_LOOK_EVERY + Duration::from_secs(1)).await;
    world.comes_to_rest().await;
    world.cleans_up().await;
    world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
    world.cleans_up().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let page = async |fields: Value| {
        let mut frame = json!({ "action": "getMessages", "conversationId": conversation });
        frame.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let answer = bob.says(frame).await;
        let messages = answer["messages"].as_array().expect("messages").clone();
        let numbers: Vec<u64> = messages.iter().filter_map(|message| message["seq"].as_u64()).collect();
        (numbers, answer["hasMore"] == true)
    };
    // All but the last are in the archive.
    assert_eq!(page(json!({ "after": 0, "limit": 7 })).await, ((1..=7).collect(), true));
    let receipts = ann.says(json!({ "action": "getReceipts", "conversationId": conversation, "seq": 1 })).await;
    assert_eq!(receipts["read"], json!(["bob"]));
    let whole = (count - 6..=count).collect::<Vec<u64>>();
    assert_eq!(page(json!({ "after": count - 7, "limit": 7 })).await, (whole.clone(), false));
    assert_eq!(page(json!({ "before": count + 1, "limit": 7 })).await, (whole, true));
    world.calls();
    let archived = (count - 7..count).collect::<Vec<u64>>();
    assert_eq!(page(json!({ "after": count - 8, "limit": 7 })).await, (archived, true));
    let logs = world.calls().iter().filter(|call| call.operation.item_kind() == Some("MSG")).count();
    assert_eq!(logs, 0, "the archive has filled it");
    assert_eq!(page(json!({ "before": 4, "limit": 7 })).await, (vec![1, 2, 3], false));
}

#[tokio::test(start_paused = true)]
async fn who_has_as_many_open_sends_as_may_be_waits_a_second() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let conversation = ann.opens("bob").await;
    ann.dies_sending("bob", "lost").await;
    world.edits("USER#ann", "ACCOUNT", |account| {
        let open = account["open"]["M"].as_object_mut().expect("sends");
        let send = open.values().next().expect("one").clone();
        (1..OPEN_MAX).for_each(|n| drop(open.insert(format!("another-{n}"), send.clone())));
    });
    let refused = ann.sends(&conversation, "one too many").await;
    assert_eq!((refused.code(), &refused.details()["retryAfterMs"]), ("rate_limited", &json!(1_000)));
}

/// What is added to a balance is marked first: whoever dies in between has added it, and who comes next adds it no more.
#[tokio::test(start_paused = true)]
async fn what_was_half_settled_is_added_once() {
    let world = World::deployed_with(&[("DefaultPrice", "5")]).await;
    world.tops_up("ann", 10).await;
    let ann = world.person("ann").connects().await;
    for text in ["one", "two"] {
        ann.sends_to("bob", text).await.data();
    }
    world.advance(FOLD_AFTER).await;
    let marks = |call: &Call| call.operation.update().contains("#settling = ");
    world.breaks_once(Fault::KillAfter, move |call| marks(call) && call.operation.writes("ACCOUNT"));
    assert!(world.tries_to_sweep().await.is_err());
    world.heals();
    world.sweeps().await;
    assert_eq!(world.person("bob").connects().await.balance().await, 10);
    for user in ["ann", "bob"] {
        assert!(item(&world, &format!("USER#{user}"), "ACCOUNT")["settling"].is_null(), "{user}");
    }
    world.comes_to_rest().await;
}

/// A read that must not be behind costs twice: each kind of read is the one where it must be, and the other where it may.
#[tokio::test(start_paused = true)]
async fn what_may_be_behind_is_read_so() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    ann.sends_to("bob", "hi").await.data();
    let read = |world: &World, call: &str, kind: &str| {
        let is = |name: &str| name == call;
        let calls = world.calls().into_iter();
        let calls = calls.filter(|it| matches!(&it.operation, Operation::Dynamo(name, _) if is(name)));
        calls.filter(|it| it.operation.item_kind() == Some(kind)).map(|it| it.operation.is_strong()).collect::<Vec<_>>()
    };
    world.calls();
    ann.sends_to("bob", "there").await.data();
    assert_eq!(read(&world, "GetItem", "ACCOUNT"), [true]);
    ann.sends_to("bob", "again").await.data();
    assert_eq!(read(&world, "BatchGetItem", "PRESENCE"), [false, true], "the second is for who has come meanwhile");
    ann.syncs().await.data();
    assert_eq!(read(&world, "Query", "INBOX"), [true]);
    ann.says(json!({ "action": "getConversations" })).await.data();
    assert_eq!(read(&world, "Query", "INBOX"), [false]);
    world.advance(CONNECTION_LIFE + TOKEN_LEEWAY * 2).await;
    world.calls();
    world.sweeps().await;
    assert!(read(&world, "GetItem", "PRESENCE").contains(&false));
}

#[tokio::test(start_paused = true)]
async fn a_check_reads_no_message_twice_and_no_coins_of_what_was_free() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for text in ["one", "two", "three"] {
        ann.sends_to("bob", text).await.data();
    }
    world.comes_to_rest().await;
    world.calls();
    assert_eq!(world.is_verified(false).await, [Value::Null; 0]);
    let calls = world.calls();
    let reads = |call: &str, kind: &str| {
        let of = |it: &&Call| matches!(&it.operation, Operation::Dynamo(name, _) if name == call);
        calls.iter().filter(of).filter(|it| it.operation.item_kind() == Some(kind)).count()
    };
    assert_eq!((reads("GetItem", "MSG"), reads("BatchGetItem", "ENTRY")), (0, 0));
}
