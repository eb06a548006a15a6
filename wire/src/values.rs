//! Values that are more than a string or a number: each exists only if its rule holds.

use std::fmt;

use serde::de::{Expected, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Invalid;
use crate::ids::ConversationId;
use crate::limits::{
    AVATAR_BYTES_MAX, COINS_MAX, CONTENT_CHARS_MAX, CURSOR_CHARS_MAX, NAME_CHARS_MAX, PAGE_ITEMS_DEFAULT,
    PAGE_ITEMS_MAX, REASON_CHARS_MAX,
};
use crate::written::parse;

/// A message's number in its conversation: 1, 2, 3 … without holes. 0 stands for "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Seq(pub u64);

impl Seq {
    /// The number after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The number before this one; 0 stays.
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl<'de> Deserialize<'de> for Seq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // This leaves room for `+ 1`, too.
        deserializer.deserialize_u64(Whole::ANY).map(Self)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message's place.
pub type LogSlot = (ConversationId, Seq);

/// An amount of whole coins, 0 to [`COINS_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Coins(pub u64);

impl Coins {
    /// The sum, if it can be held.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).filter(|sum| *sum <= COINS_MAX).map(Self)
    }
}

impl<'de> Deserialize<'de> for Coins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(Whole::ANY).map(Self)
    }
}

/// Takes a whole number from MIN to MAX, and says so where there is another thing.
struct Whole {
    min: u64,
    max: u64,
}

impl Whole {
    /// As far as a JavaScript client can count exactly.
    const ANY: Self = Self { min: 0, max: COINS_MAX };
}

impl Visitor<'_> for Whole {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.min, self.max)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u64, E> {
        let Self { min, max } = self;
        if (min..=max).contains(&number) {
            Ok(number)
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(number), &self))
        }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u64, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }
}

/// A moment, in milliseconds since 1970. On the wire RFC 3339, UTC, with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub ms: i64,
}

impl Time {
    /// This much later.
    pub fn after(self, wait: std::time::Duration) -> Self {
        Self { ms: self.ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)) }
    }

    /// This much earlier.
    pub fn before(self, wait: std::time::Duration) -> Self {
        Self { ms: self.ms.saturating_sub(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)) }
    }

    /// How long it is since then; nothing, if it is still to come.
    pub fn since(self, then: Self) -> std::time::Duration {
        let ms = self.ms.saturating_sub(then.ms);
        std::time::Duration::from_millis(u64::try_from(ms).unwrap_or_default())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{moment:.3}")
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment: jiff::Timestamp =
            text.parse().map_err(|_| serde::de::Error::custom("expected a time of RFC 3339"))?;
        Ok(Self { ms: moment.as_millisecond() })
    }
}

/// A message's text: 1 to [`CONTENT_CHARS_MAX`] characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Content(String);

impl Content {
    /// Takes a text if its length is right.
    ///
    /// # Errors
    /// [`Invalid::ContentEmpty`], [`Invalid::ContentTooLong`].
    pub fn new(text: String) -> Result<Self, Invalid> {
        match text.chars().count() {
            0 => Err(Invalid::ContentEmpty),
            1..=CONTENT_CHARS_MAX => Ok(Self(text)),
            _ => Err(Invalid::ContentTooLong),
        }
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why somebody did something, in their own words: at most [`REASON_CHARS_MAX`] characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Reason(String);

impl Reason {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.chars().count() <= REASON_CHARS_MAX {
            Ok(Self(text))
        } else {
            Err(format!("a reason has at most {REASON_CHARS_MAX} characters"))
        }
    }
}

/// What somebody is called: 1 to [`NAME_CHARS_MAX`] characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

impl Name {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fits = (1..=NAME_CHARS_MAX).contains(&text.chars().count());
        match fits && !text.chars().any(char::is_control) {
            true => Ok(Self(text)),
            false => Err(format!("a name has 1 to {NAME_CHARS_MAX} characters and no control characters")),
        }
    }
}

