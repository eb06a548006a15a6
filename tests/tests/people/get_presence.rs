use std::time::Duration;

use serde_json::{Value, json};
use tests::{Operation, Person, Phone, World};

async fn sees(phone: &Phone, user: &str) -> Value {
    let answer = phone.says(json!({ "action": "getPresence", "userIds": [user] })).await;
    answer["users"][0].clone()
}

/// Connects, and writes to a user, who sees their presence from then on.
async fn comes_and_writes_to(person: &Person, user: &str) -> Phone {
    let phone = person.connects().await;
    phone.sends_to(user, "hi").await.data();
    phone
}

#[tokio::test(start_paused = true)]
async fn somebody_is_online_until_their_last_device_goes() {
    let world = World::new().await;
    let bob = world.person("bob");
    let ann = world.person("ann").connects().await;
    let (phone, tablet) = (comes_and_writes_to(&bob, "ann").await, bob.connects().await);
    assert_eq!(sees(&ann, "bob").await, json!({ "userId": "bob", "online": true }));
    phone.goes_away().await;
    assert_eq!(sees(&ann, "bob").await["online"], true);
    tablet.goes_away().await;
    let gone = sees(&ann, "bob").await;
    assert_eq!(gone["online"], false);
    assert!(gone["lastSeenAt"].as_str().is_some_and(|at| at.starts_with("2026-01-01T00:00:0")), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_nobody_heard_leave_is_gone_after_its_life() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let bob = comes_and_writes_to(&world.person("bob"), "ann").await;
    bob.vanishes();
    assert_eq!(sees(&ann, "bob").await["online"], true);
    world.advance(Duration::from_secs(2 * 3_600 + 601)).await;
    assert_eq!(sees(&ann, "bob").await["online"], false);
}

#[tokio::test(start_paused = true)]
async fn strangers_look_as_if_they_had_never_been() {
    let world = World::new().await;
    let (eve, bob) = (world.person("eve").connects().await, world.person("bob").connects().await);
    bob.goes_away().await;
    let _bob = world.person("bob").connects().await;
    assert_eq!(sees(&eve, "bob").await, json!({ "userId": "bob", "online": false }));
    assert_eq!(sees(&eve, "nobody").await, json!({ "userId": "nobody", "online": false }));
    assert_eq!(sees(&eve, "eve").await["online"], true, "but one knows oneself");
}

/// What a stranger would have: a conversation, messages in it, a device that has them. The other's own doing is missing.
#[tokio::test(start_paused = true)]
async fn who_has_neither_read_nor_written_looks_as_if_they_had_never_been() {
    let world = World::new().await;
    let (eve, bob) = (world.person("eve").connects().await, world.person("bob").connects().await);
    bob.goes_away().await;
    let bob = world.person("bob").connects().await;
    let unseen = json!({ "userId": "bob", "online": false });
    let conversation = eve.opens("bob").await;
    assert_eq!(sees(&eve, "bob").await, unseen, "opened");
    eve.sends(&conversation, "who are you?").await.data();
    assert_eq!(sees(&eve, "bob").await, unseen, "written to");
    assert_eq!(bob.syncs().await.messages().len(), 1);
    bob.marks_delivered(&conversation, 1).await.data();
    assert_eq!(sees(&eve, "bob").await, unseen, "a device marks that by itself");
    assert_eq!(sees(&bob, "eve").await["online"], true, "but who writes is seen");
    bob.marks_read(&conversation, 1).await.data();
    assert_eq!(sees(&eve, "bob").await["online"], true);
    bob.goes_away().await;
    assert!(sees(&eve, "bob").await["lastSeenAt"].is_string());
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn presence_costs_an_inbox_a_person_and_a_presence_where_it_is_shown() {
    let world = World::new().await;
    let ann = comes_and_writes_to(&world.person("ann"), "bob").await;
    for name in ["bob", "cid"] {
        comes_and_writes_to(&world.person(name), "ann").await;
    }
    // Of each of the others an inbox, strongly; of each who is seen the presence, eventually consistent, and beside it whether one of
    // the two blocks the other, strongly.
    for (users, units) in [
        (json!(["ann", "bob", "cid", "stranger"]), vec![("BLOCK", 4.0, 2), ("INBOX", 3.0, 1), ("PRESENCE", 1.5, 2)]),
        (json!(["bob", "stranger"]), vec![("BLOCK", 2.0, 2), ("INBOX", 2.0, 1), ("PRESENCE", 0.5, 2)]),
        (json!(["stranger"]), vec![("INBOX", 1.0, 1)]),
        (json!(["ann"]), vec![("PRESENCE", 0.5, 1)]),
    ] {
        world.calls();
        ann.says(json!({ "action": "getPresence", "userIds": users })).await.data();
        let calls = world.calls();
        let reads = calls.iter().filter(|call| matches!(call.operation, Operation::Dynamo(..)));
        let read = |call: &tests::Call| (call.operation.item_kind().map(str::to_owned), call.units, call.round_trip);
        let mut reads: Vec<_> = reads.map(read).collect();
        reads.sort_by(|a, b| a.0.cmp(&b.0));
        let units: Vec<_> = units.into_iter().map(|(kind, units, trip)| (Some(kind.to_owned()), units, trip)).collect();
        assert_eq!(reads, units, "{users}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_can_be_asked_for_at_once() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let _there = comes_and_writes_to(&world.person("user 42"), "ann").await;
    let users: Vec<String> = (0..100).map(|n| format!("user {n}")).collect();
    let answer = ann.says(json!({ "action": "getPresence", "userIds": users })).await;
    let all = answer["users"].as_array().expect("a list");
    let ids: Vec<&str> = all.iter().filter_map(|one| one["userId"].as_str()).collect();
    assert_eq!(ids, users);
    let online: Vec<&Value> = all.iter().filter(|one| one["online"] == true).map(|one| &one["userId"]).collect();
    assert_eq!(online, ["user 42"]);
    let twice = ann.says(json!({ "action": "getPresence", "userIds": ["ann", "ann"] })).await;
    assert_eq!(twice["users"].as_array().map(Vec::len), Some(2));
    for bad in [json!([]), json!(vec!["x"; 101]), json!("ann"), json!([7])] {
        let answer = ann.says(json!({ "action": "getPresence", "userIds": bad })).await;
        assert!(
            answer.details()["field"].as_str().is_some_and(|field| field.starts_with("userIds")),
            "{:#}",
            answer.frame
        );
    }
}
