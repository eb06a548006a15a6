//! A conversation of some age, and how it is damaged: by names for its items. [`super::each_rule`] says what is found then.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::limits::{ARCHIVE_PATIENCE, CLEANUP_LOOK_EVERY, FOLD_AFTER, VERIFY_SETTLED_AFTER};
use tests::engine::typed_value;
use tests::{Fault, World};

/// An item as `DynamoDB` writes it.
pub(super) type Item = Map<String, Value>;

/// What is changed: items by their names here, with attributes as plain JSON. Null takes away: an attribute, or the item.
pub(super) type Changes = Vec<(String, Value)>;

/// What is found: rules, each with the name of its place.
pub(super) type Found = Vec<(&'static str, &'static str)>;

/// Numbers 1 to 4 are in the archive, and in the table too; 5 to 11 in the table alone. Of Ann's, which cost ten each, 1, 3 and
/// 9 are messages, 10 was given up and 11 is under way; Bob's cost nothing. What 11 has earned is in no balance yet, and Bob
/// hasn't got what is above 8. Nothing was said between Ann and Carl.
pub(super) struct Aged {
    pub(super) world: World,
    /// The conversation's id, and the empty one's.
    pub(super) id: String,
    pub(super) empty: String,
    /// How each message begins its life: sender, `cmid`, `sid`, `created_at`.
    pub(super) slots: BTreeMap<u64, (String, String, String, i64)>,
    pub(super) object: String,
    topup: String,
}

impl Aged {
    pub(super) async fn new() -> Self {
        let world = World::deployed_with(&[("ReceiverSharePercent", "70")]).await;
        let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
        world.prices("bob", 10).await;
        world.tops_up("ann", 1_000).await;
        let conversation = ann.opens("bob").await;
        let empty = ann.opens("carl").await.as_str().expect("an id").to_owned();
        let count = 9;
        for n in 1..=count {
            let who = if n == 1 || n == 3 { &ann } else { &bob };
            who.sends(&conversation, &format!("text {n}")).await.data();
        }
        for who in [&ann, &bob] {
            who.marks_read(&conversation, count).await.data();
        }
        world.advance(CLEANUP_LOOK_EVERY + ARCHIVE_PATIENCE).await;
        world.comes_to_rest().await;
        world.cleans_up().await;
        let id = conversation.as_str().expect("an id").to_owned();
        let mut aged = Self { world, id, empty, slots: BTreeMap::new(), object: String::new(), topup: String::new() };
        aged.is_cut(count);
        aged.goes_on(&conversation).await;
        aged
    }

    /// As if only the first eight had been sent, and of them four moved: who checks less is done sooner.
    fn is_cut(&mut self, count: u64) {
        self.learns();
        let mut changes: Changes = (9..=count)
            .flat_map(|n| [format!("MSG {n}"), format!("bob RECEIPT {n}")])
            .map(|name| (name, Value::Null))
            .collect();
        changes.push(("META".to_owned(), json!({ "first_seq": 5 })));
        changes.push(("SEGMENT 1".to_owned(), json!({ "last": 4 })));
        for name in ["ann INBOX", "bob INBOX"] {
            changes.push((name.to_owned(), json!({ "last_seq": 8, "delivered_seq": 8, "read_seq": 8 })));
        }
        self.changes(&changes);
    }

    async fn goes_on(&mut self, conversation: &Value) {
        let world = &self.world;
        let ann = world.person("ann").connects().await;
        ann.sends(conversation, "later").await.data();
        ann.dies_sending("bob", "given up").await;
        world.advance(FOLD_AFTER + Duration::from_secs(1)).await;
        world.sweeps().await;
        world.advance(VERIFY_SETTLED_AFTER + Duration::from_secs(1)).await;
        let ann = world.person("ann").connects().await;
        world.breaks_once(Fault::KillBefore, |call| call.operation.writes("RECEIPT#"));
        ann.tries(ann.message_to("bob", "under way")).await;
        world.heals();
        self.learns();
    }

    /// Looks up what the names here stand for.
    fn learns(&mut self) {
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        for item in self.world.items() {
            let sk = text(&item, "sk");
            if let Some(seq) = sk.strip_prefix("MSG#") {
                let send = ["sender", "cmid", "sid"].map(|name| text(&item, name));
                let [sender, cmid, sid] = send;
                let created_at = item["created_at"].as_i64().expect("a time");
                self.slots.insert(seq.parse().expect("a number"), (sender, cmid, sid, created_at));
            } else if sk.starts_with("SEGMENT#") {
                self.object = text(&item, "object");
            } else if item["kind"] == "topup" {
                self.topup = sk;
            }
        }
    }

