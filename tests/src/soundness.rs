//! What must hold (ARCHITECTURE.md, "What must hold"), read from the engine's items, not through any function.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use wire::limits::COINS_MAX;

use crate::bucket::Bucket;
use crate::operation::kind_of;
use crate::world::World;

/// The items, by kind.
#[derive(Default)]
struct Ledgers {
    /// By user.
    accounts: BTreeMap<String, Value>,
    /// By user.
    entries: BTreeMap<String, Vec<Value>>,
    /// Each with its user.
    inboxes: Vec<(String, Value)>,
    /// Each with its user.
    receipts: Vec<(String, Value)>,
    metas: Vec<Value>,
    /// Each with its conversation.
    segments: Vec<(String, Value)>,
    /// By conversation, then by number: what is in the table, and what only the archive has.
    logs: BTreeMap<String, BTreeMap<u64, Value>>,
    /// The numbers that only the archive has.
    archived: BTreeSet<(String, u64)>,
}

impl World {
    /// Checks what must hold at any time.
    ///
    /// # Panics
    /// When something doesn't.
    #[track_caller]
    pub fn is_sound(&self) {
        let state = Ledgers::new(self.items(), self.bucket());
        state.archive_and_table_agree(self.bucket());
        state.logs_have_no_holes();
        state.sends_have_one_slot();
        state.pairs_have_one_conversation();
        state.horizons_are_in_order();
        state.receipts_tell_the_truth();
        state.coins_are_conserved();
        state.nothing_shown_has_changed(&self.connections().shown());
    }

    /// Says what doesn't hold of it.
    pub(crate) fn try_sound(&self) -> Result<(), String> {
        caught(|| self.is_sound())
    }

    /// Says what doesn't hold of it.
    pub(crate) fn try_rest(&self) -> Result<(), String> {
        caught(|| self.is_at_rest())
    }

    /// Checks also what must hold when every send has ended.
    ///
    /// # Panics
    /// When something doesn't.
    #[track_caller]
    pub fn is_at_rest(&self) {
        self.is_sound();
        let state = Ledgers::new(self.items(), self.bucket());
        state.nothing_is_open();
        state.entries_add_up();
        state.charges_have_messages();
    }
}

/// What a failed check says.
fn caught(check: impl FnOnce()) -> Result<(), String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).map_err(|panic| panic_text(panic.as_ref()))
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

impl Ledgers {
    fn new(items: Vec<Value>, bucket: &Bucket) -> Self {
        let mut state = Self::default();
        for item in items {
            let (pk, sk) = (text(&item["pk"]), text(&item["sk"]));
            match (pk.split_once('#').expect("a prefix"), kind_of(&sk)) {
                (("USER", user), "ACCOUNT") => drop(state.accounts.insert(user.to_owned(), item)),
                (("USER", user), "ENTRY") => state.entries.entry(user.to_owned()).or_default().push(item),
                (("USER", user), "INBOX") => state.inboxes.push((user.to_owned(), item)),
                (("USER", user), "RECEIPT") => state.receipts.push((user.to_owned(), item)),
                (("USER", _), "PRESENCE" | "PROFILE" | "TOPUP") => {}
                (("CONV", _), "META") => state.metas.push(item),
                (("CONV", id), "MSG") => {
                    let seq = sk.trim_start_matches("MSG#").parse().expect("a number");
                    state.logs.entry(id.to_owned()).or_default().insert(seq, item);
                }
                (("CONV", id), "SEGMENT") => state.segments.push((id.to_owned(), item)),
                other => panic!("an item of no known kind: {other:?}"),
            }
        }
        for (id, segment) in &state.segments {
            for (seq, item) in lines(bucket, segment) {
                if let Entry::Vacant(slot) = state.logs.entry(id.clone()).or_default().entry(seq) {
                    slot.insert(item);
                    state.archived.insert((id.clone(), seq));
                }
            }
        }
        state
    }

