//! What the code would do without one of its guards, made at the network edge, so that none can be forgotten. A guard is a part
//! of a condition, by the name that the store gives it, or a strong read, as it is seen on the wire; the orders are listed here.

use std::collections::BTreeMap;

use local::template::TABLE_NAME;
use serde_json::{Value, json};
use shared::store::guards::{Condition, GUARDED};

use super::past::{Past, number, place, text};
use super::plan::NAMES;
use crate::network::{Call, Chance, Operation, kind_of};

/// A read that should be up to date lacks up to so many writes.
const BEHIND_WRITES_MAX: u64 = 24;

/// One guard that is missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// This part of this condition of writes to this kind of item.
    Part {
        /// The kind of item.
        item: String,
        /// The condition.
        condition: &'static Condition,
        /// Which of its parts, from 0.
        part: usize,
    },
    /// This read may be behind.
    Stale {
        /// The operation, the kind of item, and the form of a query.
        read: String,
    },
    /// RECEIPT is read before ACCOUNT.
    ReceiptReadEarly,
    /// RECEIPT is written before the effects.
    ReceiptWrittenEarly,
    /// Sends are dropped that have no RECEIPT yet.
    DroppedEarly,
    /// A claim drops sends that have no RECEIPT yet.
    DroppedByClaimEarly,
    /// A claim drops sends that were given up: nobody gives their price back.
    VoidDroppedByClaim,
    /// A claim that drops doesn't count the drop.
    ClaimLeavesEpoch,
    /// A claim that drops doesn't say up to which id.
    ClaimLeavesUpto,
    /// A drop doesn't say up to which id, but that it has said so.
    DropLeavesUpto,
    /// Where an earlier version has dropped, nobody asks the RECEIPTs up to which id.
    UptoUnasked,
    /// Who resumes a send starts from the log's end, not from the recorded base.
    BaseReadLate,
    /// A walk over the log goes on behind what it has seen, not at the first number that it lacks.
    WalkSkips,
    /// Everybody is in every conversation.
    EverybodyIsIn,
    /// Nobody who sends asks whether they are blocked.
    BlocksUnasked,
    /// Nobody who adds somebody to a group asks whether they block them.
    AddsUnasked,
}

/// The orders, and what else isn't seen on the wire.
pub const ORDERS: [Mutant; 14] = [
    Mutant::ReceiptReadEarly,
    Mutant::ReceiptWrittenEarly,
    Mutant::DroppedEarly,
    Mutant::DroppedByClaimEarly,
    Mutant::VoidDroppedByClaim,
    Mutant::ClaimLeavesEpoch,
    Mutant::ClaimLeavesUpto,
    Mutant::DropLeavesUpto,
    Mutant::UptoUnasked,
    Mutant::BaseReadLate,
    Mutant::WalkSkips,
    Mutant::EverybodyIsIn,
    Mutant::BlocksUnasked,
    Mutant::AddsUnasked,
];

/// A line of a list of guards, as `tests/tests/guards.txt` holds them.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What shows that the guard is needed.
    pub shown_by: ShownBy,
    /// The kind of item.
    pub item: String,
    /// The guard, in words.
    pub guard: String,
}

/// What shows that a guard is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShownBy {
    /// A seed, whose plan, directed at the item, misses it.
    Seed(u64),
    /// A test of people, where no plan meets the guard: `FILE::NAME`.
    Test(String),
}

impl std::fmt::Display for ShownBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Seed(seed) => write!(f, "{seed}"),
            Self::Test(test) => f.write_str(test),
        }
    }
}

impl std::fmt::Display for Listed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} | {} | {}", self.shown_by, self.item, self.guard)
    }
}

impl std::str::FromStr for Listed {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let [shown_by, item, guard] = line.splitn(3, " | ").collect::<Vec<_>>()[..] else {
            return Err(format!("not a line of a list of guards: {line}"));
        };
        let shown_by = shown_by.parse().map_or_else(|_| ShownBy::Test(shown_by.to_owned()), ShownBy::Seed);
        Ok(Self { shown_by, item: item.to_owned(), guard: guard.to_owned() })
    }
}

