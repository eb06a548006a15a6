//! The local machine, measured: how long from its start to `ready`, and how much memory its processes take when nothing
//! happens. Linux only, as it reads /proc. Build it first: `cargo build`, then `cargo run -p benches --bin machine`.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// How often it is started: the first start makes the table, the others find it.
const STARTS: usize = 5;
/// What the first schedule does after the start is over by then.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() -> ExitCode {
    match measure() {
        Ok(lines) => {
            println!("{}", lines.join("\n"));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<Vec<String>, String> {
    let binary = binary()?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut ready = Vec::new();
    let mut memory = Vec::new();
    for start in 1..=STARTS {
        let (machine, took) = Machine::start(&binary, directory.path())?;
        ready.push(format!("{:.0}", took.as_secs_f64() * 1_000.0));
        if start == STARTS {
            std::thread::sleep(SETTLED_AFTER);
            memory = tree(machine.child.id()).into_iter().filter_map(Memory::of).collect();
        }
    }
    let sum = |part: fn(&Memory) -> u64| memory.iter().map(part).sum::<u64>() / 1024;
    Ok(vec![
        format!("start to ready, ms, {STARTS} times: {}", ready.join(" ")),
        format!("idle: {} processes, RSS {} MB, PSS {} MB", memory.len(), sum(|m| m.rss_kb), sum(|m| m.pss_kb)),
    ])
}

/// The local machine's binary, beside this one.
fn binary() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    let binary = here.with_file_name("parley");
    if binary.exists() { Ok(binary) } else { Err(format!("{} isn't there: run `cargo build` first", binary.display())) }
}

/// The local machine, ended with this value.
struct Machine {
    child: Child,
}

impl Machine {
    /// Starts it and waits for its `ready`; says how long that took.
    fn start(binary: &Path, directory: &Path) -> Result<(Self, Duration), String> {
        let began = Instant::now();
        let arguments = ["--port", "0", "--dynamodb-port", "0", "--data-dir"];
        let command = Command::new(binary).args(arguments).arg(directory).stdout(Stdio::piped()).spawn();
        let mut machine = Self { child: command.map_err(|error| error.to_string())? };
        let output = machine.child.stdout.take().ok_or("the machine has no output")?;
        for line in BufReader::new(output).lines() {
            if line.map_err(|error| error.to_string())?.starts_with("ready ") {
                return Ok((machine, began.elapsed()));
            }
        }
        Err("the machine ended before it was ready".to_owned())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its functions end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process and those below it.
fn tree(root: u32) -> Vec<u32> {
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(parent) = tree.get(next) {
        let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let found: Vec<u32> = children.flat_map(|line| numbers(&line)).collect();
        tree.extend(found);
        next += 1;
    }
    tree
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// What a process takes.
struct Memory {
    rss_kb: u64,
    /// With shared pages divided among those who share them.
    pss_kb: u64,
}

impl Memory {
    fn of(process: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Some(Self { rss_kb: field("Rss:")?, pss_kb: field("Pss:")? })
    }
}
