//! How far somebody is in a conversation: each horizon only moves forward, and to nothing that isn't there.

use futures::future::try_join;
use wire::{ConversationId, Seq, UserId};

use super::conversation::{Membership, create_inboxes};
use super::kinds::has_members;
use crate::app::App;
use crate::error::Error;
use crate::store::inbox::{Horizon, Inbox, Mark, Marked};
use crate::store::{Read, Store, StoreError};

/// What became of moving a horizon.
#[derive(Clone, Debug)]
pub enum Moved {
    /// It moved; as the inbox is now.
    Forward(Inbox),
    /// It was there already, or further.
    Stayed(Inbox),
    /// The inbox hasn't been told of that number.
    Beyond(Inbox),
    /// The user has no such conversation.
    NoInbox,
}

/// Moves a horizon forward to SEQ, where the inbox has been told of it: one write, two where the other horizon is ahead. Of a group
/// the log must have it, and `first_seq` names the membership.
///
/// # Errors
/// Those of the store.
pub async fn mark(
    store: &Store,
    user: &UserId,
    conversation: &ConversationId,
    horizon: Horizon,
    seq: Seq,
    first_seq: Option<Seq>,
) -> Result<Moved, StoreError> {
    let marks: &[Mark] = match horizon {
        Horizon::Delivered => &[Mark::Delivered],
        Horizon::Read => &[Mark::Read, Mark::ReadBehindDelivered],
    };
    let mut moved = Moved::NoInbox;
    for mark in marks {
        let inbox = match store.inbox_mark(user, conversation, *mark, seq, first_seq).await? {
            Marked::Here(inbox) => return Ok(Moved::Forward(inbox)),
            Marked::NoInbox => return Ok(Moved::NoInbox),
            Marked::Refused(inbox) => inbox,
        };
        if first_seq.is_some_and(|first_seq| inbox.is_left() || inbox.side.first_seq() != first_seq) {
            return Ok(Moved::NoInbox);
        }
        if first_seq.is_none() && seq > inbox.last_seq {
            return Ok(Moved::Beyond(inbox));
        }
        let behind = horizon == Horizon::Read && inbox.read_seq < seq;
        moved = Moved::Stayed(inbox);
        if !behind {
            break;
        }
    }
    Ok(moved)
}

/// The same for a number that a client knows, up to the highest of the log: whom a push has told may be faster than the write
/// that makes the inbox, or that tells it. Gives the number up to which it was, too.
///
/// # Errors
/// [`Error::NotAParticipant`]; those of the store.
pub async fn mark_as_told(
    app: &App,
    user: &UserId,
    conversation: &ConversationId,
    horizon: Horizon,
    seq: Seq,
) -> Result<(Moved, Seq), Error> {
    match has_members(conversation) {
        true => mark_in_group(app, user, conversation, horizon, seq).await,
        false => mark_in_direct(app, user, conversation, horizon, seq).await,
    }
}

async fn mark_in_direct(
    app: &App,
    user: &UserId,
    conversation: &ConversationId,
    horizon: Horizon,
    mut seq: Seq,
) -> Result<(Moved, Seq), Error> {
    let again = async |seq| mark(&app.store, user, conversation, horizon, seq, None).await;
    let mut moved = again(seq).await?;
    if let Moved::NoInbox = moved {
        // META knows who is in it.
        let membership = Membership::find(app, conversation, user).await?;
        create_inboxes(app, &membership).await?;
        moved = again(seq).await?;
    }
    if let Moved::Beyond(inbox) = &moved {
        // The log knows.
        seq = seq.min(app.store.log_tail(conversation, Read::Strong).await?);
        if seq > inbox.last_seq {
            app.store.inbox_raise_last(user, conversation, seq, app.clock.now()).await?;
        }
        moved = again(seq).await?;
    }
    Ok((moved, seq))
}

/// MEMBER knows whether the user is in, TAIL up to where the log goes, and the log itself where that is behind.
async fn mark_in_group(
    app: &App,
    user: &UserId,
    conversation: &ConversationId,
    horizon: Horizon,
    mut seq: Seq,
) -> Result<(Moved, Seq), Error> {
    let mut moved = Moved::NoInbox;
    // Twice: the user may have gone and come back since MEMBER was read.
    for _ in 0..2 {
        let membership = Membership::find(app, conversation, user);
        let tail = async { Ok(app.store.tail(conversation, Read::Strong).await?) };
        let (membership, tail) = try_join(membership, tail).await?;
        if seq > tail.last_seq {
            seq = seq.min(app.store.log_tail(conversation, Read::Strong).await?);
        }
        let first_seq = membership.side.marked_for();
        moved = mark(&app.store, user, conversation, horizon, seq, first_seq).await?;
        if let Moved::NoInbox = moved {
            // What was to tell the inbox of this membership has stopped, or isn't done yet.
            create_inboxes(app, &membership).await?;
            moved = mark(&app.store, user, conversation, horizon, seq, first_seq).await?;
        }
        if !matches!(moved, Moved::NoInbox) {
            break;
        }
    }
    Ok((moved, seq))
}
