//! Groups: which there may be, who was in them when, as the engine has had it, and what devices are told of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::chat::invariants::{Holds, holds};
use shared::store::members::Member;
use wire::group_id;

use super::clients::{Ask, Clients, Device, Id};
use super::past::{Past, number, text};
use super::plan::{NAMES, Plan};
use crate::engine::plain_map;
use crate::images;
use crate::network::Chance;

/// So many groups each person may make.
const GROUPS_EACH: u64 = 2;

/// A group as its creator asks for it.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Who makes it.
    pub(super) creator: usize,
    request: String,
    others: Vec<&'static str>,
}

impl Group {
    /// Every group that there may be.
    pub(super) fn all(plan: &Plan) -> BTreeMap<Id, Self> {
        let mut chance = Chance(plan.seed ^ 0x6772_6f75_7073);
        let mut groups = BTreeMap::new();
        for creator in 0..plan.people {
            for n in 0..GROUPS_EACH {
                let mut others: Vec<&str> = (0..plan.people)
                    .filter(|other| *other != creator && (creator + n as usize == 0 || chance.below(2) == 0))
                    .map(|other| NAMES[other])
                    .collect();
                if others.is_empty() {
                    others.push(NAMES[(creator + 1) % plan.people]);
                }
                let request = format!("g{n}");
                let user = NAMES[creator].parse().expect("a user id");
                let id = group_id(&user, &request.parse().expect("an id"));
                groups.insert(id.as_str().to_owned(), Self { creator, request, others });
            }
        }
        groups
    }

    /// The frame that makes it; sometimes it asks for something else, under the same id.
    pub(super) fn frame(&self, is_other: bool) -> Value {
        let name = if is_other { "Foes" } else { "Friends" };
        json!({ "name": name, "participants": self.others, "clientRequestId": self.request })
    }
}

/// A time in which somebody was in a group: from one write on, until another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spell {
    /// The write that let them in.
    pub(super) from: u64,
    /// The write that took them out.
    pub(super) until: u64,
    /// The first number that they may see.
    pub(super) first_seq: u64,
}

impl Spell {
    /// Whether it was so at a moment.
    pub(super) fn is_at(&self, version: u64) -> bool {
        (self.from..self.until).contains(&version)
    }
}

impl Past {
    /// When somebody was in a group.
    pub(super) fn spells(&self, group: &str, name: &str) -> Vec<Spell> {
        let place = (format!("CONV#{group}"), format!("MEMBER#{name}"));
        let mut spells: Vec<Spell> = Vec::new();
        let mut is_in = false;
        for (written, member) in self.images(&place) {
            let now = !member.is_null() && member["left_at"].is_null();
            if now && !is_in {
                let first_seq = number(member, "first_seq").cast_unsigned();
                spells.push(Spell { from: *written, until: u64::MAX, first_seq });
            } else if !now && let Some(last) = spells.last_mut().filter(|_| is_in) {
                last.until = *written;
            }
            is_in = now;
        }
        spells
    }

    /// The time in which somebody is in a group, if they are.
    pub(super) fn spell(&self, group: &str, name: &str) -> Option<Spell> {
        self.spells(group, name).pop().filter(|spell| spell.until == u64::MAX)
    }

    /// Whether something follows from a change of a membership and isn't done.
    pub(super) fn has_unsettled_members(&self) -> bool {
        let members = self.readable().filter(|item| text(item, "sk").starts_with("MEMBER#"));
        let mut whole = members.filter(|item| self.is_whole(text(item, "pk").trim_start_matches("CONV#")));
        whole.any(|item| images::read::<Member>(&plain_map(item)).is_ok_and(|member| !member.is_settled()))
    }

    /// Whether a group is whole.
    pub(super) fn is_whole(&self, group: &str) -> bool {
        self.now(&format!("CONV#{group}"), "META").is_some_and(|meta| meta["whole"]["BOOL"] == true)
    }
}

/// What a device was told of a group. Neither that its person is in nor that they are out has an order: each is a hint, and the next
/// sync tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// The first number that its person may see.
    pub(super) first: u64,
    /// Up to where it is to read the history.
    pub(super) last: u64,
}

impl Device {
    /// It is told of a group that its person is in.
    pub(super) fn is_told(&mut self, event: &str, data: &Value) {
        let seen = &data["conversation"];
        let id = seen["conversationId"].as_str().filter(|_| event == "conversation:created" && seen["kind"] == "group");
        let Some(id) = id else { return };
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let told = self.told.entry(id.to_owned()).or_default();
        *told =
            Told { first: told.first.max(number(&seen["firstSeq"])), last: told.last.max(number(&seen["lastSeq"])) };
    }
}

impl Clients {
    /// Whether somebody was in a group from when something was asked until now, and the group whole.
    pub(super) fn is_in_all_along(&self, past: &Past, ask: &Ask) -> bool {
        let id = ask.frame["conversationId"].as_str().unwrap_or_default();
        let Some(spell) = past.spell(id, NAMES[ask.person]) else { return false };
        let meta = (format!("CONV#{id}"), "META".to_owned());
        let whole = past.at(&meta, ask.version).is_some_and(|meta| meta["whole"]["BOOL"] == true);
        whole && spell.from <= ask.version
    }

    /// Whether somebody was out of a group from when something was asked until now.
    pub(super) fn is_out_all_along(&self, past: &Past, ask: &Ask) -> bool {
        let id = ask.frame["conversationId"].as_str().unwrap_or_default();
        let spells = past.spells(id, NAMES[ask.person]);
        spells.iter().all(|spell| spell.until <= ask.version)
    }

    /// Nobody is shown what was said while they were out of a group, from the write that took them out until one that let them in.
    pub(super) fn may_see_of_group(&self, past: &Past, person: usize, id: &str, message: &Value) -> Holds {
        let seq = message["seq"].as_u64().unwrap_or_default();
        let (log, sk) = (format!("CONV#{id}"), format!("MSG#{seq:020}"));
        let slot = past.log(&log).find(|slot| text(slot, "sk") == sk);
        let decided = slot.and_then(|slot| self.decided.get(text(slot, "sid"))).copied().unwrap_or_default();
        let spells = past.spells(id, NAMES[person]);
        // One's own words one knows; that who says them was in is held where it is decided.
        let own = message["senderId"] == NAMES[person];
        let may = own || spells.iter().any(|spell| spell.first_seq <= seq && spell.until > decided);
        holds("nobody is shown what was said while they were out", may, || {
            format!("{} was shown {message}, decided at {decided}: {spells:?}", NAMES[person])
        })
    }

    /// Whose presence is shown in a group is in it, and has read something there since they came; at some moment since it was asked.
    pub(super) fn may_show_in_group(&self, past: &Past, ask: &Ask, name: &str) -> bool {
        let id = ask.frame["conversationId"].as_str().unwrap_or_default();
        let inbox = (format!("USER#{name}"), format!("INBOX#{id}"));
        let spells = past.spells(id, name);
        (ask.version..=past.version()).any(|version| {
            let read = past.at(&inbox, version).map_or(0, |inbox| number(inbox, "read_seq").cast_unsigned());
            spells.iter().any(|spell| spell.is_at(version) && read >= spell.first_seq)
        })
    }
}
