//! MEMBER: somebody's membership in a group, or the tombstone of one. Its version counts each change, and a change is made only
//! where the version is the one that was read: so who is in a group, since when and as what is decided by one write.
//!
//! What follows from a change (INBOX, telling, the count) anybody repeats; until it is done MEMBER stands in the index of what is
//! due, in its user's shard. A tombstone goes on standing there: it is deleted when it is old.

use serde::{Deserialize, Serialize};
use wire::{ConversationId, Role, Seq, Time, UserId};

use super::client::condition::{Condition, Part};
use super::client::error::StoreError;
use super::client::item::{Item, attribute, from_item, ms, number, text, to_item};
use super::client::{Read, Store, Update, Written};
use super::inbox::Joined;
use super::requests::Requests;
use super::several::Several;
use super::table::{Key, MEMBER_PREFIX, conversation_pk};
use super::work::{LIST, Listing, UNLIST, before};
use crate::limits::{CLOCKS_DIFFER_MAX, MEMBER_PATIENCE, TOMBSTONE_LIFE};

/// Somebody's membership in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Counts each change; the first is 1.
    pub version: u64,
    /// What they may do.
    pub role: Role,
    /// The first number that they may see.
    pub first_seq: Seq,
    /// When they came.
    #[serde(with = "ms")]
    pub since: Time,
    /// Who has changed it last.
    pub by: UserId,
    /// When they went; then it is a tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_ms")]
    pub left_at: Option<Time>,
    /// The last requests that have changed it.
    #[serde(default, skip_serializing_if = "Requests::is_empty")]
    pub requests: Requests,
    /// Where it stands in the index, while something is due.
    #[serde(default, rename = "work_sk", skip_serializing)]
    pub listed: Option<String>,
}

impl Member {
    /// Whether they are in the group.
    pub const fn is_in(&self) -> bool {
        self.left_at.is_none()
    }

    /// What an inbox keeps of it.
    pub fn joined(&self) -> Joined {
        Joined { version: self.version, first_seq: self.first_seq, left_at: self.left_at.map(|left_at| left_at.ms) }
    }

    /// Whether they are in it, and an admin.
    pub fn is_admin(&self) -> bool {
        self.is_in() && self.role == Role::Admin
    }

    /// Whether all that follows from its last change is done: it isn't listed, or stands far behind it, to be deleted some day.
    pub fn is_settled(&self) -> bool {
        match (&self.listed, self.left_at) {
            (None, _) => true,
            (Some(place), Some(left_at)) => *place >= before(left_at.after(TOMBSTONE_LIFE / 2)),
            (Some(_), None) => false,
        }
    }

    /// Whether it is listed, and to be looked at by now; or a clock that was wrong has said when.
    pub fn is_due(&self, now: Time) -> bool {
        let latest = now.after(TOMBSTONE_LIFE + CLOCKS_DIFFER_MAX);
        self.listed
            .as_ref()
            .is_some_and(|place| *place < before(now.before(MEMBER_PATIENCE)) || *place > before(latest))
    }

    /// Whether it is a tombstone that is old enough to be deleted.
    pub fn is_to_be_deleted(&self, now: Time) -> bool {
        self.left_at.is_some_and(|left_at| left_at.after(TOMBSTONE_LIFE) <= now)
    }
}

/// What became of changing a membership.
#[derive(Debug)]
pub enum MemberPut {
    /// It was changed.
    Here,
    /// It isn't the one that was read any more; or it was changed by this very write, whose answer was lost.
    Changed,
}

/// A membership is changed from the one that was read.
pub const AS_READ: Condition = Condition {
    name: "a membership changes",
    parts: &[Part { name: "it is the one that was read", expression: "#version = :seen" }],
};

/// MEMBER leaves the index, or waits there for its end, when what follows from its change is done.
pub const EFFECTS_ARE_ITS: Condition = Condition {
    name: "a membership is unlisted",
    parts: &[Part { name: "it is the one whose effects are done", expression: "#version = :version" }],
};

/// A tombstone goes when it is old.
pub const STILL_THE_TOMBSTONE: Condition = Condition {
    name: "a tombstone is deleted",
    parts: &[Part { name: "nobody has come back since", expression: "#version = :version" }],
};

impl Store {
    /// Reads one membership, strongly; tombstones, too.
    pub async fn member(&self, conversation: &ConversationId, user: &UserId) -> Result<Option<Member>, StoreError> {
        self.get(Key::member(conversation, user), Read::Strong).await?.map(from_item).transpose()
    }

