//! Steps 4 and 5: push and effects, in parallel; then the RECEIPT. Each may be repeated by anybody.

use std::collections::BTreeSet;

use futures::future::{join, try_join, try_join_all, try_join3};
use wire::{Coins, Event, Message, Seq, TransactionKind, UserId};

use super::Decided;
use crate::app::App;
use crate::auth::Caller;
use crate::chat::marks::{Moved, mark};
use crate::chat::participants::{Participant, participants, users};
use crate::error::Error;
use crate::queue::Delivery;
use crate::store::inbox::{Arrival, Horizon, Told};
use crate::store::ledger::{Entry, Split};
use crate::store::presence::Connected;
use crate::store::{Read, StoreError};
use crate::telemetry;

/// Does everything that follows from a published message, and then says so in the RECEIPT.
///
/// CONNECTED is where a look saw the participants; whoever has connected since, or was about to, is told after the inboxes
/// are. ANSWERED is whose connection gets the answer instead.
///
/// # Errors
/// Those of the store; whoever looks next finds the send open, and repeats this.
pub async fn finish(
    app: &App,
    decided: &Decided,
    message: &Message,
    connected: &[Connected],
    answered: Option<&Caller>,
) -> Result<(), Error> {
    let now = app.clock.now();
    let told: Vec<Connected> =
        connected.iter().filter(|to| !is_answered(to, answered) && to.is_settled(now)).cloned().collect();
    let ((), written) = join(
        push(app, message, &told),
        try_join3(entries(app, decided), relist(app, decided), deliver(app, decided, message, &told, answered)),
    )
    .await;
    written?;
    // Last: where a RECEIPT is, everything is done.
    app.store.receipt_put(&decided.sender, &decided.receipt(message.seq, false)).await?;
    app.memory.ended(decided.id.clone());
    Ok(())
}

/// Says in the RECEIPT that the send was given up. No other effect; the drop refunds.
///
/// # Errors
/// Those of the store.
pub async fn give_up(app: &App, decided: &Decided, seq: Seq) -> Result<(), Error> {
    Ok(app.store.receipt_put(&decided.sender, &decided.receipt(seq, true)).await?)
}

/// Tells the inboxes, or TAIL, and then whoever wasn't TOLD at the look: a client that connects and syncs has either seen the inbox
/// as it is now, or is in presence as it is now. Of a group those are told who are members after TAIL has moved, and may see it.
async fn deliver(
    app: &App,
    decided: &Decided,
    message: &Message,
    told: &[Connected],
    answered: Option<&Caller>,
) -> Result<(), StoreError> {
    let meta = &decided.meta;
    let moved = meta.who.inboxes_moved();
    if moved.is_empty() {
        app.store.tail_forward(&meta.id, message.seq, decided.send.claimed_at).await?;
    }
    try_join_all(moved.into_iter().map(|(user, peer)| arrive(app, decided, user, peer, message.seq))).await?;
    let mut participants = participants(app, &meta.id, meta.who.named()).await?;
    participants.retain(|it| it.first_seq <= message.seq);
    let late = async {
        let told: BTreeSet<&Connected> = told.iter().collect();
        let there = app.store.connected(&users(&participants), app.clock.now(), Read::Strong).await?;
        let late: Vec<Connected> =
            there.into_iter().filter(|to| !told.contains(to) && !is_answered(to, answered)).collect();
        push(app, message, &late).await;
        Ok(())
    };
    try_join(has_read(app, decided, &participants, message.seq), late).await.map(drop)
}