/// Where somebody's picture is: an https address of at most [`AVATAR_BYTES_MAX`] bytes, in the characters that an address has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Avatar(String);

impl Avatar {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Avatar {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let host =
            text.strip_prefix("https://").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
        // Others are written with %.
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
        match host && plain && text.len() <= AVATAR_BYTES_MAX {
            true => Ok(Self(text)),
            false => Err(format!("an avatar is an https:// address of at most {AVATAR_BYTES_MAX} bytes")),
        }
    }
}

/// What becomes of something that may be there or not. On the wire: not given, `null`, or the new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    None,
    /// It goes.
    Gone,
    /// It becomes this.
    To(T),
}

impl<T> Change<T> {
    /// Whether it stays as it is.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Gone, Self::To))
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None | Self::Gone => serializer.serialize_none(),
            Self::To(new) => new.serialize(serializer),
        }
    }
}

/// How many items a page may have: 1 to [`PAGE_ITEMS_MAX`], [`PAGE_ITEMS_DEFAULT`] when not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limit(pub u32);

impl Limit {
    const RULE: Whole = Whole { min: 1, max: PAGE_ITEMS_MAX as u64 };
}

impl Default for Limit {
    fn default() -> Self {
        Self(PAGE_ITEMS_DEFAULT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = deserializer.deserialize_u64(Self::RULE)?;
        Ok(Self(u32::try_from(limit).unwrap_or(PAGE_ITEMS_MAX)))
    }
}

/// From a query, where it is written as in JSON.
impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |_| format!("expected {}", &Self::RULE as &dyn Expected);
        parse(&text).map_err(wrong)
    }
}

/// Where the next page starts. Opaque to clients: base64url of what the store says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Cursor(String);

impl Cursor {
    /// Wraps a position.
    pub fn new(position: &str) -> Self {
        use base64::Engine as _;
        Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(position))
    }

    /// The position that [`Cursor::new`] wrapped.
    ///
    /// # Errors
    /// [`Invalid::Field`] when it isn't one of ours.
    pub fn position(&self) -> Result<String, Invalid> {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(&self.0)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(Self::foreign)
    }

    /// What a cursor that isn't one of ours gets.
    pub fn foreign() -> Invalid {
        Invalid::field("cursor", "send the nextCursor of the last answer, unchanged")
    }
}

impl TryFrom<String> for Cursor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.len() > CURSOR_CHARS_MAX {
            return Err("send the nextCursor of the last answer, unchanged".to_owned());
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_counted_in_characters() {
        assert!(Content::new("🦀".repeat(CONTENT_CHARS_MAX)).is_ok());
        assert!(matches!(Content::new("x".repeat(CONTENT_CHARS_MAX + 1)), Err(Invalid::ContentTooLong)));
        assert!(matches!(Content::new(String::new()), Err(Invalid::ContentEmpty)));
    }

    #[test]
    fn a_cursor_that_is_not_ours_is_refused() {
        let ours = Cursor::new("here");
        assert_eq!(ours.position().ok().as_deref(), Some("here"));
        for text in ["", "%%%", &"a".repeat(CURSOR_CHARS_MAX + 1)] {
            let cursor = Cursor::try_from(text.to_owned());
            assert!(cursor.is_err() || cursor.is_ok_and(|cursor| cursor.position().is_err()), "{text}");
        }
    }
    #[test]
    fn a_cursor_is_read_up_to_a_limit() {
        // Four characters stand for three bytes.
        for (bytes, is_read) in [(CURSOR_CHARS_MAX / 4 * 3, true), (CURSOR_CHARS_MAX / 4 * 3 + 1, false)] {
            let text = Cursor::new(&"x".repeat(bytes)).0;
            assert_eq!(Cursor::try_from(text).is_ok(), is_read, "{bytes} bytes");
        }
    }
}