impl std::fmt::Display for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Part { item, condition, part } => {
                write!(f, "{item}, {}: {}", condition.name, condition.parts[*part].name)
            }
            Self::Stale { read } => write!(f, "strong read: {read}"),
            Self::ReceiptReadEarly => f.write_str("order: RECEIPT is read after ACCOUNT"),
            Self::ReceiptWrittenEarly => f.write_str("order: RECEIPT is written after the effects"),
            Self::DroppedEarly => f.write_str("order: RECEIPT is written before the drop"),
            Self::DroppedByClaimEarly => f.write_str("order: RECEIPT is written before a claim drops"),
            Self::VoidDroppedByClaim => f.write_str("a claim drops no void"),
            Self::ClaimLeavesEpoch => f.write_str("a claim that drops counts it"),
            Self::ClaimLeavesUpto => f.write_str("a claim that drops says up to which id"),
            Self::DropLeavesUpto => f.write_str("a drop says up to which id"),
            Self::UptoUnasked => f.write_str("the RECEIPTs are asked up to which id an earlier version has dropped"),
            Self::BaseReadLate => f.write_str("order: the tail is read before the claim, and kept"),
            Self::WalkSkips => f.write_str("order: a walk goes on at the first number missing"),
            Self::EverybodyIsIn => f.write_str("membership is checked"),
            Self::BlocksUnasked => f.write_str("a send asks whether its sender is blocked"),
            Self::AddsUnasked => f.write_str("who is added to a group is asked whether they block who adds them"),
        }
    }
}

/// The guards of every condition that the store has.
pub fn conditions() -> impl Iterator<Item = Mutant> {
    GUARDED.iter().flat_map(|(item, condition)| parts(item, condition))
}

fn parts(item: &str, condition: &'static Condition) -> impl Iterator<Item = Mutant> {
    (0..condition.parts.len()).map(move |part| Mutant::Part { item: item.to_owned(), condition, part })
}

/// The guards that a call carries.
pub(super) fn guards_of(operation: &Operation) -> Vec<Mutant> {
    if operation.is_write() {
        let item = operation.item_kind().unwrap_or_default();
        return operation.guard().into_iter().flat_map(|condition| parts(item, condition)).collect();
    }
    if operation.is_strong() { vec![Mutant::Stale { read: read_of(operation) }] } else { Vec::new() }
}

/// What a read reads.
fn read_of(operation: &Operation) -> String {
    let Operation::Dynamo(name, request) = operation else { return String::new() };
    match name.as_str() {
        "Query" => {
            let values = &request["ExpressionAttributeValues"];
            let low = [":sk", ":from"].map(|name| text(values, name)).concat();
            let what =
                match (request["Limit"] == 1, values[":from"].is_null(), request["ProjectionExpression"].is_null()) {
                    _ if request["ProjectionExpression"] == "#pk, #sk" => "the keys",
                    (true, true, _) => "the highest",
                    (true, false, _) => "the highest of a range",
                    (false, _, false) => "the walk",
                    (false, true, true) => "all",
                    (false, false, true) => "a range",
                };
            format!("Query {}, {what}", kind_of(&low))
        }
        "BatchGetItem" => {
            let key = &request["RequestItems"][TABLE_NAME]["Keys"][0];
            format!("BatchGetItem {}", kind_of(text(key, "sk")))
        }
        _ => format!("{name} {}", kind_of(operation.sk().unwrap_or_default())),
    }
}

/// Whether an expression says this placeholder.
fn says(expression: &str, placeholder: &str) -> bool {
    expression.match_indices(placeholder).any(|(at, _)| {
        let next = expression[at + placeholder.len()..].chars().next();
        !next.is_some_and(|next| next.is_ascii_alphanumeric() || next == '_')
    })
}

impl Mutant {
    /// The kind of item that it is about.
    pub fn item(&self) -> &str {
        match self {
            Self::Part { item, .. } => item,
            Self::Stale { read } => {
                let kind = read.split([' ', ',']).nth(1);
                kind.unwrap_or_default()
            }
            Self::ReceiptWrittenEarly => "RECEIPT",
            Self::EverybodyIsIn => "META",
            Self::BlocksUnasked | Self::AddsUnasked => "BLOCK",
            Self::WalkSkips => "MSG",
            _ => "ACCOUNT",
        }
    }

    /// A write without the guard, if it has it.
    pub(super) fn changes(&self, past: &Past, name: &str, request: &Value) -> Option<Value> {
        let operation = Operation::Dynamo(name.to_owned(), request.clone());
        let Self::Part { item, condition, part } = self else { return self.changes_account(past, &operation, request) };
        if operation.guard() != Some(*condition) || kind_of(operation.sk()?) != item {
            return None;
        }
        let rest = condition.without(*part);
        let mut request = request.clone();
        let fields = request.as_object_mut()?;
        if rest.is_empty() {
            fields.remove("ConditionExpression");
            fields.remove("ReturnValuesOnConditionCheckFailure");
        } else {
            fields.insert("ConditionExpression".to_owned(), rest.clone().into());
        }
        is_all_used(&mut request);
        Some(request)
    }

