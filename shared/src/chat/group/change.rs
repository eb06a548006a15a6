//! `updateGroup` and `leaveGroup`: each membership is changed by one conditional write on its MEMBER, the name by one on META. Each
//! remembers the request: a late repeat of it changes nothing that came after.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{StreamExt as _, TryStreamExt as _};
use wire::limits::GROUP_MEMBERS_MAX;
use wire::{Avatar, ConversationId, GroupChange, LeaveGroup, Name, Role, Seq, UpdateGroup, UserId};

use super::{contended, may_be_added, wait};
use crate::app::App;
use crate::auth::Caller;
use crate::chat::conversation::Membership;
use crate::error::Error;
use crate::limits::{CHANGES_MAX, GROUP_MEMBERS_KEPT_MAX, MEMBERS_AT_ONCE, TOMBSTONE_LIFE};
use crate::store::Read;
use crate::store::conversations::{Group, Meta, Who};
use crate::store::members::{Member, MemberPut};
use crate::store::requests::{Asked, Requests};

/// What becomes of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// They come.
    Add,
    /// They go.
    Remove,
    /// They become an admin.
    Appoint,
    /// They are an admin no more.
    Dismiss,
}

/// A membership that was changed, and whose effects are due.
#[derive(Debug)]
pub struct Changed {
    /// Whose.
    pub user: UserId,
    /// As it is now.
    pub member: Member,
    /// Whether they have come or gone by it; or whether it was due before. Then they are told; where only their role has changed what
    /// the others are told says so.
    pub moves: bool,
}

/// A request that changes a group.
struct Changing<'a> {
    app: &'a App,
    caller: &'a Caller,
    id: &'a ConversationId,
    /// As memberships and META remember it.
    asked: Asked,
    /// Whether it may be repeated: then what needs no change remembers it, too.
    is_named: bool,
    /// Who was asked about whether they may be added.
    may_come: &'a [UserId],
}

/// What an update has changed.
#[derive(Debug)]
pub struct Updated {
    /// The caller's membership.
    pub membership: Membership,
    /// The memberships whose effects are due.
    pub changed: Vec<Changed>,
    /// What the others are told.
    pub news: GroupChange,
}

/// Changes a group, for its admins: its name and picture, who comes, who goes, and last of all who its admins are, as the caller may
/// be none then.
///
/// # Errors
/// [`Error::NotAParticipant`], [`Error::Forbidden`], [`Error::Invalid`], [`Error::GroupFull`], [`Error::TooMany`],
/// [`Error::Blocked`], [`Error::ClientRequestIdReused`]: then nothing was changed. Those of the store: then a part may be, and a
/// repeat does the rest; likewise where somebody who was in, and needed no adding, leaves in this moment.
pub async fn update(app: &App, caller: &Caller, request: UpdateGroup) -> Result<Updated, Error> {
    let id = request.conversation_id.clone();
    let mut membership = Membership::find(app, &id, &caller.user).await?;
    let group = super::of(&membership.meta)?;
    let members = app.store.members(&id).await?.all()?;
    let is_named = request.client_request_id.is_some();
    let asked = Asked::new(&caller.user, request.client_request_id.as_ref(), &caller.trace_id, &parts(&request));
    let own = members.iter().find(|(user, _)| *user == caller.user);
    // Who has handed their right over by this very request goes on with it.
    let may = |member: &Member| member.is_admin() || member.requests.of(&asked.of_admins()).is_some();
    if !own.is_some_and(|(_, member)| may(member)) {
        return Err(Error::Forbidden);
    }
    let wanted = Wanted::new(request, &asked, group, &members, &caller.user)?;
    unused(&asked, group, &members, &wanted)?;
    may_be_added(app, &caller.user, &wanted.new).await?;
    let changing = Changing { app, caller, id: &id, asked, is_named, may_come: &wanted.new };
    let mut news = GroupChange::none(id.clone(), members.iter().filter(|(_, member)| member.is_in()).count());
    if wanted.name.is_some() || wanted.avatar.is_some() {
        // As it is called now: a repeat of an older request tells nothing else.
        let now = changing.rename(&membership.meta, &wanted).await?;
        news.name = wanted.name.as_ref().map(|_| now.name.clone());
        news.avatar = now.avatar.clone().filter(|_| wanted.avatar.is_some());
        membership.meta.who = Who::Group(now);
    }
    let mut changed = BTreeMap::new();
    for (what, users) in [(What::Add, &wanted.add), (What::Remove, &wanted.remove)] {
        let these = changing.each(what, users).await?;
        let list = if what == What::Add { &mut news.added } else { &mut news.removed };
        list.extend(these.iter().map(|it| it.user.clone()));
        changed.extend(these.into_iter().map(|it| (it.user.clone(), it)));
    }
    if let Some(admins) = &wanted.admins {
        for it in changing.appoint(admins).await? {
            let moves = it.moves || changed.get(&it.user).is_some_and(|before: &Changed| before.moves);
            changed.insert(it.user.clone(), Changed { moves, ..it });
        }
        news.admins = admins.iter().cloned().collect();
    }
    Ok(Updated { membership, changed: changed.into_values().collect(), news })
}

