//! How far somebody is in a conversation: each horizon only moves forward, and to nothing that isn't there.

use wire::{ConversationId, Seq, UserId};

use super::conversation::{Membership, create_inboxes};
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

/// Moves a horizon forward to SEQ, where the inbox has been told of it: one write, two where the other horizon is ahead.
///
/// # Errors
/// Those of the store.
pub async fn mark(
    store: &Store,
    user: &UserId,
    conversation: &ConversationId,
    horizon: Horizon,
    seq: Seq,
) -> Result<Moved, StoreError> {
    let marks: &[Mark] = match horizon {
        Horizon::Delivered => &[Mark::Delivered],
        Horizon::Read => &[Mark::Read, Mark::ReadBehindDelivered],
    };
    let mut moved = Moved::NoInbox;
    for mark in marks {
        let inbox = match store.inbox_mark(user, conversation, *mark, seq).await? {
            Marked::Here(inbox) => return Ok(Moved::Forward(inbox)),
            Marked::NoInbox => return Ok(Moved::NoInbox),
            Marked::Refused(inbox) => inbox,
        };
        if seq > inbox.last_seq {
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
    mut seq: Seq,
) -> Result<(Moved, Seq), Error> {
    let again = async |seq| mark(&app.store, user, conversation, horizon, seq).await;
    let mut moved = again(seq).await?;
    if let Moved::NoInbox = moved {
        // META knows who is in it.
        create_inboxes(app, &Membership::find(app, conversation, user).await?.meta).await?;
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
