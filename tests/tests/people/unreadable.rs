//! One thing that can't be read stops nothing else: what is damaged, gone, or of a kind that a later version writes is passed
//! over where many are looked at, counted and named; where it is asked for itself, it is `unavailable`; and it stays as it is.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::{ARCHIVE_PATIENCE, CLEANUP_LOOK_EVERY, LIVELY, SETTLE_BATCH, SYNC_UNREADABLE_MAX};
use shared::store::work::Listing;
use tests::planted::Planted;
use tests::{Phone, World};
use wire::ConversationId;

use crate::observed::{Operator, figure};

/// Ann, among whose items much can't be read, with Bob, to whom a message costs five; and Carl, who has no part in it.
async fn among(world: &World) -> (Planted, Phone, Phone, Phone) {
    let ann = "ann".parse().expect("an id");
    let planted = Planted::of(&ann, world.now());
    world.plants(planted.clone());
    world.prices("bob", 5).await;
    world.tops_up("ann", 20).await;
    let connect = async |name: &str| world.person(name).connects().await;
    (planted, connect("ann").await, connect("bob").await, connect("carl").await)
}

/// How often something was passed over, by the lines that were written.
fn passed_over(operator: &Operator) -> (f64, usize) {
    let lines = operator.lines();
    let counted = lines.iter().filter(|line| line["message"] == "request" && !line["Unreadable"].is_null());
    let counted = counted.map(|line| figure(line, "Unreadable")).sum();
    let named = lines.iter().filter(|line| line["message"] == "passed over");
    (counted, named.inspect(|line| assert!(line["problem"].is_string(), "{line}")).count())
}

/// A sync's pages that bring nothing but an error: of which conversations.
fn errors(pages: &[Value]) -> BTreeSet<String> {
    let failed = pages.iter().filter(|page| !page["data"]["error"].is_null());
    let id = |page: &Value| {
        let data = &page["data"];
        assert_eq!((&data["messages"], &data["hasMore"]), (&json!([]), &json!(false)), "{page}");
        assert_eq!(
            (&data["error"]["code"], &data["error"]["retryable"]),
            (&json!("unavailable"), &json!(true)),
            "{page}"
        );
        assert!(data["error"]["message"].is_string() && data["error"]["details"]["requestId"].is_string(), "{page}");
        data["conversationId"].as_str().expect("an id").to_owned()
    };
    failed.map(id).collect()
}

fn texts(ids: &[ConversationId]) -> BTreeSet<String> {
    ids.iter().map(|id| id.as_str().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sync_brings_the_other_conversations_and_says_which_it_cannot() {
    let world = World::new().await;
    let (planted, ann, bob, _) = among(&world).await;
    ann.goes_away().await;
    bob.sends_to("ann", "can you read this?").await.data();
    let ann = world.person("ann").connects().await;
    let operator = Operator::reads();
    let done = ann.syncs().await;
    assert_eq!((&done["conversations"], &done["messages"], &done["complete"]), (&json!(1), &json!(1), &json!(true)));
    let pages: Vec<Value> = done.pages.iter().map(|page| page.json.clone()).collect();
    assert_eq!(errors(&pages), texts(&planted.unreadable));
    let read: Vec<&Value> = pages.iter().filter(|page| page["data"]["error"].is_null()).collect();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0]["data"]["messages"][0]["content"], "can you read this?");
    assert_eq!(passed_over(&operator), (4.0, 4), "two inboxes, a META, an object");
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_sync_says_so_of_so_many_conversations() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for n in 0..=SYNC_UNREADABLE_MAX {
        world.edits("USER#ann", &format!("INBOX#channel-{n}"), |item| {
            drop(item.insert("kind".to_owned(), json!({ "S": "channel" })))
        });
    }
    let done = ann.syncs().await;
    let pages: Vec<Value> = done.pages.iter().map(|page| page.json.clone()).collect();
    assert_eq!(errors(&pages).len(), SYNC_UNREADABLE_MAX);
}

