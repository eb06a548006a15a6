//! How a group is made, and what everything else shows of one.

use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::{CONNECT_GRACE, GROUP_LOOK_EVERY, GROUP_WHOLE_WITHIN, MEMBER_PATIENCE};
use tests::{Fault, Phone, World};
use wire::limits::GROUP_MEMBERS_MAX;

fn frame(request: &str, name: &str, others: &[&str]) -> Value {
    json!({ "action": "createGroup", "name": name, "participants": others, "clientRequestId": request })
}

/// A group of ann with bob and cat, and their phones.
async fn three(world: &World) -> (Value, [Phone; 3]) {
    let phones = [
        world.person("ann").connects().await,
        world.person("bob").connects().await,
        world.person("cat").connects().await,
    ];
    world.advance(CONNECT_GRACE).await;
    let group = phones[0].makes_group("g1", &["bob", "cat"]).await;
    for phone in &phones {
        phone.heard();
    }
    (group, phones)
}

#[tokio::test(start_paused = true)]
async fn a_group_is_there_for_everybody_in_it_at_once() {
    let world = World::new().await;
    let [ann, bob, eve] = [
        world.person("ann").connects().await,
        world.person("bob").connects().await,
        world.person("eve").connects().await,
    ];
    let avatar = "https://example.com/friends.png";
    let mut asks = frame("g1", "Friends", &["cat", "bob", "cat", "ann"]);
    asks["avatar"] = avatar.into();
    let made = ann.says(asks).await;
    assert_eq!((made.event(), &made["created"]), ("conversation:created", &json!(true)));
    let seen = &made["conversation"];
    let expected = json!({
        "conversationId": seen["conversationId"], "kind": "group", "participants": ["ann", "bob", "cat"],
        "participantCount": 3, "role": "admin", "name": "Friends", "avatar": avatar, "createdBy": "ann",
        "createdAt": seen["createdAt"], "firstSeq": 1, "lastSeq": 0, "lastActivityAt": seen["createdAt"],
        "readSeq": 0, "deliveredSeq": 0, "unread": 0, "price": 0,
    });
    assert_eq!(*seen, expected);
    let told = bob.hears("conversation:created").await;
    assert_eq!((&told["created"], &told["conversation"]["role"]), (&json!(true), &json!("member")));
    assert_eq!(told["conversation"]["conversationId"], seen["conversationId"]);
    assert!(eve.heard().is_empty(), "who isn't in it hears nothing of it");
    let cat = world.person("cat").connects().await;
    let list = cat.says(json!({ "action": "getConversations" })).await;
    assert_eq!(list["conversations"][0]["name"], "Friends", "who was away finds it");
    world.comes_to_rest().await;
    assert!(world.is_verified(false).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_repeat_makes_no_other_and_another_request_with_its_id_is_refused() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let first = ann.says(frame("g1", "Friends", &["bob", "cat"])).await;
    bob.heard();
    let again = ann.says(frame("g1", "Friends", &["cat", "bob"])).await;
    assert_eq!(again["created"], false);
    assert_eq!(again["conversation"]["conversationId"], first["conversation"]["conversationId"]);
    assert!(bob.heard().is_empty(), "nobody is told twice");
    for other in [frame("g1", "Foes", &["bob", "cat"]), frame("g1", "Friends", &["bob"])] {
        assert_eq!(ann.says(other).await.code(), "client_request_id_reused");
    }
    let by_bob = bob.says(frame("g1", "Friends", &["ann"])).await;
    assert_ne!(by_bob["conversation"]["conversationId"], first["conversation"]["conversationId"]);
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_named_and_makes_nothing() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let many: Vec<String> = (0..GROUP_MEMBERS_MAX).map(|n| format!("user{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (asks, code, field) in [
        (frame("g1", "", &["bob"]), "bad_request", json!("name")),
        (frame("g1", "Alone", &[]), "bad_request", json!("participants")),
        (frame("g1", "Alone", &["ann"]), "bad_request", json!("participants")),
        (frame("", "Friends", &["bob"]), "bad_request", json!("clientRequestId")),
        (frame("g1", "Friends", &["bob", ""]), "bad_request", json!("participants[1]")),
        (frame("g1", "Friends", &many), "group_full", Value::Null),
    ] {
        let answer = ann.says(asks.clone()).await;
        assert_eq!((answer.code(), &answer.details()["field"]), (code, &field), "{asks}");
    }
    assert!(!world.items().iter().any(|item| item["sk"] == "META"));
    let full = ann.says(frame("g1", "Friends", &many[1..])).await;
    assert_eq!(full["conversation"]["participantCount"], GROUP_MEMBERS_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_free_and_told_to_all_and_moves_only_its_senders_inbox() {
    let world = World::deployed_with(&[("DefaultPrice", "10")]).await;
    let (group, [ann, bob, cat]) = three(&world).await;
    world.calls();
    let sent = bob.sends(&group, "hi all").await;
    assert_eq!((&sent["message"]["seq"], &sent["message"]["price"]), (&json!(1), &json!(0)));
    let calls = world.calls();
    let inboxes = calls.iter().filter(|call| call.operation.writes("INBOX#")).count();
    assert_eq!(inboxes, 1, "the sender's own");
    for phone in [&ann, &cat] {
        assert_eq!(phone.heard_messages(), [sent["message"].clone()]);
    }
    let list = ann.says(json!({ "action": "getConversations" })).await;
    let seen = &list["conversations"][0];
    assert_eq!((&seen["lastSeq"], &seen["unread"], &seen["lastMessage"]), (&json!(1), &json!(1), &sent["message"]));
    assert_eq!(list["totalUnread"], 1);
    let own = bob.says(json!({ "action": "getConversation", "conversationId": group })).await;
    assert_eq!((&own["conversation"]["readSeq"], &own["conversation"]["unread"]), (&json!(1), &json!(0)));
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_goes_by_all_the_others() {
    let world = World::new().await;
    let (group, [ann, bob, cat]) = three(&world).await;
    ann.sends(&group, "read me").await.data();
    let status = async || ann.history(&group).await[0]["status"].clone();
    assert_eq!(status().await, "sent");
    assert_eq!(bob.marks_read(&group, 1).await["readSeq"], 1);
    assert_eq!(status().await, "sent", "cat has nothing yet");
    let told = ann.hears("message:status").await;
    assert_eq!((&told["userId"], &told["status"], &told["seq"]), (&json!("bob"), &json!("read"), &json!(1)));
    cat.marks_delivered(&group, 1).await.data();
    assert_eq!(status().await, "delivered");
    let receipts = json!({ "action": "getReceipts", "conversationId": group, "seq": 1 });
    let answer = ann.says(receipts).await;
    assert_eq!((&answer["read"], &answer["delivered"]), (&json!(["bob"]), &json!(["bob", "cat"])));
    cat.marks_read(&group, 9).await.data();
    assert_eq!(status().await, "read", "above the last is taken as the last");
    let shown = json!({ "action": "getPresence", "userIds": ["bob"], "conversationId": group });
    assert_eq!(ann.says(shown).await["users"][0]["online"], true, "who has read in the group");
    let elsewhere = json!({ "action": "getPresence", "userIds": ["bob"] });
    assert_eq!(ann.says(elsewhere).await["users"][0]["online"], false, "shows nothing by itself");
    bob.says(json!({ "action": "typing", "conversationId": group, "typing": true })).await.data();
    assert_eq!(cat.hears("typing").await["userId"], "bob");
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_member_who_was_away_syncs_and_is_counted_as_waiting() {
    let world = World::new().await;
    let (group, [ann, bob, cat]) = three(&world).await;
    cat.goes_away().await;
    for n in 1..=3 {
        ann.sends(&group, &format!("message {n}")).await.data();
    }
    let buffered = world.person("cat").buffered().await;
    assert_eq!(buffered["undelivered"], 3);
    assert_eq!(buffered["conversations"], json!([{ "conversationId": group, "fromSeq": 1, "toSeq": 3 }]));
    let cat = world.person("cat").connects().await;
    let synced = cat.syncs().await;
    assert_eq!((synced.messages().len(), &synced["conversations"]), (3, &json!(1)));
    bob.sends(&group, "still there?").await.data();
    assert_eq!(cat.heard_messages()[0]["seq"], 4);
    let cleared = world.admin("DELETE", "/api/messages/buffered/cat", None).await.body;
    assert_eq!(cleared["cleared"], 4);
    assert_eq!(cat.syncs().await.messages().len(), 0);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn strangers_find_no_such_group() {
    let world = World::new().await;
    let (group, [ann, ..]) = three(&world).await;
    ann.sends(&group, "among us").await.data();
    let eve = world.person("eve").connects().await;
    for frame in [
        json!({ "action": "getConversation", "conversationId": group }),
        json!({ "action": "getMessages", "conversationId": group }),
        json!({ "action": "sendMessage", "conversationId": group, "content": "hi", "clientMessageId": "m1" }),
        json!({ "action": "markRead", "conversationId": group, "seq": 1 }),
        json!({ "action": "getReceipts", "conversationId": group, "seq": 1 }),
        json!({ "action": "typing", "conversationId": group, "typing": true }),
        json!({ "action": "getPresence", "userIds": ["ann"], "conversationId": group }),
        json!({ "action": "getMembers", "conversationId": group }),
        json!({ "action": "updateGroup", "conversationId": group, "add": ["eve"] }),
        json!({ "action": "leaveGroup", "conversationId": group }),
    ] {
        assert_eq!(eve.says(frame.clone()).await.code(), "not_a_participant", "{frame}");
    }
    let since = json!({ "action": "sync", "since": { group.as_str().expect("an id"): 0 } });
    let synced = eve.says(since).await;
    assert_eq!((synced.pages.len(), &synced["left"]), (0, &json!([group])));
    world.comes_to_rest().await;
}

/// Whatever breaks while a group is made: nobody is told of a part of it, and a repeat makes the whole.
#[tokio::test(start_paused = true)]
async fn a_group_whose_making_stopped_is_completed_by_a_repeat() {
    for writes in 1..=12 {
        for fault in [Fault::KillBefore, Fault::KillAfter, Fault::LoseReply] {
            let world = World::new().await;
            let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
            world.advance(CONNECT_GRACE).await;
            let mut left = writes;
            world.breaks(move |call| {
                left -= i32::from(call.operation.is_write());
                (left == 0 && call.operation.is_write()).then_some(fault)
            });
            let first = ann.tries(frame("g1", "Friends", &["bob", "cat"])).await;
            world.heals();
            let meta = world.items().into_iter().find(|item| item["sk"] == "META");
            let is_whole = meta.is_some_and(|meta| meta["whole"] == true);
            assert!(is_whole || bob.heard().is_empty(), "write {writes}, {fault:?}: told of a part");
            let again = ann.says(frame("g1", "Friends", &["bob", "cat"])).await;
            assert_eq!(again["conversation"]["participantCount"], 3, "write {writes}, {fault:?}: {first:?}");
            world.advance(MEMBER_PATIENCE * 2).await;
            world.comes_to_rest().await;
            for user in ["ann", "bob", "cat"] {
                let list = world.person(user).connects().await.says(json!({ "action": "getConversations" })).await;
                assert_eq!(
                    list["conversations"].as_array().map(Vec::len),
                    Some(1),
                    "write {writes}, {fault:?}: {user}"
                );
            }
            assert!(world.is_verified(false).await.is_empty());
        }
    }
}

/// Ann's function dies as it makes a group with bob, before META says `whole`.
async fn is_left_half_made(world: &World) {
    let ann = world.person("ann").connects().await;
    world.breaks_once(Fault::KillBefore, |call| call.operation.writes("META") && !call.operation.is_put());
    assert!(ann.tries(frame("g1", "Friends", &["bob"])).await.is_none(), "it has died");
    world.heals();
}

/// The same, as long ago as one waits for a repeat; and ann, who is back.
async fn was_left_half_made(world: &World) -> Phone {
    is_left_half_made(world).await;
    world.advance(GROUP_WHOLE_WITHIN + MEMBER_PATIENCE * 2).await;
    world.person("ann").connects().await
}

#[tokio::test(start_paused = true)]
async fn a_group_that_nobody_completes_is_given_up() {
    let world = World::new().await;
    let bob = world.person("bob").connects().await;
    is_left_half_made(&world).await;
    let writes = async |after: Duration| {
        world.advance(after).await;
        world.calls();
        world.sweeps().await;
        world.calls().iter().filter(|call| call.operation.writes("MEMBER#")).count()
    };
    assert_eq!(writes(MEMBER_PATIENCE * 2).await, 2, "each is put behind what is due by then");
    assert_eq!(writes(GROUP_LOOK_EVERY - Duration::from_secs(1)).await, 0);
    assert_eq!(writes(MEMBER_PATIENCE * 2).await, 2);
    assert_eq!(writes(GROUP_WHOLE_WITHIN).await, 2, "they go");
    assert!(bob.heard().is_empty());
    assert!(!world.items().iter().any(|item| item["sk"].as_str().is_some_and(|sk| sk.starts_with("MEMBER#"))));
    let ann = world.person("ann").connects().await;
    assert_eq!(ann.says(frame("g1", "Friends", &["bob"])).await.code(), "client_request_id_reused");
    ann.says(frame("g2", "Friends", &["bob"])).await.data();
    assert!(world.is_verified(false).await.is_empty());
}

/// The sweep has seen it half-made, and takes its time.
#[tokio::test(start_paused = true)]
async fn a_group_that_is_completed_as_it_is_given_up_is_there() {
    let world = World::new().await;
    let ann = was_left_half_made(&world).await;
    let reads = |call: &tests::Call| call.operation.sk() == Some("META") && !call.operation.is_write();
    world.breaks(move |call| (call.function == "sweep" && reads(call)).then_some(Fault::Late(Duration::from_secs(1))));
    let meanwhile = async {
        world.advance(Duration::from_millis(200)).await;
        ann.says(frame("g1", "Friends", &["bob"])).await.data();
    };
    futures::future::join(world.sweeps(), meanwhile).await;
    world.heals();
    ann.says(frame("g1", "Friends", &["bob"])).await.data();
    // The sweep has listed it for a later look.
    world.advance(GROUP_LOOK_EVERY * 2).await;
    world.comes_to_rest().await;
}

/// The repeat puts the members, and takes its time.
#[tokio::test(start_paused = true)]
async fn a_group_that_is_given_up_as_it_is_completed_is_gone() {
    let world = World::new().await;
    let ann = was_left_half_made(&world).await;
    let puts = |call: &tests::Call| call.function == "groups" && call.operation.writes("MEMBER#");
    world.breaks(move |call| puts(call).then_some(Fault::Late(Duration::from_secs(1))));
    let meanwhile = async {
        world.advance(Duration::from_millis(200)).await;
        world.sweeps().await;
    };
    let repeated = futures::future::join(ann.says(frame("g1", "Friends", &["bob"])), meanwhile).await.0;
    assert_eq!(repeated.code(), "client_request_id_reused");
    world.heals();
    world.comes_to_rest().await;
    assert!(world.is_verified(false).await.is_empty());
}
