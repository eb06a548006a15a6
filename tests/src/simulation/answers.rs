//! What an answer must say to be right, whatever else has happened: pages, marks, presence, ledgers, profiles.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::chat::invariants::{Holds, holds};
use shared::store::inbox::FOR_GOOD;

use super::clients::{Ask, Clients, Horizons, seq, word};
use super::past::{Past, number, text};
use super::plan::NAMES;

impl Clients {
    /// What is answered of a mark, or of each of several: those that were named, each once.
    pub(super) fn marked(&mut self, ask: &Ask, data: &Value) -> Holds {
        let Some(marks) = data["marks"].as_array() else { return self.marked_one(ask, data) };
        let named = |list: &Value| -> BTreeSet<String> {
            list.as_array().into_iter().flatten().map(|mark| word(&mark["conversationId"]).to_owned()).collect()
        };
        let all = named(&ask.frame["marks"]);
        let right = marks.len() == all.len() && named(&data["marks"]) == all;
        holds("each mark is answered once", right, || format!("{} got {data}", ask.frame))?;
        for mark in marks {
            let id = word(&mark["conversationId"]);
            match mark["error"]["code"].as_str() {
                None => self.marked_one(ask, mark)?,
                Some(code) => {
                    let known = code != "not_a_participant" || !ask.ended.contains_key(id);
                    let inside = self.pairs.get(id).is_some_and(|members| members.contains(&ask.person));
                    holds("who is in a conversation isn't refused", known || !inside, || {
                        format!("{} got {data}", ask.frame)
                    })?;
                    let sense = code != "internal" || self.surprises;
                    holds("what is there makes sense", sense, || format!("{} got {data}", ask.frame))?;
                }
            }
        }
        Ok(())
    }

    fn marked_one(&mut self, ask: &Ask, data: &Value) -> Holds {
        let (read, delivered) = (seq(&data["readSeq"]), seq(&data["deliveredSeq"]));
        holds("read <= delivered <= last", read <= delivered, || data.to_string())?;
        let own = ask.all_own.get(word(&data["conversationId"])).copied().unwrap_or_default();
        holds("reads never go backwards", own.read <= read && own.delivered <= delivered, || {
            format!("{ask:?}: {data}")
        })?;
        let known = self.horizons.entry((ask.person, word(&data["conversationId"]).to_owned())).or_default();
        *known = Horizons { read: read.max(known.read), delivered: delivered.max(known.delivered) };
        Ok(())
    }

    /// Whose presence is shown has read or written something in the conversation with the asker.
    pub(super) fn present(&self, ask: &Ask, past: &Past, data: &Value) -> Holds {
        for user in data["users"].as_array().into_iter().flatten() {
            let (name, seen) = (word(&user["userId"]), user["online"] == true || !user["lastSeenAt"].is_null());
            let other = NAMES.iter().position(|known| *known == name).filter(|other| *other != ask.person);
            let Some(other) = other.filter(|_| seen) else { continue };
            if ask.frame["conversationId"].is_string() {
                let may = self.may_show_in_group(past, ask, name);
                holds("strangers look as if they had never been", may, || format!("{} saw {user}", NAMES[ask.person]))?;
                continue;
            }
            let (pk, sk) = (format!("USER#{name}"), format!("INBOX#{}", self.between(ask.person, other)));
            let known = past.now(&pk, &sk).is_some_and(|inbox| number(inbox, "read_seq") > 0);
            holds("strangers look as if they had never been", known, || format!("{} saw {user}", NAMES[ask.person]))?;
            let [by_asker, by_other] = [[ask.person, other], [other, ask.person]];
            let hidden = [by_asker, by_other].into_iter().any(|pair| stood_since(ask, past, pair).is_some());
            holds("who blocks and who is blocked look offline", !hidden, || {
                format!("{} saw {user}", NAMES[ask.person])
            })?;
        }
        Ok(())
    }

    /// Who has told that they have a message is said to have it.
    pub(super) fn receipts(&self, ask: &Ask, past: &Past, data: &Value) -> Holds {
        let id = word(&ask.frame["conversationId"]);
        let (log, sk) = (format!("CONV#{id}"), format!("MSG#{:020}", seq(&ask.frame["seq"])));
        let slot = past.log(&log).find(|slot| text(slot, "sk") == sk);
        let own = slot.is_some_and(|slot| text(slot, "sender") == NAMES[ask.person]);
        let Some(pair) = self.pairs.get(id).filter(|_| own) else { return Ok(()) };
        let other = NAMES[pair[usize::from(pair[0] == ask.person)]];
        let says = |list: &str| data[list].as_array().is_some_and(|users| users.iter().any(|user| user == other));
        let number = seq(&ask.frame["seq"]);
        let right = (says("read") || number > ask.theirs.read) && (says("delivered") || number > ask.theirs.delivered);
        let right = right || self.other_in(ask).is_some_and(|other| block(past, [ask.person, other]).is_some());
        holds("reads never go backwards", right, || format!("{ask:?} got {data}"))
    }
}

/// A conversation's horizons are at least what its user was told before.
pub(super) fn conversation(ask: &Ask, data: &Value) -> Holds {
    let forward = ask.own.read <= seq(&data["readSeq"]) && ask.own.delivered <= seq(&data["deliveredSeq"]);
    holds("reads never go backwards", forward, || format!("{ask:?} got {data}"))
}

