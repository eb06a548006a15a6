//! Whatever call breaks, and however: what is left is one message and one charge, or neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::SECRET_REFETCH_AFTER;
use tests::{Call, Fault, Ids, Phone, World};

/// How a call breaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Break {
    /// Once.
    Once(Fault),
    /// Its reply is lost however often the SDK repeats it.
    NoReply,
}

pub(crate) const BREAKS: [Break; 5] = [
    Break::Once(Fault::LoseReply),
    Break::Once(Fault::KillBefore),
    Break::Once(Fault::KillAfter),
    Break::Once(Fault::Refuse(500)),
    Break::NoReply,
];

/// Who cleans up.
#[derive(Clone, Copy, Debug)]
enum Recovery {
    /// The client tries again at once.
    Retry,
    /// The sweep; then the client tries again.
    Sweep,
}

/// The call number N of a function breaks; tells whether there was such a call. Reads of the index don't count: there are
/// 16 of each kind of work, all alike.
pub(crate) fn break_nth(world: &World, function: &'static str, n: usize, how: Break) -> Arc<AtomicBool> {
    let fired = Arc::new(AtomicBool::new(false));
    let (fires, mut calls, mut broken) = (fired.clone(), 0, None);
    world.breaks(move |call: &Call| {
        if call.function != function || call.operation.reads_index() {
            return None;
        }
        calls += 1;
        fires.fetch_or(calls == n, Ordering::Relaxed);
        match how {
            Break::Once(fault) => (calls == n).then_some(fault),
            Break::NoReply => {
                if calls == n {
                    broken = Some(call.operation.clone());
                }
                (broken.as_ref() == Some(&call.operation)).then_some(Fault::LoseReply)
            }
        }
    });
    fired
}

/// A world where Ann has sent so many messages to Bob for 10 coins each, and can pay for two more.
async fn room(sent: usize, ids: Ids) -> (World, Phone, Phone) {
    // One a second: after a first message the rate is judged by its second form, which alone would let a repeat through.
    let parameters = [("ReceiverSharePercent", "70"), ("DefaultPrice", "10"), ("SendsPerSecond", "1")];
    let world = World::deployed_with(&parameters).await;
    world.tops_up("ann", 20 + 10 * sent as u64).await;
    let (ann, bob) = (world.person("ann").connects().await.with(ids), world.person("bob").connects().await);
    for n in 0..sent {
        ann.sends_to("bob", &format!("before {n}")).await.data();
    }
    bob.heard();
    (world, ann, bob)
}

/// One send of Ann's where one call breaks; then somebody cleans up. Tells whether there was such a call.
async fn a_send_breaks((sent, ids): (usize, Ids), n: usize, how: Break, recovery: Recovery) -> bool {
    let case = format!("{how:?} at call {n} of a send after {sent} with {ids:?}, then {recovery:?}");
    let (world, ann, bob) = room(sent, ids).await;
    let frame = ann.message_to("bob", "this one");
    let fired = break_nth(&world, "send", n, how);
    let first = ann.tries(frame.clone()).await;
    world.heals();
    world.is_sound();
    let last = match recovery {
        Recovery::Retry => {
            let last = ann.says(frame.clone()).await;
            assert_eq!(last.event(), "message:sent", "{case}");
            world.comes_to_rest().await;
            last
        }
        Recovery::Sweep => {
            world.comes_to_rest().await;
            ann.says(frame.clone()).await
        }
    };
    // One message that is answered as such, or one void that is answered as such.
    let history = bob.history(&conversation(&world).expect("by now there is one")).await;
    let ours: Vec<&Value> =
        history.iter().filter(|message| message["clientMessageId"] == frame["clientMessageId"]).collect();
    assert_eq!(ours.len(), 1, "{case}: {history:#?}");
    let messages = if ours[0]["deleted"] == true { 0 } else { 1 };
    match messages {
        0 => assert_eq!(last.code(), "send_expired", "{case}"),
        _ => assert_eq!(last["message"]["seq"], ours[0]["seq"], "{case}"),
    }
    if let Some(first) = first.filter(|first| first.frame["success"] == true) {
        assert_eq!(first["message"], last["message"], "{case}: an answer is contradicted");
    }
    let spent = 10 * (sent + messages) as u64;
    assert_eq!(ann.balance().await, 20 + 10 * sent as u64 - spent, "{case}");
    assert_eq!(bob.balance().await, spent * 7 / 10, "{case}");
    let next = ann.sends_to("bob", "and on").await;
    assert_eq!(next["message"]["seq"], history.len() + 1, "{case}");
    world.is_sound();
    fired.load(Ordering::Relaxed)
}

/// The one conversation, if there is one.
fn conversation(world: &World) -> Option<Value> {
    world.items().into_iter().find(|item| item["sk"] == "META").map(|item| item["id"].clone())
}

