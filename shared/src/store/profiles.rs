//! PROFILE: what a user has set, or was set for them.

use serde::Deserialize;
use wire::{Avatar, Change, Coins, Name, UpdateProfile, UserId};

use super::client::error::StoreError;
use super::client::item::{from_item, number, text};
use super::client::{Read, Store, Written};
use super::several::Several;
use super::table::Key;

/// An attribute that changes, and what to; nothing where it goes.
fn change<'a, T>(
    name: &'static str,
    change: &'a Change<T>,
    text: fn(&T) -> &str,
) -> Option<(&'static str, Option<&'a str>)> {
    match change {
        Change::None => None,
        Change::Gone => Some((name, None)),
        Change::To(new) => Some((name, Some(text(new)))),
    }
}

/// A user's settings.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Profile {
    /// What a direct message to them costs.
    pub price: Option<Coins>,
    /// What they are called.
    pub name: Option<Name>,
    /// Where their picture is.
    pub avatar: Option<Avatar>,
}

impl Store {
    /// What a direct message to each of these users costs, where a price was set. May be a moment behind: a price is
    /// what the look saw, and `maxPrice` protects the sender.
    pub async fn profile_prices(&self, users: &[UserId]) -> Result<Several<(UserId, Option<Coins>)>, StoreError> {
        let Several { read, skipped } = self.profiles(users).await?;
        Ok(Several { read: read.into_iter().map(|(user, profile)| (user, profile.price)).collect(), skipped })
    }

    /// What is set for each of these users, where anything is. May be a moment behind.
    pub async fn profiles(&self, users: &[UserId]) -> Result<Several<(UserId, Profile)>, StoreError> {
        let keys: Vec<Key> = users.iter().map(Key::profile).collect();
        let profile = |key: &Key, item| Ok((key.owner()?, from_item(item)?));
        Several::of(self.get_many(&keys, Read::Eventual).await?, profile)
    }

    /// Sets what a user is called; what is set now. Without a condition: the last one counts. Where nothing is to change, nothing
    /// is written.
    pub async fn profile_update(&self, user: &UserId, update: &UpdateProfile) -> Result<Profile, StoreError> {
        let name = change("name", &update.name, Name::as_str);
        let avatar = change("avatar", &update.avatar, Avatar::as_str);
        let changes: Vec<(&str, Option<&str>)> = name.into_iter().chain(avatar).collect();
        if changes.is_empty() {
            return self.get(Key::profile(user), Read::Strong).await?.map_or_else(|| Ok(Profile::default()), from_item);
        }
        let set: Vec<String> =
            changes.iter().filter(|(_, to)| to.is_some()).map(|(name, _)| format!("#{name} = :{name}")).collect();
        let gone: Vec<String> =
            changes.iter().filter(|(_, to)| to.is_none()).map(|(name, _)| format!("#{name}")).collect();
        let clauses = [("SET ", set), ("REMOVE ", gone)].into_iter().filter(|(_, parts)| !parts.is_empty());
        let clauses: Vec<String> = clauses.map(|(clause, parts)| clause.to_owned() + &parts.join(", ")).collect();
        let mut write = self.update(Key::profile(user), &clauses.join(" "));
        for (name, to) in &changes {
            if let Some(to) = to {
                write = write.value(&format!(":{name}"), text(*to));
            }
        }
        match write.run().await? {
            Written::Done(item) => from_item(item),
            // It has no condition.
            Written::Refused(_) => Ok(Profile::default()),
        }
    }

    /// Sets what a direct message to a user costs. Without a condition: the last one counts.
    pub async fn profile_price_set(&self, user: &UserId, price: Coins) -> Result<(), StoreError> {
        self.update(Key::profile(user), "SET #price = :price").value(":price", number(price.0)).run().await.map(drop)
    }
}
