//! Seeds.
use tests::simulation::{Plan, STEPS_DEFAULT, run};

#[test]
fn probe() {
    std::panic::set_hook(Box::new(|_| {}));
    let from: u64 = std::env::var("FROM").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let to: u64 = std::env::var("TO").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    for seed in from..to {
        let plan = Plan::new(seed, STEPS_DEFAULT);
        let one = run(&plan, None, 60);
        if let Some(b) = one.broken { println!("{seed}: gentle {} {:?}", plan.is_gentle(), (&b.0, b.1.chars().take(700).collect::<String>())); }
    }
}