    /// What is below `first_seq` is in the archive, what is above is in the table, and between, where both have it, they
    /// say the same. What the table has lost is below `first_seq`, has a RECEIPT, and isn't the highest number.
    fn archive_and_table_agree(&self, bucket: &Bucket) {
        for meta in &self.metas {
            let id = text(&meta["id"]);
            let [first, oldest] = ["first_seq", "oldest_seq"].map(|name| meta[name].as_u64().unwrap_or(1));
            let segments = self.segments.iter().filter(|(of, _)| *of == id).map(|(_, segment)| segment);
            let held: BTreeMap<u64, Value> = segments.flat_map(|segment| lines(bucket, segment)).collect();
            for seq in oldest..first {
                let archived = held.get(&seq).unwrap_or_else(|| panic!("{id} {seq} is below {first} and not archived"));
                let here = self.logs.get(&id).and_then(|log| log.get(&seq));
                assert_eq!(here.map(plain_slot), Some(plain_slot(archived)), "{id} {seq}");
            }
            let log = self.logs.get(&id);
            for (seq, item) in log.into_iter().flatten().filter(|(seq, _)| self.archived.contains(&(id.clone(), **seq)))
            {
                assert!(*seq < first, "{id} {seq} was deleted and isn't below {first}: {item:#}");
                let receipt = self
                    .receipts
                    .iter()
                    .any(|(user, receipt)| receipt["cmid"] == item["cmid"] && *user == text(&item["sender"]));
                assert!(receipt, "{id} {seq} was deleted and its send hasn't ended: {item:#}");
            }
            let tail = log.and_then(|log| log.keys().next_back());
            assert!(tail.is_none_or(|tail| first <= *tail), "the highest number of {id} has moved: {meta:#}");
        }
    }

    fn logs_have_no_holes(&self) {
        for (id, log) in &self.logs {
            let numbers: Vec<u64> = log.keys().copied().collect();
            // What was discarded is nowhere, from the lowest number on.
            let first = if self.segments.iter().any(|(of, _)| of == id) { 1 } else { numbers[0].min(self.oldest(id)) };
            let wanted: Vec<u64> = (first..first + log.len() as u64).collect();
            assert_eq!(numbers, wanted, "the log of {id} has a hole");
        }
    }

    /// The lowest number of a conversation that is kept.
    fn oldest(&self, id: &str) -> u64 {
        let meta = self.metas.iter().find(|meta| meta["id"] == id);
        meta.and_then(|meta| meta["oldest_seq"].as_u64()).unwrap_or(1)
    }

    fn sends_have_one_slot(&self) {
        let mut seen = HashMap::new();
        for (id, seq, item) in self.slots() {
            if let Some(other) = seen.insert(text(&item["sid"]), (id, seq)) {
                panic!("one send has two slots, {other:?} and {:?}: {item:#}", (id, seq));
            }
        }
    }

    fn pairs_have_one_conversation(&self) {
        let mut seen = BTreeSet::new();
        for meta in &self.metas {
            let mut members: Vec<String> = list(&meta["members"]).map(text).collect();
            members.sort();
            assert!(seen.insert(members.clone()), "{members:?} have two conversations");
        }
    }

    fn horizons_are_in_order(&self) {
        for (user, inbox) in &self.inboxes {
            let [read, delivered, last] = ["read_seq", "delivered_seq", "last_seq"].map(|name| number(&inbox[name]));
            assert!(read <= delivered && delivered <= last, "{user}'s horizons are out of order: {inbox:#}");
            let id = text(&inbox["sk"]).replacen("INBOX#", "", 1);
            let tail = self.logs.get(&id).and_then(|log| log.keys().next_back()).copied().unwrap_or_default();
            assert!(last <= i128::from(tail), "{user}'s inbox is ahead of its log: {inbox:#}");
        }
    }

    /// A RECEIPT names the slot that its send has.
    fn receipts_tell_the_truth(&self) {
        for (user, receipt) in &self.receipts {
            let seq = receipt["seq"].as_u64().expect("a number");
            if seq < self.oldest(&text(&receipt["conversation"])) {
                continue;
            }
            let slot = self.logs.get(&text(&receipt["conversation"])).and_then(|log| log.get(&seq));
            let slot = slot.unwrap_or_else(|| panic!("{user}'s receipt names no slot: {receipt:#}"));
            for (name, there, here) in
                [("cmid", &slot["cmid"], &receipt["cmid"]), ("void", &slot["void"], &receipt["void"])]
            {
                assert_eq!(there, here, "{name} of {user}'s receipt and its slot: {receipt:#} {slot:#}");
            }
            assert_eq!(text(&slot["sender"]), *user, "{receipt:#}");
        }
    }

