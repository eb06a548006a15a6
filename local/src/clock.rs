//! The wall clock, for the times that events carry. Durations are measured with `tokio::time::Instant`.

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the local machine's clock")]
#[must_use]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
