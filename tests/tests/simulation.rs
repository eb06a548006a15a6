//! Whole worlds, each decided by one number: nothing that must hold is ever broken, whatever goes wrong. Many more run
//! by `cargo run -p tests --profile simulation --bin simulate`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use tests::simulation::{ACTIONS, Act, Mutant, Plan, run};

/// Seeds that run every time.
const FIXED: std::ops::Range<u64> = 0..300;
/// How many seeds run that nobody has seen before.
const FRESH: u64 = 100;
/// Threads that run them.
const THREADS: usize = 2;

/// Runs a seed.
fn holds(seed: u64) {
    let report = run(&Plan::new(seed, None), None, 60);
    if let Some((rule, how)) = report.broken {
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

/// One guard less is noticed, within the fixed seeds.
#[test]
fn a_missing_guard_is_noticed() {
    let guards: BTreeSet<Mutant> =
        FIXED.take(30).flat_map(|seed| run(&Plan::new(seed, None), None, 1).guards).collect();
    for name in
        ["ENTRY: attribute_not_exists(pk)", "ACCOUNT: #balance >= :price", "ACCOUNT: #settle_version = :version"]
    {
        // A claim has two forms; in code they have one condition.
        let forms: Vec<&Mutant> = guards.iter().filter(|guard| guard.to_string().starts_with(name)).collect();
        assert!(!forms.is_empty(), "no guard is called {name}: {guards:#?}");
        let caught = FIXED.into_iter().any(|seed| {
            let broken = |form: &&Mutant| run(&Plan::directed(seed, None, form.item()), Some(form), 1).broken.is_some();
            forms.iter().any(broken)
        });
        assert!(caught, "nobody notices that {name} is missing");
    }
}

#[test]
fn every_action_is_said_in_some_plan() {
    let said: BTreeSet<&str> = (0..200)
        .flat_map(|seed| Plan::new(seed, None).steps)
        .filter_map(|step| if let Act::Says(action) = step.act { Some(action) } else { None })
        .collect();
    assert_eq!(said, ACTIONS.iter().map(|(action, _)| *action).collect());
}
