//! What people do: each action's frame, and each step from the frame to what its sender makes of the answer.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use wire::limits::COINS_MAX;
use wire::{ACTIONS, Action, AskedBy, Time};

use super::clients::{Ask, Asked, Id, Send};
use super::fault::Fault;
use super::groups::Group;
use super::plan::{Act, DEVICES, LONG_TOKEN_LIFE_S, NAMES, Step};
use super::weather::{State, Weather};
use crate::gateway::Handshake;
use crate::network::{Chance, lock};
use crate::person::uuid_v7;
use crate::world::{Failed, STEP, World};

/// What somebody has from the beginning, in coins: enough for some messages.
const PURSE: u64 = 30;
/// How long a frame is on its way when it is overtaken.
const OVERTAKEN_MS_MAX: u64 = 400;
/// How long an impatient client waits before it sends a message again: up to one of these.
const PATIENCE_MS: [u64; 3] = [20, 300, 6_000];
/// The time of the first message's id, by a clock that is right; and by how much one may be wrong.
const FIRST_ID_MS: i64 = 1_767_225_600_000;
/// Where ids nearly come in order their clocks differ by so much, of which a step takes one.
const CLOCKS_DIFFER_MS: u64 = 12;
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);
/// Until when something is muted: for good, until a time that is past, one that soon is, and one that never comes.
const MUTED_UNTIL: [Option<&str>; 4] =
    [None, Some("2020-01-01T00:00:00Z"), Some("2026-01-01T00:01:00Z"), Some("2999-01-01T00:00:00Z")];
/// The same key is given to so many top-ups, or more.
const KEYS: u64 = 4;

/// What the fields of a frame are made of.
pub struct Asking<'a> {
    state: &'a State,
    chance: Chance,
    step: u32,
    person: usize,
    device: usize,
    other: usize,
    conversation: Id,
}

