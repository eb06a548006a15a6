use serde_json::{Value, json};
use tests::World;
use wire::limits::{CONVERSATION_ID_CHARS_MAX, PAGE_ITEMS_DEFAULT};

#[tokio::test(start_paused = true)]
async fn history_goes_both_ways_and_is_in_order() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    for n in 1..=9 {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    for (asks, numbers, more) in [
        (json!({}), vec![1, 2, 3, 4, 5, 6, 7, 8, 9], false),
        (json!({ "limit": 4 }), vec![6, 7, 8, 9], true),
        (json!({ "limit": 9 }), vec![1, 2, 3, 4, 5, 6, 7, 8, 9], false),
        (json!({ "before": 6, "limit": 2 }), vec![4, 5], true),
        (json!({ "before": 3 }), vec![1, 2], false),
        (json!({ "before": 1 }), vec![], false),
        (json!({ "before": 0 }), vec![], false),
        (json!({ "after": 0, "limit": 2 }), vec![1, 2], true),
        (json!({ "after": 7 }), vec![8, 9], false),
        (json!({ "after": 9 }), vec![], false),
        (json!({ "after": 9_007_199_254_740_991_u64 }), vec![], false),
    ] {
        let mut frame = asks.clone();
        frame["action"] = "getMessages".into();
        frame["conversationId"] = conversation.clone();
        let page = bob.says(frame).await;
        let found: Vec<u64> = list(&page["messages"]).iter().filter_map(|message| message["seq"].as_u64()).collect();
        assert_eq!(found, numbers, "{asks}");
        assert_eq!(page["hasMore"], more, "{asks}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_messages_status_is_how_far_the_other_is() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    for n in 1..=3 {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    bob.marks_delivered(&conversation, 2).await.data();
    bob.marks_read(&conversation, 1).await.data();
    for phone in [&ann, &bob] {
        let history = phone.history(&conversation).await;
        let statuses: Vec<&Value> = history.iter().map(|message| &message["status"]).collect();
        assert_eq!(statuses, ["read", "delivered", "sent"], "as {} sees it", phone.person.id);
    }
}

#[tokio::test(start_paused = true)]
async fn history_is_for_those_who_are_in_it() {
    let world = World::new().await;
    let (ann, eve) = (world.person("ann").connects().await, world.person("eve").connects().await);
    let conversation = ann.opens("bob").await;
    let theirs = eve.says(json!({ "action": "getMessages", "conversationId": conversation })).await;
    let none = eve.says(json!({ "action": "getMessages", "conversationId": "d_none" })).await;
    assert_eq!((theirs.code(), &theirs.frame["error"]), ("not_a_participant", &none.frame["error"]));
    let both = json!({ "action": "getMessages", "conversationId": conversation, "before": 1, "after": 1 });
    assert_eq!(ann.says(both).await.details()["field"], "after");
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_page_has_so_many_messages_when_nobody_says_how_many() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let conversation = ann.opens("bob").await;
    for n in 0..=PAGE_ITEMS_DEFAULT {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    let page = ann.says(json!({ "action": "getMessages", "conversationId": conversation })).await;
    assert_eq!((list(&page["messages"]).len(), &page["hasMore"]), (PAGE_ITEMS_DEFAULT as usize, &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_conversations_id_has_a_limit() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for (chars, code) in
        [(CONVERSATION_ID_CHARS_MAX, "not_a_participant"), (CONVERSATION_ID_CHARS_MAX + 1, "bad_request")]
    {
        let asks = json!({ "action": "getMessages", "conversationId": "x".repeat(chars) });
        assert_eq!(ann.says(asks).await.code(), code, "{chars} characters");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_long_messages_bring_every_message_backwards_too() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    // A control character has six bytes in a frame.
    for _ in 0..5 {
        ann.sends(&conversation, &"\u{1}".repeat(10_000)).await.data();
    }
    let (mut pages, mut before) = (Vec::new(), Value::Null);
    loop {
        let page = bob.says(json!({ "action": "getMessages", "conversationId": conversation, "before": before })).await;
        let numbers: Vec<u64> = list(&page["messages"]).iter().filter_map(|message| message["seq"].as_u64()).collect();
        before = json!(numbers[0]);
        pages.push(numbers);
        if page["hasMore"] == false {
            break;
        }
    }
    assert_eq!(pages, [vec![4, 5], vec![2, 3], vec![1]]);
}
