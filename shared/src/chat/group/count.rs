//! How many are in a group, and that one of them is an admin: counted, never added to, so that no repeat counts anybody twice.

use wire::{ConversationId, Role, UserId};

use super::{contended, wait};
use crate::app::App;
use crate::error::Error;
use crate::limits::CHANGES_MAX;
use crate::store::members::{Member, MemberPut};

/// What counting has found.
#[derive(Debug)]
pub struct Counted {
    /// How many are in it.
    pub count: usize,
    /// Whom it has made an admin, as there was none.
    pub promoted: Vec<UserId>,
    /// Who its admins are.
    pub admins: Vec<UserId>,
}

/// Counts the members of a group and says so in META, **if** its roster is the one read before they were counted: whoever loses
/// counts again, so the last one is right. Who finds no admin twice makes the one who is there longest one, and counts again: two
/// who leave at the same moment each saw the other.
///
/// # Errors
/// Those of the store.
pub async fn count(app: &App, id: &ConversationId) -> Result<Counted, Error> {
    let mut promoted = Vec::new();
    let mut lacked = false;
    for attempt in 0..CHANGES_MAX {
        wait(attempt).await;
        let meta = app.store.conversation(id).await?.ok_or(Error::NotAParticipant)?;
        let roster = super::of(&meta)?.roster;
        let members = app.store.members(id).await?.all()?;
        let members: Vec<&(UserId, Member)> = members.iter().filter(|(_, member)| member.is_in()).collect();
        let admins: Vec<UserId> =
            members.iter().filter(|(_, member)| member.is_admin()).map(|(user, _)| user.clone()).collect();
        let oldest = members.iter().min_by_key(|(user, member)| (member.first_seq, member.since, user));
        match oldest {
            // An answer is no snapshot: somebody may have been appointed behind it before somebody ahead stepped down.
            Some(_) if admins.is_empty() && !lacked => lacked = true,
            Some((user, member)) if admins.is_empty() => {
                if promote(app, id, user, member).await? {
                    promoted.push(user.clone());
                }
            }
            _ => {
                lacked = false;
                if app.store.group_count(id, roster, members.len()).await? {
                    return Ok(Counted { count: members.len(), promoted, admins });
                }
            }
        }
    }
    Err(contended("who is in a group").into())
}

/// Makes a member an admin, **if** the membership is the one that was counted.
async fn promote(app: &App, id: &ConversationId, user: &UserId, seen: &Member) -> Result<bool, Error> {
    let member = Member { version: seen.version + 1, role: Role::Admin, ..seen.clone() };
    // Nothing follows for the member's inbox but a version; what is due stays due.
    let put = app.store.member_change(id, user, seen.version, &member, None).await?;
    Ok(matches!(put, MemberPut::Here))
}
