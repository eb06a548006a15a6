//! What a client has written: JSON, read into our types.
//!
//! Only what is used is looked at: a field that nobody knows may hold a number that no computer counts to, or half an emoji.
//! Where an object is expected only an object is taken, a whole number is one however it is written (`10`, `10.0`, `1e1`),
//! `null` in an object counts as not given, unless its request says otherwise, and of two members with one name the last counts, as in JavaScript. What is
//! wrong is said in the wire's words, and where: here is the only place that knows serde's.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IgnoredAny, IntoDeserializer as _,
    MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::value::RawValue;

use crate::error::Invalid;

/// What serde calls a request in which `null` is a value: it takes away what is there.
const WHERE_NULL_COUNTS: &str = "where null counts";

/// Reads a text, and says which field is wrong.
///
/// # Errors
/// [`Invalid::Field`] that names the field; nothing, where it isn't JSON at all.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Invalid> {
    read(serde_json::from_str(text).map_err(|cause| no_json("body", &cause))?)
}

/// Reads the body of a request, in which no name may come twice: whoever wrote it has meant one of the values, and nobody knows
/// which.
///
/// # Errors
/// Those of [`parse`]; [`Invalid::Field`] that names what comes twice.
pub fn parse_body<T: DeserializeOwned>(text: &str) -> Result<T, Invalid> {
    let json: &RawValue = serde_json::from_str(text).map_err(|cause| no_json("body", &cause))?;
    if json.get().starts_with('{') {
        let Names(mut names) = serde_json::from_str(json.get()).map_err(|cause| no_json("body", &cause))?;
        names.sort();
        if let Some([Name(twice), _]) = names.array_windows().find(|[one, next]| one == next) {
            return Err(Invalid::field(twice, "this name comes twice"));
        }
    }
    read(json)
}

/// What is wrong with a text that isn't JSON.
pub(crate) fn no_json(what: &str, cause: &serde_json::Error) -> Invalid {
    Invalid::field("", &format!("the {what} isn't JSON: {cause}"))
}

/// Reads JSON, and says which field is wrong.
pub(crate) fn read<T: DeserializeOwned>(json: &RawValue) -> Result<T, Invalid> {
    T::deserialize(Written(json)).map_err(|Wrong { field, problem }| Invalid::Field { field, problem })
}

/// Reads one of the variants of an enum: which one, a member called TAG says, and the others hold the rest. Nothing where there is
/// no such variant. As it says first which it is, what is wrong behind that is named.
///
/// # Errors
/// [`Invalid::Field`] that names the field.
pub(crate) fn read_tagged<T: DeserializeOwned>(json: &RawValue, tag: &str) -> Result<Option<T>, Invalid> {
    let read = || {
        let mut members: Vec<_> = Written(json).members()?.into_iter().collect();
        members.sort_by_key(|(Name(name), _)| name != tag);
        T::deserialize(MapAccessDeserializer::new(Members { rest: members.into_iter(), next: None }))
    };
    match read() {
        Ok(read) => Ok(Some(read)),
        Err(Wrong { field, .. }) if field == tag => Ok(None),
        Err(Wrong { field, problem }) => Err(Invalid::Field { field, problem }),
    }
}

/// What is wrong, and in which field.
#[derive(Debug)]
struct Wrong {
    field: String,
    problem: String,
}

impl Wrong {
    /// Another thing is there than what would be right.
    fn expected(right: &dyn Expected) -> Self {
        let right = right.to_string();
        // Serde's own words, and Rust's.
        let right = match right.as_str() {
            "a boolean" => "true or false",
            "a sequence" => "a list",
            "a map" => "an object",
            "i8" | "i16" | "i32" | "i64" => "a whole number",
            "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not below 0",
            "f32" | "f64" => "a number",
            other => match other.strip_prefix("a tuple of size ") {
                Some(size) => &format!("a list of {size}"),
                None if other.starts_with("struct variant ") => "an object",
                None => other,
            },
        };
        Self { field: String::new(), problem: format!("expected {right}") }
    }

    /// In this part of what it was said of.
    fn within(self, part: &str) -> Self {
        let field = match self.field.as_str() {
            "" => part.to_owned(),
            inner if inner.starts_with('[') => format!("{part}{inner}"),
            inner => format!("{part}.{inner}"),
        };
        Self { field, ..self }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Wrong {}

impl serde::de::Error for Wrong {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self { field: String::new(), problem: problem.to_string() }
    }

    fn invalid_type(_: Unexpected<'_>, right: &dyn Expected) -> Self {
        Self::expected(right)
    }

    fn invalid_value(_: Unexpected<'_>, right: &dyn Expected) -> Self {
        Self::expected(right)
    }

    fn invalid_length(_: usize, right: &dyn Expected) -> Self {
        Self::expected(right)
    }

    fn unknown_variant(_: &str, right: &'static [&'static str]) -> Self {
        Self::custom(format!("expected one of {}", right.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom("this field is missing").within(field)
    }
}

/// A value, as it was written.
#[derive(Clone, Copy)]
struct Written<'a>(&'a RawValue);

impl<'a> Written<'a> {
    fn is_null(self) -> bool {
        self.0.get() == "null"
    }