impl Asking<'_> {
    /// The fields of a frame of this action's: like the table's sample, but where something is worth varying.
    fn fields(&mut self, action: &'static Action) -> Value {
        match action.name {
            "sync" if self.chance.below(3) == 0 => json!({}),
            "sync" => self.since(),
            "sendMessage" => self.message(),
            "getMessages" => self.page(),
            "markDelivered" | "markRead" if self.chance.below(4) == 0 => self.marks(),
            "markDelivered" | "markRead" | "getReceipts" => self.mark(),
            "createGroup" => self.group(),
            "updateGroup" => self.change(),
            "leaveGroup" => self.leave(),
            "getMembers" => json!({ "conversationId": self.conversation, "limit": 1 + self.chance.below(4) }),
            "getPresence" if self.is_group() => {
                json!({ "userIds": NAMES, "conversationId": self.conversation })
            }
            "getConversations" => json!({ "limit": 1 + self.chance.below(4) }),
            "getTransactions" | "getBlocked" => json!({ "limit": 1 + self.chance.below(10) }),
            "mute" => {
                json!({ "conversationId": self.conversation, "until": MUTED_UNTIL[self.chance.below(4) as usize] })
            }
            "getPresence" | "getUsers" => json!({ "userIds": NAMES }),
            "typing" => json!({ "conversationId": self.conversation, "typing": self.chance.below(2) == 0 }),
            _ => self.sample(action),
        }
    }

    /// The table's sample, of those who are here.
    fn sample(&mut self, action: &Action) -> Value {
        let mut samples: Vec<Value> = action.frames().collect();
        let mut frame = samples.swap_remove(self.chance.below(samples.len() as u64) as usize);
        let other = NAMES[self.other];
        for (field, value) in [("conversationId", &*self.conversation), ("otherUserId", other), ("userId", other)] {
            if let Some(there) = frame.get_mut(field) {
                *there = value.into();
            }
        }
        frame
    }

    /// Everything that the device lacks.
    fn since(&self) -> Value {
        let device = &self.state.clients.devices[self.person][self.device];
        let own = self.state.clients.pairs.iter().filter(|(_, members)| members.contains(&self.person));
        // It knows the groups that its person is in, as from a list, and those that it was told of.
        let is_in = |id: &&Id| self.state.past.is_whole(id) && self.state.past.spell(id, NAMES[self.person]).is_some();
        let groups = self.state.clients.groups.keys();
        let groups = groups.filter(|id| is_in(id) || device.told.contains_key(*id) || device.held.contains_key(*id));
        let ids = own.map(|(id, _)| id).chain(groups);
        let since: serde_json::Map<String, Value> = ids.map(|id| (id.clone(), device.complete_to(id).into())).collect();
        json!({ "since": since })
    }

    /// Whether it is about a group.
    fn is_group(&self) -> bool {
        self.state.clients.groups.contains_key(&self.conversation)
    }

    /// One of those that the person may make.
    fn group(&mut self) -> Value {
        let own = self.state.clients.groups.values().filter(|group| group.creator == self.person);
        let own: Vec<&Group> = own.collect();
        let at = if self.chance.below(3) == 0 { self.chance.below(own.len() as u64) as usize } else { 0 };
        own[at].frame(self.chance.below(12) == 0)
    }

    /// Somebody comes or goes, or it is called something else; sometimes an earlier change is asked for again.
    fn change(&mut self) -> Value {
        let earlier = self.state.clients.changes.iter().filter(|(person, _)| *person == self.person);
        let earlier: Vec<&Value> = earlier.map(|(_, frame)| frame).collect();
        if !earlier.is_empty() && self.chance.below(3) == 0 {
            return earlier[self.chance.below(earlier.len() as u64) as usize].clone();
        }
        let mut frame = json!({ "conversationId": self.conversation });
        if self.chance.below(4) > 0 {
            frame["clientRequestId"] = format!("u{}", self.step).into();
        }
        let other = NAMES[self.other];
        match self.chance.below(8) {
            0..3 => frame["add"] = json!([other]),
            3..5 => frame["remove"] = json!([other]),
            5 => frame["admins"] = json!([other]),
            6 => frame["admins"] = json!([NAMES[self.person], other]),
            _ => frame["name"] = format!("Name {}", self.step).into(),
        }
        frame
    }

    fn leave(&mut self) -> Value {
        let mut frame = json!({ "conversationId": self.conversation });
        if self.chance.below(2) == 0 {
            frame["clientRequestId"] = format!("l{}", self.step % 4).into();
        }
        frame
    }

    fn message(&mut self) -> Value {
        let mut frame = json!({ "clientMessageId": self.message_id(), "content": format!("text {}", self.step) });
        match self.chance.below(3) {
            _ if self.is_group() => frame["conversationId"] = self.conversation.clone().into(),
            0 => frame["conversationId"] = self.conversation.clone().into(),
            _ => frame["to"] = NAMES[self.other].into(),
        }
        if self.chance.below(4) == 0 {
            frame["maxPrice"] = (self.chance.below(3) * 5).into();
        }
        let known = self.state.clients.known(&self.conversation);
        if known > 0 && self.chance.below(6) == 0 {
            frame["replyTo"] = (1 + self.chance.below(known + 1)).into();
        }
        frame
    }

    /// An id as clients make them: some sort by time, of one kind or the other, by clocks that may be wrong, and some don't. Where
    /// all sort by time, nearly in the order in which they are sent.
    fn message_id(&mut self) -> String {
        let n = u64::from(self.step);
        let at = Time { ms: FIRST_ID_MS + i64::from(self.step) };
        if self.state.plan.ids_sort_by_time {
            let differ = i64::try_from(self.chance.below(CLOCKS_DIFFER_MS)).unwrap_or_default();
            return uuid_v7(Time { ms: at.ms + differ }, n);
        }
        match self.chance.below(8) {
            0 | 1 => format!("m{n}"),
            2 => format!("01KDVTRJ00{n:016}"),
            3 => uuid_v7(at.after(A_YEAR), n),
            4 => uuid_v7(at.before(A_YEAR), n),
            _ => uuid_v7(at, n),
        }
    }

    fn page(&mut self) -> Value {
        let known = self.state.clients.known(&self.conversation);
        let mut frame = json!({ "conversationId": self.conversation, "limit": 1 + self.chance.below(20) });
        match self.chance.below(4) {
            0 => frame["before"] = (1 + self.chance.below(known + 2)).into(),
            1 => frame["after"] = self.chance.below(known + 2).into(),
            _ => {}
        }
        frame
    }

    /// Some of all conversations, in some order; now and then one of them twice, or one of others.
    fn marks(&mut self) -> Value {
        let mut ids: Vec<Id> = self.state.clients.pairs.keys().cloned().collect();
        let first = self.chance.below(ids.len() as u64) as usize;
        ids.rotate_left(first);
        ids.truncate(1 + self.chance.below(4) as usize);
        ids.push(self.conversation.clone());
        let marks: Vec<Value> = ids.into_iter().map(|id| self.mark_of(id)).collect();
        json!({ "marks": marks })
    }

    fn mark(&mut self) -> Value {
        self.mark_of(self.conversation.clone())
    }

    /// Up to what is known, and sometimes less, or beyond.
    fn mark_of(&mut self, conversation: Id) -> Value {
        let known = self.state.clients.known(&conversation);
        let seq = match self.chance.below(4) {
            0 => self.chance.below(known + 3),
            1 => self.chance.below(known + 1),
            _ => known,
        };
        json!({ "conversationId": conversation, "seq": seq.max(1) })
    }
}

