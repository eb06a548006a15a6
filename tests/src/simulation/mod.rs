//! Seeded worlds: the production handlers and the SDK on one thread, with everything that chance decides drawn from one
//! number, so that whatever is found can be run again.
//!
//! 1. [`plan`] draws from the seed who is there, what they do, and which faults there are; `scenes` are its special cases.
//! 2. [`workload`] does it: each action's frames, connections, operators, schedules.
//! 3. `weather` is the network's edge: faults, reads that are behind, and everything written down.
//! 4. `writes` checks each write, `clients` each answer and push, `rest` the healed world at the end.
//!    `groups` knows which there may be, and who was in them when.
//! 5. `past` remembers every item's images, `trace` what happened.
//! 6. [`mutants`] takes guards away, to show that each is needed and that the checks see it.
//! 7. [`shrink`] makes a failing plan smaller.

mod answers;
mod clients;
mod fault;
mod groups;
pub mod mutants;
mod past;
pub mod plan;
mod rest;
mod scenes;
pub mod shrink;
mod trace;
mod weather;
pub mod workload;
mod writes;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::chat::invariants::Broken;

pub use self::fault::Fault;
pub use self::mutants::{Listed, Mutant, ORDERS, ShownBy, conditions};
use self::plan::NAMES;
pub use self::plan::{Act, Plan, STEPS_DRAWN, Step};
use self::weather::{State, Weather};
use self::workload::Stage;
use crate::network::lock;
use crate::planted::Planted;
use crate::soundness::panic_text;
use crate::world::{Setup, World};

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The rule that was broken, and how; nothing when all held.
    pub broken: Option<Broken>,
    /// A hash over everything that happened: the same plan has the same.
    pub hash: u64,
    /// How many calls the engine answered.
    pub operations: u64,
    /// The last of what happened.
    pub events: Vec<String>,
    /// The faults that happened: an invocation, and the number of its call.
    pub faults: Vec<(String, u64)>,
    /// The guards that were seen.
    pub guards: BTreeSet<Mutant>,
}

/// Runs a plan, with a guard missing or not, and keeps so many of the last events.
pub fn run(plan: &Plan, mutant: Option<&Mutant>, kept: usize) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let _guard = runtime.enter();
    let weather = Weather(Arc::new(Mutex::new(State::new(plan, mutant.cloned(), kept))));
    let played = catch_unwind(AssertUnwindSafe(|| runtime.block_on(Box::pin(play(plan, &weather)))));
    let mut state = lock(&weather.0);
    match played {
        Ok(Ok(())) => {}
        Ok(Err(broken)) => state.check(Err(broken)),
        Err(panic) => state.check(Err(Broken { rule: "nothing panics", seen: panic_text(panic.as_ref()) })),
    }
    Report {
        broken: state.broken.clone(),
        hash: state.trace.hash(),
        operations: state.operations,
        events: state.trace.lines(),
        faults: state.happened.clone(),
        guards: std::mem::take(&mut state.guards),
    }
}

/// Everybody has things among their items that can't be read.
fn plant(world: &World, plan: &Plan, weather: &Weather) {
    let mut state = lock(&weather.0);
    for (person, name) in NAMES.iter().enumerate().take(plan.people) {
        let planted = Planted::of(&name.parse().expect("a user id"), world.now());
        planted.items.iter().for_each(|item| state.past.plant(item.clone()));
        world.plants(planted.clone());
        state.clients.unreadable.insert(person, planted);
    }
}

#[expect(clippy::disallowed_methods, reason = "steps happen at the same time; all are awaited")]
async fn play(plan: &Plan, weather: &Weather) -> Result<(), Broken> {
    let parameters = [
        ("DefaultPrice", &*plan.default_price.to_string()),
        ("ReceiverSharePercent", &*plan.share_percent.to_string()),
        ("SendsPerSecond", &*plan.rate.0.to_string()),
        ("SendBurst", &*plan.rate.1.to_string()),
    ];
    let world = World::with(Setup { seed: plan.seed, parameters: &parameters, tokens: None }).await;
    if plan.has_unreadable() {
        plant(&world, plan, weather);
    }
    world.set_edge(Box::new(weather.clone()));
    let stage = Stage { world, weather: weather.clone(), people: plan.people };
    let began = tokio::time::Instant::now();
    let steps = plan.steps.iter().cloned().map(|step| {
        let stage = stage.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(began + Duration::from_millis(step.at_ms)).await;
            Box::pin(stage.step(step)).await;
        })
    });
    let steps: Vec<_> = steps.collect();
    let stop = lock(&weather.0).stop.clone();
    let mut queue = std::pin::pin!(stage.world.works_queue_off());
    tokio::select! {
        biased;
        () = stop.notified() => return Ok(()),
        () = &mut queue => {}
        ended = futures::future::try_join_all(steps) => {
            if let Err(error) = ended {
                let how = error.try_into_panic().map_or_else(|error| error.to_string(), |it| panic_text(it.as_ref()));
                return Err(Broken { rule: "nothing panics", seen: how });
            }
        }
    }
    stage.world.try_sound()?;
    if plan.is_gentle() {
        stage.nothing_is_missing()?;
    }
    tokio::select! {
        biased;
        () = stop.notified() => return Ok(()),
        () = &mut queue => {}
        () = stage.world.queue_emptied() => {}
    }
    // A dead letter is left to the next sync.
    if plan.is_gentle_but_to_pushes() && stage.world.dead_letters().is_empty() {
        stage.nothing_is_missing()?;
    }
    tokio::select! {
        biased;
        () = stop.notified() => Ok(()),
        () = &mut queue => Ok(()),
        rest = stage.comes_to_rest(plan) => rest,
    }
}
