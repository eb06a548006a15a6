//! Step 1: look. What the decision rests on, in one round trip where ACCOUNT tells that the send was never claimed and the receiver
//! is known; else in two.
//!
//! The order matters: RECEIPT is read after ACCOUNT has answered. Whoever sees neither an open entry nor a RECEIPT has
//! seen an epoch that any drop in between has changed, and the claim with it fails. It needn't be read where ACCOUNT itself tells
//! that the send was never claimed: its id is above all that were dropped, and it isn't open.

use futures::future::{OptionFuture, try_join, try_join3, try_join5};
use wire::{Coins, Seq, UserId};

use super::Attempt;
use crate::app::App;
use crate::chat::conversation::{find, member, price, remember};
use crate::error::Error;
use crate::store::Read;
use crate::store::accounts::{Account, ClaimBy};
use crate::store::conversations::{Meta, Who};
use crate::store::members::Member;
use crate::store::presence::Connected;
use crate::store::receipts::Receipt;

/// What a look saw.
#[derive(Debug)]
pub struct Look {
    /// The sender's account, with its epoch.
    pub account: Account,
    /// What tells that the send was never claimed before, if there is no RECEIPT and it isn't open.
    pub by: ClaimBy,
    /// The highest number of the log, read before the claim: the message's number will be above it.
    pub base: Seq,
    /// The conversation, if there is one.
    pub meta: Option<Meta>,
    /// The sender's membership, where it is a group and there is one.
    pub member: Option<Member>,
    /// The end of this send, if it has one; read after the account, and only if the claim is by epoch.
    pub receipt: Option<Receipt>,
    /// What the message costs.
    pub price: Coins,
    /// Where the participants are connected, the sender too, as far as they are told before anything else is done.
    pub connected: Vec<Connected>,
    /// Whether a block keeps the sender from writing there: read strongly, so each that was answered before the look is seen.
    pub blocked: bool,
}

/// What a look sees around the conversation, once it knows who is in it.
type Around = (Coins, Vec<Connected>, bool);

impl Look {
    /// Whether the send was still unclaimed when ACCOUNT was as it is THERE, where it isn't open.
    pub fn is_unclaimed(&self, attempt: &Attempt, there: &Account) -> bool {
        match self.by {
            ClaimBy::Epoch(epoch) => there.epoch == epoch,
            ClaimBy::Id => there.tells_that_unclaimed(&attempt.id, &attempt.client_message_id),
        }
    }
}

/// Looks.
///
/// # Errors
/// Those of the store.
pub async fn look(app: &App, attempt: &Attempt) -> Result<Look, Error> {
    let store = &app.store;
    let expected = expected(app, attempt);
    let (account, base, meta, member, early) = try_join5(
        async { Ok(store.account(&attempt.sender).await?) },
        async { Ok(store.log_tail(&attempt.conversation, Read::Strong).await?) },
        find(app, &attempt.conversation, &attempt.sender),
        member(app, &attempt.conversation, &attempt.sender),
        async { OptionFuture::from(expected.as_ref().map(|who| around(app, attempt, Some(who)))).await.transpose() },
    )
    .await?;
    if let Some(meta) = &meta {
        remember(app, meta);
    }
    let who = who(attempt, meta.as_ref());
    let early = early.filter(|_| expected.zip(who.as_ref()).is_some_and(|(expected, who)| expected.is_same(who)));
    let by = match account.tells_that_unclaimed(&attempt.id, &attempt.client_message_id) {
        true => ClaimBy::Id,
        false => ClaimBy::Epoch(account.epoch),
    };
    let receipt = async {
        match by {
            ClaimBy::Id => Ok(None),
            ClaimBy::Epoch(_) => Ok(store.receipt(&attempt.sender, &attempt.client_message_id).await?),
        }
    };
    let around = async {
        match early {
            Some(early) => Ok(early),
            None => around(app, attempt, who.as_ref()).await,
        }
    };
    let (receipt, (price, connected, blocked)) = try_join(receipt, around).await?;
    Ok(Look { account, by, base, meta, member, receipt, price, connected, blocked })
}

/// What the message costs, where these people are connected, and whether a block stands between them.
async fn around(app: &App, attempt: &Attempt, who: Option<&Who>) -> Result<Around, Error> {
    let paid = who.and_then(|who| who.paid_by(&attempt.sender));
    let members = who.map_or(&[][..], Who::told_at_look);
    let connected = app.store.connected(members, app.clock.now(), Read::Eventual);
    let side = who.and_then(|who| who.side_of(&attempt.sender, None));
    let blocks = side.map(|side| side.blocks_between(&attempt.sender)).unwrap_or_default();
    let blocks = app.store.blocks_that_hold(&blocks, Read::Strong);
    let (prices, connected, blocks) = try_join3(app.store.profile_prices(paid.as_slice()), connected, blocks).await?;
    // Nobody is charged another price because theirs can't be read.
    let set = prices.all()?.into_iter().find_map(|(_, price)| price);
    Ok((price(app, paid.as_ref(), set), connected, !blocks.is_empty()))
}

/// Who will turn out to be in the conversation, before META has answered: named, or remembered.
fn expected(app: &App, attempt: &Attempt) -> Option<Who> {
    match &attempt.to {
        Some(to) => Some(with(attempt, to)),
        None => app.memory.who(&attempt.conversation).filter(|who| who.can_have(&attempt.sender)),
    }
}

/// Who is in the conversation, or will be; nobody when the sender is not.
fn who(attempt: &Attempt, meta: Option<&Meta>) -> Option<Who> {
    match (meta, &attempt.to) {
        (None, to) => to.as_ref().map(|to| with(attempt, to)),
        (Some(meta), _) => Some(meta.who.clone()).filter(|who| who.can_have(&attempt.sender)),
    }
}

/// The sender and the one whom `to` names.
fn with(attempt: &Attempt, to: &UserId) -> Who {
    Who::Direct { members: [attempt.sender.clone(), to.clone()] }
}
