//! What must hold of all that is kept (ARCHITECTURE.md, "What must hold"), said once. Each rule is a pure function of items as
//! they are read, or of an item before and after a write. `verify` asks them of a table in use; the tests ask them of every write
//! and of every world, and the model, where it has the same numbers, of each of its states. A new kind of item says here what
//! must be true of it.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::hash_map;
use std::fmt::Debug;
use std::hash::Hash;

use wire::{
    ClientMessageId, Coins, ConversationId, Fingerprint, Kind, Name, Role, SendId, Seq, Time, TransactionKind, UserId,
};

use crate::limits::{CONNECTIONS_MAX, OPEN_MAX};
use crate::store::accounts::{Account, OpenSend};
use crate::store::conversations::{Group, Meta, Who};
use crate::store::inbox::{Inbox, Side};
use crate::store::ledger::Entry;
use crate::store::log::LogItem;
use crate::store::members::Member;
use crate::store::presence::Presence;
use crate::store::receipts::Receipt;
use crate::store::requests::Requests;
use crate::store::scan::Line;
use crate::store::segments::Segment;
use crate::store::work::Listing;

/// A rule that doesn't hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub rule: &'static str,
    /// What was seen instead. None of the rules here says a content.
    pub seen: String,
}

/// Whether a rule holds.
pub type Holds = Result<(), Broken>;

/// A rule holds if IT does; if not, SEEN says what there is instead.
pub fn holds(rule: &'static str, it: bool, seen: impl FnOnce() -> String) -> Holds {
    if it { Ok(()) } else { Err(Broken { rule, seen: seen() }) }
}

/// The name of the rule that [`account_unlisted`] and its like look after: something is found only by its place in the index.
pub const LISTED: &str = "what is due is in the index";

/// What is kept is of a kind that is known, and whole.
pub const READABLE: &str = "every item can be read";

const LIMITS: &str = "limits hold";
const SEND_ID: &str = "a send's id is its sender's and its name's";
const COINS: &str = "coins add up";
const RECEIPT: &str = "a receipt names its slot";

/// Where what is DUE must be listed, if it isn't. Any moment will do.
fn unlisted(is_due: bool, due: Listing, listing: Option<&Listing>) -> Option<Listing> {
    let is_listed = listing.is_some_and(|listing| listing.differs_in_time_only(&due));
    (is_due && !is_listed).then_some(due)
}

// ACCOUNT

/// No more sends are open than may be.
pub fn open_sends_fit(account: &Account) -> Holds {
    holds(LIMITS, account.open.len() <= OPEN_MAX, || format!("{} open sends", account.open.len()))
}

/// What is there and what refunds may bring back can be held: no refund is ever refused.
pub fn balance_can_be_held(account: &Account) -> Holds {
    holds("a balance can be held", account.has_room_for(Coins(0)), || {
        format!("a balance of {}, and {} open sends", account.balance.0, account.open.len())
    })
}

/// An open send's id is its own.
pub fn open_send_has_its_id(user: &UserId, id: &SendId, send: &OpenSend) -> Holds {
    let its_own = *id == SendId::new(user, &send.client_message_id);
    holds(SEND_ID, its_own, || format!("open send {}", id.as_str()))
}

/// A send that was decided before SETTLED is open no more.
pub fn send_ends(id: &SendId, send: &OpenSend, settled: Time, now: Time) -> Holds {
    holds("sends end", send.claimed_at >= settled, || {
        format!("send {} has been open for {} s", id.as_str(), now.since(send.claimed_at).as_secs())
    })
}

/// Where an account must be listed, if it must be and isn't. Any moment will do: the sweep looks when it is old, and an
/// earlier version listed accounts without one.
pub fn account_unlisted(user: &UserId, account: &Account, listing: Option<&Listing>, now: Time) -> Option<Listing> {
    let due = Listing::open(now, user);
    if listing.is_some_and(|it| it.is_without_time(&due, user)) {
        return None;
    }
    unlisted(!account.open.is_empty(), due, listing)
}

