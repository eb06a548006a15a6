//! The items. Stands for what `shared::store` will hold of changed messages; and what a device has.

use std::fmt;

use super::step::Place;

/// How many messages there are at most. Their numbers are 1 and 2.
pub(super) const MESSAGES: usize = 2;
/// How many entries the feed has room for.
pub(super) const ENTRIES: usize = 10;

/// Whose `last_change` it is: that of B, who has the device; in a group TAIL's, which is everybody's.
pub(super) const B: usize = 0;
/// That of A, who has sent the messages. Only of a direct conversation.
pub(super) const A: usize = 1;

/// A set of small numbers: requests, or messages.
pub(super) type Bits = u8;

/// Whether a set has a number.
pub(super) const fn has(set: Bits, n: u8) -> bool {
    set & (1 << n) != 0
}

/// A message as it is at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Version {
    /// How often it was changed.
    pub(super) rev: u8,
    /// By which requests. It stands for the content.
    pub(super) by: Bits,
    pub(super) deleted: bool,
}

/// LOG: a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) version: Version,
    /// Whether it is in the index of what is due.
    pub(super) listed: bool,
    /// The requests that have changed it. The real one keeps the last few.
    pub(super) requests: Bits,
    /// Whether an overlay is to take its place: it isn't changed any more.
    pub(super) frozen: bool,
    /// Whether it was deleted: the archive has it.
    pub(super) gone: bool,
}

/// MEMBER of B, in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Member {
    pub(super) joined: bool,
    /// The first number that B may see.
    pub(super) first_seq: u8,
}

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Db {
    pub(super) log: [Item; MESSAGES],
    /// CHANGE: the number of a changed message; 0 where there is no entry.
    pub(super) feed: [u8; ENTRIES],
    /// INBOX of each, or TAIL: up to which entry the feed is to be read.
    pub(super) last_change: [u8; 2],
    /// META: whether the first message's number was announced as moving.
    pub(super) moving: bool,
    /// META: whether the archive has its messages up to the first.
    pub(super) moved: bool,
    /// The archive's object with the first message.
    pub(super) object: Option<Item>,
    /// OVERLAY of the first message.
    pub(super) overlay: Option<Item>,
    pub(super) member: Member,
    /// PRESENCE of B: which connection it is; 0 for none.
    pub(super) connection: u8,
}

/// A message on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Held {
    /// Whether a page has brought it. Before, a change of it is only kept.
    pub(super) shown: bool,
    pub(super) version: Version,
}

/// What a `sync` has brought a device to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cursor {
    /// The entry up to which it knows the feed.
    pub(super) place: u8,
    /// Of the membership.
    pub(super) first_seq: u8,
}

/// B's device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Device {
    /// Whether it has synced on the connection that it has.
    pub(super) synced: bool,
    /// None before its first `sync`, and where that was by a client that knew nothing of changes.
    pub(super) cursor: Option<Cursor>,
    /// The `first_seq` of which its last `sync` told it; 0 if B was out.
    pub(super) knows: u8,
    pub(super) holds: [Held; MESSAGES],
    /// How often it has connected.
    pub(super) connections: u8,
    /// How often its connection may still be lost.
    pub(super) losses: u8,
}

/// What the checkers remember.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct History {
    /// The requests that were applied.
    pub(super) applied: Bits,
    /// Those that were applied while B couldn't see the message.
    pub(super) barred: Bits,
    /// What has gone wrong in a step, if anything.
    pub(super) fault: Option<Fault>,
}

/// What a step may get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    AppliedTwice,
    OneRev,
    Undeleted,
    Compared,
    RefusedThoughApplied,
    RefusedThoughSame,
    ShownBarred,
}

impl Fault {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::AppliedTwice => "a repeat changed what came after its first attempt",
            Self::OneRev => "two changes of a message have one `rev`",
            Self::Undeleted => "a message was changed after it was deleted",
            Self::Compared => "an edit changed another `rev` than its caller named",
            Self::RefusedThoughApplied => "a change was refused that was applied",
            Self::ShownBarred => "a person was shown a change that was made while they couldn't see the message",
            Self::RefusedThoughSame => "a change was refused though the message was as its caller named it",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rev {}{}", self.rev, if self.deleted { ", deleted" } else { "" })
    }
}

impl Db {
    /// The message of a number.
    pub(super) fn item(&self, n: u8) -> &Item {
        &self.log[usize::from(n) - 1]
    }

    /// The same, to be changed.
    pub(super) fn item_mut(&mut self, n: u8) -> &mut Item {
        &mut self.log[usize::from(n) - 1]
    }

    /// A message as who reads it finds it.
    pub(super) fn shown(&self, n: u8) -> Version {
        let log = self.item(n).version;
        if n > 1 {
            return log;
        }
        let object = self.object.filter(|_| self.moved).map(|item| item.version);
        self.overlay.map(|item| item.version).or(object).unwrap_or(log)
    }

    /// Where META says that the first message is.
    pub(super) const fn place(&self) -> Place {
        match (self.moved, self.moving) {
            (true, _) => Place::Archive,
            (_, true) => Place::Moving,
            _ => Place::Log,
        }
    }

    /// Whether a message is in the index of what is due.
    pub(super) fn listed(&self, n: u8) -> bool {
        let over = self.overlay.is_some_and(|item| n == 1 && item.listed);
        let log = self.item(n);
        over || log.listed && !log.gone
    }

    /// The number that an entry of the feed names; 0 where there is none.
    pub(super) fn entry(&self, at: u8) -> u8 {
        self.feed[usize::from(at) - 1]
    }

    /// The feed's highest entry; 0 where there is none.
    pub(super) fn feed_tail(&self) -> u8 {
        self.feed.iter().rposition(|n| *n != 0).map_or(0, |at| at as u8 + 1)
    }
}

impl Device {
    /// Whether it shows any message.
    pub(super) fn holds_any(&self) -> bool {
        self.holds.iter().any(|held| held.shown)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, first_seq {}", if self.joined { "in" } else { "out" }, self.first_seq)
    }
}

impl Member {
    /// Whether B may see a number.
    pub(super) const fn sees(self, n: u8) -> bool {
        self.joined && self.first_seq <= n
    }
}
