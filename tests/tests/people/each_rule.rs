//! What `verify` says, to the last finding: one thing is changed behind everybody's back, and exactly what is wrong then is
//! found, where it is; and what is only unusual is not.

use serde_json::{Map, Value, json};
use shared::limits::{CONNECTIONS_MAX, OPEN_MAX, VERIFY_FINDINGS_MAX, VERIFY_PAGE_ITEMS, VERIFY_SETTLED_AFTER};
use shared::store::work::Listing;
use tests::engine::typed_value;
use tests::{Call, Operation, World};
use wire::SendId;
use wire::limits::COINS_MAX;

use super::aged::{Aged, Changes, Found, changes, said};

const HORIZONS: &str = "horizons are in order";
const INBOX_BEHIND: &str = "an inbox knows of every message";
const PEER: &str = "an inbox names the other one";
const INDEX: &str = "what is due is in the index";
const BALANCE: &str = "a ledger adds up to its balance";
const COINS: &str = "coins add up";
const SIGN: &str = "charges are below nothing, all else above";
const AT_ONCE: &str = "a charge is taken at once";
const LIMITS: &str = "limits hold";
const HELD: &str = "a balance can be held";
const ENDS: &str = "sends end";
const SEND_ID: &str = "a send's id is its sender's and its name's";
const SLOT: &str = "every slot has its receipt, or its send is open";
const RECEIPT: &str = "a receipt names its slot";
const SENT: &str = "what is kept is what was sent";
const WRITER: &str = "who writes is in the conversation";
const THERE: &str = "an item's conversation is there";
const HOLE: &str = "a log has no holes";
const GONE: &str = "what was deleted is gone";
const SAME: &str = "the archive has what the table has";
const NUMBERS: &str = "what is deleted has moved, and the last message stays";
const SEGMENTS: &str = "segments follow each other";
const NO_SEGMENT: &str = "archived numbers are in a segment";
const READ: &str = "archived messages can be read";
const UNKNOWN: &str = "every item can be read";

const NOTHING: Value = Value::Null;

/// Longer than a run of `verify` may take.
const SLICE_S: i64 = 3_600;

/// Segments and what is left of them in the table.
fn of_the_archive(aged: &Aged) -> Vec<(Changes, Found)> {
    let all = [(RECEIPT, "ann RECEIPT 1"), (RECEIPT, "bob RECEIPT 2"), (RECEIPT, "ann RECEIPT 3")];
    let lost = |found: &[(&'static str, &'static str)]| {
        found.iter().copied().chain(all).chain([(RECEIPT, "bob RECEIPT 4")]).collect::<Found>()
    };
    let long = json!({ "padding": "x".repeat(390 * 1024) });
    let other = json!({ "content": "other" });
    vec![
        (changes([("SEGMENT 1", json!({ "last": 5 }))]), vec![(SEGMENTS, "#1")]),
        (changes([("SEGMENT 1", json!({ "last": 3 }))]), vec![(NO_SEGMENT, "#4"), (RECEIPT, "bob RECEIPT 4")]),
        (changes([("SEGMENT 1", json!({ "last": 1 })), ("META", json!({ "first_seq": 2 }))]), vec![]),
        (changes([("SEGMENT 1", json!({ "last": 0 }))]), lost(&[(SEGMENTS, "#1"), (NO_SEGMENT, "#1")])),
        (
            changes([("SEGMENT 1", NOTHING), ("SEGMENT 2", json!({ "last": 4, "object": aged.object }))]),
            lost(&[(SEGMENTS, "#2"), (READ, "#2")]),
        ),
        (changes([("SEGMENT 1", json!({ "object": "segments/gone" }))]), lost(&[(READ, "#1")])),
        // It is being moved.
        (changes([("SEGMENT 5", json!({ "last": 8, "object": "segments/not-yet" }))]), vec![]),
        // The first four were discarded.
        (changes([("SEGMENT 1", NOTHING), ("META", json!({ "oldest_seq": 5 }))]), vec![]),
        (
            changes([("SEGMENT 1", NOTHING), ("META", json!({ "oldest_seq": 4 }))]),
            vec![(NO_SEGMENT, "#4"), (RECEIPT, "bob RECEIPT 4")],
        ),
        // All but the last were discarded; all were.
        (changes([("META", json!({ "first_seq": 11, "oldest_seq": 11 }))]), vec![]),
        (changes([("META", json!({ "first_seq": 12, "oldest_seq": 12 }))]), vec![(NUMBERS, "META")]),
        (changes([("META", json!({ "oldest_seq": 6 }))]), vec![(NUMBERS, "META")]),
        (changes([("META", json!({ "deleted_below": 5 }))]), vec![(GONE, "#1")]),
        (changes([("META", json!({ "deleted_below": 6 }))]), vec![(GONE, "#1"), (NUMBERS, "META")]),
        (changes([("META", json!({ "deleted_below": 2 }))]), vec![(GONE, "#1")]),
        (changes([("META", json!({ "deleted_below": 3 }))]), vec![(GONE, "#1")]),
        (changes([("META", json!({ "deleted_below": 3 })), ("MSG 1", NOTHING)]), vec![(GONE, "#2")]),
        (changes([("META", json!({ "deleted_below": 3 })), ("MSG 1", NOTHING), ("MSG 2", NOTHING)]), vec![]),
        (changes([("MSG 4", other.clone())]), vec![(SAME, "#4")]),
        (changes([("MSG 1", other.clone()), ("MSG 3", other.clone())]), vec![(SAME, "#1"), (SAME, "#3")]),
        (
            changes([
                ("META", json!({ "deleted_below": 4 })),
                ("MSG 1", NOTHING),
                ("MSG 2", NOTHING),
                ("MSG 3", NOTHING),
                ("MSG 4", other.clone()),
            ]),
            vec![(SAME, "#4")],
        ),
        // What the table has comes in two pages.
        (
            changes([("MSG 1", long.clone()), ("MSG 2", long.clone()), ("MSG 3", long), ("MSG 4", other)]),
            vec![(SAME, "#4")],
        ),
    ]
}

