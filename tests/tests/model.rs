//! The models of the send protocol, of settling, of groups and of changed messages: nothing is broken in any order of
//! requests, and without one of their guards something is. The large configurations: `cargo run -p tests --release --bin model`.

use std::collections::HashSet;

use tests::models::{Configuration, Mutant, configurations};
use tests::search::{Ending, Report};

/// No small configuration has half as many.
const STATES_MAX: usize = 100_000;

fn explored(configuration: &Configuration, mutant: Option<Mutant>) -> Report {
    configuration.explore(mutant, STATES_MAX, |_| true)
}

/// Explores what a mutant is meant to break.
fn mutated(mutant: Mutant) -> Report {
    let configuration = Configuration::named(mutant.configuration()).expect("a mutant names a configuration");
    assert!(mutant.is_of(&configuration), "{mutant:?} names a configuration of another model");
    assert!(configuration.is_small(), "{mutant:?} would take too long");
    explored(&configuration, Some(mutant))
}

#[test]
fn nothing_is_broken_in_any_order_of_requests() {
    for configuration in configurations().iter().filter(|configuration| configuration.is_small()) {
        let report = explored(configuration, None);
        let trace = report.trace.join("\n");
        assert_eq!(report.ending, Ending::Complete, "{}: {}\n{trace}", configuration.name(), configuration.about());
    }
}

#[test]
fn every_guard_is_needed() {
    for mutant in Mutant::all().iter().filter(|mutant| mutant.harmless().is_none()) {
        assert!(!mutant.about().is_empty(), "{mutant:?} has no words");
        let ending = mutated(*mutant).ending;
        assert!(matches!(ending, Ending::Violation(_)), "{mutant:?} is not caught: {}", mutant.about());
    }
}

#[test]
fn a_guard_that_is_called_harmless_is() {
    for mutant in Mutant::all().iter().filter(|mutant| mutant.harmless().is_some()) {
        let report = mutated(*mutant);
        assert_eq!(report.ending, Ending::Complete, "{mutant:?}:\n{}", report.trace.join("\n"));
    }
}

#[test]
fn a_name_names_one() {
    let (configurations, mutants) = (configurations(), Mutant::all());
    let names: HashSet<&str> = configurations.iter().map(Configuration::name).collect();
    assert_eq!(names.len(), configurations.len(), "two configurations have one name");
    let names: HashSet<String> = mutants.iter().map(|mutant| mutant.name()).collect();
    assert_eq!(names.len(), mutants.len(), "two mutants have one name");
}
