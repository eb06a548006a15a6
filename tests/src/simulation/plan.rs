//! What one number decides before anything runs: who is there, what they do and when, and which faults there are.
//!
//! The steps don't depend on each other, so that a failing plan can be made smaller by leaving some out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shared::limits::{CONNECTIONS_MAX, OPEN_MAX, VOID_AFTER};
use wire::ACTIONS;

use super::fault::Fault;
use crate::network::{Call, Chance};

/// How many steps a plan has, where nobody says otherwise: one of these. Most of what goes wrong needs few, and short plans
/// are many in an hour; the long ones are for what doesn't.
pub const STEPS_DRAWN: [usize; 8] = [1, 1, 2, 2, 3, 3, 4, 8];
/// The first step is taken when people have the coins that they begin with.
const BEGINNING_MS: u64 = 40;
/// Who connects is connected after this, also when calls are slow.
const CONNECTED_MS: u64 = 5_000;
/// One in so many plans reaches a limit that is too high for the others. It takes as long as a thousand of them.
const LIMIT_PLANS: u64 = 50_000;
/// In one of so many plans messages grow old: such a world makes ten times as many calls as others.
const AGING_PLANS: u64 = 64;
/// The first number of a step that is there because messages grow old.
const AGING_STEPS: u32 = 1_000_000;
/// So many messages are sent about when a cleanup runs.
const AGING_SENDS: u64 = 6;
/// So many messages are sent while a sweep looks at what was marked a day ago.
const MARKED_SENDS: u64 = 24;
/// So many messages are sent and sent again at once, so far from each other.
const CROWDED_SENDS: usize = 6;
const CROWDED_GAP_MS: u64 = 2;
/// So often a clock is set to the wrong hour or back; between two things that happen meanwhile is so much time.
const WRONG_CLOCK_TURNS: usize = 9;
const WRONG_CLOCK_GAP_MS: u64 = 300;
/// By so much a clock is wrong, in seconds.
pub(super) const WRONG_CLOCK_S: i64 = 3_600;
/// So many messages are decided and get no further.
const DEAD_SENDS: u64 = 8;
/// Who gives them up comes so often, so far apart.
const DEAD_SWEEPS: u64 = 6;
const DEAD_SWEEPS_GAP_MS: u64 = 30;
/// So often somebody spends what was just earned, and so much time is between two.
const SPENT_TURNS: u64 = 8;
const SPENT_GAP_MS: u64 = 400;
/// Who reads late has time for each message.
const READ_LATE_MS: u64 = 1_000;
/// After so long messages are moved: those that everybody has, and all.
pub(super) const MONTHS_MS: [u64; 2] = [40 * 86_400_000, 100 * 86_400_000];
/// After so long what has moved is deleted.
pub(super) const DAY_MS: u64 = 21 * 3_600_000;
/// Each item kind that faults may gather at.
pub const FOCI: [&str; 9] = ["ACCOUNT", "RECEIPT", "MSG", "ENTRY", "INBOX", "META", "PRESENCE", "TOPUP", "SEGMENT"];
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

/// What touches a kind of item, most of all.
fn acts_on(item: &str) -> &'static [(Act, u64)] {
    match item {
        "INBOX" => &[
            (Act::Says("sendMessage"), 6),
            (Act::Says("markRead"), 4),
            (Act::Says("markDelivered"), 4),
            (Act::Says("getConversation"), 2),
            (Act::Says("getMessages"), 1),
            (Act::Says("getReceipts"), 2),
            (Act::Operates, 1),
            (Act::Sweeps, 1),
        ],
        "ENTRY" => &[
            (Act::Says("sendMessage"), 8),
            (Act::Repeats, 2),
            (Act::TopsUp, 4),
            (Act::Says("getBalance"), 2),
            (Act::Says("getTransactions"), 4),
            (Act::Sweeps, 1),
        ],
        "MSG" => &[
            (Act::Says("sendMessage"), 8),
            (Act::Says("getMessages"), 2),
            (Act::Says("getReceipts"), 4),
            (Act::Repeats, 4),
            (Act::Sweeps, 2),
        ],
        "META" => &[
            (Act::Says("getOrCreateDirect"), 4),
            (Act::Says("getConversation"), 4),
            (Act::Says("getConversations"), 4),
            (Act::Says("sendMessage"), 4),
            (Act::Says("typing"), 1),
            (Act::Pries, 1),
        ],
        "SEGMENT" => &[
            (Act::Says("sendMessage"), 8),
            (Act::Says("getMessages"), 4),
            (Act::Says("sync"), 2),
            (Act::Repeats, 2),
            (Act::Sweeps, 1),
        ],
        "PRESENCE" => {
            &[(Act::Connects, 4), (Act::Leaves, 4), (Act::Vanishes, 1), (Act::Says("sendMessage"), 2), (Act::Sweeps, 1)]
        }
        _ => &[
            (Act::Says("sendMessage"), 8),
            (Act::Repeats, 4),
            (Act::TopsUp, 1),
            (Act::Says("getBalance"), 1),
            (Act::Sweeps, 2),
        ],
    }
}

