//! What changes a group: `createGroup`, `updateGroup`, `leaveGroup`.

use super::configurations::{Role, What};
use super::mutants::Mutant;
use super::state::{Process, State};
use super::step::{Change, Step, Work};
use super::store::{A, Bits, Fault, Member, USERS, found, has, name};
use super::write::{MemberPut, Write};

/// Who is in a new group, the creator first.
fn invited(others: Bits) -> impl Iterator<Item = u8> {
    (0..USERS as u8).filter(move |user| *user == A || has(others, *user))
}

impl Process<'_> {
    fn others(&self) -> Bits {
        if let Role::Create { others } = self.role() { others } else { 0 }
    }

    pub(super) fn create_meta(&mut self) {
        let members = invited(self.others()).count() as u8;
        let trusts = self.is(Mutant::CreateTrustsMeta);
        let others = self.others();
        self.write(Write::MetaPut { count: members }, |state, made| {
            // Who is refused is shown META as it is.
            let meta = state.db.meta;
            match meta {
                Some(meta) if meta.gone => return Step::Ended,
                Some(meta) if made || !meta.whole && !trusts => return Step::CreateMember(A),
                _ => answer_create(state, others),
            }
            Step::Ended
        });
    }

    pub(super) fn create_member(&mut self, user: u8) {
        let next = invited(self.others()).find(|other| *other > user);
        let next = next.map_or(Step::CreateWhole, Step::CreateMember);
        let next = match next {
            Step::CreateMember(_) if user == A && self.is(Mutant::WholeBeforeMembers) => Step::CreateWhole,
            Step::CreateWhole if self.is(Mutant::WholeBeforeMembers) => Step::Ended,
            next => next,
        };
        let member = Member { version: 1, joined: true, admin: user == A, first_seq: 1, listed: true, requests: 0 };
        let tells = self.is(Mutant::ToldBeforeWhole) && user != A;
        let told = self.effects(Work::of(user, member));
        let put = MemberPut { user, seen: None, member, request: None, tail_then: 0 };
        let answers = self.is(Mutant::AnsweredBeforeWhole) && next == Step::CreateWhole;
        let others = self.others();
        self.write(Write::MemberPut(put), |state, _| {
            if answers {
                answer_create(state, others);
            }
            if tells { told } else { next }
        });
    }

    /// Answers as soon as META says `whole`; inboxes and telling are effects.
    pub(super) fn create_whole(&mut self) {
        let others = self.others();
        let early = self.is(Mutant::WholeBeforeMembers);
        let first = self.effects(created(A));
        self.write(Write::MetaWhole, |state, made| {
            if !made {
                return Step::Ended;
            }
            answer_create(state, others);
            match invited(others).find(|user| *user != A) {
                Some(user) if early => Step::CreateMember(user),
                _ => first,
            }
        });
    }

    /// After the effects for one member of a new group, those for the next.
    pub(super) fn create_next(&self, user: u8) -> Step {
        invited(self.others()).find(|other| *other > user).map_or(Step::Ended, |user| self.effects(created(user)))
    }

    /// Nobody changes a group that isn't whole.
    pub(super) fn change_meta(&mut self) {
        let whole = self.db().meta.is_some_and(|meta| meta.whole || self.is(Mutant::ChangeOfPart));
        let next = if self.configuration.asks { Step::ChangeCaller } else { Step::ChangeMember(Change::default()) };
        self.read(if whole { next } else { Step::Ended }, || format!("reads META: whole {whole}"));
    }

    /// What never became whole is given up: META stays and says so, and the MEMBERs go.
    pub(super) fn cleanup_meta(&mut self) {
        let waits = self.db().meta.is_some_and(|meta| !meta.whole);
        let next = if waits { Step::CleanupGone } else { Step::Ended };
        self.read(next, || format!("reads META: to be given up {waits}"));
    }

    pub(super) fn cleanup_member(&mut self, user: u8) {
        let next = if usize::from(user) + 1 < USERS { Step::CleanupMember(user + 1) } else { Step::Ended };
        self.write(Write::MemberDelete { user }, |_, _| next);
    }

    /// Only admins change others.
    pub(super) fn change_caller(&mut self) {
        let Role::Change { caller, user, .. } = self.role() else { return };
        let member = self.db().members[usize::from(caller)];
        let may = self.db().member(caller).is_some_and(|member| member.admin || caller == user);
        let next = match may || self.is(Mutant::CallerUnasked) {
            true => Step::ChangeMember(Change { outsider: !may, ..Change::default() }),
            false => Step::Ended,
        };
        self.read(next, || format!("reads the caller's MEMBER: {}", found(member)));
    }

    /// Whose membership is changed, how, and by which request. A hand-over changes two, and the second remembers the request
    /// under a number of its own.
    fn change(&self, change: Change) -> (u8, What, u8) {
        match self.role() {
            Role::Change { request, caller, what: What::HandOver, .. } if change.second => {
                (caller, What::Dismiss, request + 1)
            }
            Role::Change { request, what: What::HandOver, user, .. } => (user, What::Appoint, request),
            Role::Change { request, what, user, .. } => (user, what, request),
            _ => (A, What::Add, 0),
        }
    }

    pub(super) fn change_member(&mut self, change: Change) {
        if self.is(Mutant::TailBeforeMember) && change.tail.is_none() {
            return self.change_tail(change, None);
        }
        let (user, what, request) = self.change(change);
        let seen = self.db().members[usize::from(user)];
        let tail_then = self.db().log_tail();
        let joins = what == What::Add && seen.is_none_or(|member| !member.joined);
        let remembered = seen.is_some_and(|member| has(member.requests, request));
        let idle = match what {
            What::Add => !joins && self.is(Mutant::AddOfMemberForgotten),
            What::Remove => seen.is_none_or(|member| !member.joined) && self.is(Mutant::RemoveOfOutsiderForgotten),
            // In `admins` who isn't a member is ignored.
            What::Appoint | What::Dismiss | What::HandOver => seen.is_none_or(|member| !member.joined),
        };
        let tail = change.tail;
        let next = match seen {
            Some(member) if remembered => self.changed(change, user, member),
            _ if idle => Step::Ended,
            _ if joins && tail.is_none() => Step::ChangeTail(change, seen),
            _ => {
                Step::ChangePut { change, seen, tail: tail.unwrap_or(0), tail_then: if joins { tail_then } else { 0 } }
            }
        };
        let words = || format!("reads MEMBER {}: {}", name(user), found(seen));
        self.step(words, |state| {
            // What needs no change is answered alike.
            if idle && !remembered {
                state.history.done |= 1 << request;
            }
            next
        });
    }

    pub(super) fn change_tail(&mut self, change: Change, seen: Option<Member>) {
        let tail = self.db().log_tail();
        let next = match self.is(Mutant::TailBeforeMember) {
            true => Step::ChangeMember(Change { tail: Some(tail), ..change }),
            false => Step::ChangePut { change, seen, tail, tail_then: tail },
        };
        self.read(next, || format!("reads the log's tail: {tail}"));
    }

    pub(super) fn change_put(&mut self, change: Change, seen: Option<Member>, tail: u8, tail_then: u8) {
        let (user, what, request) = self.change(change);
        let forgets = self.is(Mutant::RequestForgotten);
        let member = changed_member(seen, what, request, tail, forgets);
        let member = Member { first_seq: if self.is(Mutant::FirstSeqOne) { 1 } else { member.first_seq }, ..member };
        let keeps = self.is(Mutant::TailKept) && what == What::Add;
        let again = Change { tail: keeps.then_some(tail).or(change.tail), ..change };
        let made_next = self.changed(change, user, member);
        let seen = seen.map(|member| member.version);
        let put = MemberPut { user, seen, member, request: Some(request), tail_then };
        self.write(Write::MemberPut(put), |state, made| {
            if made && change.outsider {
                state.history.fault = Some(Fault::ChangedByOutsider);
            }
            if made { made_next } else { Step::ChangeMember(again) }
        });
    }

    /// What comes after a membership was changed: the next one, or what is due.
    fn changed(&self, change: Change, user: u8, member: Member) -> Step {
        let hands_over = matches!(self.role(), Role::Change { what: What::HandOver, .. });
        if hands_over && !change.second {
            return Step::ChangeMember(Change { second: true, ..change });
        }
        if member.listed { self.effects(Work::of(user, member)) } else { Step::Ended }
    }

    pub(super) fn rename_meta(&mut self) {
        let Role::Rename { request } = self.role() else { return };
        let Some(meta) = self.db().meta else { return };
        let next = match has(meta.requests, request) {
            true => Step::Ended,
            false => Step::RenamePut { roster: meta.roster },
        };
        self.read(next, || format!("reads META: roster {}", meta.roster));
    }

    pub(super) fn rename_put(&mut self, roster: u8) {
        let Role::Rename { request } = self.role() else { return };
        self.write(Write::MetaRename { roster, request }, |_, made| if made { Step::Ended } else { Step::RenameMeta });
    }
}

