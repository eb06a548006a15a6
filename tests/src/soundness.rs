//! What must hold of a whole table ([`shared::chat::invariants`]), read from the engine's items, not through any function.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;
use shared::chat::invariants::{self, AllCoins, Broken, Holds, LISTED, Ledger, Paid, READABLE, holds};
use shared::store::accounts::Account;
use shared::store::blocks::Block;
use shared::store::conversations::{Meta, Who};
use shared::store::inbox::Inbox;
use shared::store::ledger::Entry;
use shared::store::log::LogItem;
use shared::store::members::Member;
use shared::store::presence::Presence;
use shared::store::receipts::Receipt;
use shared::store::scan::Line;
use shared::store::segments::Segment;
use shared::store::work::Listing;
use wire::limits::COINS_MAX;
use wire::{Coins, ConversationId, SendId, Seq, Time, TransactionKind, UserId};

use crate::bucket::Bucket;
use crate::engine::plain_map;
use crate::images;
use crate::operation::kind_of;
use crate::world::World;

/// The numbers of a conversation, each with what it holds.
type Log = BTreeMap<Seq, LogItem>;

/// The items, by kind.
#[derive(Default)]
struct Kept {
    accounts: BTreeMap<UserId, (Account, Option<Listing>)>,
    lines: BTreeMap<UserId, Vec<Line>>,
    /// By user and key.
    topups: BTreeMap<(UserId, String), Coins>,
    presences: Vec<(UserId, Presence, Option<Listing>)>,
    inboxes: BTreeMap<(UserId, ConversationId), (Inbox, Option<Listing>)>,
    receipts: HashMap<SendId, (UserId, Receipt)>,
    metas: BTreeMap<ConversationId, (Meta, Option<Listing>)>,
    members: BTreeMap<ConversationId, BTreeMap<UserId, Member>>,
    tails: BTreeMap<ConversationId, Seq>,
    /// By their first numbers, each with what its object holds.
    segments: BTreeMap<ConversationId, BTreeMap<Seq, (Segment, Log)>>,
    /// What is in the table, or else in the archive.
    logs: BTreeMap<ConversationId, Log>,
    /// The numbers that only the archive has.
    archived: BTreeSet<(ConversationId, Seq)>,
}

impl World {
    /// Checks what must hold at any time.
    ///
    /// # Panics
    /// When something doesn't.
    #[track_caller]
    pub fn is_sound(&self) {
        self.try_sound().unwrap_or_else(|Broken { rule, seen }| panic!("{rule}: {seen}"));
    }

    /// Checks also what must hold when every send has ended.
    ///
    /// # Panics
    /// When something doesn't.
    #[track_caller]
    pub fn is_at_rest(&self) {
        self.try_rest().unwrap_or_else(|Broken { rule, seen }| panic!("{rule}: {seen}"));
    }

    /// Says what doesn't hold at any time.
    pub(crate) fn try_sound(&self) -> Holds {
        self.kept()?.is_sound(&self.connections().shown())
    }

    /// Says what doesn't hold when every send has ended.
    pub(crate) fn try_rest(&self) -> Holds {
        let kept = self.kept()?;
        kept.is_sound(&self.connections().shown())?;
        kept.nothing_is_open()?;
        kept.groups_are_at_rest()?;
        kept.what_waits_does_not_fit()?;
        kept.charges_have_messages()
    }

