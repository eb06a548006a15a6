//! No function may do more than it does: every action, resource and kind of item that a policy in `template.yaml` allows
//! is used in the scenes below. That nothing else is needed is held in every world of every test: see [`tests::policy`].

use std::collections::BTreeSet;
use std::time::Duration;

use local::template::DEPLOYED;
use serde_json::json;
use shared::limits::{
    CONNECT_GRACE, CONNECTIONS_MAX, MEMBER_PATIENCE, SECRET_LIFE, TOKEN_LEEWAY, TOMBSTONE_LIFE, VOID_AFTER,
};
use tests::policy::Grant;
use tests::{Fault, Operation, Phone, World};
use wire::limits::MARKS_MAX;

/// After this a message is moved though nobody has it.
const UNDELIVERED_RETENTION: Duration = Duration::from_secs(90 * 86_400);

#[tokio::test(start_paused = true)]
async fn everything_that_is_allowed_is_used() {
    let world = World::new().await;
    coins_are_earned_and_spent(&world).await;
    messages_are_read(&world).await;
    many_marks_are_made(&world).await;
    people_are_named_and_blocked(&world).await;
    the_sweep_finishes_what_nobody_else_does(&world).await;
    an_account_is_of_an_earlier_version(&world).await;
    connections_end(&world).await;
    a_conversation_is_left_half_made(&world).await;
    groups_change(&world).await;
    pushes_fail(&world).await;
    tokens_expire(&world).await;
    pushes_meet_expired_tokens(&world).await;
    messages_grow_old(&world).await;
    everything_is_checked(&world).await;
    let (all, used) = (world.policies().all(), world.policies().used());
    let unused: Vec<String> = all.difference(&used).map(Grant::to_string).collect();
    assert!(unused.is_empty(), "template.yaml allows what nothing does:\n{}", unused.join("\n"));
    let table = &DEPLOYED[DEPLOYED.find("AWS::DynamoDB::Table").expect("a table")..];
    let expiry = table.split_once("TimeToLiveSpecification:").and_then(|(_, rest)| rest.split_once("AttributeName:"));
    if let Some(attribute) = expiry.and_then(|(_, rest)| rest.split_whitespace().next()) {
        let carried = world.items().iter().any(|item| !item[attribute].is_null());
        assert!(carried, "template.yaml has items expire by {attribute}, which none carries");
    }
}

/// A function of before knows no blocks: none is made until all are replaced that must ask for them.
#[tokio::test(start_paused = true)]
async fn who_makes_blocks_comes_after_all_who_ask_for_them() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let sent = bob.sends_to("ann", "hello").await;
    let conversation = &sent["message"]["conversationId"];
    for frame in [
        json!({ "action": "sync", "since": {} }),
        json!({ "action": "getConversations" }),
        json!({ "action": "getMessages", "conversationId": conversation }),
        json!({ "action": "typing", "conversationId": conversation, "typing": true }),
        json!({ "action": "getPresence", "userIds": ["bob"] }),
    ] {
        ann.says(frame).await;
    }
    world.admin("DELETE", "/api/messages/buffered/ann", None).await;
    ann.makes_group("g1", &["bob"]).await;
    many_marks_are_made(&world).await;
    let asks = |call: &tests::Call| call.operation.keys().iter().any(|key| key.starts_with("BLOCK#"));
    assert_eq!(functions_that(&world, asks), comes_after("PeopleFunction"));
}

/// A function of before knows no groups: none is made until all are replaced that read what is in one.
#[tokio::test(start_paused = true)]
async fn who_makes_groups_comes_after_all_who_read_what_is_in_one() {
    let world = World::new().await;
    groups_change(&world).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let group = ann.makes_group("g2", &["bob"]).await;
    let connection = bob.connection.clone();
    world.breaks(move |call| {
        matches!(&call.operation, Operation::Push(to) if *to == connection).then_some(Fault::Refuse(503))
    });
    ann.sends(&group, "by way of the queue").await.data();
    world.queue_empties().await;
    world.heals();
    world.advance(UNDELIVERED_RETENTION * 2).await;
    world.cleans_up().await;
    world.is_verified(false).await;
    let of_group = |call: &tests::Call| format!("{:?}", call.operation).contains("#g_");
    let mut reading = functions_that(&world, of_group);
    assert!(reading.remove("groups"), "it makes one");
    assert_eq!(reading, comes_after("GroupsFunction"));
}

