//! What clients have asked, been told and hold; and what they may conclude from it.
//!
//! A conversation is an append-only log: whoever knows of number n at a moment gets a higher one for what is sent later,
//! and a page that is asked for later has n. That is linearizability for a log whose numbers are its order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use shared::chat::invariants::{Broken, Holds, holds};
use tokio::time::Instant;
use wire::direct_id;

use super::answers::{conversation, muted, page, profile, transactions};
use super::fault::Fault;
use super::groups::{Group, Told};
use super::past::{Past, number, text};
use super::plan::{DEVICES, NAMES, Plan};
use crate::planted::Planted;

/// After so long API Gateway ends a connection.
pub(super) const CONNECTION_LIFE: Duration = Duration::from_secs(2 * 3_600);
/// How long after its token a connection may still hear of something: a function's life, and what clocks differ.
const HEARD_AFTER_MAX: Duration = Duration::from_secs(60);

/// A conversation's id.
pub(super) type Id = String;

/// One device.
#[derive(Clone, Debug, Default)]
pub(super) struct Device {
    /// Its connection.
    pub(super) connection: Option<String>,
    /// Since when.
    pub(super) since: Option<Instant>,
    /// When it ends, with its token or because no connection lives longer.
    pub(super) until: Option<Instant>,
    /// Whether it has synced since it connected.
    pub(super) synced: bool,
    /// What it holds: by conversation and number.
    pub(super) held: BTreeMap<Id, BTreeMap<u64, Value>>,
    /// What it was told of groups.
    pub(super) told: BTreeMap<Id, Told>,
}

impl Device {
    /// The number up to which it lacks nothing.
    pub(super) fn complete_to(&self, id: &str) -> u64 {
        let held = self.held.get(id);
        let first = self.told.get(id).map_or(1, |told| told.first).max(1);
        let whole = (first..).take_while(|seq| held.is_some_and(|held| held.contains_key(seq)));
        whole.last().unwrap_or(first - 1)
    }
}

/// One message that somebody wants to send.
#[derive(Clone, Debug)]
pub(super) struct Send {
    /// Who.
    pub(super) person: usize,
    /// Where.
    pub(super) conversation: Id,
    /// What is said again when it is sent again.
    pub(super) frame: Value,
    /// The number of the step that first sent it.
    pub(super) step: u32,
    /// The highest number that anybody knew of there when it was first sent.
    pub(super) floor: u64,
    /// Its number's message, as it was first answered.
    pub(super) message: Option<Value>,
    /// Whether it was answered that it was given up.
    pub(super) expired: bool,
    /// Whether another text was ever sent under its id.
    pub(super) is_contested: bool,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// Who.
    pub(super) person: usize,
    /// What.
    pub(super) frame: Value,
    /// Whether it is about others' things.
    pub(super) pries: bool,
    /// On which connection.
    pub(super) connection: String,
    /// The highest number that anybody knew of, where the request is about a conversation; and the first that the asker may see.
    pub(super) floor: u64,
    pub(super) first: u64,
    /// The highest numbers whose sends had ended.
    pub(super) ended: BTreeMap<Id, u64>,
    /// How far the asker had come with each conversation, how far with the one that the request is about, and how far the other.
    pub(super) all_own: BTreeMap<Id, Horizons>,
    pub(super) own: Horizons,
    pub(super) theirs: Horizons,
    /// The asker's ledger.
    pub(super) entries: Vec<String>,
    /// How many writes there had been.
    pub(super) version: u64,
    /// What came with `sync:page`s.
    pub(super) pages: BTreeMap<Id, BTreeSet<u64>>,
    /// The final answer.
    pub(super) answer: Option<Value>,
}

/// What is asked, by whom, and on which connection.
pub(super) struct Asked<'a> {
    pub(super) person: usize,
    pub(super) connection: &'a str,
    pub(super) frame: &'a Value,
    pub(super) pries: bool,
}

/// How far somebody has told that they have come with a conversation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Horizons {
    pub(super) delivered: u64,
    pub(super) read: u64,
}

