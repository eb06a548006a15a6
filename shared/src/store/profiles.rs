//! PROFILE: what a user has set, or was set for them.

use serde::Deserialize;
use wire::{Coins, UserId};

use super::client::error::StoreError;
use super::client::item::{from_item, number};
use super::client::{Read, Store};
use super::several::Several;
use super::table::Key;

/// A user's settings.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Profile {
    /// What a direct message to them costs.
    pub price: Option<Coins>,
}

impl Store {
    /// What a direct message to each of these users costs, where a price was set. May be a moment behind: a price is
    /// what the look saw, and `maxPrice` protects the sender.
    pub async fn profile_prices(&self, users: &[UserId]) -> Result<Several<(UserId, Option<Coins>)>, StoreError> {
        let keys: Vec<Key> = users.iter().map(Key::profile).collect();
        let price = |key: &Key, item| Ok((key.owner()?, from_item::<Profile>(item)?.price));
        Several::of(self.get_many(&keys, Read::Eventual).await?, price)
    }

    /// Sets what a direct message to a user costs. Without a condition: the last one counts.
    pub async fn profile_price_set(&self, user: &UserId, price: Coins) -> Result<(), StoreError> {
        self.update(Key::profile(user), "SET #price = :price").value(":price", number(price.0)).run().await.map(drop)
    }
}
