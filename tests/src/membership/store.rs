//! The items. Stands for what `shared::store` holds of a group.

use std::fmt;

/// People: A creates the group and is its admin.
pub(super) const A: u8 = 0;
pub(super) const B: u8 = 1;
pub(super) const C: u8 = 2;
/// How many people there are.
pub(super) const USERS: usize = 3;

/// A person's name in a trace.
pub(super) fn name(user: u8) -> char {
    char::from(b'A' + user)
}

/// How many sends a configuration may have.
pub(super) const SENDS: usize = 2;
/// How many numbers the log has room for.
pub(super) const SLOTS: usize = SENDS;

/// A set of small numbers: people, sends, or requests.
pub(super) type Bits = u8;

/// Whether a set has a number.
pub(super) const fn has(set: Bits, n: u8) -> bool {
    set & (1 << n) != 0
}

/// MEMBER: a person's membership, or the tombstone of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Member {
    /// Counts each change.
    pub(super) version: u8,
    /// Whether the person is in; else it is a tombstone.
    pub(super) joined: bool,
    pub(super) admin: bool,
    /// The first number that the person may see.
    pub(super) first_seq: u8,
    /// Whether it is in the index of what is due.
    pub(super) listed: bool,
    /// The requests that have changed it. The real one keeps the last few.
    pub(super) requests: Bits,
}

/// INBOX: what a person's lists go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Inbox {
    /// The membership's version at which it was put.
    pub(super) version: u8,
    pub(super) joined: bool,
    pub(super) first_seq: u8,
    /// The horizon: up to where the person has read.
    pub(super) read: u8,
}

/// META.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Meta {
    /// Whether all MEMBERs of the new group are put.
    pub(super) whole: bool,
    /// Whether the cleanup has given the group up: it never becomes whole.
    pub(super) gone: bool,
    pub(super) count: u8,
    /// The version of what META says of the group.
    pub(super) roster: u8,
    /// The requests that have changed the name. The real one keeps the last few.
    pub(super) requests: Bits,
}

/// LOG: whose send holds a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) sid: u8,
    pub(super) void: bool,
}

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Db {
    pub(super) meta: Option<Meta>,
    pub(super) members: [Option<Member>; USERS],
    pub(super) inboxes: [Option<Inbox>; USERS],
    pub(super) log: [Option<Slot>; SLOTS],
    /// `TAIL.last_seq`.
    pub(super) tail: u8,
    /// ACCOUNT: the sends that were decided and have no RECEIPT.
    pub(super) open: Bits,
    /// The sends that have a RECEIPT.
    pub(super) receipts: Bits,
    /// PRESENCE: who is connected.
    pub(super) connected: Bits,
}

/// What a device does about what it was told, where that is only a hint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Hint {
    #[default]
    Nothing,
    /// It is yet to sync again.
    Told,
    /// It is syncing again, and was told nothing since.
    Syncing,
}

/// What a person's device has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Device {
    /// Whether its `sync` has ended.
    pub(super) synced: bool,
    /// The highest version of the membership that it was told.
    pub(super) version: u8,
    /// Whether it shows the group.
    pub(super) knows: bool,
    /// The sends whose message it holds.
    pub(super) holds: Bits,
    /// Up to where it was told to read; 0 if nothing is to be read.
    pub(super) to_read: u8,
    pub(super) hint: Hint,
}

/// What the checkers remember of the past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct History {
    /// The sends that each person must not be shown.
    pub(super) barred: [Bits; USERS],
    /// The requests that have changed something, or were answered.
    pub(super) done: Bits,
    /// Whether the group was ever without an admin.
    pub(super) adminless: bool,
    /// Whether createGroup was answered.
    pub(super) created: bool,
    /// The highest mark that each person was answered, of the membership that there is.
    pub(super) marked: [u8; USERS],
    /// What has gone wrong in a step, if anything.
    pub(super) fault: Option<Fault>,
}

/// What a step may get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Fault {
    ShownBarred,
    OldRetry,
    ToldBeforeWhole,
    CreatedInPart,
    AdminForNothing,
    AddedByNobody,
    DecidedByOutsider,
    ChangedByOutsider,
    RefusedThoughDecided,
}

impl Fault {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::ShownBarred => "a person was shown what was said while they were out of the group",
            Self::OldRetry => "an old retry changed what came after its first attempt",
            Self::ToldBeforeWhole => "somebody was told of a group that isn't whole",
            Self::CreatedInPart => "createGroup was answered, and somebody has no MEMBER",
            Self::AdminForNothing => "somebody was made an admin though there always was one",
            Self::AddedByNobody => "somebody is in whom nobody has added",
            Self::DecidedByOutsider => "a message was decided by who was out when the send began",
            Self::ChangedByOutsider => "the group was changed by who was no admin when the request began",
            Self::RefusedThoughDecided => "a send was refused that was decided",
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, joined, admin, first_seq, listed, .. } = self;
        let (joined, admin) = (if *joined { "in" } else { "out" }, if *admin { ", admin" } else { "" });
        write!(f, "version {version}, {joined}{admin}, first_seq {first_seq}{}", if *listed { ", listed" } else { "" })
    }
}

impl fmt::Display for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, joined, first_seq, read } = self;
        let joined = if *joined { "in" } else { "out" };
        write!(f, "version {version}, {joined}, first_seq {first_seq}, read_seq {read}")
    }
}

/// What a read has found, in words.
pub(super) fn found(item: Option<impl fmt::Display>) -> String {
    item.map_or_else(|| "nothing".to_owned(), |item| item.to_string())
}

impl Db {
    /// The log's highest number.
    pub(super) fn log_tail(&self) -> u8 {
        self.log.iter().flatten().count() as u8
    }

    /// The number of a send, and whether it is a void.
    pub(super) fn place(&self, sid: u8) -> Option<(u8, bool)> {
        let at = self.log.iter().position(|slot| slot.is_some_and(|slot| slot.sid == sid))?;
        Some((at as u8 + 1, self.log[at].is_some_and(|slot| slot.void)))
    }

    /// The sends whose messages stand in a range of numbers.
    pub(super) fn messages(&self, from: u8, to: u8) -> Bits {
        let slots = self.log.iter().enumerate().filter(|(at, _)| (from..=to).contains(&(*at as u8 + 1)));
        slots.filter_map(|(_, slot)| slot.filter(|slot| !slot.void)).fold(0, |set, slot| set | 1 << slot.sid)
    }

    /// A person's MEMBER, if the person is in.
    pub(super) fn member(&self, user: u8) -> Option<Member> {
        self.members[usize::from(user)].filter(|member| member.joined)
    }

    /// Those who are in.
    pub(super) fn joined(&self) -> impl Iterator<Item = (u8, Member)> {
        (0..USERS as u8).filter_map(|user| Some((user, self.member(user)?)))
    }

    /// Whether an admin is in.
    pub(super) fn has_admin(&self) -> bool {
        self.joined().any(|(_, member)| member.admin)
    }
}