/// Slots of the table, and their receipts.
fn of_the_log(aged: &Aged) -> Vec<(Changes, Found)> {
    let receipt = |change: Value, found: Found| (changes([("bob RECEIPT 8", change)]), found);
    vec![
        (changes([("MSG 5", NOTHING)]), vec![(HOLE, "#5"), (RECEIPT, "bob RECEIPT 5")]),
        (changes([("MSG 7", NOTHING)]), vec![(HOLE, "#7"), (RECEIPT, "bob RECEIPT 7")]),
        (
            changes([("MSG 5", NOTHING), ("MSG 6", NOTHING), ("MSG 7", NOTHING)]),
            vec![(HOLE, "#5"), (RECEIPT, "bob RECEIPT 5"), (RECEIPT, "bob RECEIPT 6"), (RECEIPT, "bob RECEIPT 7")],
        ),
        (changes([("MSG 8", json!({ "sid": "another" }))]), vec![(SEND_ID, "#8"), (RECEIPT, "bob RECEIPT 8")]),
        (changes([("MSG 8", json!({ "sender": "eve" }))]), vec![(WRITER, "#8"), (SEND_ID, "#8"), (SLOT, "#8")]),
        (changes([("MSG 8", json!({ "content": "other" }))]), vec![(SENT, "#8")]),
        (changes([("MSG 8", json!({ "reply_to": 1 }))]), vec![(SENT, "#8")]),
        (changes([("MSG 10", json!({ "void": null }))]), vec![(RECEIPT, "#10"), (COINS, "#10")]),
        receipt(NOTHING, vec![(SLOT, "#8")]),
        receipt(json!({ "seq": 7 }), vec![(RECEIPT, "#8"), (RECEIPT, "bob RECEIPT 8")]),
        receipt(json!({ "seq": 99 }), vec![(RECEIPT, "#8"), (RECEIPT, "bob RECEIPT 8")]),
        receipt(json!({ "price": 1 }), vec![(RECEIPT, "#8")]),
        receipt(json!({ "created_at": 1 }), vec![(RECEIPT, "#8")]),
        receipt(json!({ "void": true }), vec![(RECEIPT, "#8")]),
        receipt(json!({ "conversation": "nowhere" }), vec![(RECEIPT, "#8"), (THERE, "bob RECEIPT 8")]),
        receipt(
            json!({ "conversation": aged.empty }),
            vec![(RECEIPT, "#8"), (RECEIPT, "bob RECEIPT 8"), (THERE, "bob RECEIPT 8")],
        ),
        (changes([("ann RECEIPT 10", NOTHING)]), vec![(SLOT, "#10")]),
        // What strangers have of it, and what is nobody's.
        (
            changes([("eve RECEIPT 8", aged.copy("bob RECEIPT 8"))]),
            vec![(RECEIPT, "eve RECEIPT 8"), (THERE, "eve RECEIPT 8")],
        ),
        (changes([("eve INBOX", aged.copy("bob INBOX"))]), vec![(THERE, "eve INBOX")]),
        (changes([("bob INBOX nowhere", aged.copy("bob INBOX"))]), vec![(THERE, "bob INBOX nowhere")]),
        (changes([("nowhere MSG 1", aged.copy("MSG 1"))]), vec![(THERE, "nowhere MSG 1")]),
        (changes([("nowhere SEGMENT 1", aged.copy("SEGMENT 1"))]), vec![(THERE, "nowhere SEGMENT 1")]),
        (changes([("NOTE", json!({ "text": "who wrote this?" }))]), vec![(UNKNOWN, "NOTE")]),
        (changes([("ann NOTE", json!({ "text": "who wrote this?" }))]), vec![(UNKNOWN, "ann NOTE")]),
    ]
}