/// Takes the caller out of a group; nothing, where that was done before. Gives what the effects are due for.
///
/// # Errors
/// [`Error::NotAParticipant`], where the caller was never in, or was removed; [`Error::Forbidden`] of what is no group; those of
/// the store.
pub async fn leave(app: &App, caller: &Caller, request: LeaveGroup) -> Result<(Meta, Option<Changed>), Error> {
    let id = request.conversation_id;
    let meta = crate::chat::conversation::find(app, &id, &caller.user).await?.ok_or(Error::NotAParticipant)?;
    if meta.who.named().is_some() {
        Membership::new(Some(meta.clone()), None, &caller.user)?;
    }
    if !super::of(&meta)?.whole {
        return Err(Error::NotAParticipant);
    }
    let named = request.client_request_id.as_ref();
    let asked = Asked::new(&caller.user, named, &caller.trace_id, &["leaveGroup", id.as_str()]);
    let own = app.store.member(&id, &caller.user).await?.ok_or(Error::NotAParticipant)?;
    if !own.is_in() && own.by != caller.user {
        return Err(Error::NotAParticipant);
    }
    if own.requests.of(&asked).is_some_and(|there| *there != asked) {
        return Err(Error::ClientRequestIdReused);
    }
    let changing = Changing { app, caller, id: &id, asked, is_named: named.is_some(), may_come: &[] };
    let changed = changing.one(What::Remove, &caller.user).await?;
    // Who is in again since an earlier attempt is told so by what has let them in.
    Ok((meta, changed.filter(|changed| !changed.member.is_in())))
}

/// What is asked for, so that a repeat is known from another request with the same id.
fn parts(request: &UpdateGroup) -> Vec<String> {
    let mut parts = vec!["updateGroup".to_owned(), request.conversation_id.to_string()];
    parts.push(request.name.as_ref().map_or_else(String::new, |name| format!("name {}", name.as_str())));
    parts.push(request.avatar.as_ref().map_or_else(String::new, |avatar| format!("avatar {}", avatar.as_str())));
    let lists = [("add", Some(&request.add)), ("remove", Some(&request.remove)), ("admins", request.admins.as_ref())];
    for (name, list) in lists {
        // Whatever people are called, no two requests look alike.
        parts.push(format!("{name} {:?}", list.map(Vec::len)));
        parts.extend(list.into_iter().flatten().map(UserId::to_string));
    }
    parts
}

/// An update, checked.
struct Wanted {
    name: Option<Name>,
    avatar: Option<Avatar>,
    add: Vec<UserId>,
    /// Those of them who come by it.
    new: Vec<UserId>,
    remove: Vec<UserId>,
    admins: Option<BTreeSet<UserId>>,
}

impl Wanted {
    /// What was done by an earlier attempt isn't judged again: the group may be another by now.
    fn new(
        request: UpdateGroup,
        asked: &Asked,
        group: &Group,
        members: &[(UserId, Member)],
        caller: &UserId,
    ) -> Result<Self, Error> {
        let (add, remove) = (set(request.add)?, set(request.remove)?);
        let admins = request.admins.map(set).transpose()?;
        if remove.contains(caller) {
            return Err(Error::bad_request("remove", "this names you; leave with leaveGroup"));
        }
        if add.intersection(&remove).next().is_some() {
            return Err(Error::bad_request("remove", "somebody is in add and in remove"));
        }
        let known: BTreeMap<&UserId, &Member> = members.iter().map(|(user, member)| (user, member)).collect();
        let is_in = |user: &UserId| known.get(user).is_some_and(|member| member.is_in());
        let is_done = |user: &UserId| known.get(user).is_some_and(|member| member.requests.of(asked).is_some());
        let new: Vec<UserId> = add.iter().filter(|user| !is_in(user) && !is_done(user)).cloned().collect();
        let stay = known.keys().filter(|user| is_in(user) && !remove.contains(**user)).count();
        if !new.is_empty() && stay + new.len() > GROUP_MEMBERS_MAX {
            return Err(Error::GroupFull { max: GROUP_MEMBERS_MAX });
        }
        let strangers = add.iter().chain(&remove).filter(|user| !known.contains_key(user)).count();
        if strangers > 0 && known.len() + strangers > GROUP_MEMBERS_KEPT_MAX {
            let what = "people who have come and gone in 30 days";
            return Err(Error::TooMany { what, max: GROUP_MEMBERS_KEPT_MAX, user: None });
        }
        let will_be_in = |user: &UserId| (is_in(user) || add.contains(user)) && !remove.contains(user);
        let done = group.requests.of(&asked.of_admins()).is_some();
        let has_none = |admins: &BTreeSet<UserId>| admins.is_empty() || !done && !admins.iter().any(will_be_in);
        if admins.as_ref().is_some_and(has_none) {
            return Err(Error::bad_request("admins", "name at least one who is in the group"));
        }
        let (add, remove) = (add.into_iter().collect(), remove.into_iter().collect());
        Ok(Self { name: request.name, avatar: request.avatar, add, new, remove, admins })
    }
}