/// The functions of the world that have made such a call.
fn functions_that(world: &World, calls: impl Fn(&tests::Call) -> bool) -> BTreeSet<String> {
    world.calls().iter().filter(|call| calls(call)).map(|call| call.function.to_owned()).collect()
}

/// Which functions an update must have replaced before it makes this one.
fn comes_after(function: &str) -> BTreeSet<String> {
    let declared =
        DEPLOYED.split_once(&format!("  {function}:\n")).and_then(|(_, rest)| rest.split_once("Properties:"));
    let names = declared.expect("it is deployed").0.lines();
    let names = names.filter_map(|line| line.trim().strip_prefix("- ")?.strip_suffix("Function"));
    names.map(str::to_lowercase).collect()
}

/// A price, a top-up, an earning, and a message that is paid with it.
async fn coins_are_earned_and_spent(world: &World) {
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    world.prices("ann", 5).await;
    world.prices("bob", 5).await;
    world.tops_up("ann", 20).await;
    ann.sends_to("bob", "for 5").await.data();
    assert_eq!(bob.balance().await, 5, "who has never sent has an account now");
    ann.sends_to("bob", "for 5").await.data();
    bob.sends_to("ann", "with what was settled").await.data();
    assert_eq!(bob.sends_to("ann", "with what was not").await["balance"], 0);
    ann.says(json!({ "action": "getTransactions" })).await.data();
    // Whoever checks a token by then fetches the secret again.
    world.advance(SECRET_LIFE).await;
    world.admin("GET", "/api/wallets/bob", None).await;
    world.admin("GET", "/api/wallets/bob/transactions", None).await;
}

/// What a client asks when it comes back.
async fn messages_are_read(world: &World) {
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let sent = ann.sends_to("bob", "read this").await;
    let (conversation, seq) = (&sent["message"]["conversationId"], &sent["message"]["seq"]);
    assert!(!bob.syncs().await.messages().is_empty());
    bob.says(json!({ "action": "getConversations" })).await.data();
    bob.says(json!({ "action": "getPresence", "userIds": ["ann"] })).await.data();
    assert!(!bob.history(conversation).await.is_empty());
    bob.marks_read(conversation, 2).await.data();
    ann.says(json!({ "action": "getReceipts", "conversationId": conversation, "seq": seq })).await.data();
    assert_ne!(world.person("bob").buffered().await["undelivered"], 0);
    world.admin("DELETE", "/api/messages/buffered/bob", None).await;
    bob.goes_away().await;
}

/// What somebody says of themselves, and whom they want nothing of for a while.
async fn people_are_named_and_blocked(world: &World) {
    let ann = world.person("ann").connects().await;
    for frame in [
        json!({ "action": "updateProfile" }),
        json!({ "action": "blockUser", "userId": "eve" }),
        json!({ "action": "getBlocked" }),
        json!({ "action": "unblockUser", "userId": "eve" }),
    ] {
        ann.says(frame).await.data();
    }
}

/// Of as many marks as there may be in a frame some are told by way of the queue.
async fn many_marks_are_made(world: &World) {
    let zoe = world.person("zoe").connects().await;
    let mut marks = Vec::new();
    for n in 0..MARKS_MAX {
        let sent = world.person(&format!("user {n}")).connects().await.sends_to("zoe", "mark this").await;
        marks.push(json!({ "conversationId": sent["message"]["conversationId"], "seq": 1 }));
    }
    zoe.says(json!({ "action": "markRead", "marks": marks })).await.data();
    assert!(!world.queued().is_empty());
    world.queue_empties().await;
    zoe.goes_away().await;
}

/// A send that died before its message was published, whose place another one took, and a send that died right after.
async fn the_sweep_finishes_what_nobody_else_does(world: &World) {
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    world.prices("ann", 0).await;
    for (fault, heard) in [(Fault::KillBefore, 0), (Fault::KillAfter, 1)] {
        world.advance(VOID_AFTER).await;
        world.breaks_once(fault, |call| call.operation.writes("MSG#"));
        assert!(ann.tries(ann.message_to("bob", "unfinished")).await.is_none(), "the function died");
        bob.sends_to("ann", "meanwhile").await.data();
        world.comes_to_rest().await;
        assert_eq!(bob.heard_messages().len(), heard);
    }
}

