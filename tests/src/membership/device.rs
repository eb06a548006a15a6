//! A person's device: it connects, syncs, and waits. And what else a person asks: a page, a mark.

use super::configurations::Role;
use super::mutants::Mutant;
use super::state::{Process, State};
use super::step::{Step, Work};
use super::store::{Hint, Member, found, name};
use super::write::Write;

impl Process<'_> {
    fn person(&self) -> u8 {
        match self.role() {
            Role::Device { user, .. } | Role::Read { user } | Role::Mark { user } => user,
            _ => 0,
        }
    }

    pub(super) fn connect(&mut self) {
        let user = self.person();
        self.step(
            || "connects".to_owned(),
            |state| {
                state.db.connected |= 1 << user;
                Step::SyncInbox
            },
        );
    }

    /// What isn't in the list isn't read.
    pub(super) fn sync_inbox(&mut self) {
        let user = self.person();
        let inbox = self.db().inboxes[usize::from(user)];
        let listed = inbox.is_some_and(|inbox| inbox.joined);
        let words = || format!("sync: reads the INBOX: {}", found(inbox));
        let first = if self.is(Mutant::SyncMemberFirst) { Step::SyncMember { to: 0 } } else { Step::SyncLog(None) };
        self.step(words, |state| {
            if listed {
                return first;
            }
            state.devices[usize::from(user)].synced = true;
            Step::Waiting
        });
    }

    /// The messages up to TAIL.
    pub(super) fn sync_log(&mut self, member: Option<Member>) {
        let (user, to) = (self.person(), self.db().tail);
        let words = || format!("sync: reads the messages up to TAIL: {to}");
        match member {
            None => self.read(Step::SyncMember { to }, words),
            Some(member) => self.step(words, |state| synced(state, user, Some(member), to, false, false)),
        }
    }

    pub(super) fn sync_member(&mut self, to: u8) {
        let user = self.person();
        let member = self.db().members[usize::from(user)];
        let words = || format!("sync: reads MEMBER: {}", found(member));
        let (first, below) = (self.is(Mutant::SyncMemberFirst), self.is(Mutant::SyncBelowFirstSeq));
        let forgets = self.is(Mutant::HintForgotten);
        self.step(words, |state| match member {
            Some(member) if first && member.joined => Step::SyncLog(Some(member)),
            member => synced(state, user, member, to, below, forgets),
        });
    }

    /// The page that it was told to read: its messages were all there before. Where it was only given a hint, it syncs again.
    pub(super) fn waiting(&mut self) {
        let user = self.person();
        let device = self.state.devices[usize::from(user)];
        if device.hint != Hint::Nothing {
            self.step(
                || "heeds the hint".to_owned(),
                |state| {
                    state.devices[usize::from(user)].hint = Hint::Syncing;
                    Step::SyncLog(None)
                },
            );
        } else if device.to_read > 0 {
            self.page_member(device.to_read);
        }
    }

    /// Any page: all that there is.
    pub(super) fn page_log(&mut self, member: Option<Member>) {
        let user = self.person();
        let to = self.db().log_tail();
        if self.is(Mutant::PageMemberFirst) && member.is_none() {
            return self.page_member(0);
        }
        let words = || format!("a page: reads the messages up to {to}");
        match member {
            None => self.read(Step::PageMember { to }, words),
            Some(member) => self.step(words, |state| shown(state, user, member.first_seq, to)),
        }
    }

    pub(super) fn page_member(&mut self, to: u8) {
        let user = self.person();
        let member = self.db().members[usize::from(user)];
        let waits = matches!(self.role(), Role::Device { .. });
        let first = self.is(Mutant::PageMemberFirst) && !waits;
        let below = self.is(Mutant::PageBelowFirstSeq);
        let words = || format!("a page: reads MEMBER: {}", found(member));
        self.step(words, |state| {
            if waits {
                state.devices[usize::from(user)].to_read = 0;
            }
            match member.filter(|member| member.joined) {
                Some(member) if first => return Step::PageLog(Some(member)),
                Some(member) => shown(state, user, if below { 1 } else { member.first_seq }, to),
                None => Step::Ended,
            };
            if waits { Step::Waiting } else { Step::Ended }
        });
    }

    pub(super) fn mark_member(&mut self) {
        let user = self.person();
        let member = self.db().member(user);
        let next = member.map_or(Step::Ended, |member| Step::MarkPut(Work::of(user, member)));
        self.read(next, || format!("reads MEMBER: {}", found(member)));
    }

    /// A mark at the log's tail. Whose INBOX is of an older membership, or isn't there, gets that of this one first.
    pub(super) fn mark_put(&mut self, work: Work) {
        let Work { user, first_seq, .. } = work;
        let seq = self.db().log_tail();
        if seq < first_seq {
            return self.read(Step::Ended, || format!("nothing to mark for {}", name(user)));
        }
        self.write(Write::Mark { user, first_seq, seq }, |state, made| {
            let inbox = state.db.inboxes[usize::from(user)];
            match inbox {
                _ if made => Step::Ended,
                Some(inbox) if inbox.version >= work.version => Step::MarkMember,
                _ => Step::MarkInbox(work),
            }
        });
    }

    pub(super) fn mark_inbox(&mut self, work: Work) {
        let Work { user, version, joined, first_seq } = work;
        self.write(Write::InboxPut { user, version, joined, first_seq }, |_, _| Step::MarkPut(work));
    }
}

/// A `sync` is answered.
fn synced(state: &mut State, user: u8, member: Option<Member>, to: u8, below: bool, forgets: bool) -> Step {
    if let Some(member) = member {
        let device = &mut state.devices[usize::from(user)];
        if member.version >= device.version {
            (device.version, device.knows) = (member.version, member.joined);
        }
        if member.joined {
            shown(state, user, if below { 1 } else { member.first_seq }, to);
        }
    }
    let device = &mut state.devices[usize::from(user)];
    device.synced = true;
    if device.hint == Hint::Syncing || forgets {
        device.hint = Hint::Nothing;
    }
    Step::Waiting
}

/// A page is shown.
fn shown(state: &mut State, user: u8, from: u8, to: u8) -> Step {
    let messages = state.db.messages(from, to);
    state.show(user, messages);
    Step::Ended
}