/// The table's row of an action.
fn of_table(name: &str) -> &'static Action {
    ACTIONS.iter().find(|action| action.name == name).expect("an action")
}

/// Where the steps happen.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) weather: Weather,
    pub(super) people: usize,
}

impl Stage {
    /// Does one step; everything in it is named by its number.
    pub(super) async fn step(self, step: Step) {
        let number = step.number;
        STEP.scope((number, AtomicU64::new(0)), Box::pin(async move { self.act(&step).await })).await;
    }

    async fn act(&self, step: &Step) {
        let mut chance = Chance(step.draw);
        let Step { person, device, .. } = *step;
        match step.act {
            Act::Says(action) => self.asks(step, action, person, false).await,
            Act::Pries => {
                let pried = ACTIONS.iter().filter(|action| action.asked_by == AskedBy::Participants);
                let pried: Vec<&Action> = pried.collect();
                self.asks(step, pried[chance.below(pried.len() as u64) as usize].name, person, true).await;
            }
            Act::Repeats => self.repeats(person, device, &mut chance).await,
            Act::Connects => drop(self.connects(person, device).await),
            Act::Leaves | Act::Vanishes => self.leaves(person, device, step.act == Act::Leaves).await,
            Act::Begins => drop(self.world.credits(NAMES[person], PURSE, "key").await),
            Act::TopsUp => {
                let key = format!("key{}", chance.below(KEYS));
                let amount = match chance.below(16) {
                    // Nearly, or just, or more than can be held.
                    0 => COINS_MAX - chance.below(30),
                    n => [1, 10, 10, 100][n as usize % 4],
                };
                self.world.credits(NAMES[person], amount, &key).await;
            }
            Act::Prices => {
                let path = format!("/api/users/{}/price", NAMES[person]);
                let price = [0, 0, 3, 10][chance.below(4) as usize];
                self.world.admin("PUT", &path, Some(json!({ "price": price }))).await;
            }
            Act::Operates => self.operates(person, &mut chance).await,
            Act::Sweeps => self.fires(&mut chance, 500, World::tries_to_sweep).await,
            Act::Cleans => self.fires(&mut chance, 200, World::tries_to_clean_up).await,
            Act::SetsClock(by_seconds) => self.world.sets_clock(by_seconds),
        }
    }

    /// A schedule fires late, or twice.
    async fn fires(&self, chance: &mut Chance, late_ms_max: u64, run: impl AsyncFn(&World) -> Result<(), Failed>) {
        tokio::time::sleep(Duration::from_millis(chance.below(late_ms_max))).await;
        let again = async {
            if chance.below(3) == 0 {
                tokio::time::sleep(Duration::from_millis(chance.below(100))).await;
                let _ = run(&self.world).await;
            }
        };
        let _ = futures::future::join(run(&self.world), again).await;
    }

    async fn operates(&self, person: usize, chance: &mut Chance) {
        let name = NAMES[person];
        let (method, path) = match chance.below(4) {
            0 => ("GET", format!("/api/messages/buffered/{name}")),
            1 => ("DELETE", format!("/api/messages/buffered/{name}")),
            2 => ("GET", "/api/messages/buffer-stats".to_owned()),
            _ => ("GET", format!("/api/wallets/{name}")),
        };
        self.world.admin(method, &path, None).await;
    }

