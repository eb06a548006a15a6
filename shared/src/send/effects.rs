//! Steps 4 and 5: push and effects, in parallel; then the RECEIPT. Each may be repeated by anybody.

use std::collections::BTreeSet;

use futures::future::{join, try_join, try_join_all};

use super::Decided;
use crate::app::App;
use crate::error::Error;
use crate::protocol::{Coins, ConnectionId, Event, Message, Seq, TransactionKind, UserId};
use crate::store::StoreError;
use crate::store::inbox::Arrival;
use crate::store::ledger::Entry;
use crate::store::presence::Connected;
use crate::store::table::Read;

/// Does everything that follows from a published message, and then says so in the RECEIPT.
///
/// CONNECTED is where a look saw the participants; whoever has connected since, or was about to, is told after the inboxes
/// are. ANSWERED is the connection that gets the answer instead.
///
/// # Errors
/// Those of the store; whoever looks next finds the send open, and repeats this.
pub async fn finish(
    app: &App,
    decided: &Decided,
    message: &Message,
    connected: &[Connected],
    answered: Option<&ConnectionId>,
) -> Result<(), Error> {
    let event = Event::MessageNew { message: message.clone() };
    let now = app.clock.now();
    let told = connected.iter().filter(|to| Some(&to.connection) != answered && to.is_settled(now));
    let told: Vec<Connected> = told.cloned().collect();
    let ((), written) = join(
        app.push.to_all(&app.store, now, &told, &event),
        try_join(entries(app, decided), deliver(app, decided, message.seq, &event, &told, answered)),
    )
    .await;
    written?;
    // Last: where a RECEIPT is, everything is done.
    Ok(app.store.receipt_put(&decided.sender, &decided.receipt(message.seq, false)).await?)
}

/// Says in the RECEIPT that the send was given up. No other effect; the drop refunds.
///
/// # Errors
/// Those of the store.
pub async fn give_up(app: &App, decided: &Decided, seq: Seq) -> Result<(), Error> {
    Ok(app.store.receipt_put(&decided.sender, &decided.receipt(seq, true)).await?)
}

/// Tells the inboxes, and then whoever wasn't TOLD at the look: a client that connects and syncs has either seen the inbox
/// as it is now, or is in presence as it is now.
async fn deliver(
    app: &App,
    decided: &Decided,
    seq: Seq,
    event: &Event,
    told: &[Connected],
    answered: Option<&ConnectionId>,
) -> Result<(), StoreError> {
    let members = &decided.meta.members;
    try_join_all(members.iter().map(|user| arrive(app, decided, user, seq))).await?;
    let told: BTreeSet<&Connected> = told.iter().collect();
    let now = app.clock.now();
    let there = app.store.connected(members, now, Read::Strong).await?;
    let late: Vec<Connected> =
        there.into_iter().filter(|to| !told.contains(to) && Some(&to.connection) != answered).collect();
    app.push.to_all(&app.store, now, &late, event).await;
    Ok(())
}

/// Tells one participant's inbox.
async fn arrive(app: &App, decided: &Decided, user: &UserId, seq: Seq) -> Result<(), StoreError> {
    let peer = decided.other_than(user)?;
    let arrival = Arrival { conversation: &decided.meta.id, seq, at: decided.send.claimed_at, peer };
    if *user == decided.sender {
        app.store.inbox_sent(user, &arrival).await
    } else {
        app.store.inbox_receive(user, &arrival).await
    }
}

/// Writes the ledger: what the sender paid, what the receiver and the house earned, as recorded when it was decided.
async fn entries(app: &App, decided: &Decided) -> Result<(), StoreError> {
    let send = &decided.send;
    if send.price == Coins(0) {
        return Ok(());
    }
    let receiver = decided.other_than(&decided.sender)?;
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
        let entry = Entry {
            kind,
            amount,
            conversation: Some(send.conversation.clone()),
            counterparty: Some(counterparty.clone()),
            created_at: send.claimed_at,
        };
        app.store.entry_put(user, &format!("{name}#{}", decided.id.as_str()), &entry).await
    });
    try_join_all(lines).await.map(drop)
}
