//! What one number decides before anything runs: who is there, what they do and when, and which faults there are.
//!
//! The steps don't depend on each other, so that a failing plan can be made smaller by leaving some out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shared::limits::{CONNECTIONS_MAX, OPEN_MAX, VOID_AFTER};

use super::workload::ACTIONS;
use crate::network::{Call, Chance};

/// How many steps a plan has, where nobody says otherwise: one of these.
pub const STEPS_DRAWN: [usize; 4] = [4, 8, 12, 24];
/// The first step is taken when people have the coins that they begin with.
const BEGINNING_MS: u64 = 40;
/// Who connects is connected after this, also when calls are slow.
const CONNECTED_MS: u64 = 5_000;
/// One in so many plans reaches a limit that is too high for the others.
const LIMIT_PLANS: u64 = 200;
/// In one of so many plans messages grow old.
const AGING_PLANS: u64 = 6;
/// The first number of a step that is there because messages grow old.
const AGING_STEPS: u32 = 1_000_000;
/// So many messages are sent about when a cleanup runs.
const AGING_SENDS: u64 = 6;
/// After so long messages are moved: those that everybody has, and all.
pub(super) const MONTHS_MS: [u64; 2] = [40 * 86_400_000, 100 * 86_400_000];
/// After so long what has moved is deleted.
pub(super) const DAY_MS: u64 = 21 * 3_600_000;
/// Each item kind that faults may gather at.
const FOCI: [&str; 9] = ["ACCOUNT", "RECEIPT", "MSG", "ENTRY", "INBOX", "META", "PRESENCE", "TOPUP", "SEGMENT"];
/// How much more often a fault happens where faults gather.
const FOCUS_FACTOR: u64 = 10;
/// The most often that a fault happens where faults gather, of 1,000 chances.
const FOCUS_CHANCES_MAX: u64 = 400;
/// Longer than any function lives and any late request travels.
pub(super) const CALM: Duration = Duration::from_secs(70);
/// Longer than a conversation stays marked as waiting, and than a connection lives.
const DAYS: Duration = Duration::from_secs(26 * 3_600);
/// Those who may be there.
pub(super) const NAMES: [&str; 6] = ["ann", "bob", "cat", "dan", "eve", "fay"];
/// How many devices each has.
pub(super) const DEVICES: usize = 2;

