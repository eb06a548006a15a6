//! Who blocks whom, and what each sees of the other then.

use std::time::Duration;

use futures::future::join;
use serde_json::{Value, json};
use shared::limits::{BLOCK_PAGES_MAX, BLOCKS_MAX};
use shared::store::table::Key;
use tests::{Answer, Call, Fault, Operation, Phone, World};
use wire::{ACTIONS, Kind, kind_of};

async fn blocks(phone: &Phone, user: &str) -> Answer {
    phone.says(json!({ "action": "blockUser", "userId": user })).await
}

async fn unblocks(phone: &Phone, user: &str) -> Answer {
    phone.says(json!({ "action": "unblockUser", "userId": user })).await
}

/// Ann and Bob, who have said something to each other; and their conversation.
async fn two_who_talk(world: &World) -> (Phone, Phone, Value) {
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let sent = ann.sends_to("bob", "hello").await;
    bob.sends_to("ann", "hello yourself").await.data();
    (ann, bob, sent["message"]["conversationId"].clone())
}

/// Everything that is kept but for presence.
fn kept(world: &World) -> Vec<Value> {
    let mut items = world.items();
    items.retain(|item| item["sk"] != "PRESENCE");
    items.sort_by_key(|item| (item["pk"].to_string(), item["sk"].to_string()));
    items
}

#[tokio::test(start_paused = true)]
async fn who_is_blocked_sends_nothing_and_pays_nothing() {
    let world = World::new().await;
    world.prices("bob", 5).await;
    world.tops_up("ann", 20).await;
    let (ann, bob, conversation) = two_who_talk(&world).await;
    assert_eq!(*blocks(&bob, "ann").await.data(), json!({ "userId": "ann" }));
    world.comes_to_rest().await;
    let ledger = ann.says(json!({ "action": "getTransactions" })).await.data().clone();
    bob.heard();
    let before = kept(&world);
    world.calls();
    for refused in [ann.sends_to("bob", "still there?").await, ann.sends(&conversation, "hello?").await] {
        assert_eq!((refused.event(), refused.code()), ("message:error", "blocked"));
        assert_eq!(refused.frame["error"]["retryable"], false);
    }
    assert!(!world.calls().iter().any(|call| call.operation.is_write()));
    assert_eq!(kept(&world), before, "nothing is charged, claimed or said");
    assert_eq!(ann.balance().await, 15);
    assert_eq!(*ann.says(json!({ "action": "getTransactions" })).await.data(), ledger);
    assert!(bob.heard().is_empty());
    unblocks(&bob, "ann").await.data();
    assert_eq!(ann.sends(&conversation, "at last").await["message"]["seq"], 3);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn who_blocks_sends_nothing_either_until_they_unblock() {
    let world = World::new().await;
    let (_ann, bob, conversation) = two_who_talk(&world).await;
    blocks(&bob, "ann").await.data();
    assert_eq!(bob.sends(&conversation, "one more thing").await.code(), "blocked");
    assert_eq!(bob.sends_to("ann", "one more thing").await.code(), "blocked");
    assert_eq!(*unblocks(&bob, "ann").await.data(), json!({ "userId": "ann" }));
    bob.sends(&conversation, "one more thing").await.data();
}

#[tokio::test(start_paused = true)]
async fn who_is_blocked_makes_no_conversation() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    blocks(&bob, "ann").await.data();
    let opens = json!({ "action": "getOrCreateDirect", "otherUserId": "bob" });
    assert_eq!(ann.says(opens.clone()).await.code(), "blocked");
    assert_eq!(ann.sends_to("bob", "hi").await.code(), "blocked");
    let of_bob = json!({ "action": "getOrCreateDirect", "otherUserId": "ann" });
    assert_eq!(bob.says(of_bob.clone()).await.code(), "blocked", "nor does who blocks: the other would be told");
    assert!(!world.items().iter().any(|item| item["sk"] == "META"));
    assert!(ann.heard().is_empty());
    unblocks(&bob, "ann").await.data();
    ann.says(opens.clone()).await.data();
    blocks(&bob, "ann").await.data();
    assert_eq!(ann.says(opens).await.code(), "blocked", "also of one that is there");
    assert_eq!(bob.says(of_bob).await["conversation"]["blocked"], true, "who blocks sees it");
}

