//! Step 2: decide. One conditional write on the sender's ACCOUNT takes the price and records the send.

use wire::{Coins, SendId, Seq, Time, UserId};

use super::drop::{drop_finished, highest_time_ordered};
use super::look::{Look, look};
use super::{Attempt, Decided};
use crate::app::App;
use crate::chat::conversation::{Membership, create_direct, remember};
use crate::chat::settle::settle_before_refusing;
use crate::error::Error;
use crate::limits::{CLAIMS_PER_LOOK_MAX, DROP_BATCH, LOOKS_MAX, OPEN_MAX};
use crate::store::accounts::{Account, Claim, ClaimBy, Claimed, OpenSend, Rate};
use crate::store::conversations::Meta;
use crate::store::presence::Connected;
use crate::store::receipts::Receipt;

/// What was decided about an attempt.
#[derive(Debug)]
pub enum Decision {
    /// The send has ended before: this is its end.
    Finished(Receipt),
    /// The send is open, by this attempt or another.
    Open(Box<Opened>),
}

/// An open send, and what is known around it.
#[derive(Debug)]
pub struct Opened {
    /// The send.
    pub decided: Decided,
    /// Whether this attempt made the decision; the sender's account right after it.
    pub claimed: Option<Account>,
    /// Where the participants were connected at the look.
    pub connected: Vec<Connected>,
}

impl Opened {
    /// Whether it is this attempt's turn to drop what is finished.
    pub fn drops(&self) -> bool {
        self.claimed.as_ref().is_some_and(|account| account.open.len().is_multiple_of(DROP_BATCH))
    }
}

/// What became of claiming with one look.
enum Outcome {
    /// Decided.
    Done(Decision),
    /// There was a drop: what the look saw may have ended since.
    LookAgain,
}

/// Decides about an attempt. `trace_id` names this invocation, should a conversation have to be made.
///
/// # Errors
/// Every reason to refuse a message; [`Error::Unavailable`] when drops keep getting in between.
pub async fn decide(app: &App, attempt: &Attempt, trace_id: &str) -> Result<Decision, Error> {
    for _ in 0..LOOKS_MAX {
        let look = look(app, attempt).await?;
        // In this order: ended, under way, and only then whether it may be.
        if let Some(receipt) = look.receipt {
            return finished(app, attempt, receipt);
        }
        if let Some(open) = look.account.open.get(&attempt.id) {
            // META was read beside ACCOUNT: the attempt that claimed may have made the conversation in between.
            let meta = match look.meta {
                Some(meta) => Some(meta),
                None => app.store.conversation(&attempt.conversation).await?,
            };
            return resume(attempt, meta, open.clone(), look.connected);
        }
        let meta = match permit(app, attempt, &look, trace_id).await {
            Err(Error::NotAParticipant) if may_be_decided(app, attempt, &look).await? => continue,
            permitted => permitted?,
        };
        match claim(app, attempt, &look, meta).await? {
            Outcome::Done(decision) => return Ok(decision),
            Outcome::LookAgain => {}
        }
    }
    Err(Error::Unavailable("sends were dropped at every look".to_owned()))
}

/// The same send is answered as before; another with its id is refused.
fn finished(app: &App, attempt: &Attempt, receipt: Receipt) -> Result<Decision, Error> {
    if !receipt.void {
        app.memory.ended(attempt.id.clone());
    }
    match receipt {
        receipt if receipt.fingerprint != attempt.fingerprint => Err(Error::ClientMessageIdReused),
        receipt if receipt.void => Err(Error::SendExpired),
        receipt => Ok(Decision::Finished(receipt)),
    }
}

/// Goes on with what was recorded: its base and its amounts.
fn resume(attempt: &Attempt, meta: Option<Meta>, send: OpenSend, connected: Vec<Connected>) -> Result<Decision, Error> {
    if send.fingerprint != attempt.fingerprint {
        return Err(Error::ClientMessageIdReused);
    }
    // Who has left a group since goes on with what was decided before.
    let meta = meta.filter(|meta| meta.who.can_have(&attempt.sender)).ok_or(Error::NotAParticipant)?;
    let decided = Decided { sender: attempt.sender.clone(), id: attempt.id.clone(), send, meta };
    Ok(Decision::Open(Box::new(Opened { decided, claimed: None, connected })))
}

/// Whether another attempt may have decided since the look, where that finds the sender out of a group: ACCOUNT was read beside
/// MEMBER. What was decided while the sender was in ends as a message.
async fn may_be_decided(app: &App, attempt: &Attempt, look: &Look) -> Result<bool, Error> {
    if look.member.is_none() {
        return Ok(false);
    }
    let account = app.store.account(&attempt.sender).await?;
    Ok(account.open.contains_key(&attempt.id) || !look.is_unclaimed(attempt, &account))
}

/// Whether the sender may write here, for this price. Makes the conversation that `to` asks for, when there is none: before
/// the claim, so that whoever finishes the send finds it, and after all that can be refused by the look.
async fn permit(app: &App, attempt: &Attempt, look: &Look, trace_id: &str) -> Result<Meta, Error> {
    let Some(to) = attempt.to.as_ref().filter(|_| look.meta.is_none()) else {
        let membership = Membership::new(look.meta.clone(), look.member.as_ref(), &attempt.sender)?;
        acceptable(attempt, look, membership.side.first_seq())?;
        return Ok(membership.meta);
    };
    acceptable(attempt, look, Seq(1))?;
    affordable(app, attempt, look).await?;
    let meta = create_direct(app, &attempt.sender, to, trace_id).await?.0;
    remember(app, &meta);
    Ok(meta)
}

