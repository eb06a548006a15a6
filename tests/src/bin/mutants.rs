//! Takes each guard away, one by one, and shows which check notices, in how many seeds:
//! `cargo run -p tests --profile simulation --bin mutants`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::Parser;
use mimalloc::MiMalloc;
use tests::simulation::plan::FOCI;
use tests::simulation::{Listed, Mutant, ORDERS, Plan, run};

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
    rules: BTreeMap<String, u64>,
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
    let mutants: Vec<Mutant> =
        find(&options).into_iter().filter(|one| one.to_string().contains(&options.only)).collect();
    let new = mutants.iter().filter(|one| !listed.contains_key(&one.to_string())).count();
    say(&format!("{} guards, {new} without a seed in a list; up to {} seeds each", mutants.len(), options.seeds));
    say("caught | seeds | first | by | guard");
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    on_threads(options.threads, || {
        while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
            let verdict = judge(mutant, listed.get(&mutant.to_string()).copied(), &options);
            show(mutant, &verdict);
            lock(&verdicts).insert(mutant, verdict.first);
        }
    });
    let verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let survivors = verdicts.values().filter(|first| first.is_none()).count();
    say(&format!("{survivors} of {} survived", mutants.len()));
    if let Some(path) = &options.list {
        let caught = verdicts.iter().filter_map(|(mutant, first)| Some((mutant, (*first)?)));
        let line = |(mutant, seed): (&&Mutant, u64)| Listed {
            seed,
            item: mutant.item().to_owned(),
            guard: mutant.to_string(),
        };
        let list: String = caught.map(|caught| format!("{}\n", line(caught))).collect();
        if let Err(error) = std::fs::write(path, list) {
            say(&format!("{}: {error}", path.display()));
            return ExitCode::FAILURE;
        }
    }
    if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The seeds of a list, by guard; none where there is no file yet.
fn read(path: &Path) -> Result<BTreeMap<String, u64>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let listed = text.lines().map(|line| line.parse().map(|Listed { seed, guard, .. }| (guard, seed)));
    listed.collect::<Result<_, String>>().map_err(|error| format!("{}: {error}", path.display()))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does the same on each of so many threads.
fn on_threads(threads: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(&work))));
}

/// The guards that are met in plans of any kind and in those directed at each kind of item, and the orders.
fn find(options: &Options) -> BTreeSet<Mutant> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(BTreeSet::from(ORDERS)));
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

/// Says a line.
fn say(line: &str) {
    // Nobody reads on: nothing to do about it.
    let _ = writeln!(std::io::stdout(), "{line}");
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
        // Only what holds with the guard tells anything about it.
        if let Some((rule, _)) = run(&plan, Some(mutant), 1).broken
            && run(&plan, None, 1).broken.is_none()
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
