use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use shared::limits::{CLAIMS_PER_LOOK_MAX, DROP_BATCH, LOOKS_MAX, OPEN_MAX};
use tests::{Fault, Ids, Operation, World};

#[tokio::test(start_paused = true)]
async fn a_message_is_numbered_answered_and_pushed_to_everybody_else() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann"), world.person("bob"));
    let (phone, tablet, bobs) = (ann.connects().await, ann.connects().await, bob.connects().await);
    let sent = phone.sends_to("bob", "hi").await;
    assert_eq!(sent.event(), "message:sent");
    assert_eq!((&sent["duplicate"], &sent["message"]["seq"]), (&json!(false), &json!(1)));
    assert_eq!(sent["message"]["status"], "sent");
    assert_eq!(sent.data().get("balance"), None, "a free message says nothing of coins");
    assert_eq!(bobs.heard_messages(), [sent["message"].clone()]);
    assert_eq!(tablet.heard_messages(), [sent["message"].clone()]);
    assert_eq!(phone.heard(), [] as [Value; 0], "the answer is enough");
    let next = phone.sends(&sent["message"]["conversationId"], "there").await;
    assert_eq!(next["message"]["seq"], 2);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_message_fifty_times_at_once_is_one_message_and_one_charge() {
    // With one a second it isn't the rate that keeps the repeats out.
    let world = World::deployed_with(&[("SendsPerSecond", "1")]).await;
    world.prices("bob", 3).await;
    world.tops_up("ann", 100).await;
    let mut phones = Vec::new();
    for _ in 0..5 {
        phones.push(world.person("ann").connects().await);
    }
    phones[0].sends_to("bob", "before").await.data();
    let frame = phones[0].message_to("bob", "once");
    let answers = join_all((0..50).map(|n| phones[n % 5].says(frame.clone()))).await;
    let messages: BTreeSet<String> = answers.iter().map(|answer| answer["message"].to_string()).collect();
    assert_eq!(messages.len(), 1, "{messages:#?}");
    assert_eq!(answers.iter().filter(|answer| answer["duplicate"] == false).count(), 1);
    assert_eq!(phones[0].balance().await, 94);
    let conversation = &answers[0]["message"]["conversationId"];
    assert_eq!(phones[0].history(conversation).await.len(), 2);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_paid_messages_at_once_with_coins_for_thirty_seven() {
    let world = World::new().await;
    world.prices("bob", 1).await;
    world.tops_up("ann", 37).await;
    let (phone, bobs) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let frames: Vec<Value> = (0..100).map(|n| phone.message_to("bob", &format!("number {n}"))).collect();
    let answers = join_all(frames.into_iter().map(|frame| phone.says(frame))).await;
    let (sent, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.event() == "message:sent");
    assert_eq!(sent.len(), 37);
    assert!(refused.iter().all(|answer| answer.code() == "insufficient_balance"));
    assert!(refused.iter().all(|answer| answer.details()["price"] == 1));
    let numbers: BTreeSet<u64> = sent.iter().filter_map(|answer| answer["message"]["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=37).collect());
    assert_eq!((phone.balance().await, bobs.balance().await), (0, 37));
    for (who, kind, count) in [(&phone, "charge", 37), (&bobs, "earning", 37)] {
        let ledger = who.says(json!({ "action": "getTransactions", "limit": 100 })).await;
        let all = ledger["transactions"].as_array().expect("a list");
        assert_eq!(all.iter().filter(|one| one["kind"] == kind).count(), count);
    }
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn many_people_at_once_get_numbers_without_holes() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    let sends = (0..60).map(|n| {
        let (phone, conversation) = (if n % 2 == 0 { &ann } else { &bob }, &conversation);
        async move { phone.sends(conversation, &n.to_string()).await["message"]["seq"].as_u64() }
    });
    let numbers: BTreeSet<u64> = join_all(sends).await.into_iter().flatten().collect();
    assert_eq!(numbers, (1..=60).collect());
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn only_so_many_sends_are_open_until_the_sweep_ends_them() {
    let world = World::deployed_with(&[("SendsPerSecond", "100"), ("SendBurst", "1000")]).await;
    let phone = world.person("ann").connects().await;
    let conversation = phone.opens("bob").await;
    world.breaks(|call| call.operation.claims().then_some(Fault::KillAfter));
    for n in 0..OPEN_MAX {
        assert!(phone.tries(phone.message_to("bob", &n.to_string())).await.is_none(), "{n} died, claimed");
    }
    world.heals();
    // The claim has two forms: for who has sent just now, and for who has not.
    for pause in [Duration::ZERO, Duration::from_secs(60)] {
        world.advance(pause).await;
        assert_eq!(phone.sends(&conversation, "one too many").await.code(), "rate_limited", "after {pause:?}");
    }
    world.comes_to_rest().await;
    assert_eq!(phone.sends(&conversation, "again").await["duplicate"], false);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_answered_like_the_first_time_also_much_later() {
    let world = World::new().await;
    world.prices("bob", 5).await;
    world.tops_up("ann", 5).await;
    let phone = world.person("ann").connects().await;
    let frame = phone.message_to("bob", "hi");
    let first = phone.says(frame.clone()).await;
    assert_eq!(first["balance"], 0);
    let second = phone.says(frame.clone()).await;
    assert_eq!((&second["message"], &second["duplicate"]), (&first["message"], &json!(true)));
    world.comes_to_rest().await;
    let third = phone.says(frame).await;
    assert_eq!((&third["message"], &third["duplicate"]), (&first["message"], &json!(true)));
    world.is_at_rest();
}

#[tokio::test(start_paused = true)]
async fn an_id_is_not_used_for_another_message() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let frame = phone.message_to("bob", "hi");
    phone.says(frame.clone()).await.data();
    for (field, value) in [("content", json!("bye")), ("to", json!("carl")), ("replyTo", json!(1))] {
        let mut other = frame.clone();
        other[field] = value;
        assert_eq!(phone.says(other.clone()).await.code(), "client_message_id_reused", "another {field}");
        // Also when it has long left the account.
        world.comes_to_rest().await;
        assert_eq!(phone.says(other).await.code(), "client_message_id_reused", "another {field}");
    }
    let mut same = frame;
    same["maxPrice"] = 9.into();
    assert_eq!(phone.says(same).await["duplicate"], true, "maxPrice makes no other message");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_message_is_said_and_leaves_no_trace() {
    let world = World::new().await;
    world.prices("bob", 2).await;
    world.tops_up("ann", 1).await;
    let phone = world.person("ann").connects().await;
    let base = phone.message_to("bob", "hi");
    let long = "x".repeat(10_001);
    for (changes, code, field) in [
        (json!({ "content": "" }), "content_empty", Value::Null),
        (json!({ "content": long }), "content_too_long", Value::Null),
        (json!({ "to": "ann" }), "self_conversation", Value::Null),
        (json!({ "to": null }), "bad_request", json!("conversationId")),
        (json!({ "conversationId": "d_x" }), "bad_request", json!("to")),
        (json!({ "to": null, "conversationId": "d_x" }), "not_a_participant", Value::Null),
        (json!({ "to": null, "conversationId": "no such id" }), "bad_request", json!("conversationId")),
        (json!({ "clientMessageId": "" }), "bad_request", json!("clientMessageId")),
        (json!({ "clientMessageId": "x".repeat(65) }), "bad_request", json!("clientMessageId")),
        (json!({ "content": 7 }), "bad_request", json!("content")),
        (json!({ "replyTo": 0 }), "bad_request", json!("replyTo")),
        (json!({ "replyTo": 1 }), "bad_request", json!("replyTo")),
        (json!({ "replyTo": -1 }), "bad_request", json!("replyTo")),
        (json!({ "maxPrice": 1 }), "price_changed", Value::Null),
        (json!({ "attachment": { "id": "a" } }), "bad_request", json!("attachment")),
        (json!({}), "insufficient_balance", Value::Null),
    ] {
        let mut frame = base.clone();
        for (name, value) in changes.as_object().expect("changes") {
            frame[name] = value.clone();
        }
        let answer = phone.says(frame).await;
        assert_eq!((answer.event(), answer.code()), ("message:error", code), "{changes}");
        assert_eq!(answer.details()["field"], field, "{changes}: {:#}", answer.frame);
        assert_eq!(answer.frame["error"]["retryable"], false, "{changes}");
    }
    assert!(!world.items().iter().any(|item| item["pk"].as_str().is_some_and(|pk| pk.starts_with("CONV#"))));
    world.tops_up("ann", 1).await;
    assert_eq!(phone.says(base).await["message"]["seq"], 1, "the same id may be tried again");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_price_above_max_price_is_told_and_not_charged() {
    let world = World::deployed_with(&[("DefaultPrice", "10")]).await;
    world.tops_up("ann", 100).await;
    let phone = world.person("ann").connects().await;
    let mut frame = phone.message_to("bob", "hi");
    frame["maxPrice"] = 9.into();
    let refused = phone.says(frame.clone()).await;
    assert_eq!((refused.code(), &refused.details()["price"]), ("price_changed", &json!(10)));
    frame["maxPrice"] = 10.into();
    let sent = phone.says(frame).await;
    assert_eq!((&sent["message"]["price"], &sent["balance"]), (&json!(10), &json!(90)));
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn the_house_gets_its_share() {
    let world = World::deployed_with(&[("ReceiverSharePercent", "70")]).await;
    world.prices("bob", 15).await;
    world.tops_up("ann", 15).await;
    let phone = world.person("ann").connects().await;
    assert_eq!(phone.sends_to("bob", "hi").await["balance"], 0);
    assert_eq!(world.person("bob").connects().await.balance().await, 10, "70 % of 15, rounded down");
    assert_eq!(world.admin("GET", "/api/wallets/house", None).await.body["balance"], 5);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_earned_can_be_spent_at_once() {
    let world = World::deployed_with(&[("DefaultPrice", "4")]).await;
    world.tops_up("ann", 4).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    ann.sends_to("bob", "hi").await.data();
    assert_eq!(bob.sends_to("ann", "hi yourself").await["balance"], 0);
    assert_eq!(ann.sends_to("bob", "again").await["balance"], 0);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_names_the_message_that_it_answers() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    ann.sends_to("bob", "question").await.data();
    let mut reply = bob.message_to("ann", "answer");
    reply["replyTo"] = 1.into();
    assert_eq!(bob.says(reply).await["message"]["replyTo"], 1);
    assert_eq!(ann.hears("message:new").await["message"]["replyTo"], 1);
    // Also to who reads it later.
    let conversation = ann.opens("bob").await;
    let page = ann.says(json!({ "action": "getMessages", "conversationId": conversation })).await;
    assert_eq!(page["messages"][1]["replyTo"], 1);
    assert_eq!(page["messages"][0]["replyTo"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_conversation_looks_like_none() {
    let world = World::new().await;
    let (ann, eve) = (world.person("ann").connects().await, world.person("eve").connects().await);
    let conversation = ann.opens("bob").await;
    let (theirs, none) = (eve.sends(&conversation, "hi").await, eve.sends(&json!("d_none"), "hi").await);
    assert_eq!(theirs.code(), "not_a_participant");
    assert_eq!(theirs.frame["error"], none.frame["error"]);
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_limited_and_the_limit_ends() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let conversation = phone.opens("bob").await;
    let mut limited = None;
    // Four at a time, a round takes about 0.1 s: much faster than 20 a second.
    for n in 0..300 {
        let answers = join_all((0..16).map(|m| {
            let (phone, conversation) = (&phone, &conversation);
            async move { phone.sends(conversation, &format!("{n}.{m}")).await }
        }))
        .await;
        limited = answers.into_iter().find(|answer| answer.frame["success"] == false);
        if limited.is_some() {
            break;
        }
    }
    let limited = limited.expect("nobody may send so much");
    assert_eq!((limited.code(), &limited.frame["error"]["retryable"]), ("rate_limited", &json!(true)));
    let wait = limited.details()["retryAfterMs"].as_u64().expect("milliseconds");
    let sent = phone.history(&conversation).await.last().map(|message| message["seq"].as_u64());
    assert!(sent.flatten() >= Some(200), "a burst of 200 is allowed");
    world.advance(Duration::from_millis(wait)).await;
    phone.sends(&conversation, "patience").await.data();
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_forgotten_and_harms_nobody() {
    let world = World::new().await;
    let bob = world.person("bob");
    let (ann, dead, alive) = (world.person("ann").connects().await, bob.connects().await, bob.connects().await);
    dead.vanishes();
    world.advance(shared::limits::CONNECT_GRACE).await;
    ann.sends_to("bob", "hi").await.data();
    assert_eq!(alive.heard_messages().len(), 1);
    assert_eq!(bob.known_connections(), std::slice::from_ref(&alive.connection));
    assert_eq!(world.person("ann").known_connections(), std::slice::from_ref(&ann.connection));
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_busy_gateway_is_asked_again_and_a_deaf_one_costs_only_the_push() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let to_bob = |connection: String| move |operation: &Operation| *operation == Operation::Push(connection.clone());
    let is_push = to_bob(bob.connection.clone());
    world.breaks_once(Fault::Refuse(429), move |call| is_push(&call.operation));
    ann.sends_to("bob", "one").await.data();
    assert_eq!(bob.heard_messages().len(), 1);
    let is_push = to_bob(bob.connection.clone());
    world.breaks(move |call| is_push(&call.operation).then_some(Fault::Refuse(429)));
    ann.sends_to("bob", "two").await.data();
    world.heals();
    assert_eq!(bob.heard_messages().len(), 0);
    assert!(bob.is_connected() && world.person("bob").known_connections().len() == 1, "busy isn't gone");
    assert_eq!(bob.syncs().await.messages().len(), 2);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn who_connects_while_a_message_is_on_its_way_gets_it() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob"));
    for n in 0..40 {
        let sends = ann.sends_to("bob", "hi");
        let connects = async {
            world.advance(Duration::from_millis(3 * n)).await;
            let phone = bob.connects().await;
            let synced = phone.syncs().await.messages();
            (phone, synced)
        };
        let (sent, (phone, mut known)) = futures::future::join(sends, connects).await;
        known.extend(phone.heard_messages());
        let seq = &sent["message"]["seq"];
        assert!(known.iter().any(|message| message["seq"] == *seq), "{n}: {seq} is not in {known:#?}");
        phone.goes_away().await;
    }
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn names_and_texts_may_be_of_any_script() {
    let world = World::new().await;
    let (ann, bob) = (world.person("Ånn 🦀#USER").connects().await, world.person("鮑勃/ä b").connects().await);
    let text = "👩‍👩‍👧‍👦 \"quoted\" \\ \u{202e} καλημέρα\n";
    ann.sends_to("鮑勃/ä b", text).await.data();
    let message = &bob.hears("message:new").await["message"];
    assert_eq!((&message["content"], &message["senderId"]), (&json!(text), &json!("Ånn 🦀#USER")));
    let long = "🦀".repeat(10_000);
    let sent = ann.sends_to("鮑勃/ä b", &long).await;
    assert_eq!(sent["message"]["content"], long, "10,000 characters, whatever their bytes");
    world.comes_to_rest().await;
}

/// Counted by the engine, not timed.
#[tokio::test(start_paused = true)]
async fn a_message_costs_three_round_trips_and_few_write_units() {
    for (price, units_max) in [(0, 5.0), (5, 8.0)] {
        let world = World::new().await;
        world.prices("bob", price).await;
        world.tops_up("ann", 100).await;
        let (ann, _bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
        let conversation = ann.opens("bob").await;
        ann.sends(&conversation, "the first costs more: the indexes learn of it").await.data();
        let (mut units, count) = (0.0, 12);
        for n in 0..count {
            world.calls();
            ann.sends(&conversation, &n.to_string()).await.data();
            let calls = world.calls();
            let ack = calls.iter().find(|call| call.operation == Operation::Push(ann.connection.clone()));
            let ack = ack.expect("an answer").round_trip - 1;
            assert!(ack <= 3, "{ack} round trips before the answer to message {n}: {calls:#?}");
            units += calls.iter().filter(|call| call.operation.is_write()).map(|call| call.units).sum::<f64>();
        }
        let each = units / f64::from(count);
        assert!(each <= units_max, "{each} write units for a message of {price} coins");
    }
}

/// Before each of Ann's claims somebody changes her account; how often she claims until she is told to come again.
async fn claims_while(ids: Ids, change: fn(&mut serde_json::Map<String, Value>, usize)) -> usize {
    let world = World::new().await;
    let ann = world.person("ann").connects().await.with(ids);
    let conversation = ann.opens("bob").await;
    ann.sends(&conversation, "her account is there").await.data();
    let claims = Arc::new(AtomicUsize::new(0));
    let (others, counted) = (world.clone(), claims.clone());
    world.breaks(move |call| {
        if call.operation.claims() {
            let n = counted.fetch_add(1, Ordering::Relaxed);
            others.edits("USER#ann", "ACCOUNT", |account| change(account, n));
        }
        None
    });
    assert_eq!(ann.sends(&conversation, "at a bad moment").await.code(), "unavailable");
    world.heals();
    assert_eq!(ann.sends(&conversation, "later").await.event(), "message:sent");
    claims.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_send_looks_again_so_often_while_others_are_dropped() {
    // Also where the id would do: these drops don't say up to which.
    for ids in [Ids::TimeOrdered, Ids::Other] {
        let claims = claims_while(ids, |account, _| {
            let epoch: u64 = account["epoch"]["N"].as_str().and_then(|epoch| epoch.parse().ok()).expect("a number");
            account["epoch"] = json!({ "N": (epoch + 1).to_string() });
        });
        assert_eq!(claims.await, LOOKS_MAX as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_is_claimed_so_often_with_one_look() {
    // Clocks that are wrong set the rate far ahead, and far back.
    for ids in [Ids::TimeOrdered, Ids::Other] {
        let claims = claims_while(ids, |account, n| {
            account["rate_until"] = json!({ "N": if n % 2 == 0 { "4000000000000" } else { "0" } });
        });
        assert_eq!(claims.await, CLAIMS_PER_LOOK_MAX as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn few_finished_sends_stay_in_an_account() {
    // Each drops the one before it; or the fourth drops three.
    let others: Vec<usize> = (0..2 * DROP_BATCH).map(|n| n % (DROP_BATCH - 1) + 1).collect();
    for (ids, wanted) in [(Ids::TimeOrdered, vec![1; 2 * DROP_BATCH]), (Ids::Other, others)] {
        let world = World::new().await;
        let ann = world.person("ann").connects().await.with(ids);
        let mut left = Vec::new();
        for n in 0..2 * DROP_BATCH {
            ann.sends_to("bob", &n.to_string()).await.data();
            let items = world.items();
            let account = items.iter().find(|item| item["pk"] == "USER#ann" && item["sk"] == "ACCOUNT");
            left.extend(account.and_then(|account| account["open"].as_object()).map(serde_json::Map::len));
        }
        assert_eq!(left, wanted, "{ids:?}");
    }
}
