//! Checks all that is kept against what must hold (ARCHITECTURE.md, "What must hold"), in slices, while the system is in use.
//!
//! A scan proposes the items, kind by kind: `conversation` checks a conversation with its log, its archive and its inboxes;
//! `group` what a group has besides; `person` an account with its ledger, and presence; `cross` whether what names something
//! else names it right. Before anything is reported it is read strongly, in an order in which a send or a folding that is
//! under way is no error.
//!
//! What can be put right without knowing more than is kept is, on demand: places in the index, and inboxes that are behind
//! their log. Nothing else: what a reader relies on is never made up.

mod conversation;
mod cross;
mod group;
mod person;

use std::collections::BTreeMap;

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use wire::{ConversationId, Seq, Time, TransactionKind};

use super::invariants::{self, Broken, Holds, LISTED, READABLE};
use crate::app::App;
use crate::error::Error;
use crate::limits::{VERIFY_AT_ONCE, VERIFY_FINDINGS_MAX, VERIFY_PAGE_ITEMS, VERIFY_RESERVE, VERIFY_SETTLED_AFTER};
use crate::store::scan::{Due, Found};
use crate::store::table::Key;
use crate::store::work::Listing;

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
pub struct Order {
    /// Whether to put right what can be.
    #[serde(default)]
    pub repair: bool,
    /// Where the slice before this one has ended; nothing at the beginning.
    #[serde(default)]
    pub cursor: Option<Cursor>,
}

/// Where a slice has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    /// When the first slice began, milliseconds since 1970.
    began_at: i64,
    /// The last item that was checked.
    after: Option<Key>,
    /// The conversation that was begun, and its number at which to go on.
    from: Option<(ConversationId, Seq)>,
    /// What senders were charged, less what others have earned by it, so far. Wraps: in the end only 0 counts.
    unpaid: i64,
}

/// What a slice has found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// How many items of each kind were checked, and `archived` messages.
    pub checked: BTreeMap<&'static str, u64>,
    /// Where the next slice begins; nothing when all was checked.
    pub cursor: Option<Cursor>,
}

/// One thing that is wrong. Never a content.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// What must hold and doesn't.
    pub rule: &'static str,
    /// Of which item, or which conversation's number.
    pub place: String,
    /// What was seen.
    pub seen: String,
    /// What puts it right, where something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<&'static str>,
    /// Whether that was done.
    pub mended: bool,
}

impl Finding {
    fn new(place: impl std::fmt::Display, Broken { rule, seen }: Broken) -> Self {
        Self { rule, place: place.to_string(), seen, repair: None, mended: false }
    }
}

/// Checks a slice: until all is checked, the time is nearly over, or the report is full.
///
/// # Errors
/// Those of the store and of the archive: nothing is known then, and the same order may be given again.
pub async fn verify(app: &App, order: Order, deadline: Time) -> Result<Report, Error> {
    let now = app.clock.now();
    let start = Cursor { began_at: now.ms, after: None, from: None, unpaid: 0 };
    let mut cursor = order.cursor.unwrap_or(start);
    let check = Check {
        app,
        repair: order.repair,
        now,
        settled: Time { ms: cursor.began_at }.before(VERIFY_SETTLED_AFTER),
        stop: deadline.before(VERIFY_RESERVE),
    };
    let mut report = Report::default();
    loop {
        let (items, next) = app.store.scan(cursor.after.as_ref(), VERIFY_PAGE_ITEMS).await?;
        if !check.page(items, &mut cursor, &mut report).await? {
            report.cursor = Some(cursor);
            return Ok(report);
        }
        cursor.after = next;
        if cursor.after.is_none() {
            let unpaid = invariants::charges_are_earned(cursor.unpaid);
            report.findings.extend(unpaid.err().map(|broken| Finding::new("all ledgers", broken)));
            return Ok(report);
        }
        if app.clock.now() >= check.stop || report.findings.len() >= VERIFY_FINDINGS_MAX {
            report.cursor = Some(cursor);
            return Ok(report);
        }
    }
}

/// What a check needs to know.
struct Check<'a> {
    app: &'a App,
    repair: bool,
    now: Time,
    /// What was decided before this has ended, in whatever way.
    settled: Time,
    /// When no more is begun.
    stop: Time,
}