/// What can go wrong. Each has a chance of its own in each plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A call is answered with 400 `ProvisionedThroughputExceededException`.
    Throttled,
    /// A call is answered with 500 or 503, and did nothing.
    Refused,
    /// A call is answered with 500, and did what it should.
    FailedAfter,
    /// A call never arrives.
    Unreached,
    /// A call does what it should, and its answer is lost.
    Unanswered,
    /// A call is answered with 400 `TransactionConflictException`.
    Conflict,
    /// A call takes up to a second and a half.
    Slow,
    /// A call arrives when the SDK has given it up.
    Late,
    /// The function dies at a call, before or after it.
    Killed,
    /// The function dies at any time.
    Dies,
    /// The function stands still at a call, up to its time limit.
    Paused,
    /// A read that may be behind is.
    StaleRead,
    /// A read of the index is behind the table.
    StaleIndex,
    /// A batch comes back in parts.
    Unprocessed,
    /// A push is answered with 429, 500 or 503.
    PushRefused,
    /// A push arrives, and its answer is lost.
    PushUnanswered,
    /// A call to the queue is answered with 503, and did nothing.
    QueueRefused,
    /// A call to the queue does what it should, and its answer is lost.
    QueueUnanswered,
    /// A call to the queue is carried out twice, the second time some seconds later.
    QueueTwice,
    /// The functions' clocks are off by up to two seconds.
    Skewed,
    /// A client's frame is lost.
    FrameLost,
    /// A client's frame arrives twice.
    FrameTwice,
    /// A client's frame is overtaken by others.
    FrameLate,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 23] = [
        Self::Throttled,
        Self::Refused,
        Self::FailedAfter,
        Self::Unreached,
        Self::Unanswered,
        Self::Conflict,
        Self::Slow,
        Self::Late,
        Self::Killed,
        Self::Dies,
        Self::Paused,
        Self::StaleRead,
        Self::StaleIndex,
        Self::Unprocessed,
        Self::PushRefused,
        Self::PushUnanswered,
        Self::QueueRefused,
        Self::QueueUnanswered,
        Self::QueueTwice,
        Self::Skewed,
        Self::FrameLost,
        Self::FrameTwice,
        Self::FrameLate,
    ];

    /// Whether everything that was begun still ends well with it: nothing dies, fails or is cut off.
    const fn is_gentle(self) -> bool {
        matches!(
            self,
            Self::QueueTwice
                | Self::StaleRead
                | Self::StaleIndex
                | Self::Unprocessed
                | Self::Skewed
                | Self::FrameLost
                | Self::FrameTwice
                | Self::FrameLate
        )
    }

    /// How often, of 1,000 chances, a plan that has it may have it: one of these.
    const fn chances(self) -> [u64; 3] {
        match self {
            Self::StaleRead | Self::StaleIndex | Self::Skewed => [200, 500, 900],
            Self::Killed | Self::Dies | Self::FrameLost | Self::FrameTwice | Self::FrameLate => [20, 60, 150],
            // Twice in a row is what the queue is for.
            Self::PushRefused => [20, 80, 250],
            Self::Paused | Self::Late => [4, 12, 30],
            _ => [5, 20, 80],
        }
    }
}

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A frame with this action.
    Says(&'static str),
    /// An earlier message is sent again, as it was or with another text.
    Repeats,
    /// A frame about a conversation of others.
    Pries,
    /// A device connects and syncs.
    Connects,
    /// A device disconnects, and the server is told.
    Leaves,
    /// A device disconnects, and nobody is told.
    Vanishes,
    /// An operator gives somebody the coins that they begin with.
    Begins,
    /// An operator adds coins, with a new key or one that was used.
    TopsUp,
    /// An operator sets a price.
    Prices,
    /// An operator asks what waits, or clears it.
    Operates,
    /// The schedule fires.
    Sweeps,
    /// The daily schedule fires.
    Cleans,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its number; everything in it is named by it.
    pub number: u32,
    /// When it begins.
    pub at_ms: u64,
    /// Who.
    pub person: usize,
    /// On which device.
    pub device: usize,
    /// What.
    pub act: Act,
    /// Whatever else it depends on.
    pub draw: u64,
}

/// A plan: everything that a run depends on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The number that it was drawn from.
    pub seed: u64,
    /// How many people there are.
    pub people: usize,
    /// The price of a message where the receiver has set none.
    pub default_price: u64,
    /// What of each price the receiver earns.
    pub share_percent: u64,
    /// How many messages somebody may send per second in the long run, and at once.
    pub rate: (u64, u64),
    /// How often each fault happens, of 1,000 chances.
    pub faults: BTreeMap<Fault, u64>,
    /// The item kind whose calls break more often than others.
    pub focus: Option<String>,
    /// How long the healed world waits before it is looked at.
    pub calm: Duration,
    /// What happens.
    pub steps: Vec<Step>,
    /// Faults that were drawn and don't happen: an invocation, and the number of its call.
    pub muted: BTreeSet<(String, u64)>,
}