    /// A string, without its escapes.
    fn text(self) -> Result<String, Wrong> {
        // It was read as JSON before: nothing else can be wrong with it.
        serde_json::from_str(self.0.get())
            .map_err(|_| Wrong::custom("this text has half a character: a surrogate without the other one"))
    }

    /// An object's members.
    fn members(self) -> Result<BTreeMap<Name, &'a RawValue>, Wrong> {
        if !self.0.get().starts_with('{') {
            return Err(Wrong::expected(&"an object"));
        }
        serde_json::from_str(self.0.get()).map_err(Wrong::custom)
    }
}

impl<'de> Deserializer<'de> for Written<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let text = self.0.get();
        match text.as_bytes().first() {
            // Unless something asks for a map, an object's members are fields.
            Some(b'{') => self.deserialize_struct("", &[], visitor),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(Wrong::custom)?;
                let mut items = Items { rest: items.into_iter().enumerate() };
                let read = visitor.visit_seq(&mut items)?;
                match items.rest.next() {
                    Some((place, _)) => Err(Wrong::custom(format!("expected a list of {place}"))),
                    None => Ok(read),
                }
            }
            Some(b'"') => visitor.visit_string(self.text()?),
            Some(b't') => visitor.visit_bool(true),
            Some(b'f') => visitor.visit_bool(false),
            Some(b'n') => visitor.visit_unit(),
            _ => match whole(text).map(|number| (u64::try_from(number), i64::try_from(number))) {
                Some((Ok(number), _)) => visitor.visit_u64(number),
                Some((_, Ok(number))) => visitor.visit_i64(number),
                _ => match text.parse() {
                    Ok(number) if f64::is_finite(number) => visitor.visit_f64(number),
                    _ => Err(Wrong::expected(&visitor)),
                },
            },
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        // Not by position, from a list, as serde would.
        let mut members = self.members()?;
        members.retain(|_, value| name == WHERE_NULL_COUNTS || !Written(value).is_null());
        visitor.visit_map(Members { rest: members.into_iter(), next: None })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(Members { rest: self.members()?.into_iter(), next: None })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if !self.0.get().starts_with('"') {
            return Err(Wrong::expected(&"a string"));
        }
        visitor.visit_enum(self.text()?.into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct identifier
    }
}

/// A member's name. One that has half a character is nobody's.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(String);

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(name.get()).unwrap_or_default()))
    }
}

/// The names of an object's members, each as often as it comes.
struct Names(Vec<Name>);

impl<'de> serde::Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = members.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// An object's members, one after the other.
struct Members<'de, I> {
    rest: I,
    next: Option<(Name, &'de RawValue)>,
}

impl<'de, I: Iterator<Item = (Name, &'de RawValue)>> MapAccess<'de> for Members<'de, I> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.next = self.rest.next();
        let Some((Name(name), _)) = &self.next else { return Ok(None) };
        let key: StringDeserializer<Wrong> = name.clone().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|wrong| wrong.within(name))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Wrong> {
        let Some((Name(name), value)) = self.next.take() else { return Err(Wrong::custom("a value has no name")) };
        seed.deserialize(Written(value)).map_err(|wrong| wrong.within(&name))
    }
}

/// A list's items, with their places.
struct Items<'de> {
    rest: std::iter::Enumerate<std::vec::IntoIter<&'de RawValue>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some((place, item)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Written(item)).map(Some).map_err(|wrong| wrong.within(&format!("[{place}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The whole number that a JSON number is, if it is one. Not by way of a float: that would round.
