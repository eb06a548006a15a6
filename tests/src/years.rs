//! Years of data from a seed: conversations with their messages, receipts, ledgers and inboxes, as the functions would have
//! left them, each item made of the store's own types and keys.
//!
//! What was drawn is: who talks to whom (most to few, some to many), how long conversations are (a few very long ones), when
//! they began and ended, who has a price and whether the house has a share, who lags behind, which sends were given up.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;

use crate::person::uuid_v7;
use aws_sdk_dynamodb::types::AttributeValue;
use dynoxide::Item;
use serde::Serialize;
use shared::limits::{CLEANUP_LOOK_EVERY, CONNECTION_LIFE};
use shared::store::client::item::{attribute, number, text, to_item};
use shared::store::conversations::Meta;
use shared::store::ledger::Entry;
use shared::store::log::LogItem;
use shared::store::presence::Connection;
use shared::store::receipts::Receipt;
use shared::store::table::Key;
use shared::store::work::Listing;
use wire::{
    ClientMessageId, Coins, ConnectionId, ConversationId, Fingerprint, IdempotencyKey, Kind, SendId, Seq, Time,
    TransactionKind, UserId, direct_id,
};

const DAY: Duration = Duration::from_secs(86_400);
/// What people talk of.
const WORDS: [&str; 40] = [
    "after", "again", "all", "and", "are", "bring", "call", "can", "come", "did", "dinner", "for", "good", "have",
    "home", "how", "it", "just", "know", "late", "maybe", "me", "morning", "no", "not", "now", "okay", "on", "see",
    "so", "the", "then", "there", "think", "to", "tomorrow", "we", "what", "when", "you",
];
/// One conversation is as long as the next one, shorter by this: the longest have hundreds of times the shortest.
const LONGEST_SHARE: usize = 12;
/// Coins of one top-up.
const TOPUP: u64 = 1_000;

/// How much there is to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Conversations of two people.
    pub conversations: usize,
    /// Messages in all of them, at least one each.
    pub messages: usize,
    /// Where everything that is drawn comes from.
    pub seed: u64,
    /// When it ends.
    pub now: Time,
    /// For how many days it has gone on by then.
    pub days: u32,
}

/// One conversation that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its id.
    pub id: ConversationId,
    /// Who is in it.
    pub members: [UserId; 2],
    /// The number of its last message.
    pub tail: u64,
}

/// Makes everything, and hands the items over in portions; gives the conversations.
///
/// # Panics
/// When the plan asks for more conversations than its people can have, which it never does.
pub fn generate(plan: &Plan, mut take: impl FnMut(Vec<Item>)) -> Vec<Made> {
    let mut world = World::new(plan);
    let pairs = world.pairs(plan.conversations);
    let sizes = sizes(plan.conversations, plan.messages);
    let made = pairs.into_iter().zip(sizes).map(|(members, size)| {
        let made = world.conversation(members, size);
        take(std::mem::take(&mut world.items));
        made
    });
    let made = made.collect();
    world.people();
    take(world.items);
    made
}

/// How many messages each conversation has: the n-th has a share of about 1/n, and each has one.
fn sizes(conversations: usize, messages: usize) -> Vec<usize> {
    let rest = messages.saturating_sub(conversations);
    let share = |n: usize| 1.0 / f64::from(u32::try_from(n + LONGEST_SHARE).unwrap_or(u32::MAX));
    let whole: f64 = (0..conversations).map(share).sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
    let mut sizes: Vec<usize> = (0..conversations).map(|n| 1 + (rest as f64 * share(n) / whole) as usize).collect();
    let given: usize = sizes.iter().sum();
    if let Some(longest) = sizes.first_mut() {
        *longest += messages.saturating_sub(given);
    }
    sizes
}

/// What is kept of a person until the end.
#[derive(Default)]
struct Person {
    price: Option<u64>,
    charged: u64,
    earned: u64,
    first_at: i64,
    last_at: i64,
    sends: u64,
    dropped_upto: String,
}

struct World {
    chance: fastrand::Rng,
    now: Time,
    began: Time,
    house: UserId,
    names: Vec<UserId>,
    people: BTreeMap<UserId, Person>,
    items: Vec<Item>,
}

/// What a conversation's messages have in common.
struct Scene {
    id: ConversationId,
    members: [UserId; 2],
    /// What the receiver gets of a price, per cent.
    share: u64,
}

