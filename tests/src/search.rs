//! Breadth-first search over all states of a model, by fingerprints. It serves every model.
//!
//! Our own, of a hundred lines, and not stateright's: this one brings the world to its end from every state that it meets,
//! which is how death anywhere costs no states of its own; it takes alike attempts for one another and still finds shortest
//! traces (stateright knows such symmetry only depth-first); and it adds no dependencies.
//!
//! A seen state is kept as 64 bits, with the 64 of the one before it. Two with the same bits are taken for one: among 60
//! million states any such pair exists with a chance of 1 in 10,000, and what is behind it may then be missed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::time::{Duration, Instant};

/// What is explored: a model's configuration, and the guard that it is without, if any.
pub(crate) trait World {
    /// A state. Two with the same value have the same future.
    type State: Clone;

    /// Where it starts.
    fn initial(&self) -> Self::State;

    /// Puts every state that can follow into OUT, which is emptied first.
    fn successors(&self, state: &Self::State, out: &mut Out<Self::State>);

    /// Hashes what makes a state another one; states that differ only in which of several alike processes is where may be
    /// hashed alike.
    fn hash(&self, state: &Self::State, hasher: &mut impl Hasher);

    /// Whether a step has changed something that a check looks at: one that only reads breaks nothing that wasn't broken.
    fn has_changed(&self, before: &Self::State, after: &Self::State) -> bool;

    /// What is broken in a state, if anything.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;

    /// What the end of a quiet world depends on: states that share it need one look.
    fn quiet_key(&self, state: &Self::State) -> Self::State;

    /// What is broken when every process dies here and only those come who always come, undisturbed; their steps in
    /// words, if asked for.
    fn broken_once_quiet(&self, state: &Self::State, words: &mut Option<Vec<String>>) -> Option<&'static str>;

    /// Who comes when everybody has died, as a line of a trace.
    fn survivors(&self) -> &'static str;
}

/// A state that follows, and the step in words (empty unless asked for).
pub(crate) struct Next<S> {
    pub(crate) state: S,
    pub(crate) words: String,
}

/// Where the next states are put.
pub(crate) struct Out<S> {
    /// Whether the steps are wanted in words; the search asks only for the one trace that it shows.
    pub(crate) with_words: bool,
    pub(crate) next: Vec<Next<S>>,
}

impl<S> Out<S> {
    /// An empty one.
    pub(crate) const fn new(with_words: bool) -> Self {
        Self { with_words, next: Vec::new() }
    }

    /// Puts a state there.
    pub(crate) fn push(&mut self, state: S, words: impl FnOnce() -> String) {
        let words = if self.with_words { words() } else { String::new() };
        self.next.push(Next { state, words });
    }
}

/// Sorts the processes of each role: which of several alike ones is where makes no other state. Alike ones stand side by side.
pub(crate) fn sort_alike<R: PartialEq, P: Ord>(roles: &[R], processes: &mut [P]) {
    let mut from = 0;
    while from < roles.len() {
        let alike = roles[from..].iter().take_while(|role| **role == roles[from]).count();
        processes[from..from + alike].sort_unstable();
        from += alike;
    }
}

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

struct Search<'a, W> {
    world: &'a W,
    /// Each state seen, and the one before it.
    seen: HashMap<Fingerprint, Fingerprint, BuildHasherDefault<Unhashed>>,
    /// The ends of the world seen.
    quiet: HashSet<Fingerprint, BuildHasherDefault<Unhashed>>,
    bytes: Bytes,
}

/// Explores a world to its end, to the first violation, to so many states, or until `go_on` answers no: it is asked now and
/// then.
pub(crate) fn explore<W: World>(world: &W, states_max: usize, mut go_on: impl FnMut(Progress) -> bool) -> Report {
    let start = Instant::now();
    let mut search = Search { world, seen: HashMap::default(), quiet: HashSet::default(), bytes: Bytes::default() };
    let mut depth = 0;
    let first = world.initial();
    let root = search.fingerprint(&first);
    search.seen.insert(root, root);
    let mut found = search.broken(&first).map(|broken| (broken, root));
    let mut layer = vec![(root, first)];
    let mut out = Out::new(false);
    let mut ending = Ending::Complete;
    'search: while found.is_none() && !layer.is_empty() {
        let mut deeper = Vec::new();
        for (parent, state) in layer.drain(..) {
            world.successors(&state, &mut out);
            for Next { state: next, .. } in out.next.drain(..) {
                let fingerprint = search.fingerprint(&next);
                let Entry::Vacant(new) = search.seen.entry(fingerprint) else { continue };
                new.insert(parent);
                if world.has_changed(&state, &next) {
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

impl<W: World> Search<'_, W> {
    fn fingerprint(&mut self, state: &W::State) -> Fingerprint {
        self.bytes.0.clear();
        self.world.hash(state, &mut self.bytes);
        self.bytes.finish()
    }

    /// Checks a new state, and the quiet world after everybody's death there.
    fn broken(&mut self, state: &W::State) -> Option<&'static str> {
        self.world.broken(state).or_else(|| {
            let end = self.fingerprint(&self.world.quiet_key(state));
            let new = self.quiet.insert(end);
            new.then(|| self.world.broken_once_quiet(state, &mut None)).flatten()
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
        let mut state = self.world.initial();
        let mut trace = Vec::new();
        let mut out = Out::new(true);
        for fingerprint in way.iter().rev().skip(1) {
            self.world.successors(&state, &mut out);
            let next = out.next.drain(..).find(|next| self.fingerprint(&next.state) == *fingerprint);
            let Some(next) = next else { break };
            trace.push(next.words);
            state = next.state;
        }
        if self.world.broken(&state).is_none() {
            trace.push(format!("everybody dies; only {} come", self.world.survivors()));
            let mut words = Some(Vec::new());
            self.world.broken_once_quiet(&state, &mut words);
            trace.extend(words.unwrap_or_default());
        }
        trace
    }
}
