use serde_json::{Value, json};
use shared::limits::INBOX_PAGES_MAX;
use tests::{Call, Fault, Operation, Phone, World};
use wire::limits::MESSAGE_BYTES_MAX;

#[tokio::test(start_paused = true)]
async fn the_list_has_the_latest_activity_first_and_counts_the_unread() {
    let world = World::new().await;
    let bob = world.person("bob").connects().await;
    for who in ["ann", "carl", "dora"] {
        world.person(who).connects().await.sends_to("bob", &format!("from {who}")).await.data();
    }
    let ann = world.person("ann").connects().await;
    let latest = ann.sends_to("bob", "again").await;
    let list = bob.says(json!({ "action": "getConversations" })).await;
    assert_eq!(list["totalUnread"], 4);
    let seen: Vec<(&str, u64)> = list["conversations"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["createdBy"].as_str().expect("a user"), one["unread"].as_u64().expect("a number")))
        .collect();
    assert_eq!(seen, [("ann", 2), ("dora", 1), ("carl", 1)]);
    assert_eq!(list["conversations"][0]["lastMessage"], latest["message"]);
    bob.marks_read(&latest["message"]["conversationId"], 2).await.data();
    assert_eq!(bob.says(json!({ "action": "getConversations" })).await["totalUnread"], 2);
}

