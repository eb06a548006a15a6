//! Explores the models: of the send protocol and of settling, see `tests::model`, of groups, see `tests::membership`, and of
//! changed messages, see `tests::changes`.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use tests::models::{Configuration, Mutant, configurations};
use tests::search::{Ending, Progress, Report};

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Set by Ctrl-C; the search stops at its next report of progress.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Explores every order of requests that the attempts of a send, the sweep and settlers can have, those of a group, and those
/// of a change.
///
/// Without options all configurations are explored, the small ones first. Fails if anything is found to be broken, if a
/// mutant isn't caught, or if a search is cut short.
#[derive(Parser)]
struct Options {
    /// Explore only this configuration; can be given several times
    #[arg(long, value_name = "NAME", value_parser = names())]
    configuration: Vec<String>,

    /// Try all mutants instead, on the small configurations unless others are named: each must be caught
    #[arg(long, conflicts_with = "mutant")]
    mutants: bool,

    /// Try this mutant
    #[arg(long, value_enum)]
    mutant: Option<Mutant>,

    /// Stop a search at this many states; a million takes 60 MB
    #[arg(long, value_name = "N", default_value_t = 80_000_000)]
    states: usize,

    /// List the configurations and end
    #[arg(long)]
    list: bool,
}

fn names() -> clap::builder::PossibleValuesParser {
    configurations().iter().map(|configuration| configuration.name()).collect::<Vec<_>>().into()
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = if options.list { list() } else { run(&options) };
    // A closed pipe is the reader's wish to see no more.
    if done.unwrap_or(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn list() -> std::io::Result<bool> {
    let mut out = std::io::stdout().lock();
    for configuration in configurations() {
        let size = if configuration.is_small() { "small" } else { "large" };
        writeln!(out, "{:15} {size}  {}", configuration.name(), configuration.about())?;
    }
    Ok(true)
}

/// Explores what was asked for; says whether all is well.
fn run(options: &Options) -> std::io::Result<bool> {
    stop_at_ctrl_c();
    let mutants = if options.mutants { Mutant::all().to_vec() } else { options.mutant.into_iter().collect() };
    let chosen = |configuration: &Configuration| {
        let named = options.configuration.iter().any(|name| name == configuration.name());
        named || options.configuration.is_empty() && (mutants.is_empty() || configuration.is_small())
    };
    let configurations: Vec<Configuration> = configurations().into_iter().filter(chosen).collect();
    let mut well = true;
    for configuration in configurations.iter().filter(|_| mutants.is_empty()) {
        let report = watched(configuration, None, options.states);
        show(configuration, &report)?;
        well &= report.ending == Ending::Complete;
    }
    for mutant in mutants {
        well &= caught(mutant, &configurations, options.states)?;
    }
    Ok(well && !STOPPED.load(Ordering::Relaxed))
}

/// Tries a mutant on each configuration and shows the shortest way to what it breaks; says whether that is as expected.
fn caught(mutant: Mutant, configurations: &[Configuration], states_max: usize) -> std::io::Result<bool> {
    let mut out = std::io::stdout();
    writeln!(out, "\n{}: {}", mutant.name(), mutant.about())?;
    let reports = configurations.iter().filter(|configuration| mutant.is_of(configuration));
    let reports = reports.take_while(|_| !STOPPED.load(Ordering::Relaxed));
    let reports = reports.map(|configuration| (configuration, watched(configuration, Some(mutant), states_max)));
    let violations = reports.filter(|(_, report)| matches!(report.ending, Ending::Violation(_)));
    match (violations.min_by_key(|(_, report)| report.trace.len()), mutant.harmless()) {
        (Some((configuration, report)), harmless) => {
            show(configuration, &report)?;
            Ok(harmless.is_none())
        }
        (None, Some(why)) => {
            writeln!(out, "nothing is broken, as expected: {why}")?;
            Ok(true)
        }
        (None, None) => {
            writeln!(out, "NOT CAUGHT")?;
            Ok(false)
        }
    }
}

fn show(configuration: &Configuration, report: &Report) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    let Report { states, depth, quiet, took, .. } = report;
    let ending = match report.ending {
        Ending::Complete => "all is well".to_owned(),
        Ending::Violation(what) => format!("BROKEN, in {} steps: {what}", report.trace.len()),
        Ending::StatesMax => "cut short by --states; well so far".to_owned(),
        Ending::Stopped => "stopped; well so far".to_owned(),
    };
    let took = took.as_secs_f64();
    writeln!(
        out,
        "{:15} {states:>10} states, depth {depth:>2}, {quiet:>5} ends, {took:>7.1} s: {ending}",
        configuration.name()
    )?;
    for (n, step) in report.trace.iter().enumerate() {
        writeln!(out, "{:>4}. {step}", n + 1)?;
    }
    Ok(())
}

/// Explores, and shows how far it is on standard error.
fn watched(configuration: &Configuration, mutant: Option<Mutant>, states_max: usize) -> Report {
    let (mut shown, mut before) = (Instant::now(), 0);
    configuration.explore(mutant, states_max, |Progress { states, waiting, depth }| {
        let since = shown.elapsed();
        if since >= PROGRESS_EVERY {
            let rate = ((states - before) as f64 / since.as_secs_f64()) as u64;
            let line =
                format!("{}: {states} states, {waiting} waiting, depth {depth}, {rate} a second", configuration.name());
            // Nobody may be there to read it.
            let _ = writeln!(std::io::stderr(), "{line}");
            (shown, before) = (Instant::now(), states);
        }
        !STOPPED.load(Ordering::Relaxed)
    })
}

/// Ctrl-C ends the search that runs, which then says how far it came. Where there are no signals, it ends the program.
fn stop_at_ctrl_c() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok()) {
            STOPPED.store(true, Ordering::Relaxed);
        }
    });
}
