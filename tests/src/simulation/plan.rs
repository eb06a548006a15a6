//! What one number decides before anything runs: who is there, what they do and when, and which faults there are.
//!
//! The steps don't depend on each other, so that a failing plan can be made smaller by leaving some out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shared::limits::{CONNECTIONS_MAX, VOID_AFTER};
use wire::ACTIONS;

use super::fault::Fault;
use crate::network::{Call, Chance};

/// How many steps a plan has, where nobody says otherwise: one of these. Most of what goes wrong needs few, and short plans
/// are many in an hour; the long ones are for what doesn't.
pub const STEPS_DRAWN: [usize; 8] = [1, 1, 2, 2, 3, 3, 4, 8];
/// The first step is taken when people have the coins that they begin with.
pub(super) const BEGINNING_MS: u64 = 40;
/// A group that somebody begins to make is made after so long, if nothing goes wrong.
const GROUP_MADE_MS: u64 = 500;
/// One in so many plans reaches a limit that is too high for the others. It takes as long as a thousand of them.
const LIMIT_PLANS: u64 = 50_000;
/// In one of so many plans messages grow old: such a world makes ten times as many calls as others.
const AGING_PLANS: u64 = 64;
/// Each item kind that faults may gather at.
pub const FOCI: [&str; 13] = [
    "ACCOUNT", "RECEIPT", "MSG", "ENTRY", "INBOX", "META", "PRESENCE", "PROFILE", "BLOCK", "TOPUP", "SEGMENT",
    "MEMBER", "TAIL",
];
/// How much more often a fault happens where faults gather.
const FOCUS_FACTOR: u64 = 10;
/// The most often that a fault happens where faults gather, of 1,000 chances.
pub(super) const FOCUS_CHANCES_MAX: u64 = 400;
/// Longer than any function lives and any late request travels.
pub(super) const CALM: Duration = Duration::from_secs(70);
/// Longer than a conversation stays marked as waiting, and than a connection lives.
pub(super) const DAYS: Duration = Duration::from_secs(26 * 3_600);
/// Those who may be there.
pub(super) const NAMES: [&str; 6] = ["ann", "bob", "cat", "dan", "eve", "fay"];
/// How many devices each has.
pub(super) const DEVICES: usize = 2;

/// What touches each kind of item, most of all.
static ACTS: [(&str, &[(Act, u64)]); 10] = [
    (
        "INBOX",
        &[
            (Act::Says("sendMessage"), 6),
            (Act::Says("markRead"), 4),
            (Act::Says("markDelivered"), 4),
            (Act::Says("getConversation"), 2),
            (Act::Says("getMessages"), 1),
            (Act::Says("getReceipts"), 2),
            (Act::Says("mute"), 2),
            (Act::Operates, 1),
            (Act::Sweeps, 1),
        ],
    ),
    (
        "BLOCK",
        &[
            (Act::Says("blockUser"), 6),
            (Act::Says("unblockUser"), 4),
            (Act::Says("createGroup"), 2),
            (Act::Says("updateGroup"), 2),
            (Act::Says("sendMessage"), 8),
            (Act::Says("markRead"), 2),
            (Act::Says("getMessages"), 2),
            (Act::Says("getPresence"), 2),
            (Act::Says("typing"), 1),
            (Act::Repeats, 1),
        ],
    ),
    (
        "ENTRY",
        &[
            (Act::Says("sendMessage"), 8),
            (Act::Repeats, 2),
            (Act::TopsUp, 4),
            (Act::Says("getBalance"), 2),
            (Act::Says("getTransactions"), 4),
            (Act::Sweeps, 1),
        ],
    ),
    (
        "MSG",
        &[
            (Act::Says("sendMessage"), 8),
            (Act::Says("getMessages"), 2),
            (Act::Says("getReceipts"), 4),
            (Act::Repeats, 4),
            (Act::Sweeps, 2),
        ],
    ),
    (
        "META",
        &[
            (Act::Says("getOrCreateDirect"), 4),
            (Act::Says("getConversation"), 4),
            (Act::Says("getConversations"), 4),
            (Act::Says("sendMessage"), 4),
            (Act::Says("typing"), 1),
            (Act::Pries, 1),
        ],
    ),
    (
        "MEMBER",
        &[
            (Act::Says("updateGroup"), 12),
            (Act::Says("leaveGroup"), 4),
            (Act::Says("sendMessage"), 6),
            (Act::Says("createGroup"), 2),
            (Act::Says("getMessages"), 2),
            (Act::Says("sync"), 1),
            (Act::Says("getConversation"), 1),
            (Act::Says("getMembers"), 1),
            (Act::Pries, 2),
            (Act::Connects, 1),
            (Act::Sweeps, 2),
        ],
    ),
    (
        "TAIL",
        &[
            (Act::Says("sendMessage"), 8),
            (Act::Says("updateGroup"), 3),
            (Act::Says("sync"), 3),
            (Act::Says("markRead"), 3),
            (Act::Says("markDelivered"), 2),
            (Act::Says("getConversations"), 2),
            (Act::Connects, 2),
            (Act::Sweeps, 1),
        ],
    ),
    (
        "SEGMENT",
        &[
            (Act::Says("sendMessage"), 8),
            (Act::Says("getMessages"), 4),
            (Act::Says("sync"), 2),
            (Act::Repeats, 2),
            (Act::Sweeps, 1),
        ],
    ),
    (
        "PRESENCE",
        &[(Act::Connects, 4), (Act::Leaves, 4), (Act::Vanishes, 1), (Act::Says("sendMessage"), 2), (Act::Sweeps, 1)],
    ),
    ("PROFILE", &[(Act::Says("updateProfile"), 8), (Act::Says("getUsers"), 1), (Act::Says("sendMessage"), 1)]),
];

