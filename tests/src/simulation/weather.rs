//! The edge of a simulated world: draws each call's faults from the seed, answers reads that may be behind from the past,
//! writes everything down, and checks every write and every frame.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use local::template::TABLE_NAME;
use serde_json::{Value, json};
use shared::chat::invariants::{Broken, Holds, holds};
use tokio::sync::Notify;

use super::clients::Clients;
use super::fault::Fault;
use super::mutants::{Mutant, guards_of};
use super::past::{Past, number, place, text};
use super::plan::Plan;
use super::trace::Trace;
use super::writes::{By, Seen, Write};
use crate::engine::Engine;
use crate::network::{Call, Chance, Edge, Fate, Life, Operation, Passage, Services, lock};
use crate::world::{Failed, INSTANCES};

/// How long a call travels, one way.
const DELAY_MS_MAX: u64 = 8;
/// A call that takes long takes up to this.
const SLOW_MS_MAX: u64 = 1_500;
/// A function that stands still does so up to this: the longest time limit.
const PAUSE_MS_MAX: u64 = 50_000;
/// A request that arrives late does so after the attempt's time limit, and up to this after it.
const LATE_MS_MAX: u64 = 8_000;
/// A function that dies at any time does so within this.
const DEATH_MS_MAX: u64 = 150;
/// A read whose items are read one by one takes so much longer, at most.
const TORN_MS_MAX: u64 = 40;
/// Functions' clocks are off by up to this.
pub(super) const SKEW_MS_MAX: u64 = 2_000;
/// A connection that was accepted is open within this.
const OPENING_MS_MAX: u64 = 60;
/// A read that is behind lacks up to so many writes,
const BEHIND_WRITES_MAX: u64 = 40;
/// but none that is older: replicas and the index are usually a second behind.
const BEHIND_MAX: Duration = Duration::from_secs(60);

/// One run of a function.
struct Running {
    chance: Chance,
    calls: u64,
    faults: u64,
    /// How many writes there were when it began.
    began_at: u64,
    /// How many writes there were when it asked for ACCOUNT.
    account_read_at: u64,
    /// Between how many writes and how many each of its reads of MEMBERs was made.
    members_read: Vec<RangeInclusive<u64>>,
    /// Whether it is of the version before.
    is_older: bool,
}

/// Everything that a run knows.
pub(super) struct State {
    pub(super) plan: Plan,
    mutant: Option<Mutant>,
    healed: bool,
    running: BTreeMap<String, Running>,
    seen: Seen,
    pub(super) past: Past,
    pub(super) trace: Trace,
    pub(super) clients: Clients,
    /// Every condition's parts that were seen.
    pub(super) guards: BTreeSet<Mutant>,
    /// The faults that happened: an invocation, and the number of its call.
    pub(super) happened: Vec<(String, u64)>,
    /// Calls that the engine has answered.
    pub(super) operations: u64,
    /// The first rule that was broken.
    pub(super) broken: Option<Broken>,
    pub(super) stop: Arc<Notify>,
}

/// A run's state, shared by everybody in it.
#[derive(Clone)]
pub(super) struct Weather(pub(super) Arc<Mutex<State>>);

impl State {
    pub(super) fn new(plan: &Plan, mutant: Option<Mutant>, kept: usize) -> Self {
        Self {
            plan: plan.clone(),
            mutant,
            healed: false,
            running: BTreeMap::new(),
            seen: Seen::new(plan),
            past: Past::default(),
            trace: Trace::new(kept),
            clients: Clients::new(plan),
            guards: BTreeSet::new(),
            happened: Vec::new(),
            operations: 0,
            broken: None,
            stop: Arc::new(Notify::new()),
        }
    }

    /// From now on nothing goes wrong.
    pub(super) fn heal(&mut self) {
        self.trace.add("the world is healed");
        self.healed = true;
    }

