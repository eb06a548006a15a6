//! The engine's items as the store reads them: what [`shared::chat::invariants`] judges.

use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::chat::invariants::{Broken, READABLE};
use shared::store::scan::Line;
use shared::store::segments::Segment;
use shared::store::table::Key;
use shared::store::work::Listing;
use wire::{ConversationId, Seq, UserId};

/// What an item, or a part of it, is.
///
/// # Errors
/// It isn't that.
pub(crate) fn read<T: DeserializeOwned>(item: &Value) -> Result<T, Broken> {
    T::deserialize(item).map_err(|error| unreadable(item, error))
}

fn unreadable(item: &Value, why: impl std::fmt::Display) -> Broken {
    Broken { rule: READABLE, seen: format!("{why}: {item:#}") }
}

/// Whose it is.
pub(crate) fn owner(item: &Value) -> Result<UserId, Broken> {
    read::<Key>(item)?.owner().map_err(|error| unreadable(item, error))
}

/// Of which conversation it is: by its partition.
pub(crate) fn conversation(item: &Value) -> Result<ConversationId, Broken> {
    read::<Key>(item)?.conversation().map_err(|error| unreadable(item, error))
}

/// What follows the kind in its sort key.
pub(crate) fn name(item: &Value) -> &str {
    item["sk"].as_str().and_then(|sk| sk.split_once('#')).map_or("", |(_, name)| name)
}

/// The number in its sort key.
pub(crate) fn number(item: &Value) -> Result<Seq, Broken> {
    name(item).parse().map(Seq).map_err(|error| unreadable(item, error))
}

/// Where it stands in the index.
pub(crate) fn listing(item: &Value) -> Option<Listing> {
    let text = |name: &str| item[name].as_str().map(str::to_owned);
    Some(Listing { pk: text("work_pk")?, sk: text("work_sk")? })
}

/// A line of a ledger.
pub(crate) fn line(item: &Value) -> Result<Line, Broken> {
    Ok(Line { sk: read::<Key>(item)?.sk, entry: read(item)?, listing: listing(item) })
}

/// A segment.
pub(crate) fn segment(item: &Value) -> Result<Segment, Broken> {
    Ok(Segment { first: number(item)?, last: read(&item["last"])?, object: read(&item["object"])? })
}
