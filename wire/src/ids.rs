//! Ids: types that exist only if valid. Parse, don't check.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{CLIENT_ID_CHARS_MAX, CONVERSATION_ID_CHARS_MAX, USER_ID_BYTES_MAX};

/// Defines an id: a string that exists only if its rule holds.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let rule: fn(&str) -> bool = $rule;
                if rule(&text) { Ok(Self(text)) } else { Err($what.to_owned()) }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::try_from(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Whether TEXT has 1 to MAX characters and no control characters.
fn short(text: &str, max: usize) -> bool {
    !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control)
}

id!(
    /// Who somebody is: the `sub` of the token.
    UserId,
    "a user id has 1 to 128 bytes and no control characters",
    |text| text.len() <= USER_ID_BYTES_MAX && short(text, USER_ID_BYTES_MAX)
);
id!(
    /// The server's id of a conversation.
    ConversationId,
    "a conversation id has 1 to 64 letters, digits, `-` and `_`",
    |text| {
        short(text, CONVERSATION_ID_CHARS_MAX) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    }
);
id!(
    /// The sender's id of a message, unique per sender.
    ClientMessageId,
    "a clientMessageId has 1 to 64 characters and no control characters",
    |text| short(text, CLIENT_ID_CHARS_MAX)
);
id!(
    /// The caller's id of a request that changes something, unique per caller: a repeat of it changes nothing more.
    ClientRequestId,
    "a clientRequestId has 1 to 64 characters and no control characters",
    |text| short(text, CLIENT_ID_CHARS_MAX)
);
id!(
    /// The client's name for a request, echoed in its answer.
    RequestId,
    "a requestId has at most 64 characters and no control characters",
    |text| text.is_empty() || short(text, CLIENT_ID_CHARS_MAX)
);
id!(
    /// The caller's name for a top-up, so that a repeat adds nothing.
    IdempotencyKey,
    "an idempotencyKey has 1 to 64 characters and no control characters",
    |text| short(text, CLIENT_ID_CHARS_MAX)
);
id!(
    /// A client's name for the device that it runs on.
    Device,
    "a device has 1 to 64 characters and no control characters",
    |text| short(text, CLIENT_ID_CHARS_MAX)
);
id!(
    /// API Gateway's id of a connection.
    ConnectionId,
    "a connection id has 1 to 128 characters and no control characters",
    |text| short(text, 128)
);

/// A client may just count its requests.
impl From<u64> for RequestId {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl ClientMessageId {
    /// One that sorts by the time at which it was made, in milliseconds since 1970: a UUID of version 7 (RFC 9562). RANDOM is drawn
    /// anew for each.
    pub fn time_ordered(unix_ms: i64, random: u128) -> Self {
        let (high, low) = (unix_ms >> 16 & 0xffff_ffff, unix_ms & 0xffff);
        let (a, b, c) = (random >> 62 & 0xfff, random >> 48 & 0x3fff | 0x8000, random & 0xffff_ffff_ffff);
        Self(format!("{high:08x}-{low:04x}-7{a:03x}-{b:04x}-{c:012x}"))
    }

    /// Whether it is of a kind whose text sorts by the time at which it was made: a UUID of version 7 (RFC 9562) in small letters,
    /// or a ULID (<https://github.com/ulid/spec>) in capitals; of any time up to the year 6429. The text alone says so, no clock:
    /// what is judged so once is judged so for ever.
    pub fn is_time_ordered(&self) -> bool {
        is_uuid_v7(self.0.as_bytes()) || is_ulid(self.0.as_bytes())
    }
}

fn is_uuid_v7(text: &[u8]) -> bool {
    text.len() == 36
        && text[0] <= b'7'
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => *byte == b'7',
            19 => b"89ab".contains(byte),
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// 128 bits in Crockford's base 32: the first of 26 digits is 7 at most.
fn is_ulid(text: &[u8]) -> bool {
    let digit =
        |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'H' | b'J' | b'K' | b'M' | b'N' | b'P'..=b'T' | b'V'..=b'Z');
    text.len() == 26 && text[0] <= b'7' && text.iter().all(digit)
}

impl ConversationId {
    /// One that we derived ourselves, of letters, digits, `-` and `_`.
    pub(crate) fn derived(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_made_to_sort_by_time_does() {
        let made = ClientMessageId::time_ordered;
        assert_eq!(made(0x0198_a3b2_c4d5, 0).as_str(), "0198a3b2-c4d5-7000-8000-000000000000");
        let ids =
            [made(0, u128::MAX), made(1_700_000_000_000, 7), made(1_700_000_000_001, 6), made(4_000_000_000_000, 0)];
        assert!(ids.is_sorted() && ids.iter().all(ClientMessageId::is_time_ordered), "{ids:?}");
    }

    #[test]
    fn an_id_sorts_by_time_that_looks_so_to_the_last_character() {
        let is = |id: &str| id.parse::<ClientMessageId>().expect("an id").is_time_ordered();
        let uuid = "0198a3b2-c4d5-7abc-8def-0123456789af";
        let ulid = "01KDVTRJ00ABCDEFGHJKMNPQRS";
        for id in [uuid, ulid, "7TVWXYZ0000000000000000000", "7fffffff-ffff-7fff-bfff-ffffffffffff"] {
            assert!(is(id), "{id}");
        }
        for (at, other) in [
            (0, '8'),
            (0, 'G'),
            (8, '0'),
            (13, '0'),
            (18, '0'),
            (23, '0'),
            (14, '4'),
            (19, '7'),
            (19, 'c'),
            (35, 'F'),
            (35, 'g'),
        ] {
            let mut id: Vec<char> = uuid.chars().collect();
            id[at] = other;
            assert!(!is(&String::from_iter(id)), "{other} at {at}");
        }
        for (at, other) in [(0, '8'), (25, 'I'), (25, 'L'), (25, 'O'), (25, 'U'), (25, 'a'), (25, '-')] {
            let mut id: Vec<char> = ulid.chars().collect();
            id[at] = other;
            assert!(!is(&String::from_iter(id)), "{other} at {at}");
        }
        for id in [&uuid[1..], &ulid[1..], "0198a3b2c4d57abc8def0123456789af", "m"] {
            assert!(!is(id), "{id}");
        }
    }
}