/// The newest page of a ledger has all that was there when it was asked for, or no room for it.
pub(super) fn transactions(ask: &Ask, past: &Past, data: &Value) -> Holds {
    let user = format!("USER#{}", NAMES[ask.person]);
    let shown: Vec<&str> =
        data["transactions"].as_array().into_iter().flatten().map(|line| word(&line["id"])).collect();
    let id = |sk: &str| sk.splitn(3, '#').nth(2).unwrap_or_default().to_owned();
    let last =
        shown.last().and_then(|last| past.partition(&user, "ENTRY#").find(|entry| id(text(entry, "sk")) == *last));
    let last = last.map(|entry| text(entry, "sk")).unwrap_or_default();
    let is_full = Some(shown.len() as u64) == ask.frame["limit"].as_u64();
    let missing = ask.entries.iter().find(|sk| !(shown.contains(&id(sk).as_str()) || is_full && sk.as_str() < last));
    holds("a ledger shows what is in it", missing.is_none(), || format!("{missing:?} isn't in {data}: {ask:?}"))
}

/// The block of one person, of another.
fn block(past: &Past, [by, of]: [usize; 2]) -> Option<&Value> {
    past.now(&format!("USER#{}", NAMES[by]), &format!("BLOCK#{}", NAMES[of]))
}

/// The same, if it has stood since something was asked.
fn stood_since<'a>(ask: &Ask, past: &'a Past, [by, of]: [usize; 2]) -> Option<&'a Value> {
    let then = past.at(&(format!("USER#{}", NAMES[by]), format!("BLOCK#{}", NAMES[of])), ask.version);
    block(past, [by, of]).filter(|now| then == Some(now) && now["blocked"]["BOOL"] == true)
}

/// What was answered as muted was so, at some moment since it was asked for.
pub(super) fn muted(ask: &Ask, past: &Past, data: &Value) -> Holds {
    let place = (format!("USER#{}", NAMES[ask.person]), format!("INBOX#{}", word(&data["conversationId"])));
    let until = serde_json::from_value(data["until"].clone()).unwrap_or(FOR_GOOD);
    let wanted = (data["muted"] == true).then(|| until.ms.to_string());
    let kept = |version| past.at(&place, version).and_then(|inbox| inbox["muted"]["N"].as_str()).map(str::to_owned);
    let kept = (ask.version..=past.version()).any(|version| kept(version) == wanted);
    holds("what is muted is kept", kept, || format!("{ask:?} got {data}"))
}

/// What somebody is called is answered as it is, or was when they asked.
pub(super) fn profile(ask: &Ask, past: &Past, user: &Value) -> Holds {
    let place = (format!("USER#{}", NAMES[ask.person]), "PROFILE".to_owned());
    let was = |version: u64, field: &str| past.at(&place, version).map(|item| item[field]["S"].clone());
    let is = |version: u64| ["name", "avatar"].iter().all(|it| was(version, it).unwrap_or_default() == user[*it]);
    let right = (ask.version..=past.version()).any(is);
    holds("what somebody is called is answered as it is", right, || format!("{ask:?} got {user}"))
}

/// A page has no holes, and has what was known when it was asked for. Of whom the asker has blocked it shows no more than before.
pub(super) fn page(ask: &Ask, past: &Past, other: Option<usize>, data: &Value) -> Holds {
    let numbers: Vec<u64> =
        data["messages"].as_array().into_iter().flatten().map(|message| seq(&message["seq"])).collect();
    let context = || format!("{} knew of {} and got {data}", ask.frame, ask.floor);
    holds("logs have no holes", numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), context)?;
    let (first, last) = (numbers.first().copied(), numbers.last().copied().unwrap_or_default());
    let right = match (ask.frame["before"].as_u64(), ask.frame["after"].as_u64()) {
        (None, Some(after)) => {
            first.is_none_or(|first| first == (after + 1).max(ask.first)) && (ask.floor <= after || first.is_some())
        }
        (Some(before), None) if before <= ask.first => last == 0,
        (Some(before), None) => last >= ask.floor.min(before.saturating_sub(1)) && last < before.max(1),
        _ => last >= ask.floor,
    };
    holds("reads never go backwards", right, context)?;
    for message in data["messages"].as_array().into_iter().flatten() {
        let (number, status) = (seq(&message["seq"]), word(&message["status"]));
        let own = message["senderId"] == NAMES[ask.person] && message["deleted"] != true;
        let behind = own
            && (number <= ask.theirs.read && status != "read" || number <= ask.theirs.delivered && status == "sent");
        let pair = other.map(|other| [ask.person, other]);
        let blocks = pair.is_some_and(|pair| block(past, pair).is_some());
        holds("reads never go backwards", !behind || blocks, || format!("{ask:?} got {message}"))?;
        if let Some(block) = pair.and_then(|pair| stood_since(ask, past, pair)).filter(|_| own) {
            let [delivered, read] = ["delivered_seq", "read_seq"].map(|name| self::number(block, name).cast_unsigned());
            let hidden = match status {
                "read" => number <= read,
                "delivered" => number <= delivered,
                _ => true,
            };
            holds("what a blocked person reads isn't shown", hidden, || format!("{ask:?} got {message}"))?;
        }
    }
    Ok(())
}