    /// Whether a send was decided whose RECEIPT isn't there.
    pub(super) fn has_unfinished(&self) -> bool {
        let accounts = self.past.all().filter(|item| text(item, "sk") == "ACCOUNT");
        let mut open = accounts.flat_map(|item| {
            let sends = item["open"]["M"].as_object().into_iter().flat_map(|open| open.values());
            sends.map(|send| (text(item, "pk"), format!("RECEIPT#{}", text(&send["M"], "cmid"))))
        });
        open.any(|(pk, sk)| self.past.now(pk, &sk).is_none())
    }

    /// Keeps the first rule that was broken.
    pub(super) fn check(&mut self, checked: Holds) {
        if let Err(broken) = checked
            && self.broken.is_none()
        {
            self.trace.add(&format!("BROKEN: {}: {}", broken.rule, broken.seen));
            self.broken = Some(broken);
            self.stop.notify_one();
        }
    }

    /// Whether a fault happens to somebody whose CHANCE this is.
    pub(super) fn strikes(&self, fault: Fault, chance: &mut Chance) -> bool {
        let of_1000 = self.plan.faults.get(&fault).copied().unwrap_or_default();
        chance.below(1_000) < of_1000 && !self.healed
    }

    /// Whether a fault happens to a call.
    fn strikes_at(&self, fault: Fault, call: &Call, chance: &mut Chance) -> bool {
        chance.below(1_000) < self.plan.chances_at(fault, call) && !self.healed
    }

    /// Whether nothing goes wrong any more.
    pub(super) fn is_healed(&self) -> bool {
        self.healed
    }

    /// A chance that depends on nothing but the seed and a name.
    pub(super) fn chance_of(&self, name: &str) -> Chance {
        let mut chance = Chance(self.plan.seed);
        for byte in name.bytes() {
            chance.0 = chance.next() ^ u64::from(byte);
        }
        chance
    }

    /// What breaks about a call.
    fn fate(&self, chance: &mut Chance, call: &Call) -> Fate {
        let refused = |status| Fate::Refused(status, String::new());
        if let Operation::Queue(..) = call.operation {
            return self.queue_fate(chance);
        }
        if let Operation::Push(_) | Operation::Close(_) = call.operation {
            if self.strikes(Fault::PushRefused, chance) {
                return refused([429, 500, 503][chance.below(3) as usize]);
            }
            return if self.strikes(Fault::PushUnanswered, chance) { Fate::Unanswered } else { Fate::Answered };
        }
        let is_object = matches!(call.operation, Operation::PutObject(_) | Operation::GetObject(_));
        let named = |name: &str| {
            let kind = format!("com.amazonaws.dynamodb.v20120810#{name}");
            Fate::Refused(400, json!({ "__type": kind, "message": name }).to_string())
        };
        for fault in self.plan.faults.keys().filter(|fault| self.strikes_at(**fault, call, chance)) {
            return match fault {
                Fault::Throttled if is_object => Fate::Refused(503, "<Error><Code>SlowDown</Code></Error>".to_owned()),
                Fault::Throttled => named("ProvisionedThroughputExceededException"),
                Fault::Conflict if call.operation.is_write() => named("TransactionConflictException"),
                Fault::Refused => refused([500, 503][chance.below(2) as usize]),
                Fault::FailedAfter => Fate::Failed(500),
                Fault::Unreached => Fate::Unreached,
                Fault::Unanswered => Fate::Unanswered,
                Fault::Late => {
                    let wait = shared::limits::ATTEMPT_TIMEOUT + Duration::from_millis(chance.below(LATE_MS_MAX));
                    Fate::Late(wait)
                }
                Fault::Killed => [Fate::KilledBefore, Fate::KilledAfter][chance.below(2) as usize].clone(),
                _ => continue,
            };
        }
        Fate::Answered
    }

