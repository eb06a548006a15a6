//! What one number decides before anything runs: who is there, what they do and when, and which faults there are.
//!
//! The steps don't depend on each other, so that a failing plan can be made smaller by leaving some out.

use std::collections::{BTreeMap, BTreeSet};

use super::workload::ACTIONS;
use crate::network::Chance;

/// How many steps a plan has, where nobody says otherwise.
pub const STEPS_DEFAULT: usize = 40;
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
    /// An operator adds coins, with a new key or one that was used.
    TopsUp,
    /// An operator sets a price.
    Prices,
    /// An operator asks what waits, or clears it.
    Operates,
    /// The schedule fires.
    Sweeps,
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
    /// How often each fault happens, of 1,000 chances.
    pub faults: BTreeMap<Fault, u64>,
    /// What happens.
    pub steps: Vec<Step>,
    /// Faults that were drawn and don't happen: an invocation, and the number of its call.
    pub muted: BTreeSet<(String, u64)>,
}

impl Plan {
    /// Draws a plan of so many steps.
    pub fn new(seed: u64, steps: usize) -> Self {
        let mut chance = Chance(seed ^ 0x0005_EED0_F0DA_7515);
        let people = 3 + chance.below(4) as usize;
        let default_price = [0, 5, 5, 10][chance.below(4) as usize];
        let share_percent = [100, 70, 0][chance.below(3) as usize];
        let gentle = chance.below(4) == 0;
        let drawn = |fault: &Fault| !gentle || fault.is_gentle() || *fault == Fault::PushRefused;
        let faults = Fault::ALL.into_iter().filter(|fault| drawn(fault) && chance.below(5) < 2);
        let faults: Vec<Fault> = faults.collect();
        let faults = faults.into_iter().map(|fault| (fault, fault.chances()[chance.below(3) as usize])).collect();
        let steps = draw_steps(&mut chance, people, steps);
        Self { seed, people, default_price, share_percent, faults, steps, muted: BTreeSet::new() }
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
    // Some plans are crowds that act at once, some take hours.
    let gap_ms = [2, 8, 40, 800][chance.below(4) as usize];
    let mut at_ms = 0;
    let mut last = None;
    let step = |number: usize| {
        at_ms += chance.below(gap_ms * 2);
        if chance.below(20) == 0 {
            at_ms += chance.below(80_000);
        }
        let mut at = chance.below(all);
        let drawn = weights.iter().find(|(_, weight)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        let device = chance.below(DEVICES as u64) as usize;
        let mut what = (drawn.map_or(Act::Sweeps, |(act, _)| *act), chance.below(people as u64) as usize);
        // Often somebody does the same thing again at once: two devices, an impatient finger.
        if chance.below(3) == 0 {
            what = last.unwrap_or(what);
        }
        last = Some(what);
        let (act, person) = what;
        Step { number: number as u32 + 1, at_ms, person, device, act, draw: chance.next() }
    };
    (0..count).map(step).collect()
}
