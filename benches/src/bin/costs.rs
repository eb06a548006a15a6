//! What one action costs, counted: round trips to the answer one after the other, write units and read units in all.
//! Ends with 1 when something costs more than docs/design/costs.md says.
//!
//! Counted on the in-process engine from the capacity that it says it consumed, indexes included. A reader's own machine
//! gives the same figures: nothing here is timed.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use shared::limits::{CLEANUP_LOOK_EVERY, SEGMENT_MESSAGES_MIN};
use tests::network::{Call, Operation};
use tests::person::{Ids, Phone};
use tests::world::World;
use wire::limits::{GROUP_MEMBERS_MAX, GROUPS_MAX};

/// Messages over which a steady figure is the mean: some do more than others, as those with ids that don't sort by time drop several
/// at once.
const MESSAGES: usize = 32;

/// How many messages a minute the senders send of whom it is counted what a message costs with everything that follows.
const SENDERS: [u32; 4] = [1, 2, 4, 60];
/// For how long each of them is counted: messages enough, and as often as the sweep folds earnings, as a whole number. Before that
/// what only the first messages cost has been paid.
const MESSAGES_MIN: u32 = 15;
const FIRST_MINUTES: u32 = 5;
/// After so long the sweep has done all that it does for somebody who says nothing more.
const SILENT_MINUTES: u32 = 7;
const MINUTE: Duration = Duration::from_secs(60);

/// Dollars a million, in us-east-1, November 2026 (<https://aws.amazon.com/dynamodb/pricing/on-demand>,
/// <https://aws.amazon.com/api-gateway/pricing>, <https://aws.amazon.com/lambda/pricing>): look them up before you quote them.
const WRITE_UNITS: f64 = 0.625;
const READ_UNITS: f64 = 0.125;
/// A frame, its answer and a push to one device; a function's request for the frame.
const FRAME_ANSWER_PUSH: f64 = 3.0 * 1.0 + 0.2;

/// Counts what one action costs; ends with 1 when something costs more than it may
#[derive(Debug, Parser)]
struct Arguments {
    /// And of who has 1,000 conversations, or is in 500 groups; takes some minutes
    #[arg(long)]
    large: bool,
}

/// What a message costs with everything that follows from it: what the sweep finishes, drops and folds.
struct Whole {
    what: &'static str,
    /// Messages a minute of one sender.
    rate: u32,
    writes: f64,
    reads: f64,
    /// The most write units, and read units, that it may cost.
    limit: (f64, f64),
}

impl Whole {
    /// Dollars a million.
    fn dollars(&self) -> f64 {
        FRAME_ANSWER_PUSH + self.writes * WRITE_UNITS + self.reads * READ_UNITS
    }

    fn is_too_high(&self) -> bool {
        self.writes > self.limit.0 || self.reads > self.limit.1
    }
}

/// Write and read units of these calls.
fn units(calls: &[Call]) -> (f64, f64) {
    let sum = |write: bool| {
        let calls = calls.iter().filter(|call| matches!(call.operation, Operation::Dynamo(..)));
        calls.filter(|call| call.operation.is_write() == write).fold(0.0, |sum, call| sum + call.units)
    };
    (sum(true), sum(false))
}

/// One sender writes to one receiver, so many times a minute and evenly, while the sweep runs every minute: what that costs a
/// message, without what the sweep costs when nobody writes.
async fn whole(what: &'static str, price: u64, share: &str, rate: u32, limit: (f64, f64)) -> Whole {
    let world = World::deployed_with(&[("ReceiverSharePercent", share)]).await;
    world.prices("bob", price).await;
    world.tops_up("ann", 10_000).await;
    let phone = world.person("ann").connects().await;
    let _listening = world.person("bob").connects().await;
    world.comes_to_rest().await;
    world.calls();
    world.sweeps().await;
    let idle = units(&world.calls());
    let minutes = MESSAGES_MIN.div_ceil(rate).next_multiple_of(FIRST_MINUTES);
    let (mut writes, mut reads) = (0.0, 0.0);
    for minute in 0..FIRST_MINUTES + minutes {
        if minute == FIRST_MINUTES {
            world.calls();
        }
        for _ in 0..rate {
            phone.sends_to("bob", "hello").await.data();
            world.advance(MINUTE / rate).await;
        }
        // The dearest moment for it: the first message since the last one is just old enough to be looked at.
        world.advance(Duration::from_millis(10)).await;
        world.sweeps().await;
        if minute >= FIRST_MINUTES {
            let (written, read) = units(&world.calls());
            writes += written - idle.0;
            reads += read - idle.1;
        }
    }
    let messages = f64::from(rate * minutes);
    Whole { what, rate, writes: writes / messages, reads: reads / messages, limit }
}

