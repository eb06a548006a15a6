//! Step 6: drop. Finished sends leave the ACCOUNT, many at once and off the answer's way; void ones give their price back.

use std::collections::HashMap;

use wire::{ClientMessageId, Coins, UserId};

use crate::app::App;
use crate::error::Error;
use crate::store::accounts::{Account, OpenSend};
use crate::store::receipts::Receipt;

/// What a drop has found.
#[derive(Debug)]
pub struct Dropped {
    /// How many sends were seen as finished. None: every open send is still under way.
    pub finished: usize,
    /// The others.
    pub left: Vec<OpenSend>,
}

/// Drops a user's finished sends.
///
/// # Errors
/// Those of the store.
pub async fn drop_finished(app: &App, sender: &UserId) -> Result<Dropped, Error> {
    let account = app.store.account(sender).await?;
    drop_finished_of(app, sender, account).await
}

/// Drops the finished of the sends that an ACCOUNT read shows.
///
/// # Errors
/// Those of the store.
pub async fn drop_finished_of(app: &App, sender: &UserId, account: Account) -> Result<Dropped, Error> {
    // RECEIPTs are read after ACCOUNT, and the write holds only for this ACCOUNT's epoch.
    let receipts = app.store.receipts(sender, account.open.values().map(|send| &send.client_message_id)).await?;
    let receipts: HashMap<ClientMessageId, Receipt> =
        receipts.into_iter().map(|receipt| (receipt.client_message_id.clone(), receipt)).collect();
    let mut refund = Coins(0);
    let (mut finished, mut left) = (Vec::new(), Vec::new());
    for (id, send) in account.open {
        let Some(receipt) = receipts.get(&send.client_message_id) else {
            left.push(send);
            continue;
        };
        if receipt.void {
            // The price of this very ACCOUNT read: what was taken is what is given back.
            refund = refund.checked_add(send.price).ok_or_else(|| Error::Internal("coins overflow".to_owned()))?;
        }
        finished.push(id);
    }
    if !finished.is_empty() {
        // A lost race means that another has dropped; its look is as good as ours.
        app.store.account_drop(sender, account.epoch, &finished, refund).await?;
    }
    Ok(Dropped { finished: finished.len(), left })
}