impl World {
    fn new(plan: &Plan) -> Self {
        let mut chance = fastrand::Rng::with_seed(plan.seed);
        // Five conversations a person, but never more than there are pairs.
        let people = (plan.conversations / 5).max(4).max(plan.conversations.isqrt() * 2);
        let names: Vec<UserId> = (0..people).map(|n| format!("person-{n:05}").parse().expect("an id")).collect();
        let began = plan.now.before(DAY * plan.days);
        let person = |chance: &mut fastrand::Rng| Person {
            price: (chance.u8(..4) == 0).then(|| chance.u64(1..10)),
            first_at: plan.now.ms,
            ..Person::default()
        };
        let people = names.iter().map(|name| (name.clone(), person(&mut chance))).collect();
        let house = "house".parse().expect("an id");
        Self { chance, now: plan.now, began, house, names, people, items: Vec::new() }
    }

    /// So many different pairs.
    fn pairs(&mut self, count: usize) -> Vec<[UserId; 2]> {
        let mut pairs = std::collections::BTreeSet::new();
        let people = self.names.len();
        assert!(count <= people * (people - 1) / 2, "more conversations than pairs");
        while pairs.len() < count {
            let (one, other) = (self.chance.usize(..people), self.chance.usize(..people));
            if one != other {
                pairs.insert((one.min(other), one.max(other)));
            }
        }
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        self.chance.shuffle(&mut pairs);
        pairs.into_iter().map(|(one, other)| [self.names[one].clone(), self.names[other].clone()]).collect()
    }

    fn conversation(&mut self, members: [UserId; 2], size: usize) -> Made {
        let id = direct_id(&members[0], &members[1]);
        let span = self.now.ms - self.began.ms;
        // Some ended long ago, some go on.
        let begins = self.began.ms + self.chance.i64(0..span * 9 / 10);
        let ends = if self.chance.bool() { self.now.ms - 1_000 } else { self.chance.i64(begins + 1..self.now.ms) };
        let mut times: Vec<i64> = (0..size).map(|_| self.chance.i64(begins..ends)).collect();
        times.sort_unstable();
        let share = if self.chance.u8(..3) == 0 { 80 } else { 100 };
        let scene = Scene { id: id.clone(), members: members.clone(), share };
        let senders: Vec<usize> = (0..size).map(|_| self.chance.usize(..2)).collect();
        let mut voids = Vec::new();
        for (n, (at, sender)) in times.iter().zip(&senders).enumerate() {
            let void = self.chance.u16(..200) == 0;
            voids.push(void);
            self.message(&scene, Seq(n as u64 + 1), *sender, Time { ms: *at }, void);
        }
        let created_at = Time { ms: times.first().copied().unwrap_or(begins) };
        self.meta(&scene, created_at);
        for own in 0..2 {
            self.inbox(&scene, own, &times, &senders, &voids);
        }
        Made { id, members, tail: size as u64 }
    }

    fn meta(&mut self, scene: &Scene, created_at: Time) {
        let creation = format!("{:032x}", self.chance.u128(..));
        let meta = Meta::direct(scene.members.clone(), created_at, creation);
        let listing = Listing::archive(created_at.after(CLEANUP_LOOK_EVERY), &scene.id);
        self.put(Key::meta(&scene.id), &meta, Some(&listing));
    }

    /// A send that has ended: its slot, its RECEIPT, and its lines in the ledgers.
    fn message(&mut self, scene: &Scene, seq: Seq, sender: usize, at: Time, void: bool) {
        let (from, to) = (&scene.members[sender], &scene.members[1 - sender]);
        let price = self.people[to].price.unwrap_or_default();
        let client_message_id: ClientMessageId = uuid_v7(at, self.chance.u64(..)).parse().expect("an id");
        let sid = SendId::new(from, &client_message_id);
        let said = self.words();
        let reply_to = (seq > Seq(1) && self.chance.u8(..20) == 0).then(|| Seq(self.chance.u64(1..seq.0)));
        let receipt = Receipt {
            client_message_id: client_message_id.clone(),
            fingerprint: Fingerprint::new(&scene.id, &said, reply_to),
            conversation: scene.id.clone(),
            seq,
            price: Coins(price),
            created_at: at,
            void,
        };
        self.put(Key::receipt(from, &client_message_id), &receipt, None);
        let (content, reply_to) = if void { (String::new(), None) } else { (said, reply_to) };
        let price_of = Coins(price);
        let slot = LogItem {
            sender: from.clone(),
            sid: sid.clone(),
            client_message_id: client_message_id.clone(),
            content,
            reply_to,
            price: price_of,
            created_at: at,
            void,
        };
        self.put(Key::log(&scene.id, seq), &slot, None);
        let person = self.people.get_mut(from).expect("somebody");
        person.sends += 1;
        person.first_at = person.first_at.min(at.ms);
        person.last_at = person.last_at.max(at.ms);
        person.dropped_upto = client_message_id.as_str().max(&person.dropped_upto).to_owned();
        if price > 0 && !void {
            self.ledger(scene, [from, to], sid.as_str(), price, at);
        }
    }