/// Longer than any connection lives.
pub const LONG_TOKEN_LIFE_S: u64 = 86_400;
/// Where tokens are short: some end while frames are on their way, some in the middle of what people do, some never.
const TOKEN_LIVES_S: [u64; 4] = [2, 20, 200, LONG_TOKEN_LIFE_S];

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
    /// The clock of all functions is set, by so many seconds.
    SetsClock(i64),
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
    /// How long tokens are good, in seconds: one of these each.
    pub token_lives_s: &'static [u64],
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
        let drawn = if ages { STEPS_DRAWN.len() - 1 } else { chance.below(STEPS_DRAWN.len() as u64) as usize };
        let steps = steps.unwrap_or(STEPS_DRAWN[drawn]);
        let people = 2 + chance.below(if steps > 20 { 5 } else { 3 }) as usize;
        let default_price = [0, 0, 5, 10][chance.below(4) as usize];
        let share_percent = [100, 70, 0][chance.below(3) as usize];
        let rate = if chance.below(6) == 0 { (1, 2) } else { (20, 200) };
        let gentle = chance.below(4) == 0;
        let drawn = |fault: &Fault| !gentle || fault.is_gentle() || *fault == Fault::PushRefused;
        let faults = Fault::ALL.into_iter().filter(|fault| drawn(fault) && chance.below(5) < 2);
        let faults: Vec<Fault> = faults.collect();
        let faults = faults.into_iter().map(|fault| (fault, fault.chances()[chance.below(3) as usize])).collect();
        let focus = FOCI.get(chance.below(2 * FOCI.len() as u64) as usize).map(|item| (*item).to_owned());
        let calm = if chance.below(16) == 0 { DAYS } else { CALM };
        let muted = BTreeSet::new();
        let limit = chance.below(LIMIT_PLANS);
        let acts = all_acts(&mut chance);
        let steps = draw_steps(&mut chance, people, steps, &acts);
        let token_lives_s: &[u64] = if seed % 8 == 5 { &TOKEN_LIVES_S } else { &[LONG_TOKEN_LIFE_S] };
        let mut plan =
            Self { seed, people, default_price, share_percent, rate, token_lives_s, faults, focus, calm, steps, muted };
        if default_price > 0 && chance.below(4) > 0 {
            plan.begins();
        }
        match limit {
            0 | 1 => plan.with_many_open_sends(limit == 0),
            2 => plan.with_many_connections(),
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
            self.adds(&mut chance, acts);
        }
        self
    }

    /// A day later the sweep looks at what was marked as waiting, while people write on.
    fn whose_marks_grow_old(mut self) -> Self {
        let mut chance = Chance(!self.seed);
        let last_ms = self.steps.iter().map(|step| step.at_ms).max().unwrap_or_default();
        let at_ms = last_ms + DAYS.as_millis() as u64;
        let sends = (0..MARKED_SENDS).map(|n| (at_ms + 40 * n, Act::Says("sendMessage")));
        self.adds(&mut chance, [(at_ms, Act::Sweeps)].into_iter().chain(sends));
        self
    }

    /// Two write at once, and send each message again and again: many look for a free slot of one log, and few of their
    /// reads are a snapshot.
    fn that_crowds_a_log(mut self) -> Self {
        self.people = 2;
        self.default_price = 0;
        self.rate = (20, 200);
        self.faults = BTreeMap::from([(Fault::StaleRead, 900), (Fault::Torn, 900)]);
        self.focus = None;
        let send = [Act::Says("sendMessage"), Act::Repeats, Act::Repeats, Act::Repeats];
        let crowd = (0..).zip(send.repeat(CROWDED_SENDS)).map(|(n, act)| (CONNECTED_MS + CROWDED_GAP_MS * n, act));
        let acts = [(BEGINNING_MS, Act::Connects)].into_iter().chain(crowd);
        let acts = acts.flat_map(|(at_ms, act)| [0, 1].map(|person| (person, at_ms, act)));
        self.is_just(acts);
        self
    }

    /// The clock is set an hour forward and back again, while the first person writes; each message is sent more than once,
    /// and some of these are decided much later than they were looked up.
    fn whose_clock_is_set(mut self, rate: (u64, u64)) -> Self {
        let mut chance = Chance(!self.seed);
        self.people = 2;
        self.default_price = 0;
        self.rate = rate;
        let send = [Act::Says("sendMessage"), Act::Repeats, Act::Repeats, Act::Sweeps];
        let hour = [WRONG_CLOCK_S, -WRONG_CLOCK_S].into_iter().cycle().take(WRONG_CLOCK_TURNS);
        let acts = hour.flat_map(|by_seconds| [Act::SetsClock(by_seconds)].into_iter().chain(send));
        let acts = (0..).zip(acts).map(|(n, act)| (CONNECTED_MS + WRONG_CLOCK_GAP_MS * n, act));
        let step = |(number, (at_ms, act))| {
            let device = chance.below(DEVICES as u64) as usize;
            Step { number, at_ms, person: 0, device, act, draw: chance.next() }
        };
        self.steps = (1..).zip([(BEGINNING_MS, Act::Connects)].into_iter().chain(acts)).map(step).collect();
        self.faults = BTreeMap::from([(Fault::Slow, 40), (Fault::Paused, 10)]);
        self.focus = Some("ACCOUNT".to_owned());
        self
    }

    /// Paid messages are decided and get no further, and many find them at once when they are old enough to be given up.
    fn whose_sends_die(mut self) -> Self {
        let mut chance = Chance(!self.seed);
        self.people = 2;
        self.default_price = 5;
        self.steps.clear();
        self.begins();
        let sends = (0..DEAD_SENDS).map(|n| (CONNECTED_MS + n, Act::Says("sendMessage")));
        let from_ms = 2 * CONNECTED_MS + VOID_AFTER.as_millis() as u64;
        let sweeps = (0..DEAD_SWEEPS).map(|n| (from_ms + DEAD_SWEEPS_GAP_MS * n, Act::Sweeps));
        self.adds(&mut chance, sends.chain(sweeps));
        self.faults = BTreeMap::from([(Fault::Killed, 20), (Fault::Slow, 40)]);
        self.focus = Some("MSG".to_owned());
        self
    }

    /// One earns, and spends at once what the index hardly knows of.
    fn that_is_spent_at_once(mut self) -> Self {
        self.people = 2;
        self.default_price = 5;
        self.share_percent = 100;
        self.rate = (20, 200);
        self.faults = BTreeMap::from([(Fault::StaleIndex, 900)]);
        self.focus = None;
        let turns = (0..SPENT_TURNS).flat_map(|n| {
            let at_ms = CONNECTED_MS + SPENT_GAP_MS * n;
            [(0, at_ms), (1, at_ms + 20 + 10 * n)]
        });
        let sends = turns.map(|(person, at_ms)| (person, at_ms, Act::Says("sendMessage")));
        let begin = [(0, 0, Act::Begins), (0, BEGINNING_MS, Act::Connects), (1, BEGINNING_MS, Act::Connects)];
        self.is_just(begin.into_iter().chain(sends));
        self
    }

    /// In the end the first person writes, and the second has all of it, and reads it only then, bit by bit.
    fn that_is_read_late(mut self) -> Self {
        let mut chance = Chance(!self.seed);
        let last_ms = self.steps.iter().map(|step| step.at_ms).max().unwrap_or_default();
        let crowds = [(0, "sendMessage", 4), (1, "markDelivered", 2), (1, "markRead", 6)];
        let acts = crowds.into_iter().flat_map(|(person, action, count)| std::iter::repeat_n((person, action), count));
        let steps = (1..).zip(acts).map(|(n, (person, action))| {
            let (number, at_ms) = (AGING_STEPS + n, last_ms + READ_LATE_MS * u64::from(n));
            Step { number, at_ms, person, device: 0, act: Act::Says(action), draw: chance.next() }
        });
        self.steps.extend(steps);
        self
    }

    /// This happens and nothing else, each by somebody's first device.
    fn is_just(&mut self, acts: impl IntoIterator<Item = (usize, u64, Act)>) {
        let mut chance = Chance(!self.seed);
        let step = |(number, (person, at_ms, act))| Step { number, at_ms, person, device: 0, act, draw: chance.next() };
        self.steps = (1..).zip(acts).map(step).collect();
    }

    /// The first two people do these, too, each at its time.
    fn adds(&mut self, chance: &mut Chance, acts: impl IntoIterator<Item = (u64, Act)>) {
        let first = AGING_STEPS + self.steps.len() as u32;
        let steps = acts.into_iter().zip(first..).map(|((at_ms, act), number)| {
            let (person, device) = (chance.below(2) as usize, chance.below(DEVICES as u64) as usize);
            Step { number, at_ms, person, device, act, draw: chance.next() }
        });
        self.steps.extend(steps);
    }

    /// Whether it reaches a limit: then it takes as long as a thousand others.
    pub fn is_crowded(&self) -> bool {
        self.steps.len() > CONNECTIONS_MAX
    }

    /// Whether the cleanup runs.
    pub fn ages(&self) -> bool {
        self.steps.iter().any(|step| step.act == Act::Cleans)
    }

    /// Whether there are things that can't be read.
    pub fn has_unreadable(&self) -> bool {
        self.seed % 4 == 2
    }

    /// A plan that looks for what goes wrong with one kind of item: it is used by nearly every step, and most faults
    /// gather there.
    pub fn directed(seed: u64, steps: Option<usize>, item: &str) -> Self {
        let mut plan = Self::new(seed, steps);
        match (seed, item) {
            (15 | 31, "ACCOUNT") => return plan.with_many_open_sends(seed == 15),
            (15, "PRESENCE") => return plan.with_many_connections(),
            (_, "MSG") if seed % 8 == 1 => return plan.that_crowds_a_log(),
            (_, "ACCOUNT") if seed % 32 == 10 => return plan.whose_clock_is_set((1, 2)),
            (_, "ACCOUNT") if seed % 32 == 26 => return plan.whose_clock_is_set((20, 200)),
            (_, "ACCOUNT") if seed % 16 == 11 => return plan.whose_sends_die(),
            (_, "ENTRY") if seed % 16 == 7 => return plan.that_is_spent_at_once(),
            _ if seed % 16 >= 12 => return plan,
            _ => {}
        }
        let mut chance = Chance(!seed);
        let steps = steps.unwrap_or([4, 8, 16][chance.below(3) as usize]);
        if item == "INBOX" {
            // What two do at once, they do in the one conversation that they have, and nothing keeps them from it.
            plan.people = 2;
            plan.default_price = 0;
        }
        plan.steps = draw_steps(&mut chance, plan.people, steps, acts_on(item));
        plan.rate = if item == "ACCOUNT" && seed % 16 == 6 { (1, 2) } else { (20, 200) };
        if plan.default_price > 0 {
            plan.begins();
        }
        if ["META", "SEGMENT"].contains(&item) && !seed.is_multiple_of(4) {
            plan = plan.that_ages();
        }
        match (item, seed % 8) {
            ("PRESENCE", 0..4) => plan.token_lives_s = &TOKEN_LIVES_S,
            ("INBOX", 1) => plan = plan.whose_marks_grow_old(),
            ("INBOX", 3) => plan = plan.that_is_read_late(),
            _ => {}
        }
        let more: &[(Fault, u64)] = match seed % 4 {
            0 => &[],
            1 => &[(Fault::Slow, 40), (Fault::StaleRead, 500), (Fault::Torn, 500)],
            2 => &[(Fault::Late, 20), (Fault::Slow, 40)],
            _ => &[(Fault::Killed, 10), (Fault::Paused, 10), (Fault::Slow, 40), (Fault::Skewed, 900)],
        };
        if more.is_empty() {
            // Only where nothing dies or is lost must everything arrive.
            plan.faults.retain(|fault, _| fault.is_gentle());
        }
        plan.faults.extend(more.iter().copied());
        plan.focus = Some(item.to_owned());
        plan
    }

    /// Two have coins from the beginning; who else is there has none.
    fn begins(&mut self) {
        let number = |person: usize| self.steps.len() as u32 + 1 + person as u32;
        let begins = |person| Step { number: number(person), at_ms: 0, person, device: 0, act: Act::Begins, draw: 0 };
        let purses: Vec<Step> = (0..2).map(begins).collect();
        self.steps.extend(purses);
    }

    /// One user sends more at once than may be open, and telling the inboxes is slow. In the second kind they go on then, at
    /// a pace that the rate knows nothing of.
    fn with_many_open_sends(mut self, paced: bool) -> Self {
        let send = Act::Says("sendMessage");
        self.default_price = 0;
        self.faults = BTreeMap::from([(Fault::Slow, FOCUS_CHANCES_MAX)]);
        self.focus = Some("INBOX".to_owned());
        let connects = (Act::Connects, 1, 0, 0);
        if paced {
            self.rate = (1_000, 1_000);
            let at_a_pace = (send, OPEN_MAX, CONNECTED_MS + 250, 4_000);
            self.crowded(&[connects, (send, 2 * OPEN_MAX, CONNECTED_MS, 250), at_a_pace])
        } else {
            self.rate = (40, 400);
            self.crowded(&[connects, (send, 3 * OPEN_MAX, CONNECTED_MS, 250)])
        }
    }

    /// One user connects more often than they may, and the server is never told that a connection has ended.
    fn with_many_connections(mut self) -> Self {
        // Replies are lost, also where the item is full by what they answer.
        self.faults = BTreeMap::from([(Fault::FailedAfter, 20), (Fault::Unanswered, 20)]);
        self.focus = Some("PRESENCE".to_owned());
        self.calm = DAYS;
        self.crowded(&[(Act::Connects, CONNECTIONS_MAX + 8, 0, 250)])
    }

    /// The first person does the same so often, from a moment on, so many microseconds apart; and nothing else happens.
    fn crowded(mut self, crowds: &[(Act, usize, u64, u64)]) -> Self {
        self.steps.clear();
        for (act, count, from_ms, apart_us) in crowds {
            for n in 0..*count as u64 {
                let (number, at_ms) = (self.steps.len() as u32 + 1, from_ms + n * apart_us / 1_000);
                self.steps.push(Step { number, at_ms, person: 0, device: 0, act: *act, draw: n });
            }
        }
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

/// Everything that happens, and how often. Each plan has likings of its own: what everybody does a little of, nobody does
/// much of.
fn all_acts(chance: &mut Chance) -> Vec<(Act, u64)> {
    let acts = ACTIONS.iter().map(|action| Act::Says(action.name));
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
    let weigh = |act: Act| {
        let usual = match act {
            Act::Says("sendMessage") => 120,
            Act::Repeats => 40,
            Act::Says("markRead" | "markDelivered" | "getMessages" | "sync") => 16,
            Act::Says("getBalance") | Act::TopsUp | Act::Connects => 20,
            // The most expensive of all.
            Act::Sweeps => 6,
            _ => 8,
        };
        (act, usual * [1, 2, 4][chance.below(3) as usize])
    };
    acts.chain(others).map(weigh).collect()
}

/// Draws the steps.
fn draw_steps(chance: &mut Chance, people: usize, count: usize, weights: &[(Act, u64)]) -> Vec<Step> {
    let all: u64 = weights.iter().map(|(_, weight)| weight).sum();
    // Some plans are crowds that act at once, some take hours or days.
    let gap_ms = [2, 8, 40, 800][chance.below(4) as usize];
    let jump_ms = if chance.below(8) == 0 { DAYS.as_millis() as u64 } else { 80_000 };
    // In some everybody comes back a day later.
    let again_at = if chance.below(8) == 0 { count / 2 } else { count };
    // In some one person does most of it.
    let loud = chance.below(2) == 0;
    let mut at_ms = BEGINNING_MS;
    let mut last = None;
    let step = |number: usize| {
        at_ms += chance.below(gap_ms * 2);
        if chance.below(20) == 0 {
            at_ms += chance.below(jump_ms);
        }
        if number == again_at {
            at_ms += DAYS.as_millis() as u64;
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
