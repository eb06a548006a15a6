//! Step 3: publish. One conditional write puts the message, or its void, into the first free slot of the log.
//!
//! Message and void of one send compete for the same thing through this same step, and every executor starts above the
//! recorded base: so a send holds exactly one slot, and the log has no holes.

use wire::Seq;

use super::Decided;
use crate::app::App;
use crate::error::Error;
use crate::limits::WALK_SLOTS_MAX;
use crate::store::log::{LogItem, Published, Slot};
use crate::store::receipts::Receipt;

/// Where a send has ended up.
#[derive(Debug)]
pub enum Placed {
    /// As a message, with this number.
    Message(Seq),
    /// As a void, with this number: it was given up.
    Void(Seq),
    /// It had ended before; the slot may be in the archive by now.
    Finished(Receipt),
}

/// Puts ITEM where it belongs, or finds where this send already is.
///
/// # Errors
/// [`Error::Unavailable`] when the walk is too long for one invocation; those of the store.
pub async fn publish(app: &App, decided: &Decided, item: &LogItem) -> Result<Placed, Error> {
    let first = decided.meta.first_seq;
    let mut next = decided.send.base.next();
    if first > next {
        // The archive has taken slots above our base: ours may be among them. META was read before this.
        let receipt = app.store.receipt(&decided.sender, &decided.send.client_message_id).await?;
        if let Some(receipt) = receipt {
            return Ok(Placed::Finished(receipt));
        }
        next = first;
    }
    let end = Seq(next.0.saturating_add(WALK_SLOTS_MAX));
    while next < end {
        match app.store.log_publish(&decided.meta.id, next, item).await? {
            Published::Here => return Ok(placed(next, item.void)),
            Published::Taken(slot) if slot.sid == decided.id => return Ok(placed(next, slot.void)),
            Published::Taken(_) => {}
        }
        let slots = app.store.log_slots(&decided.meta.id, next.next()).await?;
        if let Some((seq, slot)) = slots.iter().find(|(_, slot)| slot.sid == decided.id) {
            return Ok(placed(*seq, slot.void));
        }
        next = first_missing(next.next(), &slots);
    }
    // Everything below `next` was seen as another's: the next attempt starts there.
    app.store.account_raise_base(&decided.sender, &decided.id, Seq(next.0 - 1)).await?;
    Err(Error::Unavailable("the conversation is too busy to find a slot in one go".to_owned()))
}

/// The first number from FROM on that an answer lacks; not its highest + 1, as a query is no snapshot.
fn first_missing(from: Seq, slots: &[(Seq, Slot)]) -> Seq {
    let mut next = from;
    for (seq, _) in slots {
        if *seq != next {
            break;
        }
        next = next.next();
    }
    next
}

fn placed(seq: Seq, void: bool) -> Placed {
    if void { Placed::Void(seq) } else { Placed::Message(seq) }
}
