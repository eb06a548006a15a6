//! Years of data. Fills a directory with them, as the functions would have left them, or proves with them that nobody misses
//! what was cleaned up: build the machine with `cargo build`, then
//!
//! ```sh
//! cargo run -p benches --bin years -- --data-dir DIR            # fills DIR; then: cargo run -- --data-dir DIR
//! cargo run -p benches --bin years -- --data-dir DIR --prove    # fills DIR, uses it, cleans up and kills meanwhile
//! ```

mod directory;
mod logs;
mod prove;
mod web;

use std::path::PathBuf;
use std::process::ExitCode;

use benches::problem::Problem;
use clap::Parser;
use shared::clock::Clock;
use tests::years::Plan;

/// Makes years of data from a seed.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where they are kept; new, or empty
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: PathBuf,
    /// How many conversations
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    conversations: u32,
    /// How many messages in all
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    messages: u32,
    /// What everything is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For how many days it has gone on
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Then read everything, clean it up while it is used, kill the machine meanwhile, check it and read it again
    #[arg(long)]
    prove: bool,
    /// With --prove: how often the machine is killed during a cleanup
    #[arg(long, default_value_t = 0)]
    kills: u32,
    /// With --prove: how many conversations are read in the web client, too, the longest first; all, if not given. Needs
    /// Node.js 22
    #[arg(long, value_name = "CONVERSATIONS")]
    web: Option<u32>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Problem> {
    let plan = Plan {
        conversations: usize::try_from(arguments.conversations)?,
        messages: usize::try_from(arguments.messages)?,
        seed: arguments.seed,
        now: Clock::system().now(),
        days: arguments.days,
    };
    let web = usize::try_from(arguments.web.unwrap_or(arguments.conversations))?;
    // Before anything takes long.
    if arguments.prove && web > 0 {
        web::can_be_run().await?;
    }
    let made = directory::fill(&arguments.data_dir, &plan)?;
    match arguments.prove {
        true => prove::prove(&arguments.data_dir, &plan, &made, arguments.kills, web).await,
        false => Ok(()),
    }
}