/// All of them.
pub(super) struct Clients {
    pub(super) devices: Vec<Vec<Device>>,
    connections: BTreeMap<String, (usize, usize)>,
    /// When each connection's token ends.
    ends: BTreeMap<String, Instant>,
    /// Every conversation that there may be, and who is in it.
    pub(super) pairs: BTreeMap<Id, [usize; 2]>,
    /// Every group that there may be.
    pub(super) groups: BTreeMap<Id, Group>,
    /// The frames that have changed groups: they may be said again.
    pub(super) changes: Vec<(usize, Value)>,
    /// After how many writes each send was decided.
    pub(super) decided: BTreeMap<String, u64>,
    pub(super) asks: BTreeMap<String, Ask>,
    pub(super) sends: BTreeMap<(usize, String), Send>,
    /// The highest number that anybody has been told of, by conversation.
    known: BTreeMap<Id, u64>,
    /// The highest number whose send has ended, by conversation.
    pub(super) ended: BTreeMap<Id, u64>,
    /// How far each was told that they have come, by conversation.
    pub(super) horizons: BTreeMap<(usize, Id), Horizons>,
    /// What can't be read, by whose it is.
    pub(super) unreadable: BTreeMap<usize, Planted>,
    /// Whether a call may be refused in a way that nobody expects.
    pub(super) surprises: bool,
}

