//! The proof: everything is read, cleaned up while people write and read, checked, and read again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use benches::machine::{Figures, Machine, token};
use benches::problem::Problem;
use client::Connection;
use futures::StreamExt as _;
use local::operator::Summary;
use serde_json::{Value, json};
use tests::years::{Made, Plan};
use tokio::task::JoinSet;
use wire::{Code, ConversationId, Event, Request, SendMessage};

use crate::logs::{Digest, Logs, Tokens, connect, digest, page_above, read};
use crate::{directory, web};

/// How many people read everything at the same time.
const READERS: usize = 12;
/// How many people write and read while it is cleaned up.
const WRITERS: usize = 8;
/// How long a cleanup runs at most before it is killed, in milliseconds.
const KILL_WITHIN_MS: u64 = 4_000;
/// What a cleanup may take, and a message that it moves may cost.
const PEAK_KB_MAX: u64 = 64 * 1024;
const WRITE_UNITS_MAX: f64 = 1.1;
/// How many cleanups there may be until nothing is left to do.
const CLEANUPS_MAX: usize = 30;
/// The day that passes between moving and deleting, in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// The wait before somebody tries again.
const BACKOFF: Duration = Duration::from_millis(100);
/// How many sends that were archived are repeated.
const REPEATS: usize = 50;

/// What was said while it was cleaned up: conversation, number, and what was shown of it.
#[derive(Default)]
struct Said(Vec<(usize, u64, Digest)>);