/// The sweep finds out up to which id an earlier version has dropped.
async fn an_account_is_of_an_earlier_version(world: &World) {
    let lea = world.person("lea").connects().await;
    lea.sends_to("ann", "the earlier one has dropped this").await.data();
    world.edits("USER#lea", "ACCOUNT", |account| {
        account.remove("dropped_upto");
        account.remove("upto_epoch");
    });
    world.comes_to_rest().await;
}

/// A group is made, written in, read, changed and left; what stopped half-way is finished, and what is left of who has gone goes.
async fn groups_change(world: &World) {
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let group = ann.makes_group("g1", &["bob"]).await;
    ann.sends(&group, "hi all").await.data();
    bob.syncs().await.data();
    bob.marks_read(&group, 1).await.data();
    for frame in [
        json!({ "action": "getConversations" }),
        json!({ "action": "getPresence", "userIds": ["ann"], "conversationId": group }),
        json!({ "action": "typing", "conversationId": group, "typing": true }),
    ] {
        bob.says(frame).await.data();
    }
    ann.sends(&group, "not read").await.data();
    world.admin("DELETE", "/api/messages/buffered/bob", None).await;
    world.breaks_once(Fault::KillBefore, |call| call.operation.writes("INBOX#"));
    let _ = ann.tries(json!({ "action": "updateGroup", "conversationId": group, "add": ["cat"], "name": "All" })).await;
    world.heals();
    world.advance(MEMBER_PATIENCE * 2).await;
    world.sweeps().await;
    bob.leaves(&group).await.data();
    world.advance(TOMBSTONE_LIFE + MEMBER_PATIENCE * 2).await;
    world.sweeps().await;
    assert!(!world.items().iter().any(|item| item["sk"] == "MEMBER#bob"));
}

/// Pushes that fail are tried again; one never succeeds, one meets the end of its connection.
async fn pushes_fail(world: &World) {
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    world.advance(CONNECT_GRACE).await;
    let refuses = |phone: &Phone| {
        let connection = phone.connection.clone();
        world.breaks(move |call| {
            matches!(&call.operation, Operation::Push(to) if *to == connection).then_some(Fault::Refuse(503))
        });
    };
    refuses(&bob);
    ann.sends_to("bob", "never comes").await.data();
    world.queue_empties().await;
    assert_eq!(world.dead_letters().len(), 1);
    // One that the sweep finishes.
    let connection = bob.connection.clone();
    let mut killed = false;
    world.breaks(move |call| match &call.operation {
        Operation::Push(to) if *to == connection => Some(Fault::Refuse(503)),
        operation if !killed && operation.writes("MSG#") => {
            killed = true;
            Some(Fault::KillAfter)
        }
        _ => None,
    });
    assert!(ann.tries(ann.message_to("bob", "unfinished")).await.is_none(), "the function died");
    world.advance(VOID_AFTER).await;
    world.sweeps().await;
    assert_eq!(world.queued().len(), 1);
    world.heals();
    bob.vanishes();
    world.queue_empties().await;
    assert!(!bob.person.known_connections().contains(&bob.connection), "the push met the end");
}

/// Whoever meets a connection that has ended takes it out of presence; and what waits then is counted.
async fn connections_end(world: &World) {
    let (ann, dan) = (world.person("ann").connects().await, world.person("dan"));
    let ends = async || {
        dan.connects().await.vanishes();
        world.advance(CONNECT_GRACE + Duration::from_secs(1)).await;
    };
    ends().await;
    let conversation = ann.opens("dan").await;
    assert_eq!(dan.known_connections(), [""; 0], "the news of a conversation meets the end");
    ends().await;
    ann.says(json!({ "action": "typing", "conversationId": conversation, "typing": true })).await.data();
    assert_eq!(dan.known_connections(), [""; 0], "typing meets the end");
    ann.sends_to("dan", "hello").await.data();
    let stats = world.admin("GET", "/api/messages/buffer-stats", None).await;
    assert!(stats.body["oldestAt"].is_string(), "{stats:?}");
    for _ in 0..=CONNECTIONS_MAX {
        world.person("ivy").connects().await;
        world.advance(CONNECT_GRACE).await;
    }
}