    fn ledger(&mut self, scene: &Scene, [from, to]: [&UserId; 2], sid: &str, price: u64, at: Time) {
        let earning = price * scene.share / 100;
        let house = self.house.clone();
        self.people.get_mut(from).expect("somebody").charged += price;
        let signed = |coins: u64| i64::try_from(coins).expect("few coins");
        let lines = [
            (from, "charge", TransactionKind::Charge, -signed(price), to),
            (to, "earn", TransactionKind::Earning, signed(earning), from),
            (&house, "share", TransactionKind::Share, signed(price - earning), from),
        ];
        for (user, name, kind, amount, counterparty) in lines.into_iter().filter(|(.., amount, _)| *amount != 0) {
            let (conversation, counterparty) = (Some(scene.id.clone()), Some(counterparty.clone()));
            let key = Key::entry(user, at, &format!("{name}#{sid}"));
            // The last earnings wait for the next sweep.
            let waits = amount > 0 && at >= self.now.before(DAY / 24);
            let listing = waits.then(|| Listing::unsettled(user, &key.sk));
            if amount > 0 && !waits {
                self.people.entry(user.clone()).or_default().earned += amount.unsigned_abs();
            }
            self.put(
                key,
                &Entry { kind, amount, conversation, counterparty, split: None, created_at: at },
                listing.as_ref(),
            );
        }
    }

    /// How far one of two people is: to the end, or behind since the other's last messages.
    fn inbox(&mut self, scene: &Scene, own: usize, times: &[i64], senders: &[usize], voids: &[bool]) {
        let Some(last) = voids.iter().rposition(|void| !void) else { return };
        let sent = (0..=last).rev().find(|at| senders[*at] == own && !voids[*at]).map_or(0, |at| at + 1);
        let lags = self.chance.u8(..8) == 0;
        let delivered = if lags { self.chance.usize(sent..=last + 1) } else { last + 1 };
        let read = if self.chance.bool() { delivered } else { self.chance.usize(sent..=delivered) };
        let (user, peer) = (&scene.members[own], &scene.members[1 - own]);
        let item = HashMap::from([
            ("kind".to_owned(), attribute(Kind::Direct).expect("a kind")),
            ("peer".to_owned(), text(peer.as_str())),
            ("last_seq".to_owned(), number(last + 1)),
            ("delivered_seq".to_owned(), number(delivered)),
            ("read_seq".to_owned(), number(read)),
            ("last_at".to_owned(), number(times[last])),
        ]);
        let waits = delivered <= last;
        let listing = waits.then(|| Listing::waiting(Time { ms: times[delivered] }, user, &scene.id));
        self.put_item(Key::inbox(user, &scene.id), item, listing.as_ref());
    }

    /// Accounts that their ledgers come to, prices, and connections that nobody has said the end of.
    fn people(&mut self) {
        for (name, person) in std::mem::take(&mut self.people) {
            let missing = person.charged.saturating_sub(person.earned);
            let topups = missing.div_ceil(TOPUP);
            for n in 0..topups {
                self.topup(&name, n, Time { ms: person.first_at });
            }
            if person.sends + person.earned + topups == 0 {
                continue;
            }
            let balance = person.earned + topups * TOPUP - person.charged;
            let mut item = HashMap::from([
                ("balance".to_owned(), number(balance)),
                ("open".to_owned(), AttributeValue::M(HashMap::new())),
                // Each was dropped by the next one's claim, and the last one by the sweep.
                ("epoch".to_owned(), number(person.sends)),
                ("upto_epoch".to_owned(), number(person.sends)),
                ("dropped_upto".to_owned(), text(&person.dropped_upto)),
                ("settle_version".to_owned(), number(u64::from(person.earned + topups > 0))),
            ]);
            if person.sends > 0 {
                item.insert("rate_until".to_owned(), number(person.last_at + 50));
            }
            self.put_item(Key::account(&name), item, None);
            if let Some(price) = person.price {
                let price = HashMap::from([("price".to_owned(), number(price))]);
                self.put_item(Key::profile(&name), price, None);
            }
            if person.sends > 0 {
                self.presence(&name, Time { ms: person.last_at });
            }
        }
    }

