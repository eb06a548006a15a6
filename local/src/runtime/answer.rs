//! What a caller gets: the function's answer, or why there is none.

use std::{fmt, time::Duration};

use serde_json::Value;

/// What a function says to an event, or why it says nothing.
pub(super) type Answer = Result<Value, InvokeError>;

/// Why an event has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvokeError {
    /// There is no function of this name.
    UnknownFunction(String),
    /// [`super::Settings::queue_max`] events wait already.
    Throttled,
    /// The event took, or waited, longer than its function's time limit.
    TimedOut {
        /// That limit.
        after: Duration,
    },
    /// The function answered with an error.
    Function {
        /// The error's type, as the function names it.
        error_type: String,
        /// The error's text. An authorizer's `Unauthorized` is what API Gateway makes a 401 of.
        message: String,
    },
    /// The process ended before it answered.
    Crashed {
        /// How it ended.
        message: String,
    },
    /// The function can't start.
    Init {
        /// What it said.
        message: String,
    },
    /// [`super::Runtime::shutdown`] was called.
    ShuttingDown,
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFunction(name) => write!(f, "There is no function `{name}`"),
            Self::Throttled => f.write_str("Too many events wait for this function"),
            Self::TimedOut { after } => write!(f, "Task timed out after {:.2} seconds", after.as_secs_f64()),
            Self::Function { error_type, message } => write!(f, "{error_type}: {message}"),
            Self::Crashed { message } => write!(f, "The function's process ended: {message}"),
            Self::Init { message } => write!(f, "The function can't start: {message}"),
            Self::ShuttingDown => f.write_str("The machine is stopping"),
        }
    }
}

impl std::error::Error for InvokeError {}