    /// Says a new frame with an action; about others' conversation, if it PRIES.
    async fn asks(&self, step: &Step, action: &'static str, person: usize, pries: bool) {
        let Some(connection) = self.connection(person, step.device).await else { return };
        let frame = {
            let state = lock(&self.weather.0);
            let mut chance = Chance(step.draw);
            let other = (person + 1 + chance.below(self.people as u64 - 1) as usize) % self.people;
            let mut conversation = state.clients.between(person, other);
            let whole: Vec<&Id> = state.clients.groups.keys().filter(|id| state.past.is_whole(id)).collect();
            let is_in = |id: &&Id| state.past.spell(id, NAMES[person]).is_some();
            let only_groups = ["updateGroup", "leaveGroup", "getMembers"].contains(&action);
            let own: Vec<&Id> = whole.iter().copied().filter(is_in).collect();
            let any = if chance.below(8) == 0 || own.is_empty() { &whole } else { &own };
            if !any.is_empty() && (only_groups || chance.below(3) > 0) {
                conversation = any[chance.below(any.len() as u64) as usize].clone();
            }
            if pries {
                let foreign = state.clients.pairs.iter().filter(|(_, members)| !members.contains(&person));
                let foreign = foreign.map(|(id, _)| id).chain(whole.iter().copied().filter(|id| !is_in(id)));
                let foreign: Vec<&Id> = foreign.collect();
                if foreign.is_empty() {
                    // Among two nobody is a stranger.
                    return;
                }
                conversation = foreign[chance.below(foreign.len() as u64) as usize].clone();
            }
            let (step, device) = (step.number, step.device);
            let mut asking = Asking { state: &state, chance, step, person, device, other, conversation };
            let mut frame = asking.fields(of_table(action));
            frame["action"] = action.into();
            if pries {
                frame["conversationId"] = asking.conversation.clone().into();
                let fields = frame.as_object_mut().expect("an object");
                fields.remove("to");
                if fields.remove("marks").is_some() {
                    fields.insert("seq".to_owned(), 1.into());
                }
            }
            frame
        };
        if action == "updateGroup" && !pries {
            lock(&self.weather.0).clients.changes.push((person, frame.clone()));
        }
        if action != "sendMessage" || pries {
            self.says(person, &connection, frame, pries).await;
            return;
        }
        self.remembers(step.number, person, &frame);
        let again = async {
            // An impatient client; the answer to the first may be on its way.
            let mut chance = Chance(!step.draw);
            if chance.below(3) == 0 {
                let patience = PATIENCE_MS[chance.below(PATIENCE_MS.len() as u64) as usize];
                tokio::time::sleep(Duration::from_millis(chance.below(patience))).await;
                let device = chance.below(DEVICES as u64) as usize;
                if let Some(connection) = self.connection(person, device).await {
                    self.says(person, &connection, frame.clone(), false).await;
                }
            }
        };
        futures::future::join(self.says(person, &connection, frame.clone(), false), again).await;
    }

    /// Remembers what is sent, so that it can be sent again.
    fn remembers(&self, step: u32, person: usize, frame: &Value) {
        let mut state = lock(&self.weather.0);
        let clients = &mut state.clients;
        let to = frame["to"].as_str().and_then(|to| NAMES.iter().position(|name| *name == to));
        let conversation = match to {
            Some(to) => clients.between(person, to),
            None => frame["conversationId"].as_str().unwrap_or_default().to_owned(),
        };
        let floor = clients.known(&conversation);
        let (frame, message) = (frame.clone(), None);
        let id = frame["clientMessageId"].as_str().unwrap_or_default().to_owned();
        let send = Send { person, conversation, frame, step, floor, message, expired: false, is_contested: false };
        clients.sends.insert((person, id), send);
    }

    /// Sends an earlier message of somebody again; sometimes with another text, which must not be sent.
    async fn repeats(&self, person: usize, device: usize, chance: &mut Chance) {
        let Some(connection) = self.connection(person, device).await else { return };
        let frame = {
            let mut state = lock(&self.weather.0);
            let mut own: Vec<&mut Send> =
                state.clients.sends.values_mut().filter(|send| send.person == person).collect();
            if own.is_empty() {
                return;
            }
            own.sort_by_key(|send| std::cmp::Reverse(send.step));
            // Most often one of the last.
            let among = if chance.below(3) > 0 { own.len().min(3) } else { own.len() };
            let send = own.swap_remove(chance.below(among as u64) as usize);
            let mut frame = send.frame.clone();
            if chance.below(8) == 0 {
                frame["content"] = "another text".into();
                send.is_contested = true;
            }
            frame
        };
        self.says(person, &connection, frame, false).await;
    }