/// No account tells of a send that has ended, and was dropped, that it was never claimed: it would be claimed again.
pub fn dropped_is_told(account: &Account, id: &SendId, client_message_id: &ClientMessageId) -> Holds {
    let told = !account.tells_that_unclaimed(id, client_message_id);
    holds("an account tells what was dropped", told, || {
        format!("{client_message_id} has ended and isn't open, and all up to {:?} were dropped", account.dropped_upto)
    })
}

/// Its counts move forward, and an open send stays as it was decided, but for its base, which rises.
pub fn account_moves(before: &Account, after: &Account) -> Holds {
    let forward = before.epoch <= after.epoch
        && before.settle_version <= after.settle_version
        && before.dropped_upto <= after.dropped_upto;
    holds("an account's counts move forward", forward, || format!("{before:?} became {after:?}"))?;
    let both = after.open.iter().filter_map(|(id, is)| Some((before.open.get(id)?, is)));
    let stays = |was: &OpenSend, is: &OpenSend| was.base <= is.base && OpenSend { base: is.base, ..was.clone() } == *is;
    holds("an open send doesn't change", both.into_iter().all(|(was, is)| stays(was, is)), || {
        format!("{before:?} became {after:?}")
    })
}

/// What an account's balance must be: what was folded into it, less what was charged, less what open sends took and haven't
/// charged yet.
#[derive(Debug)]
pub struct Ledger<'a> {
    account: &'a Account,
    folded: i128,
    /// The open sends whose charge is a line already.
    charged: BTreeSet<&'a SendId>,
}

impl<'a> Ledger<'a> {
    /// The ledger of this account, without a line so far.
    pub fn new(account: &'a Account) -> Self {
        Self { account, folded: 0, charged: BTreeSet::new() }
    }

    /// One more line of it.
    pub fn add(&mut self, line: &Line) {
        if is_folded(self.account, line) {
            self.folded += i128::from(line.entry.amount);
        }
        if let Some(id) = line.id().strip_prefix("charge#") {
            self.charged.extend(self.account.open.keys().find(|open| open.as_str() == id));
        }
    }

    /// Whether all its lines come to the balance.
    pub fn adds_up(&self) -> Holds {
        let taken = self.account.open.iter().filter(|(id, _)| !self.charged.contains(id));
        let sum = self.folded - taken.map(|(_, send)| i128::from(send.price.0)).sum::<i128>();
        let there = i128::from(self.account.balance.0);
        holds("a ledger adds up to its balance", sum == there, || {
            format!("a balance of {there}, and a ledger that comes to {sum}")
        })
    }
}

/// Whether a line is in the balance: it was folded in, or a folding that isn't over took it.
pub fn is_folded(account: &Account, line: &Line) -> bool {
    line.listing.is_none() || account.settling.contains(&line.sk)
}

// ENTRY, TOPUP

/// A line's sign is its kind's.
pub fn line_has_its_sign(entry: &Entry) -> Holds {
    let is_charge = entry.kind == TransactionKind::Charge;
    let right = entry.amount.signum() == if is_charge { -1 } else { 1 };
    holds("charges are below nothing, all else above", right, || entry.amount.to_string())
}

/// A charge waits for nothing: it was taken from the balance when the send was decided.
pub fn charge_is_taken_at_once(line: &Line) -> Holds {
    let waits = line.entry.kind == TransactionKind::Charge && line.listing.is_some();
    holds("a charge is taken at once", !waits, || "it waits to be folded into the balance".to_owned())
}

/// Where a line that waits to be folded in must stand, if it stands elsewhere.
pub fn line_misplaced(user: &UserId, line: &Line) -> Option<Listing> {
    let due = Listing::unsettled(user, &line.sk);
    let waits = line.entry.kind != TransactionKind::Charge;
    line.listing.as_ref().filter(|listing| waits && **listing != due).map(|_| due)
}

/// What a line says stays.
pub fn line_stays(before: &Line, after: &Line) -> Holds {
    let same = before.sk == after.sk && before.entry == after.entry;
    holds("what is written once stays", same, || format!("{before:?} became {after:?}"))
}

