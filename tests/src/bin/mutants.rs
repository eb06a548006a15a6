//! Takes each guard away, one by one, and shows which check notices, in how many seeds:
//! `cargo run -p tests --profile simulation --bin mutants`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use mimalloc::MiMalloc;
use tests::simulation::plan::FOCI;
use tests::simulation::{Mutant, ORDERS, Plan, run};

/// A third of the time would go to the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs seeds without each of the guards.
#[derive(Parser)]
struct Options {
    /// How many seeds each mutant has.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// How many seeds are run to find the guards.
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
    std::panic::set_hook(Box::new(|_| {}));
    let mut found: BTreeSet<Mutant> = BTreeSet::from(ORDERS);
    for (seed, item) in (0..options.find).zip(FOCI.into_iter().cycle()) {
        let steps = options.steps.map(NonZeroUsize::get);
        found.extend(run(&Plan::new(seed, steps), None, 1).guards);
        found.extend(run(&Plan::directed(seed, steps, item), None, 1).guards);
    }
    let mutants: Vec<Mutant> = found.into_iter().filter(|one| one.to_string().contains(&options.only)).collect();
    say(&format!("{} guards, up to {} seeds each", mutants.len(), options.seeds));
    say("caught | seeds | first | by | guard");
    let (next, survivors) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = judge(mutant, &options);
                    survivors.fetch_add(usize::from(verdict.caught == 0), Ordering::Relaxed);
                    show(mutant, &verdict);
                }
            });
        }
    });
    let survivors = survivors.into_inner();
    say(&format!("{survivors} of {} survived", mutants.len()));
    if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says a line.
fn say(line: &str) {
    // Nobody reads on: nothing to do about it.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Runs seeds without a guard.
fn judge(mutant: &Mutant, options: &Options) -> Verdict {
    let mut verdict = Verdict { seeds: 0, caught: 0, first: None, rules: BTreeMap::new() };
    for seed in 0..options.seeds {
        verdict.seeds += 1;
        let plan = Plan::directed(seed, options.steps.map(NonZeroUsize::get), mutant.item());
        // Only what holds with the guard tells anything about it.
        if let Some((rule, _)) = run(&plan, Some(mutant), 1).broken
            && run(&plan, None, 1).broken.is_none()
        {
            verdict.caught += 1;
            verdict.first.get_or_insert(seed);
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
