//! The clock: the machine's, or that of a world whose time is made.

use std::sync::Arc;

use wire::Time;

use crate::limits::CLOCKS_DIFFER_MAX;

/// Whether a moment that was kept can't have come yet, by any clock that is right: then it was set by one that was wrong, and says
/// nothing.
pub fn is_to_come(moment: Time, now: Time) -> bool {
    moment > now.after(CLOCKS_DIFFER_MAX)
}

/// What time it is. Times are shown and compared with generous margins; order never comes from a clock.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Time + Send + Sync>);

impl Clock {
    /// The machine's.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn system() -> Self {
        Self::new(|| Time { ms: jiff::Timestamp::now().as_millisecond() })
    }

    /// Another one, for a world whose time is made.
    pub fn new(now: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Now.
    pub fn now(&self) -> Time {
        (self.0)()
    }
}
