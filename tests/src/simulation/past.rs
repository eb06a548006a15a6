//! Every item as it has been after each write: what reads that may be behind are answered from.
//!
//! It is filled from the engine's own answers and never decides a write; at the end of a run it must equal the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use local::template::TABLE_NAME;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use wire::limits::COINS_MAX;

/// Partition key and sort key.
pub(super) type Place = (String, String);

/// Every item with its earlier images; null where it was deleted.
#[derive(Default)]
pub(super) struct Past {
    items: BTreeMap<Place, Vec<(u64, Value)>>,
    /// Items that can't be read.
    planted: BTreeSet<Place>,
    /// When each write was made.
    made: Vec<Instant>,
}

/// An attribute of an item or of a key: its one inner value, as text.
pub(super) fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    let inner = item[name].as_object().and_then(|typed| typed.values().next());
    inner.and_then(Value::as_str).unwrap_or_default()
}

/// An attribute that is a number; 0 when there is none.
pub(super) fn number(item: &Value, name: &str) -> i64 {
    text(item, name).parse().unwrap_or_default()
}

/// Where an item or a key is.
pub(super) fn place(key: &Value) -> Place {
    (text(key, "pk").to_owned(), text(key, "sk").to_owned())
}

impl Past {
    /// How many writes there were.
    pub(super) fn version(&self) -> u64 {
        self.made.len() as u64
    }

    /// How many there were so long ago.
    pub(super) fn version_before(&self, time: Duration) -> u64 {
        self.made.partition_point(|made| made.elapsed() >= time) as u64
    }

    /// An item that can't be read has always been there.
    pub(super) fn plant(&mut self, image: Value) {
        self.planted.insert(place(&image));
        self.write(image);
    }

    /// Whether an item can't be read.
    pub(super) fn is_planted(&self, item: &Value) -> bool {
        self.planted.contains(&place(item))
    }

    /// A write was made; gives the image before it.
    pub(super) fn write(&mut self, image: Value) -> Option<Value> {
        self.made.push(Instant::now());
        let version = self.version();
        let images = self.items.entry(place(&image)).or_default();
        let before = images.last().map(|(_, image)| image.clone()).filter(|image| !image.is_null());
        images.push((version, image));
        before
    }

    /// An item was deleted; gives what it was, if it was there.
    pub(super) fn delete(&mut self, place: &Place) -> Option<Value> {
        let version = self.version() + 1;
        let images = self.items.get_mut(place)?;
        let before = images.last().map(|(_, image)| image.clone()).filter(|image| !image.is_null())?;
        images.push((version, Value::Null));
        self.made.push(Instant::now());
        Some(before)
    }

    /// An item as it was after so many writes.
    pub(super) fn at(&self, place: &Place, version: u64) -> Option<&Value> {
        let images = self.items.get(place)?;
        let image = images.iter().rev().find(|(written, _)| *written <= version).map(|(_, image)| image);
        image.filter(|image| !image.is_null())
    }

    /// An item's images, each with the write that made it.
    pub(super) fn images(&self, place: &Place) -> &[(u64, Value)] {
        self.items.get(place).map(Vec::as_slice).unwrap_or_default()
    }

    /// An item as it is.
    pub(super) fn now(&self, pk: &str, sk: &str) -> Option<&Value> {
        self.at(&(pk.to_owned(), sk.to_owned()), self.version())
    }

    /// Whether an item was ever deleted.
    pub(super) fn was_deleted(&self, place: &Place) -> bool {
        self.items.get(place).is_some_and(|images| images.iter().any(|(_, image)| image.is_null()))
    }

    /// Every item as it is that can be read.
    pub(super) fn readable(&self) -> impl Iterator<Item = &Value> {
        self.all().filter(|item| !self.is_planted(item))
    }

    /// Every item as it is.
    pub(super) fn all(&self) -> impl Iterator<Item = &Value> {
        self.items.values().filter_map(|images| images.last().map(|(_, image)| image)).filter(|image| !image.is_null())
    }

