//! A conversation: its id, its log across archive and table, its inboxes.

use std::collections::{BTreeMap, HashMap};

use wire::{ClientMessageId, Coins, ConversationId, Fingerprint, Kind, SendId, Seq, UserId, direct_id};

use super::{Check, Checked, Finding, place};
use crate::error::Error;
use crate::limits::{VERIFY_LOG_PAGE, VERIFY_SEGMENTS_PAGE};
use crate::store::Read;
use crate::store::conversations::Meta;
use crate::store::inbox::Inbox;
use crate::store::ledger::Entry;
use crate::store::log::LogItem;
use crate::store::receipts::Receipt;
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
        let place = format!("{} {seq}", self.meta.id);
        self.checked.wrong(rule, place, seen);
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
            self.identity(id, &meta, &mut walk.checked);
            let due = Listing::archive(self.now, id);
            if !meta.idle && listing.is_none_or(|listing| !listing.differs_in_time_only(&due)) {
                let seen = "no cleanup finds it";
                self.unlisted(&mut walk.checked, key, Due::Archive, &due, seen).await?;
            }
            self.leftovers(&mut walk).await?;
        }
        if self.archived(&mut walk).await? && self.table(&mut walk).await? {
            self.horizons(&mut walk, &inboxes).await?;
        } else {
            walk.checked.stopped = Some(Some(walk.next));
        }
        Ok(walk.checked)
    }

    /// Who is in it gives the id, so two people have one conversation.
    fn identity(&self, id: &ConversationId, meta: &Meta, checked: &mut Checked) {
        let same = match (meta.kind, meta.members.as_slice()) {
            (Kind::Direct, [one, other]) => one != other && direct_id(one, other) == meta.id,
            _ => false,
        };
        if !same || meta.id != *id {
            let members: Vec<&str> = meta.members.iter().map(UserId::as_str).collect();
            checked.wrong("two people have one conversation", place(&Key::meta(id)), format!("members {members:?}"));
        }
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
        if first != walk.next || last < first || last >= walk.meta.first_seq {
            let seen = format!("a segment from {first} to {last}, wanted from {}", walk.next);
            walk.wrong("segments follow each other", first, seen);
        }
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
            // What the error quotes may be what somebody wrote.
            Err(Error::Internal(_)) => {
                let seen = format!("{} is missing, or isn't what was written", segment.object);
                walk.wrong("archived messages can be read", first, seen);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        walk.checked.archived += slots.len() as u64;
        if last >= walk.meta.deleted_below {
            let kept: HashMap<Seq, LogItem> = self.kept_too(&walk.meta.id, first, last).await?;
            for (seq, item) in &slots {
                if kept.get(seq).is_some_and(|kept| kept != item) {
                    walk.wrong("the archive has what the table has", *seq, format!("{} differs", segment.object));
                }
            }
        }
        self.slots(walk, &slots).await
    }

    /// What the table still has of numbers that are archived.
    async fn kept_too(&self, id: &ConversationId, first: Seq, last: Seq) -> Result<HashMap<Seq, LogItem>, Error> {
        let mut kept = HashMap::new();
        let mut next = first;
        while next <= last {
            let page = self.app.store.log_range(id, next..=last, VERIFY_LOG_PAGE, false).await?;
            next = page.slots.last().map_or(last, |(seq, _)| *seq).next();
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
            let page =
                self.app.store.log_range(&walk.meta.id, walk.next..=Seq(u64::MAX), VERIFY_LOG_PAGE, false).await?;
            for (seq, _) in &page.slots {
                // An answer is no snapshot: a number that it lacks may have come while it was made.
                while walk.next < *seq {
                    if self.app.store.log_item(&walk.meta.id, walk.next).await?.is_none() {
                        walk.wrong("a log has no holes", walk.next, format!("nothing, and {seq} is there"));
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
            if item.sid != SendId::new(&item.sender, &item.client_message_id) {
                walk.wrong("a send's id is its sender's and its name's", *seq, format!("sid {}", item.sid.as_str()));
            }
            if !walk.meta.members.contains(&item.sender) {
                walk.wrong("who writes is in the conversation", *seq, format!("sender {}", item.sender));
            }
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
                    receipt_agrees(walk, *seq, item, receipt);
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
        if account.is_some_and(|account| account.open.contains_key(&item.sid)) {
            return Ok(());
        }
        match store.receipt(&item.sender, &item.client_message_id).await? {
            Some(receipt) => receipt_agrees(walk, seq, item, &receipt),
            None => {
                walk.wrong("every slot has its receipt, or its send is open", seq, format!("sender {}", item.sender))
            }
        }
        Ok(())
    }

    /// What a paid message has cost was charged once and has arrived, as it was split when it was decided: the house may be
    /// another by now. A void has cost nothing.
    async fn coins(&self, walk: &mut Walk<'_>, paid: &[(Seq, &LogItem)]) -> Result<(), Error> {
        let line = |user: &UserId, kind: &str, item: &LogItem| {
            Key::entry(user, item.created_at, &format!("{kind}#{}", item.sid.as_str()))
        };
        let keys = |item: &LogItem| {
            let receiver = walk.meta.members.iter().find(|member| **member != item.sender)?;
            Some([line(&item.sender, "charge", item), line(receiver, "earn", item)])
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
        let amount = |line: Option<&Entry>| line.map_or(0, |entry| i128::from(entry.amount));
        for (seq, item, [charge_key, earning_key]) in &wanted {
            let charge = lines.get(charge_key);
            let (charged, earned) = (amount(charge), amount(lines.get(earning_key)));
            let shared = amount(share(item, charge_key).and_then(|key| shares.get(&key)));
            let price = if item.void { 0 } else { i128::from(item.price.0) };
            let right = match charge.and_then(|charge| charge.split.as_ref()) {
                Some(split) => earned == i128::from(split.earned.0) && earned + shared == price,
                // Nobody knows whose house it was. That nothing is missing in all, the sum over all shows.
                None => earned + shared == price || charge.is_some() && shared == 0 && (0..price).contains(&earned),
            };
            if charged != -price || !right {
                let seen = format!("price {price}: {charged} charged, {earned} earned, {shared} to the house");
                walk.wrong("coins add up", *seq, seen);
            }
        }
        Ok(())
    }

    async fn inboxes(&self, meta: &Meta) -> Result<Vec<(UserId, Inbox, Option<Listing>)>, Error> {
        let mut inboxes = Vec::new();
        for user in &meta.members {
            let inbox = self.app.store.kept::<Inbox>(Key::inbox(user, &meta.id)).await?;
            inboxes.extend(inbox.map(|(inbox, listing)| (user.clone(), inbox, listing)));
        }
        Ok(inboxes)
    }

    /// `read <= delivered <= last <= tail`, and whoever's message has ended, the inboxes know. They were read before the log,
    /// which only grows; those that seem to be behind it are read again.
    async fn horizons(&self, walk: &mut Walk<'_>, inboxes: &[(UserId, Inbox, Option<Listing>)]) -> Result<(), Error> {
        let meta = walk.meta;
        let tail = Seq(walk.next.0 - 1);
        for (user, inbox, listing) in inboxes {
            let key = Key::inbox(user, &meta.id);
            let Inbox { read_seq, delivered_seq, last_seq, .. } = inbox;
            if read_seq > delivered_seq || delivered_seq > last_seq || *last_seq > tail {
                let seen = format!("read {read_seq}, delivered {delivered_seq}, last {last_seq}, the log's end {tail}");
                walk.checked.wrong("horizons are in order", place(&key), seen);
            }
            if !meta.members.contains(&inbox.peer) || inbox.peer == *user {
                walk.checked.wrong("an inbox names the other one", place(&key), format!("peer {}", inbox.peer));
            }
            let due = Listing::waiting(inbox.last_at, user, &meta.id);
            let is_listed = listing.as_ref().is_some_and(|listing| listing.differs_in_time_only(&due));
            if inbox.undelivered() > 0 && !is_listed {
                let seen = format!("{} undelivered, which no count finds", inbox.undelivered());
                self.unlisted(&mut walk.checked, key, Due::Waiting, &due, &seen).await?;
            }
        }
        if walk.ended > Seq(0) {
            for user in &meta.members {
                self.reached(walk, user).await?;
            }
        }
        Ok(())
    }

    /// An inbox knows of the last message that has ended.
    async fn reached(&self, walk: &mut Walk<'_>, user: &UserId) -> Result<(), Error> {
        let (meta, store) = (walk.meta, &self.app.store);
        let last = store.inbox(user, &meta.id, Read::Strong).await?.map(|inbox| inbox.last_seq);
        if last.is_some_and(|last| last >= walk.ended) {
            return Ok(());
        }
        let seen = last.map_or_else(|| "no inbox".to_owned(), |last| format!("last {last}"));
        let mut finding = Finding::new(
            "an inbox knows of every message",
            place(&Key::inbox(user, &meta.id)),
            format!("{seen}, and {} has ended", walk.ended),
        );
        finding.repair = Some("tell the inbox of it");
        let peer = meta.members.iter().find(|member| *member != user);
        if let Some(peer) = peer.filter(|_| self.repair) {
            store.inbox_create(user, &meta.id, peer, meta.created_at).await?;
            store.inbox_raise_last(user, &meta.id, walk.ended, self.now).await?;
            finding.mended = true;
        }
        walk.checked.findings.push(finding);
        Ok(())
    }
}

/// A slot and the RECEIPT of its send say the same, and what is there is what was asked to be sent.
fn receipt_agrees(walk: &mut Walk<'_>, seq: Seq, item: &LogItem, receipt: &Receipt) {
    let id = &walk.meta.id;
    let same = receipt.conversation == *id && receipt.seq == seq && receipt.void == item.void;
    if !same || receipt.price != item.price || receipt.created_at != item.created_at {
        let Receipt { conversation, seq: number, void, price, .. } = receipt;
        let seen = format!(
            "the receipt of {} says {conversation} {number}, void {void}, price {}; the slot void {}, price {}",
            item.sender, price.0, item.void, item.price.0
        );
        walk.wrong("a receipt names its slot", seq, seen);
    } else if !item.void && receipt.fingerprint != Fingerprint::new(id, &item.content, item.reply_to) {
        walk.wrong("what is kept is what was sent", seq, "another content than its fingerprint's");
    }
}
