//! One send's way. Stands for `shared::chat::send` (look, decide, publish, effects, drop: in this order here, too) and for `send` in
//! `functions/send`. Each request to the store is a step of its own; what is decided from its answer belongs to the same step,
//! as nobody else can see it.

use super::configurations::Role;
use super::mutants::Mutant;
use super::settle::Settle;
use super::state::{Process, State};
use super::step::{Claim, Decided, Look, Seen, Step, Then};
use super::store::{
    Answer, Bits, Content, Fault, Meta, NOBODY, OpenSend, Receipt, SENDS, Said, SendId, Slot, each, earn, found,
    set_of, share, time_of, time_of_last,
};
use super::write::{AccountClaim, By, Raise, Write};

impl Process<'_> {
    // ---- look.rs ---------------------------------------------------------------------------------------------------

    pub(super) fn look(&mut self, look: Look) {
        let sid = usize::from(self.sid());
        let receipt = self.db().receipts[sid];
        if self.is(Mutant::ReceiptBeforeAccount) && look.receipt.is_none() {
            let next = Step::Look(Look { receipt: Some(receipt), ..look });
            return self.read(next, || format!("look: reads RECEIPT, too early: {}", found(receipt)));
        }
        if look.account.is_none() {
            let seen = self.seen();
            let account = self.db().accounts[usize::from(self.user())];
            let next = self.looked(Look { account: Some(seen), ..look });
            self.read(next, || format!("look: reads ACCOUNT: {account}, open: {}", found(seen.open)));
        }
        if look.base.is_none() {
            let base = self.db().log_tail();
            let next = self.looked(Look { base: Some(base), ..look });
            self.read(next, || format!("look: reads the log's tail: {base}"));
        }
        if look.conversation.is_none() && self.configuration.first_message {
            let conversation = self.db().conversation;
            let next = self.looked(Look { conversation: Some(conversation), ..look });
            self.read(next, || format!("look: reads META: {}", if conversation { "it is there" } else { "nothing" }));
        }
        if look.meta.is_none() && self.configuration.archives {
            let meta = self.db().meta;
            let next = self.looked(Look { meta: Some(meta), ..look });
            self.read(next, || format!("look: reads META: {meta}"));
        }
        if let Some((account, conversation, claim)) = looked_at(look) {
            self.judge_look(look, account, conversation, claim);
        }
    }

    /// What a look sees of ACCOUNT.
    fn seen(&self) -> Seen {
        let (user, sid) = (self.user(), self.sid());
        let account = self.db().accounts[usize::from(user)];
        let upto = account.upto();
        let poor = self.configuration.first_message && account.balance < self.own_price().cast_signed();
        let may_drop = self.configuration.claims_drop && !self.is_old();
        let drops = may_drop && (upto.agrees || self.is(Mutant::ClaimDropRepairs));
        let others = if drops { self.db().open_of(user) & !(1 << sid) } else { 0 };
        Seen { epoch: account.epoch, open: self.db().open[usize::from(sid)], poor, upto, others }
    }

    /// A look after one of its first reads. Where META doesn't change, that read needs no step; nor does what is decided
    /// without RECEIPT.
    fn looked(&self, look: Look) -> Step {
        let meta = look.meta.or((!self.configuration.archives).then_some(Meta::default()));
        let conversation = look.conversation.or((!self.configuration.first_message).then_some(true));
        let look = Look { meta, conversation, ..look };
        match looked_at(look) {
            Some((account, conversation, claim)) if self.needs_no_receipt(&account) => {
                unclaimed(account, conversation, Claim { by_id: true, ..claim })
            }
            _ => Step::Look(look),
        }
    }

    /// Whether ACCOUNT alone says that the send was never claimed.
    fn needs_no_receipt(&self, account: &Seen) -> bool {
        let Seen { open, upto, .. } = account;
        let by_time = self.configuration.by_time & (1 << self.sid()) != 0 && !self.is_old();
        by_time && open.is_none() && upto.agrees && time_of(self.sid()) > upto.dropped
    }

    // ---- decide.rs -------------------------------------------------------------------------------------------------

    /// The look's last read, RECEIPT, and `decide`: ended, under way, and only then whether it may be.
    fn judge_look(&mut self, look: Look, account: Seen, conversation: bool, claim: Claim) {
        let receipt = look.receipt.unwrap_or(self.db().receipts[usize::from(self.sid())]);
        let early = look.receipt.map_or("reads", |_| "goes by the early");
        let words = || format!("look: {early} RECEIPT: {}", found(receipt));
        if let Some(receipt) = receipt {
            return self.finished(receipt, words);
        }
        let next = match account.open {
            Some(open) if conversation => {
                let base = if self.is(Mutant::ResumeWithOwnBase) { claim.base } else { open.base };
                return self.resume(OpenSend { base, ..open }, claim.meta, words);
            }
            Some(_) if self.is(Mutant::ResumeWithoutConversation) => {
                return self.step(words, |state, index| {
                    state.processes[index] = Step::Ended;
                    state.history.fault = Some(Fault::RefusedThoughClaimed);
                });
            }
            Some(open) => Step::ConversationAgain(open),
            None => unclaimed(account, conversation, claim),
        };
        self.read(next, words);
    }

    /// META was read beside ACCOUNT, and the conversation was made in between.
    pub(super) fn conversation_again(&mut self, open: OpenSend) {
        let there = self.db().conversation;
        if there {
            self.resume(open, Meta::default(), || "decide: reads META again: it is there".to_owned());
        }
    }

    /// `affordable`: refuses early what the claim would refuse, so that no conversation is made. After settling the coins may
    /// be gone because another attempt has claimed this very send with them: that is no reason to refuse.
    pub(super) fn affordable(&mut self, claim: Claim, settle: Settle) {
        let Role::Attempt { sid, price, .. } = self.role() else { return };
        if settle != Settle::Done {
            return self.settle(self.user(), settle, |settle| Step::Affordable(claim, settle));
        }
        let account = self.db().accounts[usize::from(self.user())];
        let open = self.db().open[usize::from(sid)];
        let unclaimed = open.is_none() && account.epoch == claim.epoch;
        let poor = account.balance < price.cast_signed() && (unclaimed || self.is(Mutant::AffordableByBalanceAlone));
        let words = || format!("affordable: reads ACCOUNT: {account}, open: {}", found(open));
        self.step(words, |state, index| {
            state.processes[index] = match poor {
                true => state.insufficient_balance(sid, Claim { settled: true, ..claim }),
                false => Step::CreateDirect(claim),
            };
        });
    }

    /// `finished`: the same send is answered as before; another with its id is refused.
    fn finished(&mut self, receipt: Receipt, words: impl FnOnce() -> String) {
        let Role::Attempt { sid, content, .. } = self.role() else { return self.read(Step::Ended, words) };
        self.step(words, |state, index| {
            state.processes[index] = Step::Ended;
            if receipt.fingerprint != content {
                state.refuse_reused(sid, content);
            } else {
                let answer = if receipt.void { Answer::Expired } else { Answer::Sent(receipt.seq) };
                state.answer(sid, content, answer);
            }
        });
    }

    /// `resume`: goes on with what was recorded.
    fn resume(&mut self, send: OpenSend, meta: Meta, words: impl FnOnce() -> String) {
        let next = self.resumed(send, meta);
        let Role::Attempt { sid, content, .. } = self.role() else { return };
        self.step(words, |state, index| {
            state.processes[index] = next;
            if next == Step::Ended {
                state.refuse_reused(sid, content);
            }
        });
    }

    fn resumed(&self, send: OpenSend, meta: Meta) -> Step {
        let Role::Attempt { sid, content, .. } = self.role() else { return Step::Ended };
        if send.fingerprint != content && !self.is(Mutant::FingerprintUnchecked) {
            return Step::Ended;
        }
        self.publish(Decided { sid, send, meta, rest: [None; SENDS] })
    }

    /// `claim`: claims with one look. Which RECEIPTs a process knows of is up to its past: it drops nothing, or all that has
    /// one by now.
    pub(super) fn claim(&mut self, claim: Claim) {
        let known = set_of(each(claim.others).filter(|sid| self.may_drop(*sid)));
        self.claim_and_drop(claim, 0);
        if known != 0 {
            self.claim_and_drop(claim, known);
        }
    }

    /// Whether a claim may drop a send: it has a RECEIPT, with a number.
    fn may_drop(&self, sid: SendId) -> bool {
        let message = |slot: Slot| slot.sid == sid && slot.said != Said::Void;
        match self.db().receipts[usize::from(sid)] {
            Some(receipt) => !receipt.void || self.is(Mutant::ClaimDropsVoid),
            None => self.is(Mutant::ClaimDropsAnswered) && self.db().log.into_iter().flatten().any(message),
        }
    }

    /// The claim's write, and what a refusal of it means.
    fn claim_and_drop(&mut self, claim: Claim, drops: Bits) {
        let Role::Attempt { sid, content, price, .. } = self.role() else { return };
        let send = OpenSend { base: claim.base, price, fingerprint: content };
        let made = self.publish(Decided { sid, send, meta: claim.meta, rest: [None; SENDS] });
        let db = self.db();
        let account = db.accounts[usize::from(self.user())];
        let stale = match claim.by_id {
            true => !account.upto().agrees || time_of(sid) <= account.dropped_upto,
            false => account.epoch != claim.epoch,
        };
        let full = db.open_of(self.user()).count_ones() >= u32::from(self.configuration.open_max);
        let poor = account.balance < price.cast_signed();
        let balance_first = self.is(Mutant::BalanceJudgedBeforeOpen);
        let balance_second = claim.by_id && self.is(Mutant::ByIdJudgedByBalanceFirst);
        let epoch_first = self.is(Mutant::EpochJudgedBeforeOpen);
        let resumed = db.open[usize::from(sid)].map(|open| self.resumed(open, claim.meta));
        let look_again = match claim.by_id && self.is(Mutant::ByIdThenByEpoch) {
            true => Step::Claim(Claim { by_id: false, epoch: account.epoch, others: 0, ..claim }),
            false => self.look_again(claim.round),
        };
        self.write(self.claim_of(claim, send, drops), |state, done| match resumed {
            _ if done => made,
            _ if poor && balance_first => state.insufficient_balance(sid, claim),
            _ if stale && epoch_first => look_again,
            Some(Step::Ended) => {
                state.refuse_reused(sid, content);
                Step::Ended
            }
            Some(next) => next,
            None if poor && balance_second => state.insufficient_balance(sid, claim),
            None if stale => look_again,
            None if full => Step::DropAccount(Then::LookAgain(claim)),
            None if poor => state.insufficient_balance(sid, claim),
            // `dropped_upto` would sink.
            None => Step::Claim(Claim { others: 0, ..claim }),
        });
    }

    /// `account_claim`, with what it drops.
    fn claim_of(&self, claim: Claim, send: OpenSend, drops: Bits) -> Write {
        let seen = if self.is(Mutant::ClaimByEpochUptoSinks) && !claim.by_id { 0 } else { claim.upto.dropped };
        let raise = match time_of_last(each(drops & self.configuration.by_time)) {
            0 => Raise::Leave,
            dropped if !claim.by_id => Raise::To(dropped.max(seen)),
            dropped if dropped > seen => Raise::IfBelow(dropped),
            _ => Raise::Leave,
        };
        let by = if claim.by_id { By::Id } else { By::Epoch(claim.epoch) };
        Write::AccountClaim(AccountClaim { sid: self.sid(), send, by, drops, raise })
    }

    pub(super) fn look_again(&self, round: u8) -> Step {
        let round = round + 1;
        if round < self.configuration.looks_max { Step::Look(Look { round, ..Look::default() }) } else { Step::Ended }
    }

    // ---- publish.rs ------------------------------------------------------------------------------------------------

    /// `publish`: where the walk begins.
    pub(super) fn publish(&self, decided: Decided) -> Step {
        let first = decided.send.base + 1;
        let voids = matches!(self.role(), Role::Sweep { .. });
        if self.is(Mutant::BaseAfterClaim) {
            Step::Tail(decided)
        } else if self.is(Mutant::VoidBypassesPublish) && voids {
            Step::ReceiptPut { decided, seq: 0, void: true }
        } else if self.is(Mutant::ReceiptBeforePublish) && !voids {
            Step::ReceiptPut { decided, seq: first, void: false }
        } else if decided.meta.first_seq > first && !self.is(Mutant::ReceiptNotReadAgain) {
            Step::ReceiptAgain(decided)
        } else {
            Step::LogPublish(decided, first.max(decided.meta.first_seq))
        }
    }

    pub(super) fn receipt_again(&mut self, decided: Decided) {
        let receipt = self.db().receipts[usize::from(decided.sid)];
        let words = || format!("publish: reads RECEIPT again: {}", found(receipt));
        match receipt {
            None => self.read(Step::LogPublish(decided, decided.meta.first_seq), words),
            Some(_) if matches!(self.role(), Role::Sweep { .. }) => self.read(self.sweep_next(decided.rest), words),
            Some(receipt) => self.finished(receipt, words),
        }
    }

    pub(super) fn log_publish(&mut self, decided: Decided, seq: u8) {
        let (sid, said) = match self.role() {
            Role::Attempt { content, .. } => (decided.sid, Said::Message(content)),
            _ if self.is(Mutant::VoidWithoutSid) => (NOBODY, Said::Void),
            _ => (decided.sid, Said::Void),
        };
        let there = self.db().slot(seq);
        let here = self.placed(decided, seq, said == Said::Void);
        let taken = match there {
            Some(slot) if slot.sid == decided.sid && self.notices_own() => {
                self.placed(decided, seq, slot.said == Said::Void)
            }
            _ => (Step::LogSlots { decided, from: seq + 1, at: seq + 1, others: 0, own: None }, None),
        };
        let role = self.role();
        self.write(Write::LogPublish { seq, slot: Slot { sid, said } }, |state, made| {
            state.go(role, if made { here } else { taken })
        });
    }

    /// `log_slots`, a slot a step; then the walk goes on at the first number missing.
    pub(super) fn log_slots(&mut self, decided: Decided, from: u8, at: u8, others: Bits, own: Option<(u8, bool)>) {
        let slot = self.db().slot(at);
        let own = match slot {
            Some(slot) if slot.sid == decided.sid && self.notices_own() => own.or(Some((at, slot.said == Said::Void))),
            _ => own,
        };
        let others = if slot.is_some() { others | 1 << at } else { others };
        let next = if at < self.configuration.slots() {
            (Step::LogSlots { decided, from, at: at + 1, others, own }, None)
        } else if let Some((seq, void)) = own {
            self.placed(decided, seq, void)
        } else {
            let mut next = (from..).find(|seq| others & (1 << seq) == 0).unwrap_or(from);
            if self.is(Mutant::HighestPlusOne) {
                next = each(others).last().map_or(from, |highest| highest + 1);
            }
            let end = decided.meta.first_seq.max(decided.send.base + 1) + self.configuration.walk_slots_max;
            let base = if self.is(Mutant::RaiseBaseTooFar) { next } else { next - 1 };
            (if next < end { Step::LogPublish(decided, next) } else { Step::RaiseBase(decided, base) }, None)
        };
        let role = self.role();
        self.step(
            || format!("log_slots: reads slot {at}: {}", found(slot)),
            |state, index| {
                state.processes[index] = state.go(role, next);
            },
        );
    }

    fn notices_own(&self) -> bool {
        !(self.is(Mutant::OwnSlotUnnoticed) && matches!(self.role(), Role::Sweep { .. }))
    }

    /// What follows when the send's place is known, and what the client is told: `send` in `functions/send`, `end` in the
    /// sweep. The answer is sent at once; a client that never gets it sees less.
    fn placed(&self, decided: Decided, seq: u8, void: bool) -> (Step, Option<Answer>) {
        let sweeps = matches!(self.role(), Role::Sweep { .. });
        if void && !sweeps {
            match self.is(Mutant::OwnVoidTakenForMessage) {
                true => (self.finish(decided, seq), Some(Answer::Sent(seq))),
                false => (Step::Ended, Some(Answer::Expired)),
            }
        } else if void || self.is(Mutant::ReceiptBeforeEffects) {
            (Step::ReceiptPut { decided, seq, void }, Some(Answer::Sent(seq)))
        } else {
            (self.finish(decided, seq), Some(Answer::Sent(seq)))
        }
    }

    // ---- effects.rs ------------------------------------------------------------------------------------------------

    /// `finish`: the ledger entries and the rest, then the RECEIPT.
    fn finish(&self, decided: Decided, seq: u8) -> Step {
        match self.effects(decided) {
            0 => self.after_entries(decided, seq),
            todo => Step::Entries { decided, seq, todo },
        }
    }

    /// The earning, the house's share, what the inboxes are told, and `relist`, if there is anything to do.
    fn effects(&self, decided: Decided) -> Bits {
        let (earning, share) = self.configuration.amounts(self.price(decided));
        let rests = self.configuration.rests;
        let relists = rests && decided.meta.idle && !self.is(Mutant::RelistForgotten);
        [earning > 0, share > 0, rests, relists].into_iter().rev().fold(0, |bits, is| bits << 1 | Bits::from(is))
    }

    fn price(&self, decided: Decided) -> u8 {
        match self.role() {
            Role::Attempt { price, .. } if self.is(Mutant::ResumeWithOwnPrice) => price,
            _ => decided.send.price,
        }
    }

    pub(super) fn entries(&mut self, decided: Decided, seq: u8, todo: Bits) {
        let (earning, house) = self.configuration.amounts(self.price(decided));
        for entry in each(todo) {
            let left = todo & !(1 << entry);
            let next = match left {
                0 => self.after_entries(decided, seq),
                todo => Step::Entries { decided, seq, todo },
            };
            let write = match entry {
                0 => Write::EntryPut { id: earn(decided.sid), amount: earning },
                1 => Write::EntryPut { id: share(decided.sid), amount: house },
                2 => Write::InboxForward { seq },
                _ => Write::ConversationRelist { sid: decided.sid },
            };
            self.write(write, |_, _| next);
        }
    }

    fn after_entries(&self, decided: Decided, seq: u8) -> Step {
        if self.is(Mutant::ReceiptBeforeEffects) || self.is(Mutant::ReceiptBeforePublish) && self.sid() != NOBODY {
            self.after_receipt(decided)
        } else {
            Step::ReceiptPut { decided, seq, void: false }
        }
    }

    pub(super) fn receipt_put(&mut self, decided: Decided, seq: u8, void: bool) {
        let receipt = Receipt { fingerprint: decided.send.fingerprint, seq, void };
        let next = if self.is(Mutant::ReceiptBeforeEffects) && !void {
            match self.effects(decided) {
                0 => self.after_receipt(decided),
                todo => Step::Entries { decided, seq, todo },
            }
        } else if self.is(Mutant::ReceiptBeforePublish) && self.sid() != NOBODY {
            Step::LogPublish(decided, seq)
        } else {
            self.after_receipt(decided)
        };
        self.write(Write::ReceiptPut { sid: decided.sid, receipt }, |_, _| next);
    }

    /// `tidy`, or the sweep's next. Here every attempt drops; one that doesn't is one that dies first.
    fn after_receipt(&self, decided: Decided) -> Step {
        match self.role() {
            Role::Sweep { .. } => self.sweep_next(decided.rest),
            _ => Step::DropAccount(Then::End),
        }
    }
}