    /// What breaks about a call to the queue.
    fn queue_fate(&self, chance: &mut Chance) -> Fate {
        let wait = Duration::from_millis(chance.below(LATE_MS_MAX));
        match () {
            () if self.strikes(Fault::QueueRefused, chance) => Fate::Refused(503, String::new()),
            () if self.strikes(Fault::QueueUnanswered, chance) => Fate::Unanswered,
            () if self.strikes(Fault::QueueTwice, chance) => Fate::Twice(wait),
            () if self.strikes(Fault::Late, chance) => Fate::Late(shared::limits::QUEUE_ATTEMPT_TIMEOUT + wait),
            () if self.strikes(Fault::Killed, chance) => {
                [Fate::KilledBefore, Fate::KilledAfter][chance.below(2) as usize].clone()
            }
            () => Fate::Answered,
        }
    }

    /// The state that a read is answered from: so many writes ago.
    fn behind(&self, call: &Call, chance: &mut Chance) -> u64 {
        let now = self.past.version();
        let Operation::Dynamo(name, _) = &call.operation else { return now };
        let fault = if call.operation.reads_index() { Fault::StaleIndex } else { Fault::StaleRead };
        let oldest = || self.past.version_before(BEHIND_MAX);
        if let Some(version) = self.mutant.as_ref().and_then(|mutant| {
            let account_read_at = self.running[&call.trace_id].account_read_at;
            mutant.reads_at(call, now, account_read_at, chance)
        }) {
            return version.max(oldest());
        }
        if matches!(name.as_str(), "GetItem" | "BatchGetItem" | "Query")
            && !call.operation.is_strong()
            && self.strikes(fault, chance)
        {
            return now.saturating_sub(chance.below(BEHIND_WRITES_MAX)).max(oldest());
        }
        now
    }

    /// Answers a call to DynamoDB.
    fn answer(&mut self, engine: &Engine, call: &Call, body: &[u8], torn_since: Option<u64>) -> (u16, String) {
        let Operation::Dynamo(name, request) = &call.operation else { return (404, String::new()) };
        self.operations += 1;
        if !call.operation.is_write() {
            return self.answer_read(engine, call, body, torn_since);
        }
        if name == "BatchWriteItem" {
            return self.answer_deletes(engine, call, request.clone());
        }
        let is_older = self.running.get(&call.trace_id).is_some_and(|running| running.is_older);
        let older = is_older.then(|| older(&call.operation)).flatten();
        let request = older.as_ref().unwrap_or(request);
        let changed = self.mutant.as_ref().and_then(|mutant| mutant.changes(&self.past, name, request));
        let (status, answer) = match changed.as_ref().or(older.as_ref()) {
            Some(request) => engine.answer(name, request.to_string().as_bytes()),
            None => engine.answer(name, body),
        };
        if status == 200 && call.operation.is_delete() {
            let place = place(&request["Key"]);
            let may = self.seen.may_delete(&self.past, &place);
            self.check(may);
            self.past.delete(&place);
        } else if status == 200 {
            let image = if name == "PutItem" {
                request["Item"].clone()
            } else {
                serde_json::from_str::<Value>(&answer).unwrap_or_default()["Attributes"].take()
            };
            let running = self.running.get(&call.trace_id);
            let by = By {
                operation: &call.operation,
                trace_id: &call.trace_id,
                began_at: running.map(|running| running.began_at).unwrap_or_default(),
                members_read: &running.map(|running| running.members_read.clone()).unwrap_or_default(),
            };
            self.written(&by, image);
            if let Some(more) = self.mutant.as_ref().and_then(|mutant| mutant.adds(&self.past, request)) {
                let put = json!({ "TableName": TABLE_NAME, "Item": more });
                engine.answer("PutItem", put.to_string().as_bytes());
                self.written(&by, more);
            }
        }
        (status, answer)
    }

