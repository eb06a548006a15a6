//! The models in one list, for the test and the program: [`model`], of sends and settling, [`membership`], of groups, and
//! [`changes`], of changed messages.

use std::sync::LazyLock;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::search::{Progress, Report};
use crate::{changes, membership, model};

/// A world of one of the models.
#[derive(Clone, Debug)]
pub enum Configuration {
    /// Of [`model`].
    Sends(model::Configuration),
    /// Of [`membership`].
    Membership(membership::Configuration),
    /// Of [`changes`].
    Changes(changes::Configuration),
}

impl Configuration {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        configurations().into_iter().find(|configuration| configuration.name() == name)
    }

    /// Its name, for `--configuration`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sends(configuration) => configuration.name,
            Self::Membership(configuration) => configuration.name,
            Self::Changes(configuration) => configuration.name,
        }
    }

    /// What it is for.
    pub const fn about(&self) -> &'static str {
        match self {
            Self::Sends(configuration) => configuration.about,
            Self::Membership(configuration) => configuration.about,
            Self::Changes(configuration) => configuration.about,
        }
    }

    /// Whether it is small enough for every test run.
    pub const fn is_small(&self) -> bool {
        match self {
            Self::Sends(configuration) => configuration.small,
            Self::Membership(configuration) => configuration.small,
            Self::Changes(configuration) => configuration.small,
        }
    }

    /// Explores it to its end, to the first violation, to so many states, or until `go_on` answers no: it is asked now and
    /// then. A mutant of another model changes nothing.
    pub fn explore(&self, mutant: Option<Mutant>, states_max: usize, go_on: impl FnMut(Progress) -> bool) -> Report {
        match (self, mutant) {
            (Self::Sends(configuration), Some(Mutant::Sends(mutant))) => {
                model::explore(configuration, Some(mutant), states_max, go_on)
            }
            (Self::Sends(configuration), _) => model::explore(configuration, None, states_max, go_on),
            (Self::Membership(configuration), Some(Mutant::Membership(mutant))) => {
                membership::explore(configuration, Some(mutant), states_max, go_on)
            }
            (Self::Membership(configuration), _) => membership::explore(configuration, None, states_max, go_on),
            (Self::Changes(configuration), Some(Mutant::Changes(mutant))) => {
                changes::explore(configuration, Some(mutant), states_max, go_on)
            }
            (Self::Changes(configuration), _) => changes::explore(configuration, None, states_max, go_on),
        }
    }
}

/// All configurations, of each model the small ones first.
pub fn configurations() -> Vec<Configuration> {
    let sends = model::configurations().into_iter().map(Configuration::Sends);
    let membership = membership::configurations().into_iter().map(Configuration::Membership);
    let changes = changes::configurations().into_iter().map(Configuration::Changes);
    sends.chain(membership).chain(changes).collect()
}

/// One guard or order less, of one of the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// Of [`model`].
    Sends(model::Mutant),
    /// Of [`membership`].
    Membership(membership::Mutant),
    /// Of [`changes`].
    Changes(changes::Mutant),
}

static MUTANTS: LazyLock<Vec<Mutant>> = LazyLock::new(|| {
    let sends = model::Mutant::all().iter().copied().map(Mutant::Sends);
    let membership = membership::Mutant::all().iter().copied().map(Mutant::Membership);
    let changes = changes::Mutant::all().iter().copied().map(Mutant::Changes);
    sends.chain(membership).chain(changes).collect()
});

impl ValueEnum for Mutant {
    fn value_variants<'a>() -> &'a [Self] {
        &MUTANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Sends(mutant) => mutant.to_possible_value(),
            Self::Membership(mutant) => mutant.to_possible_value(),
            Self::Changes(mutant) => mutant.to_possible_value(),
        }
    }
}

impl Mutant {
    /// All, as `--mutants` tries them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Its name, for `--mutant`.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What is different, in words.
    pub fn about(self) -> &'static str {
        match self {
            Self::Sends(mutant) => mutant.about(),
            Self::Membership(mutant) => mutant.about(),
            Self::Changes(mutant) => mutant.about(),
        }
    }

    /// The small configuration that shows it soonest; the one that comes nearest, if nothing shows it.
    pub fn configuration(self) -> &'static str {
        match self {
            Self::Sends(mutant) => mutant.configuration(),
            Self::Membership(mutant) => mutant.configuration(),
            Self::Changes(mutant) => mutant.configuration(),
        }
    }

    /// Why nothing goes wrong without this guard, if that is so.
    pub fn harmless(self) -> Option<&'static str> {
        match self {
            Self::Sends(mutant) => mutant.harmless(),
            Self::Membership(mutant) => mutant.harmless(),
            Self::Changes(mutant) => mutant.harmless(),
        }
    }

    /// Whether it is of the model that a configuration is of.
    pub const fn is_of(self, configuration: &Configuration) -> bool {
        matches!(
            (self, configuration),
            (Self::Sends(_), Configuration::Sends(_))
                | (Self::Membership(_), Configuration::Membership(_))
                | (Self::Changes(_), Configuration::Changes(_))
        )
    }
}
