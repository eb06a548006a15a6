//! Where a process can be, and what it does from there.

use super::configurations::Role;
use super::settle::Settle;
use super::state::Process;
use super::store::{A, Bits, Meta, NOBODY, OpenSend, Receipt, SENDERS, SENDS, SendId, Upto, topup};
use super::write::Write;

/// What `look` saw of ACCOUNT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) epoch: u8,
    pub(super) open: Option<OpenSend>,
    /// Whether the balance is below the price; asked for only before a first message.
    pub(super) poor: bool,
    pub(super) upto: Upto,
    /// The sender's other open sends, where a claim may drop.
    pub(super) others: Bits,
}

/// What `look` has read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Look {
    /// How many looks came before.
    pub(super) round: u8,
    pub(super) account: Option<Seen>,
    pub(super) base: Option<u8>,
    pub(super) meta: Option<Meta>,
    /// Whether META was there.
    pub(super) conversation: Option<bool>,
    /// Only of a mutant: RECEIPT, read first.
    pub(super) receipt: Option<Option<Receipt>>,
}

/// What `claim` works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) round: u8,
    pub(super) epoch: u8,
    pub(super) base: u8,
    pub(super) meta: Meta,
    pub(super) settled: bool,
    /// Whether RECEIPT wasn't read: the claim goes by the id.
    pub(super) by_id: bool,
    pub(super) upto: Upto,
    /// What it may drop, of that what has a RECEIPT.
    pub(super) others: Bits,
}

/// `send::Decided`, and what the sweep has yet to end of the ACCOUNT that it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Decided {
    pub(super) sid: SendId,
    pub(super) send: OpenSend,
    pub(super) meta: Meta,
    pub(super) rest: [Option<OpenSend>; SENDS],
}

/// What comes after a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Then {
    End,
    LookAgain(Claim),
    Unlist,
}

/// What a drop has gathered: the ACCOUNT read's epoch and prices, the sends whose RECEIPT is still to be read, those that
/// have one, and what the void ones had cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Drop {
    pub(super) then: Then,
    pub(super) epoch: u8,
    pub(super) prices: [u8; SENDS],
    pub(super) todo: Bits,
    pub(super) finished: Bits,
    pub(super) refunds: [u8; SENDS],
    /// Whether the account goes out of the index in the same write: the sweep's drop of all that the ACCOUNT read shows.
    pub(super) of_all: bool,
    /// What the ACCOUNT read shows, made whole by what the query finds.
    pub(super) upto: Upto,
}

/// Where a process is: the request that it sends next, with all that it knows. A process that has died is one that never
/// takes its next step, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Step {
    Ended,
    /// `look`: ACCOUNT, the log's tail and META in any order, then RECEIPT unless the id says enough.
    Look(Look),
    /// `decide`: `conversation` once more, as META was read before the conversation was made, and ACCOUNT after the claim.
    ConversationAgain(OpenSend),
    /// `affordable`: `settle`, before a conversation is made.
    Affordable(Claim, Settle),
    /// `permit`: `create_direct`.
    CreateDirect(Claim),
    /// `claim`: `account_claim`.
    Claim(Claim),
    /// `claim`: `settle`, then again.
    ClaimSettle(Claim, Settle),
    /// Only of a mutant: the tail is read after the claim.
    Tail(Decided),
    /// `publish`: RECEIPT once more, as the archive has taken slots above the base.
    ReceiptAgain(Decided),
    /// `publish`: `log_publish` at a number.
    LogPublish(Decided, u8),
    /// `publish`: `log_slots` from a number on. A query is no snapshot: each slot is read at a moment of its own.
    LogSlots {
        decided: Decided,
        from: u8,
        at: u8,
        others: Bits,
        own: Option<(u8, bool)>,
    },
    /// `publish`: `account_raise_base`.
    RaiseBase(Decided, u8),
    /// `finish`: the `entry_put`s, what the inboxes are told, and `relist`, in any order.
    Entries {
        decided: Decided,
        seq: u8,
        todo: Bits,
    },
    /// `finish`, `give_up`: `receipt_put`.
    ReceiptPut {
        decided: Decided,
        seq: u8,
        void: bool,
    },
    /// `drop_finished`: `account`.
    DropAccount(Then),
    /// `drop_finished`: `receipts`, each at a moment of its own.
    DropReceipts(Drop),
    /// `drop_finished`: the highest RECEIPT of the user whose id sorts by time, where an earlier version has dropped.
    DropQuery(Drop),
    /// Only of a mutant: ACCOUNT, after the query.
    DropAccountLast(Then, u8),
    /// `drop_finished`: `account_drop`.
    DropWrite(Drop),
    /// Only of a mutant: the refund, after the drop.
    Refund(Drop),
    /// `finish_open`: `account`.
    SweepAccount,
    /// `end`: `receipt`.
    EndReceipt(Decided),
    /// `end`: `conversation`.
    EndConversation(Decided),
    /// `finish_open`: `account_unlist`.
    Unlist,
    /// `settle`, in the sweep or when a balance is asked for.
    Settle(Settle),
    /// `topup`: TOPUP.
    Topup,
    /// `topup`: its ENTRY, at the time that TOPUP fixed.
    TopupEntry {
        at: u8,
    },
    /// The archive: moves `META.first_seq`.
    Archive,
    /// The archive, a day later: deletes what is below.
    ArchiveDelete,
    /// A day passes until the cleanup's next look at a conversation that may rest.
    RestDay(u8),
    /// The look, of which the first is 0: META.
    RestMeta(u8),
    /// How far the inboxes are.
    RestInboxes {
        look: u8,
        place: u8,
        meta: Meta,
    },
    /// `conversation_look_again`.
    RestAgain {
        look: u8,
        idle: bool,
    },
    /// `conversation_unlist`.
    RestUnlist {
        place: u8,
    },
}

