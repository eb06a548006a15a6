//! Takes each guard away, one by one, and shows which check notices, in how many seeds:
//! `cargo run -p tests --profile simulation --bin mutants`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use mimalloc::MiMalloc;
use shared::chat::invariants::Broken;
use tests::simulation::plan::FOCI;
use tests::simulation::{Listed, Mutant, ORDERS, Plan, ShownBy, conditions, run};

/// A third of the time would go to the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs seeds without each of the guards.
#[derive(Parser)]
struct Options {
    /// How many seeds each mutant has.
    #[arg(long, default_value_t = 1_500)]
    seeds: u64,
    /// In how many seeds the guards are looked for, each with a plan of any kind and one directed at each kind of item.
    #[arg(long, default_value_t = 200)]
    find: u64,
    /// A mutant is done with when so many seeds have caught it.
    #[arg(long, default_value_t = 1)]
    enough: u64,
    /// Steps in each; drawn from the seed where this isn't given.
    #[arg(long)]
    steps: Option<NonZeroUsize>,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Only mutants that say this.
    #[arg(long, default_value = "")]
    only: String,
    /// Writes here which seed catches each: what `tests/tests/guards.txt` holds and `cargo test` runs again. The seeds that
    /// are there already are tried first, and stay where they still do.
    #[arg(long, conflicts_with_all = ["only", "steps"])]
    list: Option<PathBuf>,
}

impl Options {
    fn steps(&self) -> Option<usize> {
        self.steps.map(NonZeroUsize::get)
    }
}

/// What became of a mutant.
struct Verdict {
    seeds: u64,
    caught: u64,
    first: Option<u64>,
    rules: BTreeMap<&'static str, u64>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let listed = match options.list.as_deref().map(read).transpose() {
        Ok(listed) => listed.unwrap_or_default(),
        Err(error) => {
            say(&error);
            return ExitCode::FAILURE;
        }
    };
    std::panic::set_hook(Box::new(|_| {}));
    say(&format!("looking for guards in {} seeds, each with {} plans", options.find, FOCI.len() + 1));
    let began = Instant::now();
    let shown_by_a_test = |one: &Mutant| matches!(listed.get(&one.to_string()), Some(ShownBy::Test(_)));
    let asked = find(&options).into_iter().filter(|one| one.to_string().contains(&options.only));
    let (by_tests, mutants): (Vec<Mutant>, Vec<Mutant>) = asked.partition(shown_by_a_test);
    let new = mutants.iter().filter(|one| !listed.contains_key(&one.to_string())).count();
    say(&format!("{} more guards are shown by a test", by_tests.len()));
    say(&format!("{} guards, {new} without a seed in a list; up to {} seeds each", mutants.len(), options.seeds));
    say(&forecast(began.elapsed(), mutants.len() - new, new, &options));
    say("caught | seeds | first | by | guard");
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    on_threads(options.threads, || {
        while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
            let seed = listed.get(&mutant.to_string()).and_then(seed);
            let verdict = judge(mutant, seed, &options);
            show(mutant, &verdict);
            lock(&verdicts).insert(mutant, verdict.first);
        }
    });
    let verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let survivors = verdicts.values().filter(|first| first.is_none()).count();
    say(&format!("{survivors} of {} survived", mutants.len()));
    if let Some(path) = &options.list {
        let caught = verdicts.iter().filter_map(|(mutant, first)| Some((*mutant, ShownBy::Seed((*first)?))));
        let by_tests = by_tests.iter().filter_map(|one| Some((one, listed.get(&one.to_string())?.clone())));
        let all: BTreeMap<&Mutant, ShownBy> = caught.chain(by_tests).collect();
        let line = |(mutant, shown_by): (&Mutant, ShownBy)| Listed {
            shown_by,
            item: mutant.item().to_owned(),
            guard: mutant.to_string(),
        };
        let list: String = all.into_iter().map(|shown| format!("{}\n", line(shown))).collect();
        if let Err(error) = std::fs::write(path, list) {
            say(&format!("{}: {error}", path.display()));
            return ExitCode::FAILURE;
        }
    }
    if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seed(shown_by: &ShownBy) -> Option<u64> {
    if let ShownBy::Seed(seed) = shown_by { Some(*seed) } else { None }
}

