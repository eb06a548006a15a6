//! A state of the model: the table, what the checkers remember, where each process is, and what is still on its way.

use std::hash::{Hash, Hasher};

use super::check::{broken, broken_once_quiet, quiet_key};
use super::configurations::{Configuration, Role};
use super::mutants::Mutant;
use super::step::Step;
use super::store::{Db, History};
use super::write::{Rules, Write};
use crate::search::{self, Out, Progress, Report};

/// The most processes of a configuration.
pub(super) const PROCESSES: usize = 6;

/// A state. Two states with the same value have the same future.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) db: Db,
    pub(super) history: History,
    pub(super) processes: [Step; PROCESSES],
    /// A request that a process has sent and, by the SDK's hand, repeated: the first is still on its way.
    pub(super) late: Option<Write>,
    /// How many requests may still be repeated.
    pub(super) repeats: u8,
}

/// One process at one of its steps, in a state.
pub(super) struct Process<'a> {
    pub(super) configuration: &'a Configuration,
    pub(super) rules: Rules,
    pub(super) state: &'a State,
    pub(super) index: usize,
    pub(super) out: &'a mut Out<State>,
}

impl Process<'_> {
    pub(super) fn is(&self, mutant: Mutant) -> bool {
        self.rules.mutant == Some(mutant)
    }

    pub(super) fn role(&self) -> Role {
        self.configuration.roles[self.index]
    }

    /// Whether it is a function of the version before: it reads RECEIPT, drops in no claim, and leaves `dropped_upto`.
    pub(super) fn is_old(&self) -> bool {
        matches!(self.role(), Role::Attempt { old: true, .. } | Role::Sweep { old: true, .. })
    }

    pub(super) fn db(&self) -> &Db {
        &self.state.db
    }

    /// A read, or a decision that needs no request.
    pub(super) fn read(&mut self, next: Step, words: impl FnOnce() -> String) {
        self.step(words, |state, index| state.processes[index] = next);
    }

    /// A step that leaves the table as it is.
    pub(super) fn step(&mut self, words: impl FnOnce() -> String, change: impl FnOnce(&mut State, usize)) {
        let mut state = self.state.clone();
        change(&mut state, self.index);
        let who = self.configuration.who(self.index);
        self.out.push(state, || format!("{who}: {}", words()));
    }

    /// A conditional write; THEN says where the process goes, knowing whether it was made and what the table holds.
    ///
    /// Instead, the request may be lost on its way and be repeated by the SDK: the first may arrive before the repeat (a
    /// lost reply: the caller meets its own effect), after it, much later, or never.
    pub(super) fn write(&mut self, write: Write, then: impl FnOnce(&mut State, bool) -> Step) {
        let who = self.configuration.who(self.index);
        if self.state.repeats > 0 && self.state.late.is_none() {
            let mut state = self.state.clone();
            state.repeats -= 1;
            state.late = Some(write);
            self.out.push(state, || format!("{who}: {write} is sent and gets no answer; the SDK will repeat it"));
        }
        let mut state = self.state.clone();
        let made = state.db.apply(write, &mut state.history, self.rules);
        let next = then(&mut state, made);
        state.processes[self.index] = next;
        self.out.push(state, || format!("{who}: {write} {}", if made { "is made" } else { "is refused" }));
    }
}

/// Every state that can follow.
pub(super) fn successors(configuration: &Configuration, mutant: Option<Mutant>, state: &State, out: &mut Out<State>) {
    let rules = Rules { mutant, open_max: configuration.open_max };
    out.next.clear();
    for index in 0..configuration.roles.len() {
        Process { configuration, rules, state, index, out }.advance();
    }
    if let Some(write) = state.late {
        let mut state = state.clone();
        state.late = None;
        let made = state.db.apply(write, &mut state.history, rules);
        out.push(state, || {
            format!("the late request {write} arrives and {}", if made { "is made" } else { "is refused" })
        });
    }
}

/// A configuration, and the guard that it is without.
struct World<'a> {
    configuration: &'a Configuration,
    mutant: Option<Mutant>,
}

impl search::World for World<'_> {
    type State = State;

    fn initial(&self) -> State {
        self.configuration.initial()
    }

    fn successors(&self, state: &State, out: &mut Out<State>) {
        successors(self.configuration, self.mutant, state, out);
    }

    /// The same for states that differ only in which of several alike processes is where.
    fn hash(&self, state: &State, hasher: &mut impl Hasher) {
        let roles = &self.configuration.roles;
        let mut processes = state.processes;
        search::sort_alike(roles, &mut processes);
        (&state.db, &state.history, &processes[..roles.len()], &state.late, state.repeats).hash(hasher);
    }

    fn has_changed(&self, before: &State, after: &State) -> bool {
        after.db != before.db || after.history != before.history || after.late != before.late
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        broken(self.configuration, self.mutant, state)
    }

    fn quiet_key(&self, state: &State) -> State {
        quiet_key(state)
    }

    fn broken_once_quiet(&self, state: &State, words: &mut Option<Vec<String>>) -> Option<&'static str> {
        broken_once_quiet(self.configuration, self.mutant, state, words)
    }

    fn survivors(&self) -> &'static str {
        "sweeps and settlers"
    }
}

/// Explores a configuration to its end, to the first violation, to so many states, or until `go_on` answers no: it is asked
/// now and then.
pub fn explore(
    configuration: &Configuration,
    mutant: Option<Mutant>,
    states_max: usize,
    go_on: impl FnMut(Progress) -> bool,
) -> Report {
    search::explore(&World { configuration, mutant }, states_max, go_on)
}