impl Step {
    /// The META that a process goes by, while it does.
    pub(super) fn meta(&self) -> Option<Meta> {
        match self {
            Self::Look(look) => look.meta,
            Self::Affordable(claim, _)
            | Self::CreateDirect(claim)
            | Self::Claim(claim)
            | Self::ClaimSettle(claim, _) => Some(claim.meta),
            Self::Tail(decided)
            | Self::ReceiptAgain(decided)
            | Self::LogPublish(decided, _)
            | Self::LogSlots { decided, .. } => Some(decided.meta),
            _ => None,
        }
    }

    /// Whether a process has still to write something by what it has read of META.
    pub(super) fn goes_by_meta(&self) -> bool {
        let looks = matches!(self, Self::RestInboxes { .. } | Self::RestAgain { .. } | Self::RestUnlist { .. });
        looks || self.meta().is_some() || matches!(self, Self::Entries { .. })
    }
}

impl Role {
    /// Where a process begins.
    pub(super) fn start(self) -> Step {
        match self {
            Self::Attempt { .. } => Step::Look(Look::default()),
            Self::Sweep { .. } => Step::SweepAccount,
            Self::Settle { .. } => Step::Settle(Settle::START),
            Self::TopUp { .. } => Step::Topup,
            Self::Archive => Step::Archive,
            Self::Rest { .. } => Step::RestMeta(0),
        }
    }
}

impl Process<'_> {
    /// Takes the process's next step, in each way in which it can be taken.
    pub(super) fn advance(&mut self) {
        match self.state.processes[self.index] {
            Step::Ended => {}
            Step::Look(look) => self.look(look),
            Step::ConversationAgain(open) => self.conversation_again(open),
            Step::Affordable(claim, settle) => self.affordable(claim, settle),
            Step::CreateDirect(claim) => self.write(Write::CreateDirect, |_, _| Step::Claim(claim)),
            Step::Claim(claim) => self.claim(claim),
            Step::ClaimSettle(claim, settle) => {
                let user = SENDERS[usize::from(self.sid())];
                self.settle(user, settle, |settle| match settle {
                    Settle::Done => Step::Claim(Claim { settled: true, ..claim }),
                    settle => Step::ClaimSettle(claim, settle),
                });
            }
            Step::Tail(decided) => {
                let base = self.db().log_tail();
                self.read(Step::LogPublish(decided, base + 1), || format!("reads the log's tail: {base}"));
            }
            Step::ReceiptAgain(decided) => self.receipt_again(decided),
            Step::LogPublish(decided, seq) => self.log_publish(decided, seq),
            Step::LogSlots { decided, from, at, others, own } => self.log_slots(decided, from, at, others, own),
            Step::RaiseBase(decided, base) => {
                self.write(Write::AccountRaiseBase { sid: decided.sid, base }, |_, _| Step::Ended);
            }
            Step::Entries { decided, seq, todo } => self.entries(decided, seq, todo),
            Step::ReceiptPut { decided, seq, void } => self.receipt_put(decided, seq, void),
            Step::DropAccount(then) => self.drop_account(then, None),
            Step::DropAccountLast(then, last) => self.drop_account(then, Some(last)),
            Step::DropQuery(drop) => self.drop_query(drop),
            Step::DropReceipts(drop) => self.drop_receipts(drop),
            Step::DropWrite(drop) => self.drop_write(drop),
            Step::Refund(drop) => {
                let (user, next) = (self.user(), self.after_drop(&drop));
                self.write(Write::Refund { user, refunds: drop.refunds }, |_, _| next);
            }
            Step::SweepAccount => self.sweep_account(),
            Step::EndReceipt(decided) => self.end_receipt(decided),
            Step::EndConversation(decided) => {
                let decided = Decided { meta: self.db().meta, ..decided };
                let next = self.publish(decided);
                self.read(next, || format!("end: reads META: {}", decided.meta));
            }
            Step::Unlist => {
                let user = self.user();
                self.write(Write::AccountUnlist { user }, |_, _| Step::Ended);
            }
            Step::Settle(settle) => {
                let user = self.user();
                self.settle(user, settle, |settle| match settle {
                    Settle::Done => Step::Ended,
                    settle => Step::Settle(settle),
                });
            }
            Step::Topup => self.topup(),
            Step::TopupEntry { at } => {
                let amount = self.configuration.topup_coins;
                self.write(Write::EntryPut { id: topup(at), amount }, |_, _| Step::Ended);
            }
            Step::Archive => self.archive(),
            Step::ArchiveDelete => self.archive_delete(),
            Step::RestDay(look) => self.rest_day(look),
            Step::RestMeta(look) => self.rest_meta(look),
            Step::RestInboxes { look, place, meta } => self.rest_inboxes(look, place, meta),
            Step::RestAgain { look, idle } => self.rest_again(look, idle),
            Step::RestUnlist { place } => {
                self.write(Write::ConversationUnlist { seen: place }, |_, _| Step::Ended);
            }
        }
    }

    pub(super) fn sid(&self) -> SendId {
        if let Role::Attempt { sid, .. } = self.role() { sid } else { NOBODY }
    }

    pub(super) fn own_price(&self) -> u8 {
        if let Role::Attempt { price, .. } = self.role() { price } else { 0 }
    }

    /// Whose ACCOUNT it works on.
    pub(super) fn user(&self) -> u8 {
        match self.role() {
            Role::Attempt { sid, .. } => SENDERS[usize::from(sid)],
            Role::Sweep { user, .. } | Role::Settle { user } => user,
            Role::TopUp { .. } | Role::Archive | Role::Rest { .. } => A,
        }
    }
}