    /// Says a frame, as the network lets it; gives the answer, if there is one when the function has ended.
    pub(super) async fn says(&self, person: usize, connection: &str, mut frame: Value, pries: bool) -> Option<Value> {
        let id = self.world.next_id("ask");
        frame["requestId"] = id.clone().into();
        let (lost, twice, wait) = {
            let mut state = lock(&self.weather.0);
            let State { clients, past, .. } = &mut *state;
            clients.asks(past, &id, Asked { person, connection, frame: &frame, pries });
            state.trace.add(&format!("{} says {frame} on {connection}", NAMES[person]));
            let mut chance = state.chance_of(&id);
            let late = state.strikes(Fault::FrameLate, &mut chance);
            let wait = if late { chance.below(OVERTAKEN_MS_MAX) } else { 0 };
            let lost = state.strikes(Fault::FrameLost, &mut chance);
            let twice = state.strikes(Fault::FrameTwice, &mut chance).then(|| chance.below(OVERTAKEN_MS_MAX));
            (lost, twice, wait)
        };
        if lost {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let text = frame.to_string();
        let once = self.arrives(connection, &text);
        let again = async {
            if let Some(wait) = twice {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                self.arrives(connection, &text).await;
            }
        };
        futures::future::join(once, again).await;
        lock(&self.weather.0).clients.asks.get(&id).and_then(|ask: &Ask| ask.answer.clone())
    }

    async fn arrives(&self, connection: &str, text: &str) {
        if self.world.connections().is_open(connection) {
            let _ = Box::pin(self.world.frame(connection, text)).await;
        }
    }

    /// A device's connection; a new one where it has none.
    pub(super) async fn connection(&self, person: usize, device: usize) -> Option<String> {
        let there = lock(&self.weather.0).clients.devices[person][device].clone();
        match there.connection {
            Some(connection) if self.world.connections().is_open(&connection) => {
                let old = there.until.is_some_and(|until| until <= Instant::now());
                if old { self.connects(person, device).await } else { Some(connection) }
            }
            _ => self.connects(person, device).await,
        }
    }

    /// A device connects, and syncs. What connection it had is gone without a word.
    pub(super) async fn connects(&self, person: usize, device: usize) -> Option<String> {
        let life = {
            let state = lock(&self.weather.0);
            let lives = state.plan.token_lives_s;
            let drawn = state.chance_of(&format!("token {}", state.clients.count())).below(lives.len() as u64) as usize;
            Duration::from_secs(if state.is_healed() { LONG_TOKEN_LIFE_S } else { lives[drawn] })
        };
        let token = self.world.token(NAMES[person], json!({ "exp": self.world.now().after(life).ms / 1_000 }));
        let handshake = Handshake::with_header(&token).and("device", &format!("device{device}"));
        let accepted = self.world.handshake(&handshake).await.ok()?;
        let connection = accepted.connection;
        let (frame, before) = {
            let mut state = lock(&self.weather.0);
            state.trace.add(&format!("{} connects: {connection}", NAMES[person]));
            let before = state.clients.devices[person][device].connection.clone();
            state.clients.connects(person, device, connection.clone(), life);
            let (chance, conversation) = (Chance(0), Id::new());
            let asking = Asking { state: &state, chance, step: 0, person, device, other: 0, conversation };
            let mut frame = asking.since();
            frame["action"] = "sync".into();
            (frame, before)
        };
        if let Some(before) = before {
            self.world.connections().close(&before);
        }
        self.says(person, &connection, frame, false).await;
        Some(connection)
    }

    async fn leaves(&self, person: usize, device: usize, told: bool) {
        let connection = lock(&self.weather.0).clients.devices[person][device].connection.take();
        let Some(connection) = connection else { return };
        self.world.connections().close(&connection);
        if told {
            self.world.disconnect(&connection).await;
        }
    }
}
