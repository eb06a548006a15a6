//! Breadth-first search over all states, by fingerprints.
//!
//! Our own, of a hundred lines, and not stateright's: this one brings the world to its end from every state that it meets,
//! which is how death anywhere costs no states of its own; it takes alike attempts for one another and still finds shortest
//! traces (stateright knows such symmetry only depth-first); and it adds no dependencies.
//!
//! A seen state is kept as 64 bits, with the 64 of the one before it. Two with the same bits are taken for one: among 60
//! million states any such pair exists with a chance of 1 in 10,000, and what is behind it may then be missed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::check::{broken, broken_once_quiet, quiet_key};
use super::configurations::Configuration;
use super::mutants::Mutant;
use super::state::{Next, Out, State, successors};

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every state was seen.
    Complete,
    /// A violation was found: this.
    Violation(&'static str),
    /// As many states as were asked for.
    StatesMax,
    /// It was told to stop.
    Stopped,
}

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// Different states that were seen; attempts that are alike count once.
    pub states: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// Ends of the world that were looked at.
    pub quiet: usize,
    /// How long it took.
    pub took: Duration,
    /// The shortest way to the violation, in words; the last steps are those of the survivors, if it shows only when the
    /// world is quiet.
    pub trace: Vec<String>,
}

/// How far a search has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Different states so far.
    pub states: usize,
    /// Of them, those whose steps are yet to be taken.
    pub waiting: usize,
    /// How many steps away from the start the search is.
    pub depth: usize,
}

type Fingerprint = u64;

/// A fingerprint needs no second hash.
#[derive(Default)]
struct Unhashed(u64);

impl Hasher for Unhashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

/// Gathers a state's bytes, which are small numbers, so that they are hashed in one go.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn finish(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.0);
        hasher.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn write_u8(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn write_isize(&mut self, variant: isize) {
        // Which variant of an enum it is: there are never 256.
        self.0.push(variant as u8);
    }
}

/// How many states pass between two reports of progress.
const STATES_PER_PROGRESS: usize = 1 << 16;

struct Search<'a> {
    configuration: &'a Configuration,
    mutant: Option<Mutant>,
    /// Each state seen, and the one before it.
    seen: HashMap<Fingerprint, Fingerprint, BuildHasherDefault<Unhashed>>,
    /// The ends of the world seen.
    quiet: HashSet<Fingerprint, BuildHasherDefault<Unhashed>>,
    bytes: Bytes,
}

/// Explores a configuration to its end, to the first violation, to so many states, or until `go_on` answers no: it is asked
/// now and then.
pub fn explore(
    configuration: &Configuration,
    mutant: Option<Mutant>,
    states_max: usize,
    mut go_on: impl FnMut(Progress) -> bool,
) -> Report {
    let start = Instant::now();
    let mut search =
        Search { configuration, mutant, seen: HashMap::default(), quiet: HashSet::default(), bytes: Bytes::default() };
    let mut depth = 0;
    let first = configuration.initial();
    let root = search.fingerprint(&first);
    search.seen.insert(root, root);
    let mut found = search.broken(&first).map(|broken| (broken, root));
    let mut layer = vec![(root, first)];
    let mut out = Out::default();
    let mut ending = Ending::Complete;
    'search: while found.is_none() && !layer.is_empty() {
        let mut deeper = Vec::new();
        for (parent, state) in layer.drain(..) {
            successors(configuration, mutant, &state, &mut out);
            for Next { state: next, .. } in out.next.drain(..) {
                let fingerprint = search.fingerprint(&next);
                let Entry::Vacant(new) = search.seen.entry(fingerprint) else { continue };
                new.insert(parent);
                // A step that only reads breaks nothing that wasn't broken.
                if next.db != state.db || next.history != state.history || next.late != state.late {
                    found = search.broken(&next).map(|broken| (broken, fingerprint));
                }
                let states = search.seen.len();
                if states >= states_max {
                    ending = Ending::StatesMax;
                } else if states.is_multiple_of(STATES_PER_PROGRESS)
                    && !go_on(Progress { states, waiting: deeper.len(), depth: depth + 1 })
                {
                    ending = Ending::Stopped;
                }
                if found.is_some() || ending != Ending::Complete {
                    depth += 1;
                    break 'search;
                }
                deeper.push((fingerprint, next));
            }
        }
        depth += usize::from(!deeper.is_empty());
        layer = deeper;
    }
    let mut trace = Vec::new();
    if let Some((violation, fingerprint)) = found {
        ending = Ending::Violation(violation);
        trace = search.trace(fingerprint);
    }
    Report { ending, states: search.seen.len(), depth, quiet: search.quiet.len(), took: start.elapsed(), trace }
}

impl Search<'_> {
    /// The state's fingerprint, the same for states that differ only in which of several alike processes is where.
    fn fingerprint(&mut self, state: &State) -> Fingerprint {
        let roles = &self.configuration.roles;
        let mut processes = state.processes;
        let mut from = 0;
        while from < roles.len() {
            let alike = roles[from..].iter().take_while(|role| **role == roles[from]).count();
            processes[from..from + alike].sort_unstable();
            from += alike;
        }
        self.bytes.0.clear();
        (&state.db, &state.history, &processes[..roles.len()], &state.late, state.repeats).hash(&mut self.bytes);
        self.bytes.finish()
    }

    /// Checks a new state, and the quiet world after everybody's death there.
    fn broken(&mut self, state: &State) -> Option<&'static str> {
        broken(self.configuration, self.mutant, state).or_else(|| {
            let end = self.fingerprint(&quiet_key(state));
            let new = self.quiet.insert(end);
            new.then(|| broken_once_quiet(self.configuration, self.mutant, state, &mut None)).flatten()
        })
    }

    /// The way to a state in words: from the start on, the step whose fingerprint is next.
    fn trace(&mut self, last: Fingerprint) -> Vec<String> {
        let mut way = vec![last];
        while let Some(parent) =
            way.last().and_then(|state| self.seen.get(state)).filter(|parent| Some(*parent) != way.last())
        {
            way.push(*parent);
        }
        let mut state = self.configuration.initial();
        let mut trace = Vec::new();
        let mut out = Out { with_words: true, next: Vec::new() };
        for fingerprint in way.iter().rev().skip(1) {
            successors(self.configuration, self.mutant, &state, &mut out);
            let next = out.next.drain(..).find(|next| self.fingerprint(&next.state) == *fingerprint);
            let Some(next) = next else { break };
            trace.push(next.words);
            state = next.state;
        }
        if broken(self.configuration, self.mutant, &state).is_none() {
            trace.push("everybody dies; only sweeps and settlers come".to_owned());
            let mut words = Some(Vec::new());
            broken_once_quiet(self.configuration, self.mutant, &state, &mut words);
            trace.extend(words.unwrap_or_default());
        }
        trace
    }
}
