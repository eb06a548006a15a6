//! `parley`: the machine, one of its functions, or what an operator runs by hand.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser as _;
use local::backup::Copied;
use local::cli::{Cli, Command, Place, RunArguments};
use local::engine::{ACCESS_KEY, PORT_DEFAULT, Port};
use local::machine::{Dynamodb, Machine, Settings};
use local::operator::{Functions, Summary};
use local::template::{REGION, TABLE_NAME};
use serde_json::Value;
use tokio::signal;

/// The exit code of a process that a second Ctrl-C ends (128 + SIGINT).
const EXIT_INTERRUPTED: i32 = 130;
/// How often long work says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Function { name }) => local::functions::run(&name),
        Some(Command::Invoke { name, event, place }) => invoke(place, &name, &event),
        Some(Command::Verify { repair, place }) => verify(place, repair),
        Some(Command::Backup { into, data_dir }) => backup(data_dir, into),
        None => run(cli.run),
    }
}

/// Has a function work on an event, and prints its answer.
#[tokio::main]
async fn invoke(place: Place, name: &str, event: &Value) -> ExitCode {
    let done = async {
        let functions = Functions::of(place).await?;
        let answer = functions.invoke(name, event).await;
        functions.release().await;
        answer
    };
    match done.await {
        Ok(answer) => {
            // Without anybody to tell it was still done.
            let _ = writeln!(std::io::stdout(), "{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

/// Checks everything, and prints what is wrong.
#[tokio::main]
async fn verify(place: Place, repair: bool) -> ExitCode {
    let mut summary = Summary::default();
    let mut out = std::io::stdout();
    let done = async {
        let functions = Functions::of(place).await?;
        // Who closes the pipe still gets the exit code.
        let done = functions.verify(repair, |report| drop(summary.add(report, &mut out))).await;
        functions.release().await;
        done
    };
    if let Err(error) = done.await {
        return failed(&error);
    }
    let _ = summary.conclude(&mut out);
    if summary.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Copies a data directory, and says how far it is.
#[tokio::main]
async fn backup(data_dir: PathBuf, into: PathBuf) -> ExitCode {
    let mut interrupts = match Interrupts::new() {
        Ok(interrupts) => interrupts,
        Err(error) => return uncaught(&error),
    };
    let stopping = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stopping);
    let (name, mut said) = (into.display().to_string(), Instant::now());
    let mut copying = tokio::task::spawn_blocking(move || {
        local::backup::backup(&data_dir, &into, |how_far| {
            if said.elapsed() >= PROGRESS_EVERY {
                said = Instant::now();
                eprintln!("{how_far}");
            }
            !told.load(Ordering::Relaxed)
        })
    });
    let copied = loop {
        tokio::select! {
            copied = &mut copying => break copied,
            () = interrupts.next() => stopping.store(true, Ordering::Relaxed),
        }
    };
    match copied {
        Ok(Ok(Copied { database_bytes, objects, object_bytes })) => {
            let _ = writeln!(
                std::io::stdout(),
                "{name}: {database_bytes} bytes of the database, {objects} objects of the archive with {object_bytes} bytes"
            );
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

#[tokio::main]
async fn run(arguments: RunArguments) -> ExitCode {
    let settings = arguments.settings();
    // Caught before anybody can be told that the machine is ready: a Ctrl-C right after that must stop it cleanly.
    let mut interrupts = match Interrupts::new() {
        Ok(interrupts) => interrupts,
        Err(error) => return uncaught(&error),
    };
    let started = tokio::select! {
        started = Machine::start(settings.clone()) => started,
        () = interrupts.next() => std::process::exit(EXIT_INTERRUPTED),
    };
    let machine = match started {
        Ok(machine) => machine,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Without a terminal there is nobody to tell, which is no reason not to serve.
    let _ = announce(&settings, &machine);
    interrupts.next().await;
    eprintln!("stopping; Ctrl-C again stops at once");
    tokio::select! {
        () = machine.stop() => ExitCode::SUCCESS,
        () = interrupts.next() => std::process::exit(EXIT_INTERRUPTED),
    }
}

fn uncaught(error: &std::io::Error) -> ExitCode {
    eprintln!("error: signals can't be caught: {error}");
    ExitCode::FAILURE
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
    writeln!(out, "SQS       {}", machine.sqs_endpoint())?;
    writeln!(out, "Lambda    {}", machine.lambda_endpoint())?;
    writeln!(out, "ready {}", machine.url())?;
    out.flush()
}

/// Ctrl-C and SIGTERM, caught from the moment this is made.
#[cfg(unix)]
struct Interrupts {
    interrupt: signal::unix::Signal,
    terminate: signal::unix::Signal,
}

#[cfg(unix)]
impl Interrupts {
    fn new() -> std::io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Interrupts;

#[cfg(not(unix))]
impl Interrupts {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        // Without signals the machine runs until it is killed, which loses nothing either.
        if signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