/// What a look has seen, when it has read all but RECEIPT, and the claim that it would make.
fn looked_at(look: Look) -> Option<(Seen, bool, Claim)> {
    let Look { account: Some(account), base: Some(base), meta: Some(meta), conversation: Some(there), .. } = look
    else {
        return None;
    };
    let Seen { epoch, upto, others, .. } = account;
    let claim = Claim { round: look.round, epoch, base, meta, settled: false, by_id: false, upto, others };
    Some((account, there, claim))
}

/// Where a send that was never claimed goes on.
fn unclaimed(account: Seen, conversation: bool, claim: Claim) -> Step {
    match conversation {
        true => Step::Claim(claim),
        false if account.poor => Step::Affordable(claim, Settle::START),
        false => Step::CreateDirect(claim),
    }
}

impl State {
    /// `InsufficientBalance`, after one settling. It may not be said of a send that was claimed: it is charged.
    fn insufficient_balance(&mut self, sid: SendId, claim: Claim) -> Step {
        if !claim.settled {
            return Step::ClaimSettle(claim, Settle::START);
        }
        if self.history.charges[usize::from(sid)] > 0 {
            self.history.fault = Some(Fault::RefusedThoughClaimed);
        }
        Step::Ended
    }

    /// `ClientMessageIdReused`.
    fn refuse_reused(&mut self, sid: SendId, content: Content) {
        self.history.reused[content as usize] |= 1 << sid;
    }

    /// Goes to a step, and tells the client if it is a client's attempt.
    fn go(&mut self, role: Role, (next, answer): (Step, Option<Answer>)) -> Step {
        if let (Role::Attempt { sid, content, .. }, Some(answer)) = (role, answer) {
            self.answer(sid, content, answer);
        }
        next
    }

    /// A client sees a final answer.
    fn answer(&mut self, sid: SendId, content: Content, answer: Answer) {
        let history = &mut self.history;
        let first = history.answers[usize::from(sid)].get_or_insert(answer);
        if *first != answer {
            history.fault = Some(Fault::AnswerContradicted);
        } else if history.reused[content as usize] & (1 << sid) != 0 {
            history.fault = Some(Fault::OtherContentAcknowledged);
        }
    }
}