/// Proves it, and prints the figures.
#[expect(clippy::print_stdout, reason = "this is what it is for")]
pub(crate) async fn prove(
    directory: &Path,
    plan: &Plan,
    made: &[Made],
    kills: u32,
    in_web: usize,
) -> Result<(), Problem> {
    let mut machine = Machine::start(directory, &["--no-schedules"]).await?;
    let tokens = tokens(&machine, made).await?;
    verify(&machine, "as it was made").await?;
    let began = Instant::now();
    let before = Arc::new(read_all(&machine, &tokens, made).await?);
    let read: usize = before.iter().map(Vec::len).sum();
    println!("read: {read} messages by both in {:.0} s", began.elapsed().as_secs_f64());

    let people = People::begin(&machine, &tokens, made, &before, plan.seed);
    let began = Instant::now();
    let mut peak_kb = 0;
    let hits = kill_cleanups(&mut machine, kills, plan.seed).await?;
    peak_kb = clean(&machine).await?.max(peak_kb);
    verify(&machine, "moved, while it is used").await?;
    // A day passes; nothing is deleted before.
    machine.stops().await?;
    directory::ages(directory, DAY_MS)?;
    machine.starts_again().await?;
    let hits = hits + kill_cleanups(&mut machine, kills, plan.seed + 1).await?;
    peak_kb = clean(&machine).await?.max(peak_kb);
    let took = began.elapsed();
    verify(&machine, "deleted, while it is used").await?;
    let said = people.end().await?;

    verify(&machine, "at rest").await?;
    let after = read_all(&machine, &tokens, made).await?;
    compare(made, &before, &after, &said)?;
    println!(
        "read again: {read} messages are what they were; {} were said meanwhile, and are where it was said",
        said.0.len()
    );
    if in_web > 0 {
        let began = Instant::now();
        let read = web::reads(&machine.address, &tokens, made, &after, in_web).await?;
        println!("read in the web client: {read} messages by both in {:.0} s", began.elapsed().as_secs_f64());
    }
    println!("repeated: {} archived sends got the numbers that they had", repeat(&machine, &tokens, made).await?);
    print_figures(&machine.figures()?, peak_kb, took, kills, hits)
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn print_figures(figures: &Figures, peak_kb: u64, took: Duration, kills: u32, hits: u32) -> Result<(), Problem> {
    let of = |name: &str| figures.get(name).copied().unwrap_or_default();
    let moved = of("MessagesMoved");
    let units = of("WriteUnits") / moved.max(1.0);
    println!("| counted | |\n|---|---|");
    println!("| the cleanup's memory at most, KB | {peak_kb} |");
    println!("| both cleanups, with starts and kills, s | {:.0} |", took.as_secs_f64());
    println!("| kills, of them during a cleanup | {}, {hits} |", 2 * kills);
    // A cleanup that was killed has said nothing of what it did.
    if kills == 0 {
        println!("| messages moved, deleted | {moved}, {} |", of("MessagesDeleted"));
        println!("| segments, bytes | {}, {} |", of("SegmentsWritten"), of("SegmentBytes"));
        println!(
            "| write units, read units per message moved and deleted | {units:.3}, {:.3} |",
            of("ReadUnits") / moved.max(1.0)
        );
        println!("| cleanups, s, as they say | {:.1} |", of("duration_ms") / 1_000.0);
    }
    if kills == 0 && units > WRITE_UNITS_MAX {
        return Err(format!("a message moved costs {units:.3} write units, more than {WRITE_UNITS_MAX}").into());
    }
    if peak_kb > PEAK_KB_MAX {
        return Err(format!("the cleanup takes {peak_kb} KB, more than {PEAK_KB_MAX}").into());
    }
    Ok(())
}

async fn tokens(machine: &Machine, made: &[Made]) -> Result<Tokens, Problem> {
    let names: BTreeSet<&str> = made.iter().flat_map(|made| &made.members).map(|name| name.as_str()).collect();
    let mut tokens = Tokens::new();
    for name in names {
        tokens.insert(name.to_owned(), token(&machine.address, &json!({ "sub": name, "ttlSeconds": 86_400 })).await?);
    }
    Ok(tokens)
}

/// Has everything checked. While all is well this says so, and else it is the end.
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn verify(machine: &Machine, when: &str) -> Result<(), Problem> {
    let began = Instant::now();
    let mut summary = Summary::default();
    let mut cursor = Value::Null;
    println!("verify, {when}:");
    loop {
        let report = machine.invokes("verify", &json!({ "cursor": cursor })).await?;
        summary.add(&report, &mut std::io::stdout())?;
        cursor = report["cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    summary.conclude(&mut std::io::stdout())?;
    println!("in {:.0} s, {} KB at most", began.elapsed().as_secs_f64(), machine.peak_kb("verify"));
    if summary.is_well() { Ok(()) } else { Err("something is wrong".into()) }
}

/// Everybody reads everything; both of a conversation must see the same.
async fn read_all(machine: &Machine, tokens: &Tokens, made: &[Made]) -> Result<Logs, Problem> {
    let of_person = |name: &str| {
        let theirs =
            made.iter().enumerate().filter(|(_, made)| made.members.iter().any(|member| member.as_str() == name));
        theirs.map(|(at, made)| (at, made.id.clone())).collect::<Vec<_>>()
    };
    let readers = tokens.iter().map(|(name, token)| {
        let theirs = of_person(name);
        async move {
            let mut connection = connect(&machine.address, token).await?;
            let mut logs = Vec::new();
            for (at, id) in theirs {
                logs.push((at, read(&mut connection, &id).await?));
            }
            Ok::<_, Problem>(logs)
        }
    });
    let mut readers = futures::stream::iter(readers).buffer_unordered(READERS);
    let mut logs: Vec<Option<Vec<Digest>>> = vec![None; made.len()];
    while let Some(theirs) = readers.next().await {
        for (at, log) in theirs? {
            match &logs[at] {
                Some(other) if *other != log => {
                    return Err(format!("{}: its two see different logs", made[at].id).into());
                }
                _ => logs[at] = Some(log),
            }
        }
    }
    Ok(logs.into_iter().map(Option::unwrap_or_default).collect())
}

/// Runs the cleanup until it finds nothing more to do; the most memory that it took.
async fn clean(machine: &Machine) -> Result<u64, Problem> {
    let work = |figures: &Figures| {
        ["MessagesMoved", "MessagesDeleted"].map(|name| figures.get(name).copied().unwrap_or_default())
    };
    let mut before = work(&machine.figures()?);
    let mut peak_kb = 0;
    for _ in 0..CLEANUPS_MAX {
        // One that fails, because the machine is too busy for it, has done what it has done: the next goes on.
        let ended = machine.invokes("cleanup", &json!({})).await;
        peak_kb = machine.peak_kb("cleanup").max(peak_kb);
        let after = work(&machine.figures()?);
        if ended.is_ok() && after == before {
            return Ok(peak_kb);
        }
        before = after;
    }
    Err(format!("after {CLEANUPS_MAX} cleanups there is still something to do").into())
}

/// Kills the whole machine so many times, each time while a cleanup runs, if it runs long enough; how often it did.
async fn kill_cleanups(machine: &mut Machine, kills: u32, seed: u64) -> Result<u32, Problem> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut hits = 0;
    for _ in 0..kills {
        let until = Duration::from_millis(chance.u64(100..KILL_WITHIN_MS));
        let ended = tokio::time::timeout(until, machine.invokes("cleanup", &json!({}))).await.is_ok();
        hits += u32::from(!ended);
        machine.is_killed().await?;
        machine.starts_again().await?;
    }
    Ok(hits)
}

/// People who write and read until they are told to end.
struct People {
    end: Arc<AtomicBool>,
    at_it: JoinSet<Result<Said, String>>,
}

impl People {
    fn begin(machine: &Machine, tokens: &Tokens, made: &[Made], before: &Arc<Logs>, seed: u64) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let mut at_it = JoinSet::new();
        let mut chance = fastrand::Rng::with_seed(seed);
        for n in 0..WRITERS {
            let name = made[chance.usize(..made.len())].members[n % 2].as_str().to_owned();
            let theirs =
                made.iter().enumerate().filter(|(_, made)| made.members.iter().any(|member| member.as_str() == name));
            let person = Somebody {
                address: machine.address.clone(),
                token: tokens[&name].clone(),
                theirs: theirs.map(|(at, made)| (at, made.id.clone())).collect(),
                before: before.clone(),
                chance: fastrand::Rng::with_seed(seed ^ n as u64),
                connection: None,
            };
            let end = end.clone();
            at_it.spawn(async move { person.goes_on(n, &end).await.map_err(|problem| problem.to_string()) });
        }
        Self { end, at_it }
    }

    async fn end(mut self) -> Result<Said, Problem> {
        self.end.store(true, Ordering::Relaxed);
        let mut all = Said::default();
        while let Some(said) = self.at_it.join_next().await {
            all.0.extend(said??.0);
        }
        Ok(all)
    }
}

struct Somebody {
    address: String,
    token: String,
    theirs: Vec<(usize, ConversationId)>,
    before: Arc<Logs>,
    chance: fastrand::Rng,
    connection: Option<Connection>,
}

impl Somebody {
    async fn goes_on(mut self, n: usize, end: &AtomicBool) -> Result<Said, Problem> {
        let mut said = Said::default();
        let mut count = 0;
        while !end.load(Ordering::Relaxed) {
            let (at, id) = self.theirs[self.chance.usize(..self.theirs.len())].clone();
            count += 1;
            let request = SendMessage {
                conversation_id: Some(id.clone()),
                to: None,
                content: format!("meanwhile {count}"),
                client_message_id: format!("meanwhile-{n}-{count}").parse()?,
                attachment: None,
                reply_to: None,
                max_price: None,
            };
            match self.persists(&request).await {
                Ok(Event::MessageSent { message, .. }) => said.0.push((at, message.seq.0, digest(&message)?)),
                Err(client::Problem::Refused(error)) if error.code == Code::InsufficientBalance.into() => {}
                other => return Err(format!("answered with {other:?}").into()),
            }
            self.looks_back(at, &id).await?;
            tokio::time::sleep(BACKOFF).await;
        }
        Ok(said)
    }

    /// Reads a page from somewhere: it must be what it was.
    async fn looks_back(&mut self, at: usize, id: &ConversationId) -> Result<(), Problem> {
        let known = self.before.clone();
        let after = self.chance.usize(..known[at].len());
        let Event::MessagesPage { messages, .. } = self.persists(&page_above(id, after)).await? else {
            return Err(format!("no page of {id} above {after}").into());
        };
        let page: Vec<Digest> = messages.iter().map(digest).collect::<Result<_, _>>()?;
        let same = page.iter().zip(&known[at][after..]).all(|(message, known)| message == known);
        if same && !page.is_empty() { Ok(()) } else { Err(format!("{id}: another page above {after}").into()) }
    }

    /// Asks until there is a final answer, as the protocol says: the machine may be dead for a while.
    async fn persists<R: Request>(&mut self, request: &R) -> Result<Event, client::Problem> {
        let mut missing = client::Problem::Lost("never connected".to_owned());
        for _ in 0..600 {
            let asked = match &mut self.connection {
                Some(connection) => connection.ask(request).await,
                None => match connect(&self.address, &self.token).await {
                    Ok(connection) => self.connection.insert(connection).ask(request).await,
                    Err(problem) => Err(problem),
                },
            };
            match asked {
                Err(client::Problem::Refused(error)) if error.retryable => {
                    missing = client::Problem::Refused(error);
                }
                Err(problem) if problem.is_retryable() => {
                    self.connection = None;
                    missing = problem;
                }
                done => return done,
            }
            tokio::time::sleep(BACKOFF).await;
        }
        Err(missing)
    }
}

/// What was there before still is; behind it is what was said meanwhile, each with the number that was answered.
fn compare(made: &[Made], before: &Logs, after: &Logs, said: &Said) -> Result<(), Problem> {
    let mut more = 0;
    for ((made, before), after) in made.iter().zip(before).zip(after) {
        if after.len() < before.len() || after[..before.len()] != before[..] {
            return Err(format!("{}: it isn't what it was", made.id).into());
        }
        more += after.len() - before.len();
    }
    for (at, seq, digest) in &said.0 {
        let there = usize::try_from(*seq)?.checked_sub(1).and_then(|seq| after[*at].get(seq));
        if there != Some(digest) {
            return Err(format!("{} {seq}: it isn't what was said", made[*at].id).into());
        }
    }
    if more != said.0.len() {
        return Err(format!("{} were said, and there are {more} more", said.0.len()).into());
    }
    Ok(())
}

/// Sends again what was archived, with its `clientMessageId`: it gets its old number, and nothing is said twice.
async fn repeat(machine: &Machine, tokens: &Tokens, made: &[Made]) -> Result<usize, Problem> {
    let mut repeated = 0;
    // The longest are the first.
    for made in made.iter().take(REPEATS) {
        let mut connections = BTreeMap::new();
        for member in &made.members {
            connections.insert(member, connect(&machine.address, &tokens[member.as_str()]).await?);
        }
        let reader = connections.values_mut().next().ok_or("nobody")?;
        let Event::MessagesPage { messages, .. } = reader.ask(&page_above(&made.id, 0)).await? else {
            return Err(format!("no page of {}", made.id).into());
        };
        let Some(first) = messages.into_iter().find(|message| !message.deleted) else { continue };
        let sender = connections.get_mut(&first.sender_id).ok_or("a stranger's message")?;
        let request = SendMessage {
            conversation_id: Some(made.id.clone()),
            to: None,
            content: first.content,
            client_message_id: first.client_message_id,
            attachment: None,
            reply_to: first.reply_to,
            max_price: None,
        };
        match sender.ask(&request).await? {
            Event::MessageSent { message, duplicate: true, .. } if message.seq == first.seq => repeated += 1,
            other => return Err(format!("{}: a repeat of {} got {other:?}", made.id, first.seq).into()),
        }
    }
    Ok(repeated)
}