/// Inboxes, presence, and places in the index.
fn of_people(aged: &Aged) -> Vec<(Changes, Found)> {
    let bob = |change: Value, found: Found| (changes([("bob INBOX", change)]), found);
    let unlisted = json!({ "work_pk": null, "work_sk": null });
    let connection = aged.item("ann PRESENCE")["connections"].as_object().expect("some").values().next().cloned();
    let connections = |count: usize| {
        let all: Map<String, Value> =
            (0..count).map(|n| (format!("one-{n}"), connection.clone().expect("one"))).collect();
        changes([("ann PRESENCE", json!({ "connections": all }))])
    };
    vec![
        bob(json!({ "last_seq": 12 }), vec![(HORIZONS, "bob INBOX")]),
        bob(json!({ "last_seq": 11, "delivered_seq": 11, "read_seq": 11 }), vec![]),
        bob(json!({ "last_seq": 9, "delivered_seq": 9, "read_seq": 9 }), vec![]),
        bob(json!({ "last_seq": 9, "delivered_seq": 9, "read_seq": 10 }), vec![(HORIZONS, "bob INBOX")]),
        bob(json!({ "last_seq": 9, "delivered_seq": 10, "read_seq": 9 }), vec![(HORIZONS, "bob INBOX")]),
        bob(json!({ "last_seq": 8 }), vec![(INBOX_BEHIND, "bob INBOX")]),
        bob(NOTHING, vec![(INBOX_BEHIND, "bob INBOX")]),
        bob(json!({ "peer": "bob" }), vec![(PEER, "bob INBOX")]),
        bob(json!({ "peer": "eve" }), vec![(PEER, "bob INBOX")]),
        bob(unlisted.clone(), vec![(INDEX, "bob INBOX")]),
        bob(json!({ "work_sk": "1" }), vec![(INDEX, "bob INBOX")]),
        bob(json!({ "last_seq": 9, "delivered_seq": 9, "read_seq": 9, "work_pk": null, "work_sk": null }), vec![]),
        // Nothing was said there, so nobody needs to know of it.
        (changes([("carl INBOX empty", NOTHING), ("ann INBOX empty", NOTHING)]), vec![]),
        (changes([("META", unlisted.clone())]), vec![(INDEX, "META")]),
        (changes([("META", json!({ "idle": true, "work_pk": null, "work_sk": null }))]), vec![]),
        (changes([("ann PRESENCE", unlisted.clone())]), vec![(INDEX, "ann PRESENCE")]),
        (changes([("ann PRESENCE", json!({ "connections": {}, "work_pk": null, "work_sk": null }))]), vec![]),
        (connections(CONNECTIONS_MAX), vec![]),
        (connections(CONNECTIONS_MAX + 1), vec![(LIMITS, "ann PRESENCE")]),
        (changes([("ann ACCOUNT", unlisted)]), vec![(INDEX, "ann ACCOUNT")]),
        // As an earlier version listed it.
        (changes([("ann ACCOUNT", json!({ "work_sk": "ann" }))]), vec![]),
        (changes([("ann ACCOUNT", json!({ "work_sk": "bob" }))]), vec![(INDEX, "ann ACCOUNT")]),
        (changes([("ann ACCOUNT", json!({ "work_pk": "OPEN#99", "work_sk": "ann" }))]), vec![(INDEX, "ann ACCOUNT")]),
    ]
}

