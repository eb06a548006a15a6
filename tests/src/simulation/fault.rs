//! What can go wrong, and how often.

/// What can go wrong. Each has a chance of its own in each plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A call is answered with 400 `ProvisionedThroughputExceededException`.
    Throttled,
    /// A call is answered with 500 or 503, and did nothing.
    Refused,
    /// A call is answered with 500, and did what it should.
    FailedAfter,
    /// A call never arrives.
    Unreached,
    /// A call does what it should, and its answer is lost.
    Unanswered,
    /// A call is answered with 400 `TransactionConflictException`.
    Conflict,
    /// A call takes up to a second and a half.
    Slow,
    /// A call arrives when the SDK has given it up.
    Late,
    /// The function dies at a call, before or after it.
    Killed,
    /// The function dies at any time.
    Dies,
    /// The function stands still at a call, up to its time limit.
    Paused,
    /// A read that may be behind is.
    StaleRead,
    /// A read of the index is behind the table.
    StaleIndex,
    /// A query or a batch reads each of its items at a moment of its own: it is no snapshot.
    Torn,
    /// A batch comes back in parts.
    Unprocessed,
    /// A push is answered with 429, 500 or 503.
    PushRefused,
    /// A push arrives, and its answer is lost.
    PushUnanswered,
    /// A call to the queue is answered with 503, and did nothing.
    QueueRefused,
    /// A call to the queue does what it should, and its answer is lost.
    QueueUnanswered,
    /// A call to the queue is carried out twice, the second time some seconds later.
    QueueTwice,
    /// The functions' clocks are off by up to two seconds.
    Skewed,
    /// The function is of the version before: its drops don't say up to which id, nor do the accounts that it makes.
    Older,
    /// A client's frame is lost.
    FrameLost,
    /// A client's frame arrives twice.
    FrameTwice,
    /// A client's frame is overtaken by others.
    FrameLate,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 25] = [
        Self::Throttled,
        Self::Refused,
        Self::FailedAfter,
        Self::Unreached,
        Self::Unanswered,
        Self::Conflict,
        Self::Slow,
        Self::Late,
        Self::Killed,
        Self::Dies,
        Self::Paused,
        Self::StaleRead,
        Self::StaleIndex,
        Self::Torn,
        Self::Unprocessed,
        Self::PushRefused,
        Self::PushUnanswered,
        Self::QueueRefused,
        Self::QueueUnanswered,
        Self::QueueTwice,
        Self::Skewed,
        Self::Older,
        Self::FrameLost,
        Self::FrameTwice,
        Self::FrameLate,
    ];

    /// Whether everything that was begun still ends well with it: nothing dies, fails or is cut off.
    pub(super) const fn is_gentle(self) -> bool {
        matches!(
            self,
            Self::QueueTwice
                | Self::StaleRead
                | Self::StaleIndex
                | Self::Torn
                | Self::Unprocessed
                | Self::Skewed
                | Self::Older
                | Self::FrameLost
                | Self::FrameTwice
                | Self::FrameLate
        )
    }

    /// How often, of 1,000 chances, a plan that has it may have it: one of these.
    pub(super) const fn chances(self) -> [u64; 3] {
        match self {
            Self::StaleRead | Self::StaleIndex | Self::Torn | Self::Skewed | Self::Older => [200, 500, 900],
            Self::Killed | Self::Dies | Self::FrameLost | Self::FrameTwice | Self::FrameLate => [20, 60, 150],
            // Twice in a row is what the queue is for.
            Self::PushRefused => [20, 80, 250],
            Self::Paused | Self::Late => [4, 12, 30],
            _ => [5, 20, 80],
        }
    }
}
