//! What follows from a change of a membership, and anybody may repeat: the INBOX, the telling, the count, the admin.

use super::configurations::Role;
use super::mutants::Mutant;
use super::state::Process;
use super::step::{Count, Step, Work};
use super::store::{Fault, Hint, Member, USERS, found, has, name};
use super::write::{MemberPut, Write};

impl Process<'_> {
    /// Where the effects begin: with the INBOX, then the telling.
    pub(super) fn effects(&self, work: Work) -> Step {
        match self.mutant {
            Some(Mutant::TellBeforeInbox) => self.telling(work),
            Some(Mutant::UnlistFirst) => Step::Unlist(work),
            _ => Step::Inbox(work),
        }
    }

    /// Who is in is told with a view of the group, who is out without.
    fn telling(&self, work: Work) -> Step {
        match work.joined {
            true if self.is(Mutant::ViewBeforeMember) => Step::Tell(work, work.first_seq - 1),
            true => Step::View(work),
            false => Step::Tell(work, 0),
        }
    }

    pub(super) fn inbox(&mut self, work: Work) {
        let Work { user, version, joined, first_seq } = work;
        let next = if self.is(Mutant::TellBeforeInbox) { self.counting(work) } else { self.telling(work) };
        self.write(Write::InboxPut { user, version, joined, first_seq }, |_, _| next);
    }

    /// TAIL, and the last message with it.
    pub(super) fn view(&mut self, work: Work) {
        let last = self.db().tail;
        let next = match self.is(Mutant::ViewWithoutMember) {
            true => Step::Tell(work, last),
            false => Step::ViewMember(work, last),
        };
        self.read(next, || format!("reads TAIL: last_seq {last}"));
    }

    /// Who is no longer what the effects are of is told by those of the newer version.
    pub(super) fn view_member(&mut self, work: Work, last: u8) {
        let member = self.db().members[usize::from(work.user)];
        let same = member.is_some_and(|member| member.version == work.version);
        let next = if same { Step::Tell(work, last) } else { self.counting(work) };
        self.read(next, || format!("reads MEMBER {} again: {}", name(work.user), found(member)));
    }

    pub(super) fn tell(&mut self, work: Work, last: u8) {
        let connected = has(self.db().connected, work.user);
        let next = if connected { Step::TellPush(work, last) } else { self.told(work) };
        self.read(next, || format!("reads PRESENCE {}: connected {connected}", name(work.user)));
    }

    fn told(&self, work: Work) -> Step {
        if self.is(Mutant::TellBeforeInbox) { Step::Inbox(work) } else { self.counting(work) }
    }

    /// The device shows the last message, and is to read the others.
    pub(super) fn tell_push(&mut self, work: Work, last: u8) {
        let Work { user, version, joined, first_seq } = work;
        let next = self.told(work);
        let any = self.is(Mutant::TellingWithoutVersion);
        let newer = self.is(Mutant::KnownVersionUnread);
        let hints = self.configuration.hints;
        let told = if joined { "conversation:created" } else { "conversation:left" };
        let words = || format!("pushes {told} to {}, version {version}, lastSeq {last}", name(user));
        self.step(words, |state| {
            if !state.db.meta.is_some_and(|meta| meta.whole) {
                state.history.fault = Some(Fault::ToldBeforeWhole);
            }
            let device = &mut state.devices[usize::from(user)];
            // A version that a `sync` has brought may have come with messages that were read before.
            if hints {
                device.hint = Hint::Told;
                return next;
            }
            let known = version == device.version;
            let listens = version > device.version || known && !newer || any;
            let held = device.holds;
            let last = if joined && last >= first_seq { last } else { 0 };
            if listens {
                (device.version, device.knows) = (version, joined);
                device.to_read = if known { device.to_read.max(last) } else { last };
            }
            let messages = state.db.messages(last, last);
            state.show(user, messages);
            if !listens {
                state.devices[usize::from(user)].holds = held;
            }
            next
        });
    }

    /// The count, where it is looked at, and then the index.
    fn counting(&self, work: Work) -> Step {
        let counts = self.configuration.counts && !matches!(self.role(), Role::Create { .. });
        match counts {
            true if self.is(Mutant::CountAdded) => self.count_added(work),
            true => Step::Roster(work, false),
            false => self.last(work),
        }
    }

    /// What comes when all else is done: the index.
    fn last(&self, work: Work) -> Step {
        if self.is(Mutant::UnlistFirst) { self.unlisted(work.user) } else { Step::Unlist(work) }
    }

    fn unlisted(&self, user: u8) -> Step {
        if matches!(self.role(), Role::Create { .. }) { self.create_next(user) } else { Step::Ended }
    }

    /// Only of a mutant: META's count and one, or less one.
    fn count_added(&self, work: Work) -> Step {
        let Some(meta) = self.db().meta else { return Step::Ended };
        let count = if work.joined { meta.count + 1 } else { meta.count.saturating_sub(1) };
        Step::CountWrite(Count { work, again: false, roster: meta.roster, at: 0, count, admin: true, oldest: None })
    }

    pub(super) fn roster(&mut self, work: Work, again: bool) {
        let Some(meta) = self.db().meta else { return };
        let count = Count { work, again, roster: meta.roster, at: 0, count: 0, admin: false, oldest: None };
        if self.is(Mutant::CountBeforeRoster) {
            return self.count(Count { roster: 0, ..count });
        }
        self.read(Step::Count(count), || format!("reads META: roster {}", meta.roster));
    }

    /// A query is no snapshot.
    pub(super) fn count(&mut self, count: Count) {
        let member = self.db().member(count.at);
        let user = count.at;
        let older = |member: &Member| count.oldest.is_none_or(|(_, other)| member.first_seq < other.first_seq);
        let count = Count {
            at: count.at + 1,
            count: count.count + u8::from(member.is_some()),
            admin: count.admin || member.is_some_and(|member| member.admin),
            oldest: member.filter(older).map(|member| (user, member)).or(count.oldest),
            ..count
        };
        let next = if usize::from(count.at) < USERS { Step::Count(count) } else { self.counted(count) };
        self.read(next, || format!("counts: MEMBER {}: {}", name(user), found(member)));
    }

    /// Who finds no admin counts once more: somebody may have been appointed behind the count before somebody ahead of it
    /// stepped down.
    fn counted(&self, count: Count) -> Step {
        let lacks = count.count > 0 && !count.admin && !self.is(Mutant::NobodyPromoted);
        let sure = count.again || self.is(Mutant::PromotedAtOnce);
        match lacks {
            true if sure => Step::Promote(count),
            true => Step::Roster(count.work, true),
            false if self.is(Mutant::CountBeforeRoster) => Step::RosterLast(count),
            false => Step::CountWrite(count),
        }
    }

    pub(super) fn roster_last(&mut self, count: Count) {
        let Some(meta) = self.db().meta else { return };
        let next = Step::CountWrite(Count { roster: meta.roster, ..count });
        self.read(next, || format!("reads META: roster {}", meta.roster));
    }

    pub(super) fn count_write(&mut self, count: Count) {
        let Count { work, roster, count, .. } = count;
        let as_it_is = self.db().meta.is_some_and(|meta| meta.count == count);
        if as_it_is && self.is(Mutant::EqualCountUnwritten) {
            return self.read(self.last(work), || "the count is what META says".to_owned());
        }
        let again = match self.mutant {
            Some(Mutant::CountedOnce) => self.last(work),
            Some(Mutant::CountAdded) => self.count_added(work),
            _ => Step::Roster(work, false),
        };
        let last = self.last(work);
        self.write(Write::MetaCount { roster, count }, |_, made| if made { last } else { again });
    }

    /// The oldest member becomes an admin, if the membership is the one read; then all are counted again.
    pub(super) fn promote(&mut self, count: Count) {
        let Some((user, seen)) = count.oldest else { return };
        let member = Member { version: seen.version + 1, admin: true, ..seen };
        let put = MemberPut { user, seen: Some(seen.version), member, request: None, tail_then: 0 };
        let always_one = !self.state.history.adminless;
        let next =
            if self.is(Mutant::PromotedUncounted) { self.last(count.work) } else { Step::Roster(count.work, false) };
        self.write(Write::MemberPut(put), |state, made| {
            if made && always_one {
                state.history.fault = Some(Fault::AdminForNothing);
            }
            next
        });
    }

    pub(super) fn unlist(&mut self, work: Work) {
        let Work { user, version, .. } = work;
        let next = if self.is(Mutant::UnlistFirst) { Step::Inbox(work) } else { self.unlisted(user) };
        self.write(Write::MemberUnlist { user, version }, |_, _| next);
    }

    /// The index proposes whom it likes: it may be behind.
    pub(super) fn sweep_member(&mut self) {
        let Role::Sweep { user } = self.role() else { return };
        let member = self.db().members[usize::from(user)];
        let next = member.filter(|member| member.listed).map_or(Step::Ended, |member| {
            let work = Work::of(user, member);
            let asks = self.configuration.creates() && !self.is(Mutant::SweepTellsEarly);
            if asks { Step::SweepMeta(work) } else { self.effects(work) }
        });
        self.read(next, || format!("reads MEMBER {}: {}", name(user), found(member)));
    }

    /// Of a group that isn't whole nobody is told: a retry of `createGroup` makes it so.
    pub(super) fn sweep_meta(&mut self, work: Work) {
        let whole = self.db().meta.is_some_and(|meta| meta.whole);
        let gone = self.db().meta.is_some_and(|meta| meta.gone);
        let next = match whole {
            true => self.effects(work),
            false if gone => Step::Stray(work.user),
            false => Step::Ended,
        };
        self.read(next, || format!("reads META: whole {whole}, gone {gone}"));
    }
}