/// What became of checking one item and all that belongs to it.
#[derive(Default)]
struct Checked {
    findings: Vec<Finding>,
    /// Messages that were read from the archive.
    archived: u64,
    /// Whether the time was over before all was checked; and at which number of a conversation.
    stopped: Option<Option<Seq>>,
}

impl Checked {
    /// Reports what doesn't hold.
    fn holds(&mut self, place: impl std::fmt::Display, rule: Holds) {
        // One broken thing may break each of a million messages: who mends it looks again.
        if let Err(broken) = rule
            && self.findings.len() < VERIFY_FINDINGS_MAX
        {
            self.findings.push(Finding::new(place, broken));
        }
    }
}

impl Check<'_> {
    /// Checks a page of items; says whether it was all of it. If not, the cursor says how far.
    async fn page(&self, items: Vec<(Key, Found)>, cursor: &mut Cursor, report: &mut Report) -> Result<bool, Error> {
        let from = cursor.from.take();
        let checks: Vec<_> = items.iter().map(|(key, found)| self.item(key, found, from.as_ref())).collect();
        let mut checks = futures::stream::iter(checks).buffered(VERIFY_AT_ONCE);
        let mut whole = 0;
        while let Some(checked) = checks.next().await {
            let Checked { findings, archived, stopped } = checked?;
            report.findings.extend(findings);
            *report.checked.entry("archived").or_default() += archived;
            if let Some(at) = stopped {
                let begun = items.get(whole).and_then(|(key, _)| key.conversation().ok());
                cursor.from = begun.zip(at);
                break;
            }
            whole += 1;
        }
        drop(checks);
        let all = whole == items.len();
        for (key, found) in &items[..whole] {
            *report.checked.entry(found.kind()).or_default() += 1;
            if let Found::Unknown(problem) = found {
                let broken = Broken { rule: READABLE, seen: problem.clone() };
                report.findings.push(Finding::new(key, broken));
            }
            if let Found::Entry(_, line) = found
                && line.entry.kind != TransactionKind::Topup
                && line.entry.created_at < self.settled
            {
                cursor.unpaid = cursor.unpaid.wrapping_add(line.entry.amount);
            }
            cursor.after = Some(key.clone());
        }
        report.findings.extend(self.cross(&items[..whole]).await?);
        Ok(all)
    }

    /// Checks one item and what belongs to it: of a conversation from this number on.
    async fn item(&self, key: &Key, found: &Found, from: Option<&(ConversationId, Seq)>) -> Result<Checked, Error> {
        if self.app.clock.now() >= self.stop {
            return Ok(Checked { stopped: Some(None), ..Checked::default() });
        }
        let checked = self.found(found, from).await;
        let Err(Error::Unreadable(seen)) = checked else { return checked };
        // A finding like any other. What stands behind it is checked when it was mended.
        let mut checked = Checked::default();
        checked.holds(key, Err(Broken { rule: READABLE, seen }));
        Ok(checked)
    }

    async fn found(&self, found: &Found, from: Option<&(ConversationId, Seq)>) -> Result<Checked, Error> {
        match found {
            Found::Meta(id) => {
                let from = from.filter(|(begun, _)| begun == id);
                self.conversation(id, from.map(|(_, seq)| *seq)).await
            }
            Found::Account(user) => self.account(user).await,
            Found::Presence(user) => self.presence(user).await,
            Found::Entry(user, line) => self.line(user, line).await,
            _ => Ok(Checked::default()),
        }
    }

    /// Reports that something must be in the index at a place where it isn't, and puts it there.
    async fn unlisted(
        &self,
        checked: &mut Checked,
        key: Key,
        due: Due,
        listing: Option<Listing>,
        seen: String,
    ) -> Result<(), Error> {
        let Some(listing) = listing else { return Ok(()) };
        let mut finding = Finding::new(&key, Broken { rule: LISTED, seen });
        finding.repair = Some("put it into the index");
        if self.repair {
            self.app.store.list(key, due, &listing).await?;
            finding.mended = true;
        }
        checked.findings.push(finding);
        Ok(())
    }
}
