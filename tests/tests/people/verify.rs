//! What an operator is told who has everything checked: nothing while all is well, and what is wrong when something is.

use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::limits::{
    CLEANUP_LOOK_EVERY, SEGMENT_MESSAGES_MIN, VERIFY_FINDINGS_MAX, VERIFY_LOG_PAGE, VERIFY_ORDER_BYTES_MAX,
    VERIFY_PAGE_ITEMS, VERIFY_READS_MAX, VERIFY_RESERVE, VERIFY_SEGMENTS_PAGE, VERIFY_SETTLED_AFTER,
};
use shared::store::conversations::Meta;
use shared::store::log::LogItem;
use shared::store::table::Key;
use tests::world::Failed;
use tests::years::{Plan, generate, item};
use tests::{Call, Fault, Operation, World};
use wire::{Coins, SendId, Seq, UserId};

/// An item as `DynamoDB` writes it.
type Item = Map<String, Value>;

/// Ann has paid Bob for many messages, which have moved to the archive but for the last ones; the conversation's id.
async fn aged(world: &World) -> String {
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    world.prices("bob", 3).await;
    world.tops_up("ann", 1_000).await;
    let conversation = ann.opens("bob").await;
    for n in 1..=SEGMENT_MESSAGES_MIN + 5 {
        ann.sends(&conversation, &format!("text {n}")).await.data();
    }
    bob.marks_read(&conversation, SEGMENT_MESSAGES_MIN as u64 + 5).await.data();
    world.advance(CLEANUP_LOOK_EVERY + Duration::from_secs(1)).await;
    world.comes_to_rest().await;
    world.cleans_up().await;
    let ann = world.person("ann").connects().await;
    for text in ["later", "and later"] {
        ann.sends(&conversation, text).await.data();
    }
    world.advance(VERIFY_SETTLED_AFTER + Duration::from_secs(1)).await;
    world.sweeps().await;
    conversation.as_str().expect("an id").to_owned()
}

/// What an item holds, as `DynamoDB` writes it.
fn kept(world: &World, pk: &str, sk: &str) -> Item {
    let mut kept = Item::new();
    world.edits(pk, sk, |item| kept = item.clone());
    kept
}

/// The sort key of Ann's item that starts so, by the last of them.
fn key_of(world: &World, pk: &str, start: &str) -> String {
    let ours = world.items().into_iter().filter(|item| item["pk"] == pk);
    let keys = ours.filter_map(|item| item["sk"].as_str().map(str::to_owned));
    keys.filter(|sk| sk.starts_with(start)).max().unwrap_or_else(|| panic!("{pk} has no {start}"))
}

fn rules(findings: &[Value]) -> Vec<&str> {
    findings.iter().map(|finding| finding["rule"].as_str().expect("a rule")).collect()
}