    fn kept(&self) -> Result<Kept, Broken> {
        let mut kept = Kept::default();
        let planted = self.planted();
        for item in self.items() {
            let of = planted.iter().find_map(|planted| Some((planted, planted.item(&item["pk"], &item["sk"])?)));
            let Some((planted, was)) = of else {
                kept.add(&item, self.bucket())?;
                continue;
            };
            let stays = plain_map(was) == item || !planted.stays(item["sk"].as_str().unwrap_or_default());
            holds("what can't be read stays", stays, || format!("{was} is {item}"))?;
        }
        kept.add_archived();
        Ok(kept)
    }
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// A rule of items, with the item that it was asked of.
fn of(place: impl std::fmt::Display, rule: Holds) -> Holds {
    rule.map_err(|broken| Broken { seen: format!("{place}: {}", broken.seen), ..broken })
}

/// What must stand in the index stands there.
fn is_listed(place: impl std::fmt::Display, unlisted: Option<&Listing>) -> Holds {
    holds(LISTED, unlisted.is_none(), || format!("{place} isn't at {unlisted:?}"))
}

impl Kept {
    fn add(&mut self, item: &Value, bucket: &Bucket) -> Result<(), Broken> {
        let listing = images::listing(item);
        let (owner, id) = (images::owner(item), images::conversation(item));
        match kind_of(item["sk"].as_str().unwrap_or_default()) {
            "ACCOUNT" => drop(self.accounts.insert(owner?, (images::read(item)?, listing))),
            "ENTRY" => self.lines.entry(owner?).or_default().push(images::line(item)?),
            "TOPUP" => {
                let key = (owner?, images::name(item).to_owned());
                self.topups.insert(key, images::read(&item["amount"])?);
            }
            "PRESENCE" => self.presences.push((owner?, images::read(item)?, listing)),
            "INBOX" => {
                let of = images::read(&Value::from(images::name(item)))?;
                self.inboxes.insert((owner?, of), (images::read(item)?, listing));
            }
            "RECEIPT" => {
                let (user, receipt) = (owner?, images::read::<Receipt>(item)?);
                self.receipts.insert(SendId::new(&user, &receipt.client_message_id), (user, receipt));
            }
            "PROFILE" => {}
            "BLOCK" => drop(images::read::<Block>(item)?),
            "META" => drop(self.metas.insert(id?, (images::read(item)?, listing))),
            "MEMBER" => {
                let user = images::read(&Value::from(images::name(item)))?;
                self.members.entry(id?).or_default().insert(user, images::read(item)?);
            }
            "TAIL" => drop(self.tails.insert(id?, images::read(&item["last_seq"])?)),
            "MSG" => drop(self.logs.entry(id?).or_default().insert(images::number(item)?, images::read(item)?)),
            "SEGMENT" => {
                let segment = images::segment(item)?;
                let lines = bucket.lines(&segment.object).into_iter();
                let held = lines.map(|line| Ok((images::read(&line["seq"])?, images::read(&line)?)));
                let held = held.collect::<Result<Log, Broken>>()?;
                self.segments.entry(id?).or_default().insert(segment.first, (segment, held));
            }
            _ => return Err(Broken { rule: READABLE, seen: format!("of no known kind: {item:#}") }),
        }
        Ok(())
    }

    /// Adds to the logs what only the archive has.
    fn add_archived(&mut self) {
        for (id, segments) in &self.segments {
            let log = self.logs.entry(id.clone()).or_default();
            for (seq, item) in segments.values().flat_map(|(_, held)| held) {
                if !log.contains_key(seq) {
                    log.insert(*seq, item.clone());
                    self.archived.insert((id.clone(), *seq));
                }
            }
        }
    }

    fn is_sound(&self, shown: &[Value]) -> Holds {
        let mut taken = HashMap::new();
        for (id, (meta, listing)) in &self.metas {
            let tail = self.tail(id);
            of(id, invariants::pair_has_one_conversation(id, meta))?;
            of(id, invariants::numbers_have_moved_in_order(meta, tail))?;
            is_listed(id, invariants::meta_unlisted(id, meta, listing.as_ref(), Time::default()).as_ref())?;
            self.archive_and_table_agree(meta)?;
            for (seq, item) in self.logs.get(id).into_iter().flatten() {
                of(
                    format_args!("{id} {seq}"),
                    invariants::send_has_one_slot(&mut taken, item.sid.clone(), (id, *seq)),
                )?;
                of(format_args!("{id} {seq}"), self.slot_is_right(meta, *seq, item))?;
            }
        }
        for id in self.logs.keys().chain(self.members.keys()).chain(self.tails.keys()) {
            holds("an item's conversation is there", self.metas.contains_key(id), || id.to_string())?;
        }
        self.receipts_name_their_slots()?;
        self.inboxes_are_right()?;
        self.people_are_right()?;
        self.coins_are_conserved()?;
        self.nothing_shown_has_changed(shown)
    }