    /// Reads several people's memberships in one group, strongly, as far as they can be read; those that don't exist are left out.
    pub async fn members_of(
        &self,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Several<(UserId, Member)>, StoreError> {
        let keys: Vec<Key> = users.iter().map(|user| Key::member(conversation, user)).collect();
        Several::of(self.get_many(&keys, Read::Strong).await?, of_user)
    }

    /// Reads a user's memberships in several groups, strongly, as far as they can be read.
    pub async fn memberships(
        &self,
        user: &UserId,
        conversations: impl Iterator<Item = &ConversationId>,
    ) -> Result<Several<(ConversationId, Member)>, StoreError> {
        let keys: Vec<Key> = conversations.map(|conversation| Key::member(conversation, user)).collect();
        let member = |key: &Key, item| Ok((key.conversation()?, from_item(item)?));
        Several::of(self.get_many(&keys, Read::Strong).await?, member)
    }

    /// Reads all memberships in a group, strongly, tombstones too, in the order of the users' ids, as far as they can be read. An
    /// answer is no snapshot.
    pub async fn members(&self, conversation: &ConversationId) -> Result<Several<(UserId, Member)>, StoreError> {
        let (mut members, mut start) = (Several { read: Vec::new(), skipped: Vec::new() }, None);
        loop {
            let query = self.query("#pk = :pk AND begins_with(#sk, :sk)").value(":pk", conversation_pk(conversation));
            let page = query.value(":sk", MEMBER_PREFIX).read(Read::Strong).starting_after(start).page().await?;
            let Several { read, skipped } = Several::of(page.items, of_user)?;
            members.read.extend(read);
            members.skipped.extend(skipped);
            start = page.next;
            if start.is_none() {
                return Ok(members);
            }
        }
    }

    /// Makes a membership **if there is none**, listed.
    pub async fn member_create(
        &self,
        conversation: &ConversationId,
        user: &UserId,
        member: &Member,
        now: Time,
    ) -> Result<MemberPut, StoreError> {
        let mut item = to_item(member)?;
        item.extend(Listing::member(now, user, conversation).item());
        match self.put_new(Key::member(conversation, user), item).await? {
            Written::Done(_) => Ok(MemberPut::Here),
            Written::Refused(_) => Ok(MemberPut::Changed),
        }
    }

    /// Changes a membership **if its version is the one read**. Where something follows from it, it is listed.
    pub async fn member_change(
        &self,
        conversation: &ConversationId,
        user: &UserId,
        seen: u64,
        member: &Member,
        due: Option<Time>,
    ) -> Result<MemberPut, StoreError> {
        let list = if due.is_some() { ", #work_pk = :work_pk, #work_sk = :work_sk" } else { "" };
        let set = "SET #version = :version, #role = :role, #first_seq = :first_seq, #since = :since, #by = :by, \
                   #requests = :requests";
        let (left, gone) = if member.is_in() { ("", " REMOVE #left_at") } else { (", #left_at = :left_at", "") };
        let update = self.update(Key::member(conversation, user), &format!("{set}{left}{list}{gone}"));
        let mut update = member_values(update.only_if(&AS_READ), member)?.value(":seen", number(seen));
        if let Some(due) = due {
            update = update.at(&Listing::member(due, user, conversation));
        }
        match update.run().await? {
            Written::Done(_) => Ok(MemberPut::Here),
            Written::Refused(_) => Ok(MemberPut::Changed),
        }
    }

    /// Takes a membership out of the index **if it is the one whose effects are done**; a tombstone waits there for its end.
    pub async fn member_unlist(
        &self,
        conversation: &ConversationId,
        user: &UserId,
        member: &Member,
        now: Time,
    ) -> Result<(), StoreError> {
        let key = Key::member(conversation, user);
        let update = match member.left_at {
            None => self.update(key, UNLIST),
            // A clock that was wrong may have said when.
            Some(left_at) => {
                let end = left_at.min(now).after(TOMBSTONE_LIFE);
                self.update(key, LIST).at(&Listing::member(end, user, conversation))
            }
        };
        update.only_if(&EFFECTS_ARE_ITS).value(":version", number(member.version)).run().await.map(drop)
    }

    /// Has the sweep look at a membership then, **if it is the one that was read**.
    pub async fn member_list(
        &self,
        conversation: &ConversationId,
        user: &UserId,
        member: &Member,
        at: Time,
    ) -> Result<(), StoreError> {
        let update = self.update(Key::member(conversation, user), LIST).at(&Listing::member(at, user, conversation));
        update.only_if(&EFFECTS_ARE_ITS).value(":version", number(member.version)).run().await.map(drop)
    }

    /// Deletes a tombstone **if nobody has come back since**.
    pub async fn member_delete(
        &self,
        conversation: &ConversationId,
        user: &UserId,
        member: &Member,
    ) -> Result<(), StoreError> {
        let delete = self.delete(Key::member(conversation, user), &STILL_THE_TOMBSTONE);
        delete.value(":version", number(member.version)).run().await
    }
}

/// A membership, with whose it is.
fn of_user(key: &Key, item: Item) -> Result<(UserId, Member), StoreError> {
    Ok((key.member_user()?, from_item(item)?))
}

fn member_values<'a>(update: Update<'a>, member: &Member) -> Result<Update<'a>, StoreError> {
    let update = update
        .value(":version", number(member.version))
        .value(":role", attribute(member.role)?)
        .value(":first_seq", number(member.first_seq))
        .value(":since", number(member.since.ms))
        .value(":by", text(member.by.as_str()))
        .value(":requests", attribute(&member.requests)?);
    Ok(match member.left_at {
        Some(left_at) => update.value(":left_at", number(left_at.ms)),
        None => update,
    })
}

/// Keeps a moment that may not have come as a number of milliseconds.
mod maybe_ms {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use wire::Time;

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(time: &Option<Time>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_i64(time.ms),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(|ms| Time { ms }))
    }
}
