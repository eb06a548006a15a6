//! Many people write, and some of the functions die: every send that died must end in time, wherever its sender's id sorts,
//! and what the sweep says of the oldest must be true.
//!
//! ```sh
//! cargo run -p benches --profile simulation --bin fairness                    # 50,000 people: some minutes
//! cargo run -p benches --bin fairness -- --people 500 --minutes 4
//! ```
//!
//! Everything runs in one process on a clock of its own, as in the tests; a call takes 2 to 16 ms of it. What a processor
//! costs isn't in it.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Parser;
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt as _};
use serde_json::Value;
use shared::limits::VOID_AFTER;
use shared::telemetry;
use tests::{Call, Fault, Operation, Phone, World};
use tokio::time::Instant;

/// A send that died has ended after so long: it is the sweep's after one minute, and the sweep comes every minute.
const ENDS_WITHIN: Duration = Duration::from_secs(180);
/// So many connect at the same time.
const CONNECTING: usize = 500;
const MINUTE: Duration = Duration::from_secs(60);

/// Lets many people write while functions die, and the sweep end what they left.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many people, each of whom sends once a minute
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    people: u32,
    /// For how many minutes they do
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    minutes: u32,
    /// How many of 1,000 functions die when a message is decided
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    dying: u32,
    /// What everything is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A send, by its sender and the sender's name for it.
type Send = (String, String);

/// Sends whose functions died: when that was, and when each has ended.
type Ends = HashMap<Send, (Instant, Option<Instant>)>;

/// What becomes of the sends whose functions died.
#[derive(Clone, Default)]
struct Dead(Arc<Mutex<Ends>>);

impl Dead {
    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks which of them have ended.
    fn looks(&self, calls: &[Call]) {
        let mut dead = self.lock();
        for call in calls.iter().filter(|call| call.function == "sweep" && call.operation.writes("RECEIPT#")) {
            let Operation::Dynamo(_, request) = &call.operation else { continue };
            let sender = text(&request["Item"]["pk"]).trim_start_matches("USER#").to_owned();
            let cmid = text(&request["Item"]["sk"]).trim_start_matches("RECEIPT#").to_owned();
            if let Some((_, ended)) = dead.get_mut(&(sender, cmid)) {
                ended.get_or_insert_with(Instant::now);
            }
        }
    }

    /// The age of the oldest that has not ended.
    fn oldest(&self) -> Duration {
        let dead = self.lock();
        let open = dead.values().filter(|(_, ended)| ended.is_none());
        open.map(|(died, _)| died.elapsed()).max().unwrap_or_default()
    }
}

