//! Where a process can be.

use super::state::Process;
use super::store::{Item, MESSAGES, Member, Version};
use super::write::{Change, Write};

/// A change whose effects are to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Work {
    pub(super) n: u8,
    /// The message as it was read, or written.
    pub(super) version: Version,
    /// Its entry of the feed; 0 until it has one.
    pub(super) entry: u8,
    /// Whether it is the overlay that was changed.
    pub(super) over: bool,
    /// Whether MEMBER says that B may not see it.
    pub(super) unseen: bool,
}

impl Work {
    pub(super) const fn of(n: u8, version: Version) -> Self {
        Self { n, version, entry: 0, over: false, unseen: false }
    }
}

/// Where a message is, as META says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    /// In LOG.
    Log,
    /// In LOG; what changes from now on is an overlay.
    Moving,
    /// In the archive, and perhaps an overlay.
    Archive,
}

/// A `sync` that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Sync {
    /// `last_change`, as it was read: the cursor that is brought at the end.
    pub(super) to: u8,
    /// What the feed has: each number once, with the cursor that covers it and those before it.
    pub(super) frames: [Option<(u8, u8)>; MESSAGES],
    /// The messages, as far as they were read.
    pub(super) read: [Option<Version>; MESSAGES],
    /// Whether it brings a page of all.
    pub(super) paged: bool,
    /// Nothing below it is brought.
    pub(super) first_seq: u8,
    /// What META says of the first message.
    pub(super) place: Option<Place>,
    /// The first message's overlay.
    pub(super) over: Option<Version>,
    /// Only of a mutant: MEMBER, as it was read before all else.
    pub(super) member: Option<Member>,
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            to: 0,
            frames: [None; MESSAGES],
            read: [None; MESSAGES],
            paged: false,
            first_seq: 1,
            place: None,
            over: None,
            member: None,
        }
    }
}

impl Sync {
    /// The next entry of the feed. Each number comes once, in the order in which they first stand there; the cursor of each
    /// covers what has come by then.
    pub(super) fn brings(&mut self, n: u8, at: u8) {
        let known = self.frames.iter().flatten().count();
        let new = self.frames.iter().flatten().all(|(other, _)| *other != n);
        if n == 0 {
            return;
        }
        if new {
            self.frames[known] = Some((n, at));
        } else if let Some((_, cursor)) = &mut self.frames[known - 1] {
            *cursor = at;
        }
    }
}

/// Where a process is: the request that it sends next, with all that it knows. A process that has died is one that never
/// takes its next step, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Step {
    Ended,

    /// A change: META, where there is an archive. Whether a write was refused before.
    Meta {
        refused: bool,
    },
    /// LOG, or OVERLAY.
    Read {
        refused: bool,
        place: Place,
    },
    /// What the first overlay is made from: LOG, or the archive.
    Base {
        refused: bool,
        place: Place,
    },
    /// LOG, or OVERLAY, if `rev` is the one read or named.
    Write {
        seen: u8,
        over: bool,
    },
    /// LOG is frozen, if `rev` is the one read.
    Freeze(Item),
    /// OVERLAY, if there is none.
    OverlayPut(Item),
    /// Only of a mutant: LOG is listed, in a write of its own.
    List(Work),

    /// The effects: the feed's highest entry.
    FeedTail(Work),
    /// The entry above it.
    FeedPut(Work, u8),
    /// `last_change` of this INBOX, or TAIL's.
    Last(Work, usize),
    /// Only of a mutant: `last_change` before its entry.
    LastEarly(Work, u8),
    /// MEMBER of B, in a group.
    Member(Work),
    /// Only of a mutant: LOG once more.
    Again(Work),
    /// PRESENCE.
    Presence(Work),
    /// The push, to this connection.
    Push(Work, u8),
    /// LOG leaves the index.
    Unlist(Work),
    /// The sweep: LOG, as the index proposes it.
    Sweep,

    /// MEMBER of B says otherwise.
    Membership,

    /// The cleanup: META announces the number.
    Archive,
    /// LOG.
    ArchiveLog,
    /// The object.
    ArchiveObject(Item),
    /// META says that the archive has it.
    ArchiveMove,
    /// LOG goes.
    ArchiveDelete,

    /// The cleanup: the feed.
    Trim,
    /// An entry goes, and those up to this one.
    TrimEntry {
        at: u8,
        to: u8,
    },

    /// A device: PRESENCE.
    Connect,
    /// Only of a mutant: the messages, before all else.
    SyncEarly,
    /// Only of a mutant: MEMBER, before all else.
    SyncMemberEarly,
    /// Only of a mutant: the feed, before `last_change`.
    SyncFeedFirst,
    /// Only of a mutant: `last_change`, after it.
    SyncLastAfter(Sync),
    /// `sync`: `last_change`.
    SyncLast(Sync),
    /// `sync`: the feed, from the cursor to it; this entry.
    SyncFeed(Sync, u8),
    /// `sync`: META, where there is an archive.
    SyncMeta(Sync),
    /// `sync`: OVERLAY.
    SyncOver(Sync),
    /// `sync`: the messages that have changed; this one of them.
    SyncMessages(Sync, usize),
    /// `sync`: all messages, from this one on.
    SyncPage(Sync, u8),
    /// `sync`: MEMBER.
    SyncMember(Sync),
    /// What has changed arrives.
    SyncFrames(Sync),
    /// The page arrives.
    SyncTake(Sync),
    /// It waits for what comes.
    Waiting,
}

