//! What the cleanup moves and deletes, to the last message; when it looks again; and what it says of itself.

use std::ops::RangeInclusive;
use std::time::Duration;

use futures::future::join;
use serde_json::{Value, json};
use shared::archive::line_bytes;
use shared::limits::{
    ARCHIVE_PATIENCE, CLEANUP_LOOK_EVERY, CLEANUP_STOPS_BEFORE, DELETE_AFTER, DELETE_MARK_EVERY, SEGMENT_BYTES_MAX,
    SEGMENT_MESSAGES_MAX, SEGMENT_MESSAGES_MIN,
};
use shared::store::conversations::Meta;
use shared::store::log::LogItem;
use shared::store::receipts::Receipt;
use shared::store::table::Key;
use shared::store::work::Listing;
use tests::years::item;
use tests::{Call, Fault, Operation, World};
use wire::{ClientMessageId, Coins, ConversationId, Fingerprint, SendId, Seq, Time, UserId};

use crate::cleanup::{in_table, reads_messages};
use crate::observed::{Operator, figure};

const SECOND: Duration = Duration::from_secs(1);

/// What somebody wrote then at this number of a conversation.
pub(crate) fn written(sender: &UserId, id: &ConversationId, seq: Seq, content: String, at: Time) -> (LogItem, Receipt) {
    let client_message_id: ClientMessageId = format!("{id}-{seq}").parse().expect("an id");
    let receipt = Receipt {
        client_message_id: client_message_id.clone(),
        fingerprint: Fingerprint::new(id, &content, None),
        conversation: id.clone(),
        seq,
        price: Coins(0),
        created_at: at,
        void: false,
    };
    let (sender, sid) = (sender.clone(), SendId::new(sender, &client_message_id));
    let (reply_to, price, void) = (None, Coins(0), false);
    (LogItem { sender, sid, client_message_id, content, reply_to, price, created_at: at, void }, receipt)
}

/// A conversation in which Ann wrote these then, and the other one has read DELIVERED of them, as if it had always been there.
pub(crate) fn imports(world: &World, with: &str, contents: &[String], delivered: usize, at: Time) -> ConversationId {
    let [ann, other] = ["ann", with].map(|name| name.parse::<UserId>().expect("an id"));
    let meta = Meta::direct([ann.clone(), other.clone()], at, "long ago".to_owned());
    let id = meta.id.clone();
    let listing = Listing::archive(at.after(CLEANUP_LOOK_EVERY), &id);
    let mut items = vec![item(Key::meta(&id), &meta, Some(&listing))];
    for (seq, content) in (1..).map(Seq).zip(contents) {
        let (slot, receipt) = written(&ann, &id, seq, content.clone(), at);
        items.push(item(Key::receipt(&ann, &slot.client_message_id), &receipt, None));
        items.push(item(Key::log(&id, seq), &slot, None));
    }
    let all = contents.len();
    for (user, peer, has) in [(&ann, &other, all), (&other, &ann, delivered)] {
        let inbox = json!({
            "kind": "direct", "peer": peer, "last_seq": all, "delivered_seq": has, "read_seq": has, "last_at": at.ms,
        });
        let listing = (has < all).then(|| Listing::waiting(at, user, &id));
        items.push(item(Key::inbox(user, &id), &inbox, listing.as_ref()));
    }
    world.imports(items);
    id
}

/// So many short messages.
pub(crate) fn short(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("text {n}")).collect()
}

/// Which numbers have moved, segment by segment.
fn segments(world: &World) -> Vec<RangeInclusive<u64>> {
    let first = |item: &Value| item["sk"].as_str()?.strip_prefix("SEGMENT#")?.parse().ok();
    let segment = |item: Value| Some(first(&item)?..=item["last"].as_u64().expect("a number"));
    let mut segments: Vec<_> = world.items().into_iter().filter_map(segment).collect();
    segments.sort_by_key(|segment| *segment.start());
    segments
}

