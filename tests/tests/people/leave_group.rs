//! How somebody leaves a group, and what is left of them.

use std::time::Duration;

use serde_json::json;
use shared::limits::{CONNECT_GRACE, MEMBER_PATIENCE, SYNC_LEFT_MAX, TOMBSTONE_LIFE};
use tests::{Fault, World};

#[tokio::test(start_paused = true)]
async fn who_leaves_is_out_on_all_devices_and_the_others_are_told() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let (bob, tablet) = (world.person("bob").connects().await, world.person("bob").connects().await);
    world.advance(CONNECT_GRACE).await;
    let group = ann.makes_group("g1", &["bob"]).await;
    let answer = bob.says(json!({ "action": "leaveGroup", "conversationId": group, "clientRequestId": "l1" })).await;
    assert_eq!((answer.event(), &answer["by"]), ("conversation:left", &json!("bob")));
    assert_eq!(tablet.hears("conversation:left").await["by"], "bob");
    let told = ann.hears("conversation:updated").await;
    assert_eq!(told, json!({ "conversationId": group, "participantCount": 1, "removed": ["bob"] }));
    assert_eq!(bob.leaves(&group).await.event(), "conversation:left", "who has left is answered alike");
    ann.updates(&group, json!({ "add": ["bob"] })).await.data();
    let again = bob.says(json!({ "action": "leaveGroup", "conversationId": group, "clientRequestId": "l1" })).await;
    again.data();
    assert_eq!(ann.members(&group).await.len(), 2, "an old repeat takes nobody out again");
    let direct = ann.opens("bob").await;
    assert_eq!(ann.leaves(&direct).await.code(), "forbidden");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_decided_before_its_sender_left_ends_as_one() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    world.advance(CONNECT_GRACE).await;
    let group = ann.makes_group("g1", &["bob"]).await;
    let message =
        json!({ "action": "sendMessage", "conversationId": group, "content": "bye", "clientMessageId": "m1" });
    world.breaks_once(Fault::KillBefore, |call| call.operation.writes("MSG#"));
    assert!(bob.tries(message.clone()).await.is_none());
    world.heals();
    bob.leaves(&group).await.data();
    let sent = bob.says(message.clone()).await;
    assert_eq!((&sent["message"]["seq"], &sent["duplicate"]), (&json!(1), &json!(true)));
    assert_eq!(ann.heard_messages()[0]["content"], "bye");
    assert_eq!(bob.says(message).await["duplicate"], true);
    assert_eq!(bob.sends(&group, "me again").await.code(), "not_a_participant");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_who_has_left_goes_after_a_month() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let group = ann.makes_group("g1", &["bob", "cat"]).await;
    bob.leaves(&group).await.data();
    world.person("cat").connects().await.leaves(&group).await.data();
    let about = |name: &str| {
        let names = [format!("MEMBER#{name}"), format!("USER#{name}")];
        let of_group = |sk: &str| sk.starts_with("MEMBER#") || sk.starts_with("INBOX#");
        let items = world.items().into_iter().filter(|item| {
            let (pk, sk) = (item["pk"].as_str().unwrap_or_default(), item["sk"].as_str().unwrap_or_default());
            of_group(sk) && names.iter().any(|name| sk == name || pk == name)
        });
        items.count()
    };
    world.advance(TOMBSTONE_LIFE / 2).await;
    world.sweeps().await;
    assert_eq!((about("bob"), about("cat")), (2, 2), "a late repeat finds what has become of it");
    let ann = world.person("ann").connects().await;
    ann.updates(&group, json!({ "add": ["cat"] })).await.data();
    world.advance(TOMBSTONE_LIFE / 2 + MEMBER_PATIENCE * 2).await;
    world.sweeps().await;
    assert_eq!((about("bob"), about("cat")), (0, 2));
    let bob = world.person("bob").connects().await;
    assert!(bob.syncs().await.data().get("left").is_none());
    assert_eq!(bob.leaves(&group).await.code(), "not_a_participant");
    world.comes_to_rest().await;
    assert!(world.is_verified(false).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_last_one_may_leave() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let group = ann.makes_group("g1", &["bob"]).await;
    ann.sends(&group, "hello").await.data();
    ann.leaves(&group).await.data();
    assert_eq!(bob.members(&group).await, [("bob".to_owned(), "admin".to_owned())]);
    bob.leaves(&group).await.data();
    world.comes_to_rest().await;
    assert!(world.is_verified(false).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sync_names_so_many_groups_that_one_has_left() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for n in 0..=SYNC_LEFT_MAX {
        let number = |n: u64| json!({ "N": n.to_string() });
        let left = json!({
            "kind": { "S": "group" }, "version": number(2), "first_seq": number(1), "delivered_seq": number(0),
            "read_seq": number(0), "last_at": number(0), "left_at": number(1),
        });
        world
            .edits("USER#ann", &format!("INBOX#g_{n}"), |inbox| *inbox = left.as_object().cloned().unwrap_or_default());
    }
    let done = ann.syncs().await;
    assert_eq!(done["left"].as_array().map(Vec::len), Some(SYNC_LEFT_MAX));
}

/// The sweep has seen the tombstone, and takes its time.
#[tokio::test(start_paused = true)]
async fn who_comes_back_as_what_is_left_of_them_goes_is_back() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let group = ann.makes_group("g1", &["bob"]).await;
    bob.leaves(&group).await.data();
    world.advance(TOMBSTONE_LIFE + MEMBER_PATIENCE * 2).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let looks = |call: &tests::Call| call.function == "sweep" && call.operation.sk() == Some("META");
    world.breaks_once(Fault::Late(Duration::from_secs(1)), looks);
    let meanwhile = async {
        world.advance(Duration::from_millis(200)).await;
        ann.updates(&group, json!({ "add": ["bob"] })).await.data();
    };
    futures::future::join(world.sweeps(), meanwhile).await;
    assert_eq!(ann.members(&group).await.len(), 2);
    let listed = bob.says(json!({ "action": "getConversations" })).await;
    assert_eq!(listed["conversations"][0]["conversationId"], group);
    world.comes_to_rest().await;
}
