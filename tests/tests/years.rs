//! Years of data: they are as the functions would have left them, and when they were cleaned up nobody misses anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::{DELETE_AFTER, SEGMENT_MESSAGES_MAX};
use shared::store::conversations::DELETED_LESS;
use tests::years::{Made, Plan, generate};
use tests::{Fault, Phone, World};

fn plan(world: &World) -> Plan {
    Plan { conversations: 12, messages: 3_000, seed: 8, now: world.now(), days: 400 }
}

/// All that somebody reads of a conversation, without how far others are.
async fn history(phone: &Phone, made: &Made) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().map_or(json!(0), |message| message["seq"].clone());
        let asks = json!({
            "action": "getMessages", "conversationId": made.id.as_str(), "after": after, "limit": 100
        });
        let page = phone.says(asks).await;
        let messages = page["messages"].as_array().expect("a list").iter().cloned();
        all.extend(messages.map(|mut message| {
            message["status"].take();
            message
        }));
        if page["hasMore"] == false {
            return all;
        }
    }
}

async fn histories(world: &World, made: &[Made]) -> Vec<Vec<Value>> {
    let mut histories = Vec::new();
    for made in made {
        for member in &made.members {
            let phone = world.person(member.as_str()).connects().await;
            histories.push(history(&phone, made).await);
            phone.goes_away().await;
        }
    }
    histories
}

#[tokio::test(start_paused = true)]
async fn nobody_misses_what_was_cleaned_up() {
    let world = World::new().await;
    let made = generate(&plan(&world), |items| world.imports(items));
    assert_eq!(world.is_verified(false).await, [Value::Null; 0], "as it was made");
    let before = histories(&world, &made).await;
    assert_eq!(before.iter().map(Vec::len).sum::<usize>(), 2 * 3_000);
    let stored = |world: &World| {
        world.items().iter().filter(|item| item["sk"].as_str().is_some_and(|sk| sk.starts_with("MSG#"))).count()
    };
    world.cleans_up().await;
    assert_eq!(stored(&world), 3_000, "what has moved is deleted a day later");
    assert_eq!(world.is_verified(false).await, [Value::Null; 0], "moved");
    world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
    world.cleans_up().await;
    assert!(stored(&world) < 1_500, "{} messages are still in the table", stored(&world));
    assert_eq!(world.is_verified(false).await, [Value::Null; 0], "deleted");
    assert!(before == histories(&world, &made).await, "history is what it was");
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn of_two_cleanups_at_once_the_slower_takes_back_nothing() {
    let world = World::new().await;
    let plan = Plan { conversations: 1, ..plan(&world) };
    generate(&plan, |items| world.imports(items));
    world.cleans_up().await;
    assert_eq!(world.archived().len(), plan.messages.div_ceil(SEGMENT_MESSAGES_MAX));
    world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
    // Of one each call that deletes is refused twice, so the other says twice how far it is before that one does. Both die
    // of that.
    let (mut first, mut tries, mut marks) = (None, 0, 0);
    world.breaks(move |call| {
        let first = first.get_or_insert_with(|| call.trace_id.clone());
        if call.operation.is_on(&DELETED_LESS) {
            marks += 1;
            return (marks > 1).then_some(Fault::KillAfter);
        }
        let slow = call.trace_id != *first && call.operation.is_write() && call.operation.item_kind() == Some("MSG");
        tries += u32::from(slow);
        (slow && tries % 3 != 0).then_some(Fault::Refuse(500))
    });
    let (one, other) = futures::future::join(world.tries_to_clean_up(), world.tries_to_clean_up()).await;
    assert!(one.is_err() && other.is_err(), "both die");
    let meta = world.items().into_iter().find(|item| item["sk"] == "META").expect("a conversation");
    assert_eq!(meta["deleted_below"], 2_001, "{meta}");
    world.heals();
    world.cleans_up().await;
    assert_eq!(world.is_verified(false).await, [Value::Null; 0]);
    world.is_sound();
}

/// The names of the attributes that items of each kind have: always, and at all.
fn shapes(items: &[Value]) -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let mut shapes: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for item in items {
        let names: BTreeSet<String> = item.as_object().expect("an item").keys().cloned().collect();
        let kind = item["sk"].as_str().and_then(|sk| sk.split('#').next()).expect("a kind").to_owned();
        let (always, ever) = shapes.entry(kind).or_insert_with(|| (names.clone(), names.clone()));
        always.retain(|name| names.contains(name));
        ever.extend(names);
    }
    shapes
}

#[tokio::test(start_paused = true)]
async fn what_is_made_has_the_shape_of_what_the_functions_leave() {
    let real = World::deployed_with(&[("ReceiverSharePercent", "80")]).await;
    let (ann, bob) = (real.person("ann").connects().await, real.person("bob").connects().await);
    real.prices("bob", 5).await;
    real.tops_up("ann", 100).await;
    let sent = ann.sends_to("bob", "hello").await;
    let conversation = &sent["message"]["conversationId"];
    let mut reply = bob.message_to("ann", "yes?");
    reply["replyTo"] = json!(1);
    bob.says(reply).await.data();
    real.breaks_once(tests::Fault::KillBefore, |call| call.operation.writes("MSG#"));
    ann.tries(ann.message_to("bob", "never said")).await;
    real.comes_to_rest().await;
    bob.marks_read(conversation, 2).await.data();
    ann.balance().await;
    bob.balance().await;
    ann.goes_away().await;
    let made = World::new().await;
    generate(&plan(&made), |items| made.imports(items));
    let (real, made) = (shapes(&real.items()), shapes(&made.items()));
    assert_eq!(real.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>(), "kinds");
    for (kind, (always, ever)) in made {
        let (real_always, real_ever) = &real[&kind];
        // What the functions always write is there, and nothing that they never write.
        let missing: Vec<_> = real_always.difference(&ever).collect();
        let strange: Vec<_> = always.difference(real_ever).collect();
        assert!(missing.is_empty() && strange.is_empty(), "{kind}: lacks {missing:?}, has {strange:?}");
    }
}