/// Of a conversation that has much, and never a content; each rule to the last finding is in `each_rule`.
#[tokio::test(start_paused = true)]
async fn each_thing_that_is_wrong_is_found() {
    let world = World::new().await;
    let id = aged(&world).await;
    assert_eq!(world.is_verified(false).await, [Value::Null; 0], "all is well");
    let report = world.invoke("verify", json!({})).await.expect("it ends");
    assert_eq!(report["checked"]["archived"], SEGMENT_MESSAGES_MIN + 4, "{report:#}");
    let conversation = format!("CONV#{id}");
    let (ann, bob) = ("USER#ann", "USER#bob");
    let inbox = format!("INBOX#{id}");
    let receipt = key_of(&world, ann, "RECEIPT#");
    let last = key_of(&world, &conversation, "MSG#");
    let segment = key_of(&world, &conversation, "SEGMENT#");
    type Change = fn(&mut Item);
    let cases: [(&str, &str, Change, &str); 11] = [
        (bob, &inbox, |item| item["read_seq"] = json!({ "N": "999" }), "horizons are in order"),
        (bob, &inbox, |item| drop(item.remove("work_sk")), "what is due is in the index"),
        (ann, "PRESENCE", |item| drop(item.remove("work_pk")), "what is due is in the index"),
        (ann, &receipt, Item::clear, "every slot has its receipt, or its send is open"),
        (&conversation, "META", |item| item["work_pk"] = json!({ "S": "ARCHIVE#99" }), "what is due is in the index"),
        (
            &conversation,
            "META",
            |item| item["work_sk"] = json!({ "S": "1767225600000\u{1f}another" }),
            "what is due is in the index",
        ),
        (
            &conversation,
            "META",
            |item| item["members"] = json!({ "L": [{ "S": "ann" }, { "S": "eve" }] }),
            "two people have one conversation",
        ),
        (&conversation, "META", Item::clear, "an item's conversation is there"),
        (&conversation, &last, |item| item["content"] = json!({ "S": "other" }), "what is kept is what was sent"),
        (
            &conversation,
            &last,
            |item| item["cmid"] = json!({ "S": "other" }),
            "a send's id is its sender's and its name's",
        ),
        (&conversation, &segment, Item::clear, "archived numbers are in a segment"),
    ];
    for (pk, sk, change, rule) in cases {
        let before = kept(&world, pk, sk);
        world.edits(pk, sk, change);
        let findings = world.is_verified(false).await;
        let found = findings.iter().filter(|finding| finding["rule"] == rule);
        let places: Vec<&str> = found.filter_map(|finding| finding["place"].as_str()).collect();
        assert!(!places.is_empty() && places.iter().all(|place| place.contains(' ')), "{pk} {sk}: {findings:#?}");
        assert!(!json!(findings).to_string().contains("text 1"), "no content: {findings:#?}");
        world.edits(pk, sk, |item| *item = before);
    }
    assert_eq!(world.is_verified(false).await, [Value::Null; 0], "all is well again");
}

#[tokio::test(start_paused = true)]
async fn what_can_be_mended_is_mended_on_demand_and_once() {
    let world = World::new().await;
    let id = aged(&world).await;
    let (conversation, inbox) = (format!("CONV#{id}"), format!("INBOX#{id}"));
    let unlist = |item: &mut Item| item.retain(|name, _| !name.starts_with("work_"));
    world.edits("USER#bob", &inbox, unlist);
    world.edits(&conversation, "META", unlist);
    world.edits("USER#ann", &inbox, Item::clear);
    let items = world.items();
    let found = world.is_verified(false).await;
    assert_eq!(world.items(), items, "without being told to, nothing is changed");
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found.iter().all(|finding| finding["mended"] == false && finding["repair"].is_string()), "{found:#?}");
    let mended = world.is_verified(true).await;
    assert!(mended.len() == 3 && mended.iter().all(|finding| finding["mended"] == true), "{mended:#?}");
    assert_eq!(world.is_verified(true).await, [Value::Null; 0]);
    world.is_sound();
    let ann = world.person("ann").connects().await;
    assert_eq!(ann.says(json!({ "action": "getConversations" })).await["conversations"][0]["lastSeq"], 107);
}

