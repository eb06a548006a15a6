use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{Fault, World};

#[tokio::test(start_paused = true)]
async fn three_hundred_at_once_from_both_sides_make_one_conversation() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let asks = (0..300).map(|n| {
        let (phone, other) = if n % 2 == 0 { (&ann, "bob") } else { (&bob, "ann") };
        phone.says(json!({ "action": "getOrCreateDirect", "otherUserId": other }))
    });
    let answers = join_all(asks).await;
    let ids: BTreeSet<&str> =
        answers.iter().filter_map(|answer| answer["conversation"]["conversationId"].as_str()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer["created"] == true).count(), 1);
    let told = ann.heard().len() + bob.heard().len();
    assert_eq!(told, 1, "the other is told once");
    world.is_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_new_conversation_is_empty_and_the_other_is_told() {
    let world = World::new().await;
    world.prices("bob", 4).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let answer = ann.says(json!({ "action": "getOrCreateDirect", "otherUserId": "bob" })).await;
    let conversation = &answer["conversation"];
    assert_eq!((&conversation["kind"], &conversation["participantCount"]), (&json!("direct"), &json!(2)));
    assert_eq!((&conversation["lastSeq"], &conversation["unread"]), (&json!(0), &json!(0)));
    assert_eq!((&conversation["createdBy"], &conversation["price"]), (&json!("ann"), &json!(4)));
    let told = bob.hears("conversation:created").await;
    assert_eq!(told["conversation"]["conversationId"], conversation["conversationId"]);
    assert_eq!(told["conversation"]["price"], 0, "what it costs him");
    let again = bob.says(json!({ "action": "getOrCreateDirect", "otherUserId": "ann" })).await;
    assert_eq!((&again["created"], &again["conversation"]["createdBy"]), (&json!(false), &json!("ann")));
    assert_eq!(ann.heard().len(), 0);
    world.calls();
    ann.opens("bob").await;
    let calls = world.calls();
    assert!(!calls.iter().any(|call| call.operation.is_write()), "all of it was there");
    assert!(!calls.iter().any(|call| call.operation.item_kind() == Some("MSG")), "and no message");
}

#[tokio::test(start_paused = true)]
async fn who_lost_the_answer_of_the_store_has_still_created_it() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    world.breaks_once(Fault::LoseReply, |call| call.operation.writes("META"));
    let answer = ann.says(json!({ "action": "getOrCreateDirect", "otherUserId": "bob" })).await;
    assert_eq!(answer["created"], true);
    world.is_at_rest();
}

/// Whoever makes a conversation dies before anybody has it in their list.
#[tokio::test(start_paused = true)]
async fn a_conversation_that_was_half_made_can_be_used() {
    let world = World::new().await;
    world.prices("ann", 3).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    world.breaks_once(Fault::KillAfter, |call| call.operation.writes("META"));
    assert!(ann.tries(json!({ "action": "getOrCreateDirect", "otherUserId": "bob" })).await.is_none());
    world.heals();
    let items = world.items();
    let id = &items.iter().find(|item| item["sk"] == "META").expect("it is there")["id"];
    let seen = bob.says(json!({ "action": "getConversation", "conversationId": id })).await;
    let conversation = &seen["conversation"];
    assert_eq!((&conversation["lastSeq"], &conversation["price"]), (&json!(0), &json!(3)), "what it costs him");
    assert_eq!(bob.history(id).await, [] as [Value; 0]);
    assert_eq!(bob.opens("ann").await, *id);
    assert_eq!(bob.marks_read(id, 1).await["readSeq"], 0);
    world.is_at_rest();
}

#[tokio::test(start_paused = true)]
async fn names_that_run_into_each_other_are_other_pairs() {
    let world = World::new().await;
    let mut ids = BTreeSet::new();
    for (one, other) in [("a_b", "c"), ("a", "b_c"), ("a", "b"), ("ab", "c"), ("a", "bc"), ("a#b", "c"), ("a", "b#c")] {
        let phone = world.person(one).connects().await;
        assert!(ids.insert(phone.opens(other).await.to_string()), "{one} with {other} has another's conversation");
    }
    world.is_at_rest();
}

#[tokio::test(start_paused = true)]
async fn nobody_talks_to_themselves() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let answer = ann.says(json!({ "action": "getOrCreateDirect", "otherUserId": "ann" })).await;
    assert_eq!((answer.event(), answer.code()), ("error", "self_conversation"));
    for bad in ["", "a\u{7}b", &"x".repeat(129)] {
        let answer = ann.says(json!({ "action": "getOrCreateDirect", "otherUserId": bad })).await;
        assert_eq!((answer.code(), &answer.details()["field"]), ("bad_request", &json!("otherUserId")));
    }
}
