//! A send to a group, and the sweep of sends. What `model` shows of sends is taken as given: a claim is made once, whoever
//! tries, and each claim gets one number.

use super::configurations::Role;
use super::mutants::Mutant;
use super::state::{Process, State};
use super::step::{Push, Step};
use super::store::{Bits, Db, Fault, Slot, USERS, found, has, name};
use super::write::Write;

/// Where an attempt goes on with a send that was decided.
const fn resume(sid: u8, to: Bits) -> Step {
    Step::Publish { sid, void: false, to }
}

impl Process<'_> {
    fn send(&self) -> (u8, u8) {
        if let Role::Send { sid, sender } = self.role() { (sid, sender) } else { (0, 0) }
    }

    /// Who may be pushed: whoever has a device, and isn't the sender.
    fn devices(&self, sid: u8) -> Bits {
        let sender = self.configuration.senders[usize::from(sid)];
        self.configuration.devices() & !(1 << sender)
    }

    /// The first from a person on who may be pushed.
    fn device_from(&self, sid: u8, from: u8) -> Option<u8> {
        (from..USERS as u8).find(|user| has(self.devices(sid), *user))
    }

    pub(super) fn send_account(&mut self) {
        let (sid, _) = self.send();
        let (open, receipt) = (has(self.db().open, sid), has(self.db().receipts, sid));
        let next = match (receipt, open) {
            (true, _) => Step::Ended,
            (_, true) if !self.is(Mutant::ResumeAsksMember) => resume(sid, 0),
            _ => Step::SendMember,
        };
        self.read(next, || format!("reads ACCOUNT and RECEIPT: open {open}, finished {receipt}"));
    }

    pub(super) fn send_member(&mut self) {
        let (sid, sender) = self.send();
        let member = self.db().members[usize::from(sender)];
        let joined = self.db().member(sender).is_some();
        let early = self.is(Mutant::ReceiversAtLook);
        let next = match joined || self.is(Mutant::SenderUnasked) {
            true if early => Step::SendEarly { at: 0, to: 0 },
            true => Step::Claim { outsider: !joined, to: 0 },
            false => Step::SendAgain,
        };
        let final_now =
            next == Step::SendAgain && (self.is(Mutant::RefusedByFirstLook) || self.is(Mutant::ResumeAsksMember));
        let words = || format!("reads the sender's MEMBER: {}", found(member));
        self.step(words, |state| {
            if final_now {
                refuse(state, sid);
                return Step::Ended;
            }
            next
        });
    }

    /// Who is out isn't refused what was decided before: another attempt may have claimed since ACCOUNT was read.
    pub(super) fn send_again(&mut self) {
        let (sid, _) = self.send();
        let open = has(self.db().open, sid);
        let next = if open { resume(sid, 0) } else { Step::Ended };
        self.read(next, || format!("reads ACCOUNT and RECEIPT again: open {open}"));
    }

    pub(super) fn send_early(&mut self, at: u8, to: Bits) {
        let (sid, _) = self.send();
        let Some(user) = self.device_from(sid, at) else {
            return self.read(Step::Claim { outsider: false, to }, || "has read the MEMBERs".to_owned());
        };
        let member = self.db().member(user);
        let to = to | u8::from(member.is_some()) << user;
        self.read(Step::SendEarly { at: user + 1, to }, || format!("reads MEMBER {}: {}", name(user), found(member)));
    }

    pub(super) fn claim(&mut self, outsider: bool, to: Bits) {
        let (sid, _) = self.send();
        self.write(
            Write::Claim { sid, outsider },
            |state, _| {
                if has(state.db.open, sid) { resume(sid, to) } else { Step::Ended }
            },
        );
    }

    /// What is published moves TAIL; a void has no other effects than its RECEIPT.
    pub(super) fn publish(&mut self, sid: u8, void: bool, to: Bits) {
        let early = self.is(Mutant::ReceiversAtLook);
        let receipt_first = self.is(Mutant::ReceiptBeforeTail);
        let before = self.is(Mutant::ReceiversBeforeTail) || self.is(Mutant::PushBeforeTail) || receipt_first;
        self.write(Write::Publish(Slot { sid, void }), |state, _| match place(&state.db, sid) {
            Some(seq) => {
                let push = Push { sid, seq, at: 0, to: if early { to } else { 0 } };
                match before {
                    true if receipt_first => Step::ReceiptEarly(push),
                    true => Step::Receivers(push),
                    false => Step::Tail(push),
                }
            }
            None => Step::Receipt(sid),
        });
    }

    pub(super) fn tail(&mut self, push: Push) {
        let next = match self.mutant {
            Some(Mutant::ReceiversBeforeTail | Mutant::ReceiversAtLook) => self.presences(push),
            Some(Mutant::PushBeforeTail) => Step::Receipt(push.sid),
            Some(Mutant::ReceiptBeforePush) => Step::ReceiptEarly(push),
            Some(Mutant::PresenceFirst) => self.presences(Push { to: self.devices(push.sid), ..push }),
            _ => self.receiving(push),
        };
        self.write(Write::TailForward { seq: push.seq }, |_, _| next);
    }

    fn receiving(&self, push: Push) -> Step {
        self.device_from(push.sid, 0).map_or(Step::Receipt(push.sid), |at| Step::Receivers(Push { at, ..push }))
    }

    fn pushing(&self, push: Push) -> Step {
        let next = (0..USERS as u8).find(|user| has(push.to, *user));
        next.map_or(self.pushed(push), |at| Step::Push(Push { at, ..push }))
    }

    fn presences(&self, push: Push) -> Step {
        self.present_from(Push { at: 0, ..push })
    }

    fn pushed(&self, push: Push) -> Step {
        if self.is(Mutant::PushBeforeTail) { Step::Tail(push) } else { Step::Receipt(push.sid) }
    }

    /// Those who are in and may see the number.
    pub(super) fn receivers(&mut self, push: Push) {
        let Some(user) = self.device_from(push.sid, push.at) else {
            // Nobody has a device.
            return self.read(self.received(push), || "has read the MEMBERs".to_owned());
        };
        let member = self.db().member(user);
        let below = self.is(Mutant::PushBelowFirstSeq);
        let gets = member.is_some_and(|member| member.first_seq <= push.seq || below);
        // Of a mutant: PRESENCE was read before.
        let to = match self.is(Mutant::PresenceFirst) {
            true if gets => push.to,
            true => push.to & !(1 << user),
            false => push.to | u8::from(gets) << user,
        };
        let push = Push { at: user + 1, to, ..push };
        let next = match self.device_from(push.sid, push.at) {
            Some(at) => Step::Receivers(Push { at, ..push }),
            None => self.received(push),
        };
        self.read(next, || format!("reads MEMBER {}: {}", name(user), found(member)));
    }

    fn received(&self, push: Push) -> Step {
        match self.mutant {
            Some(Mutant::ReceiversBeforeTail) => Step::Tail(push),
            Some(Mutant::PresenceFirst) => self.pushing(push),
            _ => self.presences(push),
        }
    }

    /// Of those who are to be pushed, who is connected.
    pub(super) fn presence(&mut self, push: Push) {
        let user = push.at;
        let connected = has(self.db().connected, user);
        let gone = if connected { 0 } else { 1 << user };
        let push = Push { at: user + 1, to: push.to & !gone, ..push };
        let next = match self.present_from(push) {
            Step::Push(push) if self.is(Mutant::PresenceFirst) => self.receiving(push),
            next => next,
        };
        self.read(next, || format!("reads PRESENCE {}: connected {connected}", name(user)));
    }

    /// The PRESENCE to read next; after the last, the pushes.
    fn present_from(&self, push: Push) -> Step {
        match (push.at..USERS as u8).find(|user| has(push.to, *user)) {
            Some(at) => Step::Presence(Push { at, ..push }),
            None => self.pushing(push),
        }
    }

    pub(super) fn push(&mut self, push: Push) {
        let user = push.at;
        let next = (user + 1..USERS as u8).find(|user| has(push.to, *user));
        let next = next.map_or(self.pushed(push), |at| Step::Push(Push { at, ..push }));
        let words = || format!("pushes number {} to {}", push.seq, name(user));
        self.step(words, |state| {
            state.show(user, 1 << push.sid);
            next
        });
    }

    /// Only of mutants: RECEIPT, and then the rest.
    pub(super) fn receipt_early(&mut self, push: Push) {
        let next = if self.is(Mutant::ReceiptBeforeTail) { Step::Tail(push) } else { self.receiving(push) };
        self.write(Write::ReceiptPut { sid: push.sid }, |_, _| next);
    }

    pub(super) fn receipt(&mut self, sid: u8) {
        let next = if self.role() == Role::SweepSends { Step::SweepSends } else { Step::Ended };
        self.write(Write::ReceiptPut { sid }, |_, _| next);
    }

    /// The first send that is open ends as what it is, or as a void.
    pub(super) fn sweep_sends(&mut self) {
        let open = self.db().open;
        let next = (0..self.configuration.senders.len() as u8).find(|sid| has(open, *sid));
        let next = next.map_or(Step::Ended, |sid| Step::Publish { sid, void: true, to: 0 });
        self.read(next, || format!("reads ACCOUNT: open {open:b}"));
    }
}

/// The number of a send's message.
fn place(db: &Db, sid: u8) -> Option<u8> {
    db.place(sid).filter(|(_, void)| !void).map(|(seq, _)| seq)
}

/// A send is refused for good.
fn refuse(state: &mut State, sid: u8) {
    if has(state.db.open, sid) || state.db.place(sid).is_some() {
        state.history.fault = Some(Fault::RefusedThoughDecided);
    }
}