async fn every_call_of_a_send_breaks(sent: usize, ids: Ids) {
    for how in BREAKS {
        for recovery in [Recovery::Retry, Recovery::Sweep] {
            let mut n = 1;
            while a_send_breaks((sent, ids), n, how, recovery).await {
                n += 1;
            }
            assert!(n > 10, "a paid send makes more than {n} calls");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_message_survives_a_break_at_every_call() {
    every_call_of_a_send_breaks(0, Ids::TimeOrdered).await;
}

#[tokio::test(start_paused = true)]
async fn a_first_message_with_another_id_survives_a_break_at_every_call() {
    every_call_of_a_send_breaks(0, Ids::Other).await;
}

/// The second drops the first.
#[tokio::test(start_paused = true)]
async fn a_message_that_drops_another_survives_a_break_at_every_call() {
    every_call_of_a_send_breaks(1, Ids::TimeOrdered).await;
}

/// The fourth is the one that drops.
#[tokio::test(start_paused = true)]
async fn a_message_with_another_id_that_drops_others_survives_a_break_at_every_call() {
    every_call_of_a_send_breaks(3, Ids::Other).await;
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_gives_up_survives_a_break_at_every_call() {
    for how in BREAKS {
        for n in 1.. {
            let (world, ann, bob) = room(2, Ids::TimeOrdered).await;
            let (lost, half) = (ann.message_to("bob", "lost"), ann.message_to("bob", "half"));
            world.breaks_once(Fault::KillBefore, |call| call.operation.writes("MSG#"));
            assert!(ann.tries(lost).await.is_none());
            world.breaks_once(Fault::KillAfter, |call| call.operation.writes("MSG#"));
            assert!(ann.tries(half).await.is_none());
            world.heals();
            world.advance(std::time::Duration::from_secs(61)).await;
            let fired = break_nth(&world, "sweep", n, how);
            let _ = world.tries_to_sweep().await;
            world.heals();
            world.is_sound();
            world.comes_to_rest().await;
            assert_eq!((ann.balance().await, bob.balance().await), (10, 21), "{how:?} at call {n} of the sweep");
            world.comes_to_rest().await;
            if !fired.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_top_up_survives_a_break_at_every_call() {
    for how in BREAKS {
        for n in 1.. {
            let world = World::new().await;
            let fired = break_nth(&world, "admin", n, how);
            world.credits("ann", 7, "key").await;
            world.heals();
            world.is_sound();
            // Where it is the secret that could not be fetched, nobody fetches it before.
            world.advance(SECRET_REFETCH_AFTER + Duration::from_secs(1)).await;
            assert_eq!(world.credits("ann", 7, "key").await.body["balance"], 7, "{how:?} at call {n}");
            world.comes_to_rest().await;
            if !fired.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_creation_survives_a_break_at_every_call() {
    for how in BREAKS {
        for n in 1.. {
            let world = World::new().await;
            let ann = world.person("ann").connects().await;
            let fired = break_nth(&world, "conversations", n, how);
            let asks = json!({ "action": "getOrCreateDirect", "otherUserId": "bob" });
            let _ = ann.tries(asks.clone()).await;
            world.heals();
            let answer = ann.says(asks).await;
            assert_eq!(answer["conversation"]["participantCount"], 2, "{how:?} at call {n}");
            for who in ["ann", "bob"] {
                let list = world.person(who).connects().await.says(json!({ "action": "getConversations" })).await;
                assert_eq!(list["conversations"].as_array().map(Vec::len), Some(1), "{who}: {how:?} at call {n}");
            }
            world.is_at_rest();
            if !fired.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_mark_survives_a_break_at_every_call() {
    for how in BREAKS {
        for n in 1.. {
            let (world, _ann, bob) = room(2, Ids::TimeOrdered).await;
            let conversation = conversation(&world).expect("they have talked");
            let fired = break_nth(&world, "read", n, how);
            let _ = bob.tries(json!({ "action": "markRead", "conversationId": conversation, "seq": 2 })).await;
            world.heals();
            assert_eq!(bob.marks_read(&conversation, 2).await["readSeq"], 2, "{how:?} at call {n}");
            world.comes_to_rest().await;
            if !fired.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn presence_survives_a_break_at_every_call() {
    for how in BREAKS {
        for n in 1..=3 {
            let world = World::new().await;
            let (ann, bob) = (world.person("ann").connects().await, world.person("bob"));
            ann.opens("bob").await;
            break_nth(&world, "connect", n, how);
            let token = world.token("bob", Value::Null);
            if let Ok(accepted) = world.handshake(&tests::Handshake::with_header(&token)).await {
                bob.on(accepted.connection).vanishes();
            }
            world.heals();
            let phone = bob.connects().await;
            let tablet = bob.connects().await;
            break_nth(&world, "disconnect", n, how);
            tablet.goes_away().await;
            world.heals();
            world.advance(shared::limits::CONNECT_GRACE).await;
            ann.sends_to("bob", "hi").await.data();
            assert_eq!(phone.heard_messages().len(), 1, "{how:?} at call {n}");
            assert_eq!(
                bob.known_connections(),
                std::slice::from_ref(&phone.connection),
                "{how:?} at call {n}: the dead are forgotten"
            );
            world.comes_to_rest().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_folding_survives_a_break_at_every_call() {
    for how in BREAKS {
        for n in 1.. {
            let (world, _ann, bob) = room(3, Ids::Other).await;
            let fired = break_nth(&world, "wallet", n, how);
            let _ = bob.tries(json!({ "action": "getBalance" })).await;
            world.heals();
            world.is_sound();
            assert_eq!(bob.balance().await, 21, "{how:?} at call {n}");
            world.comes_to_rest().await;
            if !fired.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_published_is_shown_to_both_sides_at_once_whoever_died() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    ann.sends(&conversation, "one").await.data();
    bob.marks_read(&conversation, 1).await.data();
    world.breaks_once(Fault::KillAfter, |call| call.operation.writes("MSG#"));
    let frame = json!({
        "action": "sendMessage", "conversationId": conversation, "content": "two", "clientMessageId": "two",
    });
    assert!(ann.tries(frame).await.is_none());
    world.heals();
    for phone in [&ann, &bob] {
        let brought = phone.syncs().await.messages();
        assert_eq!(brought.iter().map(|message| &message["content"]).collect::<Vec<_>>(), ["two"]);
        assert_eq!(phone.history(&conversation).await.len(), 2);
    }
    bob.marks_read(&conversation, 2).await.data();
    world.comes_to_rest().await;
}