/// A number of a frame.
pub(super) fn seq(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// A text of a frame.
pub(super) fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Clients {
    pub(super) fn new(plan: &Plan) -> Self {
        let id = |a: &str, b: &str| {
            let user = |name: &str| name.parse().expect("a user id");
            direct_id(&user(a), &user(b)).as_str().to_owned()
        };
        let pairs = (0..plan.people).flat_map(|a| (0..a).map(move |b| (id(NAMES[a], NAMES[b]), [a, b]))).collect();
        Self {
            devices: vec![vec![Device::default(); DEVICES]; plan.people],
            connections: BTreeMap::new(),
            ends: BTreeMap::new(),
            pairs,
            groups: Group::all(plan),
            changes: Vec::new(),
            decided: BTreeMap::new(),
            asks: BTreeMap::new(),
            sends: BTreeMap::new(),
            known: BTreeMap::new(),
            ended: BTreeMap::new(),
            horizons: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            surprises: plan.faults.contains_key(&Fault::Conflict),
        }
    }

    /// The conversation of two.
    pub(super) fn between(&self, a: usize, b: usize) -> Id {
        let pair = [a.max(b), a.min(b)];
        self.pairs.iter().find(|(_, members)| **members == pair).map(|(id, _)| id.clone()).unwrap_or_default()
    }

    /// The other in the conversation that a request is about.
    pub(super) fn other_in(&self, ask: &Ask) -> Option<usize> {
        let pair = self.pairs.get(word(&ask.frame["conversationId"]))?;
        Some(pair[usize::from(pair[0] == ask.person)])
    }

    /// The highest number that anybody knows of.
    pub(super) fn known(&self, id: &str) -> u64 {
        self.known.get(id).copied().unwrap_or_default()
    }

    /// The messages that a device has sent on its connection and has no answer to.
    pub(super) fn unanswered(&self, device: &Device) -> Vec<&Value> {
        let own = self.asks.values().filter(|ask| Some(&ask.connection) == device.connection.as_ref());
        own.filter(|ask| ask.answer.is_none()).map(|ask| &ask.frame["clientMessageId"]).collect()
    }

    fn knows(&mut self, id: &str, seq: u64) {
        let known = self.known.entry(id.to_owned()).or_default();
        *known = seq.max(*known);
    }

    /// Whether a connection has been made.
    pub(super) fn has_let_in(&self, connection: &str) -> bool {
        self.connections.contains_key(connection)
    }

    /// How many connections there have been.
    pub(super) fn count(&self) -> usize {
        self.connections.len()
    }

    /// A device has connected.
    pub(super) fn connects(&mut self, person: usize, device: usize, connection: String, token_life: Duration) {
        self.connections.insert(connection.clone(), (person, device));
        let token_ends = Instant::now() + token_life;
        self.ends.insert(connection.clone(), token_ends);
        let device = &mut self.devices[person][device];
        device.connection = Some(connection);
        device.since = Some(Instant::now());
        device.until = Some(token_ends.min(Instant::now() + CONNECTION_LIFE));
        device.synced = false;
    }

    /// Somebody asks; remembers what is known at this moment.
    pub(super) fn asks(&mut self, past: &Past, id: &str, asked: Asked<'_>) {
        let Asked { person, connection, frame, pries } = asked;
        let conversation = word(&frame["conversationId"]);
        let horizons = |of: usize| self.horizons.get(&(of, conversation.to_owned())).copied().unwrap_or_default();
        let other = self.pairs.get(conversation).map(|pair| pair[usize::from(pair[0] == person)]);
        let ledger = format!("USER#{}", NAMES[person]);
        let first = match self.groups.contains_key(conversation) {
            true => past.spell(conversation, NAMES[person]).map_or(u64::MAX, |spell| spell.first_seq),
            false => 1,
        };
        let known = self.known(conversation);
        let ask = Ask {
            person,
            frame: frame.clone(),
            pries,
            connection: connection.to_owned(),
            floor: if known >= first { known } else { 0 },
            first,
            ended: self.ended.clone(),
            all_own: self
                .horizons
                .iter()
                .filter(|((of, _), _)| *of == person)
                .map(|((_, id), own)| (id.clone(), *own))
                .collect(),
            own: horizons(person),
            theirs: other.map(horizons).unwrap_or_default(),
            entries: past
                .partition(&ledger, "ENTRY#")
                .filter(|entry| !past.is_planted(entry))
                .map(|entry| text(entry, "sk").to_owned())
                .collect(),
            version: past.version(),
            pages: BTreeMap::new(),
            answer: None,
        };
        self.asks.insert(id.to_owned(), ask);
    }

    /// A frame has reached a connection.
    pub(super) fn receives(&mut self, past: &Past, connection: &str, frame: &Value) -> Holds {
        // A connection that is still being made, or that has ended.
        let Some(&(person, device)) = self.connections.get(connection) else { return Ok(()) };
        // What was looked up in time may be on its way until its function's life ends.
        let late = self.ends.get(connection).is_some_and(|end| *end + HEARD_AFTER_MAX < Instant::now());
        let answer = frame["requestId"].is_string();
        holds("nobody hears anything once the token has expired", answer || !late, || {
            format!("{} heard {frame}", NAMES[person])
        })?;
        let data = &frame["data"];
        self.may_see(past, person, data)?;
        self.devices[person][device].is_told(word(&frame["event"]), data);
        let messages = data["messages"].as_array().into_iter().flatten().chain(data.get("message"));
        let messages: Vec<Value> = messages.filter(|message| message.is_object()).cloned().collect();
        for message in &messages {
            let (id, number) = (word(&message["conversationId"]).to_owned(), seq(&message["seq"]));
            self.knows(&id, number);
            let held = self.devices[person][device].held.entry(id).or_default();
            let before = held.insert(number, message.clone());
            let same = before.as_ref().is_none_or(|before| {
                ["senderId", "clientMessageId", "content", "createdAt", "price", "deleted"]
                    .iter()
                    .all(|field| before[field] == message[field])
            });
            holds("what was shown stays", same, || format!("{before:?} became {message}"))?;
        }
        match frame["requestId"].as_str() {
            Some(request) => self.answered(past, request, (person, device), frame),
            None => Ok(()),
        }
    }

    /// Nothing is told to somebody who has no part in it.
    fn may_see(&self, past: &Past, person: usize, data: &Value) -> Holds {
        let lists =
            ["messages", "conversations", "marks"].iter().flat_map(|list| data[*list].as_array().into_iter().flatten());
        let ones = ["message", "conversation"].iter().filter_map(|one| data.get(one));
        for thing in lists.chain(ones).chain([data]) {
            // Of what one has no part in, the refusal names it.
            let Some(id) = thing["conversationId"].as_str().filter(|_| thing["error"].is_null()) else { continue };
            if self.groups.contains_key(id) {
                let was_in = !past.spells(id, NAMES[person]).is_empty() && past.is_whole(id);
                holds("nothing is shown to strangers", was_in, || format!("{} was shown {data}", NAMES[person]))?;
                for message in [thing, &thing["lastMessage"]].into_iter().filter(|it| it["senderId"].is_string()) {
                    self.may_see_of_group(past, person, id, message)?;
                }
                continue;
            }
            let members = self.pairs.get(id);
            let inside = members.is_some_and(|members| members.contains(&person)) || self.is_unreadable(person, id);
            holds("nothing is shown to strangers", inside, || format!("{} was shown {data}", NAMES[person]))?;
        }
        Ok(())
    }

    /// Whether a conversation of somebody's can't be read.
    fn is_unreadable(&self, person: usize, id: &str) -> bool {
        let planted = self.unreadable.get(&person);
        planted.is_some_and(|planted| planted.unreadable.iter().any(|unreadable| unreadable.as_str() == id))
    }

    /// A frame answers a request.
    fn answered(&mut self, past: &Past, request: &str, (person, device): (usize, usize), frame: &Value) -> Holds {
        let failed = &frame["data"]["error"];
        let readable = !self.is_unreadable(person, word(&frame["data"]["conversationId"]));
        let Some(ask) = self.asks.get_mut(request) else {
            return Err(Broken { rule: "an answer has a request", seen: format!("{} got {frame}", NAMES[person]) });
        };
        if frame["event"] == "sync:page" {
            holds("what can be read is read", failed.is_null() || !readable, || frame.to_string())?;
            let numbers = ask.pages.entry(word(&frame["data"]["conversationId"]).to_owned()).or_default();
            numbers
                .extend(frame["data"]["messages"].as_array().into_iter().flatten().map(|message| seq(&message["seq"])));
            return Ok(());
        }
        // The frame may have arrived twice; each run of the function answers.
        ask.answer = Some(frame.clone());
        let ask = ask.clone();
        let code = frame["error"]["code"].as_str();
        let sense = code != Some("internal") || self.surprises;
        holds("what is there makes sense", sense, || format!("{} got {frame}", ask.frame))?;
        if code == Some("insufficient_balance") {
            let (price, user) = (seq(&frame["error"]["details"]["price"]), format!("USER#{}", NAMES[person]));
            let lacked = (ask.version..=past.version()).any(|version| past.coins_at(&user, version) < price.into());
            holds("a refusal for coins is true", lacked, || format!("{} got {frame}", ask.frame))?;
        }
        let is_group = self.groups.contains_key(word(&ask.frame["conversationId"]));
        let action = word(&ask.frame["action"]);
        // Who has left is answered alike when they leave again; a send may have been decided before; and a sync is about all.
        let of_members =
            !["leaveGroup", "sendMessage", "sync"].contains(&action) || ask.pries && action != "leaveGroup";
        let is_stranger = if is_group { of_members && self.is_out_all_along(past, &ask) } else { ask.pries };
        if is_stranger {
            let refused = matches!(
                code,
                Some(
                    "not_a_participant"
                        | "unavailable"
                        | "internal"
                        | "insufficient_balance"
                        | "rate_limited"
                        | "token_expired"
                )
            );
            return holds("strangers are refused", refused, || {
                format!("{} got {frame} for {}", NAMES[person], ask.frame)
            });
        }
        let is_in = is_group && self.is_in_all_along(past, &ask);
        let known = if is_group { !is_in } else { ask.floor == 0 } || code != Some("not_a_participant");
        holds("who is in a conversation isn't refused", known, || format!("{} got {frame}", ask.frame))?;
        let may_lack = |number: u64| number > ask.floor || number < ask.first || is_group && !is_in;
        let there = code != Some("not_found") || ask.frame["seq"].as_u64().is_none_or(may_lack);
        holds("reads never go backwards", there, || format!("{ask:?} got {frame}"))?;
        let data = &frame["data"];
        match word(&frame["event"]) {
            "message:sent" => self.sent(&ask, &data["message"]),
            "message:error" => self.refused(&ask, code.unwrap_or_default()),
            // Who has come, gone or come back meanwhile sees what they may see then.
            "messages:page" if is_group && !is_in => Ok(()),
            "messages:page" => page(&ask, past, self.other_in(&ask), data),
            "conversation" => conversation(&ask, &data["conversation"]),
            "receipts" => self.receipts(&ask, past, data),
            "transactions:list" => transactions(&ask, past, data),
            "sync:done" => self.synced(&ask, past, (person, device), data),
            "marked" => self.marked(&ask, data),
            "presence" => self.present(&ask, past, data),
            "profile" => profile(&ask, past, &data["user"]),
            "muted" => muted(&ask, past, data),
            _ => Ok(()),
        }
    }

    /// One answer to a send is like all others.
    fn sent(&mut self, ask: &Ask, message: &Value) -> Holds {
        let cmid = word(&ask.frame["clientMessageId"]).to_owned();
        let Some(send) = self.sends.get_mut(&(ask.person, cmid)) else {
            return Err(Broken { rule: "an answer has a request", seen: message.to_string() });
        };
        let same = send.message.as_ref().is_none_or(|first| {
            ["conversationId", "seq", "content", "price", "createdAt"]
                .iter()
                .all(|field| first[field] == message[field])
        });
        holds("acks are never contradicted", same && !send.expired, || format!("{send:?} and now {message}"))?;
        holds("acks say what was asked", message["content"] == ask.frame["content"], || {
            format!("{} got {message}", ask.frame)
        })?;
        let price = seq(&message["price"]);
        let dear = ask.frame["maxPrice"].as_u64().is_some_and(|max| price > max);
        holds("nobody pays more than maxPrice", !dear, || format!("{} got {message}", ask.frame))?;
        let later = seq(&message["seq"]) > send.floor;
        holds("order is the order of time", later, || format!("above {}: {message}", send.floor))?;
        send.message.get_or_insert_with(|| message.clone());
        Ok(())
    }

    fn refused(&mut self, ask: &Ask, code: &str) -> Holds {
        let cmid = word(&ask.frame["clientMessageId"]).to_owned();
        let Some(send) = self.sends.get_mut(&(ask.person, cmid)) else { return Ok(()) };
        match code {
            "send_expired" => {
                send.expired = true;
                holds("acks are never contradicted", send.message.is_none(), || format!("{send:?} expired"))
            }
            "client_message_id_reused" => {
                holds("acks are never contradicted", send.is_contested, || format!("{send:?} is reused"))
            }
            _ => Ok(()),
        }
    }

    /// A sync brings every message whose send had ended when it was asked for; without `since`, of those that no device of
    /// the user's has by now.
    fn synced(&mut self, ask: &Ask, past: &Past, (person, device): (usize, usize), data: &Value) -> Holds {
        let since = &ask.frame["since"];
        let complete = data["complete"] == true;
        let pairs = self.pairs.iter().filter(|(_, members)| members.contains(&person)).map(|(id, _)| (id, 1));
        let groups = self.groups.keys().filter_map(|id| {
            let spell = past.spell(id, NAMES[person]).filter(|spell| spell.from <= ask.version);
            let inbox = (format!("USER#{}", NAMES[person]), format!("INBOX#{id}"));
            // Whose inbox isn't told of the membership yet is told of the group, and reads its history.
            let told = past.at(&inbox, ask.version).filter(|it| it["left_at"].is_null());
            let told = told.map(|inbox| number(inbox, "first_seq").cast_unsigned());
            spell.filter(|spell| told == Some(spell.first_seq)).map(|spell| (id, spell.first_seq))
        });
        for (id, first) in pairs.chain(groups).filter(|_| complete) {
            let delivered = || {
                let inbox = past.now(&format!("USER#{}", NAMES[person]), &format!("INBOX#{id}"));
                inbox.map_or(0, |inbox| u64::try_from(number(inbox, "delivered_seq")).unwrap_or_default())
            };
            let from = if since.is_object() && !since[id].is_null() { seq(&since[id]) } else { delivered() };
            let wanted = (from + 1).max(first)..=ask.ended.get(id).copied().unwrap_or_default();
            let pages = ask.pages.get(id);
            // A page may have arrived only when the function ran a second time.
            let held = self.devices[person][device].held.get(id);
            let missing: Vec<u64> = wanted
                .filter(|n| !pages.is_some_and(|p| p.contains(n)) && !held.is_some_and(|h| h.contains_key(n)))
                .collect();
            holds("a sync brings everything", missing.is_empty(), || format!("{id} lacks {missing:?}: {ask:?}"))?;
        }
        if let Some(planted) = self.unreadable.get(&person).filter(|_| complete) {
            // Who has read the others' inboxes may have nothing to ask for there.
            let whole = planted.unreadable.iter().filter(|id| !planted.with_inbox.contains(id));
            let untold: Vec<_> = whole.filter(|id| !ask.pages.contains_key(id.as_str())).collect();
            holds("a sync says what it can't bring", untold.is_empty(), || format!("{untold:?}: {ask:?}"))?;
        }
        let device = &mut self.devices[person][device];
        if complete && since.is_object() && device.connection.as_deref() == Some(&ask.connection) {
            device.synced = true;
        }
        Ok(())
    }
}