/// The effects for a member of a new group.
const fn created(user: u8) -> Work {
    Work { user, version: 1, joined: true, first_seq: 1 }
}

/// `createGroup` is answered.
fn answer_create(state: &mut State, others: Bits) {
    state.history.created = true;
    if invited(others).any(|user| state.db.members[usize::from(user)].is_none()) {
        state.history.fault = Some(Fault::CreatedInPart);
    }
}

/// What a membership becomes. What is so already gets a version and remembers the request, and nothing more is due.
fn changed_member(seen: Option<Member>, what: What, request: u8, tail: u8, forgets: bool) -> Member {
    let nobody = Member { version: 0, joined: false, admin: false, first_seq: 1, listed: false, requests: 0 };
    let before = seen.unwrap_or(nobody);
    let requests = if forgets { before.requests } else { before.requests | 1 << request };
    let next = Member { version: before.version + 1, requests, ..before };
    match what {
        What::Add if !before.joined => Member { joined: true, admin: false, first_seq: tail + 1, listed: true, ..next },
        What::Remove if before.joined => Member { joined: false, admin: false, listed: true, ..next },
        What::Add | What::Remove => next,
        What::Appoint | What::HandOver => Member { admin: true, listed: true, ..next },
        What::Dismiss => Member { admin: false, listed: true, ..next },
    }
}
