//! Step 6: drop. Finished sends leave the ACCOUNT, many at once and off the answer's way; void ones give their price back.

use std::collections::HashMap;

use wire::{ClientMessageId, Coins, SendId, UserId};

use crate::app::App;
use crate::error::Error;
use crate::store::accounts::{Account, Drop, Dropped, OpenSend};
use crate::store::receipts::Receipt;

/// What has become of the open sends that an ACCOUNT read shows.
#[derive(Debug)]
pub struct Ends {
    epoch: u64,
    /// Those that have ended.
    finished: Vec<SendId>,
    /// What the void ones among them had cost.
    refund: Coins,
    /// The highest of their ids that sort by time.
    highest: Option<String>,
    /// The highest that was dropped so far, where all drops have said theirs.
    dropped_upto: Option<String>,
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
        let mut ends = Self {
            epoch: account.epoch,
            finished: Vec::new(),
            refund: Coins(0),
            highest: None,
            dropped_upto: account.tells_what_was_dropped().then(|| account.dropped_upto.clone()),
            has_void: false,
            under_way: Vec::new(),
        };
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
            ends.highest = ends.highest.max(highest_time_ordered([send].into_iter()));
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
            // A lost race means that another has dropped. What it left is the next one's, at the latest the next sweep's.
            app.store.account_drop(sender, &self.of_finished(app, sender).await?).await?;
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
        match app.store.account_drop_all(sender, &self.of_finished(app, sender).await?).await? {
            Dropped::Here | Dropped::ByAnother => Ok(()),
            // Another send was claimed: it needs the place.
            Dropped::NotAll => self.drop(app, sender).await.map(drop),
        }
    }

    /// The drop of what has ended. Up to which time-ordered id was dropped is known where all drops so far have said so; where an
    /// earlier version's hasn't, the RECEIPTs know, read after ACCOUNT: each send that was dropped by then has one. They are asked
    /// only for who has such ids.
    async fn of_finished(&self, app: &App, sender: &UserId) -> Result<Drop, Error> {
        let before = match (&self.dropped_upto, &self.highest) {
            (Some(told), _) => Some(told.clone()),
            (None, Some(_)) => Some(app.store.receipts_upto(sender).await?),
            (None, None) => None,
        };
        let upto = before.max(self.highest.clone());
        Ok(Drop { epoch: self.epoch, ids: self.finished.clone(), refund: self.refund, upto })
    }
}

/// The highest of the ids of these sends that sort by time.
pub fn highest_time_ordered<'a>(sends: impl Iterator<Item = &'a OpenSend>) -> Option<String> {
    let ids = sends.map(|send| &send.client_message_id).filter(|id| id.is_time_ordered());
    ids.map(|id| id.as_str().to_owned()).max()
}

/// Drops a user's finished sends. Says how many these are; none: every open send is still under way.
///
/// # Errors
/// Those of the store.
pub async fn drop_finished(app: &App, sender: &UserId) -> Result<usize, Error> {
    let account = app.store.account(sender).await?;
    Ends::of(app, sender, &account).await?.drop(app, sender).await
}