    /// The highest number of a conversation.
    fn tail(&self, id: &ConversationId) -> Seq {
        self.logs.get(id).and_then(|log| log.keys().next_back().copied()).unwrap_or_default()
    }

    /// The lowest number of a conversation that is kept.
    fn oldest(&self, id: &ConversationId) -> Seq {
        self.metas.get(id).map_or(Seq(1), |(meta, _)| meta.oldest_seq)
    }

    /// What is below `first_seq` is in the archive, what is above is in the table, and between, where both have it, they
    /// say the same. What the table has lost is below `first_seq` and has a RECEIPT.
    fn archive_and_table_agree(&self, meta: &Meta) -> Holds {
        let id = &meta.id;
        let mut next = meta.oldest_seq;
        let empty = Log::new();
        let log = self.logs.get(id).unwrap_or(&empty);
        for (segment, held) in self.segments.get(id).into_iter().flat_map(BTreeMap::values) {
            // The one that begins at `first_seq` is being moved: it may be there, and its object not yet.
            if segment.first < meta.first_seq {
                of(id, invariants::segment_follows(segment, next, meta.first_seq))?;
                let whole = held.keys().copied().eq((segment.first.0..=segment.last.0).map(Seq));
                holds("archived messages can be read", whole, || format!("{id}: {segment:?} holds {:?}", held.keys()))?;
                next = segment.last.next();
            }
            for (seq, item) in held {
                let kept = log.get(seq).filter(|_| !self.archived.contains(&(id.clone(), *seq)));
                let same = invariants::archive_has_what_the_table_has(item, kept, &segment.object);
                of(format_args!("{id} {seq}"), same)?;
            }
        }
        holds("archived numbers are in a segment", next == meta.first_seq, || format!("{id}: none from {next} on"))?;
        for (seq, item) in log.iter().filter(|(seq, _)| self.archived.contains(&(id.clone(), **seq))) {
            let ended = *seq < meta.first_seq && self.receipts.contains_key(&item.sid);
            holds("what is deleted has moved and ended", ended, || format!("{id} {seq}: {meta:?}"))?;
        }
        // What was kept no more is nowhere, from the lowest number on; what is being discarded may still be there.
        let first = log.first_key_value().map_or(meta.oldest_seq, |(first, _)| *first.min(&meta.oldest_seq));
        let mut next = first;
        for seq in log.keys() {
            of(id, invariants::log_has_no_hole(next, *seq))?;
            next = seq.next();
        }
        Ok(())
    }

    /// A slot's send has ended in it, or is open; and its coins have gone where they should.
    fn slot_is_right(&self, meta: &Meta, seq: Seq, item: &LogItem) -> Holds {
        invariants::slot_has_its_id(item)?;
        invariants::writer_is_in(meta, item)?;
        let account = self.accounts.get(&item.sender).map(|(account, _)| account);
        let receipt = self.receipts.get(&item.sid).map(|(_, receipt)| receipt);
        invariants::slot_has_ended_or_is_open(item, account, receipt)?;
        let Some(receipt) = receipt else { return Ok(()) };
        invariants::receipt_agrees(&meta.id, seq, item, receipt)?;
        if !item.void {
            for user in meta.who.named().into_iter().flatten() {
                let inbox = self.inboxes.get(&(user.clone(), meta.id.clone())).map(|(inbox, _)| inbox);
                of(user, invariants::inbox_knows(inbox, seq))?;
            }
            if meta.who.named().is_none() {
                invariants::tail_knows(self.tails.get(&meta.id).copied().unwrap_or_default(), seq)?;
            }
        }
        let line = |user: &UserId, kind: &str| self.entry(user, &format!("{kind}#{}", item.sid.as_str()));
        let receiver = meta.who.paid_by(&item.sender);
        let charge = line(&item.sender, "charge");
        let house = charge.and_then(|charge| charge.split.as_ref()).and_then(|split| split.house.as_ref());
        let earning = receiver.and_then(|receiver| line(&receiver, "earn"));
        let share = house.and_then(|house| line(house, "share"));
        invariants::coins_have_arrived(item, Paid { charge, earning, share })
    }

