//! The wall clock, for the times that events carry. Durations are measured with `tokio::time::Instant`.

use jiff::Timestamp;
use wire::Time;

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the local machine's clock")]
#[must_use]
pub fn now() -> Time {
    Time { ms: Timestamp::now().as_millisecond() }
}

/// A time, to be written in another form than ours.
pub(crate) fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_millisecond(time.ms).unwrap_or_default()
}
