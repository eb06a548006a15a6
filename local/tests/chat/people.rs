//! People chat, go away and come back.

use std::collections::BTreeSet;

use futures::future::{join, join_all};
use serde_json::{Value, json};

use crate::client::{Client, send};
use crate::world::{World, comes_to, eventually, sum};

#[tokio::test]
async fn two_people_chat() {
    let world = World::start(&[]).await;
    let (mut ann, mut bob) = (Client::connects(&world, "ann").await, Client::connects(&world, "bob").await);

    let made = ann.asks(json!({ "action": "getOrCreateDirect", "otherUserId": "bob" })).await;
    assert_eq!(made["created"], true);
    let conversation = made["conversation"]["conversationId"].clone();
    assert_eq!(bob.hears("conversation:created").await["conversation"]["conversationId"], conversation);

    let request = json!({ "action": "sendMessage", "conversationId": conversation, "content": "hello",
        "clientMessageId": "1" });
    let sent = ann.asks(request).await;
    assert_eq!((&sent["duplicate"], &sent["message"]["seq"]), (&json!(false), &json!(1)));
    assert_eq!(bob.hears("message:new").await["message"], sent["message"]);
    ann.asks(send("bob", "are you there?", "2")).await;

    comes_to(json!([2, 2]), async || {
        let listed = bob.asks(json!({ "action": "getConversations" })).await;
        json!([listed["totalUnread"], listed["conversations"][0]["unread"]])
    })
    .await;
    for (mark, status) in [("markDelivered", "delivered"), ("markRead", "read")] {
        bob.asks(json!({ "action": mark, "conversationId": conversation, "seq": 2 })).await;
        let told = ann.hears("message:status").await;
        assert_eq!((&told["status"], &told["seq"], &told["userId"]), (&json!(status), &json!(2), &json!("bob")));
    }
    let receipts = ann.asks(json!({ "action": "getReceipts", "conversationId": conversation, "seq": 2 })).await;
    assert_eq!(receipts["read"], json!(["bob"]));

    bob.asks(json!({ "action": "typing", "conversationId": conversation, "typing": true })).await;
    assert_eq!(ann.hears("typing").await["typing"], true);
    bob.asks(send("ann", "yes", "1")).await;
    assert_eq!(ann.hears("message:new").await["message"]["content"], "yes");

    let history = ann.reads_all(conversation.as_str().expect("an id")).await;
    let said: Vec<&Value> = history.iter().map(|message| &message["content"]).collect();
    assert_eq!(said, ["hello", "are you there?", "yes"]);
    assert_eq!(history[0]["status"], "read");
    comes_to(json!([3, 0]), async || {
        let one = bob.asks(json!({ "action": "getConversation", "conversationId": conversation })).await;
        json!([one["conversation"]["lastSeq"], one["conversation"]["unread"]])
    })
    .await;
}

#[tokio::test]
async fn a_stranger_s_first_message_can_be_answered_as_soon_as_it_is_heard() {
    let world = World::start(&[]).await;
    let mut ann = Client::connects(&world, "ann").await;
    let names: Vec<String> = (0..24).map(|n| format!("stranger {n}")).collect();
    let strangers = join_all(names.iter().map(|name| Client::connects(&world, name))).await;
    let actions = ["markDelivered", "markRead", "typing"].into_iter().cycle();
    let answering = strangers.into_iter().zip(actions).map(|(mut stranger, action)| async move {
        let id = stranger.hears("message:new").await["message"]["conversationId"].take();
        let answer = stranger.asks(json!({ "action": action, "conversationId": id, "seq": 1, "typing": true })).await;
        assert!(action == "typing" || answer["deliveredSeq"] == 1, "{answer}");
    });
    let sends: Vec<Value> = names.iter().map(|name| send(name, "hello", name)).collect();
    join(ann.persists(&sends), join_all(answering)).await;
}

#[tokio::test]
async fn who_leaves_is_offline_and_was_last_seen_then() {
    let world = World::start(&[]).await;
    let (mut ann, mut bob) = (Client::connects(&world, "ann").await, Client::connects(&world, "bob").await);
    bob.asks(send("ann", "hello", "1")).await;
    let who = json!({ "action": "getPresence", "userIds": ["bob", "stranger"] });
    let online = json!([{ "userId": "bob", "online": true }, { "userId": "stranger", "online": false }]);
    comes_to(online, async || ann.asks(who.clone()).await["users"].take()).await;
    bob.leaves().await;
    eventually(async || {
        let bob = ann.asks(who.clone()).await["users"][0].take();
        bob["online"] == false && bob["lastSeenAt"].is_string()
    })
    .await;
}