#[tokio::test(start_paused = true)]
async fn pages_bring_every_conversation_once() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for n in 0..7 {
        ann.opens(&format!("user {n}")).await;
    }
    for (limit, wanted_pages) in [(1, 7), (3, 3), (7, 1), (100, 1)] {
        let (mut found, mut pages, mut cursor) = (Vec::new(), 0, Value::Null);
        for _ in 0..10 {
            pages += 1;
            let mut asks = json!({ "action": "getConversations", "limit": limit });
            if !cursor.is_null() {
                asks["cursor"] = cursor;
            }
            let page = ann.says(asks).await;
            found.extend(
                page["conversations"].as_array().expect("a list").iter().map(|one| one["participants"][1].clone()),
            );
            cursor = page["nextCursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        let wanted: Vec<String> = (0..7).rev().map(|n| format!("user {n}")).collect();
        assert_eq!((found, pages), (wanted.into_iter().map(Value::from).collect(), wanted_pages), "pages of {limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_long_messages_fits_a_frame() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let text = "\u{1}".repeat(10_000);
    for n in 0..6 {
        ann.sends_to(&format!("user {n}"), &text).await.data();
    }
    let (mut found, mut pages, mut cursor) = (Vec::new(), 0, Value::Null);
    while pages == 0 || !cursor.is_null() {
        let page = ann.says(json!({ "action": "getConversations", "cursor": cursor })).await;
        assert!(page.frame.to_string().len() <= MESSAGE_BYTES_MAX);
        let list = page["conversations"].as_array().expect("a list");
        assert!(list.iter().all(|one| one["lastMessage"]["content"] == text.as_str()));
        found.extend(list.iter().map(|one| one["participants"][1].clone()));
        cursor = page["nextCursor"].clone();
        pages += 1;
    }
    let wanted: Vec<String> = (0..6).rev().map(|n| format!("user {n}")).collect();
    assert_eq!(found, wanted, "each once");
    assert_eq!(pages, 3, "two fit a frame");
}

#[tokio::test(start_paused = true)]
async fn one_conversation_looks_like_its_line_in_the_list() {
    let world = World::new().await;
    let (ann, eve) = (world.person("ann").connects().await, world.person("eve").connects().await);
    ann.sends_to("bob", "hi").await.data();
    let list = ann.says(json!({ "action": "getConversations" })).await;
    let asks = json!({ "action": "getConversation", "conversationId": list["conversations"][0]["conversationId"] });
    assert_eq!(ann.says(asks.clone()).await["conversation"], list["conversations"][0]);
    assert_eq!(eve.says(asks).await.code(), "not_a_participant");
    let foreign = ann.says(json!({ "action": "getConversations", "cursor": "QUNDT1VOVA" })).await;
    assert_eq!((foreign.code(), &foreign.details()["field"]), ("bad_request", &json!("cursor")));
}

/// Ann has so many conversations, of which the store reads three at once: each of her inboxes has a third of what it gives.
async fn many(world: &World, conversations: usize) -> Phone {
    let ann = world.person("ann").connects().await;
    for n in 0..conversations {
        let id = ann.opens(&format!("user {n}")).await;
        world.edits("USER#ann", &format!("INBOX#{}", id.as_str().expect("an id")), |inbox| {
            inbox.insert("of_a_later_version".to_owned(), json!({ "S": "x".repeat(300_000) }));
        });
    }
    ann
}

#[tokio::test(start_paused = true)]
async fn all_conversations_are_listed_that_the_store_gives_in_several_parts() {
    let world = World::new().await;
    let ann = many(&world, 11).await;
    let list = ann.says(json!({ "action": "getConversations" })).await;
    let others = list["conversations"].as_array().expect("a list").iter().map(|one| one["participants"][1].clone());
    let wanted: Vec<String> = (0..11).rev().map(|n| format!("user {n}")).collect();
    assert_eq!(others.collect::<Vec<_>>(), wanted);
}

#[tokio::test(start_paused = true)]
async fn who_has_too_many_conversations_is_shown_a_part_of_them() {
    let world = World::new().await;
    let parts = INBOX_PAGES_MAX as usize;
    let ann = many(&world, parts * 3 + 1).await;
    world.calls();
    let list = ann.says(json!({ "action": "getConversations", "limit": 100 })).await;
    assert_eq!(list["conversations"].as_array().map(Vec::len), Some(parts * 3));
    let reads = |call: &&tests::Call| matches!(&call.operation, Operation::Dynamo(name, _) if name == "Query");
    assert_eq!(world.calls().iter().filter(reads).count(), parts);
}

#[tokio::test(start_paused = true)]
async fn what_was_active_at_the_same_moment_is_listed_once_as_well() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let mut wanted = Vec::new();
    for n in 0..5 {
        let id = ann.opens(&format!("user {n}")).await;
        let id = id.as_str().expect("an id");
        world.edits("USER#ann", &format!("INBOX#{id}"), |inbox| inbox["last_at"] = json!({ "N": "1000000000" }));
        wanted.push(id.to_owned());
    }
    wanted.sort();
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    while found.is_empty() || !cursor.is_null() {
        let page = ann.says(json!({ "action": "getConversations", "limit": 2, "cursor": cursor })).await;
        let list = page["conversations"].as_array().expect("a list");
        found.extend(list.iter().filter_map(|one| Some(one["conversationId"].as_str()?.to_owned())));
        cursor = page["nextCursor"].clone();
    }
    assert_eq!(found, wanted);
}

/// A cheap read goes on answering as it did before the conversation was made.
#[tokio::test(start_paused = true)]
async fn a_conversation_that_is_too_new_for_a_cheap_read_is_listed() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let id = ann.opens("bob").await;
    let pk = format!("CONV#{}", id.as_str().expect("an id"));
    let mut meta = serde_json::Map::new();
    world.edits(&pk, "META", |item| std::mem::swap(item, &mut meta));
    let is_cheap = |call: &Call| call.operation.item_kind() == Some("META") && !call.operation.is_strong();
    world.breaks(move |call| is_cheap(call).then_some(Fault::Repeats));
    let list = ann.says(json!({ "action": "getConversations" })).await;
    assert_eq!(list["conversations"], json!([]));
    world.edits(&pk, "META", |item| *item = meta);
    let list = ann.says(json!({ "action": "getConversations" })).await;
    assert_eq!(list["conversations"][0]["conversationId"], id);
}