/// Doubles are ignored; as many as a group has at most.
fn set(list: Vec<UserId>) -> Result<BTreeSet<UserId>, Error> {
    let set: BTreeSet<UserId> = list.into_iter().collect();
    match set.len() {
        0..=GROUP_MEMBERS_MAX => Ok(set),
        _ => Err(Error::TooMany { what: "members of a list", max: GROUP_MEMBERS_MAX, user: None }),
    }
}

/// Refuses a request whose id was used for another, as far as what it touches remembers.
fn unused(asked: &Asked, group: &Group, members: &[(UserId, Member)], wanted: &Wanted) -> Result<(), Error> {
    let touched = |user: &UserId| wanted.add.contains(user) || wanted.remove.contains(user) || wanted.admins.is_some();
    let members = members.iter().filter(|(user, _)| touched(user)).map(|(_, member)| &member.requests);
    let is_other = |requests: &Requests| {
        let ids = [asked, &asked.of_admins()];
        ids.into_iter().any(|asked| requests.of(asked).is_some_and(|there| there != asked))
    };
    if members.chain([&group.requests]).any(is_other) { Err(Error::ClientRequestIdReused) } else { Ok(()) }
}

impl Changing<'_> {
    /// Changes the name and the picture, as given: **if** META's roster is the one read. Gives what META says now.
    async fn rename(&self, meta: &Meta, wanted: &Wanted) -> Result<Group, Error> {
        let change = |group: &Group| Group {
            name: wanted.name.clone().unwrap_or_else(|| group.name.clone()),
            avatar: wanted.avatar.clone().or_else(|| group.avatar.clone()),
            ..group.clone()
        };
        self.change_meta(super::of(meta)?.clone(), &self.asked, change).await
    }

    /// Changes META by a request that it remembers then; nothing, where it does so already. Gives what it says now.
    async fn change_meta(
        &self,
        mut group: Group,
        asked: &Asked,
        change: impl Fn(&Group) -> Group,
    ) -> Result<Group, Error> {
        for attempt in 0..CHANGES_MAX {
            wait(attempt).await;
            if attempt > 0 {
                group = self.group().await?;
            }
            if group.requests.of(asked).is_some() {
                return Ok(group);
            }
            let changed = Group { requests: group.requests.with(asked), ..change(&group) };
            if self.app.store.group_rename(self.id, group.roster, &changed).await? {
                return Ok(changed);
            }
        }
        Err(contended("a group").into())
    }

    async fn group(&self) -> Result<Group, Error> {
        let meta = self.app.store.conversation(self.id).await?.ok_or(Error::NotAParticipant)?;
        Ok(super::of(&meta)?.clone())
    }

    /// Makes these the admins: appoints first, so that there is one at any moment; then dismisses the others. META remembers it before
    /// that, and a repeat goes on only where it is the last such request: else it would dismiss whom a later one has appointed.
    async fn appoint(&self, admins: &BTreeSet<UserId>) -> Result<Vec<Changed>, Error> {
        let asked = self.asked.of_admins();
        let group = self.change_meta(self.group().await?, &asked, Group::clone).await?;
        if group.requests.last_of_admins().is_none_or(|last| last.id != asked.id) {
            return Ok(Vec::new());
        }
        let members = self.app.store.members(self.id).await?.all()?;
        let members = || members.iter().filter(|(_, member)| member.is_in());
        let listed = members().map(|(user, _)| user).filter(|user| admins.contains(user));
        let listed: Vec<UserId> = listed.cloned().collect();
        let others = members().filter(|(user, member)| member.is_admin() && !admins.contains(user));
        let others: Vec<UserId> = others.map(|(user, _)| user.clone()).collect();
        let mut changed = self.each(What::Appoint, &listed).await?;
        changed.extend(self.each(What::Dismiss, &others).await?);
        Ok(changed)
    }

    /// Changes several memberships alike.
    async fn each(&self, what: What, users: &[UserId]) -> Result<Vec<Changed>, Error> {
        let changes: Vec<_> = users.iter().map(|user| self.one(what, user)).collect();
        let changes = futures::stream::iter(changes).buffered(MEMBERS_AT_ONCE);
        let changed: Vec<Option<Changed>> = changes.try_collect().await?;
        Ok(changed.into_iter().flatten().collect())
    }

    /// Changes a membership, **if** it is the one read: else it is read again. Gives what effects are due for, if any.
    async fn one(&self, what: What, user: &UserId) -> Result<Option<Changed>, Error> {
        let store = &self.app.store;
        // Who comes and is appointed by the same request is changed twice.
        let asked = match what {
            What::Add | What::Remove => self.asked.clone(),
            What::Appoint | What::Dismiss => self.asked.of_admins(),
        };
        for attempt in 0..CHANGES_MAX {
            wait(attempt).await;
            let seen = store.member(self.id, user).await?;
            if let Some(seen) = seen.as_ref().filter(|seen| seen.requests.of(&asked).is_some()) {
                // It was changed by this request: by an earlier attempt, or by this one, whose answer was lost.
                let is_due = !seen.is_settled();
                return Ok(is_due.then(|| Changed { user: user.clone(), member: seen.clone(), moves: true }));
            }
            let is_in = seen.as_ref().is_some_and(Member::is_in);
            if what == What::Add && !is_in && !self.may_come.contains(user) {
                may_be_added(self.app, &self.caller.user, std::slice::from_ref(user)).await?;
            }
            // After MEMBER: whoever publishes after this tail is seen, and nobody's words from before the last change.
            let first_seq = match what {
                What::Add if !is_in => store.log_tail(self.id, Read::Strong).await?.next(),
                _ => seen.as_ref().map_or(Seq(1), |seen| seen.first_seq),
            };
            let Some((member, due)) = self.next(seen.as_ref(), what, &asked, first_seq) else { return Ok(None) };
            let now = self.app.clock.now();
            let put = match &seen {
                Some(seen) => {
                    let due = (due == Due::Effects).then_some(now);
                    store.member_change(self.id, user, seen.version, &member, due).await?
                }
                None if due == Due::Effects => store.member_create(self.id, user, &member, now).await?,
                None => store.member_create(self.id, user, &member, now.after(TOMBSTONE_LIFE)).await?,
            };
            if let MemberPut::Here = put {
                let was_due = seen.is_some_and(|seen| !seen.is_settled());
                let moves = matches!(what, What::Add | What::Remove) || was_due;
                return Ok((due == Due::Effects).then(|| Changed { user: user.clone(), member, moves }));
            }
        }
        Err(contended("a membership").into())
    }

    /// What a membership becomes, and what is due then; nothing, where it stays as it is. What is so already remembers the request, if
    /// that may be repeated: else its late repeat would undo what came after.
    fn next(&self, seen: Option<&Member>, what: What, asked: &Asked, first_seq: Seq) -> Option<(Member, Due)> {
        let now = self.app.clock.now();
        let by = self.caller.user.clone();
        // Above any version that there was before a tombstone has gone.
        let nobody = || Member {
            version: now.ms.unsigned_abs(),
            role: Role::Member,
            first_seq,
            since: now,
            by: by.clone(),
            left_at: Some(now),
            requests: Requests::default(),
            listed: None,
        };
        let before = seen.cloned().unwrap_or_else(nobody);
        let next = Member { version: before.version + 1, requests: before.requests.with(asked), ..before.clone() };
        let is_in = before.is_in();
        Some(match what {
            What::Add if !is_in => {
                (Member { role: Role::Member, first_seq, since: now, by, left_at: None, ..next }, Due::Effects)
            }
            What::Remove if is_in => (Member { role: Role::Member, by, left_at: Some(now), ..next }, Due::Effects),
            What::Appoint if is_in && !before.is_admin() => (Member { role: Role::Admin, by, ..next }, Due::Effects),
            What::Dismiss if before.is_admin() => (Member { role: Role::Member, by, ..next }, Due::Effects),
            What::Appoint | What::Dismiss if !is_in => return None,
            _ if self.is_named => (next, Due::Nothing),
            _ => return None,
        })
    }
}

/// What follows from a change of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Its effects.
    Effects,
    /// Nothing: what was due stays due.
    Nothing,
}
