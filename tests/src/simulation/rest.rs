//! The end of a run: the world is healed, everybody asks again for what was never answered, time passes, the sweep runs,
//! everybody reconnects; then everything must be as if nothing had ever gone wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use shared::chat::invariants::{Broken, Holds, holds};
use shared::limits::{TOKEN_LEEWAY, WAITING_MARK_LIFE};
use tokio::time::Instant;

use super::clients::{Id, Send};
use super::past::{number, text};
use super::plan::{CALM, DEVICES, NAMES, Plan};
use super::scenes::{DAY_MS, MONTHS_MS};
use super::weather::{SKEW_MS_MAX, State};
use super::workload::Stage;
use super::writes::first_end;
use crate::network::{Chance, lock};

/// How often somebody asks again before giving up: in a healed world an answer comes at once, or when the rate allows it.
const TRIES: u32 = 6;
/// A connection ends so much before its token, at most: functions' clocks differ, and tokens end at whole seconds.
const ENDS_EARLY_MAX: Duration = Duration::from_millis(SKEW_MS_MAX + 1_000);
/// After so many sweeps in a healed world nothing is left to do.
const SWEEPS_MAX: u32 = 2;

impl Stage {
    /// Everything that was begun has ended: who was connected all along must hold everything.
    pub(super) fn nothing_is_missing(&self) -> Holds {
        let state = lock(&self.weather.0);
        for (person, devices) in state.clients.devices.iter().enumerate() {
            for (number, device) in devices.iter().enumerate() {
                let open = device.connection.as_ref().is_some_and(|it| self.world.connections().is_open(it));
                // Who may have missed something at the end of the connection finds it with the next: a function whose clock is
                // fast ends it early.
                let old = device.until.is_none_or(|until| until <= Instant::now() + ENDS_EARLY_MAX);
                if !open || old || !device.synced {
                    continue;
                }
                let unanswered = state.clients.unanswered(device);
                for (id, log) in messages(&state, person) {
                    let held = device.held.get(&id);
                    // Up to there it was told to read the history of a group.
                    let read = device.told.get(&id).map_or(0, |told| told.last);
                    let missing = log.iter().filter(|(seq, _)| **seq > read);
                    let missing = missing.filter(|(seq, _)| !held.is_some_and(|held| held.contains_key(seq)));
                    // Whoever has no answer asks again: that brings it, not a push.
                    let missing: Vec<&u64> =
                        missing.filter(|(_, cmid)| !unanswered.contains(cmid)).map(|(seq, _)| seq).collect();
                    holds("who is connected and has synced misses nothing", missing.is_empty(), || {
                        format!("{}'s device {number} lacks {missing:?} of {id}", NAMES[person])
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Heals the world, lets everything end, and checks what must hold then.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(super) async fn comes_to_rest(&self, plan: &Plan) -> Result<(), Broken> {
        lock(&self.weather.0).heal();
        tokio::time::sleep(plan.calm).await;
        self.everybody_asks_again(plan.seed).await?;
        // A sweep asks every shard for every kind of work: more calls than a short run has. So what has ended isn't always
        // swept.
        let is_unfinished = {
            let state = lock(&self.weather.0);
            state.has_unfinished() || state.past.has_unsettled_members()
        };
        if is_unfinished || plan.calm > CALM || plan.seed % 16 == 3 {
            self.sweeps_all(plan.seed).await?;
        }
        if plan.ages() {
            self.everything_grows_old(plan.seed).await?;
        }
        self.world.try_sound()?;
        self.deliveries_are_conserved().await?;
        self.everybody_sees_the_same().await?;
        self.past_is_true()
    }

    /// The sweep leaves nothing open, nothing unfolded that fits, and no mark on what has long been delivered.
    async fn sweeps_all(&self, seed: u64) -> Holds {
        tokio::time::sleep(self.world.silence() + Duration::from_secs(5)).await;
        let swept_at = self.world.now().before(TOKEN_LEEWAY);
        for _ in 0..SWEEPS_MAX {
            // The schedule may fire twice at once.
            let again = async { if seed.is_multiple_of(8) { self.world.tries_to_sweep().await } else { Ok(()) } };
            let swept = futures::future::join(self.world.tries_to_sweep(), again).await;
            let fine = swept.0.is_ok() && swept.1.is_ok();
            holds("nothing fails in a healed world", fine, || format!("the sweep: {swept:?}"))?;
            let state = lock(&self.weather.0);
            let is_done = |item: &Value| match text(item, "sk") {
                "ACCOUNT" => item["work_pk"].is_null(),
                sk if sk.starts_with("MEMBER#") => item["work_pk"].is_null() || !item["left_at"].is_null(),
                _ => true,
            };
            if state.past.readable().all(is_done) {
                break;
            }
        }
        self.world.try_rest()?;
        let now = self.world.now();
        let state = lock(&self.weather.0);
        for item in state.past.readable().filter(|item| text(item, "sk").starts_with("INBOX#")) {
            let marked: i64 =
                text(item, "work_sk").split('\u{1f}').next().and_then(|ms| ms.parse().ok()).unwrap_or(now.ms);
            let delivered = number(item, "delivered_seq") == number(item, "last_seq");
            let old = marked < now.before(WAITING_MARK_LIFE).ms;
            holds("what is done is unlisted", !(delivered && old), || item.to_string())?;
        }
        for item in state.past.readable().filter(|item| text(item, "sk") == "PRESENCE") {
            // Whose `$connect` failed in the middle was never let in: nobody waits for the end of that.
            let Some(first) = first_end(item, |id| state.clients.has_let_in(id)) else { continue };
            let place = text(item, "work_sk").split('\u{1f}').next().and_then(|ms| ms.parse::<i64>().ok());
            holds("whose time is over is closed", first > swept_at.ms, || item.to_string())?;
            holds("whose time will be over is listed by then", place.is_some_and(|place| place <= first), || {
                item.to_string()
            })?;
        }
        Ok(())
    }

    /// In months in which nobody says anything all but each conversation's last message leaves the table.
    async fn everything_grows_old(&self, seed: u64) -> Holds {
        for wait_ms in [MONTHS_MS[1], DAY_MS, DAY_MS] {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            for person in 0..self.people {
                self.connection(person, 0).await;
            }
            // The schedule may fire twice at once.
            let again = async { if seed.is_multiple_of(2) { self.world.tries_to_clean_up().await } else { Ok(()) } };
            let cleaned = futures::future::join(self.world.tries_to_clean_up(), again).await;
            let fine = cleaned.0.is_ok() && cleaned.1.is_ok();
            holds("nothing fails in a healed world", fine, || format!("the cleanup: {cleaned:?}"))?;
            self.everybody_reads_from_the_beginning().await?;
        }
        let state = lock(&self.weather.0);
        for meta in state.past.readable().filter(|item| text(item, "sk") == "META") {
            let (pk, id) = (text(meta, "pk"), text(meta, "id"));
            let members = meta["members"]["L"].as_array().into_iter().flatten();
            let inbox = |member: &Value| {
                state.past.now(&format!("USER#{}", member["S"].as_str().unwrap_or_default()), &format!("INBOX#{id}"))
            };
            let last = members.map(|member| inbox(member).map_or(0, |inbox| number(inbox, "last_seq"))).min();
            let last = last.or_else(|| state.past.now(pk, "TAIL").map(|tail| number(tail, "last_seq")));
            let left = state.past.partition(pk, "MSG#").next().map(|slot| text(slot, "sk"));
            let right = last.is_none_or(|last| last == 0 || left == Some(&format!("MSG#{last:020}")));
            holds("what is old leaves the table", right && meta["work_pk"].is_null(), || format!("{meta} {left:?}"))?;
        }
        Ok(())
    }

    /// Each conversation's first messages are there, wherever they are.
    async fn everybody_reads_from_the_beginning(&self) -> Holds {
        let said: Vec<(Id, usize)> = {
            let state = lock(&self.weather.0);
            let pairs = state.clients.pairs.iter().map(|(id, members)| (id.clone(), members[0]));
            pairs.filter(|(id, person)| messages(&state, *person).contains_key(id)).collect()
        };
        for (id, person) in said {
            let Some(connection) = self.connection(person, 0).await else { continue };
            let frame = json!({ "action": "getMessages", "conversationId": id, "after": 0 });
            let answer = self.says(person, &connection, frame, false).await.unwrap_or_default();
            let first = &answer["data"]["messages"][0]["seq"];
            holds("history has a beginning", *first == 1, || format!("{} got {answer}", NAMES[person]))?;
        }
        Ok(())
    }

    /// What was never finally answered is asked again; some leave it to the sweep.
    async fn everybody_asks_again(&self, seed: u64) -> Holds {
        let unanswered: Vec<Send> = {
            let state = lock(&self.weather.0);
            let sends = state.clients.sends.values();
            sends.filter(|send| send.message.is_none() && !send.expired).cloned().collect()
        };
        let mut chance = Chance(seed);
        for send in unanswered {
            if chance.below(10) < 3 {
                continue;
            }
            let connection = self.connection(send.person, 0).await;
            let connection = connection.ok_or_else(no_handshake)?;
            let mut done = false;
            for _ in 0..TRIES {
                let answer = self.says(send.person, &connection, send.frame.clone(), false).await.unwrap_or_default();
                let code = answer["error"]["code"].as_str();
                let wait = answer["error"]["details"]["retryAfterMs"].as_u64();
                done = answer["success"] == true || code.is_some() && wait.is_none();
                let fine = !answer.is_null() && !matches!(code, Some("internal" | "unavailable"));
                holds("nothing fails in a healed world", fine, || format!("{} got {answer}", send.frame))?;
                if done {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(wait.unwrap_or_default())).await;
            }
            holds("nothing fails in a healed world", done, || format!("{} has no answer", send.frame))?;
        }
        Ok(())
    }

    /// Accepted = stored, and stored = delivered + waiting, for everybody.
    async fn deliveries_are_conserved(&self) -> Holds {
        for (person, name) in NAMES.iter().enumerate().take(self.people) {
            let path = format!("/api/messages/buffered/{name}");
            let waiting = self.world.admin("GET", &path, None).await.body;
            let state = lock(&self.weather.0);
            let mut undelivered = 0;
            for (id, log) in messages(&state, person) {
                let inbox = state.past.now(&format!("USER#{name}"), &format!("INBOX#{id}"));
                let [delivered, mut last] =
                    ["delivered_seq", "last_seq"].map(|name| inbox.map_or(0, |inbox| number(inbox, name)));
                if state.clients.groups.contains_key(&id) {
                    if inbox.is_none_or(|inbox| !inbox["left_at"].is_null()) {
                        // What tells the inbox of the membership waits for a sweep.
                        continue;
                    }
                    let tail = state.past.now(&format!("CONV#{id}"), "TAIL");
                    last = tail.map_or(0, |tail| number(tail, "last_seq")).max(delivered);
                }
                let highest = log.keys().next_back().copied().unwrap_or_default();
                let told = last >= i64::try_from(highest).unwrap_or_default();
                holds("stored = delivered + waiting", told, || format!("{name} isn't told of {id} {highest}"))?;
                undelivered += last - delivered;
            }
            for id in state.clients.unreadable.get(&person).into_iter().flat_map(|planted| &planted.with_inbox) {
                let inbox = state.past.now(&format!("USER#{name}"), &format!("INBOX#{id}"));
                undelivered += inbox.map_or(0, |inbox| number(inbox, "last_seq") - number(inbox, "delivered_seq"));
            }
            holds("stored = delivered + waiting", waiting["undelivered"] == undelivered, || {
                format!("{name} waits for {undelivered}, not {waiting}")
            })?;
        }
        let state = lock(&self.weather.0);
        for send in state.clients.sends.values() {
            let log = log(&state, &send.conversation, 1);
            let slots = log.iter();
            let ours: Vec<&u64> =
                slots.filter(|(_, slot)| slot == &&send.frame["clientMessageId"]).map(|(n, _)| n).collect();
            let wanted = send.message.as_ref().and_then(|message| message["seq"].as_u64());
            let right = match (wanted, ours.as_slice()) {
                (Some(seq), [one]) => seq == **one,
                (None, []) => true,
                (None, [_]) => !send.expired,
                _ => false,
            };
            holds("accepted = stored", right, || format!("{send:?} is stored at {ours:?}"))?;
        }
        Ok(())
    }

    /// After a reconnect and a sync every device that somebody has used holds the log, and nothing else; and so does a new
    /// one of who has used none. The first person's is asked in any case: nobody may be there because nobody could connect.
    async fn everybody_sees_the_same(&self) -> Holds {
        for person in 0..self.people {
            let used = {
                let state = lock(&self.weather.0);
                let devices = &state.clients.devices[person];
                let used = (0..DEVICES).filter(|device| devices[*device].since.is_some()).collect::<Vec<_>>();
                if !used.is_empty() {
                    used
                } else if person > 0 && messages(&state, person).is_empty() {
                    continue;
                } else {
                    vec![0]
                }
            };
            let first = used[0];
            for device in used {
                let connection = self.connects(person, device).await;
                let connection = connection.ok_or_else(no_handshake)?;
                self.device_holds_the_log(person, device)?;
                if device == first {
                    self.balance_is_what_is_there(person, &connection).await?;
                }
            }
        }
        Ok(())
    }

    fn device_holds_the_log(&self, person: usize, device: usize) -> Holds {
        let state = lock(&self.weather.0);
        let held = &state.clients.devices[person][device].held;
        for (id, log) in messages(&state, person) {
            // Of an earlier membership it may hold what was said then.
            let first = state.past.spell(&id, NAMES[person]).map(|spell| spell.first_seq);
            let held: BTreeMap<u64, Value> = held
                .get(&id)
                .into_iter()
                .flatten()
                .filter(|(seq, message)| message["deleted"] != true && first.is_none_or(|first| **seq >= first))
                .map(|(seq, message)| (*seq, message["clientMessageId"].clone()))
                .collect();
            holds("every client's view equals the server's", held == log, || {
                format!("{}'s device {device} holds {held:?} of {id}, the log is {log:?}", NAMES[person])
            })?;
        }
        Ok(())
    }

    async fn balance_is_what_is_there(&self, person: usize, connection: &str) -> Holds {
        let answer = self.says(person, connection, json!({ "action": "getBalance" }), false).await;
        let balance = answer.map(|answer| answer["data"]["balance"].clone()).unwrap_or_default();
        let state = lock(&self.weather.0);
        let account = state.past.now(&format!("USER#{}", NAMES[person]), "ACCOUNT");
        let there = account.map_or(0, |account| number(account, "balance"));
        holds("a balance is what is there", balance == there, || format!("{balance} is {there}"))
    }

    /// What reads that were behind were answered from is what the engine has.
    fn past_is_true(&self) -> Holds {
        let state = lock(&self.weather.0);
        let mut past: Vec<Value> = state.past.all().map(crate::engine::plain_map).collect();
        let mut there = self.world.items();
        let key = |item: &Value| (item["pk"].to_string(), item["sk"].to_string());
        past.sort_by_key(key);
        there.sort_by_key(key);
        holds("the simulation's own memory", past == there, || format!("{past:#?} and {there:#?}"))
    }
}

/// Nobody is refused in a healed world.
fn no_handshake() -> Broken {
    Broken { rule: "nothing fails in a healed world", seen: "a handshake".to_owned() }
}

/// The messages of everybody's logs that a person may see: number and `clientMessageId`, without the voids.
fn messages(state: &State, person: usize) -> BTreeMap<Id, BTreeMap<u64, Value>> {
    let pairs = state.clients.pairs.iter().filter(|(_, members)| members.contains(&person)).map(|(id, _)| (id, 1));
    let groups = state.clients.groups.keys().filter(|id| state.past.is_whole(id));
    let groups = groups.filter_map(|id| Some((id, state.past.spell(id, NAMES[person])?.first_seq)));
    let own = pairs.chain(groups).map(|(id, first)| (id.clone(), log(state, id, first)));
    own.filter(|(_, log)| !log.is_empty()).collect()
}

/// The messages of a log from a number on: number and `clientMessageId`, without the voids.
fn log(state: &State, id: &str, first: u64) -> BTreeMap<u64, Value> {
    let pk = format!("CONV#{id}");
    let slots = state.past.log(&pk).filter(|slot| slot["void"]["BOOL"] != true);
    let numbered = slots.map(|slot| {
        let seq = text(slot, "sk").trim_start_matches("MSG#").parse().unwrap_or_default();
        (seq, Value::from(text(slot, "cmid")))
    });
    numbered.filter(|(seq, _)| *seq >= first).collect()
}