    /// A claim or a drop that says less, or drops more.
    fn changes_account(&self, past: &Past, write: &Operation, request: &Value) -> Option<Value> {
        let (is_claim, is_drop) = (write.claims(), write.drops());
        let less = match self {
            Self::ClaimLeavesEpoch if is_claim => ", #epoch = #epoch + :one, #upto_epoch = #upto_epoch + :one",
            Self::ClaimLeavesUpto if is_claim => ", #dropped_upto = :upto",
            Self::DropLeavesUpto if is_drop => ", #dropped_upto = :upto",
            Self::DroppedByClaimEarly if is_claim => return drops_more(past, request, |receipt| receipt.is_none()),
            Self::VoidDroppedByClaim if is_claim => {
                return drops_more(past, request, |receipt| receipt.is_some_and(|it| it["void"]["BOOL"] == true));
            }
            _ => return None,
        };
        let mut request = request.clone();
        request["UpdateExpression"] = write.update().replace(less, "").into();
        is_all_used(&mut request);
        Some(request)
    }

    /// The state that a read is answered from, if the guard was about it.
    pub(super) fn reads_at(&self, call: &Call, now: u64, account_read_at: u64, chance: &mut Chance) -> Option<u64> {
        match self {
            Self::Stale { read } if *read == read_of(&call.operation) => {
                let stale = chance.below(2) == 0;
                stale.then(|| now.saturating_sub(chance.below(BEHIND_WRITES_MAX)))
            }
            Self::ReceiptReadEarly if call.function == "send" && read_of(&call.operation) == "GetItem RECEIPT" => {
                Some(account_read_at.saturating_sub(chance.below(BEHIND_WRITES_MAX)))
            }
            _ => None,
        }
    }

    /// Whether it changes answers.
    pub(super) fn rewrites(&self) -> bool {
        matches!(
            self,
            Self::DroppedEarly
                | Self::UptoUnasked
                | Self::BaseReadLate
                | Self::WalkSkips
                | Self::EverybodyIsIn
                | Self::BlocksUnasked
                | Self::AddsUnasked
        )
    }

    /// An answer without the guard.
    pub(super) fn rewrite(&self, past: &Past, call: &Call, mut answer: Value) -> Value {
        match (self, read_of(&call.operation).as_str()) {
            (Self::EverybodyIsIn, "GetItem META") if answer["Item"].is_object() => {
                if let Some(members) = answer["Item"]["members"]["L"].as_array_mut() {
                    let absent = NAMES.map(|name| json!({ "S": name }));
                    let absent: Vec<Value> = absent.into_iter().filter(|name| !members.contains(name)).collect();
                    members.extend(absent);
                }
            }
            (Self::BaseReadLate, "GetItem ACCOUNT") => {
                for send in answer["Item"]["open"]["M"].as_object_mut().into_iter().flat_map(|open| open.values_mut()) {
                    let log = format!("CONV#{}", text(&send["M"], "conv"));
                    send["M"]["base"] = json!({ "N": past.tail_at(&log, past.version()).to_string() });
                }
            }
            (Self::WalkSkips, read) if read.starts_with("Query MSG") && read.ends_with("the walk") => {
                if let Some(items) = answer["Items"].as_array_mut() {
                    fill(items, &call.operation);
                }
            }
            (Self::BlocksUnasked, "BatchGetItem BLOCK") if call.function == "send" => {
                answer["Responses"][TABLE_NAME] = json!([]);
            }
            (Self::AddsUnasked, "BatchGetItem BLOCK") if call.function == "groups" => {
                answer["Responses"][TABLE_NAME] = json!([]);
            }
            (Self::UptoUnasked, "Query RECEIPT, the keys") => answer["Items"] = json!([]),
            (Self::DroppedEarly, "BatchGetItem RECEIPT") => {
                let Operation::Dynamo(_, request) = &call.operation else { return answer };
                let keys = request["RequestItems"][TABLE_NAME]["Keys"].as_array().cloned().unwrap_or_default();
                let missing = keys.iter().filter(|key| past.now(text(key, "pk"), text(key, "sk")).is_none());
                let made: Vec<Value> = missing.filter_map(|key| receipt(past, key)).collect();
                if let Some(items) = answer["Responses"][TABLE_NAME].as_array_mut() {
                    items.extend(made);
                }
            }
            _ => {}
        }
        answer
    }