/// Whoever reads in a conversation whose maker died makes what is missing.
async fn a_conversation_is_left_half_made(world: &World) {
    let phone = world.person("eve").connects().await;
    world.breaks_once(Fault::KillBefore, |call| call.operation.writes("INBOX#"));
    let asked = phone.tries(json!({ "action": "getOrCreateDirect", "otherUserId": "fay" })).await;
    assert!(asked.is_none(), "the function died");
    let of_fay = |item: &serde_json::Value| item["sk"] == "META" && item["members"].to_string().contains("fay");
    let meta = world.items().into_iter().find(of_fay).expect("the conversation was made");
    let id = meta["pk"].as_str().and_then(|pk| pk.strip_prefix("CONV#")).expect("a key");
    phone.says(json!({ "action": "typing", "conversationId": id, "typing": true })).await.data();
    phone.marks_read(&json!(id), 1).await.data();
}

/// What was said moves to the archive and is read from there; the conversation wakes up again, by a send and by the sweep.
async fn messages_grow_old(world: &World) {
    let (gus, hal) = (world.person("gus"), world.person("hal"));
    let conversation = gus.connects().await.sends_to("hal", "1").await["message"]["conversationId"].clone();
    gus.connects().await.sends(&conversation, "2").await.data();
    for (count, fault) in [(2, None), (3, Some(Fault::KillAfter))] {
        for _ in 0..3 {
            world.advance(UNDELIVERED_RETENTION * 2).await;
            world.cleans_up().await;
        }
        let (phone, other) = (gus.connects().await, hal.connects().await);
        assert_eq!(other.syncs().await.messages().len(), count);
        assert_eq!(other.history(&conversation).await.len(), count);
        if let Some(fault) = fault {
            world.breaks_once(fault, |call| call.operation.writes("MSG#"));
        }
        let _ = phone.tries(phone.message_to("hal", "awake")).await;
        world.comes_to_rest().await;
    }
}

/// Whatever function gets the frame of an expired token ends its connection.
async fn tokens_expire(world: &World) {
    let (person, life) = (world.person("ann"), Duration::from_secs(60));
    for action in &wire::ACTIONS {
        let phone = person.connects_for(life).await;
        world.advance(life + TOKEN_LEEWAY + Duration::from_secs(1)).await;
        assert_eq!(phone.says(json!({ "action": action.name })).await.code(), "token_expired");
        assert!(!phone.is_connected());
    }
}

/// An operator's news and a push that is tried again meet connections whose tokens have expired since.
async fn pushes_meet_expired_tokens(world: &World) {
    let ann = world.person("ann").connects().await;
    let life = Duration::from_secs(60);
    for by_operator in [true, false] {
        let ida = world.person("ida").connects_for(life).await;
        world.advance(CONNECT_GRACE).await;
        let connection = ida.connection.clone();
        world.breaks(move |call| {
            matches!(&call.operation, Operation::Push(to) if *to == connection).then_some(Fault::Refuse(503))
        });
        ann.sends_to("ida", "too late").await.data();
        world.heals();
        world.advance(life + TOKEN_LEEWAY).await;
        assert!(ida.is_connected());
        if by_operator {
            world.admin("DELETE", "/api/messages/buffered/ida", None).await;
        }
        assert_ne!(ida.is_connected(), by_operator);
        world.queue_empties().await;
        assert!(!ida.is_connected());
    }
}

/// An operator has everything checked, and what is missing mended: a conversation's place in the index, and an inbox.
async fn everything_is_checked(world: &World) {
    let meta = world.items().into_iter().find(|item| item["sk"] == "META").expect("a conversation");
    let (conversation, user) = (meta["pk"].as_str().expect("a key"), meta["members"][0].as_str().expect("somebody"));
    world.edits(conversation, "META", |item| item.retain(|name, _| !name.starts_with("work_") && name != "idle"));
    let inbox = conversation.replacen("CONV#", "INBOX#", 1);
    world.edits(&format!("USER#{user}"), &inbox, serde_json::Map::clear);
    assert_eq!(world.is_verified(true).await.iter().filter(|finding| finding["mended"] == true).count(), 2);
}
