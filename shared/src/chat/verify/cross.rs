//! Whether what names something else names it right: receipts their slots, top-ups their keys, and items their conversation.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::StreamExt as _;
use wire::{ClientMessageId, ConversationId, SendId, Seq, TransactionKind, UserId};

use super::super::invariants::{self, Broken};
use super::{Check, Finding};
use crate::error::Error;
use crate::limits::VERIFY_AT_ONCE;
use crate::store::conversations::Meta;
use crate::store::receipts::Receipt;
use crate::store::scan::{Found, Line};
use crate::store::table::Key;

/// RECEIPTs of one conversation, with whose they are.
type Receipts<'a> = Vec<(&'a UserId, &'a Receipt)>;

impl Check<'_> {
    /// Checks what a page's items name.
    pub(super) async fn cross(&self, items: &[(Key, Found)]) -> Result<Vec<Finding>, Error> {
        let mut receipts: BTreeMap<&ConversationId, Receipts<'_>> = BTreeMap::new();
        let mut named: BTreeMap<(&ConversationId, Option<&UserId>), &Key> = BTreeMap::new();
        let mut topups = Vec::new();
        for (key, found) in items {
            match found {
                Found::Receipt(user, receipt) => {
                    receipts.entry(&receipt.conversation).or_default().push((user, receipt));
                    named.insert((&receipt.conversation, Some(user)), key);
                }
                Found::Inbox(user, id) => _ = named.insert((id, Some(user)), key),
                Found::Log(id) | Found::Segment(id) | Found::Member(id) | Found::Tail(id) => {
                    _ = named.insert((id, None), key);
                }
                Found::Entry(user, line) if line.entry.kind == TransactionKind::Topup => topups.push((user, line)),
                _ => {}
            }
        }
        let metas = self.app.store.conversations(named.keys().map(|(id, _)| *id)).await?;
        // A META that can't be read is a finding of its own.
        let unread: HashSet<ConversationId> = metas.skipped.iter().filter_map(|key| key.conversation().ok()).collect();
        named.retain(|(id, _), _| !unread.contains(*id));
        let metas: HashMap<ConversationId, Meta> = metas.read.into_iter().collect();
        let mut findings = Vec::new();
        for ((id, user), key) in named {
            let who = metas.get(id).map(|meta| &meta.who);
            if who.is_none_or(|who| user.is_some_and(|user| !who.can_have(user))) {
                let seen = if who.is_some() { "its user isn't in it" } else { "there is no such conversation" };
                let broken = Broken { rule: "an item's conversation is there", seen: format!("{id}: {seen}") };
                findings.push(Finding::new(key, broken));
            }
        }
        let of_known = receipts.into_iter().filter_map(|(id, receipts)| Some((metas.get(id)?, receipts)));
        let checks: Vec<_> = of_known.map(|(meta, receipts)| self.receipts(meta, receipts)).collect();
        let mut checks = futures::stream::iter(checks).buffered(VERIFY_AT_ONCE);
        while let Some(wrong) = checks.next().await {
            findings.extend(wrong?);
        }
        findings.extend(self.topups(&topups).await?);
        findings.extend(self.dropped(items).await?);
        Ok(findings)
    }

    /// Each RECEIPT's slot is its send's, in the table or in the archive. A slot never changes its send, so what is read now is
    /// what was there.
    async fn receipts(&self, meta: &Meta, receipts: Receipts<'_>) -> Result<Vec<Finding>, Error> {
        let numbers: Vec<Seq> = receipts.iter().map(|(_, receipt)| receipt.seq).collect();
        let in_table = numbers.iter().copied().filter(|seq| *seq >= meta.first_seq);
        let slots = self.app.store.log_slots_at(&meta.id, in_table).await?;
        let mut holders: HashMap<Seq, SendId> = slots.into_iter().map(|(seq, slot)| (seq, slot.sid)).collect();
        let archived = numbers.iter().copied().filter(|seq| (meta.oldest_seq..meta.first_seq).contains(seq));
        self.archived_holders(meta, archived.collect(), &mut holders).await?;
        let kept = receipts.into_iter().filter(|(_, receipt)| receipt.seq >= meta.oldest_seq);
        let wrong = kept.filter_map(|(user, receipt)| {
            let broken = invariants::receipt_names_its_slot(user, receipt, holders.get(&receipt.seq)).err()?;
            Some(Finding::new(Key::receipt(user, &receipt.client_message_id), broken))
        });
        Ok(wrong.collect())
    }

    /// Who holds archived slots: each segment is read once.
    async fn archived_holders(
        &self,
        meta: &Meta,
        mut numbers: Vec<Seq>,
        holders: &mut HashMap<Seq, SendId>,
    ) -> Result<(), Error> {
        numbers.sort_unstable();
        let mut done = Seq(0);
        for seq in numbers {
            if seq <= done {
                continue;
            }
            // Segments that are missing or can't be read are the conversation's finding.
            let Some(segment) = self.app.store.segment_with(&meta.id, seq).await? else { continue };
            let Some(archive) = &self.app.archive else { continue };
            match archive.read(&segment, segment.first..=segment.last).await {
                Ok(slots) => holders.extend(slots.into_iter().map(|(seq, item)| (seq, item.sid))),
                Err(Error::Unreadable(_)) => {}
                Err(error) => return Err(error),
            }
            done = segment.last;
        }
        Ok(())
    }

    /// Each account says up to which time-ordered id all was dropped, where it does. It is read after the RECEIPTs.
    async fn dropped(&self, items: &[(Key, Found)]) -> Result<Vec<Finding>, Error> {
        let mut ended: BTreeMap<&UserId, Vec<(&Key, &ClientMessageId)>> = BTreeMap::new();
        for (key, found) in items {
            if let Found::Receipt(user, receipt) = found
                && receipt.client_message_id.is_time_ordered()
            {
                ended.entry(user).or_default().push((key, &receipt.client_message_id));
            }
        }
        let mut wrong = Vec::new();
        for (user, ended) in ended {
            // An account that can't be read is a finding of its own.
            let account = match self.app.store.account_if_any(user).await {
                Err(error) if error.is_unreadable() => continue,
                account => account?,
            };
            let Some(account) = account else { continue };
            for (key, id) in ended {
                let told = invariants::dropped_is_told(&account, &SendId::new(user, id), id);
                wrong.extend(told.err().map(|broken| Finding::new(key, broken)));
            }
        }
        Ok(wrong)
    }

    /// Each top-up in a ledger is one that its key has fixed.
    async fn topups(&self, lines: &[(&UserId, &Line)]) -> Result<Vec<Finding>, Error> {
        let key_of = |user: &UserId, line: &Line| {
            line.id().strip_prefix("topup#").and_then(|key| key.parse().ok()).map(|key| Key::topup(user, &key))
        };
        let keys: Vec<Key> = lines.iter().filter_map(|(user, line)| key_of(user, line)).collect();
        let fixed = self.app.store.topups(&keys).await?;
        let wrong = lines.iter().filter_map(|(user, line)| {
            let amount = key_of(user, line).and_then(|key| fixed.get(&key).copied());
            let broken = invariants::topup_is_fixed(&line.entry, amount).err()?;
            Some(Finding::new(Key { sk: line.sk.clone(), ..Key::account(user) }, broken))
        });
        Ok(wrong.collect())
    }
}
