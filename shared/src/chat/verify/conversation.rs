//! A conversation: its id, its log across archive and table, its inboxes.

use std::collections::{BTreeMap, HashMap};

use wire::{ClientMessageId, Coins, ConversationId, Seq, UserId};

use super::super::invariants::{self, Broken, Holds, Paid, READABLE};
use super::{Check, Checked, Finding};
use crate::error::Error;
use crate::limits::{VERIFY_LOG_PAGE, VERIFY_SEGMENTS_PAGE};
use crate::store::Read;
use crate::store::conversations::Meta;
use crate::store::inbox::Inbox;
use crate::store::log::{LogItem, LogPage};
use crate::store::scan::Due;
use crate::store::segments::Segment;
use crate::store::table::Key;
use crate::store::work::Listing;

/// A walk along a log.
struct Walk<'a> {
    meta: &'a Meta,
    checked: Checked,
    /// The number that is looked at next.
    next: Seq,
    /// The highest number whose send has ended as a message.
    ended: Seq,
}

impl Walk<'_> {
    fn wrong(&mut self, rule: &'static str, seq: Seq, seen: impl Into<String>) {
        self.holds(seq, Err(Broken { rule, seen: seen.into() }));
    }

    fn holds(&mut self, seq: Seq, rule: Holds) {
        self.checked.holds(format_args!("{} {seq}", self.meta.id), rule);
    }

    /// The numbers that a page has, in their order; those that can't be read are reported.
    fn numbers(&mut self, page: &LogPage) -> Vec<Seq> {
        for seq in &page.unreadable {
            self.wrong(READABLE, *seq, "it is damaged, or a later version has written it");
        }
        let mut numbers: Vec<Seq> = page.slots.iter().map(|(seq, _)| *seq).chain(page.unreadable.clone()).collect();
        numbers.sort_unstable();
        numbers
    }
}