/// META of the only conversation.
fn meta(world: &World) -> Value {
    world.items().into_iter().find(|item| item["sk"] == "META").expect("one")
}

/// When the cleanup is to look at the only conversation again.
fn next_look(world: &World) -> Time {
    let place = meta(world)["work_sk"].as_str().and_then(|sk| sk.split('\u{1f}').next()?.parse().ok());
    Time { ms: place.expect("it is listed") }
}

/// Whether a moment is between these two.
fn is_about(moment: Time, began: Time, ended: Time) -> bool {
    (began.ms..=ended.ms).contains(&moment.ms)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_at_most_move_together_and_what_is_deleted_is_written_down() {
    let count = SEGMENT_MESSAGES_MAX + SEGMENT_MESSAGES_MIN;
    let world = World::new().await;
    imports(&world, "bob", &short(count + 1), count + 1, world.now().before(CLEANUP_LOOK_EVERY + SECOND));
    // The first answer has most of them, and the next one would have all the rest.
    world.breaks(|call| reads_messages(call).then_some(Fault::Part(SEGMENT_MESSAGES_MAX - 50)));
    world.cleans_up().await;
    world.heals();
    let (full, all) = (SEGMENT_MESSAGES_MAX as u64, count as u64);
    assert_eq!(segments(&world), [1..=full, full + 1..=all]);
    world.is_sound();
    world.advance(DELETE_AFTER + SECOND).await;
    world.breaks_once(Fault::KillAfter, |call| call.operation.writes("META"));
    assert!(world.tries_to_clean_up().await.is_err());
    world.heals();
    assert_eq!(meta(&world)["deleted_below"], DELETE_MARK_EVERY + 1, "the next one goes on from here");
    assert_eq!(in_table(&world), (DELETE_MARK_EVERY + 1..=all + 1).collect::<Vec<_>>());
    let operator = Operator::reads();
    world.calls();
    world.cleans_up().await;
    assert_eq!((in_table(&world), meta(&world)["deleted_below"].as_u64()), (vec![all + 1], Some(all + 1)));
    assert_eq!(world.calls().iter().filter(|call| call.operation.writes("META")).count(), 1);
    assert_eq!(figure(&operator.requests()[0], "MessagesDeleted"), (all - DELETE_MARK_EVERY) as f64);
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_segment_has_so_many_bytes_at_most_and_such_a_one_waits_for_nothing() {
    let ann: UserId = "ann".parse().expect("an id");
    let id = wire::direct_id(&ann, &"bob".parse().expect("an id"));
    let bytes = |seq: u64, content: &str| {
        let now = Time { ms: 1_767_225_600_000 };
        line_bytes(Seq(seq), &written(&ann, &id, Seq(seq), content.to_owned(), now).0)
    };
    // A control character has six bytes there.
    let long = "\u{1}".repeat(10_000);
    let mut contents = Vec::new();
    let mut room = SEGMENT_BYTES_MAX;
    while room > bytes(1, &long) * 2 {
        contents.push(long.clone());
        room -= bytes(contents.len() as u64, &long);
    }
    let last = contents.len() as u64 + 1;
    let rest = room + 1 - bytes(last, "x");
    contents.push(format!("{}{}", "\u{1}".repeat(rest / 6), "x".repeat(rest % 6)));
    for (more, moved) in [("", last), ("y", last - 1)] {
        let world = World::new().await;
        let mut contents = contents.clone();
        contents[0].push_str(more);
        contents.extend(short(2));
        let all = contents.len();
        imports(&world, "bob", &contents, all, world.now().before(CLEANUP_LOOK_EVERY + SECOND));
        world.cleans_up().await;
        assert_eq!(segments(&world), [1..=moved], "the others are few, and wait");
        world.is_sound();
    }
    // One that isn't finished goes nowhere, and what is in front of it waits for it.
    let world = World::new().await;
    contents.extend(short(2));
    imports(&world, "bob", &contents, contents.len(), world.now().before(CLEANUP_LOOK_EVERY + SECOND));
    world.edits("USER#ann", &format!("RECEIPT#{id}-2"), serde_json::Map::clear);
    world.cleans_up().await;
    assert_eq!(segments(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_few_wait_for_more_and_each_is_read_once() {
    let world = World::new().await;
    imports(&world, "bob", &short(5), 5, world.now().before(CLEANUP_LOOK_EVERY + SECOND));
    let mut began = world.now();
    for _ in 0..2 {
        world.cleans_up().await;
        assert_eq!((segments(&world), &meta(&world)["idle"]), (vec![], &Value::Null));
        let every = |moment: Time| moment.after(CLEANUP_LOOK_EVERY);
        assert!(is_about(next_look(&world), every(began), every(world.now())), "a week later, and not before");
        world.advance(CLEANUP_LOOK_EVERY + SECOND).await;
        began = world.now();
    }
    world.advance(ARCHIVE_PATIENCE - CLEANUP_LOOK_EVERY * 2).await;
    world.calls();
    world.cleans_up().await;
    assert_eq!(segments(&world), [1..=4], "they have waited long enough");
    let reads = world.calls().iter().filter(|call| reads_messages(call)).count();
    assert_eq!(reads, 2, "the last number, and what moves");
}

#[tokio::test(start_paused = true)]
async fn who_looks_too_soon_looks_again_when_what_has_moved_may_go() {
    let world = World::new().await;
    imports(&world, "bob", &short(5), 5, world.now().before(ARCHIVE_PATIENCE * 2));
    world.cleans_up().await;
    let look = next_look(&world);
    assert_eq!(look.ms, meta(&world)["moved_at"].as_i64().expect("a time") + DELETE_AFTER.as_millis() as i64);
    world.advance(DELETE_AFTER / 2).await;
    // Somebody has put it right by hand.
    let (key, id) = (meta(&world), meta(&world)["id"].as_str().expect("an id").parse().expect("an id"));
    let now = Listing::archive(world.now(), &id).sk;
    let place = |item: &mut serde_json::Map<String, Value>| item["work_sk"] = json!({ "S": now });
    world.edits(key["pk"].as_str().expect("a key"), "META", place);
    world.advance(SECOND).await;
    world.cleans_up().await;
    assert_eq!((next_look(&world), &meta(&world)["idle"]), (look, &Value::Null));
    world.advance(DELETE_AFTER / 2).await;
    world.cleans_up().await;
    assert_eq!(in_table(&world), [5]);
}

/// The time is over when it has been seen how far everybody is: what is due stays due.
#[tokio::test(start_paused = true)]
async fn what_there_was_no_time_for_is_not_put_off() {
    let world = World::new().await;
    imports(&world, "bob", &short(5), 5, world.now().before(ARCHIVE_PATIENCE * 2));
    world.breaks(is_over_at(&world, |call| call.operation.item_kind() == Some("INBOX")));
    world.cleans_up().await;
    world.heals();
    assert_eq!(segments(&world), []);
    world.cleans_up().await;
    assert_eq!(segments(&world), [1..=4]);
}

/// From now on a part of the index can't be read.
fn unreadable(world: &World, part: &'static str) {
    world.breaks(move |call| (part_of_index(call) == Some(part)).then_some(Fault::Refuse(400)));
}

/// The part of the index that a call reads.
fn part_of_index(call: &Call) -> Option<&str> {
    let Operation::Dynamo(_, request) = &call.operation else { return None };
    request["ExpressionAttributeValues"][":pk"]["S"].as_str().filter(|_| call.operation.reads_index())
}

#[tokio::test(start_paused = true)]
async fn an_operator_is_told_how_a_cleanup_went() {
    type Break = fn(&World);
    let cases: [(&str, Break, [u64; 2], bool, bool); 5] = [
        ("all goes well", |_| {}, [3, 0], true, true),
        (
            "one can't be read",
            |world| world.breaks_once(Fault::Refuse(400), |call| call.operation.sk() == Some("META")),
            [3, 1],
            false,
            true,
        ),
        ("what waits can't be counted", |world| unreadable(world, "WAITING#0"), [3, 0], false, false),
        ("a part of what is due can't be read", |world| unreadable(world, "ARCHIVE#0"), [3, 0], false, false),
        (
            "the time is over",
            |world| world.breaks(is_over_at(world, |call| part_of_index(call) == Some("ARCHIVE#0"))),
            [0, 0],
            false,
            true,
        ),
    ];
    for (name, breaks, [conversations, failed], complete, ends_well) in cases {
        let world = World::new().await;
        // None of them stands in the part that can't be read.
        let others = (0..).map(|n| format!("friend {n}")).filter(|other| !stands_in(other, "ARCHIVE#0"));
        for other in others.take(3) {
            imports(&world, &other, &short(2), 2, world.now().before(ARCHIVE_PATIENCE * 2));
        }
        let operator = Operator::reads();
        breaks(&world);
        assert_eq!(world.tries_to_clean_up().await.is_ok(), ends_well, "{name}");
        let line = operator.lines().into_iter().find(|line| line["message"] == "cleaned up").expect("a line");
        let told = [&line["conversations"], &line["failed"], &line["complete"]];
        assert_eq!(told, [&json!(conversations), &json!(failed), &json!(complete)], "{name}: {line:#}");
    }
}

/// The cleanup's time is over when the first of these calls is made.
fn is_over_at(world: &World, at: fn(&Call) -> bool) -> impl FnMut(&Call) -> Option<Fault> + Send + 'static {
    let over = world.deployment().functions["cleanup"].timeout - CLEANUP_STOPS_BEFORE;
    let over = i64::try_from(over.as_secs()).expect("minutes");
    let (world, mut first) = (world.clone(), true);
    move |call| {
        if at(call) && std::mem::take(&mut first) {
            world.sets_clock(over);
        }
        None
    }
}

fn stands_in(other: &str, part: &str) -> bool {
    let [ann, other] = ["ann", other].map(|name| name.parse::<UserId>().expect("an id"));
    Listing::archive(Time { ms: 0 }, &wire::direct_id(&ann, &other)).pk == part
}

/// Whether a send looks for its end.
fn reads_receipt(call: &Call) -> bool {
    call.function == "send" && !call.operation.is_write() && call.operation.item_kind() == Some("RECEIPT")
}

/// Ann's send has been open for so long that what was said after it is archived. Somebody ends it while she tries again.
#[tokio::test(start_paused = true)]
async fn who_tries_again_beside_another_is_answered_as_it_ended() {
    for is_given_up in [false, true] {
        let world = World::new().await;
        let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
        let frame = ann.dies_sending("bob", "lost").await;
        for text in ["one", "two", "three"] {
            bob.sends_to("ann", text).await.data();
        }
        world.advance(ARCHIVE_PATIENCE * 4).await;
        world.cleans_up().await;
        assert_eq!(segments(&world), [1..=2]);
        let (ann, tablet) = (ann.person.connects().await, ann.person.connects().await);
        // She sees that it has no end yet, and for a while goes on no further.
        let late = Fault::Late(Duration::from_millis(900));
        world.breaks_once(late, reads_receipt);
        let other = async {
            world.advance(Duration::from_millis(100)).await;
            match is_given_up {
                true => world.sweeps().await,
                false => drop(tablet.says(frame.clone()).await.data()),
            }
        };
        let (answer, ()) = join(ann.says(frame.clone()), other).await;
        if is_given_up {
            assert_eq!(answer.code(), "send_expired");
        } else {
            assert_eq!((&answer["message"]["seq"], &answer["duplicate"]), (&json!(4), &json!(true)));
        }
        world.comes_to_rest().await;
    }
}
