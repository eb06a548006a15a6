//! Many attempts at the same moment, over several connections.

use std::collections::HashSet;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::client::{Client, send};
use crate::world::{World, comes_to};

/// Several connections of one user.
async fn devices(world: &World, user: &str, count: usize) -> Vec<Client> {
    join_all((0..count).map(|_| Client::connects(world, user))).await
}

/// Each device makes all of its requests at once, and they all do so together; every final answer.
async fn together(devices: &mut [Client], requests: impl Fn(usize) -> Vec<Value>) -> Vec<Value> {
    let asking = devices.iter_mut().enumerate().map(|(n, device)| {
        let requests = requests(n);
        async move { device.persists(&requests).await }
    });
    join_all(asking).await.into_iter().flatten().collect()
}

fn count(answers: &[Value], is: impl Fn(&Value) -> bool) -> usize {
    answers.iter().filter(|answer| is(answer)).count()
}

#[tokio::test]
async fn three_hundred_attempts_make_one_conversation() {
    let world = World::start(&[]).await;
    let mut clients = devices(&world, "ann", 5).await;
    clients.extend(devices(&world, "bob", 5).await);
    let answers = together(&mut clients, |n| {
        let other = if n < 5 { "bob" } else { "ann" };
        vec![json!({ "action": "getOrCreateDirect", "otherUserId": other }); 30]
    })
    .await;
    assert_eq!(answers.len(), 300);
    let ids: HashSet<&str> =
        answers.iter().filter_map(|answer| answer["data"]["conversation"]["conversationId"].as_str()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(count(&answers, |answer| answer["data"]["created"] == true), 1);
    assert_eq!(count(&answers, |answer| answer["data"]["created"] == false), 299);
    for user in ["ann", "bob"] {
        let mut client = Client::connects(&world, user).await;
        let listed = client.asks(json!({ "action": "getConversations" })).await;
        assert_eq!(listed["conversations"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn one_send_made_fifty_times_at_once_is_one_message_and_one_charge() {
    let world = World::start(&[]).await;
    world.credit("ann", 100).await;
    world.set_price("bob", 7).await;
    let mut bob = Client::connects(&world, "bob").await;
    let mut devices = devices(&world, "ann", 5).await;
    let answers = together(&mut devices, |_| vec![send("bob", "once", "the same"); 10]).await;
    assert_eq!(count(&answers, |answer| answer["event"] == "message:sent"), 50, "{answers:?}");
    let message = &answers[0]["data"]["message"];
    assert_eq!(count(&answers, |answer| answer["data"]["message"] == *message), 50);
    assert!(count(&answers, |answer| answer["data"]["duplicate"] == false) <= 1);

    assert_eq!(bob.hears("message:new").await["message"], *message);
    let id = message["conversationId"].as_str().expect("an id");
    assert_eq!(bob.reads_all(id).await.len(), 1);
    comes_to((93, 93), async || world.coins("ann").await).await;
    comes_to((7, 7), async || world.coins("bob").await).await;
}

#[tokio::test]
async fn a_hundred_paid_sends_at_once_spend_what_there_is_and_no_more() {
    let world = World::start(&[]).await;
    world.credit("ann", 37).await;
    world.set_price("bob", 1).await;
    let mut devices = devices(&world, "ann", 5).await;
    let answers = together(&mut devices, |n| {
        (0..20).map(|m| send("bob", &format!("message {m} of {n}"), &format!("{n} {m}"))).collect()
    })
    .await;
    assert_eq!(count(&answers, |answer| answer["event"] == "message:sent"), 37);
    assert_eq!(count(&answers, |answer| answer["error"]["code"] == "insufficient_balance"), 63);
    let numbers: HashSet<u64> = answers.iter().filter_map(|answer| answer["data"]["message"]["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=37).collect());
    comes_to((0, 0), async || world.coins("ann").await).await;
    comes_to((37, 37), async || world.coins("bob").await).await;
}
