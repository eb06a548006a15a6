//! An account with its ledger; presence.

use wire::UserId;

use super::super::invariants::{self, Holds, Ledger};
use super::{Check, Checked};
use crate::error::Error;
use crate::limits::{VERIFY_READS_MAX, VERIFY_SETTLED_AFTER};
use crate::store::accounts::Account;
use crate::store::presence::Presence;
use crate::store::scan::{Due, Line};
use crate::store::table::Key;

impl Check<'_> {
    /// An account: its open sends, its place in the index, and that its ledger comes to its balance.
    pub(super) async fn account(&self, user: &UserId) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        let key = Key::account(user);
        let Some((mut account, listing)) = self.app.store.kept::<Account>(key.clone()).await? else {
            return Ok(checked);
        };
        self.open_sends(user, &account, &mut checked);
        let due = invariants::account_unlisted(user, &account, listing.as_ref(), self.now);
        let seen = format!("{} open sends, which no sweep finds", account.open.len());
        self.unlisted(&mut checked, key.clone(), Due::Open, due, seen).await?;
        // The ledger is no snapshot. What it says holds if the account was the same before and after it was read.
        for _ in 0..VERIFY_READS_MAX {
            let adds_up = self.ledger(user, &account).await?;
            let Some((again, _)) = self.app.store.kept::<Account>(key.clone()).await? else { break };
            if again == account {
                checked.holds(&key, adds_up);
                return Ok(checked);
            }
            account = again;
        }
        // Somebody who sends all the time: the next run may find a pause.
        tracing::info!(user = user.as_str(), "an account changes too fast to be checked");
        Ok(checked)
    }

    fn open_sends(&self, user: &UserId, account: &Account, checked: &mut Checked) {
        let place = Key::account(user);
        checked.holds(&place, invariants::open_sends_fit(account));
        checked.holds(&place, invariants::balance_can_be_held(account));
        for (id, send) in &account.open {
            checked.holds(&place, invariants::open_send_has_its_id(user, id, send));
            let settled = self.now.before(VERIFY_SETTLED_AFTER);
            checked.holds(&place, invariants::send_ends(id, send, settled, self.now));
        }
    }

    /// Whether a ledger comes to its account's balance.
    async fn ledger(&self, user: &UserId, account: &Account) -> Result<Holds, Error> {
        let mut ledger = Ledger::new(account);
        let mut after = None;
        loop {
            let (lines, next) = self.app.store.ledger_page(user, after).await?;
            lines.iter().for_each(|line| ledger.add(line));
            after = next;
            if after.is_none() {
                return Ok(ledger.adds_up());
            }
        }
    }

    /// One line of a ledger: its sign, and its place in the index.
    pub(super) async fn line(&self, user: &UserId, line: &Line) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        let key = Key { sk: line.sk.clone(), ..Key::account(user) };
        checked.holds(&key, invariants::line_has_its_sign(&line.entry));
        checked.holds(&key, invariants::charge_is_taken_at_once(line));
        let seen = "it waits to be folded into the balance, where no settling finds it".to_owned();
        self.unlisted(&mut checked, key, Due::Unsettled, invariants::line_misplaced(user, line), seen).await?;
        Ok(checked)
    }

    /// A user's connections: not too many, and in the index.
    pub(super) async fn presence(&self, user: &UserId) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        let key = Key::presence(user);
        let Some((presence, listing)) = self.app.store.kept::<Presence>(key.clone()).await? else { return Ok(checked) };
        checked.holds(&key, invariants::connections_fit(&presence));
        let due = invariants::presence_unlisted(user, &presence, listing.as_ref(), self.now);
        let seen = format!("{} connections, which no count of those online finds", presence.connections.len());
        self.unlisted(&mut checked, key, Due::Online, due, seen).await?;
        Ok(checked)
    }
}