/// Who writes has read: moves the sender's own horizons in a group. In a direct conversation the inbox was told so.
async fn has_read(app: &App, decided: &Decided, participants: &[Participant], seq: Seq) -> Result<(), StoreError> {
    let (meta, sender) = (&decided.meta, &decided.sender);
    let joined = participants.iter().find(|it| it.user == *sender).and_then(|it| it.joined);
    // Who has gone meanwhile has no horizons there.
    let Some(joined) = joined else { return Ok(()) };
    let first_seq = Some(joined.first_seq);
    if let Moved::NoInbox = mark(&app.store, sender, &meta.id, Horizon::Read, seq, first_seq).await? {
        // What tells the inbox of this membership has stopped, or isn't done yet; or there is another membership by now.
        app.store.inbox_join(sender, &meta.id, joined, app.clock.now()).await?;
        mark(&app.store, sender, &meta.id, Horizon::Read, seq, first_seq).await?;
    }
    Ok(())
}

/// Whether a connection gets the answer instead.
fn is_answered(to: &Connected, answered: Option<&Caller>) -> bool {
    answered.is_some_and(|caller| caller.connection == to.connection)
}

/// Pushes a message, and leaves to the queue what fails: before the RECEIPT, so that a death in between leaves it to the
/// sweep.
async fn push(app: &App, message: &Message, to: &[Connected]) {
    let event = Event::MessageNew { message: message.clone() };
    let failed = app.push.to_all_or_later(&app.store, app.clock.now(), to, &event).await;
    let delivery = |to: Connected| Delivery {
        user: to.user,
        connection: to.connection,
        conversation: message.conversation_id.clone(),
        seq: message.seq,
        mark: None,
        correlation_id: telemetry::correlation_id(),
    };
    app.queue.later(&failed.into_iter().map(delivery).collect::<Vec<_>>()).await;
}

/// Has the cleanup look at the conversation again, when it had found nothing more to do there.
async fn relist(app: &App, decided: &Decided) -> Result<(), StoreError> {
    if !decided.meta.idle {
        return Ok(());
    }
    app.store.conversation_relist(&decided.meta.id, decided.send.claimed_at).await
}

/// Tells one participant's inbox.
async fn arrive(app: &App, decided: &Decided, user: &UserId, peer: &UserId, seq: Seq) -> Result<(), StoreError> {
    let arrival = Arrival { conversation: &decided.meta.id, seq, at: decided.send.claimed_at, peer: peer.clone() };
    if *user != decided.sender {
        return app.store.inbox_receive(user, &arrival).await;
    }
    if app.store.inbox_sent(user, &arrival).await? == Told::LaterCame {
        mark(&app.store, user, arrival.conversation, Horizon::Read, seq, None).await?;
    }
    Ok(())
}

/// Writes the ledger: what the sender paid, what the receiver and the house earned, as recorded when it was decided.
async fn entries(app: &App, decided: &Decided) -> Result<(), StoreError> {
    let send = &decided.send;
    if send.price == Coins(0) {
        return Ok(());
    }
    let receiver = decided.meta.who.paid_by(&decided.sender);
    let receiver = &receiver.ok_or_else(|| StoreError::broken("a price that nobody is paid"))?;
    let signed = |coins: Coins| i64::try_from(coins.0).map_err(|_| StoreError::broken("coins overflow"));
    let (price, earning) = (signed(send.price)?, signed(send.earning)?);
    let mut lines = vec![(&decided.sender, "charge", TransactionKind::Charge, -price, receiver)];
    if earning > 0 {
        lines.push((receiver, "earn", TransactionKind::Earning, earning, &decided.sender));
    }
    if let Some(house) = &send.house {
        lines.push((house, "share", TransactionKind::Share, price - earning, &decided.sender));
    }
    let lines = lines.into_iter().map(|(user, name, kind, amount, counterparty)| async move {
        let split = Split { earned: send.earning, house: send.house.clone() };
        let entry = Entry {
            kind,
            amount,
            split: (kind == TransactionKind::Charge).then_some(split),
            conversation: Some(send.conversation.clone()),
            counterparty: Some(counterparty.clone()),
            created_at: send.claimed_at,
        };
        app.store.entry_put(user, &format!("{name}#{}", decided.id.as_str()), &entry).await
    });
    try_join_all(lines).await.map(drop)
}