    /// The highest number of a conversation's log after so many writes.
    pub(super) fn tail_at(&self, pk: &str, version: u64) -> u64 {
        let range = self.items.range((pk.to_owned(), "MSG#".to_owned())..);
        let within = range.take_while(|((its_pk, its_sk), _)| its_pk == pk && its_sk.starts_with("MSG#"));
        let there = within.filter(|(_, images)| images.first().is_some_and(|(written, _)| *written <= version));
        there.last().map_or(0, |((_, sk), _)| sk.trim_start_matches("MSG#").parse().unwrap_or_default())
    }

    /// What somebody could spend after so many writes: the balance, and what is to be folded into it and fits. Open sends hold
    /// their room: they may be given up.
    pub(super) fn coins_at(&self, pk: &str, version: u64) -> i128 {
        let account = self.at(&(pk.to_owned(), "ACCOUNT".to_owned()), version);
        let folding = account.and_then(|account| account["settling"]["SS"].as_array()).map(Vec::as_slice);
        let range = self.items.range((pk.to_owned(), "ENTRY#".to_owned())..);
        let within = range.take_while(|((its_pk, sk), _)| its_pk == pk && sk.starts_with("ENTRY#"));
        let entries = within.filter_map(|(place, _)| Some((&place.1, self.at(place, version)?)));
        let unsettled = entries.filter(|(sk, entry)| {
            !self.is_planted(entry)
                && !entry["work_pk"].is_null()
                && !folding.unwrap_or_default().iter().any(|folded| folded == sk.as_str())
        });
        let balance = i128::from(account.map_or(0, |account| number(account, "balance")));
        let open = account.and_then(|account| account["open"]["M"].as_object()).into_iter().flatten();
        let held: i128 = open.map(|(_, send)| i128::from(number(&send["M"], "price"))).sum();
        let room = i128::from(COINS_MAX) - balance - held;
        let amounts = unsettled.map(|(_, entry)| i128::from(number(entry, "amount")));
        balance + amounts.filter(|amount| *amount <= room).sum::<i128>()
    }

    /// A conversation's slots, also those that have been deleted.
    pub(super) fn log<'a>(&'a self, pk: &'a str) -> impl Iterator<Item = &'a Value> {
        let range = self.items.range((pk.to_owned(), "MSG#".to_owned())..);
        let within = range.take_while(move |((its_pk, its_sk), _)| its_pk == pk && its_sk.starts_with("MSG#"));
        within.filter_map(|(_, images)| images.iter().rev().map(|(_, image)| image).find(|image| !image.is_null()))
    }