impl Check<'_> {
    /// A conversation, from this number on if it was begun before.
    pub(super) async fn conversation(&self, id: &ConversationId, from: Option<Seq>) -> Result<Checked, Error> {
        let key = Key::meta(id);
        let Some((meta, listing)) = self.app.store.kept::<Meta>(key.clone()).await? else {
            return Ok(Checked::default());
        };
        let inboxes = self.inboxes(&meta).await?;
        let next = from.unwrap_or(meta.oldest_seq);
        let mut walk = Walk { meta: &meta, checked: Checked::default(), next, ended: Seq(0) };
        if from.is_none() {
            walk.checked.holds(&key, invariants::pair_has_one_conversation(id, &meta));
            let due = invariants::meta_unlisted(id, &meta, listing.as_ref(), self.now);
            self.unlisted(&mut walk.checked, key, Due::Archive, due, "no cleanup finds it".to_owned()).await?;
            self.leftovers(&mut walk).await?;
        }
        if self.archived(&mut walk).await? && self.table(&mut walk).await? {
            self.horizons(&mut walk, &inboxes).await?;
        } else {
            walk.checked.stopped = Some(Some(walk.next));
        }
        Ok(walk.checked)
    }

    /// What the table was said to have no more is gone.
    async fn leftovers(&self, walk: &mut Walk<'_>) -> Result<(), Error> {
        let below = walk.meta.deleted_below;
        if below > Seq(1) {
            let left = self.app.store.log_range(&walk.meta.id, Seq(0)..=Seq(below.0 - 1), 1, false).await?;
            if let Some((seq, _)) = left.slots.first() {
                walk.wrong("what was deleted is gone", *seq, format!("it is in the table, below {below}"));
            }
        }
        Ok(())
    }

    /// The archived part: segments without holes, each with its object. Says whether there was time for all of it.
    async fn archived(&self, walk: &mut Walk<'_>) -> Result<bool, Error> {
        let first_seq = walk.meta.first_seq;
        while walk.next < first_seq {
            let segments = self.app.store.segments(&walk.meta.id, walk.next, VERIFY_SEGMENTS_PAGE).await?;
            let before = walk.next;
            for segment in segments.into_iter().filter(|segment| segment.first < first_seq) {
                if self.app.clock.now() >= self.stop {
                    return Ok(false);
                }
                self.segment(walk, segment).await?;
            }
            if walk.next == before {
                walk.wrong("archived numbers are in a segment", walk.next, format!("none; first_seq is {first_seq}"));
                walk.next = first_seq;
            }
        }
        Ok(true)
    }

    async fn segment(&self, walk: &mut Walk<'_>, segment: Segment) -> Result<(), Error> {
        let Segment { first, last, .. } = segment;
        walk.holds(first, invariants::segment_follows(&segment, walk.next, walk.meta.first_seq));
        if last < first {
            return Ok(());
        }
        walk.next = last.next();
        let Some(archive) = &self.app.archive else {
            walk.wrong("archived messages can be read", first, "ARCHIVE_BUCKET is empty");
            return Ok(());
        };
        let slots = match archive.read(&segment, first..=last).await {
            Ok(slots) => slots,
            Err(Error::Unreadable(_)) => {
                let seen = format!("{} is missing, or isn't what was written", segment.object);
                walk.wrong("archived messages can be read", first, seen);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        walk.checked.archived += slots.len() as u64;
        if last >= walk.meta.deleted_below {
            let kept = self.kept_too(walk, first, last).await?;
            for (seq, item) in &slots {
                walk.holds(*seq, invariants::archive_has_what_the_table_has(item, kept.get(seq), &segment.object));
            }
        }
        self.slots(walk, &slots).await
    }

    /// What the table still has of numbers that are archived.
    async fn kept_too(&self, walk: &mut Walk<'_>, first: Seq, last: Seq) -> Result<HashMap<Seq, LogItem>, Error> {
        let mut kept = HashMap::new();
        let mut next = first;
        while next <= last {
            let page = self.app.store.log_range_readable(&walk.meta.id, next..=last, VERIFY_LOG_PAGE).await?;
            next = walk.numbers(&page).last().copied().unwrap_or(last).next();
            kept.extend(page.slots);
            if !page.more {
                break;
            }
        }
        Ok(kept)
    }

    /// The part in the table, up to its end. Says whether there was time for all of it.
    async fn table(&self, walk: &mut Walk<'_>) -> Result<bool, Error> {
        loop {
            if self.app.clock.now() >= self.stop {
                return Ok(false);
            }
            let numbers = walk.next..=Seq(u64::MAX);
            let page = self.app.store.log_range_readable(&walk.meta.id, numbers, VERIFY_LOG_PAGE).await?;
            for seq in walk.numbers(&page) {
                // An answer is no snapshot: a number that it lacks may have come while it was made.
                while let Err(hole) = invariants::log_has_no_hole(walk.next, seq) {
                    if self.app.store.log_item(&walk.meta.id, walk.next).await?.is_none() {
                        walk.holds(walk.next, Err(hole));
                        break;
                    }
                    walk.next = walk.next.next();
                }
                walk.next = seq.next();
            }
            self.slots(walk, &page.slots).await?;
            if !page.more {
                return Ok(true);
            }
        }
    }

    /// Slots: each is its sender's, has its RECEIPT or is open, and its coins have gone where they should.
    async fn slots(&self, walk: &mut Walk<'_>, slots: &[(Seq, LogItem)]) -> Result<(), Error> {
        let mut by_sender: BTreeMap<&UserId, Vec<&ClientMessageId>> = BTreeMap::new();
        for (seq, item) in slots {
            by_sender.entry(&item.sender).or_default().push(&item.client_message_id);
            walk.holds(*seq, invariants::slot_has_its_id(item));
            walk.holds(*seq, invariants::writer_is_in(walk.meta, item));
        }
        let mut receipts = HashMap::new();
        for (sender, ids) in by_sender {
            for receipt in self.app.store.receipts(sender, ids.into_iter()).await? {
                receipts.insert((sender, receipt.client_message_id.clone()), receipt);
            }
        }
        let mut paid = Vec::new();
        for (seq, item) in slots {
            match receipts.get(&(&item.sender, item.client_message_id.clone())) {
                Some(receipt) => {
                    walk.holds(*seq, invariants::receipt_agrees(&walk.meta.id, *seq, item, receipt));
                    if !item.void {
                        walk.ended = walk.ended.max(*seq);
                    }
                    if item.price > Coins(0) {
                        paid.push((*seq, item));
                    }
                }
                None => self.unfinished(walk, *seq, item).await?,
            }
        }
        self.coins(walk, &paid).await
    }

    /// A slot without a RECEIPT: its send is open. The RECEIPT is written before the send is dropped, so it is read again.
    async fn unfinished(&self, walk: &mut Walk<'_>, seq: Seq, item: &LogItem) -> Result<(), Error> {
        let store = &self.app.store;
        let account = store.account_if_any(&item.sender).await?;
        let Err(ended) = invariants::slot_has_ended_or_is_open(item, account.as_ref(), None) else { return Ok(()) };
        let receipt = store.receipt(&item.sender, &item.client_message_id).await?;
        let agrees = |receipt| invariants::receipt_agrees(&walk.meta.id, seq, item, &receipt);
        walk.holds(seq, receipt.map_or(Err(ended), agrees));
        Ok(())
    }

    /// The coins of messages that had a price and have ended.
    async fn coins(&self, walk: &mut Walk<'_>, paid: &[(Seq, &LogItem)]) -> Result<(), Error> {
        let line = |user: &UserId, kind: &str, item: &LogItem| {
            Key::entry(user, item.created_at, &format!("{kind}#{}", item.sid.as_str()))
        };
        let keys = |item: &LogItem| {
            let receiver = walk.meta.who.paid_by(&item.sender)?;
            Some([line(&item.sender, "charge", item), line(&receiver, "earn", item)])
        };
        let wanted: Vec<(Seq, &LogItem, [Key; 2])> =
            paid.iter().filter_map(|(seq, item)| Some((*seq, *item, keys(item)?))).collect();
        let all: Vec<Key> = wanted.iter().flat_map(|(_, _, keys)| keys.clone()).collect();
        let lines = self.app.store.ledger_lines(&all).await?;
        let share = |item: &LogItem, charge: &Key| {
            let split = lines.get(charge).and_then(|charge| charge.split.as_ref());
            let house = split.map_or(Some(&self.app.config.house), |split| split.house.as_ref());
            house.map(|house| line(house, "share", item))
        };
        let shares: Vec<Key> = wanted.iter().filter_map(|(_, item, [charge, _])| share(item, charge)).collect();
        let shares = self.app.store.ledger_lines(&shares).await?;
        for (seq, item, [charge, earning]) in &wanted {
            let share = share(item, charge).and_then(|key| shares.get(&key));
            let paid = Paid { charge: lines.get(charge), earning: lines.get(earning), share };
            walk.holds(*seq, invariants::coins_have_arrived(item, paid));
        }
        Ok(())
    }

    async fn inboxes(&self, meta: &Meta) -> Result<Vec<(UserId, Inbox, Option<Listing>)>, Error> {
        let mut inboxes = Vec::new();
        for user in meta.who.named().into_iter().flatten() {
            let inbox = self.app.store.kept::<Inbox>(Key::inbox(user, &meta.id)).await?;
            inboxes.extend(inbox.map(|(inbox, listing)| (user.clone(), inbox, listing)));
        }
        Ok(inboxes)
    }

    /// What goes only forward: META, and the inboxes. They were read before the log, which only grows; inboxes that seem to be
    /// behind it are read again.
    async fn horizons(&self, walk: &mut Walk<'_>, inboxes: &[(UserId, Inbox, Option<Listing>)]) -> Result<(), Error> {
        let meta = walk.meta;
        let tail = Seq(walk.next.0 - 1);
        walk.checked.holds(Key::meta(&meta.id), invariants::numbers_have_moved_in_order(meta, tail));
        for (user, inbox, listing) in inboxes {
            let key = Key::inbox(user, &meta.id);
            walk.checked.holds(&key, invariants::horizons_are_in_order(inbox, tail));
            walk.checked.holds(&key, invariants::inbox_names_the_other(user, inbox, meta));
            let due = invariants::inbox_unlisted(user, &meta.id, inbox, listing.as_ref());
            let seen = format!("{} undelivered, which no count finds", inbox.undelivered());
            self.unlisted(&mut walk.checked, key, Due::Waiting, due, seen).await?;
        }
        if walk.ended > Seq(0) {
            for (user, peer) in meta.who.inboxes_moved() {
                self.reached(walk, user, peer).await?;
            }
        }
        let ended = walk.ended;
        self.group(&mut walk.checked, meta, tail, ended).await
    }

    /// An inbox knows of the last message that has ended.
    async fn reached(&self, walk: &mut Walk<'_>, user: &UserId, peer: &UserId) -> Result<(), Error> {
        let (meta, store) = (walk.meta, &self.app.store);
        let inbox = store.inbox(user, &meta.id, Read::Strong).await?;
        let Err(broken) = invariants::inbox_knows(inbox.as_ref(), walk.ended) else { return Ok(()) };
        let mut finding = Finding::new(Key::inbox(user, &meta.id), broken);
        finding.repair = Some("tell the inbox of it");
        if self.repair {
            store.inbox_create(user, &meta.id, peer, meta.created_at).await?;
            store.inbox_raise_last(user, &meta.id, walk.ended, self.now).await?;
            finding.mended = true;
        }
        walk.checked.findings.push(finding);
        Ok(())
    }
}
