//! How long it is waited before something is tried again: "full jitter", anything between nothing and a longest wait that
//! doubles each time, so that instances that were refused together don't come back together. The AWS Architecture Blog has
//! counted what it saves: "Exponential Backoff And Jitter",
//! <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
//!
//! It is drawn from fastrand's generator of the thread, as the SDK's own waits are: who seeds that has seeded all of them.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Seeds the generator of this thread, a function's only one, from the system's randomness: the standard library takes the keys
/// of a [`RandomState`] from there. By itself the generator begins with the time since the machine has started, which is much
/// alike on machines that start together.
pub(crate) fn seed() {
    fastrand::seed(RandomState::new().hash_one(()));
}

/// How long it is waited when something has failed for the TIMES-th time, where it is at most LONGEST after the first.
pub(crate) fn wait(longest: Duration, times: u32) -> Duration {
    longest.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1))).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_anything_up_to_a_longest_that_doubles() {
        fastrand::seed(7);
        for times in 1..=8 {
            let longest = Duration::from_millis(100) * 2_u32.pow(times - 1);
            let waits: Vec<Duration> = (0..1_000).map(|_| wait(Duration::from_millis(100), times)).collect();
            assert!(waits.iter().all(|wait| *wait < longest), "{times}");
            for tenth in 0..10 {
                let part = longest / 10 * tenth..longest / 10 * (tenth + 1);
                let several = waits.iter().filter(|wait| part.contains(*wait)).count();
                assert!((50..150).contains(&several), "{several} of 1,000 in {part:?}");
            }
        }
        assert!(wait(Duration::MAX, u32::MAX) > Duration::ZERO);
    }
}
