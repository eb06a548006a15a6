//! What the service is told: the functions, and its limits.

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

/// What one function needs to run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name: the last argument of its process.
    pub name: String,
    /// How long one event may take. As long, at most, it waits for an environment.
    pub timeout: Duration,
    /// The memory that the function is told to have, in MB.
    pub memory_mb: u32,
    /// Its variables, besides those that Lambda sets.
    pub environment: BTreeMap<String, String>,
    /// How many environments of this function there may be, 1 or more.
    pub concurrency_max: usize,
}

/// The limits of the whole service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many environments of all functions there may be, 1 or more.
    pub environments_max: usize,
    /// How many events of one function may wait for an environment.
    pub queue_max: usize,
    /// How long an environment is kept without an event.
    pub idle_life: Duration,
    /// What an environment's process is.
    pub program: Program,
}

impl Settings {
    /// [`Settings::environments_max`] of [`Settings::of_this_binary`].
    pub const ENVIRONMENTS_MAX: usize = 64;
    /// [`Settings::queue_max`] of [`Settings::of_this_binary`].
    pub const QUEUE_MAX: usize = 1_000;
    /// [`Settings::idle_life`] of [`Settings::of_this_binary`].
    pub const IDLE_LIFE: Duration = Duration::from_secs(5 * 60);

    /// The functions that are in this binary, with the usual limits.
    ///
    /// # Errors
    /// The system can't say where this binary is.
    pub fn of_this_binary() -> io::Result<Self> {
        let program = Program { path: std::env::current_exe()?, arguments: vec!["function".to_owned()] };
        Ok(Self {
            environments_max: Self::ENVIRONMENTS_MAX,
            queue_max: Self::QUEUE_MAX,
            idle_life: Self::IDLE_LIFE,
            program,
        })
    }
}

/// A command line; the function's name is added to it.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// The arguments before the function's name.
    pub arguments: Vec<String>,
}
