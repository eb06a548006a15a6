//! An account with its ledger; presence.

use std::collections::BTreeSet;

use wire::{SendId, TransactionKind, UserId};

use super::{Check, Checked, place};
use crate::error::Error;
use crate::limits::{CONNECTIONS_MAX, OPEN_MAX, VERIFY_READS_MAX, VERIFY_SETTLED_AFTER};
use crate::store::accounts::Account;
use crate::store::presence::Presence;
use crate::store::scan::{Due, Line};
use crate::store::table::Key;
use crate::store::work::Listing;

impl Check<'_> {
    /// An account: its open sends, its place in the index, and that its ledger comes to its balance.
    pub(super) async fn account(&self, user: &UserId) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        let key = Key::account(user);
        let Some((mut account, listing)) = self.app.store.kept::<Account>(key.clone()).await? else {
            return Ok(checked);
        };
        self.open_sends(user, &account, &mut checked);
        // Any moment will do: the sweep looks when it is old, and an earlier version listed accounts without one.
        let due = Listing::open(self.now, user);
        let is_listed = listing.is_some_and(|it| it.differs_in_time_only(&due) || it.is_without_time(&due, user));
        if !account.open.is_empty() && !is_listed {
            let seen = format!("{} open sends, which no sweep finds", account.open.len());
            self.unlisted(&mut checked, key.clone(), Due::Open, &due, &seen).await?;
        }
        // The ledger is no snapshot. What it says holds if the account was the same before and after it was read.
        for _ in 0..VERIFY_READS_MAX {
            let expected = self.balance_of(user, &account).await?;
            let Some((again, _)) = self.app.store.kept::<Account>(key.clone()).await? else { break };
            if again == account {
                let there = i128::from(account.balance.0);
                if expected != there {
                    let seen = format!("a balance of {there}, and a ledger that comes to {expected}");
                    checked.wrong("a ledger adds up to its balance", place(&key), seen);
                }
                return Ok(checked);
            }
            account = again;
        }
        // Somebody who sends all the time: the next run may find a pause.
        tracing::info!(user = user.as_str(), "an account changes too fast to be checked");
        Ok(checked)
    }

    fn open_sends(&self, user: &UserId, account: &Account, checked: &mut Checked) {
        let place = place(&Key::account(user));
        if account.open.len() > OPEN_MAX {
            checked.wrong("limits hold", &place, format!("{} open sends", account.open.len()));
        }
        for (id, send) in &account.open {
            if *id != SendId::new(user, &send.client_message_id) {
                checked.wrong(
                    "a send's id is its sender's and its name's",
                    &place,
                    format!("open send {}", id.as_str()),
                );
            }
            if send.claimed_at < self.now.before(VERIFY_SETTLED_AFTER) {
                let since = self.now.since(send.claimed_at).as_secs();
                checked.wrong("sends end", &place, format!("send {} has been open for {since} s", id.as_str()));
            }
        }
    }

    /// What an account's balance must be: what was folded into it, less what was charged, less what open sends took and
    /// haven't charged yet.
    async fn balance_of(&self, user: &UserId, account: &Account) -> Result<i128, Error> {
        let mut sum = 0;
        let mut charged = BTreeSet::new();
        let mut after = None;
        loop {
            let (lines, next) = self.app.store.ledger_page(user, after).await?;
            for line in lines {
                let folded = line.listing.is_none() || account.settling.contains(&line.sk);
                if folded {
                    sum += i128::from(line.entry.amount);
                }
                if let Some(id) = line.id().strip_prefix("charge#") {
                    charged.extend(account.open.keys().find(|open| open.as_str() == id));
                }
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        let taken = account.open.iter().filter(|(id, _)| !charged.contains(id));
        Ok(sum - taken.map(|(_, send)| i128::from(send.price.0)).sum::<i128>())
    }

    /// One line of a ledger: its sign, and its place in the index.
    pub(super) async fn line(&self, user: &UserId, line: &Line) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        let key = Key { sk: line.sk.clone(), ..Key::account(user) };
        let is_charge = line.entry.kind == TransactionKind::Charge;
        if line.entry.amount.signum() != if is_charge { -1 } else { 1 } {
            checked.wrong("charges are below nothing, all else above", place(&key), line.entry.amount.to_string());
        }
        let due = Listing::unsettled(user, &line.sk);
        match &line.listing {
            Some(_) if is_charge => {
                checked.wrong("a charge is taken at once", place(&key), "it waits to be folded into the balance");
            }
            Some(listing) if *listing != due => {
                let seen = "it waits to be folded into the balance, where no settling finds it";
                self.unlisted(&mut checked, key, Due::Unsettled, &due, seen).await?;
            }
            _ => {}
        }
        Ok(checked)
    }

    /// A user's connections: not too many, and in the index.
    pub(super) async fn presence(&self, user: &UserId) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        let key = Key::presence(user);
        let Some((presence, listing)) = self.app.store.kept::<Presence>(key.clone()).await? else { return Ok(checked) };
        let count = presence.connections.len();
        if count > CONNECTIONS_MAX {
            checked.wrong("limits hold", place(&key), format!("{count} connections"));
        }
        // Any moment will do: the sweep looks then, and lists it by the right one.
        let due = Listing::online(self.now, user);
        if count > 0 && !listing.is_some_and(|listing| listing.differs_in_time_only(&due)) {
            let seen = format!("{count} connections, which no count of those online finds");
            self.unlisted(&mut checked, key, Due::Online, &due, &seen).await?;
        }
        Ok(checked)
    }
}