/// Between the read that finds it missing and the write that mends it, it was done: it isn't done again.
#[tokio::test(start_paused = true)]
async fn what_is_done_before_it_is_mended_stays_out_of_the_index() {
    let world = World::new().await;
    let id = aged(&world).await;
    let ann = world.person("ann").connects().await;
    ann.sends_to("bob", "waits").await.data();
    world.breaks_once(Fault::KillBefore, |call| call.operation.writes("MSG#"));
    assert!(ann.tries(ann.message_to("bob", "stays open")).await.is_none());
    world.heals();
    let (conversation, inbox) = (format!("CONV#{id}"), format!("INBOX#{id}"));
    let entry = key_of(&world, "USER#bob", "ENTRY#");
    let unlist = |item: &mut Item| item.retain(|name, _| !name.starts_with("work_"));
    type Change = fn(&mut Item);
    let misplace: Change = |item| item["work_sk"] = json!({ "S": "elsewhere" });
    let cases: [(&str, &str, Change, Change); 6] = [
        ("USER#ann", "ACCOUNT", unlist, |item| item["open"] = json!({ "M": {} })),
        ("USER#ann", "PRESENCE", unlist, |item| item["connections"] = json!({ "M": {} })),
        ("USER#bob", &entry, misplace, |item| item.retain(|name, _| !name.starts_with("work_"))),
        ("USER#bob", &inbox, unlist, |item| item["delivered_seq"] = item["last_seq"].clone()),
        (&conversation, "META", unlist, |item| drop(item.insert("idle".to_owned(), json!({ "BOOL": true })))),
        (&conversation, "META", unlist, Item::clear),
    ];
    for (pk, sk, breaks, done) in cases {
        let before = kept(&world, pk, sk);
        world.edits(pk, sk, breaks);
        let (other, place) = (world.clone(), (pk.to_owned(), sk.to_owned()));
        let mut mended = 0;
        world.breaks(move |call| {
            if call.function == "verify" && call.operation.is_write() {
                mended += 1;
                assert_eq!(mended, 1, "one thing is wrong");
                other.edits(&place.0, &place.1, done);
            }
            None
        });
        let found = world.is_verified(true).await;
        world.heals();
        assert!(found.iter().any(|finding| finding["mended"] == true), "{pk} {sk}: {found:#?}");
        let mut expected = before.clone();
        breaks(&mut expected);
        done(&mut expected);
        assert_eq!(kept(&world, pk, sk), expected, "{pk} {sk}");
        world.edits(pk, sk, |item| *item = before);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_not_wrong() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    world.prices("bob", 3).await;
    world.tops_up("ann", 1_000).await;
    ann.sends_to("bob", "hello").await.data();
    for kind in ["ACCOUNT", "MSG#", "ENTRY#", "INBOX#", "RECEIPT#"] {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            world.breaks_once(fault, move |call| call.operation.writes(kind));
            ann.tries(ann.message_to("bob", "unfinished")).await;
            world.heals();
            assert_eq!(world.is_verified(false).await, [Value::Null; 0], "{fault:?} {kind}");
        }
    }
    world.breaks_once(Fault::KillAfter, |call| call.operation.folds());
    bob.tries(json!({ "action": "getBalance" })).await;
    world.heals();
    assert_eq!(world.is_verified(false).await, [Value::Null; 0], "half settled");
}

/// A cursor is what the last slice has said: a page of a scan goes on at an item's key, which has a limit itself.
#[tokio::test(start_paused = true)]
async fn an_order_has_a_limit() {
    let world = World::new().await;
    let envelope = json!({ "note": "" }).to_string().len();
    let longest = json!({ "note": "x".repeat(VERIFY_ORDER_BYTES_MAX - envelope) });
    assert!(world.invoke("verify", longest).await.is_ok());
    let long = "x".repeat(VERIFY_ORDER_BYTES_MAX);
    for order in [
        json!({ "cursor": { "began_at": 0, "after": { "pk": long, "sk": "META" }, "unpaid": 0 } }),
        json!({ "repair": false, "note": long }),
    ] {
        let refused = world.invoke("verify", order).await.expect_err("it is refused");
        assert_eq!(refused, Failed::Error(format!("an order has at most {VERIFY_ORDER_BYTES_MAX} bytes")));
    }
    // What a deployment's longest names come to: pk and sk as long as DynamoDB takes them.
    let key = json!({ "pk": format!("USER#{}", "\"".repeat(128)), "sk": format!("ENTRY#{}", "\"".repeat(1_000)) });
    let order = json!({ "repair": true, "cursor": { "began_at": i64::MAX, "after": key, "from": ["x".repeat(64), 9], "unpaid": i64::MIN } });
    assert!(world.invoke("verify", order).await.is_ok());
}

