//! Step 6: drop. Finished sends leave the ACCOUNT, many at once and off the answer's way; void ones give their price back.

use std::collections::HashMap;

use wire::{ClientMessageId, Coins, UserId};

use crate::app::App;
use crate::error::Error;
use crate::store::receipts::Receipt;

/// Drops a user's finished sends; says how many were seen as finished. None: every open send is still under way.
///
/// # Errors
/// Those of the store.
pub async fn drop_finished(app: &App, sender: &UserId) -> Result<usize, Error> {
    // RECEIPTs are read after ACCOUNT, and the write holds only for this ACCOUNT's epoch.
    let account = app.store.account(sender).await?;
    let receipts = app.store.receipts(sender, account.open.values().map(|send| &send.client_message_id)).await?;
    let receipts: HashMap<ClientMessageId, Receipt> =
        receipts.into_iter().map(|receipt| (receipt.client_message_id.clone(), receipt)).collect();
    let mut refund = Coins(0);
    let mut finished = Vec::new();
    for (id, send) in &account.open {
        let Some(receipt) = receipts.get(&send.client_message_id) else { continue };
        if receipt.void {
            // The price of this very ACCOUNT read: what was taken is what is given back.
            refund = refund.checked_add(send.price).ok_or_else(|| Error::Internal("coins overflow".to_owned()))?;
        }
        finished.push(id.clone());
    }
    if !finished.is_empty() {
        // A lost race means that another has dropped; its look is as good as ours.
        app.store.account_drop(sender, account.epoch, &finished, refund).await?;
    }
    Ok(finished.len())
}