    /// Deletes items, or some of them.
    fn answer_deletes(&mut self, engine: &Engine, call: &Call, mut request: Value) -> (u16, String) {
        let deletes = &mut request["RequestItems"][TABLE_NAME];
        let several = deletes.as_array().map_or(0, Vec::len);
        let mut chance = self.running[&call.trace_id].chance.clone();
        let mut rest = Vec::new();
        if self.strikes(Fault::Unprocessed, &mut chance) {
            let done = 1 + chance.below(several as u64) as usize;
            rest = deletes.as_array_mut().map(|deletes| deletes.split_off(done)).unwrap_or_default();
        }
        for delete in deletes.as_array().into_iter().flatten() {
            let place = place(&delete["DeleteRequest"]["Key"]);
            let may = self.seen.may_delete(&self.past, &place);
            self.check(may);
            self.past.delete(&place);
        }
        let (status, answer) = engine.answer("BatchWriteItem", request.to_string().as_bytes());
        let mut answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        if !rest.is_empty() {
            answer["UnprocessedItems"] = json!({ TABLE_NAME: rest });
        }
        (status, answer.to_string())
    }

    /// A write was made.
    fn written(&mut self, by: &By<'_>, image: Value) {
        let before = self.past.write(image.clone());
        for send in image["open"]["M"].as_object().into_iter().flat_map(|open| open.keys()) {
            if before.as_ref().is_none_or(|before| before["open"]["M"][send].is_null()) {
                self.clients.decided.insert(send.clone(), self.past.version());
            }
        }
        let mut write = Write { past: &self.past, seen: &mut self.seen, by, before: before.as_ref(), after: &image };
        let checked = write.check();
        self.check(checked);
        let (_, sk) = place(&image);
        if sk.starts_with("RECEIPT#") && image["void"]["BOOL"] != true {
            let conversation = text(&image, "conversation").to_owned();
            let seq = u64::try_from(number(&image, "seq")).unwrap_or_default();
            let ended = self.clients.ended.entry(conversation).or_default();
            *ended = seq.max(*ended);
        }
    }

    fn answer_read(&mut self, engine: &Engine, call: &Call, body: &[u8], torn_since: Option<u64>) -> (u16, String) {
        let Operation::Dynamo(name, request) = &call.operation else { return (404, String::new()) };
        let mut chance = self.running[&call.trace_id].chance.clone();
        let version = self.behind(call, &mut chance);
        let mut request = request.clone();
        let keys = &mut request["RequestItems"][TABLE_NAME]["Keys"];
        let several = keys.as_array().map_or(0, Vec::len);
        let mut rest = Value::Null;
        if several > 0 && self.strikes(Fault::Unprocessed, &mut chance) {
            let done = chance.below(several as u64) as usize;
            let left = keys.as_array_mut().map(|keys| keys.split_off(done)).unwrap_or_default();
            rest = request["RequestItems"].clone();
            rest[TABLE_NAME]["Keys"] = left.into();
        }
        // What is up to date comes from the engine itself; only it is never behind, and has no empty batches.
        let now = self.past.version();
        let from = torn_since.map_or(version, |since| since.min(version));
        if call.operation.item_kind() == Some("MEMBER")
            && let Some(running) = self.running.get_mut(&call.trace_id)
        {
            running.members_read.push(from..=now);
        }
        let own = from < now || call.operation.reads_index() || !rest.is_null();
        let (status, answer) = if own {
            let mut moment = || if torn_since.is_some() { from + chance.below(now - from + 1) } else { version };
            (200, self.past.read(name, &request, &mut moment))
        } else {
            engine.answer(name, body)
        };
        let mut changed = None;
        if !rest.is_null() {
            let mut answer: Value = serde_json::from_str(&answer).unwrap_or_default();
            answer["UnprocessedKeys"] = rest;
            changed = Some(answer);
        }
        if let Some(mutant) = &self.mutant
            && mutant.rewrites()
        {
            let answer = changed.unwrap_or_else(|| serde_json::from_str(&answer).unwrap_or_default());
            changed = Some(mutant.rewrite(&self.past, call, answer));
        }
        (status, changed.map_or(answer, |answer| answer.to_string()))
    }
}