impl Plan {
    /// Draws a plan; of so many steps, where somebody says how many.
    pub fn new(seed: u64, steps: Option<usize>) -> Self {
        let mut chance = Chance(seed ^ 0x0005_EED0_F0DA_7515);
        let ages = chance.below(AGING_PLANS) == 0;
        let drawn = if ages { 3 } else { chance.below(4) as usize };
        let steps = steps.unwrap_or(STEPS_DRAWN[drawn]);
        let people = 3 + chance.below(if steps > 20 { 4 } else { 2 }) as usize;
        let default_price = [0, 0, 5, 10][chance.below(4) as usize];
        let share_percent = [100, 70, 0][chance.below(3) as usize];
        let rate = if chance.below(6) == 0 { (1, 2) } else { (20, 200) };
        let gentle = chance.below(4) == 0;
        let drawn = |fault: &Fault| !gentle || fault.is_gentle() || *fault == Fault::PushRefused;
        let faults = Fault::ALL.into_iter().filter(|fault| drawn(fault) && chance.below(5) < 2);
        let faults: Vec<Fault> = faults.collect();
        let faults = faults.into_iter().map(|fault| (fault, fault.chances()[chance.below(3) as usize])).collect();
        let focus = FOCI.get(chance.below(2 * FOCI.len() as u64) as usize).map(|item| (*item).to_owned());
        let calm = if chance.below(8) == 0 { DAYS } else { CALM };
        let muted = BTreeSet::new();
        let limit = chance.below(LIMIT_PLANS);
        let mut steps = draw_steps(&mut chance, people, steps);
        if default_price > 0 && chance.below(4) > 0 {
            let number = |person: usize| steps.len() as u32 + 1 + person as u32;
            let begins =
                |person| Step { number: number(person), at_ms: 0, person, device: 0, act: Act::Begins, draw: 0 };
            let purses: Vec<Step> = (0..people).map(begins).collect();
            steps.extend(purses);
        }
        let plan = Self { seed, people, default_price, share_percent, rate, faults, focus, calm, steps, muted };
        match limit {
            0 => plan.with_many_open_sends(),
            1 => plan.with_many_connections(),
            _ if ages => plan.that_ages(),
            _ => plan,
        }
    }

    /// Once or twice months pass, the cleanup runs and runs again, and people go on as it does.
    fn that_ages(mut self) -> Self {
        let mut chance = Chance(!self.seed);
        for _ in 0..1 + chance.below(2) {
            // Rather late: what grows old must have been said.
            let any = [0; 2].map(|_| self.steps[chance.below(self.steps.len() as u64) as usize].at_ms);
            let from_ms = any[0].max(any[1]);
            let mut at_ms = from_ms;
            let mut acts = Vec::new();
            for n in 0..1 + chance.below(4) {
                at_ms += if n == 0 { MONTHS_MS[chance.below(2) as usize] } else { DAY_MS };
                acts.push((at_ms + chance.below(200), Act::Cleans));
            }
            acts.extend((0..AGING_SENDS).map(|n| (at_ms + 40 * n, Act::Says("sendMessage"))));
            for step in self.steps.iter_mut().filter(|step| step.at_ms >= from_ms) {
                step.at_ms += at_ms - from_ms;
            }
            let first = AGING_STEPS + self.steps.len() as u32;
            let steps = acts.into_iter().zip(first..).map(|((at_ms, act), number)| {
                let (person, device) = (chance.below(2) as usize, chance.below(DEVICES as u64) as usize);
                Step { number, at_ms, person, device, act, draw: chance.next() }
            });
            self.steps.extend(steps);
        }
        self
    }

    /// Whether the cleanup runs.
    pub fn ages(&self) -> bool {
        self.steps.iter().any(|step| step.act == Act::Cleans)
    }

    /// A plan that looks for what goes wrong with one kind of item: most faults gather there.
    pub fn directed(seed: u64, steps: Option<usize>, item: &str) -> Self {
        let mut plan = Self::new(seed, steps);
        if ["META", "SEGMENT"].contains(&item) && !plan.ages() && !seed.is_multiple_of(4) {
            plan = plan.that_ages();
        }
        if seed % 16 == 15 {
            return if seed % 32 == 15 { plan.with_many_open_sends() } else { plan.with_many_connections() };
        }
        let more: &[(Fault, u64)] = match seed % 4 {
            0 => return plan,
            1 => &[],
            2 => &[(Fault::Late, 20), (Fault::Slow, 40)],
            _ => &[(Fault::Killed, 10), (Fault::Paused, 10), (Fault::Slow, 40)],
        };
        plan.faults.extend(more.iter().copied());
        plan.focus = Some(item.to_owned());
        plan
    }

    /// One user sends more at once than may be open, and finding a slot is slow.
    fn with_many_open_sends(mut self) -> Self {
        (self.rate, self.default_price) = ((20, 200), 0);
        self.faults = BTreeMap::from([(Fault::Slow, FOCUS_CHANCES_MAX)]);
        self.focus = Some("MSG".to_owned());
        self.steps = crowd(Act::Connects, 1, 0);
        self.steps.extend(crowd(Act::Says("sendMessage"), OPEN_MAX + 60, CONNECTED_MS));
        self
    }

