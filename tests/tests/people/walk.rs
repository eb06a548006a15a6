//! Where a message finds its number when others have written meanwhile: a walk over several slots of the log.

use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::{VOID_AFTER, WALK_PAGE_SLOTS, WALK_SLOTS_MAX};
use shared::store::accounts::BASE_IS_LOWER;
use shared::store::table::Key;
use tests::years::item;
use tests::{Call, Fault, Operation, Phone, World};
use wire::{Seq, UserId, direct_id};

use crate::moved::written;

/// Whether a call asks who holds the slots from a number on.
fn walks(call: &Call) -> bool {
    let Operation::Dynamo(name, request) = &call.operation else { return false };
    name == "Query" && call.operation.item_kind() == Some("MSG") && request["Limit"] != 1
}

/// Whether a call decides a send.
fn claims(call: &Call) -> bool {
    call.operation.claims()
}

/// Ann's message is decided when the log is empty, and the function dies.
async fn decided(world: &World) -> (Phone, Phone, Value) {
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    ann.opens("bob").await;
    let frame = ann.message_to("bob", "decided");
    world.breaks_once(Fault::KillAfter, claims);
    assert!(ann.tries(frame.clone()).await.is_none());
    world.heals();
    (ann, bob, frame)
}

/// Ann's message is decided when the log is empty, Bob's takes the first number, Ann's the second, and the function dies
/// before it says so. Bob's next takes the third.
async fn between_bobs(world: &World) -> (Phone, Phone, Value) {
    let (ann, bob, frame) = decided(world).await;
    assert_eq!(bob.sends_to("ann", "before").await["message"]["seq"], 1);
    let mut puts = 0;
    world.breaks(move |call| {
        puts += usize::from(call.operation.writes("MSG#"));
        (puts == 2).then_some(Fault::KillAfter)
    });
    assert!(ann.tries(frame.clone()).await.is_none());
    world.heals();
    assert_eq!(bob.sends_to("ann", "after").await["message"]["seq"], 3);
    (ann, bob, frame)
}

/// A query may show a later slot and miss an earlier one, which was taken while it ran.
#[tokio::test(start_paused = true)]
async fn a_walk_that_misses_its_own_slot_finds_it_all_the_same() {
    let world = World::new().await;
    let (ann, bob, frame) = between_bobs(&world).await;
    world.breaks_once(Fault::Misses(0), walks);
    let sent = ann.says(frame.clone()).await;
    assert_eq!((sent.event(), &sent["message"]["seq"]), ("message:sent", &json!(2)));
    world.heals();
    let history = bob.history(&sent["message"]["conversationId"]).await;
    let contents: Vec<&Value> = history.iter().map(|message| &message["content"]).collect();
    assert_eq!(contents, ["before", "decided", "after"]);
    world.comes_to_rest().await;
}

/// What a walk misses of others' slots, it meets when it publishes there.
#[tokio::test(start_paused = true)]
async fn a_walk_that_misses_anothers_slot_goes_on_behind_it() {
    let world = World::new().await;
    let (ann, bob, frame) = decided(&world).await;
    for n in 1..=4 {
        assert_eq!(bob.sends_to("ann", &format!("number {n}")).await["message"]["seq"], n);
    }
    world.breaks_once(Fault::Misses(1), walks);
    let sent = ann.says(frame).await;
    assert_eq!((sent.event(), &sent["message"]["seq"]), ("message:sent", &json!(5)));
    world.heals();
    world.comes_to_rest().await;
}

/// Bob's messages have the first numbers of his conversation with Ann, so many.
fn filled_by_bob(world: &World, numbers: u64) {
    let (ann, bob): (UserId, UserId) = ("ann".parse().expect("an id"), "bob".parse().expect("an id"));
    let id = direct_id(&ann, &bob);
    let items = (1..=numbers).map(Seq).flat_map(|seq| {
        let (slot, receipt) = written(&bob, &id, seq, seq.to_string(), world.now());
        let receipt = item(Key::receipt(&bob, &slot.client_message_id), &receipt, None);
        [receipt, item(Key::log(&id, seq), &slot, None)]
    });
    world.imports(items.collect());
    for user in [&ann, &bob] {
        let Key { pk, sk } = Key::inbox(user, &id);
        world.edits(&pk, &sk, |inbox| {
            for horizon in ["last_seq", "delivered_seq", "read_seq"] {
                inbox.insert(horizon.to_owned(), json!({ "N": numbers.to_string() }));
            }
        });
    }
}

/// Where it ends, the next one begins, whoever makes it: no number is left out.
#[tokio::test(start_paused = true)]
async fn a_walk_that_is_too_long_is_gone_on_with() {
    // It looks at one slot by itself, and at so many behind it.
    let step = u64::from(WALK_PAGE_SLOTS) + 1;
    let steps = WALK_SLOTS_MAX.div_ceil(step);
    let others = steps * step;
    for swept in [false, true] {
        let world = World::new().await;
        let (ann, bob, frame) = decided(&world).await;
        filled_by_bob(&world, others);
        for ends in [false, true] {
            // What a sweep could not end goes to the end: another one looks at it when it is as old again.
            world.advance(VOID_AFTER + Duration::from_secs(1)).await;
            world.calls();
            let answer = if swept {
                world.sweeps().await;
                None
            } else {
                Some(ann.says(frame.clone()).await)
            };
            let tried = world.calls().iter().filter(|call| call.operation.writes("MSG#")).count() as u64;
            assert_eq!(tried, if ends { 1 } else { steps }, "slots that were tried");
            match answer {
                Some(answer) if ends => assert_eq!(answer["message"]["seq"], others + 1),
                Some(answer) => assert_eq!(answer.code(), "unavailable"),
                None => {}
            }
        }
        assert_eq!(bob.sends_to("ann", "and on").await["message"]["seq"], others + 2);
        let answer = ann.says(frame).await;
        match swept {
            true => assert_eq!(answer.code(), "send_expired"),
            false => assert_eq!((&answer["message"]["seq"], &answer["duplicate"]), (&json!(others + 1), &json!(true))),
        }
        world.comes_to_rest().await;
    }
}

/// Of two who walk at once the slower forgets nothing of what the other has seen.
#[tokio::test(start_paused = true)]
async fn a_base_never_goes_back() {
    let world = World::new().await;
    let (ann, _, frame) = decided(&world).await;
    filled_by_bob(&world, WALK_SLOTS_MAX * 2);
    let further = WALK_SLOTS_MAX * 3;
    let rises = |call: &Call| call.operation.is_on(&BASE_IS_LOWER);
    let other = world.clone();
    world.breaks(move |call| {
        if rises(call) {
            other.edits("USER#ann", "ACCOUNT", |account| {
                let open = account["open"]["M"].as_object_mut().expect("open sends");
                open.values_mut().for_each(|send| send["M"]["base"] = json!({ "N": further.to_string() }));
            });
        }
        None
    });
    assert_eq!(ann.says(frame).await.code(), "unavailable");
    world.heals();
    let account = world.items().into_iter().find(|item| item["sk"] == "ACCOUNT").expect("Ann's account");
    let bases: Vec<&Value> =
        account["open"].as_object().expect("open sends").values().map(|send| &send["base"]).collect();
    assert_eq!(bases, [&json!(further)]);
}