/// A write as the version before made it: it knew nothing of how far ids were dropped.
fn older(write: &Operation) -> Option<Value> {
    let Operation::Dynamo(_, request) = write else { return None };
    let mut request = request.clone();
    if write.is_put() && write.sk() == Some("ACCOUNT") {
        let item = request["Item"].as_object_mut()?;
        item.remove("dropped_upto");
        item.remove("upto_epoch");
        return Some(request);
    }
    if !write.drops() {
        return None;
    }
    let update = write.update().replace(", #dropped_upto = :upto, #upto_epoch = #epoch + :one", "");
    request["UpdateExpression"] = update.into();
    for name in ["#dropped_upto", "#upto_epoch"] {
        request["ExpressionAttributeNames"].as_object_mut()?.remove(name);
    }
    request["ExpressionAttributeValues"].as_object_mut()?.remove(":upto");
    Some(request)
}

/// A call in words.
fn words(operation: &Operation) -> String {
    match operation {
        Operation::Dynamo(name, request) => format!("{name} {request}"),
        Operation::Secret(_, label) => format!("the secret {label}"),
        Operation::Push(connection) => format!("push to {connection}"),
        Operation::Close(connection) => format!("close {connection}"),
        Operation::Queue(name, request) => format!("{name} {request}"),
        Operation::PutObject(name) => format!("PutObject {name}"),
        Operation::GetObject(name) => format!("GetObject {name}"),
    }
}

impl Edge for Weather {
    fn begins(&mut self, function: &'static str, trace_id: &str) -> Life {
        let mut state = lock(&self.0);
        let mut chance = state.chance_of(trace_id);
        let skewed = state.strikes(Fault::Skewed, &mut chance);
        let skew = chance.below(2 * SKEW_MS_MAX + 1).cast_signed() - SKEW_MS_MAX.cast_signed();
        let skew_ms = if skewed { skew } else { 0 };
        let dies = state.strikes(Fault::Dies, &mut chance);
        let dies_after = dies.then(|| Duration::from_millis(chance.below(DEATH_MS_MAX)));
        state.trace.add(&format!("{trace_id} {function} begins, clock {skew_ms:+} ms, dies after {dies_after:?}"));
        let faults = u64::from(dies);
        let began_at = state.past.version();
        let is_older = state.strikes(Fault::Older, &mut chance);
        let instance = chance.below(INSTANCES as u64) as usize;
        let running =
            Running { chance, calls: 0, faults, began_at, account_read_at: 0, members_read: Vec::new(), is_older };
        state.running.insert(trace_id.to_owned(), running);
        Life { skew_ms, dies_after, instance }
    }

    fn ends(&mut self, function: &'static str, trace_id: &str, failed: Option<&Failed>) {
        let mut state = lock(&self.0);
        state
            .trace
            .add(&format!("{trace_id} {function} ends: {}", failed.map_or("well".into(), |it| format!("{it:?}"))));
        let faults = state.running.get(trace_id).map_or(0, |running| running.faults);
        if let Some(failed) = failed
            && faults == 0
            && *failed != Failed::Error("Unauthorized".to_owned())
        {
            state.check(Err(Broken {
                rule: "nothing fails by itself",
                seen: format!("{function} {trace_id}: {failed:?}"),
            }));
        }
    }

    fn opens(&mut self, connection: &str) -> Duration {
        Duration::from_millis(lock(&self.0).chance_of(connection).below(OPENING_MS_MAX))
    }

    fn refuses_as_too_many(&mut self, connection: &str) {
        let mut state = lock(&self.0);
        let has = |item: &Value| text(item, "sk") == "PRESENCE" && !item["connections"]["M"][connection].is_null();
        let there = state.past.all().any(has);
        let checked = holds("who is refused isn't there", !there, || connection.to_owned());
        state.check(checked);
    }

