//! What must hold: at every step ([`broken`]), and once the world is quiet ([`broken_once_quiet`]).

use super::configurations::Configuration;
use super::mutants::Mutant;
use super::state::{PROCESSES, State, successors};
use super::step::Step;
use super::store::{USERS, has};
use crate::search::Out;

/// The most steps that the world may take until it is quiet.
const STEPS_TO_QUIET_MAX: usize = 400;
/// How often the sweep comes until everything must be quiet.
const SWEEPS_TO_QUIET: usize = 2;

/// What is broken in a state, if anything.
pub(super) fn broken(state: &State) -> Option<&'static str> {
    state.history.fault.map(super::store::Fault::words)
}

/// What is broken when every process dies here and only sweeps come, undisturbed, and the devices that have synced; and
/// again when the request that is still on its way arrives after all that. The steps until then in words, if asked for.
pub(super) fn broken_once_quiet(
    configuration: &Configuration,
    mutant: Option<Mutant>,
    state: &State,
    words: &mut Option<Vec<String>>,
) -> Option<&'static str> {
    let survivors = configuration.survivors();
    let mut alone = State { repeats: 0, late: None, ..state.clone() };
    if let Some(broken) = calm(&survivors, mutant, &mut alone, words).or_else(|| not_quiet(configuration, &alone)) {
        return Some(broken);
    }
    alone.late = Some(state.late?);
    calm(&survivors, mutant, &mut alone, words).or_else(|| not_quiet(configuration, &alone))
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
    state.processes = survivors.start();
    for _ in 0..STEPS_TO_QUIET_MAX {
        successors(survivors, mutant, state, &mut out);
        let late = state.late.is_some();
        let next = if late { out.next.pop() } else { out.next.drain(..).next() };
        match next {
            Some(next) => {
                // Who only reads finds nothing to do: that is not worth a line.
                let changed = next.state.db != state.db || next.state.devices != state.devices;
                if let Some(words) = words.as_mut().filter(|_| changed) {
                    words.push(next.words);
                }
                *state = next.state;
            }
            None if sweeps + 1 == SWEEPS_TO_QUIET => return None,
            None => {
                sweeps += 1;
                state.processes = survivors.start();
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
    let db = &state.db;
    if db.meta.is_some_and(|meta| meta.gone) && db.members.iter().any(Option::is_some) {
        return Some("once quiet, a group that was given up has a MEMBER");
    }
    if state.history.created && !db.meta.is_some_and(|meta| meta.whole) {
        return Some("once quiet, a group isn't whole though createGroup was answered");
    }
    // Of a group that never became whole nobody knows.
    let meta = db.meta.filter(|meta| meta.whole)?;
    if db.open != 0 {
        return Some("once quiet, a send is still open");
    }
    if db.members.iter().flatten().any(|member| member.listed) {
        return Some("once quiet, a membership is still due");
    }
    if configuration.counts && usize::from(meta.count) != db.joined().count() {
        return Some("once quiet, the count isn't that of the members");
    }
    if configuration.counts && db.joined().next().is_some() && !db.has_admin() {
        return Some("once quiet, the group has no admin");
    }
    (0..USERS as u8).find_map(|user| inbox_broken(state, user).or_else(|| device_broken(state, user)))
}

/// Whether a person's INBOX differs from MEMBER.
fn inbox_broken(state: &State, user: u8) -> Option<&'static str> {
    let (member, inbox) = (state.db.members[usize::from(user)], state.db.inboxes[usize::from(user)]);
    let Some(member) = member.filter(|member| member.joined) else {
        let shown = inbox.is_some_and(|inbox| inbox.joined);
        return shown.then_some("once quiet, the INBOX of who is out says that they are in");
    };
    let Some(inbox) = inbox.filter(|inbox| inbox.joined) else {
        return Some("once quiet, a member has no INBOX");
    };
    if inbox.first_seq != member.first_seq {
        return Some("once quiet, a member's INBOX is of an older membership");
    }
    (inbox.read < state.history.marked[usize::from(user)]).then_some("once quiet, a member's mark is lost")
}

/// Whether a device that is connected and has synced lacks something.
fn device_broken(state: &State, user: u8) -> Option<&'static str> {
    let device = state.devices[usize::from(user)];
    if !device.synced || !has(state.db.connected, user) {
        return None;
    }
    let Some(member) = state.db.member(user) else {
        return device.knows.then_some("once quiet, who is out and connected wasn't told");
    };
    if !device.knows {
        return Some("once quiet, a member who is connected wasn't told of the group");
    }
    let missing = state.db.messages(member.first_seq, state.db.log_tail()) & !device.holds;
    (missing != 0).then_some("once quiet, a member who is connected and has synced lacks a message")
}

/// What the end of a quiet world depends on: states that share it need one look.
pub(super) fn quiet_key(state: &State) -> State {
    State { processes: [Step::Ended; PROCESSES], repeats: 0, ..state.clone() }
}
