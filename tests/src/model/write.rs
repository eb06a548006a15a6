//! The conditional writes. Stands for `shared::store`; each has the name and the condition of its method there, and each is
//! one step.

use std::fmt;

use super::mutants::Mutant;
use super::store::{
    Bits, Db, Entry, Fault, History, OpenSend, Receipt, SENDERS, SENDS, SendId, Slot, each, place_of_send, time_of,
};

/// What a claim goes by, beside that the send isn't open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum By {
    /// Nothing was dropped since this epoch.
    Epoch(u8),
    /// The id is above `dropped_upto`, and that is true of this epoch.
    Id,
}

/// What a claim that drops makes of `dropped_upto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Raise {
    Leave,
    /// To this, which the epoch in the condition makes true.
    To(u8),
    /// To this, if it is below.
    IfBelow(u8),
}

/// `account_claim`, which may drop other sends in the same write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct AccountClaim {
    pub(super) sid: SendId,
    pub(super) send: OpenSend,
    pub(super) by: By,
    pub(super) drops: Bits,
    pub(super) raise: Raise,
}

/// `account_drop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct AccountDrop {
    pub(super) user: u8,
    pub(super) epoch: u8,
    pub(super) finished: Bits,
    pub(super) refunds: [u8; SENDS],
    /// `account_drop_all`: these are all, and the account goes out of the index.
    pub(super) of_all: bool,
    /// What `dropped_upto` is then, at the epoch that is then; without it both stay.
    pub(super) upto: Option<u8>,
}

/// A conditional write, on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Write {
    AccountClaim(AccountClaim),
    AccountRaiseBase {
        sid: SendId,
        base: u8,
    },
    AccountDrop(AccountDrop),
    AccountUnlist {
        user: u8,
    },
    LogPublish {
        seq: u8,
        slot: Slot,
    },
    EntryPut {
        id: u8,
        amount: u8,
    },
    ReceiptPut {
        sid: SendId,
        receipt: Receipt,
    },
    Topup {
        at: u8,
    },
    AccountFold {
        user: u8,
        version: u8,
        entries: Bits,
        sum: u8,
    },
    /// Step c of settling: `REMOVE work_pk, work_sk` of an ENTRY.
    EntryUnflag {
        id: u8,
    },
    AccountFolded {
        user: u8,
        version: u8,
    },
    /// Only of a mutant: a refund that isn't part of the drop.
    Refund {
        user: u8,
        refunds: [u8; SENDS],
    },
    /// `create_direct`: META, if there is none.
    CreateDirect,
    /// The archive's: `META.first_seq` forward.
    FirstSeq {
        seq: u8,
    },
    /// `inbox_receive` and `inbox_sent`.
    InboxForward {
        seq: u8,
    },
    ConversationRelist {
        sid: SendId,
    },
    ConversationLookAgain {
        place: u8,
        idle: bool,
    },
    ConversationUnlist {
        seen: u8,
    },
}

impl fmt::Display for AccountClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sid, send, by, drops, raise } = self;
        write!(f, "account_claim of send {sid} ({send}) ")?;
        match by {
            By::Epoch(epoch) => write!(f, "at epoch {epoch}")?,
            By::Id => f.write_str("by its id")?,
        }
        if *drops == 0 {
            return Ok(());
        }
        write!(f, ", dropping {:?}", each(*drops).collect::<Vec<_>>())?;
        match raise {
            Raise::Leave => Ok(()),
            Raise::To(upto) => write!(f, ", dropped_upto to {upto}"),
            Raise::IfBelow(upto) => write!(f, ", dropped_upto to {upto} if it is below"),
        }
    }
}

impl fmt::Display for AccountDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, finished, refunds, of_all, upto, .. } = self;
        let finished: Vec<u8> = each(*finished).collect();
        let name = if *of_all { "account_drop_all" } else { "account_drop" };
        write!(f, "{name} of sends {finished:?} at epoch {epoch}, refund {}", refunds.iter().sum::<u8>())?;
        upto.map_or(Ok(()), |upto| write!(f, ", dropped_upto {upto}"))
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccountClaim(claim) => claim.fmt(f),
            Self::AccountRaiseBase { sid, base } => write!(f, "account_raise_base of send {sid} to {base}"),
            Self::AccountDrop(drop) => drop.fmt(f),
            Self::AccountUnlist { .. } => f.write_str("account_unlist"),
            Self::LogPublish { seq, slot } => write!(f, "log_publish at {seq} of {slot}"),
            Self::EntryPut { id, amount } => write!(f, "entry_put of entry {id}, {amount} coins"),
            Self::ReceiptPut { sid, receipt } => write!(f, "receipt_put of send {sid}: {receipt}"),
            Self::Topup { at } => write!(f, "topup's TOPUP at time {at}"),
            Self::AccountFold { version, entries, sum, .. } => {
                let entries: Vec<u8> = each(*entries).collect();
                write!(f, "account_fold of entries {entries:?}, {sum} coins, at version {version}")
            }
            Self::EntryUnflag { id } => write!(f, "settle c, removing the flag of entry {id},"),
            Self::AccountFolded { version, .. } => write!(f, "account_folded at version {version}"),
            Self::Refund { refunds, .. } => write!(f, "a refund of {}", refunds.iter().sum::<u8>()),
            Self::CreateDirect => f.write_str("create_direct"),
            Self::FirstSeq { seq } => write!(f, "first_seq to {seq}"),
            Self::InboxForward { seq } => write!(f, "the inboxes' last_seq to {seq}"),
            Self::ConversationRelist { .. } => f.write_str("conversation_relist"),
            Self::ConversationLookAgain { idle, .. } => write!(f, "conversation_look_again, idle {idle}"),
            Self::ConversationUnlist { .. } => f.write_str("conversation_unlist"),
        }
    }
}