fn text(value: &Value) -> &str {
    value["S"].as_str().unwrap_or_default()
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let lines = Arc::new(Mutex::new(Vec::<Value>::new()));
    let log = lines.clone();
    let log = telemetry::log("bench".to_owned(), tracing::Level::ERROR, move |line| {
        if line.contains(r#""function":"sweep""#) {
            let line = serde_json::from_str(line).unwrap_or_default();
            log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
    let _guard = tracing::dispatcher::set_default(&log);
    let world = World::new().await;
    let mut chance = fastrand::Rng::with_seed(arguments.seed);
    println!("{} people connect", arguments.people);
    let phones = connect(&world, &mut chance, arguments.people).await;
    world.calls();
    let dead = Dead::default();
    kill(&world, &dead, chance.fork(), arguments.dying);
    let minutes = arguments.minutes;
    println!("each sends once a minute, for {minutes} minutes; of 1,000 functions {} die", arguments.dying);
    let (mut right, mut watch) = (true, tokio::time::interval(Duration::from_secs(1)));
    let writes = writes(&phones, &mut chance, minutes);
    let mut writes = std::pin::pin!(writes);
    let (mut sweeps, mut done) = (FuturesUnordered::new(), false);
    let began = Instant::now();
    // The last who die are the sweep's a minute later, and the sweep after that comes within another.
    let end = began + MINUTE * minutes + ENDS_WITHIN;
    let mut next_sweep = began;
    while Instant::now() < end {
        tokio::select! {
            () = &mut writes, if !done => done = true,
            Some((since, ran)) = sweeps.next() => match ran {
                Ok(()) => right &= tell(&lines, since, dead.oldest()),
                Err(failed) => {
                    println!("a sweep failed: {failed:?}");
                    right = false;
                }
            },
            _ = watch.tick() => {
                dead.looks(&world.calls());
                if Instant::now() >= next_sweep {
                    next_sweep += MINUTE;
                    let began = Instant::now();
                    let sweep = world.tries_to_sweep();
                    sweeps.push(async move { (began, sweep.await) });
                }
            }
        }
    }
    right &= summary(&dead);
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// People with ids that sort anywhere.
async fn connect(world: &World, chance: &mut fastrand::Rng, people: u32) -> Vec<Phone> {
    let names: Vec<String> = (0..people).map(|n| format!("{:08x}-{n}", chance.u32(..))).collect();
    let mut phones = Vec::with_capacity(names.len());
    for some in names.chunks(CONNECTING) {
        phones.extend(join_all(some.iter().map(|name| async { world.person(name).connects().await })).await);
    }
    phones
}

/// From now on functions die.
fn kill(world: &World, dead: &Dead, mut chance: fastrand::Rng, of_1000: u32) {
    let dead = dead.clone();
    world.breaks(move |call| {
        let Operation::Dynamo(_, request) = &call.operation else { return None };
        if call.function != "send" || !call.operation.writes("MSG#") || chance.u32(..1_000) >= of_1000 {
            return None;
        }
        let item = &request["Item"];
        let send = (text(&item["sender"]).to_owned(), text(&item["cmid"]).to_owned());
        dead.lock().insert(send, (Instant::now(), None));
        Some(Fault::KillBefore)
    });
}

/// Each sends once a minute, at a moment of its own, to the next one; who gets no answer leaves it to the sweep.
async fn writes(phones: &[Phone], chance: &mut fastrand::Rng, minutes: u32) {
    let writes = phones.iter().enumerate().map(|(n, phone)| {
        let offset = Duration::from_millis(chance.u64(..60_000));
        let to = &phones[(n + 1) % phones.len()].person.id;
        async move {
            for minute in 0..minutes {
                tokio::time::sleep(if minute == 0 { offset } else { MINUTE }).await;
                phone.tries(phone.message_to(to, "hello")).await;
                // What it has heard needn't be kept.
                phone.heard();
            }
        }
    });
    writes.collect::<FuturesUnordered<_>>().collect::<()>().await;
}

/// Tells what a sweep said; whether that is true.
#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn tell(lines: &Mutex<Vec<Value>>, began: Instant, oldest: Duration) -> bool {
    let line = lines.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
    let figure = |name: &str| line[name].as_f64().unwrap_or_default();
    let took = began.elapsed().as_secs_f64();
    let told = Duration::from_secs_f64(figure("OldestOpenSend"));
    // What isn't the sweep's yet it doesn't see, and what has become older meanwhile it has told before.
    let right = oldest <= told + VOID_AFTER + began.elapsed();
    println!(
        "a sweep of {took:.1} s: {} open sends, the oldest of {:.0} s; cut: {}; read units {:.0}, write units {:.0}{}",
        figure("OpenSends"),
        told.as_secs_f64(),
        figure("SweepsCut"),
        figure("ReadUnits"),
        figure("WriteUnits"),
        if right { String::new() } else { format!(" WRONG: one is open for {:.0} s", oldest.as_secs_f64()) },
    );
    right
}

/// Tells how long what had died took to end, by where its sender's id sorts; whether all ended in time.
#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn summary(dead: &Dead) -> bool {
    let dead = dead.lock();
    let mut slowest: Vec<(u8, usize, Duration)> =
        b"0123456789abcdef".iter().map(|digit| (*digit, 0, Duration::ZERO)).collect();
    let mut open = 0;
    for ((sender, _), (died, ended)) in dead.iter() {
        let Some(ended) = ended else {
            open += 1;
            continue;
        };
        let first = sender.as_bytes().first().copied().unwrap_or_default();
        let Some(part) = slowest.iter_mut().find(|(digit, ..)| *digit == first) else { continue };
        part.1 += 1;
        part.2 = part.2.max(*ended - *died);
    }
    for (digit, count, took) in &slowest {
        println!("ids from {}: {count} died, the slowest ended after {:.0} s", char::from(*digit), took.as_secs_f64());
    }
    let in_time = open == 0 && slowest.iter().all(|(.., took)| *took <= ENDS_WITHIN);
    println!("{} died, {open} are still open: {}", dead.len(), if in_time { "in time" } else { "TOO LATE" });
    in_time
}
