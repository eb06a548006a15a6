//! How a group changes: who comes, who goes, what it is called, who its admins are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::{
    CHANGE_BACKOFF, CHANGES_MAX, CONNECT_GRACE, GROUP_MEMBERS_KEPT_MAX, GROUPS_LEFT_MAX, MEMBER_PATIENCE,
    REQUESTS_REMEMBERED,
};
use tests::{Fault, Phone, World};
use tokio::time::Instant;
use wire::limits::{GROUP_MEMBERS_MAX, GROUPS_MAX};

/// A group of ann with bob, in which two things were said; ann, bob, and cat who isn't in it.
async fn two(world: &World) -> (Value, [Phone; 3]) {
    let phones = [
        world.person("ann").connects().await,
        world.person("bob").connects().await,
        world.person("cat").connects().await,
    ];
    world.advance(CONNECT_GRACE).await;
    let group = phones[0].makes_group("g1", &["bob"]).await;
    phones[0].sends(&group, "one").await.data();
    phones[1].sends(&group, "two").await.data();
    phones.iter().for_each(|phone| drop(phone.heard()));
    (group, phones)
}

fn admin(name: &str) -> (String, String) {
    (name.to_owned(), "admin".to_owned())
}

fn member(name: &str) -> (String, String) {
    (name.to_owned(), "member".to_owned())
}