    /// A line of a user's ledger, by what follows the time in its key.
    fn entry(&self, user: &UserId, id: &str) -> Option<&Entry> {
        self.lines.get(user)?.iter().find(|line| line.id() == id).map(|line| &line.entry)
    }

    fn receipts_name_their_slots(&self) -> Holds {
        for (user, receipt) in self.receipts.values() {
            let log = self.logs.get(&receipt.conversation);
            let holder = log.and_then(|log| log.get(&receipt.seq)).map(|item| &item.sid);
            if receipt.seq >= self.oldest(&receipt.conversation) {
                of(user, invariants::receipt_names_its_slot(user, receipt, holder))?;
            }
            if let Some((account, _)) = self.accounts.get(user) {
                let id = SendId::new(user, &receipt.client_message_id);
                of(user, invariants::dropped_is_told(account, &id, &receipt.client_message_id))?;
            }
        }
        Ok(())
    }

    fn inboxes_are_right(&self) -> Holds {
        for ((user, id), (inbox, listing)) in &self.inboxes {
            let place = format!("{user} in {id}");
            of(&place, invariants::horizons_are_in_order(inbox, self.tail(id)))?;
            is_listed(&place, invariants::inbox_unlisted(user, id, inbox, listing.as_ref()).as_ref())?;
            let (meta, _) = self
                .metas
                .get(id)
                .ok_or_else(|| Broken { rule: "an item's conversation is there", seen: place.clone() })?;
            of(&place, invariants::inbox_names_the_other(user, inbox, meta))?;
        }
        Ok(())
    }

    /// Accounts with their ledgers; presence.
    fn people_are_right(&self) -> Holds {
        let now = Time::default();
        for (user, (account, listing)) in &self.accounts {
            of(user, invariants::open_sends_fit(account))?;
            of(user, invariants::balance_can_be_held(account))?;
            account
                .open
                .iter()
                .try_for_each(|(id, send)| of(user, invariants::open_send_has_its_id(user, id, send)))?;
            is_listed(user, invariants::account_unlisted(user, account, listing.as_ref(), now).as_ref())?;
            let mut ledger = Ledger::new(account);
            self.lines.get(user).into_iter().flatten().for_each(|line| ledger.add(line));
            of(user, ledger.adds_up())?;
        }
        for (user, lines) in &self.lines {
            for line in lines {
                let place = format!("{user} {}", line.sk);
                let count = lines.iter().filter(|other| other.id() == line.id()).count();
                of(&place, invariants::line_is_there_once(line, count))?;
                of(&place, invariants::line_has_its_sign(&line.entry))?;
                of(&place, invariants::charge_is_taken_at_once(line))?;
                is_listed(&place, invariants::line_misplaced(user, line).as_ref())?;
                if let Some(key) = line.id().strip_prefix("topup#") {
                    let fixed = self.topups.get(&(user.clone(), key.to_owned())).copied();
                    of(&place, invariants::topup_is_fixed(&line.entry, fixed))?;
                }
            }
        }
        for (user, presence, listing) in &self.presences {
            of(user, invariants::connections_fit(presence))?;
            is_listed(user, invariants::presence_unlisted(user, presence, listing.as_ref(), now).as_ref())?;
        }
        Ok(())
    }

