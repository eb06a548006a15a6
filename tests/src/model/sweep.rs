//! The sweep: `finish_open` and `end` in `functions/sweep`. And who else is there: the top-up, the cleanup.

use super::configurations::Role;
use super::mutants::Mutant;
use super::state::Process;
use super::step::{Decided, Step, Then};
use super::store::{Meta, OpenSend, SENDS, each, found};
use super::write::Write;

impl Process<'_> {
    /// `finish_open`. Every open send is old enough: the time to wait is patience, not safety.
    pub(super) fn sweep_account(&mut self) {
        let user = self.user();
        let open = self.db().open_of(user);
        let rest = std::array::from_fn(|sid| self.db().open[sid].filter(|_| open & (1 << sid) != 0));
        // Who isn't in the index isn't visited.
        let next = if self.db().accounts[usize::from(user)].listed { self.sweep_next(rest) } else { Step::Ended };
        self.read(next, || format!("sweep: reads ACCOUNT: open {:?}", each(open).collect::<Vec<_>>()));
    }

    /// `end`.
    pub(super) fn end_receipt(&mut self, decided: Decided) {
        let receipt = self.db().receipts[usize::from(decided.sid)];
        let next = match receipt {
            Some(_) => self.sweep_next(decided.rest),
            None if self.configuration.archives => Step::EndConversation(decided),
            None => self.publish(decided),
        };
        self.read(next, || format!("end: reads RECEIPT of send {}: {}", decided.sid, found(receipt)));
    }

    /// The sweep's next open send; when all are ended, it drops what is finished.
    pub(super) fn sweep_next(&self, mut rest: [Option<OpenSend>; SENDS]) -> Step {
        let last_first = matches!(self.role(), Role::Sweep { last_first: true, .. });
        let mut open = (0..SENDS).filter(|sid| rest[*sid].is_some());
        let next = if last_first { open.next_back() } else { open.next() };
        match next.and_then(|sid| rest[sid].take().map(|send| (sid as u8, send))) {
            Some((sid, send)) => Step::EndReceipt(Decided { sid, send, meta: Meta::default(), rest }),
            None => Step::DropAccount(Then::Unlist),
        }
    }

    /// `topup`: TOPUP, which fixes the time of its ENTRY.
    pub(super) fn topup(&mut self) {
        let Role::TopUp { at } = self.role() else { return };
        let own = self.is(Mutant::TopupTimeOwn);
        self.write(Write::Topup { at }, |state, _| {
            let fixed = state.db.topup.filter(|_| !own).unwrap_or(at);
            Step::TopupEntry { at: fixed }
        });
    }

    /// The cleanup's `move_on`: `conversation_move` over slots whose sends have a RECEIPT, never over the highest. That the
    /// archive has them by then is no part of this model.
    pub(super) fn archive(&mut self) {
        let db = self.db();
        let finished = |seq: &u8| {
            let sid = db.slot(*seq).map(|slot| usize::from(slot.sid));
            sid.is_some_and(|sid| db.receipts.get(sid).is_some_and(Option::is_some))
        };
        let seq = (1..db.log_tail()).take_while(finished).last().map(|seq| seq + 1);
        if let Some(seq) = seq {
            self.write(Write::FirstSeq { seq }, |_, _| Step::ArchiveDelete);
        }
    }

    /// The cleanup's `delete`, of what is below `first_seq`, a day later: nobody who read META before is alive, and no
    /// request of theirs can still arrive.
    pub(super) fn archive_delete(&mut self) {
        let first_seq = self.db().meta.first_seq;
        let old = |step: &Step| step.meta().is_some_and(|seen| seen.first_seq < first_seq);
        let publishes = matches!(self.state.late, Some(Write::LogPublish { .. }));
        if publishes || self.state.processes.iter().any(old) {
            return;
        }
        let words = || format!("deletes the slots below {first_seq}");
        self.step(words, |state, index| {
            for at in 0..usize::from(first_seq - 1) {
                state.db.archived[at] = state.db.log[at].take();
            }
            state.processes[index] = Step::Ended;
        });
    }
}