    /// The items of a partition whose sort keys start so, as they are.
    pub(super) fn partition<'a>(&'a self, pk: &'a str, sk: &'a str) -> impl DoubleEndedIterator<Item = &'a Value> {
        let range = self.items.range((pk.to_owned(), sk.to_owned())..);
        let within = range.take_while(move |((its_pk, its_sk), _)| its_pk == pk && its_sk.starts_with(sk));
        let last = within.filter_map(|(_, images)| images.last().map(|(_, image)| image));
        let found: Vec<&Value> = last.filter(|image| !image.is_null()).collect();
        found.into_iter()
    }

    /// Answers a read, with each item as it was after so many writes as MOMENT says.
    pub(super) fn read(&self, operation: &str, request: &Value, moment: &mut impl FnMut() -> u64) -> String {
        match operation {
            "GetItem" => {
                let item = self.at(&place(&request["Key"]), moment());
                item.map_or_else(|| json!({}), |item| json!({ "Item": item })).to_string()
            }
            "BatchGetItem" => {
                let keys = request["RequestItems"][TABLE_NAME]["Keys"].as_array().into_iter().flatten();
                let items: Vec<&Value> = keys.filter_map(|key| self.at(&place(key), moment())).collect();
                json!({ "Responses": { TABLE_NAME: items }, "UnprocessedKeys": {} }).to_string()
            }
            "Query" => self.query(request, moment),
            other => panic!("{other} reads nothing"),
        }
    }

    fn query(&self, request: &Value, moment: &mut impl FnMut() -> u64) -> String {
        let index = !request["IndexName"].is_null();
        let order = |item: &'_ Value| {
            let listed = if index { text(item, "work_sk").to_owned() } else { String::new() };
            (listed, place(item))
        };
        let condition = Condition::new(request);
        let mut found: Vec<&Value> = if index {
            let all = self.items.keys().filter_map(|place| self.at(place, moment()));
            let mut rows: Vec<&Value> = all.filter(|item| condition.holds(item, "work_pk", "work_sk")).collect();
            rows.sort_by_key(|item| order(item));
            rows
        } else {
            let range = self.items.range((condition.pk.clone(), String::new())..);
            let range = range.take_while(|((pk, _), _)| *pk == condition.pk);
            range
                .filter_map(|(place, _)| self.at(place, moment()))
                .filter(|item| condition.holds(item, "pk", "sk"))
                .collect()
        };
        let backwards = request["ScanIndexForward"] == false;
        let after = &request["ExclusiveStartKey"];
        if !after.is_null() {
            // Where the key stands, also when its item isn't there any more, or isn't seen.
            found.retain(|item| if backwards { order(item) < order(after) } else { order(item) > order(after) });
        }
        if backwards {
            found.reverse();
        }
        let limit = request["Limit"].as_u64().map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let names: &[&str] = if index { &["pk", "sk", "work_pk", "work_sk"] } else { &["pk", "sk"] };
        let last = (found.len() >= limit).then(|| only(found[limit - 1], names));
        found.truncate(limit);
        let items: Vec<Value> =
            found.into_iter().map(|item| if index { only(item, names) } else { item.clone() }).collect();
        let mut answer = json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items });
        if let Some(last) = last {
            answer["LastEvaluatedKey"] = last;
        }
        answer.to_string()
    }
}

/// Only these attributes of an item.
fn only(item: &Value, names: &[&str]) -> Value {
    let kept = names.iter().filter_map(|name| Some(((*name).to_owned(), item.get(*name)?.clone())));
    Value::Object(kept.collect::<Map<_, _>>())
}

/// A query's condition: a partition, and perhaps a range in it.
struct Condition {
    pk: String,
    range: Option<(Range, String, String)>,
}

/// How sort keys are compared.
#[derive(Clone, Copy)]
enum Range {
    BeginsWith,
    Between,
    Below,
    Above,
}

impl Condition {
    /// Of the forms that the store writes.
    fn new(request: &Value) -> Self {
        let condition = request["KeyConditionExpression"].as_str().unwrap_or_default();
        let values = &request["ExpressionAttributeValues"];
        let value = |name: &str| text(values, name).to_owned();
        let Some((_, range)) = condition.split_once(" AND ") else { return Self { pk: value(":pk"), range: None } };
        let forms = [
            ("begins_with(", Range::BeginsWith),
            ("BETWEEN", Range::Between),
            (" < :sk", Range::Below),
            (" > :sk", Range::Above),
        ];
        let form = forms.into_iter().find(|(mark, _)| range.contains(mark)).map(|(_, form)| form);
        let form = form.unwrap_or_else(|| panic!("a query's condition of no known form: {condition}"));
        let bounds = match form {
            Range::Between => (value(":from"), value(":to")),
            _ => (value(":sk"), String::new()),
        };
        Self { pk: value(":pk"), range: Some((form, bounds.0, bounds.1)) }
    }

    fn holds(&self, item: &Value, pk: &str, sk: &str) -> bool {
        let sk = text(item, sk);
        text(item, pk) == self.pk
            && self.range.as_ref().is_none_or(|(form, low, high)| match form {
                Range::BeginsWith => sk.starts_with(low.as_str()),
                Range::Between => (low.as_str()..=high.as_str()).contains(&sk),
                Range::Below => sk < low.as_str(),
                Range::Above => sk > low.as_str(),
            })
    }
}
