//! The items, and the conditional writes on them. Stands for `shared::store`; each write has the name and the condition of
//! its method there, and each is one step.

use std::fmt;

use super::mutants::Mutant;
use super::rest::LOOKS;

/// Users. A and B write to each other; the house earns its share.
pub(super) const A: u8 = 0;
pub(super) const B: u8 = 1;
pub(super) const HOUSE: u8 = 2;
pub(super) const USERS: [u8; 3] = [A, B, HOUSE];

/// How many sends a configuration may have: two of A, one of B.
pub(super) const SENDS: usize = 3;
/// The sender of each send.
pub(super) const SENDERS: [u8; SENDS] = [A, A, B];
/// Who receives it.
pub(super) const RECEIVERS: [u8; SENDS] = [B, B, A];
/// How many numbers the log has room for: one more than there are sends, so that a second copy shows.
pub(super) const SLOTS: usize = SENDS + 1;

/// A send's id. Derived from sender and `clientMessageId`: every attempt has the same.
pub(super) type SendId = u8;
/// Several of anything that is numbered below 8.
pub(super) type Bits = u8;

/// The numbers in a set.
pub(super) fn each(bits: Bits) -> impl Iterator<Item = u8> {
    (0..8).filter(move |bit| bits & (1 << bit) != 0)
}

/// What a message says, and its fingerprint: another content has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Content {
    First,
    Other,
}

/// `accounts::OpenSend`. The earning and the house's share follow from the recorded price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct OpenSend {
    pub(super) base: u8,
    pub(super) price: u8,
    pub(super) fingerprint: Content,
}

/// `accounts::Account`, but for its open sends, which are in [`Db::open`] (a send has one sender).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Account {
    pub(super) balance: i8,
    pub(super) epoch: u8,
    /// Whether it is in the index of open sends: the sweep visits it only then.
    pub(super) listed: bool,
    pub(super) settle_version: u8,
    /// Ids of entries; none stands for the missing attribute.
    pub(super) settling: Bits,
}

/// What a slot of the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Said {
    Message(Content),
    Void,
}

/// `log::LogItem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) sid: SendId,
    pub(super) said: Said,
}

/// A send's id that no send has.
pub(super) const NOBODY: SendId = 7;

/// `receipts::Receipt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Receipt {
    pub(super) fingerprint: Content,
    pub(super) seq: u8,
    pub(super) void: bool,
}

/// `ledger::Entry`, of those that are credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) amount: u8,
    pub(super) unsettled: bool,
}

/// How many entries there are: `earn` and `share` of each send, and two places for the top-up.
pub(super) const ENTRIES: usize = 2 * SENDS + 2;

/// The receiver's earning of a send.
pub(super) const fn earn(sid: SendId) -> u8 {
    sid
}

/// The house's share of a send.
pub(super) const fn share(sid: SendId) -> u8 {
    SENDS as u8 + sid
}

/// The top-up, at one of two times: the time is part of an entry's key.
pub(super) const fn topup(at: u8) -> u8 {
    2 * SENDS as u8 + at
}

/// Whose entry it is. Top-ups go to A.
pub(super) fn owner(entry: u8) -> u8 {
    match usize::from(entry) {
        sid if sid < SENDS => RECEIVERS[sid],
        share if share < 2 * SENDS => HOUSE,
        _ => A,
    }
}

/// `conversations::Meta`: what of it changes, and is read by who sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Meta {
    /// What is below is in the archive.
    pub(super) first_seq: u8,
    pub(super) idle: bool,
}