    /// Balances, what isn't folded in yet, and what was charged but has neither become an earning nor a refund, are all
    /// that was ever added.
    fn coins_are_conserved(&self) {
        let mut there = 0;
        for (user, account) in &self.accounts {
            let balance = number(&account["balance"]);
            assert!(balance >= 0, "{user}'s balance is negative: {account:#}");
            there += balance;
            for (sid, send) in account["open"].as_object().expect("open is a map") {
                there += number(&send["price"]) - self.paid_out(sid);
            }
        }
        let mut added = 0;
        for (user, entries) in &self.entries {
            let settling = self.accounts.get(user).map(|account| &account["settling"]);
            let folded: BTreeSet<String> = settling.into_iter().flat_map(list).map(text).collect();
            let mut ids = BTreeSet::new();
            for entry in entries {
                assert!(ids.insert(entry_id(entry)), "{user} has one entry twice: {entry:#}");
                let amount = number(&entry["amount"]);
                if entry["kind"] == "topup" {
                    added += amount;
                }
                if !entry["work_pk"].is_null() && !folded.contains(&text(&entry["sk"])) {
                    there += amount;
                }
            }
        }
        assert_eq!(there, added, "coins were made or lost");
    }

    /// What a send has become in others' ledgers.
    fn paid_out(&self, sid: &str) -> i128 {
        let ids = [format!("earn#{sid}"), format!("share#{sid}")];
        let entries = self.entries.values().flatten().filter(|entry| ids.contains(&entry_id(entry)));
        entries.map(|entry| number(&entry["amount"])).sum()
    }

    /// What a client was once shown at a number is still there.
    fn nothing_shown_has_changed(&self, shown: &[Value]) {
        for message in shown {
            if message["seq"].as_u64() < Some(self.oldest(&text(&message["conversationId"]))) {
                continue;
            }
            let slot = self.logs.get(&text(&message["conversationId"]));
            let slot = slot.and_then(|log| log.get(&message["seq"].as_u64().expect("a number")));
            let slot = slot.unwrap_or_else(|| panic!("a message that was shown has gone: {message:#}"));
            let content = if slot["content"].is_null() { "" } else { slot["content"].as_str().expect("text") };
            assert_eq!(slot["sender"], message["senderId"], "{message:#}");
            assert_eq!(slot["cmid"], message["clientMessageId"], "{message:#}");
            assert_eq!(content, message["content"], "{message:#}");
            assert_eq!(slot["void"] == true, message["deleted"] == true, "{message:#}");
        }
    }

    fn nothing_is_open(&self) {
        for (user, account) in &self.accounts {
            assert_eq!(account["open"], Value::Object(serde_json::Map::new()), "{user} has open sends");
            assert!(account["work_pk"].is_null(), "{user} is listed as having open sends: {account:#}");
        }
    }

    fn entries_add_up(&self) {
        for (user, account) in &self.accounts {
            let balance = number(&account["balance"]);
            let entries = self.entries.get(user).into_iter().flatten();
            let (waiting, folded): (Vec<&Value>, Vec<&Value>) = entries.partition(|entry| !entry["work_pk"].is_null());
            let sum: i128 = folded.iter().map(|entry| number(&entry["amount"])).sum();
            assert_eq!(balance, sum, "{user}'s entries don't add up to the balance");
            for entry in waiting {
                let fits = balance + number(&entry["amount"]) <= i128::from(COINS_MAX);
                assert!(!fits, "{user} has a balance of {balance} without what fits: {entry:#}");
            }
        }
    }

    /// Who was charged has sent, and a paid message was charged.
    fn charges_have_messages(&self) {
        let entries = self.entries.values().flatten();
        let charges: BTreeSet<String> = entries.map(entry_id).filter(|id| id.starts_with("charge#")).collect();
        let paid = self.slots().filter(|(_, _, item)| item["void"] != true && number(&item["price"]) > 0);
        let paid: BTreeSet<String> = paid.map(|(_, _, item)| format!("charge#{}", text(&item["sid"]))).collect();
        assert_eq!(charges, paid, "charges and paid messages differ");
    }

    fn slots(&self) -> impl Iterator<Item = (&String, u64, &Value)> {
        self.logs.iter().flat_map(|(id, log)| log.iter().map(move |(seq, item)| (id, *seq, item)))
    }
}

/// What a segment's object says, by number.
fn lines(bucket: &Bucket, segment: &Value) -> Vec<(u64, Value)> {
    let lines = bucket.lines(&text(&segment["object"])).into_iter();
    lines.map(|line| (line["seq"].as_u64().expect("a number"), line)).collect()
}

/// A slot without where it is.
fn plain_slot(item: &Value) -> Value {
    let mut slot = item.clone();
    for place in ["pk", "sk", "seq"] {
        slot.as_object_mut().expect("an object").remove(place);
    }
    slot
}

/// What follows the time in an entry's key.
fn entry_id(entry: &Value) -> String {
    text(&entry["sk"]).splitn(3, '#').nth(2).expect("an id").to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned()
}

fn number(value: &Value) -> i128 {
    i128::from(value.as_i64().unwrap_or_else(|| panic!("a whole number: {value}")))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