/// Coins: what 9 has cost is ten, of which Bob gets seven and the house three.
fn of_coins(aged: &Aged) -> Vec<(Changes, Found)> {
    let ann = "ann".parse().expect("a user id");
    let place = |listing: Listing| json!({ "work_pk": listing.pk, "work_sk": listing.sk });
    let amount = |amount: i64| json!({ "amount": amount });
    let unsplit = json!({ "split": null });
    let (_, charge) = aged.key("ann charge 9");
    let void = json!({ "kind": "charge", "amount": -10, "created_at": aged.slots[&10].3 });
    let (of_nine, sum) = ((COINS, "#9"), (COINS, "all ledgers"));
    let (of_bob, of_house) = ((BALANCE, "bob ACCOUNT"), (BALANCE, "house ACCOUNT"));
    vec![
        (changes([("ann charge 9", amount(-11))]), vec![of_nine, sum, (BALANCE, "ann ACCOUNT")]),
        (changes([("ann charge 9", amount(10))]), vec![of_nine, sum, (BALANCE, "ann ACCOUNT"), (SIGN, "ann charge 9")]),
        (changes([("ann charge 9", NOTHING)]), vec![of_nine, sum, (BALANCE, "ann ACCOUNT")]),
        (changes([("bob earn 9", amount(6))]), vec![of_nine, sum, of_bob]),
        (changes([("bob earn 9", amount(0))]), vec![of_nine, sum, of_bob, (SIGN, "bob earn 9")]),
        (changes([("bob earn 9", amount(6)), ("house share 9", amount(4))]), vec![of_nine, of_bob, of_house]),
        (changes([("house share 9", amount(2))]), vec![of_nine, sum, of_house]),
        (changes([("ann charge 9", json!({ "split": { "earned": 7, "house": "another" } }))]), vec![of_nine]),
        (changes([("ann charge 9", json!({ "split": { "earned": 10 } }))]), vec![of_nine]),
        // Before it was said there how a price is split.
        (changes([("ann charge 9", unsplit.clone())]), vec![]),
        (changes([("ann charge 9", unsplit.clone()), ("house share 9", amount(2))]), vec![of_nine, sum, of_house]),
        (changes([("ann charge 9", unsplit.clone()), ("house share 9", NOTHING)]), vec![sum, of_house]),
        (
            changes([("ann charge 9", unsplit), ("bob earn 9", amount(11)), ("house share 9", NOTHING)]),
            vec![of_nine, sum, of_bob, of_house],
        ),
        (changes([("ann charge 10", void)]), vec![(COINS, "#10"), sum, (BALANCE, "ann ACCOUNT")]),
        (
            changes([("ann charge 9", place(Listing::unsettled(&ann, &charge)))]),
            vec![(AT_ONCE, "ann charge 9"), (BALANCE, "ann ACCOUNT")],
        ),
        (changes([("bob earn 11", json!({ "work_pk": "UNSETTLED#99" }))]), vec![(INDEX, "bob earn 11")]),
        (changes([("bob earn 11", json!({ "work_sk": "bob" }))]), vec![(INDEX, "bob earn 11")]),
        (changes([("ann topup", amount(999))]), vec![(COINS, "ann topup"), (BALANCE, "ann ACCOUNT")]),
        (changes([("ann TOPUP", NOTHING)]), vec![(COINS, "ann topup")]),
        (changes([("ann ACCOUNT", json!({ "balance": 1 }))]), vec![(BALANCE, "ann ACCOUNT")]),
    ]
}