    /// One user connects more often than they may, and the server is never told that a connection has ended.
    fn with_many_connections(mut self) -> Self {
        self.faults = BTreeMap::new();
        self.calm = DAYS;
        self.steps = crowd(Act::Connects, CONNECTIONS_MAX + 8, 0);
        self
    }

    /// How often a fault happens at a call, of 1,000 chances.
    pub(super) fn chances_at(&self, fault: Fault, call: &Call) -> u64 {
        let chances = self.faults.get(&fault).copied().unwrap_or_default();
        match (&self.focus, call.operation.item_kind()) {
            (None, _) => chances,
            (Some(focus), Some(kind)) if focus == kind => (chances * FOCUS_FACTOR).min(FOCUS_CHANCES_MAX),
            (Some(_), _) => chances / 2,
        }
    }

    /// Whether everything that is begun ends well.
    pub fn is_gentle(&self) -> bool {
        self.faults.keys().all(|fault| fault.is_gentle())
    }

    /// Whether everything that is begun ends well once the queue is empty.
    pub fn is_gentle_but_to_pushes(&self) -> bool {
        self.faults.keys().all(|fault| fault.is_gentle() || *fault == Fault::PushRefused)
    }
}

/// The first person does the same so often, nearly at once, from a moment on.
fn crowd(act: Act, count: usize, from_ms: u64) -> Vec<Step> {
    let step =
        |n: u64| Step { number: (from_ms + n) as u32 + 1, at_ms: from_ms + n / 4, person: 0, device: 0, act, draw: n };
    (0..count as u64).map(step).collect()
}

/// Draws the steps. Each plan has likings of its own: what everybody does a little of, nobody does much of.
fn draw_steps(chance: &mut Chance, people: usize, count: usize) -> Vec<Step> {
    let acts = ACTIONS.iter().map(|(action, _)| Act::Says(action));
    let others = [
        Act::Repeats,
        Act::Pries,
        Act::Connects,
        Act::Leaves,
        Act::Vanishes,
        Act::TopsUp,
        Act::Prices,
        Act::Operates,
        Act::Sweeps,
    ];
    let weigh = |act: Act, chance: &mut Chance| {
        let usual = match act {
            Act::Says("sendMessage") => 120,
            Act::Repeats => 40,
            Act::Says("markRead" | "markDelivered" | "getMessages" | "sync") => 16,
            Act::Says("getBalance") | Act::TopsUp => 30,
            Act::Connects | Act::Sweeps => 20,
            _ => 8,
        };
        (act, usual * [1, 2, 4][chance.below(3) as usize])
    };
    let weights: Vec<(Act, u64)> = acts.chain(others).map(|act| weigh(act, chance)).collect();
    let all: u64 = weights.iter().map(|(_, weight)| weight).sum();
    // Some plans are crowds that act at once, some take hours or days.
    let gap_ms = [2, 8, 40, 800][chance.below(4) as usize];
    let jump_ms = if chance.below(8) == 0 { DAYS.as_millis() as u64 } else { 80_000 };
    // In some one person does most of it.
    let loud = chance.below(2) == 0;
    let mut at_ms = BEGINNING_MS;
    let mut last = None;
    let step = |number: usize| {
        at_ms += chance.below(gap_ms * 2);
        if chance.below(20) == 0 {
            at_ms += chance.below(jump_ms);
        }
        let mut at = chance.below(all);
        let drawn = weights.iter().find(|(_, weight)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        let device = chance.below(DEVICES as u64) as usize;
        let anybody = chance.below(people as u64) as usize;
        let person = if loud && chance.below(3) > 0 { 0 } else { anybody };
        let mut what = (drawn.map_or(Act::Sweeps, |(act, _)| *act), person);
        // Often somebody does the same thing again at once: two devices, an impatient finger.
        if chance.below(3) == 0 {
            what = last.unwrap_or(what);
        }
        last = Some(what);
        let (act, person) = what;
        if act == Act::Sweeps && chance.below(2) == 0 {
            // What was left open is old enough to be given up.
            at_ms += VOID_AFTER.as_millis() as u64 + chance.below(10_000);
        }
        Step { number: number as u32 + 1, at_ms, person, device, act, draw: chance.next() }
    };
    (0..count).map(step).collect()
}