#[tokio::test(start_paused = true)]
async fn lists_leave_out_what_cannot_be_read_and_count_it() {
    let world = World::new().await;
    let (planted, ann, bob, _) = among(&world).await;
    ann.sends_to("bob", "paid").await.data();
    bob.sends_to("ann", "free").await.data();
    let list = ann.says(json!({ "action": "getConversations" })).await;
    assert_eq!(list["skipped"], planted.unlisted, "{list:?}");
    let shown = list["conversations"].as_array().expect("a list").len();
    assert_eq!(shown, planted.unreadable.len() - planted.unlisted + 1);
    let ledger = ann.says(json!({ "action": "getTransactions" })).await;
    assert_eq!((&ledger["skipped"], ledger["transactions"].as_array().map(Vec::len)), (&json!(planted.lines), Some(2)));
    let buffered = ann_waits(&world).await;
    assert_eq!(
        (&buffered["skipped"], &buffered["undelivered"]),
        (&json!(planted.unreadable.len() - planted.with_inbox.len()), &json!(planted.waiting + 1))
    );
    let cleared = world.admin("DELETE", "/api/messages/buffered/bob", None).await.body;
    assert_eq!(cleared, json!({ "cleared": 0 }), "nothing is left out, so nothing is said");
    let ledger = world.admin("GET", "/api/wallets/ann/transactions", None).await.body;
    assert_eq!(ledger["skipped"], planted.lines);
    world.is_sound();
}

/// What waits for Ann, as an operator sees it.
async fn ann_waits(world: &World) -> Value {
    world.admin("GET", "/api/messages/buffered/ann", None).await.body
}