/// A ledger has no two lines with one id, at whatever times: COUNT are those with this one.
pub fn line_is_there_once(line: &Line, count: usize) -> Holds {
    holds("an entry is there once", count == 1, || format!("{count} of {}", line.id()))
}

/// A top-up adds what its key has fixed.
pub fn topup_is_fixed(entry: &Entry, fixed: Option<Coins>) -> Holds {
    let right = fixed.is_some_and(|fixed| i64::try_from(fixed.0) == Ok(entry.amount));
    holds(COINS, right, || format!("{} added, {:?} fixed", entry.amount, fixed.map(|fixed| fixed.0)))
}

/// The lines of a message that had a price.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paid<'a> {
    /// What its sender was charged.
    pub charge: Option<&'a Entry>,
    /// What its receiver has earned.
    pub earning: Option<&'a Entry>,
    /// What the house has earned.
    pub share: Option<&'a Entry>,
}

/// What a message has cost was charged once and has arrived, as it was split when it was decided: the house may be another
/// by now. A void has cost nothing. True of whatever has a RECEIPT.
pub fn coins_have_arrived(item: &LogItem, paid: Paid<'_>) -> Holds {
    let amount = |line: Option<&Entry>| line.map_or(0, |entry| i128::from(entry.amount));
    let (charged, earned, shared) = (amount(paid.charge), amount(paid.earning), amount(paid.share));
    let price = if item.void { 0 } else { i128::from(item.price.0) };
    let right = match paid.charge.and_then(|charge| charge.split.as_ref()) {
        Some(split) => earned == i128::from(split.earned.0) && earned + shared == price,
        // Nobody knows whose house it was. That nothing is missing in all, the sum over all shows.
        None => earned + shared == price || paid.charge.is_some() && shared == 0 && (0..price).contains(&earned),
    };
    holds(COINS, charged == -price && right, || {
        format!("price {price}: {charged} charged, {earned} earned, {shared} to the house")
    })
}

/// What all charges of messages and all that was earned by them leave is nothing.
pub fn charges_are_earned(unpaid: i64) -> Holds {
    holds(COINS, unpaid == 0, || format!("all charges of messages and all that was earned by them differ by {unpaid}"))
}

/// All coins that there are.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllCoins {
    /// Of all balances.
    pub balances: i128,
    /// Of all lines that aren't folded in.
    pub waiting: i128,
    /// The prices of all open sends.
    pub taken: i128,
    /// What open sends have become in others' ledgers.
    pub paid_out: i128,
    /// What was ever added.
    pub topped_up: i128,
}

impl AllCoins {
    /// What is there, what waits, and what was taken and has become neither an earning nor a refund, is what was added.
    pub fn are_conserved(&self) -> Holds {
        let there = self.balances + self.waiting + self.taken - self.paid_out;
        holds("coins are conserved", there == self.topped_up, || format!("{there} are there: {self:?}"))
    }
}

// PRESENCE

/// Nobody has more connections than may be.
pub fn connections_fit(presence: &Presence) -> Holds {
    let count = presence.connections.len();
    holds(LIMITS, count <= CONNECTIONS_MAX, || format!("{count} connections"))
}

/// Where who is online must be listed, if they aren't. Any moment will do: the sweep looks then, and lists them by the right
/// one.
pub fn presence_unlisted(user: &UserId, presence: &Presence, listing: Option<&Listing>, now: Time) -> Option<Listing> {
    unlisted(!presence.connections.is_empty(), Listing::online(now, user), listing)
}

// INBOX

/// `read <= delivered <= last <= tail`: nobody has what isn't there. Of a group the inbox doesn't say the last; and nobody has read
/// less than what was said before they came.
pub fn horizons_are_in_order(inbox: &Inbox, tail: Seq) -> Holds {
    let Inbox { read_seq, delivered_seq, last_seq, .. } = inbox;
    let ordered = read_seq <= delivered_seq
        && match inbox.joined() {
            None => delivered_seq <= last_seq && *last_seq <= tail,
            Some(joined) => *delivered_seq <= tail && joined.first_seq <= read_seq.next(),
        };
    holds("horizons are in order", ordered, || {
        format!("read {read_seq}, delivered {delivered_seq}, last {last_seq}, the log's end {tail}")
    })
}