#[tokio::test(start_paused = true)]
async fn who_is_added_sees_what_is_said_from_then_on() {
    let world = World::new().await;
    let (group, [ann, bob, cat]) = two(&world).await;
    let answer = ann.updates(&group, json!({ "add": ["cat"] })).await;
    assert_eq!((answer.event(), &answer["conversation"]["participantCount"]), ("conversation:updated", &json!(3)));
    let created = cat.hears("conversation:created").await;
    let seen = &created["conversation"];
    assert_eq!((&seen["firstSeq"], &seen["lastSeq"], &seen["unread"]), (&json!(3), &json!(2), &json!(0)));
    assert!(seen.get("lastMessage").is_none(), "it is from before: {seen}");
    let told = bob.hears("conversation:updated").await;
    assert_eq!(told, json!({ "conversationId": group, "participantCount": 3, "added": ["cat"] }));
    assert!(cat.history(&group).await.is_empty());
    let receipts = json!({ "action": "getReceipts", "conversationId": group, "seq": 2 });
    assert_eq!(cat.says(receipts).await.code(), "not_found");
    let replies = json!({ "action": "sendMessage", "conversationId": group, "content": "?", "clientMessageId": "m1", "replyTo": 2 });
    assert_eq!(cat.says(replies).await.details()["field"], "replyTo");
    bob.sends(&group, "three").await.data();
    assert_eq!(cat.heard_messages()[0]["seq"], 3);
    let page = cat.says(json!({ "action": "getMessages", "conversationId": group, "limit": 2 })).await;
    assert_eq!((page["messages"].as_array().map(Vec::len), &page["hasMore"]), (Some(1), &json!(false)));
    assert_eq!(ann.history(&group).await.len(), 3);
    world.comes_to_rest().await;
    assert!(world.is_verified(false).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_is_removed_is_out_at_once() {
    let world = World::new().await;
    let (group, [ann, bob, _]) = two(&world).await;
    let answer = ann.updates(&group, json!({ "remove": ["bob"] })).await;
    assert_eq!(answer["conversation"]["participants"], json!(["ann"]));
    let left = bob.hears("conversation:left").await;
    assert_eq!((&left["conversationId"], &left["by"]), (&group, &json!("ann")));
    ann.sends(&group, "behind your back").await.data();
    assert!(bob.heard().is_empty(), "nothing of the group but that");
    for frame in [
        json!({ "action": "getMessages", "conversationId": group }),
        json!({ "action": "getConversation", "conversationId": group }),
        json!({ "action": "markRead", "conversationId": group, "seq": 3 }),
        json!({ "action": "sendMessage", "conversationId": group, "content": "hi", "clientMessageId": "m1" }),
        json!({ "action": "typing", "conversationId": group, "typing": true }),
        json!({ "action": "getMembers", "conversationId": group }),
        json!({ "action": "leaveGroup", "conversationId": group }),
    ] {
        assert_eq!(bob.says(frame.clone()).await.code(), "not_a_participant", "{frame}");
    }
    assert_eq!(bob.says(json!({ "action": "getConversations" })).await["conversations"], json!([]));
    let synced = bob.syncs().await;
    assert_eq!((synced.pages.len(), &synced["left"]), (0, &json!([group])));
    world.comes_to_rest().await;
    assert!(world.is_verified(false).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_sees_nothing_of_what_was_said_meanwhile() {
    let world = World::new().await;
    let (group, [ann, bob, _]) = two(&world).await;
    ann.updates(&group, json!({ "remove": ["bob"] })).await.data();
    ann.sends(&group, "three").await.data();
    ann.updates(&group, json!({ "add": ["bob"] })).await.data();
    ann.sends(&group, "four").await.data();
    let numbers = |messages: Vec<Value>| -> Vec<u64> { messages.iter().filter_map(|it| it["seq"].as_u64()).collect() };
    assert_eq!(numbers(bob.history(&group).await), [4]);
    assert_eq!(numbers(bob.syncs().await.messages()), [4]);
    let since = json!({ "action": "sync", "since": { group.as_str().expect("an id"): 2 } });
    assert_eq!(numbers(bob.says(since).await.messages()), [4]);
    let seen = bob.says(json!({ "action": "getConversation", "conversationId": group })).await;
    assert_eq!((&seen["conversation"]["firstSeq"], &seen["conversation"]["unread"]), (&json!(4), &json!(1)));
    world.comes_to_rest().await;
}

/// The inbox is told of the later membership as of another one, whose horizons begin where it does.
#[tokio::test(start_paused = true)]
async fn somebody_goes_again_before_their_inbox_knew_that_they_were_back() {
    let world = World::new().await;
    let (group, [ann, bob, _]) = two(&world).await;
    bob.marks_read(&group, 1).await.data();
    ann.updates(&group, json!({ "remove": ["bob"] })).await.data();
    ann.sends(&group, "three").await.data();
    world.breaks_once(Fault::KillBefore, |call| call.operation.writes("INBOX#"));
    let adds = json!({ "action": "updateGroup", "conversationId": group, "add": ["bob"] });
    let _ = ann.tries(adds).await;
    world.heals();
    ann.updates(&group, json!({ "remove": ["bob"] })).await.data();
    let sk = format!("INBOX#{}", group.as_str().expect("an id"));
    let inbox = world.items().into_iter().find(|item| item["pk"] == "USER#bob" && item["sk"] == sk.as_str());
    let inbox = inbox.expect("bob's inbox");
    assert_eq!((&inbox["first_seq"], &inbox["read_seq"]), (&json!(4), &json!(3)));
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn only_admins_change_it_and_there_is_always_one() {
    let world = World::new().await;
    let (group, [ann, bob, cat]) = two(&world).await;
    for fields in [
        json!({ "name": "Mine" }),
        json!({ "add": ["cat"] }),
        json!({ "remove": ["ann"] }),
        json!({ "admins": ["bob"] }),
    ] {
        assert_eq!(bob.updates(&group, fields.clone()).await.code(), "forbidden", "{fields}");
    }
    ann.updates(&group, json!({ "add": ["cat"], "admins": ["bob", "nobody"] })).await.data();
    assert_eq!(bob.members(&group).await, [member("ann"), admin("bob"), member("cat")]);
    let told = cat.hears("conversation:created").await;
    assert_eq!(told["conversation"]["role"], "member");
    assert_eq!(ann.updates(&group, json!({ "name": "Mine" })).await.code(), "forbidden", "she has handed it over");
    bob.leaves(&group).await.data();
    assert_eq!(cat.members(&group).await, [admin("ann"), member("cat")], "who is there longest becomes it");
    assert_eq!(cat.hears("conversation:updated").await["admins"], json!(["ann"]));
    world.comes_to_rest().await;
    assert!(world.is_verified(false).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_name_changes_for_everybody() {
    let world = World::new().await;
    let (group, [ann, bob, _]) = two(&world).await;
    let answer = ann.updates(&group, json!({ "name": "Best friends" })).await;
    assert_eq!(answer["conversation"]["name"], "Best friends");
    let told = bob.hears("conversation:updated").await;
    assert_eq!(told, json!({ "conversationId": group, "name": "Best friends", "participantCount": 2 }));
    ann.updates(&group, json!({ "avatar": "https://example.com/a.png" })).await.data();
    let seen = bob.says(json!({ "action": "getConversation", "conversationId": group })).await;
    assert_eq!(seen["conversation"]["name"], "Best friends", "what isn't given stays");
    assert_eq!(seen["conversation"]["avatar"], "https://example.com/a.png");
    bob.heard();
    ann.updates(&group, json!({})).await.data();
    assert!(bob.heard().is_empty(), "nothing has changed");
}

#[tokio::test(start_paused = true)]
async fn an_old_repeat_changes_nothing_that_came_after() {
    let world = World::new().await;
    let (group, [ann, bob, _]) = two(&world).await;
    let add = json!({ "add": ["cat"], "name": "With cat", "clientRequestId": "u1" });
    let again = json!({ "add": ["bob"], "clientRequestId": "u2" });
    let stays = json!({ "remove": ["dan"], "clientRequestId": "u3" });
    let admins = json!({ "admins": ["ann"], "clientRequestId": "u4" });
    for fields in [&add, &again, &stays, &admins] {
        ann.updates(&group, fields.clone()).await.data();
    }
    ann.updates(
        &group,
        json!({ "remove": ["cat", "bob"], "add": ["dan"], "name": "Without", "admins": ["ann", "dan"] }),
    )
    .await
    .data();
    let then = ann.members(&group).await;
    assert_eq!(then, [admin("ann"), admin("dan")]);
    let dan = world.person("dan").connects().await;
    for fields in [&add, &again, &stays, &admins] {
        let answer = ann.updates(&group, fields.clone()).await;
        assert_eq!(answer["conversation"]["name"], "Without", "{fields}");
        assert_eq!(ann.members(&group).await, then, "{fields}");
        let told = |name: &Value| name.is_null() || name == "Without";
        assert!(dan.heard().iter().all(|frame| told(&frame["data"]["name"])), "{fields}");
    }
    let reused = json!({ "admins": ["dan"], "clientRequestId": "u4" });
    assert_eq!(ann.updates(&group, reused).await.code(), "client_request_id_reused");
    let other = json!({ "add": ["cat", "eve"], "clientRequestId": "u1" });
    assert_eq!(ann.updates(&group, other).await.code(), "client_request_id_reused");
    assert!(bob.syncs().await["left"][0] == group);
    for n in 0..=REQUESTS_REMEMBERED {
        ann.updates(&group, json!({ "remove": ["cat"], "clientRequestId": format!("later{n}") })).await.data();
    }
    ann.updates(&group, add).await.data();
    assert_eq!(ann.members(&group).await.len(), 3, "only the last few are remembered");
    world.advance(MEMBER_PATIENCE * 2).await;
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let world = World::new().await;
    let (group, [ann, ..]) = two(&world).await;
    let many: Vec<String> = (0..GROUP_MEMBERS_MAX).map(|n| format!("user{n}")).collect();
    let too_many: Vec<&str> = many.iter().map(String::as_str).chain(["one more"]).collect();
    let before = world.items();
    for (fields, code, field) in [
        (json!({ "add": ["cat"], "remove": ["cat"] }), "bad_request", json!("remove")),
        (json!({ "remove": ["ann"] }), "bad_request", json!("remove")),
        (json!({ "admins": [] }), "bad_request", json!("admins")),
        (json!({ "admins": ["cat"] }), "bad_request", json!("admins")),
        (json!({ "admins": ["bob"], "remove": ["bob"] }), "bad_request", json!("admins")),
        (json!({ "name": "" }), "bad_request", json!("name")),
        (json!({ "avatar": "http://example.com" }), "bad_request", json!("avatar")),
        (json!({ "add": many[1..] }), "group_full", Value::Null),
        (json!({ "remove": too_many }), "too_many", Value::Null),
    ] {
        let answer = ann.updates(&group, fields.clone()).await;
        assert_eq!((answer.code(), &answer.details()["field"]), (code, &field), "{fields}");
    }
    assert_eq!(world.items(), before);
    let direct = ann.opens("bob").await;
    assert_eq!(ann.updates(&direct, json!({ "name": "Us" })).await.code(), "forbidden");
    ann.updates(&group, json!({ "add": many[2..] })).await.data();
    assert_eq!(ann.members(&group).await.len(), GROUP_MEMBERS_MAX);
    assert_eq!(ann.updates(&group, json!({ "add": ["cat"] })).await.code(), "group_full");
    ann.updates(&group, json!({ "add": ["cat"], "remove": ["bob"] })).await.data();
}

/// Whatever breaks while a group changes: the sweep does the rest.
#[tokio::test(start_paused = true)]
async fn a_change_that_stopped_is_finished_by_the_sweep() {
    for writes in 1..=8 {
        for fault in [Fault::KillBefore, Fault::KillAfter, Fault::LoseReply] {
            let world = World::new().await;
            let (group, [ann, bob, cat]) = two(&world).await;
            let mut left = writes;
            world.breaks(move |call| {
                left -= i32::from(call.operation.is_write());
                (left == 0 && call.operation.is_write()).then_some(fault)
            });
            let fields = json!({ "action": "updateGroup", "conversationId": group, "add": ["cat"], "remove": ["bob"], "clientRequestId": "u1" });
            let answer = ann.tries(fields.clone()).await;
            world.heals();
            if answer.is_none() {
                ann.says(fields.clone()).await.data();
            }
            world.advance(MEMBER_PATIENCE + Duration::from_secs(5)).await;
            world.comes_to_rest().await;
            let context = format!("write {writes}, {fault:?}");
            assert_eq!(ann.members(&group).await, [admin("ann"), member("cat")], "{context}");
            assert!(cat.heard().iter().any(|frame| frame["event"] == "conversation:created"), "{context}");
            assert!(bob.heard().iter().any(|frame| frame["event"] == "conversation:left"), "{context}");
            assert!(world.is_verified(false).await.is_empty(), "{context}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_change_it_at_once_both_count() {
    let world = World::new().await;
    let (group, [ann, bob, _]) = two(&world).await;
    ann.updates(&group, json!({ "admins": ["ann", "bob"] })).await.data();
    let both = futures::future::join(
        ann.updates(&group, json!({ "add": ["cat"], "name": "A" })),
        bob.updates(&group, json!({ "add": ["dan"], "name": "B" })),
    );
    let (one, other) = both.await;
    one.data();
    other.data();
    assert_eq!(ann.members(&group).await.len(), 4);
    // Two admins who leave at the same moment each see the other.
    futures::future::join(ann.leaves(&group), bob.leaves(&group)).await;
    world.comes_to_rest().await;
    let cat = world.person("cat").connects().await;
    assert_eq!(cat.members(&group).await.iter().filter(|(_, role)| role == "admin").count(), 1);
    assert!(world.is_verified(false).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_membership_that_others_change_is_tried_so_often_after_waits_that_vary() {
    let world = World::new().await;
    let (group, [ann, ..]) = two(&world).await;
    let (tries, pk) = (Arc::new(AtomicU32::new(0)), format!("CONV#{}", group.as_str().expect("an id")));
    let (others, counted) = (world.clone(), tries.clone());
    world.breaks(move |call| {
        if call.operation.writes("MEMBER#bob") {
            let n = counted.fetch_add(1, Ordering::Relaxed);
            others.edits(&pk, "MEMBER#bob", |member| {
                drop(member.insert("version".to_owned(), json!({ "N": (100 + n).to_string() })))
            });
        }
        None
    });
    let began = Instant::now();
    assert_eq!(ann.updates(&group, json!({ "remove": ["bob"] })).await.code(), "unavailable");
    let took = began.elapsed();
    world.heals();
    assert_eq!(tries.load(Ordering::Relaxed), CHANGES_MAX);
    let longest = CHANGE_BACKOFF * 8 * CHANGES_MAX;
    assert!(longest / 8 < took && took < longest + Duration::from_secs(1), "{took:?} of {longest:?}");
    ann.updates(&group, json!({ "remove": ["bob"] })).await.data();
}

#[tokio::test(start_paused = true)]
async fn the_sweep_leaves_a_change_to_who_makes_it_for_a_while() {
    let world = World::new().await;
    let (group, [ann, _, cat]) = two(&world).await;
    world.breaks_once(Fault::KillBefore, |call| call.operation.writes("INBOX#"));
    let _ = ann.tries(json!({ "action": "updateGroup", "conversationId": group, "add": ["cat"] })).await;
    world.heals();
    for (wait, is_told) in [(MEMBER_PATIENCE / 2, false), (MEMBER_PATIENCE / 2 + Duration::from_secs(1), true)] {
        world.advance(wait).await;
        world.sweeps().await;
        assert_eq!(!cat.heard().is_empty(), is_told);
    }
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_in_more_groups_than_one_may_be() {
    let world = World::new().await;
    let (group, [ann, ..]) = two(&world).await;
    let joins = |n: usize, more: Value| {
        world.edits("USER#cat", &format!("INBOX#g_{n}"), |inbox| {
            let number = |n: u64| json!({ "N": n.to_string() });
            *inbox = json!({
                "kind": { "S": "group" }, "version": number(1), "first_seq": number(1), "delivered_seq": number(0),
                "read_seq": number(0), "last_at": number(0),
            })
            .as_object()
            .cloned()
            .unwrap_or_default();
            inbox.extend(more.as_object().cloned().unwrap_or_default());
        });
    };
    (1..GROUPS_MAX).for_each(|n| joins(n, json!({})));
    joins(GROUPS_MAX, json!({ "left_at": { "N": "1" } }));
    let add = json!({ "add": ["cat"] });
    ann.updates(&group, add.clone()).await.data();
    ann.updates(&group, json!({ "remove": ["cat"] })).await.data();
    joins(GROUPS_MAX, json!({}));
    let expected = json!({ "what": "groups of a user", "max": GROUPS_MAX, "userId": "cat" });
    let answer = ann.updates(&group, add).await;
    assert_eq!((answer.code(), answer.details()), ("too_many", &expected));
    let makes =
        json!({ "action": "createGroup", "name": "More", "participants": ["bob", "cat"], "clientRequestId": "g2" });
    assert_eq!(ann.says(makes).await.details(), &expected);
    (1..=GROUPS_LEFT_MAX).for_each(|n| joins(n, json!({ "left_at": { "N": "1" } })));
    let answer = ann.updates(&group, json!({ "add": ["cat"] })).await;
    assert_eq!((answer.code(), &answer.details()["max"]), ("too_many", &json!(GROUPS_LEFT_MAX)));
}

#[tokio::test(start_paused = true)]
async fn so_many_may_come_and_go() {
    let world = World::new().await;
    let (group, [ann, ..]) = two(&world).await;
    let pk = format!("CONV#{}", group.as_str().expect("an id"));
    for n in 2..GROUP_MEMBERS_KEPT_MAX {
        let number = |n: usize| json!({ "N": n.to_string() });
        let gone = json!({
            "version": number(2), "role": { "S": "member" }, "first_seq": number(1), "since": number(0), "by": { "S": "ann" },
            "left_at": number(1),
        });
        world.edits(&pk, &format!("MEMBER#user{n}"), |member| *member = gone.as_object().cloned().unwrap_or_default());
    }
    let answer = ann.updates(&group, json!({ "add": ["cat"] })).await;
    assert_eq!((answer.code(), &answer.details()["max"]), ("too_many", &json!(GROUP_MEMBERS_KEPT_MAX)));
    ann.updates(&group, json!({ "add": ["user2"], "remove": ["bob"] })).await.data();
}

#[tokio::test(start_paused = true)]
async fn who_hands_the_group_over_may_repeat_that() {
    let world = World::new().await;
    let (group, [ann, bob, _]) = two(&world).await;
    let fields = json!({ "admins": ["bob"], "add": ["cat"], "clientRequestId": "u1" });
    ann.updates(&group, fields.clone()).await.data();
    let told = bob.hears("conversation:updated").await;
    assert_eq!((&told["added"], &told["admins"]), (&json!(["cat"]), &json!(["bob"])), "each once");
    assert_eq!(ann.updates(&group, json!({ "name": "Mine" })).await.code(), "forbidden");
    ann.updates(&group, fields).await.data();
    bob.updates(&group, json!({ "admins": ["bob", "cat"] })).await.data();
    let later = [member("ann"), admin("bob"), admin("cat")];
    assert_eq!(bob.members(&group).await, later);
    ann.updates(&group, json!({ "admins": ["bob"], "add": ["cat"], "clientRequestId": "u1" })).await.data();
    assert_eq!(bob.members(&group).await, later, "whom a later one has appointed stays");
}

#[tokio::test(start_paused = true)]
async fn a_member_who_cannot_be_read_stops_nothing_for_the_others() {
    let world = World::new().await;
    let (group, [ann, bob, _]) = two(&world).await;
    let pk = format!("CONV#{}", group.as_str().expect("an id"));
    world.edits(&pk, "MEMBER#dan", |member| drop(member.insert("role".to_owned(), json!({ "S": "owner" }))));
    ann.sends(&group, "three").await.data();
    assert_eq!(bob.heard_messages()[0]["seq"], 3);
    assert_eq!(bob.history(&group).await.len(), 3);
    let ended =
        world.items().into_iter().filter(|item| item["sk"].as_str().is_some_and(|sk| sk.starts_with("RECEIPT#")));
    assert_eq!(ended.count(), 3, "the send has ended");
    assert_eq!(ann.updates(&group, json!({ "add": ["cat"] })).await.code(), "unavailable");
}

/// Who has seen it before writes after: else the group forgets what was asked meanwhile, and a repeat of that changes it once more.
#[tokio::test(start_paused = true)]
async fn a_name_that_is_given_meanwhile_is_remembered() {
    let world = World::new().await;
    let (group, [ann, bob, _]) = two(&world).await;
    ann.updates(&group, json!({ "admins": ["ann", "bob"] })).await.data();
    let looks = |call: &tests::Call| call.function == "groups" && call.operation.item_kind() == Some("META");
    world.breaks_once(Fault::Late(Duration::from_secs(1)), looks);
    let two = json!({ "name": "Two", "clientRequestId": "u2" });
    let meanwhile = async {
        world.advance(Duration::from_millis(200)).await;
        bob.updates(&group, two.clone()).await.data();
    };
    let one = ann.updates(&group, json!({ "name": "One", "clientRequestId": "u1" }));
    futures::future::join(one, meanwhile).await.0.data();
    let again = bob.updates(&group, two.clone()).await;
    assert_eq!(again["conversation"]["name"], "One", "an old repeat");
    world.comes_to_rest().await;
}

/// Who has added somebody is slow to say that all is done for them; meanwhile they are removed, by a function that dies.
#[tokio::test(start_paused = true)]
async fn what_follows_from_a_later_change_stays_due() {
    let world = World::new().await;
    let (group, [ann, bob, cat]) = two(&world).await;
    ann.updates(&group, json!({ "admins": ["ann", "bob"] })).await.data();
    let counts = |call: &tests::Call| call.function == "groups" && call.operation.writes("META");
    world.breaks_once(Fault::Late(Duration::from_secs(1)), counts);
    let meanwhile = async {
        world.advance(Duration::from_millis(400)).await;
        world.breaks_once(Fault::KillBefore, |call| call.operation.writes("INBOX#"));
        let removes = json!({ "action": "updateGroup", "conversationId": group, "remove": ["cat"] });
        let _ = bob.tries(removes).await;
        world.heals();
    };
    futures::future::join(ann.updates(&group, json!({ "add": ["cat"] })), meanwhile).await.0.data();
    world.comes_to_rest().await;
    assert_eq!(cat.syncs().await["left"], json!([group]));
}

/// A read that may be behind would show what it was.
#[tokio::test(start_paused = true)]
async fn who_is_back_is_not_told_that_they_are_out_though_their_inbox_is_not_told_yet() {
    let world = World::new().await;
    let (group, [ann, bob, _]) = two(&world).await;
    ann.updates(&group, json!({ "remove": ["bob"] })).await.data();
    world.breaks(|call| {
        let of_members = call.operation.keys().iter().any(|sk| sk.starts_with("MEMBER#"));
        let is_behind = of_members && !call.operation.is_strong();
        let dies = call.function == "groups" && call.operation.writes("INBOX#");
        is_behind.then_some(Fault::Repeats).or(dies.then_some(Fault::KillBefore))
    });
    assert_eq!(bob.syncs().await["left"], json!([group]));
    let _ = ann.tries(json!({ "action": "updateGroup", "conversationId": group, "add": ["bob"] })).await;
    assert!(bob.syncs().await.data().get("left").is_none());
    world.heals();
    world.comes_to_rest().await;
}

/// A read that may be behind would show what it was.
#[tokio::test(start_paused = true)]
async fn what_was_said_is_the_last_for_who_asks_then() {
    let world = World::new().await;
    let (group, [ann, bob, _]) = two(&world).await;
    let asks = json!({ "action": "getConversation", "conversationId": group });
    let is_behind = |call: &tests::Call| {
        call.operation.sk() == Some("TAIL") && !call.operation.is_write() && !call.operation.is_strong()
    };
    world.breaks(move |call| is_behind(call).then_some(Fault::Repeats));
    assert_eq!(bob.says(asks.clone()).await["conversation"]["lastSeq"], 2);
    ann.sends(&group, "three").await.data();
    assert_eq!(bob.says(asks).await["conversation"]["lastSeq"], 3);
}
