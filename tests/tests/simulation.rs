//! Whole worlds, each decided by one number: nothing that must hold is ever broken, whatever goes wrong. Many more run
//! by `cargo run -p tests --profile simulation --bin simulate`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use shared::chat::invariants::Broken;
use tests::simulation::{Act, Listed, Mutant, ORDERS, Plan, ShownBy, conditions, run};

/// Seeds that run every time.
const FIXED: std::ops::Range<u64> = 0..300;
/// How many seeds run that nobody has seen before.
const FRESH: u64 = 100;
/// Threads that run them.
const THREADS: usize = 2;

/// Runs a seed.
fn holds(seed: u64) {
    let report = run(&Plan::new(seed, None), None, 60);
    if let Some(Broken { rule, seen: how }) = report.broken {
        let events = report.events.join("\n");
        panic!("{events}\nseed {seed} breaks \"{rule}\": {how}\nagain: simulate --seed {seed} --trace");
    }
}

/// Runs seeds on several threads; a failure names its seed.
fn all_hold(seeds: &[u64]) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    holds(*seed);
                }
            });
        }
    });
}

#[test]
fn every_fixed_seed_holds() {
    all_hold(&FIXED.collect::<Vec<u64>>());
}

/// Where one breaks, what it says is a bug and its seed is all that is needed to see it again: it becomes a test.
#[test]
fn every_fresh_seed_holds() {
    let from = fastrand::u64(0..u64::from(u32::MAX)) << 8;
    // Past the test's captured output, so that it is said where all held, too.
    writeln!(std::io::stderr(), "fresh seeds: {FRESH} from {from}").expect("standard error");
    all_hold(&(from..from + FRESH).collect::<Vec<u64>>());
}

#[test]
fn a_seed_always_runs_alike() {
    for seed in 0..3 {
        let plan = Plan::new(seed, None);
        let (one, other) = (run(&plan, None, usize::MAX), run(&plan, None, usize::MAX));
        let differs = one.events.iter().zip(&other.events).find(|(one, other)| one != other);
        assert!(one.hash == other.hash && differs.is_none(), "seed {seed} differs: {differs:#?}");
    }
}

/// Every guard, and what shows that it is needed: as `mutants --list` writes them.
const GUARDS: &str = include_str!("guards.txt");

/// Each guard is needed: with it its seed holds, without it doesn't. And none is missing from the list.
#[test]
fn every_missing_guard_is_noticed() {
    let again = "write the list again: simulation/mutants --list tests/tests/guards.txt";
    let lines: Result<Vec<Listed>, String> = GUARDS.lines().map(str::parse).collect();
    let lines = lines.expect("a list of guards");
    let (next, seen) = (AtomicUsize::new(0), Mutex::new(conditions().chain(ORDERS).collect::<BTreeSet<_>>()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(Listed { shown_by, item, guard: name }) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ShownBy::Seed(seed) = shown_by else { continue };
                    let plan = Plan::directed(*seed, None, item);
                    // Minutes, in this build: what it shows, a test of people's sends shows, too.
                    if plan.is_crowded() {
                        continue;
                    }
                    let whole = run(&plan, None, 1);
                    assert_eq!(whole.broken, None, "directed at {item}, seed {seed} breaks; again: simulate --seed {seed} --directed {item} --trace");
                    seen.lock().expect("no thread has panicked").extend(whole.guards.iter().cloned());
                    let guards = whole.guards.iter().chain(&ORDERS);
                    let guard = guards.clone().find(|guard| guard.to_string() == *name);
                    let guard = guard.unwrap_or_else(|| panic!("directed at {item}, seed {seed} never meets {name}; {again}"));
                    let broken = run(&plan, Some(guard), 1).broken;
                    assert!(broken.is_some(), "directed at {item}, seed {seed} doesn't miss {name}; {again}");
                }
            });
        }
    });
    for Listed { shown_by, guard, .. } in &lines {
        let ShownBy::Test(test) = shown_by else { continue };
        let (file, name) = test.split_once("::").unwrap_or((test, "no name"));
        let text = std::fs::read_to_string(Path::new("..").join(file)).unwrap_or_default();
        assert!(text.contains(&format!("fn {name}()")), "{guard}: there is no test {test}");
    }
    let listed: BTreeSet<&str> = lines.iter().map(|line| &*line.guard).collect();
    let seen = seen.into_inner().expect("no thread has panicked");
    let unlisted: Vec<String> = seen.iter().map(Mutant::to_string).filter(|name| !listed.contains(&**name)).collect();
    assert!(unlisted.is_empty(), "nothing shows that these are needed: {unlisted:#?}; {again}");
    assert_eq!(listed.len(), lines.len(), "a guard is listed twice");
    // A seed says by itself that its guard is there.
    let names: BTreeSet<String> = seen.iter().map(Mutant::to_string).collect();
    let gone: Vec<&&str> = listed.iter().filter(|name| !names.contains(**name)).collect();
    assert!(gone.is_empty(), "there are no such guards any more: {gone:#?}; {again}");
}

#[test]
fn every_action_is_said_in_some_plan() {
    let said: BTreeSet<&str> = (0..200)
        .flat_map(|seed| Plan::new(seed, None).steps)
        .filter_map(|step| if let Act::Says(action) = step.act { Some(action) } else { None })
        .collect();
    assert_eq!(said, wire::ACTIONS.iter().map(|action| action.name).collect());
}
