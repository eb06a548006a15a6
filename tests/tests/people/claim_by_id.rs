//! Ids that sort by time: a send with such an id is claimed without a look for its RECEIPT, where the account says up to which id
//! all were dropped. An earlier version's accounts and drops don't say so.

use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::UPTO_PAGES_MAX;
use shared::store::accounts::{CLAIM_BY_ID, CLAIM_BY_ID_RAISES};
use shared::store::guards::Condition;
use tests::person::uuid_v7;
use tests::{Call, Fault, Ids, Operation, Phone, World};
use wire::Time;

use super::to_the_last::item;

/// Long after the worlds' time.
const A_YEAR_AHEAD: Time = Time { ms: 1_800_000_000_000 };
const ULID: &str = "01KDVTRJ00000000000000000M";

fn message(id: &str, content: &str) -> Value {
    json!({ "action": "sendMessage", "to": "bob", "content": content, "clientMessageId": id })
}

fn message_there(id: &str, conversation: &Value) -> Value {
    json!({ "action": "sendMessage", "conversationId": conversation, "content": "hi", "clientMessageId": id })
}

/// Whether a call reads one item of this kind.
fn reads(call: &Call, kind: &str) -> bool {
    matches!(&call.operation, Operation::Dynamo(name, _) if name == "GetItem")
        && call.operation.item_kind() == Some(kind)
}

/// Whether a call asks RECEIPTs in a row.
fn asks_receipts(call: &&Call) -> bool {
    call.operation.range().is_some_and(|(from, _)| from.starts_with("RECEIPT#"))
}

/// How many round trips a message takes to its answer, and whether its RECEIPT is looked for.
async fn look_of(world: &World, phone: &Phone, frame: Value) -> (usize, bool) {
    world.calls();
    phone.says(frame).await.data();
    let calls = world.calls();
    let answer = calls.iter().find(|call| call.operation == Operation::Push(phone.connection.clone()));
    (answer.expect("an answer").round_trip - 1, calls.iter().any(|call| reads(call, "RECEIPT")))
}

#[tokio::test(start_paused = true)]
async fn an_id_that_sorts_by_time_saves_a_round_trip() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let conversation = ann.opens("bob").await;
    ann.sends(&conversation, "her account is there").await.data();
    let (short, full) = ((3, false), (4, true));
    let ids = [(uuid_v7(world.now(), 1_000), short), (ULID.to_owned(), short), ("m".to_owned(), full)];
    for (id, wanted) in ids {
        assert_eq!(look_of(&world, &ann, message(&id, "hi")).await, wanted, "{id}");
    }
    // This process has met the two.
    let there = message_there(&uuid_v7(A_YEAR_AHEAD, 1), &conversation);
    assert_eq!(look_of(&world, &ann, there).await, short);
}

#[tokio::test(start_paused = true)]
async fn the_first_message_of_all_is_not_looked_for_either() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    // Her account and the conversation are made: a round trip each.
    assert_eq!(look_of(&world, &ann, message(&uuid_v7(world.now(), 1), "hi")).await, (5, false));
    // This process has made the conversation: it knows who is in it.
    let there = message_there(&uuid_v7(world.now(), 2), &ann.opens("bob").await);
    assert_eq!(look_of(&world, &ann, there).await, (3, false));
}

#[tokio::test(start_paused = true)]
async fn who_is_in_a_conversation_is_read_by_whoever_has_not_met_them() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let conversation = ann.opens("bob").await;
    let bob = world.person("bob").connects().await;
    for wanted in [(4, false), (3, false)] {
        let frame = message_there(&uuid_v7(world.now(), wanted.0 as u64), &conversation);
        // An account is made by the first send.
        if wanted.0 == 4 {
            world.tops_up("ann", 1).await;
            ann.balance().await;
        }
        assert_eq!(look_of(&world, &ann, frame).await, wanted);
    }
    assert_eq!(bob.heard_messages().len(), 2);
}

/// Who sends first has no right to it because this process knows who is there.
#[tokio::test(start_paused = true)]
async fn a_stranger_learns_nothing_of_those_whom_the_process_has_met() {
    let world = World::new().await;
    let (ann, eve) = (world.person("ann").connects().await, world.person("eve").connects().await);
    let conversation = ann.opens("bob").await;
    ann.sends(&conversation, "hi").await.data();
    assert_eq!(eve.sends(&conversation, "hi").await.code(), "not_a_participant");
}

#[tokio::test(start_paused = true)]
async fn a_phone_whose_clock_is_ahead_sends_and_so_do_the_others() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    ann.sends_to("bob", "now").await.data();
    let ahead = message(&uuid_v7(A_YEAR_AHEAD, 1), "ahead");
    assert_eq!(look_of(&world, &ann, ahead.clone()).await, (3, false));
    // It is dropped by the next, from when on the others go the full way.
    assert_eq!(look_of(&world, &ann, message(&uuid_v7(A_YEAR_AHEAD, 2), "ahead")).await, (3, false));
    for n in 0..3 {
        let now = message(&uuid_v7(world.now(), 2_000 + n), "now");
        assert_eq!(look_of(&world, &ann, now).await, (4, true));
    }
    assert_eq!(look_of(&world, &ann, message(&uuid_v7(A_YEAR_AHEAD, 3), "ahead")).await, (3, false));
    assert_eq!(ann.says(ahead).await["duplicate"], true);
    world.comes_to_rest().await;
    world.is_at_rest();
}