/// Whether the message fits what the look saw, and what the sender may see.
fn acceptable(attempt: &Attempt, look: &Look, first_seq: Seq) -> Result<(), Error> {
    if look.blocked {
        return Err(Error::Blocked);
    }
    if attempt.reply_to.is_some_and(|seq| seq > look.base || seq < first_seq) {
        return Err(Error::bad_request("replyTo", "there is no message with this number"));
    }
    if attempt.max_price.is_some_and(|max| max < look.price) {
        return Err(Error::PriceChanged { price: look.price });
    }
    Ok(())
}

/// Refuses early what the claim would refuse: an error leaves no conversation behind.
async fn affordable(app: &App, attempt: &Attempt, look: &Look) -> Result<(), Error> {
    if let Some(wait) = rate(app).wait(&look.account, app.clock.now()) {
        return Err(Error::rate_limited(wait));
    }
    if look.account.balance < look.price {
        settle_before_refusing(app, &attempt.sender).await?;
        let account = app.store.account(&attempt.sender).await?;
        // Another attempt may have paid for this very send with what was settled: then the claim finds it.
        let unclaimed = !account.open.contains_key(&attempt.id) && look.is_unclaimed(attempt, &account);
        if account.balance < look.price && unclaimed {
            return Err(Error::InsufficientBalance { balance: account.balance, price: look.price });
        }
    }
    Ok(())
}

/// Claims with one look, and judges each refusal.
async fn claim(app: &App, attempt: &Attempt, look: &Look, meta: Meta) -> Result<Outcome, Error> {
    let rate = rate(app);
    let mut rate_until = look.account.rate_until;
    let mut settled = false;
    let known = Known::of(app, look);
    let mut dropped_upto = look.account.dropped_upto.clone();
    for _ in 0..CLAIMS_PER_LOOK_MAX {
        let send = open_send(app, attempt, look, app.clock.now());
        let raises_to = known.upto.as_deref().filter(|upto| **upto > *dropped_upto);
        let (by, drops) = (look.by, known.ids.as_slice());
        let claim = Claim { id: &attempt.id, send: &send, by, drops, raises_to, rate, rate_until };
        let there = match app.store.account_claim(&attempt.sender, &claim).await? {
            Claimed::Here(account) => {
                app.memory.forget(&known.ids);
                let decided = Decided { sender: attempt.sender.clone(), id: attempt.id.clone(), send, meta };
                let opened = Opened { decided, claimed: Some(account), connected: look.connected.clone() };
                return Ok(Outcome::Done(Decision::Open(Box::new(opened))));
            }
            Claimed::Refused(there) => there,
        };
        // In this order. The first may be our own claim, whose answer was lost.
        if let Some(open) = there.open.get(&attempt.id) {
            let decision = resume(attempt, Some(meta), open.clone(), look.connected.clone())?;
            return Ok(Outcome::Done(decision));
        }
        if !look.is_unclaimed(attempt, &there) {
            return Ok(Outcome::LookAgain);
        }
        if there.open.len() >= OPEN_MAX {
            return make_room(app, &attempt.sender).await;
        }
        if there.balance < look.price {
            if settled {
                return Err(Error::InsufficientBalance { balance: there.balance, price: look.price });
            }
            settle_before_refusing(app, &attempt.sender).await?;
            settled = true;
        }
        if let Some(wait) = rate.wait(&there, app.clock.now()) {
            return Err(Error::rate_limited(wait));
        }
        (rate_until, dropped_upto) = (there.rate_until, there.dropped_upto);
    }
    Err(Error::Unavailable("the claim was refused too often".to_owned()))
}

/// What a claim drops: open sends of which this process knows that they have RECEIPTs with numbers.
#[derive(Default)]
struct Known {
    ids: Vec<SendId>,
    /// The highest of their ids that sort by time.
    upto: Option<String>,
}

impl Known {
    /// Of what the look saw. Where an earlier version has dropped, nothing: step 6 must find out first up to where. And at least
    /// three where the claim is by epoch, as each drop makes those who claim so at the same moment look again.
    fn of(app: &App, look: &Look) -> Self {
        let sends = look.account.open.iter().filter(|(id, _)| app.memory.has_ended(id));
        let ids: Vec<SendId> = sends.clone().map(|(id, _)| id.clone()).collect();
        let least = if look.by == ClaimBy::Id { 1 } else { DROP_BATCH - 1 };
        if ids.len() < least || !look.account.tells_what_was_dropped() {
            return Self::default();
        }
        Self { ids, upto: highest_time_ordered(sends.map(|(_, send)| send)) }
    }
}

/// Drops what is finished. Never claim with the epoch of one's own drop: look again.
async fn make_room(app: &App, sender: &UserId) -> Result<Outcome, Error> {
    match drop_finished(app, sender).await? {
        0 => Err(Error::rate_limited(std::time::Duration::from_secs(1))),
        _ => Ok(Outcome::LookAgain),
    }
}

/// How fast a user may send here.
fn rate(app: &App) -> Rate {
    Rate::new(app.config.sends_per_second, app.config.send_burst)
}

/// What is recorded: from here on nobody computes these again.
fn open_send(app: &App, attempt: &Attempt, look: &Look, now: Time) -> OpenSend {
    // 128 bits: a price times 100 always fits.
    let earning = u128::from(look.price.0) * u128::from(app.config.receiver_share_percent) / 100;
    let earning = Coins(u64::try_from(earning).unwrap_or(look.price.0));
    OpenSend {
        client_message_id: attempt.client_message_id.clone(),
        conversation: attempt.conversation.clone(),
        base: look.base,
        price: look.price,
        earning,
        house: (earning < look.price).then(|| app.config.house.clone()),
        fingerprint: attempt.fingerprint.clone(),
        claimed_at: now,
    }
}