/// A horizon only moves forward, and so does what an inbox knows of its user's membership: another one's horizons begin anew.
pub fn horizons_move_forward(before: &Inbox, after: &Inbox) -> Holds {
    let forward = before.read_seq <= after.read_seq
        && before.delivered_seq <= after.delivered_seq
        && before.last_seq <= after.last_seq;
    let memberships = before.joined().zip(after.joined());
    let anew = memberships.is_some_and(|(before, after)| before.first_seq != after.first_seq);
    holds("horizons move forward", forward || anew, || format!("{before:?} became {after:?}"))?;
    let newer = memberships.is_none_or(|(before, after)| before == after || before.version < after.version);
    holds("an inbox's membership is never older", newer, || format!("{before:?} became {after:?}"))
}

/// An inbox's peer is the other of the conversation; of a group it keeps the membership.
pub fn inbox_names_the_other(user: &UserId, inbox: &Inbox, meta: &Meta) -> Holds {
    let right = match &inbox.side {
        Side::Direct { .. } => meta.who.side_of(user, None).is_some_and(|side| side == inbox.side),
        Side::Group(_) => meta.who.kind() == Kind::Group,
    };
    holds("an inbox names the other one", right, || format!("{:?}", inbox.side))
}

/// An inbox is of the membership that its user has, or had, once all that follows from that is done.
pub fn inbox_follows_its_membership(member: &Member, inbox: Option<&Inbox>) -> Holds {
    let joined = inbox.and_then(Inbox::joined);
    // Who was never in has no inbox: the tombstone only remembers a request.
    let same = match joined {
        Some(joined) => {
            joined.first_seq == member.first_seq && joined.left_at.is_some() != member.is_in() || !member.is_settled()
        }
        None => !member.is_in() || !member.is_settled(),
    };
    holds("an inbox follows its membership", same, || format!("{member:?}, {joined:?}"))
}

/// Where an inbox in which something waits must be listed, if it isn't.
pub fn inbox_unlisted(
    user: &UserId,
    conversation: &ConversationId,
    inbox: &Inbox,
    listing: Option<&Listing>,
) -> Option<Listing> {
    unlisted(inbox.undelivered() > 0, Listing::waiting(inbox.last_at, user, conversation), listing)
}

/// Whoever is in a conversation was told of each message in it that has ended.
pub fn inbox_knows(inbox: Option<&Inbox>, ended: Seq) -> Holds {
    let last = inbox.map(|inbox| inbox.last_seq);
    holds("an inbox knows of every message", last.is_some_and(|last| last >= ended), || {
        let seen = last.map_or_else(|| "no inbox".to_owned(), |last| format!("last {last}"));
        format!("{seen}, and {ended} has ended")
    })
}

// META

/// Who is in it gives a conversation's id, so two people have one.
pub fn pair_has_one_conversation(id: &ConversationId, meta: &Meta) -> Holds {
    let derived = meta.who.has_id(id) && meta.id == *id;
    holds("two people have one conversation", derived, || {
        let members = meta.who.named();
        format!("members {members:?}")
    })
}

/// What was deleted from the table, or kept no more, has moved before; and the highest number never moves.
pub fn numbers_have_moved_in_order(meta: &Meta, tail: Seq) -> Holds {
    let Meta { first_seq, oldest_seq, deleted_below, .. } = meta;
    let ordered = oldest_seq <= first_seq && deleted_below <= first_seq && *first_seq <= tail.max(Seq(1));
    holds("what is deleted has moved, and the last message stays", ordered, || {
        format!("oldest {oldest_seq}, deleted below {deleted_below}, moved below {first_seq}, the log's end {tail}")
    })
}

