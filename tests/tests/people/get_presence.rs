use std::time::Duration;

use serde_json::{Value, json};
use tests::{Phone, World};

async fn sees(phone: &Phone, user: &str) -> Value {
    let answer = phone.says(json!({ "action": "getPresence", "userIds": [user] })).await;
    answer["users"][0].clone()
}

#[tokio::test(start_paused = true)]
async fn somebody_is_online_until_their_last_device_goes() {
    let world = World::new().await;
    let bob = world.person("bob");
    let ann = world.person("ann").connects().await;
    ann.opens("bob").await;
    assert_eq!(sees(&ann, "bob").await, json!({ "userId": "bob", "online": false }));
    let (phone, tablet) = (bob.connects().await, bob.connects().await);
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
    ann.opens("bob").await;
    let bob = world.person("bob").connects().await;
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

#[tokio::test(start_paused = true)]
async fn a_hundred_can_be_asked_for_at_once() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    ann.opens("user 42").await;
    let _there = world.person("user 42").connects().await;
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
