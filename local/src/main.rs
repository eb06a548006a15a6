//! `parley`: the machine, or one of its functions.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use local::cli::{Cli, Command, RunArguments};
use local::engine::{ACCESS_KEY, PORT_DEFAULT, Port};
use local::machine::{Dynamodb, Machine, Settings};
use local::template::{REGION, TABLE_NAME};
use tokio::signal;

/// The exit code of a process that a second Ctrl-C ends (128 + SIGINT).
const EXIT_INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Function { name }) => local::functions::run(&name),
        None => run(cli.run),
    }
}

#[tokio::main]
async fn run(arguments: RunArguments) -> ExitCode {
    let settings = arguments.settings();
    let machine = match Machine::start(settings.clone()).await {
        Ok(machine) => machine,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Without a terminal there is nobody to tell, which is no reason not to serve.
    let _ = announce(&settings, &machine);
    interrupted().await;
    eprintln!("stopping; Ctrl-C again stops at once");
    tokio::select! {
        () = machine.stop() => ExitCode::SUCCESS,
        () = interrupted() => std::process::exit(EXIT_INTERRUPTED),
    }
}

fn announce(settings: &Settings, machine: &Machine) -> std::io::Result<()> {
    let endpoint = machine.dynamodb_endpoint();
    let mut out = std::io::stdout().lock();
    if settings.dynamodb == Dynamodb::Embedded(Port::Preferred) && !endpoint.ends_with(&format!(":{PORT_DEFAULT}")) {
        writeln!(out, "port {PORT_DEFAULT} is taken, so the DynamoDB engine has another one (--dynamodb-port)")?;
    }
    writeln!(out, "data      {}", settings.data_dir)?;
    writeln!(out, "DynamoDB  {endpoint}, table {TABLE_NAME}; try")?;
    writeln!(
        out,
        "          AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={ACCESS_KEY} aws --region {REGION} \
         dynamodb scan --table-name {TABLE_NAME} --endpoint-url {endpoint}"
    )?;
    writeln!(out, "ready {}", machine.url())?;
    out.flush()
}

/// Waits for Ctrl-C or, where there is one, SIGTERM.
async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    // Without signals the machine runs until it is killed, which loses nothing either.
    if signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
