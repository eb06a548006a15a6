//! The conditional writes. Stands for what `shared::store` has; each is one step.

use std::fmt;

use super::mutants::Mutant;
use super::store::{Bits, Db, Fault, History, Inbox, Member, Meta, SLOTS, Slot, USERS, has, name};

/// A put of MEMBER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct MemberPut {
    pub(super) user: u8,
    /// The version that was read; none if there was no MEMBER.
    pub(super) seen: Option<u8>,
    pub(super) member: Member,
    /// By which request.
    pub(super) request: Option<u8>,
    /// The log's tail when the version was read. Of no condition: a check goes by it.
    pub(super) tail_then: u8,
}

/// A conditional write, on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Write {
    /// META of a new group, if there is none.
    MetaPut { count: u8 },
    /// META says `whole`, if there is one.
    MetaWhole,
    /// The count as counted, if `roster` is the one read before.
    MetaCount { roster: u8, count: u8 },
    /// Another name, if `roster` is the one read.
    MetaRename { roster: u8, request: u8 },
    /// If the version is the one read.
    MemberPut(MemberPut),
    /// MEMBER leaves the index, if its version is the one whose effects were done.
    MemberUnlist { user: u8, version: u8 },
    /// If there is none, or an older one.
    InboxPut { user: u8, version: u8, joined: bool, first_seq: u8 },
    /// `read_seq` forward, if the INBOX is of the membership that was read.
    Mark { user: u8, first_seq: u8, seq: u8 },
    /// The decision of a send, if it is neither open nor finished.
    Claim { sid: u8, outsider: bool },
    /// A message or a void at the log's next number, if the send has none.
    Publish(Slot),
    /// `TAIL.last_seq` forward.
    TailForward { seq: u8 },
    /// The cleanup: the group is gone, if it isn't whole.
    MetaGone,
    /// The cleanup: MEMBER of a group that is gone.
    MemberDelete { user: u8 },
    /// RECEIPT, and the send isn't open any more.
    ReceiptPut { sid: u8 },
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MetaPut { count } => write!(f, "the put of META, count {count},"),
            Self::MetaWhole => f.write_str("META's `whole`"),
            Self::MetaCount { roster, count } => write!(f, "META's count {count} at roster {roster}"),
            Self::MetaRename { roster, request } => write!(f, "request {request}'s name at roster {roster}"),
            Self::MemberPut(MemberPut { user, member, .. }) => {
                write!(f, "the put of MEMBER {}, {member},", name(*user))
            }
            Self::MemberUnlist { user, version } => {
                write!(f, "that MEMBER {} leaves the index at version {version}", name(*user))
            }
            Self::InboxPut { user, version, joined, first_seq } => {
                let joined = if *joined { "in" } else { "out" };
                write!(f, "the put of INBOX {}, version {version}, {joined}, first_seq {first_seq},", name(*user))
            }
            Self::Mark { user, seq, .. } => write!(f, "{}'s mark at {seq}", name(*user)),
            Self::Claim { sid, .. } => write!(f, "the claim of send {sid}"),
            Self::Publish(Slot { sid, void: false }) => write!(f, "the put of send {sid}'s message"),
            Self::Publish(Slot { sid, void: true }) => write!(f, "the put of send {sid}'s void"),
            Self::TailForward { seq } => write!(f, "TAIL.last_seq to {seq}"),
            Self::MetaGone => f.write_str("that the group is gone"),
            Self::MemberDelete { user } => write!(f, "the deletion of MEMBER {}", name(*user)),
            Self::ReceiptPut { sid } => write!(f, "RECEIPT of send {sid}"),
        }
    }
}

impl Db {
    /// Applies a write if its condition holds; says whether it did.
    pub(super) fn apply(&mut self, write: Write, history: &mut History, mutant: Option<Mutant>) -> bool {
        let is = |other: Mutant| mutant == Some(other);
        match write {
            Write::MetaPut { count } => {
                let made = self.meta.is_none();
                self.meta.get_or_insert(Meta { whole: false, gone: false, count, roster: 0, requests: 0 });
                made
            }
            Write::MetaWhole => {
                let Some(meta) = self.meta.as_mut().filter(|meta| !meta.gone) else { return false };
                meta.whole = true;
                true
            }
            Write::MetaCount { roster, count } => {
                let Some(meta) = &mut self.meta else { return false };
                let made = meta.roster == roster || is(Mutant::CountWithoutRoster);
                if made {
                    meta.count = count;
                    meta.roster += u8::from(!is(Mutant::CountLeavesRoster));
                }
                made
            }
            Write::MetaRename { roster, request } => self.rename(roster, request, history, mutant),
            Write::MemberPut(put) => self.member_put(put, history, mutant),
            Write::MemberUnlist { user, version } => {
                let Some(member) = &mut self.members[usize::from(user)] else { return false };
                let made = member.version == version || is(Mutant::UnlistAnyVersion);
                member.listed &= !made;
                made
            }
            Write::InboxPut { user, version, joined, first_seq } => {
                self.inbox_put(user, version, joined, first_seq, mutant)
            }
            Write::Mark { user, first_seq, seq } => self.mark(user, first_seq, seq, history, mutant),
            Write::Claim { sid, outsider } => self.claim(sid, outsider, history),
            Write::Publish(slot) => {
                let next = usize::from(self.log_tail());
                let made = self.place(slot.sid).is_none() && next < SLOTS;
                if made {
                    self.log[next] = Some(slot);
                }
                made
            }
            Write::TailForward { seq } => {
                let made = self.tail < seq;
                self.tail = self.tail.max(seq);
                made
            }
            Write::MetaGone => {
                let not_whole = |meta: &Meta| !meta.whole || is(Mutant::CleanupOfWhole);
                let Some(meta) = self.meta.as_mut().filter(|meta| not_whole(meta)) else { return false };
                (meta.whole, meta.gone) = (false, true);
                self.meta = self.meta.filter(|_| !is(Mutant::CleanupDeletesMeta));
                true
            }
            Write::MemberDelete { user } => self.members[usize::from(user)].take().is_some(),
            Write::ReceiptPut { sid } => {
                let made = !has(self.receipts, sid);
                self.receipts |= 1 << sid;
                self.open &= !(1 << sid);
                made
            }
        }
    }

