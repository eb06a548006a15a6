//! Seeds.
use tests::simulation::{Plan, STEPS_DEFAULT, run};

#[test]
fn probe() {
    for seed in 0..20 {
        let plan = Plan::new(seed, STEPS_DEFAULT);
        let start = std::time::Instant::now();
        let one = run(&plan, None, 60);
        println!(
            "{seed}: {:?} ops {} gentle {} {:?}",
            start.elapsed(),
            one.operations,
            plan.is_gentle(),
            one.broken.as_ref().map(|b| (&b.0, b.1.chars().take(300).collect::<String>()))
        );
        let two = run(&plan, None, 60);
        if one.hash != two.hash {
            println!("DIFFER {seed}");
            for (a, b) in one.events.iter().zip(&two.events) {
                if a != b {
                    println!("{a}\n{b}");
                    break;
                }
            }
        }
    }
}