/// Sends that are under way: Ann has one.
fn of_open_sends(aged: &Aged) -> Vec<(Changes, Found)> {
    let open = aged.item("ann ACCOUNT")["open"].as_object().expect("open sends").clone();
    let send = open.values().next().expect("one").clone();
    let ann = "ann".parse().expect("a user id");
    let with = |count: usize| {
        let mut open = open.clone();
        for n in 1..count {
            let mut send = send.clone();
            send["cmid"] = format!("open-{n}").into();
            send["price"] = 0.into();
            let id = SendId::new(&ann, &format!("open-{n}").parse().expect("an id"));
            open.insert(id.as_str().to_owned(), send);
        }
        changes([("ann ACCOUNT", json!({ "open": open }))])
    };
    let balance = |coins: u64| changes([("ann ACCOUNT", json!({ "balance": coins }))]);
    vec![
        (with(OPEN_MAX), vec![]),
        (with(OPEN_MAX + 1), vec![(LIMITS, "ann ACCOUNT")]),
        // The open one has cost ten, which may come back.
        (balance(COINS_MAX - 10), vec![(BALANCE, "ann ACCOUNT")]),
        (balance(COINS_MAX - 9), vec![(BALANCE, "ann ACCOUNT"), (HELD, "ann ACCOUNT")]),
        (changes([("ann ACCOUNT", json!({ "open": {}, "work_pk": null, "work_sk": null }))]), vec![(SLOT, "#11")]),
        (
            changes([("ann ACCOUNT", json!({ "open": { "another": send } }))]),
            vec![(SLOT, "#11"), (SEND_ID, "ann ACCOUNT"), (BALANCE, "ann ACCOUNT")],
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn exactly_what_is_wrong_is_found_and_where_it_is() {
    let aged = Aged::new().await;
    let report = aged.world.invoke("verify", json!({})).await.expect("it ends");
    assert_eq!(report["findings"], json!([]));
    let checked = &report["checked"];
    let counts = ["archived", "META", "LOG", "SEGMENT", "PROFILE", "TOPUP"].map(|kind| checked[kind].as_u64());
    assert_eq!(counts, [4, 2, 11, 1, 1, 1].map(Some), "{report:#}");
    let mut wrong = Vec::new();
    for cases in [of_the_archive, of_the_log, of_people, of_coins, of_open_sends] {
        for (changes, wanted) in cases(&aged) {
            wrong.extend(aged.differs(changes, wanted).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(aged.world.is_verified(false).await, [NOTHING; 0], "all is well again");
}

/// A send ends within a time, and what was earned is added up when it is certain to have arrived everywhere: each to the
/// millisecond.
#[tokio::test(start_paused = true)]
async fn a_time_is_over_to_the_millisecond() {
    let aged = Aged::new().await;
    let open = aged.item("ann ACCOUNT")["open"].clone();
    let bob = "bob".parse().expect("a user id");
    let mut wrong = Vec::new();
    for (ago_ms, is_over) in [(-1, false), (0, false), (1, true)] {
        let at = aged.world.now().before(VERIFY_SETTLED_AFTER).ms - ago_ms;
        let mut open = open.clone();
        open.as_object_mut().expect("sends").values_mut().for_each(|send| send["at"] = at.into());
        let found = if is_over { vec![(ENDS, "ann ACCOUNT")] } else { vec![] };
        wrong.extend(aged.differs(changes([("ann ACCOUNT", json!({ "open": open }))]), found).await);

        let at = aged.world.now().before(VERIFY_SETTLED_AFTER).ms - ago_ms;
        let (_, sk) = aged.key("bob earn 2");
        let listing = Listing::unsettled(&bob, &sk);
        let earning = json!({
            "kind": "earning", "amount": 5, "created_at": at, "work_pk": listing.pk, "work_sk": listing.sk,
        });
        let found = if is_over { vec![(COINS, "all ledgers")] } else { vec![] };
        wrong.extend(aged.differs(changes([("bob earn 2", earning)]), found).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One run of the function, from where the last one has ended; its findings, and where it has ended.
async fn slice(world: &World, cursor: Value) -> (Vec<(String, String)>, Value) {
    let report = world.invoke("verify", json!({ "cursor": cursor })).await.expect("it ends");
    (said(report["findings"].as_array().expect("findings")), report["cursor"].clone())
}

/// The time is over when this call is made: whoever goes on finds the rest, and nothing twice.
#[tokio::test(start_paused = true)]
async fn who_stops_anywhere_has_found_each_thing_once() {
    let aged = Aged::new().await;
    let world = &aged.world;
    aged.changes(&changes([
        ("META", json!({ "work_pk": null, "work_sk": null })),
        ("empty META", json!({ "idle": null, "work_pk": null, "work_sk": null })),
        ("MSG 4", json!({ "content": "other" })),
        ("MSG 8", json!({ "content": "other" })),
        ("bob INBOX", json!({ "last_seq": 12 })),
        ("ann PRESENCE", json!({ "work_pk": null, "work_sk": null })),
        ("bob earn 11", json!({ "work_sk": "bob" })),
    ]));
    let all = said(&world.is_verified(false).await);
    assert_eq!(all.len(), 7, "{all:#?}");
    let is = |call: &Call, kind: &str| call.operation.item_kind() == Some(kind);
    type Moment = Box<dyn Fn(&Call) -> bool + Send>;
    let moments: [(&str, Moment, bool); 4] = [
        ("scanned", Box::new(|call| matches!(&call.operation, Operation::Dynamo(name, _) if name == "Scan")), false),
        ("segments", Box::new(move |call| is(call, "SEGMENT")), true),
        ("archive", Box::new(|call| matches!(call.operation, Operation::GetObject(_))), true),
        ("log", Box::new(move |call| is(call, "MSG")), true),
    ];
    for (name, moment, is_begun) in moments {
        let clock = world.clone();
        let mut left = true;
        world.breaks(move |call| {
            if left && moment(call) {
                left = false;
                clock.sets_clock(SLICE_S);
            }
            None
        });
        let (mut found, cursor) = slice(world, Value::Null).await;
        world.heals();
        world.sets_clock(-SLICE_S);
        assert!(cursor.is_object(), "{name}: it wasn't stopped");
        assert_eq!(cursor["from"][0].is_string(), is_begun, "{name}: {cursor:#}");
        let (rest, cursor) = slice(world, cursor).await;
        assert!(cursor.is_null(), "{name}: {cursor:#}");
        found.extend(rest);
        found.sort();
        assert_eq!(found, all, "{name}");
    }
}

/// A report that is full ends the slice; a page that is full doesn't.
#[tokio::test(start_paused = true)]
async fn a_slice_is_over_when_its_report_is_full() {
    let world = World::new().await;
    let items = |sk: &str, count: u32| {
        let item = |n: u32| {
            let text = |text: String| dynoxide::AttributeValue::S(text);
            [("pk".to_owned(), text(format!("USER#{n}"))), ("sk".to_owned(), text(sk.to_owned()))].into()
        };
        (0..count).map(item).collect::<Vec<dynoxide::Item>>()
    };
    world.imports(items("PROFILE", VERIFY_PAGE_ITEMS + 1));
    assert_eq!(slice(&world, Value::Null).await, (vec![], Value::Null), "two pages, and nothing is wrong");
    world.imports(items("NOTE", VERIFY_PAGE_ITEMS));
    let (found, cursor) = slice(&world, Value::Null).await;
    assert!(found.len() >= VERIFY_FINDINGS_MAX && found.len() < VERIFY_PAGE_ITEMS as usize, "{}", found.len());
    assert!(cursor.is_object());
    let (mut count, mut cursor) = (found.len(), cursor);
    while !cursor.is_null() {
        let (rest, next) = slice(&world, cursor).await;
        (count, cursor) = (count + rest.len(), next);
    }
    assert_eq!(count, VERIFY_PAGE_ITEMS as usize);
}

/// Who has broken one thing a thousand times over is told so often enough.
#[tokio::test(start_paused = true)]
async fn of_one_item_so_much_is_said() {
    let world = World::new().await;
    let send = json!({
        "cmid": "one", "conv": "nowhere", "base": 0, "price": 0, "earn": 0, "print": "", "at": world.now().ms,
    });
    let open: Map<String, Value> = (0..=VERIFY_FINDINGS_MAX).map(|n| (format!("sid-{n}"), send.clone())).collect();
    let listing = Listing::open(world.now(), &"ann".parse().expect("a user id"));
    let account = json!({ "balance": 0, "open": open, "epoch": 0, "work_pk": listing.pk, "work_sk": listing.sk });
    let Value::Object(account) = account else { unreachable!("it is one") };
    let typed = account.iter().map(|(name, value)| (name.clone(), typed_value(value)));
    world.edits("USER#ann", "ACCOUNT", |item| item.extend(typed));
    assert_eq!(world.is_verified(false).await.len(), VERIFY_FINDINGS_MAX);
}
