//! Old messages move to the archive and nobody misses them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::{
    ARCHIVE_PATIENCE, BATCH_BACKOFF, BATCH_ROUNDS_MAX, BATCH_WRITE_ITEMS_MAX, CLEANUP_LOOK_EVERY, CLEANUP_STOPS_BEFORE,
    DELETE_AFTER, DELETE_PAUSE, HISTORY_SEGMENTS_MAX, SEGMENT_MESSAGES_MIN, WORK_PAGE,
};
use shared::store::conversations::Meta;
use shared::store::table::Key;
use shared::store::work::Listing;
use tests::years::item;
use tests::{Call, Fault, Operation, Phone, World};
use wire::UserId;

use crate::calls::Tries;
use crate::crashes::{BREAKS, break_nth};
use crate::deliver::{waits, watches};

/// After so long even few messages are moved.
const LONG: Duration = Duration::from_secs(40 * 86_400);

/// Ann and Bob, each on a phone, and how many messages of Ann's Bob has read.
async fn chat(world: &World, messages: usize) -> (Phone, Phone, Value) {
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    for n in 1..=messages {
        ann.sends(&conversation, &format!("text {n}")).await.data();
    }
    bob.marks_read(&conversation, messages as u64).await.data();
    (ann, bob, conversation)
}

