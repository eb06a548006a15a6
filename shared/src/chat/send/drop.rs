//! Step 6: drop. Finished sends leave the ACCOUNT, many at once and off the answer's way; void ones give their price back.

use std::collections::HashMap;

use wire::{ClientMessageId, Coins, SendId, UserId};

use crate::app::App;
use crate::error::Error;
use crate::store::accounts::{Account, Dropped, OpenSend};
use crate::store::receipts::Receipt;

/// What has become of the open sends that an ACCOUNT read shows.
#[derive(Debug)]
pub struct Ends {
    epoch: u64,
    /// Those that have ended.
    finished: Vec<SendId>,
    /// What the void ones among them had cost.
    refund: Coins,
    /// Whether there are void ones, which may have cost nothing.
    has_void: bool,
    /// The others.
    pub under_way: Vec<(SendId, OpenSend)>,
}

impl Ends {
    /// Looks for their RECEIPTs: after ACCOUNT, so a drop of what has one holds only for this ACCOUNT's epoch.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of(app: &App, sender: &UserId, account: &Account) -> Result<Self, Error> {
        let receipts = app.store.receipts(sender, account.open.values().map(|send| &send.client_message_id)).await?;
        let receipts: HashMap<ClientMessageId, Receipt> =
            receipts.into_iter().map(|receipt| (receipt.client_message_id.clone(), receipt)).collect();
        let (epoch, refund) = (account.epoch, Coins(0));
        let mut ends = Self { epoch, finished: Vec::new(), refund, has_void: false, under_way: Vec::new() };
        for (id, send) in &account.open {
            let Some(receipt) = receipts.get(&send.client_message_id) else {
                ends.under_way.push((id.clone(), send.clone()));
                continue;
            };
            if receipt.void {
                // The price of this very ACCOUNT read: what was taken is what is given back.
                let refund = ends.refund.checked_add(send.price);
                ends.refund = refund.ok_or_else(|| Error::Internal("coins overflow".to_owned()))?;
                ends.has_void = true;
            }
            ends.finished.push(id.clone());
        }
        Ok(ends)
    }

    /// Whether all of them have become messages.
    pub fn is_all_well(&self) -> bool {
        self.under_way.is_empty() && !self.has_void
    }

    /// Drops what has ended. Says how many that are.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn drop(&self, app: &App, sender: &UserId) -> Result<usize, Error> {
        if !self.finished.is_empty() {
            // A lost race means that another has dropped; its look is as good as ours.
            app.store.account_drop(sender, self.epoch, &self.finished, self.refund).await?;
        }
        Ok(self.finished.len())
    }

    /// Drops what has ended, and takes the account out of the index in the same write, where nothing else is open.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn drop_and_unlist(&self, app: &App, sender: &UserId) -> Result<(), Error> {
        if !self.under_way.is_empty() || self.finished.is_empty() {
            return self.drop(app, sender).await.map(drop);
        }
        match app.store.account_drop_all(sender, self.epoch, &self.finished, self.refund).await? {
            Dropped::Here | Dropped::ByAnother => Ok(()),
            // Another send was claimed: it needs the place.
            Dropped::NotAll => self.drop(app, sender).await.map(drop),
        }
    }
}

/// Drops a user's finished sends. Says how many these are; none: every open send is still under way.
///
/// # Errors
/// Those of the store.
pub async fn drop_finished(app: &App, sender: &UserId) -> Result<usize, Error> {
    let account = app.store.account(sender).await?;
    Ends::of(app, sender, &account).await?.drop(app, sender).await
}
