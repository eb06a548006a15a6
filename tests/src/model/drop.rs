//! What is finished is dropped. Stands for `drop_finished` in `shared::chat::send`.

use super::mutants::Mutant;
use super::state::Process;
use super::step::{Claim, Drop, Step, Then};
use super::store::{SENDERS, SENDS, Upto, each, found, time_of_last};
use super::write::{AccountDrop, Write};

impl Process<'_> {
    pub(super) fn drop_account(&mut self, then: Then, queried: Option<u8>) {
        let user = self.user();
        if self.is(Mutant::RepairQueryBeforeAccount) && !self.is_old() && queried.is_none() {
            let last = self.last_receipt();
            return self
                .read(Step::DropAccountLast(then, last), || format!("drop: queries RECEIPT, too early: {last}"));
        }
        let account = self.db().accounts[usize::from(user)];
        let epoch = account.epoch;
        let upto =
            queried.map_or(account.upto(), |last| Upto { dropped: account.dropped_upto.max(last), agrees: true });
        let todo = self.db().open_of(user);
        let prices = self.db().open.map(|open| open.map_or(0, |open| open.price));
        let prices = std::array::from_fn(|sid| if todo & (1 << sid) != 0 { prices[sid] } else { 0 });
        let of_all = then == Then::Unlist;
        let drop = Drop { then, epoch, prices, todo, finished: 0, refunds: [0; SENDS], of_all, upto };
        let next = match todo {
            0 if of_all => Step::Unlist,
            0 => self.after_drop(&drop),
            _ => Step::DropReceipts(drop),
        };
        self.read(next, || format!("drop: reads ACCOUNT: {account}, open {:?}", each(todo).collect::<Vec<_>>()));
    }

    pub(super) fn drop_receipts(&mut self, drop: Drop) {
        for sid in each(drop.todo) {
            let at = usize::from(sid);
            let receipt = self.db().receipts[at];
            let mut drop = Drop { todo: drop.todo & !(1 << sid), ..drop };
            if receipt.is_some() || self.is(Mutant::DropWithoutReceipt) {
                drop.finished |= 1 << sid;
            } else {
                drop.of_all = false;
            }
            if receipt.is_some_and(|receipt| receipt.void) && !self.is(Mutant::RefundNeverMade) {
                drop.refunds[at] = drop.prices[at];
            }
            let next = match drop {
                Drop { todo: 0, finished: 0, .. } => self.after_drop(&drop),
                Drop { todo: 0, .. } => self.drop_gathered(drop),
                _ => Step::DropReceipts(drop),
            };
            self.read(next, || format!("drop: reads RECEIPT of send {sid}: {}", found(receipt)));
        }
    }

    /// Where an earlier version has dropped, ACCOUNT doesn't tell how far: who drops a send whose id sorts by time asks the
    /// RECEIPTs. They are never removed: what was dropped before ACCOUNT was read is among them, and what is dropped
    /// later changes the epoch.
    fn drop_gathered(&self, mut drop: Drop) -> Step {
        let by_time = drop.finished & self.configuration.by_time != 0;
        drop.upto.agrees |= self.is(if by_time { Mutant::RepairWithoutQuery } else { Mutant::RepairByOther });
        if by_time && !drop.upto.agrees && !self.is_old() { Step::DropQuery(drop) } else { Step::DropWrite(drop) }
    }

    pub(super) fn drop_query(&mut self, drop: Drop) {
        let last = self.last_receipt();
        let upto = Upto { dropped: drop.upto.dropped.max(last), agrees: true };
        self.read(Step::DropWrite(Drop { upto, ..drop }), || format!("drop: queries the last RECEIPT by time: {last}"));
    }

    /// The highest time of the user's RECEIPTs.
    fn last_receipt(&self) -> u8 {
        let (user, db) = (self.user(), self.db());
        let theirs = |sid: &u8| SENDERS[usize::from(*sid)] == user && db.receipts[usize::from(*sid)].is_some();
        time_of_last(each(self.configuration.by_time).filter(theirs))
    }

    /// What `dropped_upto` is after a drop, if it says so.
    fn upto_after(&self, drop: &Drop) -> Option<u8> {
        let void = |sid: &u8| drop.refunds[usize::from(*sid)] > 0 && self.is(Mutant::DropOfVoidLeavesUpto);
        let by_time = each(drop.finished & self.configuration.by_time).filter(|sid| !void(sid));
        let dropped = time_of_last(by_time.filter(|_| !self.is(Mutant::DropLeavesUpto)));
        let seen = if self.is(Mutant::DropUptoSinks) && dropped > 0 { 0 } else { drop.upto.dropped };
        (drop.upto.agrees && !self.is_old()).then_some(dropped.max(seen))
    }

    pub(super) fn drop_write(&mut self, drop: Drop) {
        let outside = self.is(Mutant::RefundOutsideDrop) && drop.refunds != [0; SENDS];
        let (after, upto) = (self.after_drop(&drop), self.upto_after(&drop));
        let refunds = if outside { [0; SENDS] } else { drop.refunds };
        let Drop { epoch, finished, of_all, .. } = drop;
        let write = Write::AccountDrop(AccountDrop { user: self.user(), epoch, finished, refunds, of_all, upto });
        let claimed = self.db().accounts[usize::from(self.user())].epoch == epoch;
        self.write(write, |_, made| match made {
            true if outside => Step::Refund(drop),
            // Another send was claimed: it needs the place.
            false if of_all && claimed => Step::DropWrite(Drop { of_all: false, ..drop }),
            _ => after,
        });
    }

    /// Who needed room looks again if there was something to drop, and is `rate_limited` if not.
    pub(super) fn after_drop(&self, drop: &Drop) -> Step {
        match drop.then {
            Then::LookAgain(claim) if drop.finished != 0 && self.is(Mutant::ClaimAfterOwnDrop) => {
                Step::Claim(Claim { epoch: drop.epoch + 1, ..claim })
            }
            Then::LookAgain(claim) if drop.finished != 0 => self.look_again(claim.round),
            Then::End | Then::LookAgain(_) | Then::Unlist => Step::Ended,
        }
    }
}
