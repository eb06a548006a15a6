//! A group: its members against its count, and their inboxes against their memberships; its TAIL against its log.

use std::collections::HashMap;

use wire::{Seq, UserId};

use super::super::invariants::{self, Broken, READABLE};
use super::{Check, Checked, Finding};
use crate::chat::group;
use crate::error::Error;
use crate::store::Read;
use crate::store::conversations::{Meta, Who};
use crate::store::inbox::Inbox;
use crate::store::members::Member;
use crate::store::table::Key;

impl Check<'_> {
    /// A group, whose log ends with TAIL; all up to ENDED has ended. What is under way, in a group that isn't whole, or with a
    /// membership that is listed, the sweep or the cleanup sees to.
    pub(super) async fn group(&self, checked: &mut Checked, meta: &Meta, tail: Seq, ended: Seq) -> Result<(), Error> {
        let Who::Group(before) = &meta.who else { return Ok(()) };
        let store = &self.app.store;
        let told = store.tail(&meta.id, Read::Strong).await?;
        checked.holds(Key::tail(&meta.id), invariants::tail_knows(told.last_seq, ended));
        if !before.whole {
            return Ok(());
        }
        let members = store.members(&meta.id).await?;
        let is_whole = members.skipped.is_empty();
        for key in members.skipped {
            let seen = "it is damaged, or a later version has written it".to_owned();
            checked.holds(key, Err(Broken { rule: READABLE, seen }));
        }
        let members = members.read;
        let keys: Vec<Key> = members.iter().map(|(user, _)| Key::inbox(user, &meta.id)).collect();
        let inboxes: HashMap<Key, Inbox> = store.inboxes(&keys).await?.read.into_iter().collect();
        // People write and mark meanwhile.
        let tail = tail.max(store.log_tail(&meta.id, Read::Strong).await?);
        for (user, member) in &members {
            let key = Key::inbox(user, &meta.id);
            let inbox = inboxes.get(&key);
            if let Some(inbox) = inbox {
                checked.holds(&key, invariants::horizons_are_in_order(inbox, tail));
            }
            if let Err(broken) = invariants::inbox_follows_its_membership(member, inbox) {
                self.inbox_behind(checked, meta, user, broken).await?;
            }
        }
        if !is_whole || members.iter().any(|(_, member)| !member.is_settled()) {
            return Ok(());
        }
        // An answer is no snapshot: what was counted is right if nothing has changed meanwhile.
        let Some(after) = store.conversation(&meta.id).await? else { return Ok(()) };
        if group::of(&after)?.roster == before.roster {
            let members = members.iter().map(|(_, member)| member);
            checked.holds(Key::meta(&meta.id), invariants::group_counts_its_members(before, members));
        }
        Ok(())
    }

    /// An inbox that doesn't follow its membership: unless that has changed meanwhile. The sweep tells it, once MEMBER is listed.
    async fn inbox_behind(
        &self,
        checked: &mut Checked,
        meta: &Meta,
        user: &UserId,
        broken: Broken,
    ) -> Result<(), Error> {
        let store = &self.app.store;
        let Some(member) = store.member(&meta.id, user).await?.filter(Member::is_settled) else { return Ok(()) };
        let inbox = store.inbox(user, &meta.id, Read::Strong).await?;
        if invariants::inbox_follows_its_membership(&member, inbox.as_ref()).is_ok() {
            return Ok(());
        }
        let mut finding = Finding::new(Key::inbox(user, &meta.id), broken);
        finding.repair = Some("put its membership into the index");
        if self.repair {
            store.member_list(&meta.id, user, &member, self.now).await?;
            finding.mended = true;
        }
        checked.findings.push(finding);
        Ok(())
    }
}