    fn topup(&mut self, name: &UserId, n: u64, at: Time) {
        let key: IdempotencyKey = format!("topup-{n}").parse().expect("a key");
        let item = HashMap::from([("amount".to_owned(), number(TOPUP)), ("at".to_owned(), number(at.ms))]);
        self.put_item(Key::topup(name, &key), item, None);
        let amount = i64::try_from(TOPUP).expect("few coins");
        let entry = Entry {
            kind: TransactionKind::Topup,
            amount,
            conversation: None,
            counterparty: None,
            split: None,
            created_at: at,
        };
        self.put(Key::entry(name, at, &format!("topup#{key}")), &entry, None);
    }

    fn presence(&mut self, name: &UserId, last_at: Time) {
        let mut connections = HashMap::new();
        // One in ten was never said to have ended.
        if self.chance.u8(..10) == 0 {
            let id: ConnectionId = format!("{:016x}=", self.chance.u64(..)).parse().expect("an id");
            let connection =
                Connection { device: None, connected_at: last_at, expires_at: last_at.after(CONNECTION_LIFE) };
            connections.insert(id.as_str().to_owned(), attribute(connection).expect("a connection"));
        }
        let listing = (!connections.is_empty()).then(|| Listing::online(last_at.after(CONNECTION_LIFE), name));
        let item = HashMap::from([
            ("connections".to_owned(), AttributeValue::M(connections)),
            ("last_seen_at".to_owned(), number(last_at.ms)),
        ]);
        self.put_item(Key::presence(name), item, listing.as_ref());
    }

    /// What somebody writes: mostly a line, now and then a page.
    fn words(&mut self) -> String {
        let range: Range<usize> = match self.chance.u8(..100) {
            0 => 100..400,
            1..10 => 20..60,
            _ => 1..20,
        };
        let count = self.chance.usize(range);
        let words: Vec<&str> = (0..count).map(|_| WORDS[self.chance.usize(..WORDS.len())]).collect();
        words.join(" ")
    }

    fn put(&mut self, key: Key, value: &impl Serialize, listing: Option<&Listing>) {
        self.items.push(item(key, value, listing));
    }

    fn put_item(&mut self, key: Key, held: HashMap<String, AttributeValue>, listing: Option<&Listing>) {
        self.items.push(item_of(key, held, listing));
    }
}

/// An item as the functions would have left it, to be imported.
///
/// # Panics
/// When VALUE is none.
pub fn item(key: Key, value: &impl Serialize, listing: Option<&Listing>) -> Item {
    item_of(key, to_item(value).expect("an item"), listing)
}

fn item_of(key: Key, held: HashMap<String, AttributeValue>, listing: Option<&Listing>) -> Item {
    let mut item: Item = held.into_iter().map(|(name, value)| (name, engine_value(value))).collect();
    let mut set = |name: &str, value: String| drop(item.insert(name.to_owned(), dynoxide::AttributeValue::S(value)));
    set("pk", key.pk);
    set("sk", key.sk);
    if let Some(listing) = listing {
        set("work_pk", listing.pk.clone());
        set("work_sk", listing.sk.clone());
    }
    item
}

/// A value as the engine has it.
fn engine_value(value: AttributeValue) -> dynoxide::AttributeValue {
    use dynoxide::AttributeValue as Value;
    match value {
        AttributeValue::S(text) => Value::S(text),
        AttributeValue::N(number) => Value::N(number),
        AttributeValue::Bool(is) => Value::BOOL(is),
        AttributeValue::Null(_) => Value::NULL(true),
        AttributeValue::L(list) => Value::L(list.into_iter().map(engine_value).collect()),
        AttributeValue::M(map) => Value::M(map.into_iter().map(|(name, value)| (name, engine_value(value))).collect()),
        other => panic!("no item has {other:?}"),
    }
}