/// What of all that ann may ask about bob, or about what they have together, each of the two is refused.
#[tokio::test(start_paused = true)]
async fn of_every_action_these_are_refused() {
    for (who, refused) in [
        ("ann", &["getOrCreateDirect", "createGroup", "sendMessage", "typing"][..]),
        ("bob", &["sendMessage", "typing"]),
    ] {
        let world = World::new().await;
        let (ann, bob, _) = two_who_talk(&world).await;
        blocks(&bob, "ann").await.data();
        let (phone, other) = if who == "ann" { (&ann, "bob") } else { (&bob, "ann") };
        for (action, mut frame) in ACTIONS.iter().flat_map(|action| action.frames().map(move |it| (action, it))) {
            let named = frame["conversationId"].as_str().and_then(|id| id.parse().ok());
            if named.is_some_and(|id| kind_of(&id) == Some(Kind::Group)) {
                // In those that they are in both go on.
                continue;
            }
            for field in ["to", "otherUserId"] {
                if frame.get(field).is_some() {
                    frame[field] = other.into();
                }
            }
            if frame.get("participants").is_some() {
                frame["participants"] = json!([other]);
            }
            let answer = phone.says(frame.clone()).await;
            if refused.contains(&action.name) {
                assert_eq!(answer.code(), "blocked", "{who}: {frame}");
            } else {
                assert_eq!(answer.event(), action.answer, "{who}: {frame}");
            }
        }
        world.is_sound();
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_block_is_answered_as_before() {
    let world = World::new().await;
    let (ann, bob, conversation) = two_who_talk(&world).await;
    let (finished, decided, published) = (
        ann.message_to("bob", "finished"),
        ann.dies_sending("bob", "decided").await,
        ann.message_to("bob", "published"),
    );
    ann.says(finished.clone()).await.data();
    world.breaks_once(Fault::KillAfter, |call| call.operation.writes("MSG#"));
    assert!(ann.tries(published.clone()).await.is_none(), "the function has died");
    world.heals();
    blocks(&bob, "ann").await.data();
    for frame in [finished, decided, published] {
        let answer = ann.says(frame.clone()).await;
        assert_eq!(answer["duplicate"], true, "{frame}");
    }
    assert_eq!(ann.history(&conversation).await.len(), 5);
    assert_eq!(ann.sends(&conversation, "another").await.code(), "blocked");
    world.comes_to_rest().await;
}

/// A block that is placed between a send's look and its claim: the send was decided by what the look saw, and goes on.
#[tokio::test(start_paused = true)]
async fn a_send_that_was_looked_at_before_the_block_goes_on() {
    let world = World::new().await;
    let (ann, bob, conversation) = two_who_talk(&world).await;
    let is_look = |call: &Call| {
        call.function == "send" && !call.operation.is_write() && call.operation.item_kind() == Some("ACCOUNT")
    };
    world.breaks_once(Fault::Late(Duration::from_secs(1)), is_look);
    let later = async {
        world.advance(Duration::from_millis(500)).await;
        blocks(&bob, "ann").await.data();
        world.now()
    };
    let (sent, blocked_at) = join(ann.sends(&conversation, "in between"), later).await;
    assert_eq!(sent["message"]["seq"], 3);
    let claimed = world.items().into_iter().find(|item| item["content"] == "in between").expect("it is in the log");
    assert!(claimed["created_at"].as_i64() > Some(blocked_at.ms), "claimed after the block was answered");
    assert_eq!(ann.sends(&conversation, "and after it").await.code(), "blocked");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_block_costs_no_round_trip_and_two_units_of_reading() {
    let world = World::new().await;
    let (ann, _, conversation) = two_who_talk(&world).await;
    world.calls();
    ann.sends(&conversation, "hi").await.data();
    let calls = world.calls();
    let looks: Vec<&Call> = calls.iter().filter(|call| call.operation.item_kind() == Some("BLOCK")).collect();
    let [look] = looks[..] else { panic!("{looks:#?}") };
    assert!(look.operation.is_strong());
    assert_eq!((look.operation.keys(), look.round_trip, look.units), (vec!["BLOCK#bob", "BLOCK#ann"], 1, 2.0));
}

/// How far bob is shown that ann has come with his message 2: in a page, in his list, in a sync, and among the receipts.
async fn shown_to(bob: &Phone, conversation: &Value) -> [Value; 4] {
    let page = bob.history(conversation).await.into_iter().find(|message| message["seq"] == 2);
    let list = bob.says(json!({ "action": "getConversations" })).await;
    let sync = bob.says(json!({ "action": "sync", "since": { conversation.as_str().expect("an id"): 1 } })).await;
    let receipts = bob.says(json!({ "action": "getReceipts", "conversationId": conversation, "seq": 2 })).await;
    let status = match (&receipts["delivered"], &receipts["read"]) {
        (_, read) if *read == json!(["ann"]) => "read",
        (delivered, _) if *delivered == json!(["ann"]) => "delivered",
        _ => "sent",
    };
    let of = |message: Option<&Value>| message.map_or(Value::Null, |message| message["status"].clone());
    [
        of(page.as_ref()),
        list["conversations"][0]["lastMessage"]["status"].clone(),
        of(sync.messages().first()),
        status.into(),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_a_blocked_person_reads_is_kept_and_not_shown() {
    let world = World::new().await;
    let (ann, bob, conversation) = two_who_talk(&world).await;
    let tablet = world.person("ann").connects().await;
    assert_eq!(shown_to(&bob, &conversation).await, ["sent"; 4].map(Value::from));
    ann.marks_delivered(&conversation, 2).await.data();
    assert_eq!(bob.hears("message:status").await["status"], "delivered");
    blocks(&bob, "ann").await.data();
    bob.heard();
    let marked = ann.marks_read(&conversation, 2).await;
    assert_eq!((&marked["deliveredSeq"], &marked["readSeq"]), (&json!(2), &json!(2)), "kept");
    assert_eq!(tablet.hears("message:status").await["status"], "delivered");
    assert_eq!(tablet.hears("message:status").await["status"], "read", "told to her own devices");
    assert!(bob.heard().is_empty(), "and not to him");
    assert_eq!(shown_to(&bob, &conversation).await, ["delivered"; 4].map(Value::from), "as before the block");
    blocks(&bob, "ann").await.data();
    assert_eq!(shown_to(&bob, &conversation).await, ["delivered"; 4].map(Value::from), "also when asked for again");
    unblocks(&bob, "ann").await.data();
    assert_eq!(shown_to(&bob, &conversation).await, ["read"; 4].map(Value::from));
    bob.marks_read(&conversation, 2).await.data();
    world.comes_to_rest().await;
}

/// A mark that waits in the queue when its reader is blocked.
#[tokio::test(start_paused = true)]
async fn a_queued_mark_is_not_told_to_who_blocks_meanwhile() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let mut marks = Vec::new();
    let mut others = Vec::new();
    for n in 0..33 {
        let phone = world.person(&format!("user {n}")).connects().await;
        let sent = phone.sends_to("ann", "hi").await;
        marks.push(json!({ "conversationId": sent["message"]["conversationId"], "seq": 1 }));
        others.push(phone);
    }
    ann.says(json!({ "action": "markRead", "marks": marks })).await.data();
    let last = others.last().expect("one");
    blocks(last, "ann").await.data();
    last.heard();
    world.queue_empties().await;
    assert!(last.heard().is_empty());
    assert!(world.dead_letters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_looks_offline_to_the_other() {
    let world = World::new().await;
    let (ann, bob, _) = two_who_talk(&world).await;
    let eve = world.person("eve").connects().await;
    eve.sends_to("bob", "hi").await.data();
    let sees = async |phone: &Phone, user: &str| {
        let asked = json!({ "action": "getPresence", "userIds": [user, "eve", &phone.person.id] });
        phone.says(asked).await["users"].clone()
    };
    let (there, gone) = (json!({ "userId": "bob", "online": true }), json!({ "userId": "bob", "online": false }));
    assert_eq!(sees(&ann, "bob").await[0], there);
    blocks(&bob, "ann").await.data();
    assert_eq!(sees(&ann, "bob").await[0], gone);
    let seen = sees(&bob, "ann").await;
    assert_eq!(seen[0], json!({ "userId": "ann", "online": false }));
    assert_eq!((&seen[1]["online"], &seen[2]["online"]), (&json!(true), &json!(true)), "others as ever");
    let other = world.person("bob").connects().await;
    other.goes_away().await;
    assert_eq!(sees(&ann, "bob").await[0], gone, "and never seen");
    unblocks(&bob, "ann").await.data();
    assert_eq!(sees(&ann, "bob").await[0], there);
}

#[tokio::test(start_paused = true)]
async fn ones_other_devices_are_told_and_nobody_else() {
    let world = World::new().await;
    let (ann, bob, conversation) = two_who_talk(&world).await;
    let tablet = world.person("bob").connects().await;
    [&ann, &bob].into_iter().for_each(|phone| drop(phone.heard()));
    let seen = json!({ "action": "getConversation", "conversationId": conversation });
    blocks(&bob, "ann").await.data();
    assert_eq!(tablet.hears("blocked").await, json!({ "userId": "ann" }));
    assert_eq!(tablet.says(seen.clone()).await["conversation"]["blocked"], true);
    assert!(ann.says(seen.clone()).await["conversation"].get("blocked").is_none(), "who is blocked isn't told");
    unblocks(&bob, "ann").await.data();
    assert_eq!(tablet.hears("unblocked").await, json!({ "userId": "ann" }));
    assert!(tablet.says(seen).await["conversation"].get("blocked").is_none());
    assert!(ann.heard().is_empty() && bob.heard().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_blocks_themselves_and_to_unblock_whom_one_does_not_block_is_nothing() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    world.calls();
    for action in ["blockUser", "unblockUser"] {
        assert_eq!(ann.says(json!({ "action": action, "userId": "ann" })).await.code(), "self_conversation");
        assert_eq!(ann.says(json!({ "action": action })).await.details()["field"], "userId");
        assert_eq!(ann.says(json!({ "action": action, "userId": "" })).await.details()["field"], "userId");
    }
    assert_eq!(*unblocks(&ann, "bob").await.data(), json!({ "userId": "bob" }));
    assert!(!world.calls().iter().any(|call| call.operation.is_write()));
}

/// Whom somebody blocks, page by page, and how many each page had.
async fn blocked(phone: &Phone, limit: u64) -> (Vec<String>, Vec<usize>) {
    let (mut all, mut pages, mut cursor) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let page = phone.says(json!({ "action": "getBlocked", "limit": limit, "cursor": cursor })).await;
        let users: Vec<String> = page["userIds"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|id| id.as_str().expect("an id").to_owned())
            .collect();
        pages.push(users.len());
        all.extend(users);
        match page.data().get("nextCursor") {
            Some(next) => cursor = next.clone(),
            None => return (all, pages),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whom_one_blocks_is_listed_page_by_page() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    assert_eq!(blocked(&ann, 10).await, (vec![], vec![0]));
    for n in 0..7 {
        blocks(&ann, &format!("user {n}")).await.data();
    }
    for n in [2, 3] {
        unblocks(&ann, &format!("user {n}")).await.data();
    }
    let all = [0, 1, 4, 5, 6].map(|n| format!("user {n}")).to_vec();
    assert_eq!(blocked(&ann, 2).await, (all.clone(), vec![2, 2, 1]));
    assert_eq!(blocked(&ann, 5).await, (all, vec![5]));
    for cursor in ["%", "RU5UUlkjMQ", ""] {
        let refused = ann.says(json!({ "action": "getBlocked", "cursor": cursor })).await;
        assert_eq!((refused.code(), &refused.details()["field"]), ("bad_request", &json!("cursor")), "{cursor}");
    }
    assert_eq!(blocked(&world.person("bob").connects().await, 10).await.0.len(), 0, "each has their own");
}

#[tokio::test(start_paused = true)]
async fn among_many_blocks_that_were_taken_back_a_page_is_looked_for_so_long() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for n in 0..20 {
        blocks(&ann, &format!("user {n:02}")).await.data();
    }
    for n in 0..19 {
        unblocks(&ann, &format!("user {n:02}")).await.data();
    }
    world.breaks(|call| {
        let lists = matches!(&call.operation, Operation::Dynamo(name, _) if name == "Query");
        (lists && call.operation.item_kind() == Some("BLOCK")).then_some(Fault::Part(1))
    });
    world.calls();
    let page = ann.says(json!({ "action": "getBlocked", "limit": 5 })).await;
    assert_eq!((&page["userIds"], page["nextCursor"].is_string()), (&json!([]), true), "shorter than its limit");
    let queries = world.calls().iter().filter(|call| call.operation.item_kind() == Some("BLOCK")).count();
    assert_eq!(queries, BLOCK_PAGES_MAX as usize);
    assert_eq!(blocked(&ann, 5).await.0, ["user 19"]);
}

#[tokio::test(start_paused = true)]
async fn so_many_are_blocked_and_no_more() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for n in 1..BLOCKS_MAX {
        let key = Key::block(&"ann".parse().expect("an id"), &format!("user {n}").parse().expect("an id"));
        world.edits(&key.pk, &key.sk, |block| {
            block.insert("version".to_owned(), json!({ "N": "1" }));
            block.insert("blocked".to_owned(), json!({ "BOOL": true }));
        });
    }
    blocks(&ann, "the last").await.data();
    let refused = blocks(&ann, "one too many").await;
    let details = json!({ "what": "blocked users", "max": BLOCKS_MAX });
    assert_eq!((refused.code(), refused.details()), ("too_many", &details));
    blocks(&ann, "the last").await.data();
    unblocks(&ann, "the last").await.data();
    blocks(&ann, "one too many").await.data();
    assert!(world.is_verified(false).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_block_that_can_not_be_read_holds() {
    let world = World::new().await;
    let (ann, bob, conversation) = two_who_talk(&world).await;
    blocks(&bob, "ann").await.data();
    world.edits("USER#bob", "BLOCK#ann", |block| block["version"] = json!({ "S": "x" }));
    assert_eq!(ann.sends(&conversation, "hi").await.code(), "blocked");
    ann.marks_read(&conversation, 2).await.data();
    assert_eq!(shown_to(&bob, &conversation).await, ["sent"; 4].map(Value::from));
    assert_eq!(unblocks(&bob, "ann").await.code(), "unavailable", "who can't see it changes nothing");
    assert_eq!(bob.says(json!({ "action": "getBlocked" })).await["userIds"], json!([]));
    assert_eq!(world.is_verified(false).await.len(), 1);
}

/// A request whose answer was lost is repeated by the SDK, and the last one that was answered holds.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_and_others_at_the_same_moment_change_nothing_twice() {
    let world = World::new().await;
    let (ann, bob, conversation) = two_who_talk(&world).await;
    let tablet = world.person("bob").connects().await;
    for round in 0..8 {
        world.breaks_once(Fault::LoseReply, |call| call.operation.writes("BLOCK#"));
        blocks(&bob, "ann").await.data();
        assert_eq!(ann.sends(&conversation, "hi").await.code(), "blocked", "{round}");
        join(unblocks(&bob, "ann"), unblocks(&tablet, "ann")).await.0.data();
        ann.sends(&conversation, "hi").await.data();
    }
    let block = world.items().into_iter().find(|item| item["sk"] == "BLOCK#ann").expect("it stays");
    assert_eq!(block["blocked"], false);
    world.comes_to_rest().await;
}

/// An update replaces the function `presence` before it moves these routes to `people`.
#[tokio::test(start_paused = true)]
async fn during_an_update_the_function_that_answered_before_goes_on_answering() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for (frame, answer) in [
        (json!({ "action": "updateProfile", "name": "Ann", "requestId": "1" }), "profile"),
        (json!({ "action": "getUsers", "userIds": ["ann"], "requestId": "2" }), "users"),
    ] {
        let event = json!({
            "requestContext": {
                "connectionId": ann.connection,
                "authorizer": { "userId": "ann", "expiresAt": "4102444800000" },
            },
            "body": frame.to_string(),
        });
        world.invoke("presence", event).await.expect("it answers");
        assert_eq!(ann.heard()[0]["event"], answer);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_blocked_adds_nobody_to_a_group_and_groups_with_both_go_on() {
    let world = World::new().await;
    let (ann, bob, _) = two_who_talk(&world).await;
    let shared = ann.makes_group("before", &["bob"]).await;
    let with_cat = ann.makes_group("with-cat", &["cat"]).await;
    blocks(&bob, "ann").await.data();
    world.comes_to_rest().await;
    let before = kept(&world);
    let made =
        json!({ "action": "createGroup", "clientRequestId": "after", "name": "After", "participants": ["cat", "bob"] });
    let refused = ann.says(made.clone()).await;
    assert_eq!((refused.event(), refused.code()), ("error", "blocked"));
    assert_eq!(ann.updates(&with_cat, json!({ "add": ["dan", "bob"] })).await.code(), "blocked");
    assert_eq!(kept(&world), before, "nobody is added, the others neither");
    bob.heard();
    let sent = ann.sends(&shared, "all hear this").await.data().clone();
    assert_eq!(bob.hears("message:new").await["message"]["seq"], sent["message"]["seq"]);
    assert_eq!(bob.sends(&shared, "and this").await["message"]["seq"], 2);
    ann.says(json!({ "action": "markRead", "conversationId": shared, "seq": 2 })).await.data();
    assert_eq!(bob.hears("message:status").await["userId"], "ann", "what is in a group is for all of it");
    let seen = bob.says(json!({ "action": "getPresence", "userIds": ["ann"], "conversationId": shared })).await;
    assert_eq!(seen["users"], json!([{ "userId": "ann", "online": false }]));
    assert_eq!(bob.updates(&shared, json!({ "add": ["cat"] })).await.code(), "forbidden", "as ever");
    unblocks(&bob, "ann").await.data();
    assert_eq!(ann.says(made).await["conversation"]["participantCount"], 3);
    world.comes_to_rest().await;
}