/// A deployment gives a message's rest to another account from now on: what was decided before is as it was.
#[tokio::test(start_paused = true)]
async fn coins_are_checked_as_they_were_split_when_it_was_decided() {
    let world = World::deployed_with(&[("ReceiverSharePercent", "70"), ("DefaultPrice", "10")]).await;
    world.tops_up("ann", 10).await;
    world.person("ann").connects().await.sends_to("bob", "hi").await.data();
    world.comes_to_rest().await;
    let house = world.items().into_iter().find(|item| item["kind"] == "share").expect("a share");
    let (pk, share) = (house["pk"].as_str().expect("a key"), house["sk"].as_str().expect("a key"));
    // The house of then had another name.
    let (line, account) = (kept(&world, pk, share), kept(&world, pk, "ACCOUNT"));
    for (sk, item) in [(share, line), ("ACCOUNT", account)] {
        world.edits("USER#house-before", sk, |there| *there = item);
        world.edits(pk, sk, Item::clear);
    }
    let charge = key_of(&world, "USER#ann", "ENTRY#");
    let split = |world: &World, split: Value| {
        world.edits("USER#ann", &charge, |item| drop(item.insert("split".to_owned(), split)));
    };
    let named = |house: &str| json!({ "M": { "earned": { "N": "7" }, "house": { "S": house } } });
    split(&world, named("house-before"));
    assert_eq!(world.is_verified(false).await, [Value::Null; 0], "as it was decided");
    split(&world, named("another"));
    assert_eq!(rules(&world.is_verified(false).await), ["coins add up"], "nobody of that name has it");
    world.edits("USER#ann", &charge, |item| drop(item.remove("split")));
    assert_eq!(world.is_verified(false).await, [Value::Null; 0], "an earlier version didn't say whose it is");
    for sk in [share, "ACCOUNT"] {
        world.edits("USER#house-before", sk, Item::clear);
    }
    assert_eq!(world.is_verified(false).await, [Value::Null; 0], "who has just paid is not counted yet");
    world.advance(VERIFY_SETTLED_AFTER + Duration::from_secs(1)).await;
    assert_eq!(rules(&world.is_verified(false).await), ["coins add up"], "but it is somebody's");
}

/// Whether a call is a query for items whose sort keys begin so.
fn queries(call: &Call, kind: &str) -> bool {
    matches!(&call.operation, Operation::Dynamo(name, _) if name == "Query") && call.operation.item_kind() == Some(kind)
}