/// What a conversation is stays, and its messages only move forward.
pub fn meta_moves(before: &Meta, after: &Meta) -> Holds {
    let fixed = |meta: &Meta| Meta {
        first_seq: Seq(1),
        oldest_seq: Seq(1),
        deleted_below: Seq(1),
        moved_at: Time::default(),
        idle: false,
        listed: None,
        who: match &meta.who {
            who @ Who::Direct { .. } => who.clone(),
            Who::Group(group) => Who::Group(Group {
                name: name_of(before).unwrap_or_else(|| group.name.clone()),
                avatar: None,
                count: 0,
                roster: 0,
                whole: false,
                gone: false,
                requests: Requests::default(),
                ..group.clone()
            }),
        },
        ..meta.clone()
    };
    holds("what is written once stays", fixed(before) == fixed(after), || format!("{before:?} became {after:?}"))?;
    group_moves(before, after)?;
    let forward = before.first_seq <= after.first_seq
        && before.oldest_seq <= after.oldest_seq
        && before.deleted_below <= after.deleted_below;
    holds("messages move forward", forward, || format!("{before:?} became {after:?}"))
}

/// What a conversation is called, where it is called something.
fn name_of(meta: &Meta) -> Option<Name> {
    meta.who.called().0.cloned()
}

/// What META says of a group changes with its roster; it becomes whole or is given up, once and for good.
fn group_moves(before: &Meta, after: &Meta) -> Holds {
    let (Who::Group(before), Who::Group(after)) = (&before.who, &after.who) else { return Ok(()) };
    let seen = || format!("{before:?} became {after:?}");
    let once = before.whole <= after.whole && before.gone <= after.gone && !(after.whole && after.gone);
    holds("a group becomes whole or is given up", once, seen)?;
    let called = |group: &Group| (group.name.clone(), group.avatar.clone(), group.count, group.requests.clone());
    let same = called(before) == called(after);
    let counted = if same { before.roster <= after.roster } else { before.roster + 1 == after.roster };
    holds("a change of a group counts its roster up", counted, seen)
}

// MEMBER, TAIL

/// A membership's version counts each change; who comes sees nothing of what was said before, up to TAIL; who is in never sees less or
/// more.
pub fn membership_moves(before: Option<&Member>, after: &Member, tail: Seq) -> Holds {
    let seen = || format!("{before:?} became {after:?}, the log's end {tail}");
    let Some(before) = before else {
        return holds("a membership's version counts up", after.version > 0 && after.first_seq <= tail.next(), seen);
    };
    if before.version == after.version {
        let same = Member { listed: None, ..before.clone() } == Member { listed: None, ..after.clone() };
        return holds("a membership's version counts up", same, seen);
    }
    holds("a membership's version counts up", before.version + 1 == after.version, seen)?;
    let right = match (before.is_in(), after.is_in()) {
        (false, true) => (before.first_seq..=tail.next()).contains(&after.first_seq),
        _ => before.first_seq == after.first_seq && before.since == after.since,
    };
    holds("who comes sees what is said from then on", right, seen)?;
    holds("who has gone is no admin", after.is_in() || after.role == Role::Member, seen)
}

/// Where nothing is under way META has the count of a group's members, and one of them is an admin.
pub fn group_counts_its_members<'a>(group: &Group, members: impl Iterator<Item = &'a Member>) -> Holds {
    let members: Vec<&Member> = members.filter(|member| member.is_in()).collect();
    let counted = group.count == members.len();
    holds("a group counts its members", counted, || format!("{} of {}", group.count, members.len()))?;
    let has_admin = members.is_empty() || members.iter().any(|member| member.is_admin());
    holds("a group has an admin", has_admin, || format!("none of {}", members.len()))
}

/// A group's TAIL knows of each message that has ended.
pub fn tail_knows(told: Seq, ended: Seq) -> Holds {
    holds("a tail knows of every message", told >= ended, || format!("last {told}, and {ended} has ended"))
}