/// The numbers that the table has.
pub(crate) fn in_table(world: &World) -> Vec<u64> {
    let keys = world.items().into_iter().filter_map(|item| item["sk"].as_str().map(str::to_owned));
    let mut numbers: Vec<u64> = keys.filter_map(|sk| sk.strip_prefix("MSG#")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// All that a conversation holds, read forwards in pages of LIMIT, and backwards, which must be the same.
async fn all_of(phone: &Phone, conversation: &Value, limit: u64) -> Vec<Value> {
    let (mut forwards, mut backwards): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for back in [false, true] {
        loop {
            let mut asks = json!({ "action": "getMessages", "conversationId": conversation, "limit": limit });
            match back {
                false => asks["after"] = forwards.last().map_or(json!(0), |last| last["seq"].clone()),
                true if backwards.is_empty() => {}
                true => asks["before"] = backwards[0]["seq"].clone(),
            }
            let page = phone.says(asks).await;
            let messages = page["messages"].as_array().cloned().expect("a list");
            assert!(!messages.is_empty() || page["hasMore"] == false, "a page that brings nothing: {page:?}");
            if back {
                backwards.splice(0..0, messages);
            } else {
                forwards.extend(messages);
            }
            if page["hasMore"] == false {
                break;
            }
        }
    }
    assert_eq!(forwards, backwards);
    forwards
}

#[tokio::test(start_paused = true)]
async fn history_reads_on_into_the_archive() {
    let world = World::new().await;
    let (ann, bob, conversation) = chat(&world, SEGMENT_MESSAGES_MIN + 5).await;
    let before = all_of(&bob, &conversation, 40).await;
    world.advance(CLEANUP_LOOK_EVERY + Duration::from_secs(1)).await;
    world.cleans_up().await;
    assert_eq!(world.archived().len(), 1, "what is old enough has moved");
    assert_eq!(in_table(&world).len(), before.len(), "and is still in the table");
    for days in 0..2 {
        let (ann, bob) = (ann.person.connects().await, bob.person.connects().await);
        for limit in [1, 7, 100] {
            assert_eq!(all_of(&bob, &conversation, limit).await, before, "{days}, in pages of {limit}");
        }
        let synced = bob.says(json!({ "action": "sync", "since": { conversation.as_str().expect("an id"): 0 } })).await;
        assert_eq!(synced.messages(), before);
        for seq in [1, 104] {
            let asks = json!({ "action": "getReceipts", "conversationId": conversation, "seq": seq });
            assert_eq!(ann.says(asks).await["read"], json!(["bob"]));
        }
        world.is_sound();
        world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
        world.cleans_up().await;
        assert_eq!(in_table(&world), [105], "all but the last is in the archive only");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_an_archived_message_gets_its_old_number() {
    let world = World::new().await;
    let (ann, _bob, conversation) = chat(&world, 0).await;
    let frame = ann.message_to("bob", "the first");
    let sent = ann.says(frame.clone()).await;
    ann.sends(&conversation, "the last").await.data();
    for _ in 0..2 {
        world.advance(LONG * 3).await;
        world.cleans_up().await;
    }
    assert_eq!(in_table(&world), [2]);
    let ann = ann.person.connects().await;
    let again = ann.says(frame).await;
    assert_eq!((&again["message"], &again["duplicate"]), (&sent["message"], &json!(true)));
    assert_eq!(ann.sends(&conversation, "and on").await["message"]["seq"], 3);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_or_what_is_young_stays() {
    let world = World::new().await;
    let (ann, bob, conversation) = chat(&world, 0).await;
    for n in 1..=5 {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    bob.marks_delivered(&conversation, 2).await.data();
    world.advance(LONG).await;
    ann.person.connects().await.sends(&conversation, "young").await.data();
    world.cleans_up().await;
    world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
    world.cleans_up().await;
    assert_eq!(in_table(&world), [3, 4, 5, 6], "Bob lacks what comes after the second");
    world.advance(Duration::from_secs(60 * 86_400)).await;
    world.cleans_up().await;
    world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
    world.cleans_up().await;
    assert_eq!(in_table(&world), [6], "after 90 days nobody waits for Bob");
    let bob = bob.person.connects().await;
    let texts: Vec<Value> = bob.syncs().await.messages().iter().map(|message| message["content"].clone()).collect();
    assert_eq!(texts, ["3", "4", "5", "young"], "he gets them when he comes");
}

#[tokio::test(start_paused = true)]
async fn without_a_bucket_everything_stays_unless_it_is_to_be_discarded() {
    let kept = World::deployed_with(&[("Archive", "false")]).await;
    let (_ann, bob, conversation) = chat(&kept, 4).await;
    for _ in 0..3 {
        kept.advance(LONG).await;
        kept.cleans_up().await;
    }
    assert_eq!(in_table(&kept), [1, 2, 3, 4]);
    let bob = bob.person.connects().await;
    assert_eq!(all_of(&bob, &conversation, 2).await.len(), 4);

    let discarded = World::deployed_with(&[("Archive", "false"), ("DiscardExpired", "true")]).await;
    let (ann, bob, conversation) = chat(&discarded, 4).await;
    for _ in 0..2 {
        discarded.advance(LONG).await;
        discarded.cleans_up().await;
        let (ann, bob) = (ann.person.connects().await, bob.person.connects().await);
        let left = all_of(&bob, &conversation, 2).await;
        assert_eq!(left.iter().map(|message| &message["seq"]).collect::<Vec<_>>(), [4], "history begins at the fourth");
        let asks = json!({ "action": "getReceipts", "conversationId": conversation, "seq": 1 });
        assert_eq!(ann.says(asks).await.code(), "not_found");
        discarded.is_sound();
    }
    assert_eq!(in_table(&discarded), [4]);
    assert!(discarded.archived().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_rests_is_looked_at_no_more_until_somebody_says_something() {
    let world = World::new().await;
    let (ann, bob, conversation) = chat(&world, 3).await;
    let listed = |world: &World| {
        let metas = world.items().into_iter().filter(|item| item["sk"] == "META");
        metas.filter(|meta| !meta["work_pk"].is_null()).count()
    };
    for days in [40, 2, 2] {
        assert_eq!(listed(&world), 1, "before day {days}");
        world.advance(Duration::from_secs(days * 86_400)).await;
        world.cleans_up().await;
    }
    assert_eq!((listed(&world), in_table(&world)), (0, vec![3]));
    let ann = ann.person.connects().await;
    ann.sends(&conversation, "awake").await.data();
    ann.sends(&conversation, "again").await.data();
    assert_eq!(listed(&world), 1);
    bob.person.connects().await.marks_read(&conversation, 5).await.data();
    for _ in 0..2 {
        world.advance(ARCHIVE_PATIENCE * 2).await;
        world.cleans_up().await;
    }
    assert_eq!(in_table(&world), [5]);
    assert_eq!(world.archived().len(), 2);
    world.is_sound();
}

/// A world where four messages are to be moved and so many runs have been made; with its first run's history.
async fn aged(runs: usize) -> (World, Phone, Value) {
    let world = World::new().await;
    let (_ann, bob, conversation) = chat(&world, 5).await;
    world.advance(LONG).await;
    for _ in 0..runs {
        world.cleans_up().await;
        world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
    }
    (world, bob.person.connects().await, conversation)
}

#[tokio::test(start_paused = true)]
async fn a_cleanup_survives_a_break_at_every_call() {
    // The run that moves, the one that deletes, the one that finds nothing more to do.
    for runs in 0..3 {
        for how in BREAKS {
            for n in 1.. {
                let (world, bob, conversation) = aged(runs).await;
                let before = all_of(&bob, &conversation, 3).await;
                let fired = break_nth(&world, "cleanup", n, how);
                let _ = world.tries_to_clean_up().await;
                world.heals();
                world.is_sound();
                assert_eq!(all_of(&bob, &conversation, 3).await, before, "{how:?} at call {n} of run {runs}");
                for _ in runs..4 {
                    world.cleans_up().await;
                    world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
                }
                let bob = bob.person.connects().await;
                assert_eq!(all_of(&bob, &conversation, 3).await, before, "{how:?} at call {n} of run {runs}, later");
                world.is_sound();
                assert_eq!(in_table(&world), [5], "{how:?} at call {n} of run {runs}");
                assert_eq!(world.archived().len(), 1);
                if !fired.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_undeleted_is_tried_again_after_waits_that_vary() {
    let (world, bob, conversation) = aged(1).await;
    let before = all_of(&bob, &conversation, 3).await;
    let batch = |call: &Call| matches!(&call.operation, Operation::Dynamo(name, _) if name == "BatchWriteItem");
    let mut left = BATCH_ROUNDS_MAX - 1;
    let times = watches(&world, batch, move |call| {
        let leaves = left > 0 && batch(call);
        left -= u32::from(leaves);
        leaves.then_some(Fault::Unprocessed)
    });
    world.cleans_up().await;
    assert_eq!((in_table(&world), all_of(&bob, &conversation, 3).await), (vec![5], before));
    let waits = waits(&times, |_| true);
    assert_eq!(waits.len(), BATCH_ROUNDS_MAX as usize - 1);
    // The network takes up to 16 ms of each.
    let parts = (0..).zip(&waits).map(|(n, wait)| wait.as_secs_f64() / (BATCH_BACKOFF * 2_u32.pow(n)).as_secs_f64());
    let parts: Vec<f64> = parts.skip(2).collect();
    let (least, most) =
        parts.iter().fold((1.0_f64, 0.0_f64), |(least, most), part| (least.min(*part), most.max(*part)));
    assert!(most < 1.1 && most - least > 0.2, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn several_cleanups_at_once_do_what_one_does() {
    let (world, bob, conversation) = aged(0).await;
    let before = all_of(&bob, &conversation, 3).await;
    for _ in 0..3 {
        futures::future::join3(world.cleans_up(), world.cleans_up(), world.cleans_up()).await;
        world.is_sound();
        world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
    }
    assert_eq!((in_table(&world), world.archived().len()), (vec![5], 1));
    assert_eq!(all_of(&bob.person.connects().await, &conversation, 3).await, before);
}

#[tokio::test(start_paused = true)]
async fn what_can_t_be_read_of_the_index_keeps_the_cleanup_from_nothing_else() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for n in 0..10 {
        for text in ["one", "two"] {
            ann.sends_to(&format!("friend {n}"), text).await.data();
        }
    }
    world.advance(LONG * 3).await;
    let metas = world.items().into_iter().filter(|item| item["sk"] == "META");
    let shards: Vec<Value> = metas.map(|meta| meta["work_pk"].clone()).collect();
    let broken = shards[0].clone();
    let elsewhere = shards.iter().filter(|shard| **shard != broken).count();
    assert!(elsewhere > 0, "{shards:?}");
    world.breaks(move |call| match &call.operation {
        Operation::Dynamo(_, request) if request["ExpressionAttributeValues"][":pk"]["S"] == broken => {
            Some(Fault::Refuse(500))
        }
        _ => None,
    });
    assert!(world.tries_to_clean_up().await.is_err(), "an operator must hear of it");
    assert_eq!(world.archived().len(), elsewhere);
    // What waits can't be counted, and all is cleaned up nevertheless.
    world.breaks(|call| match &call.operation {
        Operation::Dynamo(_, request) if request["ExpressionAttributeValues"][":pk"]["S"] == "WAITING#0" => {
            Some(Fault::Refuse(500))
        }
        _ => None,
    });
    assert!(world.tries_to_clean_up().await.is_err());
    assert_eq!(world.archived().len(), 10);
    world.heals();
    world.cleans_up().await;
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_finished_late_takes_no_archived_number() {
    let world = World::new().await;
    let (ann, bob, conversation) = chat(&world, 2).await;
    let (lost, half) = (ann.message_to("bob", "lost"), ann.message_to("bob", "half"));
    world.breaks_once(Fault::KillBefore, |call| call.operation.writes("MSG#"));
    assert!(ann.tries(lost.clone()).await.is_none());
    bob.sends(&conversation, "third").await.data();
    world.breaks_once(Fault::KillAfter, |call| call.operation.writes("MSG#"));
    assert!(ann.tries(half.clone()).await.is_none());
    world.heals();
    for n in 5..=6 {
        assert_eq!(bob.sends(&conversation, "more").await["message"]["seq"], n);
    }
    ann.marks_read(&conversation, 6).await.data();
    let archived = |world: &World, table: &[u64]| assert_eq!(in_table(world), table, "the rest has moved");
    for table in [&[1, 2, 3, 4, 5, 6][..], &[4, 5, 6]] {
        world.advance(LONG).await;
        world.cleans_up().await;
        archived(&world, table);
    }
    let ann = ann.person.connects().await;
    assert_eq!(ann.says(half).await["message"]["seq"], 4, "a send that is open isn't moved");
    assert_eq!(ann.says(lost.clone()).await["message"]["seq"], 7, "a number that has gone isn't taken again");
    world.comes_to_rest().await;
    for _ in 0..3 {
        world.advance(LONG * 3).await;
        world.cleans_up().await;
    }
    archived(&world, &[7]);
    assert_eq!(ann.person.connects().await.says(lost).await["message"]["seq"], 7);
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn long_messages_are_archived_in_parts_and_short_times_in_few_pages() {
    let world = World::new().await;
    let (ann, bob, conversation) = chat(&world, 0).await;
    let long = "\u{1F9C0}".repeat(10_000);
    for _ in 0..60 {
        ann.sends(&conversation, &long).await.data();
    }
    bob.marks_read(&conversation, 60).await.data();
    let mut archived = Vec::new();
    for _ in 0..6 {
        for _ in 0..2 {
            world.advance(LONG).await;
            world.cleans_up().await;
        }
        let (ann, bob) = (ann.person.connects().await, bob.person.connects().await);
        let seq = ann.sends(&conversation, "one more").await["message"]["seq"].as_u64().expect("a number");
        bob.marks_read(&conversation, seq).await.data();
        archived.push(world.archived().len());
    }
    assert!(archived[0] >= 2, "a segment has a megabyte at most: {archived:?}");
    assert_eq!(archived[5] - archived[0], 5, "one more each time");
    let bob = bob.person.connects().await;
    assert_eq!(all_of(&bob, &conversation, 100).await.len(), 66);
    let newest = bob.history(&conversation).await;
    assert!(newest.len() < 10, "a page is read from a few segments: {}", newest.len());
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn messages_are_deleted_a_few_at_a_time() {
    let world = World::new().await;
    chat(&world, SEGMENT_MESSAGES_MIN + 5).await;
    world.advance(LONG).await;
    world.cleans_up().await;
    world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
    let is_delete = |operation: &Operation| matches!(operation, Operation::Dynamo(name, _) if name == "BatchWriteItem");
    let deletes = Tries::of(&world, Fault::Late(Duration::ZERO), move |call| is_delete(&call.operation));
    world.calls();
    world.cleans_up().await;
    let sizes = world.calls().into_iter().filter(|call| is_delete(&call.operation)).map(|call| call.units as usize);
    let sizes: Vec<usize> = sizes.collect();
    assert_eq!(sizes.iter().sum::<usize>(), SEGMENT_MESSAGES_MIN + 4);
    assert!(sizes.iter().all(|size| *size <= BATCH_WRITE_ITEMS_MAX), "{sizes:?}");
    let deletes = deletes.take();
    // A call takes up to 16 ms.
    let pause = DELETE_PAUSE..DELETE_PAUSE + Duration::from_millis(20);
    assert!(deletes.len() > 3 && deletes.windows(2).all(|two| pause.contains(&(two[1] - two[0]))), "{deletes:?}");
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_asked_for_page_by_page() {
    const PART: &str = "ARCHIVE#0";
    let world = World::new().await;
    let long_ago = world.now().before(LONG);
    let ann: UserId = "ann".parse().expect("an id");
    let metas = (0..).map(|n| {
        let other = format!("user {n}").parse().expect("an id");
        Meta::direct([ann.clone(), other], long_ago, n.to_string())
    });
    let due = metas.map(|meta| (Listing::archive(long_ago, &meta.id), meta)).filter(|(listing, _)| listing.pk == PART);
    let due = due.take(WORK_PAGE as usize + 1).map(|(listing, meta)| item(Key::meta(&meta.id), &meta, Some(&listing)));
    world.imports(due.collect());
    let before = world.items();
    world.calls();
    world.cleans_up().await;
    let asked = world.calls().into_iter().filter(|call| match &call.operation {
        Operation::Dynamo(_, request) => {
            request["ExpressionAttributeValues"][":pk"]["S"] == PART && request["Limit"] == WORK_PAGE
        }
        _ => false,
    });
    assert_eq!(asked.count(), 3, "two pages of what is due, and what a wrong clock has put behind all");
    let after = world.items();
    assert!(before.len() == after.len() && before.iter().all(|item| !after.contains(item)), "each had its turn");
}

#[tokio::test(start_paused = true)]
async fn a_cleanup_whose_time_is_nearly_over_begins_nothing() {
    for (early, moved) in [(Duration::from_secs(60), 5), (Duration::ZERO, 0)] {
        let world = World::new().await;
        let ann = world.person("ann").connects().await;
        for n in 0..5 {
            for text in ["one", "two"] {
                ann.sends_to(&format!("friend {n}"), text).await.data();
            }
        }
        world.advance(LONG * 3).await;
        // Most of its time is over when it has read the first conversation.
        let over = world.deployment().functions["cleanup"].timeout - CLEANUP_STOPS_BEFORE - early;
        let (later, mut first) = (world.clone(), true);
        world.breaks(move |call| {
            if call.operation.sk() == Some("META") && std::mem::take(&mut first) {
                later.sets_clock(i64::try_from(over.as_secs()).expect("minutes"));
            }
            None
        });
        world.cleans_up().await;
        assert_eq!(world.archived().len(), moved, "{early:?} earlier");
        world.heals();
        world.cleans_up().await;
        assert_eq!(world.archived().len(), 5, "the next one goes on");
        world.is_sound();
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_is_read_from_so_many_segments() {
    let world = World::new().await;
    let (ann, bob, conversation) = chat(&world, 1).await;
    for n in 0..=HISTORY_SEGMENTS_MAX {
        let (ann, bob) = (ann.person.connects().await, bob.person.connects().await);
        let seq = ann.sends(&conversation, "one more").await["message"]["seq"].as_u64().expect("a number");
        bob.marks_read(&conversation, seq).await.data();
        world.advance(LONG).await;
        world.cleans_up().await;
        world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
        world.cleans_up().await;
        assert_eq!(world.archived().len(), n + 1, "each message has a segment of its own");
    }
    let bob = bob.person.connects().await;
    // The newest is in the table.
    for (field, value, messages) in
        [("after", json!(0), HISTORY_SEGMENTS_MAX), ("before", Value::Null, HISTORY_SEGMENTS_MAX + 1)]
    {
        let page = bob.says(json!({ "action": "getMessages", "conversationId": conversation, field: value })).await;
        assert_eq!(
            (page["messages"].as_array().map(Vec::len), &page["hasMore"]),
            (Some(messages), &json!(true)),
            "{field}"
        );
    }
    assert_eq!(all_of(&bob, &conversation, 100).await.len(), HISTORY_SEGMENTS_MAX + 2);
}

/// Whether a call is a query for messages.
pub(crate) fn reads_messages(call: &Call) -> bool {
    matches!(&call.operation, Operation::Dynamo(name, _) if name == "Query")
        && call.operation.item_kind() == Some("MSG")
}

#[tokio::test(start_paused = true)]
async fn what_a_log_gives_in_parts_moves_together() {
    let world = World::new().await;
    let (_ann, bob, conversation) = chat(&world, SEGMENT_MESSAGES_MIN + 1).await;
    world.advance(CLEANUP_LOOK_EVERY + Duration::from_secs(1)).await;
    world.breaks(|call| reads_messages(call).then_some(Fault::Part(SEGMENT_MESSAGES_MIN / 2)));
    world.cleans_up().await;
    world.heals();
    assert_eq!(world.archived().len(), 1);
    assert_eq!(all_of(&bob.person.connects().await, &conversation, 100).await.len(), SEGMENT_MESSAGES_MIN + 1);
    world.is_sound();
}

/// A run whose clock is ahead decides what moves together, and dies; the next one's clock is right, and it sees less of it.
#[tokio::test(start_paused = true)]
async fn what_was_decided_moves_as_a_whole_whoever_sees_less_of_it() {
    const DAY: i64 = 86_400;
    let world = World::new().await;
    let (_ann, bob, conversation) = chat(&world, 2).await;
    world.advance(LONG).await;
    let (ann, bob) = (world.person("ann").connects().await, bob.person.connects().await);
    for n in 3..=6 {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    bob.marks_read(&conversation, 6).await.data();
    world.sets_clock(8 * DAY);
    world.breaks_once(Fault::KillAfter, |call| call.operation.writes("SEGMENT#"));
    assert!(world.tries_to_clean_up().await.is_err());
    world.sets_clock(-2 * DAY);
    world.breaks(|call| reads_messages(call).then_some(Fault::Part(2)));
    world.cleans_up().await;
    world.heals();
    assert_eq!(world.archived().len(), 1);
    assert_eq!(all_of(&bob.person.connects().await, &conversation, 100).await.len(), 6);
    world.is_sound();
    world.advance(DELETE_AFTER + Duration::from_secs(1)).await;
    world.cleans_up().await;
    assert_eq!(in_table(&world), [6]);
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_group_grows_old_though_a_member_s_inbox_is_not_made_yet() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    world.breaks_once(Fault::KillBefore, |call| call.operation.writes("INBOX#"));
    let frame = json!({ "action": "createGroup", "name": "Friends", "participants": ["bob"], "clientRequestId": "g1" });
    assert!(ann.tries(frame).await.is_none(), "the function has died");
    world.heals();
    let meta = world.items().into_iter().find(|item| item["sk"] == "META").expect("a group");
    let group = meta["id"].clone();
    for n in 1..=3 {
        ann.sends(&group, &format!("text {n}")).await.data();
    }
    assert!(!world.items().iter().any(|item| item["pk"] == "USER#bob"), "bob has no inbox");
    for _ in 0..3 {
        world.advance(LONG * 3).await;
        world.cleans_up().await;
    }
    assert_eq!(in_table(&world), [3], "all but the last has moved");
    world.comes_to_rest().await;
    let bob = world.person("bob").connects().await;
    assert_eq!(all_of(&bob, &group, 2).await.len(), 3, "and nobody misses it");
}
