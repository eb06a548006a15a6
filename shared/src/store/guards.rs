//! Every condition of the store's: whoever goes over all of them reads this list. One that it lacks is met by the simulation,
//! which then says so.

use super::client::condition::MADE_ONCE;
use super::{accounts, blocks, conversations, inbox, presence, scan};

pub use super::client::condition::{Condition, Part};

/// Each kind of item that is written on a condition, and the condition.
pub const GUARDED: [(&str, &Condition); 39] = [
    ("ACCOUNT", &MADE_ONCE),
    ("ACCOUNT", &accounts::CLAIM),
    ("ACCOUNT", &accounts::CLAIM_BY_ID),
    ("ACCOUNT", &accounts::CLAIM_BY_ID_RAISES),
    ("ACCOUNT", &accounts::BASE_IS_LOWER),
    ("ACCOUNT", &accounts::NOT_DROPPED_SINCE),
    ("ACCOUNT", &accounts::DROPS_ALL),
    ("ACCOUNT", &accounts::NOTHING_OPEN),
    ("ACCOUNT", &accounts::NOT_FOLDED_SINCE),
    ("ACCOUNT", &scan::STILL_OPEN),
    ("RECEIPT", &MADE_ONCE),
    ("ENTRY", &MADE_ONCE),
    ("ENTRY", &scan::STILL_UNSETTLED),
    ("TOPUP", &MADE_ONCE),
    ("INBOX", &MADE_ONCE),
    ("INBOX", &inbox::ARRIVES),
    ("INBOX", &inbox::MARKS_DELIVERED),
    ("INBOX", &inbox::MARKS_READ),
    ("INBOX", &inbox::MARKS_READ_BEHIND_DELIVERED),
    ("INBOX", &inbox::KNOWS_OF_LESS),
    ("INBOX", &inbox::MUTES),
    ("INBOX", &inbox::UNMUTES),
    ("INBOX", &inbox::NOTHING_CAME_SINCE),
    ("INBOX", &scan::STILL_WAITING),
    ("BLOCK", &MADE_ONCE),
    ("BLOCK", &blocks::UNCHANGED_SINCE),
    ("PRESENCE", &MADE_ONCE),
    ("PRESENCE", &presence::HAS_ROOM),
    ("PRESENCE", &presence::IS_CONNECTED),
    ("PRESENCE", &presence::CONNECTED_AS_SEEN),
    ("PRESENCE", &presence::NOBODY_CONNECTED),
    ("PRESENCE", &scan::STILL_ONLINE),
    ("META", &MADE_ONCE),
    ("META", &conversations::NOT_MOVED_SINCE),
    ("META", &conversations::DELETED_LESS),
    ("META", &conversations::STANDS_WHERE_SEEN),
    ("META", &scan::STILL_TO_ARCHIVE),
    ("MSG", &MADE_ONCE),
    ("SEGMENT", &MADE_ONCE),
];