/// What the conditions go by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) mutant: Option<Mutant>,
    /// How many sends of one user may be open.
    pub(super) open_max: u8,
}

impl Rules {
    fn is(self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

impl Db {
    /// Applies a write if its condition holds; says whether it did. The caller reads the old item (`ALL_OLD`) in the same
    /// step.
    pub(super) fn apply(&mut self, write: Write, history: &mut History, rules: Rules) -> bool {
        match write {
            Write::AccountClaim(claim) => self.account_claim(claim, history, rules),
            Write::AccountRaiseBase { sid, base } => self.account_raise_base(sid, base),
            Write::AccountDrop(drop) => self.account_drop(drop, history, rules),
            Write::AccountUnlist { user } => self.account_unlist(user, rules),
            Write::LogPublish { seq, slot } => self.log_publish(seq, slot, history, rules),
            Write::EntryPut { id, amount } => {
                let entry = Entry { amount, unsettled: true };
                put(&mut self.entries[usize::from(id)], entry, rules.is(Mutant::EntryPutOverwrites))
            }
            Write::ReceiptPut { sid, receipt } => {
                put(&mut self.receipts[usize::from(sid)], receipt, rules.is(Mutant::ReceiptPutOverwrites))
            }
            Write::Topup { at } => put(&mut self.topup, at, false),
            Write::AccountFold { user, version, entries, sum } => self.account_fold(user, version, entries, sum, rules),
            Write::EntryUnflag { id } => self.entry_unflag(id),
            Write::AccountFolded { user, version } => self.account_folded(user, version, rules),
            Write::Refund { user, refunds } => {
                self.refund(user, refunds, history);
                true
            }
            Write::CreateDirect => !std::mem::replace(&mut self.conversation, true),
            Write::FirstSeq { seq } => {
                let made = self.meta.first_seq < seq;
                self.meta.first_seq = self.meta.first_seq.max(seq);
                made
            }
            Write::InboxForward { seq } => {
                let made = self.told < seq;
                self.told = self.told.max(seq);
                made
            }
            Write::ConversationRelist { sid } => {
                self.place = Some(place_of_send(sid));
                self.due = false;
                self.meta.idle = false;
                true
            }
            Write::ConversationLookAgain { place, idle } => {
                self.place = Some(place);
                self.due = false;
                self.meta.idle |= idle;
                true
            }
            Write::ConversationUnlist { seen } => {
                let made = self.place == Some(seen) || rules.is(Mutant::UnlistAnywhere);
                self.place = self.place.filter(|_| !made);
                made
            }
        }
    }

    /// If the send isn't open, and what the claim goes by still holds, and the balance covers it, and there is room, and
    /// `dropped_upto` doesn't sink.
    fn account_claim(&mut self, claim: AccountClaim, history: &mut History, rules: Rules) -> bool {
        let AccountClaim { sid, send, by, drops, raise } = claim;
        let user = SENDERS[usize::from(sid)];
        let room = self.open_of(user).count_ones() < u32::from(rules.open_max);
        let account = self.accounts[usize::from(user)];
        let price = send.price.cast_signed();
        let not_open = self.open[usize::from(sid)].is_none();
        let by_holds = match by {
            By::Epoch(epoch) => {
                (not_open || rules.is(Mutant::ClaimWithoutOpenAbsent))
                    && (account.epoch == epoch || rules.is(Mutant::ClaimWithoutEpoch))
            }
            By::Id => {
                (not_open || rules.is(Mutant::ClaimByIdWithoutOpenAbsent))
                    && (time_of(sid) > account.dropped_upto || rules.is(Mutant::ClaimByIdWithoutUpto))
                    && (account.upto().agrees || rules.is(Mutant::ClaimByIdWithoutUptoEpoch))
            }
        };
        let rises = match raise {
            Raise::IfBelow(upto) => account.dropped_upto < upto || rules.is(Mutant::ClaimUptoSinks),
            Raise::Leave | Raise::To(_) => true,
        };
        let made = by_holds && (account.balance >= price || rules.is(Mutant::ClaimWithoutBalance)) && room && rises;
        if made {
            self.claim_drop(user, drops, raise, rules);
            self.open[usize::from(sid)] = Some(send);
            let account = &mut self.accounts[usize::from(user)];
            account.balance -= price;
            account.listed = true;
            history.charges[usize::from(sid)] += 1;
            history.paid[usize::from(sid)] += price;
        }
        made
    }

    /// What a claim drops in the same write.
    fn claim_drop(&mut self, user: u8, drops: Bits, raise: Raise, rules: Rules) {
        if drops == 0 {
            return;
        }
        for sid in each(drops) {
            self.open[usize::from(sid)] = None;
        }
        let account = &mut self.accounts[usize::from(user)];
        account.epoch += u8::from(!rules.is(Mutant::ClaimDropLeavesEpoch));
        account.upto_epoch = account.epoch;
        if let Raise::To(upto) | Raise::IfBelow(upto) = raise
            && !rules.is(Mutant::ClaimDropLeavesUpto)
        {
            account.dropped_upto = upto;
        }
    }

    /// If the send is open, with a lower base.
    fn account_raise_base(&mut self, sid: SendId, base: u8) -> bool {
        let lower = self.open[usize::from(sid)].as_mut().filter(|open| open.base < base);
        lower.map(|open| open.base = base).is_some()
    }

    /// If the epoch is the one of the ACCOUNT read; and these are all that is open, if they are to be.
    fn account_drop(&mut self, drop: AccountDrop, history: &mut History, rules: Rules) -> bool {
        let AccountDrop { user, epoch, finished, refunds, of_all, upto } = drop;
        let all = self.open_of(user).count_ones() == finished.count_ones();
        let account = &mut self.accounts[usize::from(user)];
        let made = (!of_all || all || rules.is(Mutant::DropOfAllWithoutCount))
            && (account.epoch == epoch || rules.is(Mutant::DropWithoutEpoch));
        if made {
            account.epoch += u8::from(!rules.is(Mutant::DropLeavesEpoch));
            if let Some(upto) = upto {
                (account.dropped_upto, account.upto_epoch) = (upto, account.epoch);
            }
            account.listed &= !of_all;
            for sid in each(finished) {
                self.open[usize::from(sid)] = None;
            }
            self.refund(user, refunds, history);
        }
        made
    }

    /// If no send is open.
    fn account_unlist(&mut self, user: u8, rules: Rules) -> bool {
        let made = self.open_of(user) == 0 || rules.is(Mutant::UnlistWithoutEmpty);
        if made {
            self.accounts[usize::from(user)].listed = false;
        }
        made
    }

    /// If nobody holds the slot.
    fn log_publish(&mut self, seq: u8, slot: Slot, history: &mut History, rules: Rules) -> bool {
        let Some(place) = self.log.get_mut(usize::from(seq) - 1) else {
            history.fault = Some(Fault::LogFull);
            return false;
        };
        let before = *place;
        let made = put(place, slot, rules.is(Mutant::PublishWithoutAbsent));
        if before.is_some() && before != *place {
            history.fault = Some(Fault::SlotChanged);
        }
        made
    }

    /// If the version is the one read.
    fn account_fold(&mut self, user: u8, version: u8, entries: Bits, sum: u8, rules: Rules) -> bool {
        let account = &mut self.accounts[usize::from(user)];
        let made = account.settle_version == version || rules.is(Mutant::FoldWithoutVersion);
        if made {
            account.balance += sum.cast_signed();
            account.settling = entries;
            account.settle_version = version + 1;
        }
        made
    }

    /// If the entry exists.
    fn entry_unflag(&mut self, id: u8) -> bool {
        self.entries[usize::from(id)].as_mut().map(|entry| entry.unsettled = false).is_some()
    }

    /// If the version is the one at which the folding was made.
    fn account_folded(&mut self, user: u8, version: u8, rules: Rules) -> bool {
        let account = &mut self.accounts[usize::from(user)];
        let made = account.settle_version == version || rules.is(Mutant::FoldedWithoutVersion);
        if made {
            account.settling = 0;
        }
        made
    }

    fn refund(&mut self, user: u8, refunds: [u8; SENDS], history: &mut History) {
        for (sid, coins) in refunds.into_iter().enumerate() {
            self.accounts[usize::from(user)].balance += coins.cast_signed();
            history.paid[sid] -= coins.cast_signed();
        }
    }
}

/// `put_new`: puts a value if there is none. OVERWRITES is only of mutants.
fn put<T>(place: &mut Option<T>, value: T, overwrites: bool) -> bool {
    let made = place.is_none() || overwrites;
    if made {
        *place = Some(value);
    }
    made
}
