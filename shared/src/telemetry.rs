//! The functions' log: one JSON object a line on standard output, which Lambda hands to `CloudWatch`.
//!
//! A line never holds content, tokens or addresses; a request's span carries its id.

use crate::config::{self, ConfigError};

/// Starts the log at the level that `LOG_LEVEL` names.
///
/// # Errors
/// [`ConfigError`] when it names none.
pub fn start() -> Result<(), ConfigError> {
    let level = config::log_level(&config::environment)?;
    // The libraries' own lines are for their developers.
    let filter = format!("{level},aws=warn,hyper=warn,lambda=warn,rustls=warn");
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let log = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(filter);
    // A second start in one process keeps the first log.
    let _ = log.try_init();
    Ok(())
}
