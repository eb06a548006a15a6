//! META: what a conversation is. Its id is derived from who is in it, so creating is one put if absent.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::table::{Key, Read, Store, StoreError, Written, from_item, ms, to_item};
use crate::protocol::{ConversationId, Kind, Seq, Time, UserId};

/// What a conversation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Which; also in the key.
    pub id: ConversationId,
    /// What kind.
    pub kind: Kind,
    /// Who is in it.
    pub members: Vec<UserId>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    #[serde(with = "ms")]
    pub created_at: Time,
    /// The invocation that made it: tells our own write, applied with its answer lost, from another's.
    pub creation: String,
    /// The lowest number that is in the table; those below are in the archive.
    #[serde(default = "first")]
    pub first_seq: Seq,
}

/// The number of a conversation's first message.
fn first() -> Seq {
    Seq(1)
}

/// What became of creating a conversation.
#[derive(Debug)]
pub enum Created {
    /// This attempt made it.
    Here,
    /// It was there.
    There(Meta),
}

impl Store {
    /// Reads META, strongly.
    pub async fn conversation(&self, id: &ConversationId) -> Result<Option<Meta>, StoreError> {
        self.get(Key::meta(id), Read::Strong).await?.map(from_item).transpose()
    }

    /// Reads many METAs. What they say of a direct conversation never changes, so only one that a cheap read doesn't find is
    /// read strongly: it may have been made a moment ago.
    pub async fn conversations(
        &self,
        ids: impl Iterator<Item = &ConversationId>,
    ) -> Result<HashMap<ConversationId, Meta>, StoreError> {
        let mut missing: Vec<&ConversationId> = ids.collect();
        let mut found = HashMap::new();
        for read in [Read::Eventual, Read::Strong] {
            let keys: Vec<Key> = missing.iter().map(|id| Key::meta(id)).collect();
            for item in self.get_many(&keys, read).await? {
                let meta: Meta = from_item(item)?;
                found.insert(meta.id.clone(), meta);
            }
            missing.retain(|id| !found.contains_key(*id));
        }
        Ok(found)
    }

    /// Creates a conversation **if there is none** with this id.
    pub async fn conversation_create(&self, meta: &Meta) -> Result<Created, StoreError> {
        match self.put_new(Key::meta(&meta.id), to_item(meta)?).await? {
            Written::Done(_) => Ok(Created::Here),
            Written::Refused(Some(item)) => {
                let there: Meta = from_item(item)?;
                if there.creation == meta.creation { Ok(Created::Here) } else { Ok(Created::There(there)) }
            }
            Written::Refused(None) => Err(StoreError::broken("a conversation is there and is empty")),
        }
    }
}