/// A list, by guard; nothing where there is no file yet.
fn read(path: &Path) -> Result<BTreeMap<String, ShownBy>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let listed = text.lines().map(|line| line.parse().map(|Listed { shown_by, guard, .. }| (guard, shown_by)));
    listed.collect::<Result<_, String>>().map_err(|error| format!("{}: {error}", path.display()))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does the same on each of so many threads.
fn on_threads(threads: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(&work))));
}

/// The guards that the store has or that are met in plans of any kind and in those directed at each kind of item, and the orders.
fn find(options: &Options) -> BTreeSet<Mutant> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(conditions().chain(ORDERS).collect::<BTreeSet<_>>()));
    on_threads(options.threads, || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= options.find {
                return;
            }
            let directed = FOCI.iter().map(|item| Plan::directed(seed, options.steps(), item));
            for plan in [Plan::new(seed, options.steps())].into_iter().chain(directed).filter(|plan| !plan.is_crowded())
            {
                let guards = run(&plan, None, 1).guards;
                lock(&found).extend(guards);
            }
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// How long it takes, by how long looking for the guards took: a guard's seed is run without it, and then with it.
fn forecast(looked: Duration, listed: usize, new: usize, options: &Options) -> String {
    let plans = options.find.max(1) as f64 * (FOCI.len() + 1) as f64;
    let seconds = |guards: usize, seeds: u64| looked.as_secs_f64() / plans * 2.0 * guards as f64 * seeds as f64;
    let (soon, late) = (seconds(listed, 1), seconds(new, options.seeds));
    format!("about {soon:.0} s where each listed seed still shows its guard, and up to {late:.0} s for the others")
}

/// Says a line.
fn say(line: &str) {
    // Nobody reads on: nothing to do about it.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Whether a plan tells anything about a guard: it holds with it, and meets it. Without a strong read those that are not strong are
/// behind, too.
fn tells_of(plan: &Plan, mutant: &Mutant) -> bool {
    let whole = run(plan, None, 1);
    whole.broken.is_none() && (ORDERS.contains(mutant) || whole.guards.contains(mutant))
}

/// Runs seeds without a guard, LISTED first.
fn judge(mutant: &Mutant, listed: Option<u64>, options: &Options) -> Verdict {
    let mut verdict = Verdict { seeds: 0, caught: 0, first: None, rules: BTreeMap::new() };
    let directed = |seed| Plan::directed(seed, options.steps(), mutant.item());
    let plans = (0..options.seeds).map(directed);
    // What takes long is for what nothing else shows.
    let (crowded, quick): (Vec<Plan>, Vec<Plan>) = plans.partition(Plan::is_crowded);
    for plan in listed.map(directed).into_iter().chain(quick).chain(crowded) {
        verdict.seeds += 1;
        if let Some(Broken { rule, .. }) = run(&plan, Some(mutant), 1).broken
            && tells_of(&plan, mutant)
        {
            verdict.caught += 1;
            verdict.first.get_or_insert(plan.seed);
            *verdict.rules.entry(rule).or_default() += 1;
        }
        if verdict.caught >= options.enough {
            break;
        }
    }
    verdict
}

fn show(mutant: &Mutant, verdict: &Verdict) {
    let rules: Vec<String> = verdict.rules.iter().map(|(rule, seeds)| format!("{rule} ({seeds})")).collect();
    let first = verdict.first.map_or_else(|| "-".to_owned(), |seed| seed.to_string());
    let by = if rules.is_empty() { "SURVIVED".to_owned() } else { rules.join(", ") };
    say(&format!("{} | {} | {first} | {by} | {mutant}", verdict.caught, verdict.seeds));
}
