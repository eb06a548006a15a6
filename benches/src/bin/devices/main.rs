//! What every device holds in the end. People with several devices chat on a real machine, through proxies that delay, lose what
//! comes one way and cut; function processes are killed meanwhile, and now and then the machine. Then each device must hold what
//! the server shows, nobody may have been charged twice, and no answer may be contradicted. Build the machine with `cargo build`,
//! then
//!
//! ```sh
//! cargo run -p benches --bin devices                          # 20 seeds
//! cargo run -p benches --bin devices -- --seeds 1000 --kills  # half an hour
//! cargo run -p benches --bin devices -- --from 7 --seeds 1    # one of them
//! ```
//!
//! A seed decides what everybody does and what goes wrong; how these meet is up to the system, so a seed that has failed may
//! pass.

mod judge;
mod life;
mod proxy;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use benches::machine::Machine;
use benches::problem::Problem;
use clap::Parser;
use futures::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep};
use world::World;

/// How often something is killed.
const KILL_EVERY: Duration = Duration::from_millis(700);
/// Every so many kills it is the machine.
const MACHINE_EVERY: usize = 12;
/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// The functions whose processes are killed.
const KILLED: [&str; 6] = ["send", "sync", "read", "connect", "sweep", "groups"];

/// Lets people with several devices chat while everything fails, and compares what each device holds in the end.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    seeds: u32,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many at the same time, each with people of its own
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    at_once: u32,
    /// Kill function processes, too, and the machine
    #[arg(long)]
    kills: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the seeds; whether all were clean.
#[expect(clippy::print_stdout, reason = "its result is what it is run for")]
async fn run(arguments: &Arguments) -> Result<bool, Problem> {
    let directory = tempfile::tempdir()?;
    // Every message costs a coin. The sweep comes every minute and finishes what died.
    let more = ["--parameter", "DefaultPrice=1", "--parameter", "SendsPerSecond=1000"];
    let mut machine = Machine::start(&directory.path().join("data"), &more).await?;
    let world = World::new(&machine.address).await?;
    let begun = Instant::now();
    let seeds = arguments.from..arguments.from + u64::from(arguments.seeds);
    let lives = stream::iter(seeds.map(|seed| life::lives(&world, seed)));
    let at_once = usize::try_from(arguments.at_once)?;
    let mut lives = std::pin::pin!(lives.buffer_unordered(at_once));
    let (mut clean, mut wrong, mut kills, mut told) = (0_u32, 0_u32, 0_usize, begun);
    loop {
        let ended = tokio::select! {
            ended = lives.next() => ended,
            () = sleep(KILL_EVERY), if arguments.kills => {
                kills += 1;
                if kills.is_multiple_of(MACHINE_EVERY) {
                    machine.is_killed().await?;
                    machine.starts_again().await?;
                } else {
                    machine.kills(KILLED[kills % KILLED.len()]);
                }
                continue;
            }
        };
        let Some((seed, found)) = ended else { break };
        match found {
            Ok(()) => clean += 1,
            Err(problem) => {
                wrong += 1;
                eprintln!("seed {seed}: {problem}");
            }
        }
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            eprintln!("{clean} seeds clean, {wrong} wrong, {kills} kills, {:.0} s", begun.elapsed().as_secs_f64());
        }
    }
    println!("{clean} seeds clean, {wrong} wrong, {kills} kills, {} messages", world.sent());
    if wrong > 0 {
        eprintln!("the machine's log:\n{}", machine.log()?);
    }
    machine.stops().await?;
    Ok(wrong == 0)
}