/// Where a conversation must be listed with which the cleanup has something to do, if it isn't.
pub fn meta_unlisted(id: &ConversationId, meta: &Meta, listing: Option<&Listing>, now: Time) -> Option<Listing> {
    unlisted(!meta.idle, Listing::archive(now, id), listing)
}

// LOG, RECEIPT, SEGMENT

/// A log has no holes: where everything below NEXT is there and SEQ is, nothing is missing between.
pub fn log_has_no_hole(next: Seq, seq: Seq) -> Holds {
    holds("a log has no holes", next >= seq, || format!("nothing, and {seq} is there"))
}

/// A send has at most one slot. TAKEN are the slots so far, by their sends.
pub fn send_has_one_slot<K: Eq + Hash + Debug, P: Debug + PartialEq>(
    taken: &mut HashMap<K, P>,
    send: K,
    place: P,
) -> Holds {
    match taken.entry(send) {
        hash_map::Entry::Occupied(other) => {
            holds("a send has one slot", *other.get() == place, || format!("{other:?} and {place:?}"))
        }
        hash_map::Entry::Vacant(free) => {
            free.insert(place);
            Ok(())
        }
    }
}

/// A slot's send is its sender's.
pub fn slot_has_its_id(item: &LogItem) -> Holds {
    let its_own = item.sid == SendId::new(&item.sender, &item.client_message_id);
    holds(SEND_ID, its_own, || format!("sid {}", item.sid.as_str()))
}

/// Who writes is in the conversation.
pub fn writer_is_in(meta: &Meta, item: &LogItem) -> Holds {
    holds("who writes is in the conversation", meta.who.can_have(&item.sender), || format!("sender {}", item.sender))
}

/// A slot without a RECEIPT is an open send's.
pub fn slot_has_ended_or_is_open(item: &LogItem, account: Option<&Account>, receipt: Option<&Receipt>) -> Holds {
    let right = receipt.is_some() || account.is_some_and(|account| account.open.contains_key(&item.sid));
    holds("every slot has its receipt, or its send is open", right, || format!("sender {}", item.sender))
}

/// A slot and the RECEIPT of its send say the same, and what is kept is what was asked to be sent.
pub fn receipt_agrees(conversation: &ConversationId, seq: Seq, item: &LogItem, receipt: &Receipt) -> Holds {
    let Receipt { void, price, created_at, .. } = *receipt;
    let place = receipt.conversation == *conversation && receipt.seq == seq;
    let same = place && (void, price, created_at) == (item.void, item.price, item.created_at);
    holds(RECEIPT, same, || {
        format!(
            "the receipt of {} says {} {}, void {void}, price {}; the slot void {}, price {}",
            item.sender, receipt.conversation, receipt.seq, price.0, item.void, item.price.0
        )
    })?;
    let sent = item.void || receipt.fingerprint == Fingerprint::new(conversation, &item.content, item.reply_to);
    holds("what is kept is what was sent", sent, || "another content than its fingerprint's".to_owned())
}

/// The slot that a RECEIPT names holds its send.
pub fn receipt_names_its_slot(user: &UserId, receipt: &Receipt, holder: Option<&SendId>) -> Holds {
    let right = holder.is_some_and(|holder| *holder == SendId::new(user, &receipt.client_message_id));
    holds(RECEIPT, right, || {
        let seen = holder.map_or("nothing", |_| "another send");
        format!("{seen} is at {} {}", receipt.conversation, receipt.seq)
    })
}

/// A segment begins where the one before it has ended, at NEXT; and below END nothing but segments is read.
pub fn segment_follows(segment: &Segment, next: Seq, end: Seq) -> Holds {
    let Segment { first, last, .. } = segment;
    holds("segments follow each other", *first == next && first <= last && *last < end, || {
        format!("a segment from {first} to {last}, wanted from {next}")
    })
}

/// What is archived and what the table still has of it is the same.
pub fn archive_has_what_the_table_has(archived: &LogItem, kept: Option<&LogItem>, object: &str) -> Holds {
    let same = kept.is_none_or(|kept| kept == archived);
    holds("the archive has what the table has", same, || format!("{object} differs"))
}