    fn coins_are_conserved(&self) -> Holds {
        let mut all = AllCoins::default();
        let mut open = HashSet::new();
        for (account, _) in self.accounts.values() {
            all.balances += i128::from(account.balance.0);
            all.taken += account.open.values().map(|send| i128::from(send.price.0)).sum::<i128>();
            open.extend(account.open.keys().map(SendId::as_str));
        }
        for (user, lines) in &self.lines {
            let account = self.accounts.get(user).map(|(account, _)| account);
            for line in lines {
                let amount = i128::from(line.entry.amount);
                if line.entry.kind == TransactionKind::Topup {
                    all.topped_up += amount;
                }
                // Who only earns has no account yet.
                if line.listing.is_some() && account.is_none_or(|account| !invariants::is_folded(account, line)) {
                    all.waiting += amount;
                }
                let earned = line.id().strip_prefix("earn#").or_else(|| line.id().strip_prefix("share#"));
                if earned.is_some_and(|send| open.contains(send)) {
                    all.paid_out += amount;
                }
            }
        }
        all.are_conserved()
    }

    /// What a client was once shown at a number is still there.
    fn nothing_shown_has_changed(&self, shown: &[Value]) -> Holds {
        for message in shown {
            let id: ConversationId = images::read(&message["conversationId"])?;
            let seq: Seq = images::read(&message["seq"])?;
            if seq < self.oldest(&id) {
                continue;
            }
            let item = self.logs.get(&id).and_then(|log| log.get(&seq));
            let same = item.is_some_and(|item| {
                message["senderId"] == item.sender.as_str()
                    && message["clientMessageId"] == item.client_message_id.as_str()
                    && message["content"] == item.content
                    && (message["deleted"] == true) == item.void
            });
            holds("what was shown stays", same, || format!("{message:#} is {item:?}"))?;
        }
        Ok(())
    }

    fn nothing_is_open(&self) -> Holds {
        for (user, (account, listing)) in &self.accounts {
            let ended = account.open.is_empty() && listing.is_none();
            holds("nothing is open", ended, || format!("{user}, at {listing:?}: {account:?}"))?;
        }
        Ok(())
    }

    /// All that follows from changes of memberships is done: inboxes are of their memberships, and groups are counted. Of one that never
    /// became whole nobody has an inbox.
    fn groups_are_at_rest(&self) -> Holds {
        for (id, members) in &self.members {
            let Some((Meta { who: Who::Group(group), .. }, _)) = self.metas.get(id) else { continue };
            for (user, member) in members.iter().filter(|_| group.whole) {
                let inbox = self.inboxes.get(&(user.clone(), id.clone())).map(|(inbox, _)| inbox);
                let place = format!("{user} in {id}");
                holds("what follows from a change is done", member.is_settled(), || format!("{place}: {member:?}"))?;
                of(place, invariants::inbox_follows_its_membership(member, inbox))?;
            }
            if group.whole {
                of(id, invariants::group_counts_its_members(group, members.values()))?;
            }
        }
        for (user, id) in self.inboxes.iter().filter(|(_, (inbox, _))| inbox.joined().is_some()).map(|(of, _)| of) {
            let whole = self.metas.get(id).is_some_and(|(meta, _)| matches!(&meta.who, Who::Group(it) if it.whole));
            holds("nobody is told of a group that isn't whole", whole, || format!("{user} of {id}"))?;
        }
        Ok(())
    }

    fn what_waits_does_not_fit(&self) -> Holds {
        for (user, (account, _)) in &self.accounts {
            for line in self.lines.get(user).into_iter().flatten().filter(|line| line.listing.is_some()) {
                let balance = i128::from(account.balance.0);
                let fits = balance + i128::from(line.entry.amount) <= i128::from(COINS_MAX);
                holds("what fits is folded in", !fits, || format!("{user} has {balance} without {line:?}"))?;
            }
        }
        Ok(())
    }

    /// Who was charged has sent, and a paid message was charged.
    fn charges_have_messages(&self) -> Holds {
        let ids = self.lines.values().flatten().filter_map(|line| line.id().strip_prefix("charge#"));
        let charges: BTreeSet<&str> = ids.collect();
        let paid = self.logs.values().flat_map(|log| log.values()).filter(|item| !item.void && item.price > Coins(0));
        let paid: BTreeSet<&str> = paid.map(|item| item.sid.as_str()).collect();
        holds("who was charged has sent", charges == paid, || format!("charged: {charges:?}, paid: {paid:?}"))
    }
}