/// Where a conversation that the cleanup is to look at stands in the index: listed by its creation, by the message of a
/// send, or by a look of a cleanup.
pub(super) const PLACE_OF_CREATION: u8 = u8::MAX;
pub(super) const fn place_of_send(sid: SendId) -> u8 {
    sid
}
pub(super) const fn place_of_look(cleanup: u8, look: u8) -> u8 {
    SENDS as u8 + cleanup * LOOKS + look
}

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Db {
    pub(super) accounts: [Account; 3],
    pub(super) open: [Option<OpenSend>; SENDS],
    pub(super) log: [Option<Slot>; SLOTS],
    pub(super) receipts: [Option<Receipt>; SENDS],
    pub(super) entries: [Option<Entry>; ENTRIES],
    /// `TOPUP`: the time that it fixed.
    pub(super) topup: Option<u8>,
    /// Whether there is a conversation; only of a first message.
    pub(super) conversation: bool,
    pub(super) meta: Meta,
    /// META's place in the index of what is due; only of a conversation that may rest.
    pub(super) place: Option<u8>,
    /// Whether the cleanup is to look at it by now.
    pub(super) due: bool,
    /// The lowest `last_seq` of the inboxes; only of a conversation that may rest.
    pub(super) told: u8,
    /// What is in the archive and no longer in the table, by number.
    pub(super) archived: [Option<Slot>; SLOTS],
}

/// A conditional write, on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Write {
    AccountClaim {
        sid: SendId,
        send: OpenSend,
        epoch: u8,
    },
    AccountRaiseBase {
        sid: SendId,
        base: u8,
    },
    AccountDrop {
        user: u8,
        epoch: u8,
        finished: Bits,
        refunds: [u8; SENDS],
        /// `account_drop_all`: these are all, and the account goes out of the index.
        of_all: bool,
    },
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

/// What the checkers remember of the past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct History {
    /// How often each send was charged.
    pub(super) charges: [u8; SENDS],
    /// What each send has cost so far, less what was given back.
    pub(super) paid: [i8; SENDS],
    /// The first final answer that a client has seen for each send.
    pub(super) answers: [Option<Answer>; SENDS],
    /// Sends (by bit) of which the content `First`, `Other` was refused as another than the first.
    pub(super) reused: [Bits; 2],
    /// What has gone wrong in a step, if anything.
    pub(super) fault: Option<Fault>,
}

/// A final answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Answer {
    /// `message:sent` with this number.
    Sent(u8),
    /// `send_expired`.
    Expired,
}

/// What a step may get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Fault {
    SlotChanged,
    LogFull,
    AnswerContradicted,
    RefusedThoughClaimed,
    OtherContentAcknowledged,
}

impl Fault {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::SlotChanged => "a slot of the log was changed",
            Self::LogFull => "a walk went beyond the log of all sends: somebody published twice or left a hole",
            Self::AnswerContradicted => "a client saw two different answers for one clientMessageId",
            Self::RefusedThoughClaimed => "a client was refused a send that was claimed and charged",
            Self::OtherContentAcknowledged => "a content was acknowledged after it had been refused as another's",
        }
    }
}

impl fmt::Display for OpenSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "base {}, price {}, content {:?}", self.base, self.price, self.fingerprint)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { balance, epoch, settle_version, settling, .. } = self;
        let settling: Vec<u8> = each(*settling).collect();
        write!(f, "balance {balance}, epoch {epoch}, settle_version {settle_version}, settling {settling:?}")
    }
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "first_seq {}{}", self.first_seq, if self.idle { ", idle" } else { "" })
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.said {
            Said::Message(content) => write!(f, "send {}'s message, content {content:?}", self.sid),
            Said::Void if self.sid == NOBODY => f.write_str("a void of nobody's"),
            Said::Void => write!(f, "send {}'s void", self.sid),
        }
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}, content {:?}", if self.void { "void" } else { "message" }, self.seq, self.fingerprint)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} coins, {}", self.amount, if self.unsettled { "unsettled" } else { "settled" })
    }
}

