//! Where a process can be.

use super::state::Process;
use super::store::{Bits, Member};
use super::write::Write;

/// A membership whose effects are to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Work {
    pub(super) user: u8,
    pub(super) version: u8,
    pub(super) joined: bool,
    pub(super) first_seq: u8,
}

impl Work {
    pub(super) const fn of(user: u8, member: Member) -> Self {
        Self { user, version: member.version, joined: member.joined, first_seq: member.first_seq }
    }
}

/// Where a change is, beside what its role says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Change {
    /// Whether it has made its first membership another and is at its second.
    pub(super) second: bool,
    /// Only of a mutant: whether its caller was no admin when it began.
    pub(super) outsider: bool,
    /// Only of a mutant: the tail, where it was read before MEMBER or for an earlier try.
    pub(super) tail: Option<u8>,
}

/// A count of the members that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Count {
    pub(super) work: Work,
    /// Whether the count before this one found no admin.
    pub(super) again: bool,
    pub(super) roster: u8,
    /// Whose MEMBER is read next.
    pub(super) at: u8,
    pub(super) count: u8,
    pub(super) admin: bool,
    /// Who has been in for longest, with MEMBER as read.
    pub(super) oldest: Option<(u8, Member)>,
}

/// A message whose receivers are being looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Push {
    pub(super) sid: u8,
    pub(super) seq: u8,
    /// Whose item is read next.
    pub(super) at: u8,
    /// Who is to be pushed, so far.
    pub(super) to: Bits,
}

/// Where a process is: the request that it sends next, with all that it knows. A process that has died is one that never
/// takes its next step, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Step {
    Ended,

    /// `createGroup`: META.
    CreateMeta,
    /// MEMBER of this one.
    CreateMember(u8),
    /// META says `whole`; then the answer.
    CreateWhole,

    /// `updateGroup`, `leaveGroup`: META.
    ChangeMeta,
    /// The caller's MEMBER.
    ChangeCaller,
    /// The MEMBER that is to change.
    ChangeMember(Change),
    /// The log's tail.
    ChangeTail(Change, Option<Member>),
    /// MEMBER, if the version is the one read.
    ChangePut {
        change: Change,
        seen: Option<Member>,
        tail: u8,
        tail_then: u8,
    },

    /// Only of a new name: META.
    RenameMeta,
    RenamePut {
        roster: u8,
    },

    /// The effects of a membership: its INBOX.
    Inbox(Work),
    /// What the new member is told: TAIL, and the last message.
    View(Work),
    /// MEMBER once more, after it.
    ViewMember(Work, u8),
    /// PRESENCE.
    Tell(Work, u8),
    /// The push, to who was connected.
    TellPush(Work, u8),
    /// `META.roster`; whether the count before found no admin.
    Roster(Work, bool),
    /// The MEMBERs, each at a moment of its own.
    Count(Count),
    /// Only of a mutant: `META.roster`, after the MEMBERs.
    RosterLast(Count),
    CountWrite(Count),
    /// The oldest member becomes an admin.
    Promote(Count),
    /// MEMBER leaves the index.
    Unlist(Work),
    /// The sweep: MEMBER, as the index proposes it.
    SweepMember,
    /// META.
    SweepMeta(Work),

    /// A send: ACCOUNT and RECEIPT.
    SendAccount,
    /// The sender's MEMBER.
    SendMember,
    /// ACCOUNT and RECEIPT once more, after a MEMBER that is out.
    SendAgain,
    /// Only of a mutant: the MEMBERs, before the claim.
    SendEarly {
        at: u8,
        to: Bits,
    },
    Claim {
        outsider: bool,
        to: Bits,
    },
    Publish {
        sid: u8,
        void: bool,
        to: Bits,
    },
    Tail(Push),
    /// The MEMBERs, each at a moment of its own.
    Receivers(Push),
    /// PRESENCE, each at a moment of its own; only of a mutant before the MEMBERs.
    Presence(Push),
    /// The push to each who was connected.
    Push(Push),
    Receipt(u8),
    /// Only of mutants: RECEIPT, before the rest.
    ReceiptEarly(Push),
    /// The sweep: what is open.
    SweepSends,

    /// A device: PRESENCE.
    Connect,
    /// `sync`: the INBOX.
    SyncInbox,
    /// `sync`: the messages; only of a mutant after MEMBER.
    SyncLog(Option<Member>),
    /// `sync`: MEMBER.
    SyncMember {
        to: u8,
    },
    /// It waits for what comes; if it was told to read, it asks for the page.
    Waiting,

    /// A page: the messages; only of a mutant after MEMBER.
    PageLog(Option<Member>),
    /// A page: MEMBER.
    PageMember {
        to: u8,
    },

    /// The cleanup: META.
    CleanupMeta,
    /// META says that the group is gone.
    CleanupGone,
    /// MEMBER of this one goes.
    CleanupMember(u8),
    /// The sweep: MEMBER of a group that is gone.
    Stray(u8),

    /// A mark: MEMBER.
    MarkMember,
    /// A mark: the INBOX.
    MarkPut(Work),
    /// The INBOX of the membership, where there is an older one.
    MarkInbox(Work),
}

