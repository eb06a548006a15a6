//! The only place that knows `DynamoDB`. One table, one overloaded sparse index, no transactions, and no scan but that of [`scan`].
//!
//! [`table`] holds every key, [`client`] the calls that all files share; then one file an item kind: the item, its conditions
//! with the why, and one method per access pattern. [`guards`] lists the conditions. A lost race is a value, never an error.

pub mod accounts;
pub mod blocks;
pub mod client;
pub mod conversations;
pub mod guards;
pub mod inbox;
pub mod ledger;
pub mod log;
pub mod members;
pub mod presence;
pub mod profiles;
pub mod receipts;
pub mod requests;
pub mod scan;
pub mod segments;
pub mod several;
pub mod table;
pub mod tails;
pub mod work;

pub use client::error::StoreError;
pub use client::item::Item;
pub use client::{Read, Store};
pub use several::Several;
