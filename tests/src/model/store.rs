//! The items. Stands for `shared::store`.

use std::fmt;

use super::rest::LOOKS;

/// Users. A and B write to each other; the house earns its share.
pub(super) const A: u8 = 0;
pub(super) const B: u8 = 1;
pub(super) const HOUSE: u8 = 2;
pub(super) const USERS: [u8; 3] = [A, B, HOUSE];

/// How many sends a configuration may have: of A 0, 1 and 3, of B 2.
pub(super) const SENDS: usize = 4;
/// The sender of each send.
pub(super) const SENDERS: [u8; SENDS] = [A, A, B, A];
/// Who receives it.
pub(super) const RECEIVERS: [u8; SENDS] = [B, B, A, B];
/// How many numbers the log has room for: one more than there are sends, so that a second copy shows.
pub(super) const SLOTS: usize = SENDS + 1;

/// A send's id. Derived from sender and `clientMessageId`: every attempt has the same.
pub(super) type SendId = u8;
/// Where a send's id stands in time, if it sorts by time: above 0.
pub(super) const fn time_of(sid: SendId) -> u8 {
    sid + 1
}

/// The highest [`time_of`] of some sends; 0 of none.
pub(super) fn time_of_last(sends: impl Iterator<Item = SendId>) -> u8 {
    sends.map(time_of).max().unwrap_or(0)
}

/// The `upto_epoch` of an account that no function of this version has written: no epoch is this.
pub(super) const NO_EPOCH: u8 = u8::MAX;

/// Several of anything that is numbered below 16.
pub(super) type Bits = u16;

/// The set of some numbers.
pub(super) fn set_of(numbers: impl Iterator<Item = u8>) -> Bits {
    numbers.fold(0, |bits, number| bits | 1 << number)
}

/// The numbers in a set.
pub(super) fn each(bits: Bits) -> impl Iterator<Item = u8> {
    (0..16).filter(move |bit| bits & (1 << bit) != 0)
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
    /// No send whose id sorts by time and is above this was dropped: a [`time_of`], 0 at the start.
    pub(super) dropped_upto: u8,
    /// The epoch at which that was true.
    pub(super) upto_epoch: u8,
}

impl Account {
    /// What it shows of what was dropped.
    pub(super) fn upto(&self) -> Upto {
        Upto { dropped: self.dropped_upto, agrees: self.upto_epoch == self.epoch }
    }
}

/// What an ACCOUNT that was read shows of what was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Upto {
    pub(super) dropped: u8,
    /// Whether `upto_epoch` is the epoch: else an earlier version has dropped since.
    pub(super) agrees: bool,
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
        let Self { balance, epoch, settle_version, settling, dropped_upto, upto_epoch, .. } = self;
        let settling: Vec<u8> = each(*settling).collect();
        write!(f, "balance {balance}, epoch {epoch}, dropped_upto {dropped_upto} at epoch {upto_epoch}, ")?;
        write!(f, "settle_version {settle_version}, settling {settling:?}")
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

impl Db {
    /// The sends of a user that are in `open`.
    pub(super) fn open_of(&self, user: u8) -> Bits {
        let theirs = |sid: &u8| SENDERS[usize::from(*sid)] == user && self.open[usize::from(*sid)].is_some();
        set_of((0..SENDS as u8).filter(theirs))
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
        set_of((0..ENTRIES as u8).filter(theirs))
    }
}
