//! What runs by the clock.

use std::time::Duration;

use super::error::{TemplateError, part};

/// A function that runs by the clock.
#[derive(Debug, PartialEq)]
pub struct Schedule {
    /// The event's name in the template.
    pub name: String,
    /// The function that runs.
    pub function: String,
    /// The time from one start to the next.
    pub period: Duration,
}

/// What an event with this schedule expression asks for.
pub(super) fn schedule(name: &str, function: &str, expression: &str, path: &str) -> Result<Schedule, TemplateError> {
    let period = period(expression)
        .ok_or_else(|| part(path, format!("{expression:?}: one machine runs rate(N minutes|hours|days) only")))?;
    Ok(Schedule { name: name.to_owned(), function: function.to_owned(), period })
}

/// The period of `rate(1 minute)`, `rate(5 hours)` and so on. As on AWS, the unit is singular exactly for 1.
fn period(expression: &str) -> Option<Duration> {
    let (value, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let value: u32 = value.parse().ok()?;
    let unit_s = match (value, unit) {
        (1, "minute") | (2.., "minutes") => 60,
        (1, "hour") | (2.., "hours") => 3_600,
        (1, "day") | (2.., "days") => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(u64::from(value) * unit_s))
}
