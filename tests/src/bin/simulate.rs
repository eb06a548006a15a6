//! Runs seeds for as long as they hold: `cargo run -p tests --profile simulation --bin simulate -- --seeds 100000`.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use mimalloc::MiMalloc;
use shared::chat::invariants::Broken;
use tests::simulation::plan::FOCI;
use tests::simulation::shrink::shrink;
use tests::simulation::{Plan, Report, run};

/// A third of the time would go to the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How often progress is said.
const PROGRESS: Duration = Duration::from_secs(5);
/// Runs that making a failing plan smaller may take.
const SHRINK_RUNS_MAX: usize = 600;
/// The last events that are said of a failure.
const EVENTS_SHOWN: usize = 80;

/// Runs seeds: whole worlds with faults, each decided by one number.
#[derive(Parser)]
struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them; a run that was stopped goes on from the number that it said.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Threads; each runs worlds of its own.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    threads: u64,
    /// Steps in each; drawn from the seed where this isn't given.
    #[arg(long)]
    steps: Option<NonZeroUsize>,
    /// Runs only this one.
    #[arg(long)]
    seed: Option<u64>,
    /// Plans that look for what goes wrong with this kind of item, as `mutants` takes them.
    #[arg(long, value_parser = FOCI)]
    directed: Option<String>,
    /// With `--seed`: says all that happens.
    #[arg(long, requires = "seed")]
    trace: bool,
}

impl Options {
    fn plan(&self, seed: u64) -> Plan {
        let steps = self.steps.map(NonZeroUsize::get);
        match &self.directed {
            Some(item) => Plan::directed(seed, steps, item),
            None => Plan::new(seed, steps),
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    // What panics is a broken rule, and said with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    match options.seed {
        Some(seed) => replay(&options, seed),
        None => explore(&options),
    }
}

/// Says a line.
fn say(line: &str) {
    // Nobody reads on: nothing to do about it.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Runs one seed.
fn replay(options: &Options, seed: u64) -> ExitCode {
    let kept = if options.trace { usize::MAX } else { EVENTS_SHOWN };
    let plan = options.plan(seed);
    let report = run(&plan, None, kept);
    if options.trace {
        report.events.iter().for_each(|event| say(event));
    }
    say(&format!("seed {seed}: {} operations, trace {:016x}", report.operations, report.hash));
    match &report.broken {
        None => ExitCode::SUCCESS,
        Some(_) => explain(&plan, &report),
    }
}

/// Says what broke, and the smallest way to it.
fn explain(plan: &Plan, report: &Report) -> ExitCode {
    let show = |report: &Report| {
        let skipped = report.events.len().saturating_sub(EVENTS_SHOWN);
        report.events.iter().skip(skipped).for_each(|event| say(event));
        if let Some(Broken { rule, seen }) = &report.broken {
            say(&format!("BROKEN: {rule}\n{seen}"));
        }
    };
    show(report);
    say("\nmaking it smaller ...");
    let (smallest, report) = shrink(plan, SHRINK_RUNS_MAX);
    say(&format!("faults of 1,000 chances: {:?}; {} happened", smallest.faults, report.faults.len()));
    smallest.steps.iter().for_each(|step| say(&format!("{step:?}")));
    show(&report);
    say(&format!("\nseed {} breaks; again: --seed {} --trace", plan.seed, plan.seed));
    ExitCode::FAILURE
}

/// Runs many.
fn explore(options: &Options) -> ExitCode {
    let (next, done, operations) = (AtomicU64::new(options.from), AtomicU64::new(0), AtomicU64::new(0));
    let (stop, failed) = (AtomicBool::new(false), Mutex::new(None::<u64>));
    let end = options.from.saturating_add(options.seeds);
    let began = Instant::now();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let report = run(&options.plan(seed), None, 1);
            operations.fetch_add(report.operations, Ordering::Relaxed);
            done.fetch_add(1, Ordering::Relaxed);
            if report.broken.is_some() {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = Some(failed.map_or(seed, |other| other.min(seed)));
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    let progress = || {
        let (done, seconds) = (done.load(Ordering::Relaxed), began.elapsed().as_secs_f64());
        let operations = operations.load(Ordering::Relaxed);
        let rate = done as f64 / seconds;
        format!("{done} seeds, {rate:.1} a second, {operations} engine operations, {seconds:.0} s")
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.threads).map(|_| scope.spawn(work)).collect();
        watch_interrupt(&stop, || workers.iter().all(std::thread::ScopedJoinHandle::is_finished), || say(&progress()));
    });
    say(&progress());
    let failed = *failed.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(seed) = failed {
        let plan = options.plan(seed);
        return explain(&plan, &run(&plan, None, EVENTS_SHOWN));
    }
    let reached = next.load(Ordering::Relaxed).min(end);
    if reached < end {
        say(&format!("stopped; go on with --from {}", reached.saturating_sub(options.threads)));
    }
    ExitCode::SUCCESS
}

/// Says PROGRESS now and then until the work is OVER, and ends it cleanly at Ctrl-C.
fn watch_interrupt(stop: &AtomicBool, over: impl Fn() -> bool, progress: impl Fn()) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut said = Instant::now();
        while !over() {
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => stop.store(interrupted.is_ok(), Ordering::Relaxed),
                _ = tick.tick() => {}
            }
            if said.elapsed() >= PROGRESS {
                progress();
                said = Instant::now();
            }
        }
    });
}
