//! Settling: folding earnings, shares and top-ups into a balance, many at once and each exactly once, without a transaction.
//! The steps are `a` to `d` in docs/design/coins.md.

use futures::future::{try_join, try_join_all};
use wire::{Coins, UserId};

use crate::app::App;
use crate::limits::{SETTLE_BATCH, SETTLE_ROUNDS_MAX};
use crate::store::StoreError;
use crate::store::accounts::Account;
use crate::store::ledger::Unsettled;
use crate::telemetry::{Metric, count};

/// Folds what the index proposes into a user's balance; gives the balance. Bounded: what is left, the next settling folds.
///
/// # Errors
/// Those of the store.
pub async fn settle(app: &App, user: &UserId) -> Result<Coins, StoreError> {
    // The index may still propose what has long been folded: so it is asked on, behind what it has proposed.
    let mut behind: Option<String> = None;
    for _ in 0..SETTLE_ROUNDS_MAX {
        // a. The version is read before the entries are; the index only proposes.
        let proposed = app.store.work_unsettled_of(user, behind.as_deref(), SETTLE_BATCH);
        let (account, proposed) = try_join(app.store.account_if_any(user), proposed).await?;
        let account = match account {
            Some(account) => account,
            None if proposed.is_empty() => return Ok(Coins(0)),
            None => app.store.account(user).await?,
        };
        if has_finished(app, user, &account).await? {
            continue;
        }
        let Some(last) = proposed.last() else { return Ok(account.balance) };
        // b. The strong read decides.
        let entries = app.store.entries_unsettled(&proposed).await?;
        if fold(app, user, &account, &entries).await? {
            behind = Some(last.sk.clone());
        }
    }
    Ok(app.store.account(user).await?.balance)
}

/// What a user's balance has room for, with everything folded in that is known of.
///
/// # Errors
/// Those of the store.
pub async fn room(app: &App, user: &UserId) -> Result<Coins, StoreError> {
    settle(app, user).await?;
    Ok(app.store.account(user).await?.room().unwrap_or_default())
}

/// Settles before somebody is told that the coins don't suffice: also what the index doesn't show yet, of the newest lines.
///
/// # Errors
/// Those of the store.
pub async fn settle_before_refusing(app: &App, user: &UserId) -> Result<(), StoreError> {
    settle(app, user).await?;
    for _ in 0..SETTLE_ROUNDS_MAX {
        let account = app.store.account(user).await?;
        if has_finished(app, user, &account).await? {
            continue;
        }
        let entries = app.store.entries_unsettled_newest(user).await?;
        if fold(app, user, &account, &entries).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Finishes a folding of somebody who stopped half-way: the balance has these, their flags may still be there. Says whether
/// there was one.
async fn has_finished(app: &App, user: &UserId, account: &Account) -> Result<bool, StoreError> {
    if account.settling.is_empty() {
        return Ok(false);
    }
    finish(app, user, account.settling.iter(), account.settle_version).await?;
    Ok(true)
}

/// Adds as many of these entries to the balance as it has room for, [`SETTLE_BATCH`] at most: what doesn't fit waits, and stands
/// in nobody's way. Says whether nothing is left to do about them; if the folding is refused, nothing may be assumed.
async fn fold(app: &App, user: &UserId, account: &Account, entries: &[Unsettled]) -> Result<bool, StoreError> {
    let (mut folded, mut sum, mut is_all) = (Vec::new(), Coins(0), true);
    for Unsettled { sk, amount } in entries {
        let Some(more) = sum.checked_add(*amount).filter(|sum| account.has_room_for(*sum)) else {
            tracing::warn!(user = user.as_str(), entry = sk, "a balance has no room for it yet");
            continue;
        };
        if folded.len() == SETTLE_BATCH {
            is_all = false;
            break;
        }
        sum = more;
        folded.push(sk.clone());
    }
    if folded.is_empty() {
        return Ok(true);
    }
    if !app.store.account_fold(user, account.settle_version, &folded, sum).await? {
        return Ok(false);
    }
    count(Metric::SettleBatches, 1.0);
    finish(app, user, folded.iter(), account.settle_version + 1).await?;
    Ok(is_all)
}

/// c. Removes the flags; d. ends the folding.
async fn finish(
    app: &App,
    user: &UserId,
    entries: impl Iterator<Item = &String>,
    version: u64,
) -> Result<(), StoreError> {
    try_join_all(entries.map(|sk| app.store.entry_settled(user, sk))).await?;
    app.store.account_folded(user, version).await
}
