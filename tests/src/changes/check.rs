//! What must hold: at every step ([`broken`]), and once the world is quiet ([`broken_once_quiet`]).

use super::configurations::Configuration;
use super::mutants::Mutant;
use super::state::{PROCESSES, State, successors};
use super::step::Step;
use super::store::Fault;
use crate::search::Out;

/// The most steps that the world may take until it is quiet.
const STEPS_TO_QUIET_MAX: usize = 200;
/// How often the sweep comes until everything must be quiet.
const SWEEPS_TO_QUIET: usize = 2;

/// What is broken in a state, if anything.
pub(super) fn broken(state: &State) -> Option<&'static str> {
    let tail = state.db.feed_tail();
    if state.db.last_change.iter().any(|last| *last > tail) {
        return Some("`last_change` names an entry that isn't there");
    }
    state.history.fault.map(Fault::words)
}

/// What is broken when every process dies here, a `sync` that is under way, too, and only the sweep comes, undisturbed, and
/// then the device, if it isn't connected; and again when the request that is still on its way arrives after all that. The
/// steps until then in words, if asked for.
pub(super) fn broken_once_quiet(
    configuration: &Configuration,
    mutant: Option<Mutant>,
    state: &State,
    words: &mut Option<Vec<String>>,
) -> Option<&'static str> {
    let survivors = configuration.survivors();
    let mut alone = State { repeats: 0, late: None, ..state.clone() };
    alone.device.losses = 0;
    if !alone.device.synced {
        alone.db.connection = 0;
    }
    if let Some(broken) = calm(&survivors, mutant, &mut alone, words).or_else(|| not_quiet(&survivors, &alone)) {
        return Some(broken);
    }
    alone.late = Some(state.late?);
    calm(&survivors, mutant, &mut alone, words).or_else(|| not_quiet(&survivors, &alone))
}

/// Lets the survivors do their work, one after the other, [`SWEEPS_TO_QUIET`] times; a late request arrives first of all.
fn calm(
    survivors: &Configuration,
    mutant: Option<Mutant>,
    state: &mut State,
    words: &mut Option<Vec<String>>,
) -> Option<&'static str> {
    let mut out = Out::new(words.is_some());
    let mut sweeps = 0;
    state.processes = survivors.start(&state.device);
    for _ in 0..STEPS_TO_QUIET_MAX {
        successors(survivors, mutant, state, &mut out);
        let late = state.late.is_some();
        let next = if late { out.next.pop() } else { out.next.drain(..).next() };
        match next {
            Some(next) => {
                // Who only reads finds nothing to do: that is not worth a line.
                let changed = next.state.db != state.db || next.state.device != state.device;
                if let Some(words) = words.as_mut().filter(|_| changed) {
                    words.push(next.words);
                }
                *state = next.state;
            }
            None if sweeps + 1 == SWEEPS_TO_QUIET => return None,
            None => {
                sweeps += 1;
                state.processes = survivors.start(&state.device);
            }
        }
        if let Some(broken) = broken(state) {
            return Some(broken);
        }
    }
    Some("the sweep finds no end")
}

/// What must hold when there is nothing left to do.
fn not_quiet(configuration: &Configuration, state: &State) -> Option<&'static str> {
    let numbers = 1..=configuration.messages;
    if numbers.clone().any(|n| state.db.listed(n)) {
        return Some("once quiet, a message is still due");
    }
    let lost = |n| configuration.requests(n) & state.history.applied & !state.db.shown(n).by;
    if numbers.clone().any(|n| lost(n) != 0) {
        return Some("once quiet, a change that was answered is lost");
    }
    if !configuration.has_device() {
        return None;
    }
    let member = state.db.member;
    if state.device.knows != if member.joined { member.first_seq } else { 0 } {
        // It was connected all the while, and told of its membership.
        return None;
    }
    numbers.into_iter().find_map(|n| {
        let held = state.device.holds[usize::from(n) - 1];
        match (held.shown, member.sees(n)) {
            (true, false) => Some("once quiet, a device that has synced shows what its person may not see"),
            (false, true) => Some("once quiet, a device that has synced doesn't show a message"),
            (true, true) if held.version != state.db.shown(n) => {
                Some("once quiet, a device that has synced shows a message as it was")
            }
            _ => None,
        }
    })
}

/// What the end of a quiet world depends on: states that share it need one look.
pub(super) fn quiet_key(state: &State) -> State {
    State { processes: [Step::Ended; PROCESSES], repeats: 0, ..state.clone() }
}