    /// What is written together with a write.
    pub(super) fn adds(&self, past: &Past, request: &Value) -> Option<Value> {
        let item = &request["Item"];
        if *self != Self::ReceiptWrittenEarly || kind_of(text(item, "sk")) != "MSG" {
            return None;
        }
        let (pk, sk) = (format!("USER#{}", text(item, "sender")), format!("RECEIPT#{}", text(item, "cmid")));
        if past.now(&pk, &sk).is_some() {
            return None;
        }
        receipt(past, &json!({ "pk": { "S": pk }, "sk": { "S": sk } }))
    }
}

/// An expression's names and values must all be used.
fn is_all_used(request: &mut Value) {
    let Some(fields) = request.as_object_mut() else { return };
    let said = ["UpdateExpression", "ConditionExpression"];
    let said = said.map(|name| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()).join(" ");
    for list in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
        let Some(map) = fields.get_mut(list).and_then(Value::as_object_mut) else { continue };
        map.retain(|placeholder, _| says(&said, placeholder));
        if map.is_empty() {
            fields.remove(list);
        }
    }
}

/// A claim that drops also those open sends of whose RECEIPT, if there is one, this is true.
fn drops_more(past: &Past, request: &Value, is_dropped: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
    let (pk, _) = place(&request["Key"]);
    let account = past.now(&pk, "ACCOUNT")?;
    let names = request["ExpressionAttributeNames"].as_object()?;
    let more: Vec<&String> = account["open"]["M"]
        .as_object()?
        .iter()
        .filter(|(id, _)| !names.values().any(|name| name == *id))
        .filter(|(_, send)| is_dropped(past.now(&pk, &format!("RECEIPT#{}", text(&send["M"], "cmid")))))
        .map(|(id, _)| id)
        .collect();
    if more.is_empty() {
        return None;
    }
    let mut request = request.clone();
    let mut update = request["UpdateExpression"].as_str()?.to_owned();
    if !update.contains(":one") {
        update = update.replace("SET ", "SET #epoch = #epoch + :one, #upto_epoch = #upto_epoch + :one, ");
        request["ExpressionAttributeValues"][":one"] = json!({ "N": "1" });
        for name in ["epoch", "upto_epoch"] {
            request["ExpressionAttributeNames"][format!("#{name}")] = name.into();
        }
    }
    for (n, id) in more.into_iter().enumerate() {
        request["ExpressionAttributeNames"][format!("#more{n}")] = id.as_str().into();
        update += if update.contains("REMOVE") { ", " } else { " REMOVE " };
        update += &format!("#open.#more{n}");
    }
    request["UpdateExpression"] = update.into();
    Some(request)
}

/// Each slot that a walk lacks below the highest that it has looks as if it were somebody else's.
fn fill(slots: &mut Vec<Value>, walk: &Operation) {
    let Operation::Dynamo(_, request) = walk else { return };
    let seq = |sk: &str| sk.trim_start_matches("MSG#").parse::<u64>().unwrap_or_default();
    let from = seq(text(&request["ExpressionAttributeValues"], ":from"));
    let mut seen: BTreeMap<u64, Value> = slots.drain(..).map(|slot| (seq(text(&slot, "sk")), slot)).collect();
    let Some((highest, last)) = seen.last_key_value().map(|(highest, last)| (*highest, last.clone())) else { return };
    for seq in from..highest {
        let sk = format!("MSG#{seq:020}");
        let other = json!({ "pk": last["pk"], "sk": { "S": sk }, "sid": { "S": "somebody else's" } });
        seen.entry(seq).or_insert(other);
    }
    slots.extend(seen.into_values());
}

/// The RECEIPT that an open and published send will have.
fn receipt(past: &Past, key: &Value) -> Option<Value> {
    let (pk, sk) = place(key);
    let account = past.now(&pk, "ACCOUNT")?;
    let open = account["open"]["M"].as_object()?;
    let (sid, send) = open.iter().find(|(_, send)| sk == format!("RECEIPT#{}", text(&send["M"], "cmid")))?;
    let send = &send["M"];
    let log = format!("CONV#{}", text(send, "conv"));
    let slot = past.partition(&log, "MSG#").find(|slot| text(slot, "sid") == sid)?;
    let seq: u64 = text(slot, "sk").trim_start_matches("MSG#").parse().ok()?;
    let mut item = json!({
        "pk": { "S": pk }, "sk": { "S": sk }, "cmid": send["cmid"], "fingerprint": send["print"],
        "conversation": send["conv"], "seq": { "N": seq.to_string() }, "price": { "N": number(send, "price").to_string() },
        "created_at": send["at"],
    });
    if slot["void"]["BOOL"] == true {
        item["void"] = json!({ "BOOL": true });
    }
    Some(item)
}