/// Page by page each conversation comes once, wherever what can't be read stands between them.
#[tokio::test(start_paused = true)]
async fn pages_go_on_behind_what_cannot_be_read() {
    let world = World::new().await;
    let (planted, ann, bob, carl) = among(&world).await;
    for phone in [&bob, &carl] {
        phone.sends_to("ann", "one").await.data();
    }
    for (action, list, wanted) in [("getConversations", "conversations", 3), ("getTransactions", "transactions", 1)] {
        let (mut found, mut skipped, mut cursor) = (0, 0, Value::Null);
        for _ in 0..10 {
            let mut asks = json!({ "action": action, "limit": 1 });
            if !cursor.is_null() {
                asks["cursor"] = cursor;
            }
            let page = ann.says(asks).await;
            found += page[list].as_array().expect("a list").len();
            skipped += page["skipped"].as_u64().unwrap_or_default();
            cursor = page["nextCursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        let left_out = if action == "getConversations" { planted.unlisted } else { planted.lines };
        assert_eq!((found, skipped, cursor), (wanted, left_out as u64, Value::Null), "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_itself_is_unavailable_and_to_strangers_not_there() {
    let world = World::new().await;
    let (planted, ann, _, carl) = among(&world).await;
    let [channel, _, renewed, lost] = planted.unreadable.as_slice() else { panic!("four conversations") };
    for id in [renewed, lost] {
        let asks = json!({ "action": "getMessages", "conversationId": id, "after": 0 });
        assert_eq!(ann.says(asks.clone()).await.code(), "unavailable", "{id}");
        assert_eq!(carl.says(asks).await.code(), "not_a_participant", "{id}");
    }
    let sends = |id: &ConversationId| json!({ "action": "sendMessage", "conversationId": id, "clientMessageId": "one", "content": "hello" });
    assert_eq!(ann.says(sends(renewed)).await.code(), "unavailable");
    assert_eq!(carl.says(sends(renewed)).await.code(), "not_a_participant");
    // Its META isn't there at all.
    assert_eq!(ann.says(sends(channel)).await.code(), "not_a_participant");
    let single = json!({ "action": "getConversation", "conversationId": renewed });
    assert_eq!(ann.says(single.clone()).await.code(), "unavailable");
    assert_eq!(carl.says(single).await.code(), "not_a_participant");
    // What a message costs whose receiver's settings are damaged, nobody knows: nobody is charged something else.
    let to = json!({ "action": "sendMessage", "to": "stranger of ann", "clientMessageId": "two", "content": "hello" });
    assert_eq!(carl.says(to).await.code(), "unavailable");
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn coins_go_on_and_what_cannot_be_read_is_never_folded() {
    let world = World::new().await;
    let (_, ann, bob, _) = among(&world).await;
    for n in 1..=4 {
        ann.sends_to("bob", &format!("paid {n}")).await.data();
    }
    assert_eq!((ann.balance().await, bob.balance().await), (0, 20));
    assert_eq!(ann.sends_to("bob", "no more").await.code(), "insufficient_balance");
    world.prices("ann", 7).await;
    bob.sends_to("ann", "paid").await.data();
    assert_eq!(ann.balance().await, 7);
    let wallet = world.admin("GET", "/api/wallets/ann", None).await.body;
    assert_eq!(wallet["balance"], 7);
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_sweep_and_a_cleanup_do_for_others_what_is_due() {
    let world = World::new().await;
    let (_, ann, bob, _) = among(&world).await;
    let conversation = ann.sends_to("bob", "one").await["message"]["conversationId"].clone();
    for n in 2..=40 {
        bob.sends(&conversation, &format!("text {n}")).await.data();
    }
    bob.marks_read(&conversation, 40).await.data();
    ann.marks_read(&conversation, 40).await.data();
    ann.dies_sending("bob", "given up").await;
    // Bob would be left alone for as long as he is lively.
    world.advance(LIVELY + Duration::from_secs(30)).await;
    let operator = Operator::reads();
    world.sweeps().await;
    let (counted, named) = passed_over(&operator);
    assert!(counted > 0.0 && named > 0, "{counted} {named}");
    assert_eq!(ann.balance().await, 15, "one was paid, one given back");
    let stats = world.admin("GET", "/api/messages/buffer-stats", None).await.body;
    assert_eq!((&stats["openSends"], &stats["complete"]), (&json!(0), &json!(true)), "{stats}");
    world.advance(CLEANUP_LOOK_EVERY + ARCHIVE_PATIENCE).await;
    operator.lines();
    world.cleans_up().await;
    assert!(passed_over(&operator).0 > 0.0);
    assert!(!world.archived().is_empty(), "what is old has moved");
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn everything_else_is_verified_and_each_thing_is_a_finding() {
    let world = World::new().await;
    let (planted, ann, _, _) = among(&world).await;
    ann.sends_to("bob", "paid").await.data();
    world.advance(Duration::from_secs(60)).await;
    let findings = world.is_verified(false).await;
    let found: BTreeSet<String> = findings
        .iter()
        .filter(|finding| finding["rule"] == "every item can be read")
        .map(|finding| finding["place"].as_str().expect("a place").to_owned())
        .collect();
    let place = |item: &Value| {
        format!("{} {}", item["pk"]["S"].as_str().expect("a key"), item["sk"]["S"].as_str().expect("a key"))
    };
    let readable = |item: &&Value| {
        let [pk, sk] = ["pk", "sk"].map(|name| item[name]["S"].as_str().expect("a key"));
        // The one conversation that has only lost its object, and inboxes, which are looked at with their conversations.
        sk.starts_with("SEGMENT#") || sk.starts_with("INBOX#") || pk.ends_with(planted.unreadable[3].as_str())
    };
    let wanted: BTreeSet<String> = planted.items.iter().filter(|item| !readable(item)).map(place).collect();
    assert_eq!(found, wanted, "{findings:#?}");
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_hides_no_other_from_verify() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let id = ann.sends_to("bob", "one").await["message"]["conversationId"].clone();
    for text in ["two", "three", "four"] {
        ann.sends(&id, text).await.data();
    }
    let id = id.as_str().expect("an id");
    let slot = |seq: u64| format!("MSG#{seq:020}");
    world.edits(&format!("CONV#{id}"), &slot(2), |item| {
        drop(item.insert("created_at".to_owned(), json!({ "S": "noon" })))
    });
    world.edits(&format!("CONV#{id}"), &slot(4), |item| drop(item.insert("sender".to_owned(), json!({ "S": "carl" }))));
    let findings = world.is_verified(false).await;
    let of = |rule: &str| {
        let of = findings.iter().filter(|finding| finding["rule"] == rule);
        of.map(|finding| finding["place"].as_str().expect("a place")).collect::<Vec<_>>()
    };
    assert_eq!(of("every item can be read"), [format!("{id} 2")], "{findings:#?}");
    assert!(findings.iter().any(|finding| finding["place"] == format!("{id} 4")), "{findings:#?}");
    assert!(findings.iter().all(|finding| finding["place"] != format!("{id} 3")), "{findings:#?}");
}

#[tokio::test(start_paused = true)]
async fn earnings_are_folded_behind_however_much_that_is_none() {
    let world = World::new().await;
    world.prices("bob", 5).await;
    world.tops_up("ann", 5).await;
    world.person("ann").connects().await.sends_to("bob", "for five").await.data();
    let bob = "bob".parse().expect("an id");
    for n in 0..SETTLE_BATCH + 5 {
        let listing = Listing::unsettled(&bob, &format!("AWARD#{n}"));
        world.edits("TEAM#bob", &format!("AWARD#{n}"), |item| {
            item.insert("work_pk".to_owned(), json!({ "S": listing.pk }));
            item.insert("work_sk".to_owned(), json!({ "S": listing.sk }));
        });
    }
    assert_eq!(world.person("bob").connects().await.balance().await, 5);
}