/// What was counted.
struct Cost {
    what: &'static str,
    round_trips: usize,
    /// Calls to the table.
    calls: f64,
    writes: f64,
    reads: f64,
    /// The most round trips, write units and read units that it may cost.
    limit: (usize, f64, f64),
}

impl Cost {
    /// Of the calls of COUNT equal actions whose answers went to PHONE's connection.
    fn of(what: &'static str, calls: &[Call], phone: &Phone, count: usize, limit: (usize, f64, f64)) -> Self {
        let (writes, reads) = units(calls);
        let answer = |call: &&Call| matches!(&call.operation, Operation::Push(to) if *to == phone.connection);
        let round_trips = calls.iter().filter(answer).map(|call| call.round_trip - 1).max().unwrap_or_default();
        let to_table = calls.iter().filter(|call| matches!(call.operation, Operation::Dynamo(..))).count();
        let mean = |units: f64| units / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let calls = mean(f64::from(u32::try_from(to_table).unwrap_or(u32::MAX)));
        Self { what, round_trips, calls, writes: mean(writes), reads: mean(reads), limit }
    }

    fn is_too_high(&self) -> bool {
        self.round_trips > self.limit.0 || self.writes > self.limit.1 || self.reads > self.limit.2
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> ExitCode {
    let Arguments { large } = Arguments::parse();
    let mut costs = Vec::new();
    let sorted = Ids::TimeOrdered;
    costs.extend(messages(["free message", "first free message of two people"], sorted, 0, "100", (3, 5.0, 8.5)).await);
    costs.extend(messages(["paid message", "first paid message of two people"], sorted, 3, "100", (3, 8.0, 8.5)).await);
    costs.extend(
        messages(["paid message, a share to the house", "the first such"], sorted, 3, "70", (3, 10.0, 8.5)).await,
    );
    let other = ["free message, an id that doesn't sort by time", "the first such"];
    costs.extend(messages(other, Ids::Other, 0, "100", (4, 5.0, 9.5)).await);
    costs.push(silence().await);
    costs.extend(group("message in a group of 3", 3, [8.0, 5.5, 5.0]).await);
    costs.extend(group("message in a group of 32", GROUP_MEMBERS_MAX, [37.0, 20.0, 34.0]).await);
    costs.extend(marks().await);
    costs.push(sync("sync, 3 of 100 conversations have something new", 100, (8, 0.0, 28.0)).await);
    costs.push(list("first page of 100 groups", 100, (9, 0.0, 201.5)).await);
    if large {
        costs.push(sync("sync, 3 of 1,000 conversations have something new", 1_000, (8, 0.0, 69.0)).await);
        costs.push(list("first page of 500 groups", GROUPS_MAX, (9, 0.0, 407.5)).await);
    }
    costs.push(cleanup().await);
    let mut wholes = Vec::new();
    for (what, price, share, writes, reads) in [
        ("free message", 0, "100", [5.0, 5.0, 5.0, 5.0], [10.5, 9.5, 9.0, 8.6]),
        ("paid message", 3, "100", [10.4, 10.2, 10.2, 10.2], [12.6, 11.1, 10.3, 9.7]),
        ("paid message, a share to the house", 3, "70", [14.8, 14.4, 14.4, 14.3], [14.7, 12.6, 11.6, 10.8]),
    ] {
        for (rate, limit) in SENDERS.into_iter().zip(writes.into_iter().zip(reads)) {
            wholes.push(whole(what, price, share, rate, limit).await);
        }
    }
    print(&costs, &wholes);
    let too_high = costs.iter().any(Cost::is_too_high) || wholes.iter().any(Whole::is_too_high);
    if too_high { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A conversation's first message and the mean of those that follow, both people connected; what folding earnings costs.
async fn messages(
    [what, first]: [&'static str; 2],
    ids: Ids,
    price: u64,
    share: &str,
    limit: (usize, f64, f64),
) -> Vec<Cost> {
    let world = World::deployed_with(&[("ReceiverSharePercent", share)]).await;
    world.prices("bob", price).await;
    world.tops_up("ann", 10_000).await;
    let phone = world.person("ann").connects().await.with(ids);
    let _listening = world.person("bob").connects().await;
    let mut costs = Vec::new();
    world.calls();
    let answer = phone.sends_to("bob", "hello").await;
    let conversation = answer.data()["message"]["conversationId"].clone();
    // The first makes what the others find: the conversation, two inboxes, their places in the index.
    costs.push(Cost::of(first, &world.calls(), &phone, 1, (limit.0 + 1, limit.1 + 4.0, limit.2)));
    for _ in 0..MESSAGES {
        phone.sends(&conversation, "hello").await;
    }
    world.calls();
    for _ in 0..MESSAGES {
        phone.sends(&conversation, "hello").await;
    }
    costs.push(Cost::of(what, &world.calls(), &phone, MESSAGES, limit));
    if price > 0 {
        let receiver = world.person("bob").connects().await;
        world.calls();
        receiver.balance().await;
        costs.push(Cost::of(
            "… folding one earning later",
            &world.calls(),
            &receiver,
            2 * MESSAGES + 1,
            (13, 3.0, 1.2),
        ));
    }
    costs
}

/// What a message costs in a group of so many people, all connected; a member's mark, and a list: READ so many units at most.
async fn group(what: &'static str, people: usize, read: [f64; 3]) -> Vec<Cost> {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let others: Vec<String> = (1..people).map(|n| format!("user{n}")).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    for other in &others {
        world.person(other).connects().await;
    }
    let group = phone.makes_group("g1", &others).await;
    for _ in 0..MESSAGES {
        phone.sends(&group, "hello").await;
    }
    world.calls();
    for _ in 0..MESSAGES {
        phone.sends(&group, "hello").await;
    }
    let mut costs = vec![Cost::of(what, &world.calls(), &phone, MESSAGES, (3, 5.0, read[0]))];
    let reader = world.person(others[0]).connects().await;
    world.calls();
    reader.marks_read(&group, 1).await;
    costs.push(Cost::of("… read mark there", &world.calls(), &reader, 1, (2, 1.0, read[1])));
    world.calls();
    reader.says(serde_json::json!({ "action": "getConversations" })).await.data();
    costs.push(Cost::of("… list of one such group", &world.calls(), &reader, 1, (5, 0.0, read[2])));
    costs
}

/// A read mark and a delivered mark.
async fn marks() -> Vec<Cost> {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let bob = world.person("bob").connects().await;
    let answer = ann.sends_to("bob", "hello").await;
    let conversation = answer.data()["message"]["conversationId"].clone();
    ann.sends(&conversation, "hello again").await;
    let mut costs = Vec::new();
    world.calls();
    bob.marks_delivered(&conversation, 1).await;
    costs.push(Cost::of("delivered mark", &world.calls(), &bob, 1, (1, 1.0, 2.0)));
    world.calls();
    bob.marks_read(&conversation, 2).await;
    costs.push(Cost::of("read mark", &world.calls(), &bob, 1, (1, 1.0, 2.0)));
    costs
}

/// What a client that comes back asks, who has so many conversations of two: in three of them something was said meanwhile.
async fn sync(what: &'static str, conversations: usize, limit: (usize, f64, f64)) -> Cost {
    let world = World::new().await;
    let mut since = serde_json::Map::new();
    for n in 0..conversations {
        let phone = world.person(&format!("user{n}")).connects().await;
        let sent = phone.sends_to("ann", "hello").await;
        let id = sent.data()["message"]["conversationId"].as_str().unwrap_or_default();
        since.insert(id.to_owned(), 1.into());
        if n < 3 {
            phone.sends_to("ann", "hello again").await.data();
        }
        phone.vanishes();
    }
    let ann = world.person("ann").connects().await;
    world.comes_to_rest().await;
    world.calls();
    let answer = ann.says(serde_json::json!({ "action": "sync", "since": since })).await;
    assert_eq!(answer["messages"], 3);
    Cost::of(what, &world.calls(), &ann, 1, limit)
}

/// The first page of the list of somebody who is in so many groups, in each of which something was said.
async fn list(what: &'static str, groups: usize, limit: (usize, f64, f64)) -> Cost {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for n in 0..groups {
        let group = ann.makes_group(&format!("g{n}"), &["bob"]).await;
        ann.sends(&group, "hello").await.data();
        world.advance(Duration::from_secs(1)).await;
    }
    world.calls();
    ann.says(serde_json::json!({ "action": "getConversations" })).await.data();
    Cost::of(what, &world.calls(), &ann, 1, limit)
}

/// A message of somebody who has been silent, and is silent again: it lists the account, and the sweep looks at it each minute, drops
/// it and takes the account out of the index.
async fn silence() -> Cost {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let _listening = world.person("bob").connects().await;
    phone.sends_to("bob", "hello").await.data();
    world.comes_to_rest().await;
    world.calls();
    world.sweeps().await;
    let idle = units(&world.calls());
    phone.sends_to("bob", "hello again").await.data();
    let mut cost = Cost::of("free message between two silences", &world.calls(), &phone, 1, (3, 8.0, 18.5));
    for _ in 0..SILENT_MINUTES {
        world.advance(MINUTE).await;
        world.sweeps().await;
        let (writes, reads) = units(&world.calls());
        cost.writes += writes - idle.0;
        cost.reads += reads - idle.1;
    }
    world.is_at_rest();
    cost
}

/// What becomes of as few messages as are moved at once before their time: moved, deleted, and the conversation's last look.
async fn cleanup() -> Cost {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let answer = phone.sends_to("bob", "hello").await;
    let conversation = answer.data()["message"]["conversationId"].clone();
    for _ in 0..SEGMENT_MESSAGES_MIN {
        phone.sends(&conversation, "hello").await.data();
    }
    let receiver = world.person("bob").connects().await;
    receiver.marks_read(&conversation, SEGMENT_MESSAGES_MIN as u64 + 1).await.data();
    world.calls();
    for _ in 0..3 {
        world.advance(CLEANUP_LOOK_EVERY * 2).await;
        world.cleans_up().await;
    }
    Cost::of("moving and deleting one message", &world.calls(), &phone, SEGMENT_MESSAGES_MIN, (0, 1.1, 2.0))
}

/// Prints two tables.
#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn print(costs: &[Cost], wholes: &[Whole]) {
    println!("| counted | round trips to the answer | write units | read units | at most | calls |");
    println!("|---|---|---|---|---|---|");
    for cost in costs {
        let Cost { what, round_trips, calls, writes, reads, limit } = cost;
        let high = if cost.is_too_high() { " TOO HIGH" } else { "" };
        println!(
            "| {what} | {round_trips} | {writes:.2} | {reads:.2} | {}, {} and {}{high} | {calls:.1} |",
            limit.0, limit.1, limit.2
        );
    }
    println!("\n| with all that follows from it | a minute | write units | read units | $ a million | at most |");
    println!("|---|---|---|---|---|---|");
    for whole in wholes {
        let Whole { what, rate, writes, reads, limit: (most_writes, most_reads) } = whole;
        let high = if whole.is_too_high() { " TOO HIGH" } else { "" };
        let dollars = whole.dollars();
        println!(
            "| {what} | {rate} | {writes:.2} | {reads:.2} | {dollars:.2} | {most_writes} and {most_reads}{high} |"
        );
    }
}