/// What touches a member's inbox: marks, and who comes and goes meanwhile.
static ACTS_IN_A_GROUP: [(Act, u64); 8] = [
    (Act::Says("sendMessage"), 5),
    (Act::Says("markRead"), 5),
    (Act::Says("markDelivered"), 6),
    (Act::Says("updateGroup"), 6),
    (Act::Says("leaveGroup"), 2),
    (Act::Says("mute"), 2),
    (Act::Repeats, 1),
    (Act::Sweeps, 1),
];

/// The same, of the other kinds.
static ACTS_ON_OTHERS: [(Act, u64); 5] = [
    (Act::Says("sendMessage"), 8),
    (Act::Repeats, 4),
    (Act::TopsUp, 1),
    (Act::Says("getBalance"), 1),
    (Act::Sweeps, 2),
];

/// What touches a kind of item, most of all.
fn acts_on(item: &str) -> &'static [(Act, u64)] {
    ACTS.iter().find(|(kind, _)| *kind == item).map_or(&ACTS_ON_OTHERS, |(_, acts)| *acts)
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
    /// Whether all messages have ids that sort by time; else some have.
    pub ids_sort_by_time: bool,
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
        let mut plan = Self {
            seed,
            people,
            default_price,
            share_percent,
            rate,
            token_lives_s,
            faults,
            focus,
            calm,
            ids_sort_by_time: false,
            steps,
            muted,
        };
        if default_price > 0 && chance.below(4) > 0 {
            plan.begins();
        }
        if chance.below(3) == 0 {
            plan.begins_with_a_group();
        }
        match limit {
            0 | 1 => plan.with_many_open_sends(limit == 0, seed.is_multiple_of(2)),
            2 => plan.with_many_connections(),
            _ if ages => plan.that_ages(),
            _ => plan,
        }
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
            (15 | 31 | 47, "ACCOUNT") => return plan.with_many_open_sends(seed == 15, seed == 47),
            (15, "PRESENCE") => return plan.with_many_connections(),
            (_, "MSG") if seed % 8 == 1 => return plan.that_crowds_a_log(),
            (_, "ACCOUNT") if seed % 32 == 10 => return plan.whose_clock_is_set((1, 2)),
            (_, "ACCOUNT") if seed % 32 == 26 => return plan.whose_clock_is_set((20, 200)),
            (_, "ACCOUNT") if seed % 8 == 3 => return plan.whose_ids_sort_by_time(seed % 16 == 3),
            (_, "ACCOUNT") if seed % 16 == 9 => return plan.whose_sends_die(),
            (_, "ENTRY") if seed % 16 == 7 => return plan.that_is_spent_at_once(),
            _ if seed % 16 >= 12 => return plan,
            _ => {}
        }
        let mut chance = Chance(!seed);
        let steps = steps.unwrap_or([4, 8, 16][chance.below(3) as usize]);
        if ["INBOX", "BLOCK"].contains(&item) {
            // What two do at once, they do in the one conversation that they have, and nothing keeps them from it.
            plan.people = 2;
            plan.default_price = 0;
        }
        let in_a_group = ["MEMBER", "TAIL"].contains(&item) || ["META", "INBOX"].contains(&item) && seed % 8 >= 4;
        let acts = if in_a_group && item == "INBOX" { &ACTS_IN_A_GROUP } else { acts_on(item) };
        plan.steps = draw_steps(&mut chance, plan.people, steps, acts);
        plan.rate = if item == "ACCOUNT" && seed % 16 == 6 { (1, 2) } else { (20, 200) };
        if plan.default_price > 0 {
            plan.begins();
        }
        match (item, seed % 8) {
            ("INBOX", 4) | ("MEMBER", 2) => plan = plan.whose_tombstones_go(),
            ("INBOX", 5..) | ("MEMBER", 5) => plan = plan.that_comes_and_goes(),
            _ => {}
        }
        if in_a_group {
            plan.begins_with_a_group();
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
    pub(super) fn begins(&mut self) {
        let number = |person: usize| self.steps.len() as u32 + 1 + person as u32;
        let begins = |person| Step { number: number(person), at_ms: 0, person, device: 0, act: Act::Begins, draw: 0 };
        let purses: Vec<Step> = (0..2).map(begins).collect();
        self.steps.extend(purses);
    }

    /// The first person makes a group of everybody. All else happens once it is made.
    pub(super) fn begins_with_a_group(&mut self) {
        for step in self.steps.iter_mut().filter(|step| step.at_ms > 0) {
            step.at_ms += GROUP_MADE_MS;
        }
        let number = self.steps.iter().map(|step| step.number).max().unwrap_or_default() + 1;
        let act = Act::Says("createGroup");
        // Of the two that a person may make the first, as it must be.
        self.steps.push(Step { number, at_ms: 0, person: 0, device: 0, act, draw: 1 });
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
            Act::Says("createGroup") => 12,
            Act::Says("updateGroup") => 16,
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