/// Ann's account as an earlier version has left it: all that she has sent was dropped, and nobody has said up to which id.
fn is_of_an_earlier_version(world: &World) {
    world.edits("USER#ann", "ACCOUNT", |account| {
        account.remove("dropped_upto");
        account.remove("upto_epoch");
    });
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_version_has_dropped_is_not_sent_again() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let old = [uuid_v7(A_YEAR_AHEAD, 1), uuid_v7(world.now(), 5_000), "m".to_owned()].map(|id| message(&id, "old"));
    for frame in &old {
        ann.says(frame.clone()).await.data();
    }
    world.comes_to_rest().await;
    is_of_an_earlier_version(&world);
    let is_answered_as_before = async |when: &str| {
        for (n, frame) in (1..).zip(&old) {
            let answer = ann.says(frame.clone()).await;
            assert_eq!((&answer["duplicate"], &answer["message"]["seq"]), (&json!(true), &json!(n)), "{when}");
        }
    };
    is_answered_as_before("before anything is dropped").await;
    // What another id has sent is dropped, and nobody asks up to where all was.
    let plain = ann.clone().with(Ids::Other);
    plain.sends_to("bob", "another").await.data();
    world.comes_to_rest().await;
    is_answered_as_before("after a drop of no such id").await;
    // A new one goes the full way, and its drop asks the RECEIPTs.
    assert_eq!(look_of(&world, &ann, message(&uuid_v7(world.now(), 5_001), "new")).await, (4, true));
    world.comes_to_rest().await;
    is_answered_as_before("after a drop that has asked").await;
    assert_eq!(look_of(&world, &ann, message(&uuid_v7(A_YEAR_AHEAD, 2), "new")).await, (3, false));
    world.comes_to_rest().await;
    is_answered_as_before("after a claim by id").await;
    assert_eq!(world.is_verified(false).await, Vec::<Value>::new());
}

/// The RECEIPTs are asked after ACCOUNT, strongly, and by nobody whose sends have other ids.
#[tokio::test(start_paused = true)]
async fn the_receipts_are_asked_once_and_only_where_it_matters() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for (ids, asked) in [(Ids::Other, 0), (Ids::TimeOrdered, 1), (Ids::TimeOrdered, 0)] {
        if asked == 1 || ids == Ids::Other {
            ann.clone().with(ids).sends_to("bob", "hi").await.data();
            world.comes_to_rest().await;
            is_of_an_earlier_version(&world);
        }
        ann.clone().with(ids).sends_to("bob", "hi").await.data();
        world.calls();
        world.comes_to_rest().await;
        let calls = world.calls();
        let found: Vec<&Call> = calls.iter().filter(asks_receipts).collect();
        assert_eq!(found.len(), asked, "{ids:?}");
        assert!(found.iter().all(|call| call.operation.is_strong()));
    }
}

/// More RECEIPTs with other ids than are read lie in front: where reading ends is high enough, and all is sent the full way.
#[tokio::test(start_paused = true)]
async fn the_receipts_are_asked_in_so_many_pages() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let old = message(&uuid_v7(world.now(), 1), "old");
    ann.says(old.clone()).await.data();
    // Of each of these a page has three.
    let count = UPTO_PAGES_MAX as usize * 3;
    for n in 0..=count {
        let id = format!("1{n:03}");
        ann.says(message(&id, "another")).await.data();
        world.edits("USER#ann", &format!("RECEIPT#{id}"), |receipt| {
            receipt.insert("of_a_later_version".to_owned(), json!({ "S": "x".repeat(300_000) }));
        });
    }
    world.comes_to_rest().await;
    is_of_an_earlier_version(&world);
    ann.says(message(&uuid_v7(world.now(), 2), "new")).await.data();
    world.calls();
    world.comes_to_rest().await;
    let calls = world.calls();
    assert_eq!(calls.iter().filter(asks_receipts).count(), UPTO_PAGES_MAX as usize);
    // The highest is never the one that was asked for last.
    assert_eq!(item(&world, "USER#ann", "ACCOUNT")["dropped_upto"], "1001");
    assert_eq!(look_of(&world, &ann, message(&uuid_v7(world.now(), 3), "new")).await, (4, true));
    assert_eq!(ann.says(old).await["duplicate"], true);
}

/// Each of several that are under way at once is claimed by its id; the one that is above drops, and the others go on.
#[tokio::test(start_paused = true)]
async fn sends_at_the_same_moment_are_claimed_in_any_order() {
    for backwards in [false, true] {
        let world = World::new().await;
        let ann = world.person("ann").connects().await;
        ann.sends_to("bob", "before").await.data();
        let mut frames: Vec<Value> = (0..8).map(|n| message(&uuid_v7(world.now(), 100 + n), &n.to_string())).collect();
        if backwards {
            frames.reverse();
        }
        let answers = futures::future::join_all(frames.iter().map(|frame| ann.says(frame.clone()))).await;
        assert!(answers.iter().all(|answer| answer["duplicate"] == false));
        for frame in frames {
            assert_eq!(ann.says(frame).await["duplicate"], true);
        }
        world.comes_to_rest().await;
        world.is_at_rest();
    }
}