    fn passes(&mut self, call: &Call) -> Passage {
        let mut state = lock(&self.0);
        let running = state.running.get_mut(&call.trace_id).expect("a call is made by a function that has begun");
        running.calls += 1;
        let number = running.calls;
        let mut chance = running.chance.clone();
        // Waits before something is tried again, the SDK's too, are drawn from here: from the call alone, not from who
        // else has drawn.
        fastrand::seed(chance.clone().next());
        let (there, back) = (1 + chance.below(DELAY_MS_MAX), 1 + chance.below(DELAY_MS_MAX));
        let mut there = Duration::from_millis(there);
        let mut fate = state.fate(&mut chance, call);
        let paused = state.strikes_at(Fault::Paused, call, &mut chance);
        let mut pause = paused.then(|| Duration::from_millis(chance.below(PAUSE_MS_MAX)));
        let slow = state.strikes_at(Fault::Slow, call, &mut chance);
        if slow {
            there += Duration::from_millis(chance.below(SLOW_MS_MAX));
        }
        let torn = call.operation.reads_several() && state.strikes(Fault::Torn, &mut chance);
        let mut torn_since = torn.then(|| state.past.version());
        if torn {
            there += Duration::from_millis(chance.below(TORN_MS_MAX));
        }
        let place = (call.trace_id.clone(), number);
        if state.plan.muted.contains(&place) {
            (fate, pause, torn_since) = (Fate::Answered, None, None);
        }
        let (now, struck) = (state.past.version(), u64::from(fate != Fate::Answered || pause.is_some()));
        if struck > 0 || torn_since.is_some() {
            state.happened.push(place);
        }
        let mut broken = if struck > 0 { format!(" with {fate:?}, pause {pause:?}") } else { String::new() };
        if torn_since.is_some() {
            broken += ", torn";
        }
        state.trace.add(&format!("{} {} asks {}{broken}", call.trace_id, call.function, words(&call.operation)));
        let running = state.running.get_mut(&call.trace_id).expect("it has begun");
        running.chance = chance;
        // Who waits long enough has no time left.
        running.faults += struck + u64::from(slow);
        if call.operation.sk() == Some("ACCOUNT") && !call.operation.is_write() {
            running.account_read_at = now;
        }
        Passage { there, back: Duration::from_millis(back), pause, fate, torn_since }
    }

    fn serves(&mut self, services: &Services<'_>, call: &Call, body: &[u8], torn_since: Option<u64>) -> (u16, Vec<u8>) {
        let mut state = lock(&self.0);
        let (status, answer) = match &call.operation {
            Operation::Dynamo(..) => {
                state.guards.extend(guards_of(&call.operation));
                let (status, answer) = state.answer(services.engine, call, body, torn_since);
                (status, answer.into_bytes())
            }
            Operation::Push(connection) => {
                let status = services.connections.push(connection, body);
                if status == 200 {
                    let frame: Value = serde_json::from_slice(body).unwrap_or_default();
                    state.trace.add(&format!("{connection} receives {frame}"));
                    let State { clients, past, .. } = &mut *state;
                    let checked = clients.receives(past, connection, &frame);
                    state.check(checked);
                }
                (status, Vec::new())
            }
            Operation::Close(connection) => (services.connections.close(connection), Vec::new()),
            Operation::PutObject(name) => {
                state.seen.objects.insert(name.clone());
                services.bucket.answer(&call.operation, body)
            }
            Operation::GetObject(_) => services.bucket.answer(&call.operation, body),
            Operation::Secret(..) | Operation::Queue(..) => unreachable!("the network answers these by itself"),
        };
        let outcome = if answer.len() > 300 { format!("{} bytes", answer.len()) } else { String::new() };
        state.trace.add(&format!("{} {status} {outcome}", call.trace_id));
        (status, answer)
    }
}
