//! What each single write may do. Checked at the write itself, so a violation is found where it happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};
use shared::limits::{CONNECTIONS_MAX, DELETE_AFTER, OPEN_MAX};
use shared::store::presence::IS_CONNECTED;
use shared::store::work::{LIST, Listing, UNLIST};
use tokio::time::Instant;
use wire::limits::COINS_MAX;
use wire::{Time, UserId};

use super::clients::holds;
use super::past::{Past, Place, number, text};
use super::plan::{Plan, WRONG_CLOCK_S};
use crate::network::{Operation, kind_of};

/// Who decides so much before or after the last has a clock that was set.
const CLOCK_SET_MS: i64 = WRONG_CLOCK_S * 1_000 / 2;

/// How far two functions' clocks may differ, and a call's way.
const SKEW_MAX: Duration = Duration::from_secs(20);

/// A rule that was broken: its name, and how.
pub(super) type Broken = (&'static str, String);
/// What a check says.
pub(super) type Checked = Result<(), Broken>;

/// The entries of a map attribute.
fn map(item: &Value, name: &str) -> Map<String, Value> {
    item[name]["M"].as_object().cloned().unwrap_or_default()
}

/// The members of a set of texts.
fn set(item: &Value, name: &str) -> Vec<String> {
    let members = item[name]["SS"].as_array().into_iter().flatten();
    members.filter_map(|member| member.as_str().map(str::to_owned)).collect()
}

/// When the first of a PRESENCE's connections ends.
pub(super) fn first_end(presence: &Value, counts: impl Fn(&str) -> bool) -> Option<i64> {
    let connections = map(presence, "connections").into_iter().filter(|(id, _)| counts(id));
    connections.map(|(_, connection)| number(&connection["M"], "expires_at")).min()
}

/// Whether an item is in the index.
fn is_listed(item: &Value) -> bool {
    !item["work_pk"].is_null()
}

fn key(user: &str) -> String {
    format!("USER#{user}")
}

/// What was seen of the writes so far, where the items themselves don't tell.
pub(super) struct Seen {
    /// The slot of each send.
    sids: BTreeMap<String, (String, String)>,
    /// When each account's sends were decided, in the order of the decisions.
    claims: BTreeMap<String, Vec<i64>>,
    /// Messages per second of one user in the long run, and at once.
    rate: (u64, u64),
    /// The objects of the archive that were written.
    pub(super) objects: BTreeSet<String>,
    /// When each number of a conversation has moved to the archive.
    moved: BTreeMap<(String, i64), Instant>,
}

impl Seen {
    pub(super) fn new(plan: &Plan) -> Self {
        let (sids, claims, objects, moved) = Default::default();
        Self { sids, claims, rate: plan.rate, objects, moved }
    }

    /// An item is deleted: a slot that moved to the archive long enough ago.
    pub(super) fn may_delete(&self, past: &Past, (pk, sk): &Place) -> Checked {
        let seq = sk.strip_prefix("MSG#").and_then(|digits| digits.parse().ok());
        let seq = seq.ok_or_else(|| ("only messages are deleted", format!("{pk} {sk}")))?;
        // Who deletes again what has gone does no harm.
        let gone = past.now(pk, sk).is_none();
        let moved = self.moved.get(&(pk.clone(), seq));
        let old = moved.is_some_and(|moved| moved.elapsed() + SKEW_MAX >= DELETE_AFTER);
        holds("what is deleted has moved long ago", gone || old, || format!("{pk} {sk} moved {moved:?}"))
    }

    /// A send was decided at a moment: since any other of the account there were no more than the rate allows. When the
    /// clock was set back, it is as if a whole burst had just been sent.
    fn claims(&mut self, pk: &str, at: i64) -> Checked {
        let (per_second, burst) = self.rate;
        let claims = self.claims.entry(pk.to_owned()).or_default();
        let set_by_ms = claims.last().map_or(0, |last| at - last);
        let (was_set, was_set_back) = (set_by_ms.abs() > CLOCK_SET_MS, set_by_ms < -CLOCK_SET_MS);
        if was_set {
            claims.clear();
        }
        claims.extend(std::iter::repeat_n(at, if was_set_back { burst as usize } else { 1 }));
        let interval = 1_000 / per_second.cast_signed();
        for (n, first) in claims.iter().rev().enumerate() {
            let slow = (n as i64 + 1 - burst.cast_signed()) * interval <= at - first;
            holds("nobody sends faster than the rate", slow, || format!("{pk}: {} since {first} at {at}", n + 1))?;
        }
        Ok(())
    }
}

/// Who wrote, and how.
pub(super) struct By<'a> {
    pub(super) operation: &'a Operation,
    /// How many writes there were when the function began.
    pub(super) began_at: u64,
}