impl Process<'_> {
    /// Takes the process's next step, in each way in which it can be taken.
    pub(super) fn advance(&mut self) {
        match self.state.processes[self.index] {
            Step::Ended => {}
            Step::CreateMeta => self.create_meta(),
            Step::CreateMember(user) => self.create_member(user),
            Step::CreateWhole => self.create_whole(),
            Step::ChangeMeta => self.change_meta(),
            Step::ChangeCaller => self.change_caller(),
            Step::ChangeMember(change) => self.change_member(change),
            Step::ChangeTail(change, seen) => self.change_tail(change, seen),
            Step::ChangePut { change, seen, tail, tail_then } => self.change_put(change, seen, tail, tail_then),
            Step::RenameMeta => self.rename_meta(),
            Step::RenamePut { roster } => self.rename_put(roster),
            Step::Inbox(work) => self.inbox(work),
            Step::View(work) => self.view(work),
            Step::ViewMember(work, last) => self.view_member(work, last),
            Step::Tell(work, last) => self.tell(work, last),
            Step::TellPush(work, last) => self.tell_push(work, last),
            Step::Roster(work, again) => self.roster(work, again),
            Step::Count(count) => self.count(count),
            Step::RosterLast(count) => self.roster_last(count),
            Step::CountWrite(count) => self.count_write(count),
            Step::Promote(count) => self.promote(count),
            Step::Unlist(work) => self.unlist(work),
            Step::SweepMember => self.sweep_member(),
            Step::SweepMeta(work) => self.sweep_meta(work),
            Step::SendAccount => self.send_account(),
            Step::SendMember => self.send_member(),
            Step::SendAgain => self.send_again(),
            Step::SendEarly { at, to } => self.send_early(at, to),
            Step::Claim { outsider, to } => self.claim(outsider, to),
            Step::Publish { sid, void, to } => self.publish(sid, void, to),
            Step::Tail(push) => self.tail(push),
            Step::Receivers(push) => self.receivers(push),
            Step::Push(push) => self.push(push),
            Step::Presence(push) => self.presence(push),
            Step::ReceiptEarly(push) => self.receipt_early(push),
            Step::Receipt(sid) => self.receipt(sid),
            Step::SweepSends => self.sweep_sends(),
            Step::Connect => self.connect(),
            Step::SyncInbox => self.sync_inbox(),
            Step::SyncLog(member) => self.sync_log(member),
            Step::SyncMember { to } => self.sync_member(to),
            Step::Waiting => self.waiting(),
            Step::PageLog(member) => self.page_log(member),
            Step::PageMember { to } => self.page_member(to),
            Step::CleanupMeta => self.cleanup_meta(),
            Step::CleanupGone => {
                self.write(Write::MetaGone, |_, made| if made { Step::CleanupMember(0) } else { Step::Ended })
            }
            Step::CleanupMember(user) => self.cleanup_member(user),
            Step::Stray(user) => self.write(Write::MemberDelete { user }, |_, _| Step::Ended),
            Step::MarkMember => self.mark_member(),
            Step::MarkPut(work) => self.mark_put(work),
            Step::MarkInbox(work) => self.mark_inbox(work),
        }
    }
}