#[tokio::test]
async fn a_paid_message_moves_coins_and_both_ledgers_add_up() {
    let world = World::start(&[]).await;
    world.credit("ann", 10).await;
    world.set_price("bob", 4).await;
    let (mut ann, mut bob) = (Client::connects(&world, "ann").await, Client::connects(&world, "bob").await);

    let mut dear = send("bob", "first", "1");
    dear["maxPrice"] = 3.into();
    assert_eq!(ann.is_refused(dear).await, "price_changed");
    let sent = ann.asks(send("bob", "first", "1")).await;
    assert_eq!((&sent["balance"], &sent["message"]["price"]), (&json!(6), &json!(4)));
    ann.asks(send("bob", "second", "2")).await;
    assert_eq!(ann.is_refused(send("bob", "third", "3")).await, "insufficient_balance");
    bob.asks(send("ann", "thanks, for free", "1")).await;

    for (client, balance, kinds) in
        [(&mut ann, 2, vec!["charge", "charge", "topup"]), (&mut bob, 8, vec!["earning", "earning"])]
    {
        let mut ledger = Value::Null;
        comes_to((json!(balance), balance), async || {
            let mut answer = client.asks(json!({ "action": "getBalance" })).await;
            ledger = client.asks(json!({ "action": "getTransactions" })).await;
            (answer["balance"].take(), sum(&ledger))
        })
        .await;
        let lines = ledger["transactions"].as_array().expect("a page").iter();
        assert_eq!(lines.map(|line| line["kind"].as_str().expect("a kind")).collect::<Vec<_>>(), kinds);
    }
}

#[tokio::test]
async fn who_was_away_gets_everything_in_order_and_once() {
    const MESSAGES: u64 = 120;
    const PAGE: u64 = 50;
    let world = World::start(&[]).await;
    let (mut ann, mut cid) = (Client::connects(&world, "ann").await, Client::connects(&world, "cid").await);
    for n in 1..=MESSAGES {
        ann.asks(send("bob", &format!("number {n}"), &n.to_string())).await;
    }
    cid.asks(send("bob", "another conversation", "1")).await;
    comes_to(json!(MESSAGES + 1), async || world.stats().await["undelivered"].take()).await;

    let mut bob = Client::connects(&world, "bob").await;
    bob.has_heard("sync:page");
    let done = bob.asks(json!({ "action": "sync", "limit": PAGE })).await;
    assert_eq!(done, json!({ "conversations": 2, "messages": MESSAGES + 1, "complete": true }));
    let pages = bob.has_heard("sync:page");
    assert_eq!(pages.iter().map(|page| &page["hasMore"]).collect::<Vec<_>>(), [false, true, true, false]);
    let of_ann = pages[1..].iter().flat_map(|page| page["messages"].as_array().expect("messages"));
    let got: Vec<(u64, String)> = of_ann
        .map(|message| (message["seq"].as_u64().expect("a number"), message["content"].as_str().expect("text").into()))
        .collect();
    assert_eq!(got, (1..=MESSAGES).map(|n| (n, format!("number {n}"))).collect::<Vec<_>>());

    for page in [&pages[0], &pages[3]] {
        let messages = page["messages"].as_array().expect("messages");
        let last = &messages.last().expect("a message")["seq"];
        let mark = json!({ "action": "markDelivered", "conversationId": page["conversationId"], "seq": last });
        bob.asks(mark).await;
    }
    assert_eq!(bob.asks(json!({ "action": "sync" })).await["messages"], 0);
    assert_eq!(world.stats().await["undelivered"], 0);
}

/// So young a dead connection isn't forgotten yet: it might be about to open. That it is later, virtual time shows.
#[tokio::test]
async fn a_push_to_a_dead_connection_harms_no_other() {
    let world = World::start(&["--lose-disconnects", "100"]).await;
    let mut ann = Client::connects(&world, "ann").await;
    let (mut phone, tablet) = (Client::connects(&world, "bob").await, Client::connects(&world, "bob").await);
    let who = json!({ "action": "getPresence", "userIds": ["bob"] });
    // Who writes is seen by whom they write to.
    phone.asks(send("ann", "here I am", "0")).await;
    tablet.leaves().await;
    assert_eq!(world.stats().await["connections"], 3, "nobody was told that the tablet has gone");

    ann.asks(send("bob", "to both", "1")).await;
    assert_eq!(phone.hears("message:new").await["message"]["content"], "to both");
    assert_eq!(ann.asks(who.clone()).await["users"][0]["online"], true);
    ann.asks(send("bob", "to the phone", "2")).await;
    assert_eq!(phone.hears("message:new").await["message"]["content"], "to the phone");

    phone.leaves().await;
    assert_eq!(ann.asks(who).await["users"][0]["online"], true, "nobody was told that the phone has gone");
    ann.asks(send("bob", "to nobody", "3")).await;
    comes_to(json!(3), async || world.stats().await["undelivered"].take()).await;

    let mut bob = Client::connects(&world, "bob").await;
    let page = bob.hears("sync:page").await;
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(3));
    ann.asks(send("bob", "welcome back", "4")).await;
    assert_eq!(bob.hears("message:new").await["message"]["content"], "welcome back");
}

/// The gateway takes fewer pushes for a connection than come at once; nobody syncs.
#[tokio::test]
async fn what_the_gateway_refuses_comes_a_little_later() {
    let world = World::start(&["--pushes-per-second", "2"]).await;
    let mut bob = Client::connects(&world, "bob").await;
    let names: Vec<String> = (0..8).map(|n| format!("friend {n}")).collect();
    let mut friends = join_all(names.iter().map(|name| Client::connects(&world, name))).await;
    let request = [send("bob", "happy birthday", "1")];
    join_all(friends.iter_mut().map(|friend| friend.asks_at_once(&request))).await;
    let mut senders = BTreeSet::new();
    while senders.len() < names.len() {
        let message = bob.hears("message:new").await;
        senders.insert(message["message"]["senderId"].as_str().expect("a user").to_owned());
    }
}