/// A claim by id whose answer is lost is met by its own repeat; one that died is gone on with.
#[tokio::test(start_paused = true)]
async fn a_claim_by_id_is_made_once() {
    for fault in [Fault::LoseReply, Fault::KillAfter] {
        let world = World::deployed_with(&[("DefaultPrice", "5")]).await;
        world.tops_up("ann", 5).await;
        let ann = world.person("ann").connects().await;
        assert_eq!(ann.balance().await, 5);
        let frame = message(&uuid_v7(world.now(), 1), "hi");
        world.breaks_once(fault, |call| call.operation.is_on(&CLAIM_BY_ID));
        let first = ann.tries(frame.clone()).await;
        assert_eq!(first.is_some(), fault == Fault::LoseReply);
        world.heals();
        assert_eq!(ann.says(frame).await["message"]["seq"], 1);
        assert_eq!(ann.balance().await, 0);
        world.comes_to_rest().await;
        world.is_at_rest();
    }
}

/// Two devices send the same. One's look sees that it isn't open; before its claim arrives, the other's has become a message, and
/// was dropped. HIGHER: the late claim drops another, which has a higher id, and which nobody else knows to have ended.
/// Gives the calls.
async fn claims_late(higher: bool, drops: impl AsyncFnOnce(&World, &Phone)) -> Vec<Call> {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    ann.sends_to("bob", "her account is there").await.data();
    world.comes_to_rest().await;
    let id = |n| uuid_v7(world.now(), n);
    let (same, other) = (message(&id(TWICE), "twice"), message(&id(HIGHER), "another"));
    let other_ends = format!("RECEIPT#{}", id(HIGHER));
    let (mut looks, late_look) = (0, if higher { 2 } else { 1 });
    world.breaks(move |call| {
        let is_look = reads(call, "ACCOUNT");
        looks += usize::from(is_look);
        if is_look && looks == late_look {
            return Some(Fault::Late(Duration::from_millis(1_500)));
        }
        let ends = call.operation.is_put() && call.operation.sk() == Some(&*other_ends);
        ends.then_some(Fault::Late(Duration::from_millis(1_000)))
    });
    world.calls();
    let another = async {
        if higher {
            ann.says(other).await.data();
        }
    };
    let late = async {
        world.advance(Duration::from_millis(100)).await;
        ann.says(same.clone()).await
    };
    let first = async {
        world.advance(Duration::from_millis(200)).await;
        let answer = ann.says(same.clone()).await;
        drops(&world, &ann).await;
        answer
    };
    let ((), late, first) = futures::join!(another, late, first);
    assert_eq!((&first["duplicate"], &late["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(first["message"], late["message"]);
    let calls = world.calls();
    world.heals();
    world.comes_to_rest().await;
    world.is_at_rest();
    calls
}

/// Ids of the same moment: in this order.
const TWICE: u64 = 1;
const BETWEEN: u64 = 2;
const HIGHER: u64 = 3;

/// As an earlier version's function drops all that is open.
async fn an_earlier_version_drops(world: &World, _: &Phone) {
    world.edits("USER#ann", "ACCOUNT", |account| {
        account["open"] = json!({ "M": {} });
        let epoch: u64 = account["epoch"]["N"].as_str().and_then(|epoch| epoch.parse().ok()).expect("a number");
        account["epoch"] = json!({ "N": (epoch + 1).to_string() });
    });
}

fn count(calls: &[Call], condition: &Condition) -> usize {
    calls.iter().filter(|call| call.operation.is_on(condition)).count()
}

#[tokio::test(start_paused = true)]
async fn a_late_claim_by_id_meets_what_an_earlier_version_has_dropped() {
    let calls = claims_late(false, an_earlier_version_drops).await;
    assert_eq!(count(&calls, &CLAIM_BY_ID), 2, "the first one's, and the late one");
}

#[tokio::test(start_paused = true)]
async fn a_late_claim_that_drops_meets_what_an_earlier_version_has_dropped() {
    let calls = claims_late(true, an_earlier_version_drops).await;
    assert_eq!(count(&calls, &CLAIM_BY_ID_RAISES), 1, "the late one");
}

/// What it drops has a higher id than what was dropped meanwhile: so its own must be compared, too.
#[tokio::test(start_paused = true)]
async fn a_late_claim_that_drops_meets_what_another_claim_has_dropped() {
    let calls = claims_late(true, async |world: &World, ann: &Phone| {
        ann.says(message(&uuid_v7(world.now(), BETWEEN), "between")).await.data();
    })
    .await;
    assert_eq!(count(&calls, &CLAIM_BY_ID_RAISES), 2, "the one that drops it, and the late one");
}