fn whole(number: &str) -> Option<i128> {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |number| ("-", number));
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{before}{after}");
    let significant = all.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let zeros = i64::try_from(all.len() - significant.len()).ok()? - i64::try_from(after.len()).ok()?;
    let zeros = exponent.parse::<i64>().ok()?.checked_add(zeros)?;
    // More than there are in any number that we know; also one that isn't written with so many.
    let zeros = usize::try_from(zeros).ok().filter(|zeros| *zeros < 40)?;
    format!("{sign}{significant}{}", "0".repeat(zeros)).parse().ok()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::values::{Coins, Seq};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Inner {
        in_it: Option<Seq>,
        signed: Option<i64>,
        share: Option<f64>,
        size: Option<u64>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Blue,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        inner: Inner,
        pair: Option<(String, Coins)>,
        colours: Option<Vec<Colour>>,
        whole: Option<bool>,
        #[serde(default)]
        by_name: BTreeMap<String, Inner>,
    }

    #[test]
    fn no_name_comes_twice_in_a_body() {
        let coins = |text: &str| parse_body::<BTreeMap<String, Coins>>(text).map_err(|invalid| invalid.to_string());
        assert_eq!(coins(r#"{"a":1,"b":2}"#), Ok([("a", 1), ("b", 2)].map(|(n, c)| (n.to_owned(), Coins(c))).into()));
        for text in [r#"{"a":1,"a":2}"#, r#"{"a":1,"b":2,"\u0061":1}"#] {
            assert!(coins(text).expect_err(text).contains("comes twice"), "{text}");
        }
        assert!(coins("[]").is_err() && coins("{").is_err());
    }

    fn refused(text: &str) -> String {
        parse::<Outer>(text).expect_err(text).to_string()
    }

    #[test]
    fn what_is_right_is_read() {
        let read: Outer = parse(
            r#" {"inner":{"inIt":1,"inIt":2e0,"signed":-9223372036854775808,"share":0.5,"size":18446744073709551615},
                "pair":["x",3.0],"colours":["blue","\u0072ed"],"whole":false,"by_name":{"\ud83d":{},"é":{}},"\ud83d":1e999} "#,
        )
        .expect("it is right");
        let empty = || Inner { in_it: None, signed: None, share: None, size: None };
        let inner = Inner { in_it: Some(Seq(2)), signed: Some(i64::MIN), share: Some(0.5), size: Some(u64::MAX) };
        let by_name = BTreeMap::from([(String::new(), empty()), ("é".to_owned(), empty())]);
        let pair = Some(("x".to_owned(), Coins(3)));
        let colours = Some(vec![Colour::Blue, Colour::Red]);
        assert_eq!(read, Outer { inner, pair, colours, whole: Some(false), by_name });
    }

    #[test]
    fn what_is_wrong_is_named_in_words_of_the_wire() {
        for (text, problem) in [
            (r#"[{},null,null,null]"#, "expected an object"),
            (r#"{}"#, "inner: this field is missing"),
            (r#"{"inner":null}"#, "inner: this field is missing"),
            (r#"{"inner":[1]}"#, "inner: expected an object"),
            (r#"{"inner":{"inIt":1.5}}"#, "inner.inIt: expected a whole number from 0 to 9007199254740991"),
            (r#"{"inner":{"inIt":1e400}}"#, "inner.inIt: expected a whole number from 0 to 9007199254740991"),
            (r#"{"inner":{"signed":1e19}}"#, "inner.signed: expected a whole number"),
            (r#"{"inner":{"size":-1}}"#, "inner.size: expected a whole number, not below 0"),
            (r#"{"inner":{"share":"a half"}}"#, "inner.share: expected a number"),
            (r#"{"inner":{"share":1e400}}"#, "inner.share: expected a number"),
            (r#"{"inner":{},"pair":["x"]}"#, "pair: expected a list of 2"),
            (r#"{"inner":{},"pair":["x",-1]}"#, "pair[1]: expected a whole number from 0 to 9007199254740991"),
            (r#"{"inner":{},"pair":["x",1,2]}"#, "pair: expected a list of 2"),
            (r#"{"inner":{},"colours":"red"}"#, "colours: expected a list"),
            (r#"{"inner":{},"colours":["green"]}"#, "colours[0]: expected one of red, blue"),
            (r#"{"inner":{},"colours":["red",7]}"#, "colours[1]: expected a string"),
            (r#"{"inner":{},"colours":[{"red":null}]}"#, "colours[0]: expected a string"),
            (r#"{"inner":{},"whole":1}"#, "whole: expected true or false"),
            (r#"{"inner":{},"by_name":[]}"#, "by_name: expected an object"),
            (
                r#"{"inner":{},"by_name":{"a":{"inIt":{}}}}"#,
                "by_name.a.inIt: expected a whole number from 0 to 9007199254740991",
            ),
            (
                r#"{"inner":{},"pair":["\udc00",1]}"#,
                "pair[0]: this text has half a character: a surrogate without the other one",
            ),
        ] {
            assert_eq!(refused(text), problem, "{text}");
        }
        assert!(refused("{\"inner\":").starts_with("the body isn't JSON: EOF while parsing"));
    }

    #[test]
    fn a_number_is_what_it_stands_for() {
        for (text, number) in [
            ("0", Some(0)),
            ("-0.0e9", Some(0)),
            ("-7", Some(-7)),
            ("1200e-2", Some(12)),
            ("0.00012E+5", Some(12)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("1e38", Some(10_i128.pow(38))),
            ("1e39", None),
            ("1e-1", None),
            ("12.5", None),
            ("1e9223372036854775807", None),
            ("10e9223372036854775807", None),
            ("1e-9223372036854775808", None),
            ("0.1e-9223372036854775808", None),
        ] {
            assert_eq!(whole(text), number, "{text}");
        }
    }
}
