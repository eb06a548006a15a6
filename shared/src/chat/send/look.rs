//! Step 1: look. What the decision rests on, in two round trips.
//!
//! The order matters: RECEIPT is read after ACCOUNT has answered. Whoever sees neither an open entry nor a RECEIPT has
//! seen an epoch that any drop in between has changed, and the claim with it fails.

use futures::future::{try_join, try_join3};
use wire::{Coins, Seq, UserId};

use super::Attempt;
use crate::app::App;
use crate::chat::conversation::{Membership, find};
use crate::error::Error;
use crate::store::Read;
use crate::store::accounts::Account;
use crate::store::conversations::Meta;
use crate::store::presence::Connected;
use crate::store::receipts::Receipt;

/// What a look saw.
#[derive(Debug)]
pub struct Look {
    /// The sender's account, with its epoch.
    pub account: Account,
    /// The highest number of the log, read before the claim: the message's number will be above it.
    pub base: Seq,
    /// The conversation, if there is one.
    pub meta: Option<Meta>,
    /// The end of this send, if it has one; read after the account.
    pub receipt: Option<Receipt>,
    /// What the message costs.
    pub price: Coins,
    /// Where the participants are connected, the sender too.
    pub connected: Vec<Connected>,
}

/// Looks.
///
/// # Errors
/// Those of the store.
pub async fn look(app: &App, attempt: &Attempt) -> Result<Look, Error> {
    let store = &app.store;
    let (account, base, meta) = try_join3(
        async { Ok(store.account(&attempt.sender).await?) },
        async { Ok(store.log_tail(&attempt.conversation, Read::Strong).await?) },
        find(app, &attempt.conversation, &attempt.sender),
    )
    .await?;
    let people = people(attempt, meta.as_ref());
    let others: Vec<UserId> = people.iter().filter(|user| **user != attempt.sender).cloned().collect();
    let (receipt, (prices, connected)) = try_join(
        store.receipt(&attempt.sender, &attempt.client_message_id),
        try_join(store.profile_prices(&others), store.connected(&people, app.clock.now(), Read::Eventual)),
    )
    .await?;
    // Nobody is charged another price because theirs can't be read.
    let price = prices.all()?.into_iter().find_map(|(_, price)| price).unwrap_or(app.config.default_price);
    Ok(Look { account, base, meta, receipt, price, connected })
}

/// Who is in the conversation, or will be; nobody when the sender is not.
fn people(attempt: &Attempt, meta: Option<&Meta>) -> Vec<UserId> {
    match (meta, &attempt.to) {
        (None, None) => Vec::new(),
        (None, Some(to)) => vec![attempt.sender.clone(), to.clone()],
        (Some(meta), _) => {
            Membership::new(Some(meta.clone()), &attempt.sender).map(|it| it.meta.members).unwrap_or_default()
        }
    }
}