    /// The key that a name stands for: `MSG 9`, `ann charge 9`, `nowhere MSG 1`.
    pub(super) fn key(&self, name: &str) -> (String, String) {
        let words: Vec<&str> = name.split(' ').collect();
        let slot = |seq: &str| &self.slots[&seq.parse().expect("a number")];
        let user = |name: &str| format!("USER#{name}");
        let numbered = |kind: &str, seq: &str| format!("{kind}#{seq:0>20}");
        match words[..] {
            ["META" | "NOTE"] => (format!("CONV#{}", self.id), name.to_owned()),
            [kind @ ("MSG" | "SEGMENT"), seq] => (format!("CONV#{}", self.id), numbered(kind, seq)),
            ["nowhere", kind, seq] => ("CONV#nowhere".to_owned(), numbered(kind, seq)),
            ["empty", "META"] => (format!("CONV#{}", self.empty), "META".to_owned()),
            [who, "INBOX"] => (user(who), format!("INBOX#{}", self.id)),
            [who, "INBOX", "empty"] => (user(who), format!("INBOX#{}", self.empty)),
            [who, "INBOX", other] => (user(who), format!("INBOX#{other}")),
            [who, "RECEIPT", seq] => (user(who), format!("RECEIPT#{}", slot(seq).1)),
            [who, "topup"] => (user(who), self.topup.clone()),
            [who, "TOPUP"] => (user(who), format!("TOPUP#{}", self.topup.splitn(4, '#').last().expect("a key"))),
            [who, kind, seq] => (user(who), format!("ENTRY#{:013}#{kind}#{}", slot(seq).3, slot(seq).2)),
            [who, kind] => (user(who), kind.to_owned()),
            _ => panic!("{name} is no name"),
        }
    }

    /// How a report names a place: an item, a number of the conversation as `#9`, or what is no item.
    fn place(&self, name: &str) -> String {
        match name.strip_prefix('#') {
            Some(seq) => format!("{} {seq}", self.id),
            None if name == "all ledgers" => name.to_owned(),
            None => {
                let (pk, sk) = self.key(name);
                format!("{pk} {sk}")
            }
        }
    }

    /// Changes items; says what they were.
    pub(super) fn changes(&self, changes: &Changes) -> Vec<((String, String), Item)> {
        let mut before = Vec::new();
        for (name, change) in changes {
            let (pk, sk) = self.key(name);
            self.world.edits(&pk, &sk, |item| {
                before.push(((pk.clone(), sk.clone()), item.clone()));
                let Some(change) = change.as_object() else { return item.clear() };
                for (name, value) in change {
                    match value {
                        Value::Null => drop(item.remove(name)),
                        value => drop(item.insert(name.clone(), typed_value(value))),
                    }
                }
            });
        }
        before
    }

    fn takes_back(&self, before: Vec<((String, String), Item)>) {
        for ((pk, sk), was) in before.into_iter().rev() {
            self.world.edits(&pk, &sk, |item| *item = was);
        }
    }

    pub(super) fn item(&self, name: &str) -> Value {
        let (pk, sk) = self.key(name);
        let items = self.world.items().into_iter();
        items.into_iter().find(|item| item["pk"] == *pk && item["sk"] == *sk).unwrap_or_else(|| panic!("no {name}"))
    }

    /// An item's attributes, to be put elsewhere.
    pub(super) fn copy(&self, name: &str) -> Value {
        let mut item = self.item(name);
        let attributes = item.as_object_mut().expect("an item");
        attributes.retain(|name, _| name != "pk" && name != "sk");
        item
    }

    /// What is found after these changes, which are taken back then.
    async fn finds(&self, changes: &Changes) -> Vec<(String, String)> {
        let before = self.changes(changes);
        let findings = self.world.is_verified(false).await;
        self.takes_back(before);
        said(&findings)
    }

    /// Where what was found isn't exactly what is wanted: what it is.
    pub(super) async fn differs(&self, changes: Changes, wanted: Found) -> Option<String> {
        let found = self.finds(&changes).await;
        let mut wanted: Vec<(String, String)> =
            wanted.into_iter().map(|(rule, place)| (rule.to_owned(), self.place(place))).collect();
        wanted.sort();
        let mut shown = json!(changes).to_string();
        shown.truncate(300);
        (found != wanted).then(|| format!("{shown}\n  wanted {wanted:#?}\n  found {found:#?}"))
    }
}

/// Findings as rule and place, in an order that doesn't depend on keys that are made anew each time.
pub(super) fn said(findings: &[Value]) -> Vec<(String, String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().expect("text").to_owned();
    let mut said: Vec<_> = findings.iter().map(|finding| (text(finding, "rule"), text(finding, "place"))).collect();
    said.sort();
    said
}

pub(super) fn changes<const N: usize>(changes: [(&str, Value); N]) -> Changes {
    changes.into_iter().map(|(name, change)| (name.to_owned(), change)).collect()
}
