//! Makes a failing plan smaller: leaves out steps, kinds of faults and single faults for as long as the same rule breaks.

use shared::chat::invariants::Broken;

use super::{Plan, Report, run};

/// How many lines of the smallest run are kept.
const EVENTS_KEPT: usize = 400;

/// The smallest plan that still breaks the rule that PLAN breaks, and its run. Tries at most so many runs.
pub fn shrink(plan: &Plan, tries_max: usize) -> (Plan, Report) {
    let mut best = (plan.clone(), run(plan, None, EVENTS_KEPT));
    let Some(Broken { rule, .. }) = best.1.broken.clone() else { return best };
    let mut left = tries_max;
    loop {
        let before = size(&best.0, &best.1);
        let all: Vec<Plan> = smaller(&best.0, &best.1).collect();
        for smaller in all {
            if left == 0 {
                return best;
            }
            left -= 1;
            let report = run(&smaller, None, EVENTS_KEPT);
            let same = report.broken.as_ref().is_some_and(|broken| broken.rule == rule);
            if same && size(&smaller, &report) < size(&best.0, &best.1) {
                best = (smaller, report);
                break;
            }
        }
        if size(&best.0, &best.1) == before {
            return best;
        }
    }
}

fn size(plan: &Plan, report: &Report) -> (usize, usize, usize) {
    (plan.steps.len(), plan.faults.len(), report.faults.len())
}

/// Plans that lack something: large parts first.
fn smaller<'a>(plan: &'a Plan, report: &'a Report) -> impl Iterator<Item = Plan> + 'a {
    let count = plan.steps.len();
    let sizes = std::iter::successors(Some(count / 2), |size| (*size > 1).then_some(size / 2)).filter(|size| *size > 0);
    let cuts = sizes.flat_map(move |size| (0..count.div_ceil(size)).map(move |part| (part * size, size)));
    let fewer_steps = cuts.map(move |(from, size)| {
        let mut smaller = plan.clone();
        smaller.steps.drain(from..count.min(from + size));
        smaller
    });
    let fewer_kinds = plan.faults.keys().map(|fault| {
        let mut smaller = plan.clone();
        smaller.faults.remove(fault);
        smaller
    });
    let fewer_faults = report.faults.iter().map(|place| {
        let mut smaller = plan.clone();
        smaller.muted.insert(place.clone());
        smaller
    });
    fewer_steps.chain(fewer_kinds).chain(fewer_faults)
}