/// What a read has found, in words.
pub(super) fn found(item: Option<impl fmt::Display>) -> String {
    item.map_or_else(|| "nothing".to_owned(), |item| item.to_string())
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refunded = |refunds: &[u8; SENDS]| refunds.iter().sum::<u8>();
        match self {
            Self::AccountClaim { sid, send, epoch } => {
                write!(f, "account_claim of send {sid} ({send}) at epoch {epoch}")
            }
            Self::AccountRaiseBase { sid, base } => write!(f, "account_raise_base of send {sid} to {base}"),
            Self::AccountDrop { epoch, finished, refunds, of_all, .. } => {
                let finished: Vec<u8> = each(*finished).collect();
                let name = if *of_all { "account_drop_all" } else { "account_drop" };
                write!(f, "{name} of sends {finished:?} at epoch {epoch}, refund {}", refunded(refunds))
            }
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
            Self::Refund { refunds, .. } => write!(f, "a refund of {}", refunded(refunds)),
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
            Write::AccountClaim { sid, send, epoch } => self.account_claim(sid, send, epoch, history, rules),
            Write::AccountRaiseBase { sid, base } => self.account_raise_base(sid, base),
            Write::AccountDrop { user, epoch, finished, refunds, of_all } => {
                let all = self.open_of(user).count_ones() == finished.count_ones();
                let holds = !of_all || all || rules.is(Mutant::DropOfAllWithoutCount);
                let made = holds && self.account_drop(user, epoch, finished, refunds, history, rules);
                if made && of_all {
                    self.accounts[usize::from(user)].listed = false;
                }
                made
            }
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

    /// If the send isn't open, and the epoch is the one seen, and the balance covers it, and there is room.
    fn account_claim(&mut self, sid: SendId, send: OpenSend, epoch: u8, history: &mut History, rules: Rules) -> bool {
        let user = SENDERS[usize::from(sid)];
        let room = self.open_of(user).count_ones() < u32::from(rules.open_max);
        let account = &mut self.accounts[usize::from(user)];
        let open = &mut self.open[usize::from(sid)];
        let price = send.price.cast_signed();
        let made = (open.is_none() || rules.is(Mutant::ClaimWithoutOpenAbsent))
            && (account.epoch == epoch || rules.is(Mutant::ClaimWithoutEpoch))
            && (account.balance >= price || rules.is(Mutant::ClaimWithoutBalance))
            && room;
        if made {
            *open = Some(send);
            account.balance -= price;
            account.listed = true;
            history.charges[usize::from(sid)] += 1;
            history.paid[usize::from(sid)] += price;
        }
        made
    }

    /// If the send is open, with a lower base.
    fn account_raise_base(&mut self, sid: SendId, base: u8) -> bool {
        let lower = self.open[usize::from(sid)].as_mut().filter(|open| open.base < base);
        lower.map(|open| open.base = base).is_some()
    }

    /// If the epoch is the one of the ACCOUNT read.
    fn account_drop(
        &mut self,
        user: u8,
        epoch: u8,
        finished: Bits,
        refunds: [u8; SENDS],
        history: &mut History,
        rules: Rules,
    ) -> bool {
        let account = &mut self.accounts[usize::from(user)];
        let made = account.epoch == epoch || rules.is(Mutant::DropWithoutEpoch);
        if made {
            account.epoch += u8::from(!rules.is(Mutant::DropLeavesEpoch));
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

    /// The sends of a user that are in `open`.
    pub(super) fn open_of(&self, user: u8) -> Bits {
        (0..SENDS).filter(|sid| SENDERS[*sid] == user && self.open[*sid].is_some()).fold(0, |bits, sid| bits | 1 << sid)
    }

    /// `log_tail`: the highest number.
    pub(super) fn log_tail(&self) -> u8 {
        (1..=SLOTS as u8).rev().find(|seq| self.slot(*seq).is_some()).unwrap_or(0)
    }

    /// What the log holds at a number; nothing beyond its end.
    pub(super) fn slot(&self, seq: u8) -> Option<Slot> {
        self.log.get(usize::from(seq).wrapping_sub(1)).copied().flatten()
    }

    /// The entries of a user that exist.
    pub(super) fn entries_of(&self, user: u8) -> Bits {
        let theirs = |id: &u8| owner(*id) == user && self.entries[usize::from(*id)].is_some();
        (0..ENTRIES as u8).filter(theirs).fold(0, |bits, id| bits | 1 << id)
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