    fn member_put(&mut self, put: MemberPut, history: &mut History, mutant: Option<Mutant>) -> bool {
        let is = |other: Mutant| mutant == Some(other);
        let MemberPut { user, seen, member, request, tail_then } = put;
        let at = usize::from(user);
        let before = self.members[at];
        let creates = seen.is_none() && request.is_none();
        let overwrites = match request {
            Some(_) => Mutant::MemberPutAnyVersion,
            None if creates => Mutant::CreateOverwrites,
            None => Mutant::PromotedAnyVersion,
        };
        if before.map(|member| member.version) != seen && !is(overwrites) {
            return false;
        }
        if let Some(request) = request {
            if has(history.done, request) {
                history.fault = Some(Fault::OldRetry);
            }
            history.done |= 1 << request;
        }
        let was_in = before.is_some_and(|member| member.joined);
        if member.joined && !was_in && request.is_none() && !creates {
            history.fault = Some(Fault::AddedByNobody);
        }
        if member.joined && !was_in {
            // What was there before the version was read stays hidden; whoever published later is seen.
            history.barred[at] &= self.messages(1, tail_then);
            history.marked[at] = 0;
        }
        self.members[at] = Some(member);
        if is(Mutant::TombstoneDeleted) && !member.joined {
            self.members[at] = None;
        }
        if is(Mutant::AddUnlisted) && member.joined {
            self.members[at] = Some(Member { listed: false, ..member });
        }
        let whole = self.meta.is_some_and(|meta| meta.whole);
        history.adminless |= whole && !self.has_admin();
        true
    }

    /// Where the membership is the same, the horizon stays.
    fn inbox_put(&mut self, user: u8, version: u8, joined: bool, first_seq: u8, mutant: Option<Mutant>) -> bool {
        let is = |other: Mutant| mutant == Some(other);
        let inbox = &mut self.inboxes[usize::from(user)];
        if inbox.is_some_and(|inbox| inbox.version >= version) && !is(Mutant::InboxPutAnyVersion) {
            return false;
        }
        if is(Mutant::InboxDeleted) && !joined {
            *inbox = None;
            return true;
        }
        let same = inbox.filter(|inbox| inbox.first_seq == first_seq && !is(Mutant::InboxPutResets));
        let read = same.map_or(first_seq - 1, |inbox| inbox.read);
        *inbox = Some(Inbox { version, joined, first_seq, read });
        true
    }

    fn mark(&mut self, user: u8, first_seq: u8, seq: u8, history: &mut History, mutant: Option<Mutant>) -> bool {
        let any = mutant == Some(Mutant::MarkAnyInbox);
        let Some(inbox) = &mut self.inboxes[usize::from(user)] else { return false };
        if !any && (!inbox.joined || inbox.first_seq != first_seq) {
            return false;
        }
        inbox.read = inbox.read.max(seq);
        let member = self.members[usize::from(user)];
        if member.is_some_and(|member| member.joined && member.first_seq == first_seq) {
            let marked = &mut history.marked[usize::from(user)];
            *marked = (*marked).max(seq);
        }
        true
    }

    fn rename(&mut self, roster: u8, request: u8, history: &mut History, mutant: Option<Mutant>) -> bool {
        let is = |other: Mutant| mutant == Some(other);
        let Some(meta) = &mut self.meta else { return false };
        if meta.roster != roster && !is(Mutant::RenameWithoutRoster) {
            return false;
        }
        if has(history.done, request) {
            history.fault = Some(Fault::OldRetry);
        }
        history.done |= 1 << request;
        meta.roster += u8::from(!is(Mutant::RenameLeavesRoster));
        if !is(Mutant::RenameNotRemembered) {
            meta.requests |= 1 << request;
        }
        true
    }

    /// From here on, who is out must not be shown the message.
    fn claim(&mut self, sid: u8, outsider: bool, history: &mut History) -> bool {
        let unknown: Bits = self.open | self.receipts;
        if has(unknown, sid) {
            return false;
        }
        self.open |= 1 << sid;
        for user in (0..USERS as u8).filter(|user| self.member(*user).is_none()) {
            history.barred[usize::from(user)] |= 1 << sid;
        }
        if outsider {
            history.fault = Some(Fault::DecidedByOutsider);
        }
        true
    }
}