#[tokio::test(start_paused = true)]
async fn what_is_much_is_read_page_by_page() {
    let world = World::new().await;
    let messages = 2 * VERIFY_LOG_PAGE + 1;
    let plan = Plan { conversations: 1, messages, seed: 7, now: world.now(), days: 400 };
    generate(&plan, |items| world.imports(items));
    let items = u32::try_from(world.items().len()).expect("not so many");
    world.calls();
    assert_eq!(world.is_verified(false).await, [Value::Null; 0]);
    let calls = world.calls();
    let scans = calls.iter().filter(|call| matches!(&call.operation, Operation::Dynamo(name, _) if name == "Scan"));
    assert!(items > VERIFY_PAGE_ITEMS, "{items} items are no two pages");
    assert_eq!(scans.count(), items.div_ceil(VERIFY_PAGE_ITEMS) as usize);
    assert_eq!(calls.iter().filter(|call| queries(call, "MSG")).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn many_segments_are_read_page_by_page() {
    let world = World::new().await;
    let users: [UserId; 2] = ["ann", "bob"].map(|user| user.parse().expect("an id"));
    let mut meta = Meta::direct(users, world.now(), "made".to_owned());
    let segments = u64::from(VERIFY_SEGMENTS_PAGE) + 1;
    meta.first_seq = Seq(segments + 1);
    // One message each, and no object.
    let held = |n| json!({ "last": n, "object": format!("segments/{n}") });
    let items = (1..=segments).map(|n| item(Key::segment(&meta.id, Seq(n)), &held(n), None));
    world.imports(items.chain([item(Key::meta(&meta.id), &meta, None)]).collect());
    world.calls();
    let findings = world.is_verified(false).await;
    let unread = rules(&findings).into_iter().filter(|rule| *rule == "archived messages can be read").count();
    assert_eq!(unread as u64, segments, "{findings:#?}");
    assert_eq!(world.calls().iter().filter(|call| queries(call, "SEGMENT")).count(), 2);
}

/// What a slice says.
async fn slice(world: &World) -> (usize, Value) {
    let report = world.invoke("verify", json!({})).await.expect("the function answers");
    (report["findings"].as_array().map(Vec::len).expect("findings"), report["cursor"].clone())
}

#[tokio::test(start_paused = true)]
async fn a_report_that_is_full_is_ended_with_its_page() {
    let page = VERIFY_PAGE_ITEMS as usize;
    let of_nobody = |n: usize| {
        let key = Key { pk: format!("USER#user {n}"), sk: "NOTE".to_owned() };
        item(key, &json!({}), None)
    };
    for (count, found, ends) in [(VERIFY_FINDINGS_MAX - 1, VERIFY_FINDINGS_MAX - 1, true), (page + 1, page, false)] {
        let world = World::new().await;
        world.imports((0..count).map(of_nobody).collect());
        let (findings, cursor) = slice(&world).await;
        assert_eq!((findings, cursor.is_null()), (found, ends));
        assert_eq!(world.is_verified(false).await.len(), count, "the next slice has the rest");
    }
}

#[tokio::test(start_paused = true)]
async fn of_one_conversation_so_much_is_reported() {
    let world = World::new().await;
    let users: [UserId; 2] = ["ann", "bob"].map(|user| user.parse().expect("an id"));
    let meta = Meta::direct(users, world.now(), "made".to_owned());
    // Of a stranger, and by a name that isn't theirs: each slot is wrong in two ways and more.
    let slots = (1..=VERIFY_FINDINGS_MAX as u64).map(|n| {
        let slot = LogItem {
            sender: "eve".parse().expect("an id"),
            sid: SendId::new(&meta.created_by, &n.to_string().parse().expect("an id")),
            client_message_id: n.to_string().parse().expect("an id"),
            content: "hi".to_owned(),
            reply_to: None,
            price: Coins(0),
            created_at: world.now(),
            void: false,
        };
        item(Key::log(&meta.id, Seq(n)), &slot, None)
    });
    let slots: Vec<_> = slots.chain([item(Key::meta(&meta.id), &meta, None)]).collect();
    world.imports(slots);
    let (findings, _) = slice(&world).await;
    assert_eq!(findings, VERIFY_FINDINGS_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_slice_whose_time_is_nearly_over_says_where_to_go_on() {
    let world = World::new().await;
    world.tops_up("ann", 5).await;
    for (early, ends) in [(Duration::from_secs(60), true), (Duration::ZERO, false)] {
        // Most of its time is over when it asks for the first page.
        let over = world.deployment().functions["verify"].timeout - VERIFY_RESERVE - early;
        let (later, mut first) = (world.clone(), true);
        world.breaks(move |_| {
            if std::mem::take(&mut first) {
                later.sets_clock(i64::try_from(over.as_secs()).expect("minutes"));
            }
            None
        });
        let (findings, cursor) = slice(&world).await;
        world.heals();
        assert_eq!((findings, cursor.is_null()), (0, ends), "{early:?} earlier");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_changes_all_the_time_is_read_so_often() {
    let world = World::new().await;
    world.tops_up("ann", 5).await;
    // What its ledger says would be wrong, if it stood still.
    let (others, mut balance) = (world.clone(), 1_000);
    let reads = |call: &Call| call.function == "verify" && call.operation.sk() == Some("ACCOUNT");
    world.breaks(move |call| {
        if reads(call) {
            balance += 1;
            others.edits("USER#ann", "ACCOUNT", |account| account["balance"] = json!({ "N": balance.to_string() }));
        }
        None
    });
    world.calls();
    assert_eq!(world.is_verified(false).await, [Value::Null; 0]);
    let read = world.calls().iter().filter(|call| reads(call)).count();
    assert_eq!(read, 1 + VERIFY_READS_MAX as usize, "and once before");
    world.heals();
    assert_eq!(rules(&world.is_verified(false).await), ["a ledger adds up to its balance"]);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_has_been_open_for_long_is_wrong() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    ann.dies_sending("bob", "nobody finishes it").await;
    world.advance(VERIFY_SETTLED_AFTER - Duration::from_secs(60)).await;
    assert_eq!(world.is_verified(false).await, [Value::Null; 0]);
    world.advance(Duration::from_secs(120)).await;
    assert_eq!(rules(&world.is_verified(false).await), ["sends end"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_store_gives_in_parts_is_checked_as_a_whole() {
    let world = World::new().await;
    let id = aged(&world).await;
    world.breaks(|call| {
        let parts = ["MSG", "ENTRY", "SEGMENT"].into_iter().any(|kind| queries(call, kind));
        (parts && call.function == "verify").then_some(Fault::Part(50))
    });
    assert_eq!(world.is_verified(false).await, [Value::Null; 0]);
    // Of what is in the archive already, and in the table still: one that isn't in a first part.
    let key = format!("MSG#{:020}", SEGMENT_MESSAGES_MIN);
    world.edits(&format!("CONV#{id}"), &key, |slot| slot["content"] = json!({ "S": "other" }));
    assert_eq!(rules(&world.is_verified(false).await), ["the archive has what the table has"]);
}