impl Process<'_> {
    /// Takes the process's next step, in each way in which it can be taken.
    pub(super) fn advance(&mut self) {
        match self.state.processes[self.index] {
            Step::Ended => {}
            Step::Meta { refused } => self.change_meta(refused),
            Step::Read { refused, place } => self.change_read(refused, place),
            Step::Base { refused, place } => self.change_base(refused, place),
            Step::Write { seen, over } => self.change_write(seen, over),
            Step::Freeze(item) => self.freeze(item),
            Step::OverlayPut(item) => self.overlay_put(item),
            Step::List(work) => {
                let next = self.effects(work);
                self.write(Write::List { n: work.n }, |_, _| next);
            }
            Step::FeedTail(work) => self.feed_tail(work),
            Step::FeedPut(work, at) => self.feed_put(work, at),
            Step::Last(work, whose) => self.last(work, whose),
            Step::LastEarly(work, at) => self.last_early(work, at),
            Step::Member(work) => self.member(work),
            Step::Again(work) => self.again(work),
            Step::Presence(work) => self.presence(work),
            Step::Push(work, connection) => self.push(work, connection),
            Step::Unlist(work) => self.unlist(work),
            Step::Sweep => self.sweep(),
            Step::Membership => self.membership(),
            Step::Archive => self.archive(),
            Step::ArchiveLog => self.archive_log(),
            Step::ArchiveObject(item) => self.archive_object(item),
            Step::ArchiveMove => self.archive_move(),
            Step::ArchiveDelete => self.archive_delete(),
            Step::Trim => self.trim(),
            Step::TrimEntry { at, to } => self.trim_entry(at, to),
            Step::Connect => self.connect(),
            Step::SyncEarly => self.sync_early(),
            Step::SyncMemberEarly => self.sync_member_early(),
            Step::SyncFeedFirst => self.sync_feed_first(),
            Step::SyncLastAfter(sync) => self.sync_last_after(sync),
            Step::SyncLast(sync) => self.sync_last(sync),
            Step::SyncFeed(sync, at) => self.sync_feed(sync, at),
            Step::SyncMeta(sync) => self.sync_meta(sync),
            Step::SyncOver(sync) => self.sync_over(sync),
            Step::SyncMessages(sync, at) => self.sync_messages(sync, at),
            Step::SyncPage(sync, n) => self.sync_page(sync, n),
            Step::SyncMember(sync) => self.sync_member(sync),
            Step::SyncFrames(sync) => self.sync_frames(sync),
            Step::SyncTake(sync) => self.sync_take(sync),
            Step::Waiting => self.waiting(),
        }
    }
}

impl Change {
    /// What the message becomes.
    pub(super) const fn becomes(self, before: Version) -> Version {
        Version { rev: self.seen + 1, by: before.by | 1 << self.request, deleted: self.deletes }
    }
}