/// One write that was made: how, what was there, what is there now.
pub(super) struct Write<'a> {
    pub(super) past: &'a Past,
    pub(super) seen: &'a mut Seen,
    pub(super) by: &'a By<'a>,
    pub(super) before: Option<&'a Value>,
    pub(super) after: &'a Value,
}

impl Write<'_> {
    /// Checks it.
    pub(super) fn check(&mut self) -> Checked {
        let (pk, sk) = (text(self.after, "pk").to_owned(), text(self.after, "sk").to_owned());
        let replaced = self.by.operation.is_put() && self.before.is_some();
        holds("nothing is replaced", !replaced, || format!("{pk} {sk} was there: {:?}", self.before))?;
        match kind_of(&sk) {
            "ACCOUNT" => self.account(&pk),
            "RECEIPT" => self.receipt(&pk),
            "ENTRY" => self.entry(&pk, &sk),
            "INBOX" => self.inbox(&pk, &sk),
            "MSG" => self.slot(&pk, &sk),
            "META" => self.meta(&pk),
            "SEGMENT" => self.segment(&pk, &sk),
            "PRESENCE" => self.presence(&pk),
            _ => Ok(()),
        }
    }

    /// A write that only takes an item out of the index may find that another did.
    fn only_unlists(&self) -> bool {
        self.by.operation.update() == UNLIST
    }

    fn presence(&self, pk: &str) -> Checked {
        let context = || format!("{pk}: {:?} became {}", self.before, self.after);
        let connections = map(self.after, "connections");
        holds("what is due is listed", connections.is_empty() || is_listed(self.after), context)?;
        holds("nobody has too many connections", connections.len() <= CONNECTIONS_MAX, context)?;
        let takes = self.by.operation.is_on(&IS_CONNECTED);
        let took = self.before.is_some_and(|before| map(before, "connections").len() > connections.len());
        holds("who is taken out was there", took || !takes, context)?;
        let listed = first_end(self.after, |_| true).filter(|_| self.by.operation.update() == LIST);
        let Some(first_end) = listed else { return Ok(()) };
        let user: UserId = pk.trim_start_matches("USER#").parse().expect("a key names a user");
        let due = Listing::online(Time { ms: first_end }, &user);
        let stands = text(self.after, "work_sk") == due.sk;
        holds("who is online is looked at when their first connection ends", stands, context)
    }

    /// Messages move to the archive in order, when they have ended and their object is written; never the highest. Who has
    /// something to do is listed.
    fn meta(&mut self, pk: &str) -> Checked {
        let Some(before) = self.before else {
            return holds("what is due is listed", is_listed(self.after), || format!("{pk}: {}", self.after));
        };
        let context = || format!("{pk}: {before} became {}", self.after);
        let fixed = ["id", "kind", "members", "created_by", "created_at", "creation"];
        holds("what is written once stays", fixed.iter().all(|name| before[name] == self.after[name]), context)?;
        let [from, to] = [before, self.after].map(|meta| number(meta, "first_seq"));
        let [was, is] = [before, self.after].map(|meta| number(meta, "deleted_below"));
        let update = self.by.operation.update();
        holds("messages move forward", from < to || from == to && !update.contains("#first_seq"), context)?;
        holds("messages move forward", was <= is, context)?;
        holds("what is deleted has moved", is <= to, context)?;
        if !is_listed(self.after) {
            holds("what is due is listed", is == to, context)?;
        }
        if from == to {
            return Ok(());
        }
        let object = self.past.now(pk, &format!("SEGMENT#{from:020}")).filter(|it| number(it, "last") + 1 == to);
        let written = object.is_some_and(|segment| self.seen.objects.contains(text(segment, "object")));
        holds("what moves is in the archive", written, context)?;
        let tail = i64::try_from(self.past.tail_at(pk, self.past.version())).unwrap_or_default();
        holds("the highest number stays", to <= tail, context)?;
        for seq in from..to {
            let slot = self.past.now(pk, &format!("MSG#{seq:020}"));
            let receipt = slot
                .and_then(|slot| self.past.now(&key(text(slot, "sender")), &format!("RECEIPT#{}", text(slot, "cmid"))));
            holds("what moves has ended", receipt.is_some(), || format!("{pk} {seq}: {slot:?}"))?;
            self.seen.moved.insert((pk.to_owned(), seq), Instant::now());
        }
        Ok(())
    }

    /// A segment begins where the last one ended, and stays as it was decided.
    fn segment(&self, pk: &str, sk: &str) -> Checked {
        self.unchanged()?;
        let first: i64 = sk.trim_start_matches("SEGMENT#").parse().unwrap_or_default();
        let next = self.past.now(pk, "META").map_or(1, |meta| number(meta, "first_seq"));
        holds("segments follow each other", first == next, || format!("{pk} {sk}, but {next} is next"))
    }

    fn unchanged(&self) -> Checked {
        let same = self.before.is_none_or(|before| before == self.after);
        holds("what is written once stays", same, || format!("{:?} became {}", self.before, self.after))
    }

    /// A slot follows the one before it, and holds an open send that has no other.
    fn slot(&mut self, pk: &str, sk: &str) -> Checked {
        self.unchanged()?;
        if self.before.is_some() {
            return Ok(());
        }
        let seq: u64 = sk.trim_start_matches("MSG#").parse().unwrap_or_default();
        let follows = seq == 1 || self.past.now(pk, &format!("MSG#{:020}", seq - 1)).is_some();
        holds("logs have no holes", follows, || format!("{pk} {sk}"))?;
        let again = self.past.was_deleted(&(pk.to_owned(), sk.to_owned()));
        holds("an archived number isn't taken again", !again, || format!("{pk} {sk}: {}", self.after))?;
        let (sid, sender) = (text(self.after, "sid"), text(self.after, "sender"));
        let other = self.seen.sids.insert(sid.to_owned(), (pk.to_owned(), sk.to_owned()));
        holds("a send has one slot", other.is_none(), || format!("{pk} {sk} and {other:?} of {sid}"))?;
        let open = self.past.now(&key(sender), "ACCOUNT").map(|account| map(account, "open")).unwrap_or_default();
        holds("what is published is open", open.contains_key(sid), || format!("{pk} {sk}: {sid} of {sender}"))
    }

    /// Numbers move only forward, in order, and never beyond the log.
    fn inbox(&self, pk: &str, sk: &str) -> Checked {
        let [read, delivered, last] = ["read_seq", "delivered_seq", "last_seq"].map(|name| number(self.after, name));
        let ordered = read <= delivered && delivered <= last;
        holds("read <= delivered <= last", ordered, || format!("{pk} {sk}: {}", self.after))?;
        if let Some(before) = self.before {
            let forward =
                ["read_seq", "delivered_seq", "last_seq"].iter().all(|n| number(before, n) <= number(self.after, n));
            let context = || format!("{pk} {sk}: {before} became {}", self.after);
            holds("horizons move forward", forward, context)?;
            holds("a write changes something", before != self.after || self.only_unlists(), context)?;
        }
        let log = sk.replacen("INBOX#", "CONV#", 1);
        let there = last == 0 || self.past.now(&log, &format!("MSG#{last:020}")).is_some();
        holds("an inbox isn't ahead of its log", there, || format!("{pk} {sk}: {last}"))?;
        // What one has written oneself waits for nobody, and moves `delivered` with it.
        holds("what is due is listed", delivered == last || is_listed(self.after), || {
            format!("{pk} {sk}: {}", self.after)
        })
    }

    /// The end of a send: its slot is there, and all effects are.
    fn receipt(&self, pk: &str) -> Checked {
        self.unchanged()?;
        let item = self.after;
        let (conversation, seq) = (text(item, "conversation"), number(item, "seq"));
        let slot = self.past.now(&format!("CONV#{conversation}"), &format!("MSG#{seq:020}"));
        let ours = slot.is_some_and(|slot| {
            key(text(slot, "sender")) == pk && slot["cmid"] == item["cmid"] && slot["void"] == item["void"]
        });
        holds("a receipt names its slot", ours, || format!("{pk}: {item} {slot:?}"))?;
        let Some(slot) = slot.filter(|slot| slot["void"]["BOOL"] != true) else { return Ok(()) };
        let meta = self.past.now(&format!("CONV#{conversation}"), "META");
        holds("what is due is listed", meta.is_some_and(is_listed), || format!("{meta:?} with {item}"))?;
        let members = meta.and_then(|meta| meta["members"]["L"].as_array()).into_iter().flatten();
        for member in members.filter_map(|member| member["S"].as_str()) {
            let inbox = self.past.now(&key(member), &format!("INBOX#{conversation}"));
            let told = inbox.is_some_and(|inbox| number(inbox, "last_seq") >= seq);
            holds("a receipt comes last", told, || format!("{member} wasn't told of {conversation} {seq}"))?;
        }
        let sid = text(slot, "sid");
        let charged =
            self.past.partition(pk, "ENTRY#").any(|entry| text(entry, "sk").ends_with(&format!("#charge#{sid}")));
        holds("a receipt comes last", charged || number(slot, "price") == 0, || format!("{sid} isn't charged"))
    }

    /// A line of a ledger comes from a top-up or an open send, and is unlisted only when it was folded.
    fn entry(&self, pk: &str, sk: &str) -> Checked {
        if let Some(before) = self.before {
            let lost = is_listed(before) && !is_listed(self.after);
            let folded = lost && self.settling(pk).iter().any(|taken| taken == sk);
            let same = before["amount"] == self.after["amount"] && before["kind"] == self.after["kind"];
            let kept = is_listed(before) == is_listed(self.after);
            return holds("an entry is unlisted once folded", same && (kept || folded), || format!("{pk} {sk}"));
        }
        let amount = number(self.after, "amount");
        let id = sk.splitn(3, '#').nth(2).unwrap_or_default();
        let twice =
            self.past.partition(pk, "ENTRY#").filter(|entry| text(entry, "sk").ends_with(&format!("#{id}"))).count();
        holds("an entry is there once", twice <= 1, || format!("{pk} {id}"))?;
        let (kind, of) = id.split_once('#').unwrap_or_default();
        let sender = if kind == "charge" { pk.to_owned() } else { key(text(self.after, "counterparty")) };
        let open = self.past.now(&sender, "ACCOUNT").map(|account| map(account, "open")).unwrap_or_default();
        let send = open.get(of).map(|send| &send["M"]);
        let (price, earning) = send.map_or((0, 0), |send| (number(send, "price"), number(send, "earn")));
        let right = match kind {
            "topup" => self.past.now(pk, &format!("TOPUP#{of}")).is_some_and(|topup| number(topup, "amount") == amount),
            "charge" => send.is_some() && amount == -price,
            "earn" => send.is_some() && amount == earning,
            "share" => send.is_some() && amount == price - earning,
            _ => false,
        };
        holds("an entry has a reason", right, || format!("{pk} {sk}: {}", self.after))?;
        holds("what is due is listed", kind == "charge" || is_listed(self.after), || format!("{pk} {sk}"))
    }

    /// The entries that a user's half-done folding took.
    fn settling(&self, pk: &str) -> Vec<String> {
        self.past.now(pk, "ACCOUNT").map(|account| set(account, "settling")).unwrap_or_default()
    }

    /// Every coin that comes or goes has a reason in the same write.
    fn account(&mut self, pk: &str) -> Checked {
        let nothing = Value::Null;
        let (before, after) = (self.before.unwrap_or(&nothing), self.after);
        let context = || format!("{pk}: {before} became {after}");
        holds("no balance is negative", number(after, "balance") >= 0, context)?;
        let (was, is) = (map(before, "open"), map(after, "open"));
        holds("what is due is listed", is.is_empty() || is_listed(after), context)?;
        let forward = number(before, "epoch") <= number(after, "epoch")
            && number(before, "settle_version") <= number(after, "settle_version");
        holds("an account's counts move forward", forward, context)?;
        holds("nobody has too many open sends", is.len() <= OPEN_MAX, context)?;
        let held = is.values().map(|send| number(&send["M"], "price")).sum::<i64>() + number(after, "balance");
        holds("a balance can be held", u64::try_from(held).is_ok_and(|held| held <= COINS_MAX), context)?;
        let mut wanted = number(before, "balance");
        for (sid, send) in is.iter().filter(|(sid, _)| !was.contains_key(*sid)) {
            let cmid = text(&send["M"], "cmid");
            let ended = self.past.now(pk, &format!("RECEIPT#{cmid}")).is_some() || self.seen.sids.contains_key(sid);
            holds("a send is claimed once", !ended, || format!("{pk} {sid}: {send}"))?;
            let log = format!("CONV#{}", text(&send["M"], "conv"));
            let end = i64::try_from(self.past.tail_at(&log, self.by.began_at)).unwrap_or(i64::MAX);
            holds("a look sees the log's end", number(&send["M"], "base") >= end, || format!("{end}: {sid} {send}"))?;
            self.seen.claims(pk, number(&send["M"], "at"))?;
            wanted -= number(&send["M"], "price");
        }
        for (sid, send) in was.iter().filter(|(sid, _)| !is.contains_key(*sid)) {
            let receipt = self.past.now(pk, &format!("RECEIPT#{}", text(&send["M"], "cmid")));
            let receipt = receipt.ok_or_else(|| ("only the finished is dropped", format!("{pk} {sid}: {send}")))?;
            if receipt["void"]["BOOL"] == true {
                wanted += number(&send["M"], "price");
            }
        }
        for (sid, send) in is.iter().filter(|(sid, _)| was.contains_key(*sid)) {
            let (was, is) = (&was[sid]["M"], &send["M"]);
            let same = ["price", "earn", "print", "conv", "cmid", "at"].iter().all(|name| is[name] == was[name]);
            let forward = number(was, "base") <= number(is, "base");
            holds("an open send doesn't change", same && forward, context)?;
        }
        let (took, takes) = (set(before, "settling"), set(after, "settling"));
        let entry = |sk: &String| self.past.now(pk, sk);
        if took.is_empty() && !takes.is_empty() {
            let fresh = takes.iter().all(|sk| entry(sk).is_some_and(is_listed));
            holds("an entry is folded once", fresh, context)?;
            wanted += takes.iter().filter_map(entry).map(|entry| number(entry, "amount")).sum::<i64>();
        } else if took != takes {
            let ended = takes.is_empty() && took.iter().all(|sk| entry(sk).is_some_and(|entry| !is_listed(entry)));
            holds("a folding ends when its entries are unlisted", ended, context)?;
        }
        holds("coins are conserved", wanted == number(after, "balance"), context)
    }
}
