//! JSON Schema, as far as the document uses it: what it asks for, and what it names.
//!
//! A keyword that isn't known here fails: nothing in the document is passed over. `scripts/check-asyncapi` asks a complete
//! validator, too, where there is Node.js.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;
use serde_json::{Map, Value};

/// Keywords that only tell people something. What begins with `x-` does, too.
const ANNOTATIONS: [&str; 3] = ["description", "default", "format"];

/// The document, whose schemas refer to each other.
pub(crate) struct Schemas<'a> {
    document: &'a Value,
    /// Each that was asked for before: there are many values, and few patterns.
    patterns: RefCell<BTreeMap<String, Regex>>,
}

/// What frames have, and what the document has for them.
#[derive(Default)]
pub(crate) struct Fields {
    /// Each field that was found in both: its schema, and its name there.
    pub(crate) seen: BTreeSet<String>,
    /// Each field that no schema names.
    pub(crate) unnamed: BTreeSet<String>,
}

impl<'a> Schemas<'a> {
    /// Of this document.
    pub(crate) fn of(document: &'a Value) -> Self {
        Self { document, patterns: RefCell::default() }
    }

    /// What `$ref` refers to.
    pub(crate) fn at(&self, reference: &str) -> &'a Value {
        let pointer = reference.strip_prefix('#').expect("nothing outside of the document");
        self.document.pointer(pointer).unwrap_or_else(|| panic!("the document has no {reference}"))
    }

    /// What is wrong with a value, by its schema.
    pub(crate) fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        for (keyword, rule) in members(schema) {
            self.check_one(schema, keyword, rule, value).map_err(|wrong| format!("{keyword}: {wrong}"))?;
        }
        Ok(())
    }

    fn check_one(&self, schema: &Value, keyword: &str, rule: &Value, value: &Value) -> Result<(), String> {
        let right = match (keyword, value) {
            ("$ref", _) => return self.check(self.at(text(rule)), value),
            ("allOf", _) => return list(rule).iter().try_for_each(|part| self.check(part, value)),
            ("oneOf", _) => list(rule).iter().filter(|part| self.check(part, value).is_ok()).count() == 1,
            ("not", _) => self.check(rule, value).is_err(),
            ("type", _) => is_a(text(rule), value),
            ("const", _) => rule == value,
            ("enum", _) => list(rule).contains(value),
            ("required", Value::Object(object)) => list(rule).iter().all(|name| object.contains_key(text(name))),
            ("properties", Value::Object(object)) => {
                return object.iter().try_for_each(|(name, value)| match rule.get(name) {
                    Some(schema) => self.check(schema, value).map_err(|wrong| format!("{name}: {wrong}")),
                    None => Ok(()),
                });
            }
            ("additionalProperties", Value::Object(object)) => {
                let named = |name: &String| schema["properties"].get(name).is_some();
                let mut others = object.iter().filter(|(name, _)| !named(name));
                return others.try_for_each(|(_, value)| self.check(rule, value));
            }
            ("propertyNames", Value::Object(object)) => {
                return object.keys().try_for_each(|name| self.check(rule, &name.as_str().into()));
            }
            ("maxProperties", Value::Object(object)) => object.len() as u64 <= whole(rule),
            ("items", Value::Array(items)) => return items.iter().try_for_each(|item| self.check(rule, item)),
            ("minItems", Value::Array(items)) => items.len() as u64 >= whole(rule),
            ("maxItems", Value::Array(items)) => items.len() as u64 <= whole(rule),
            ("minLength", Value::String(text)) => text.chars().count() as u64 >= whole(rule),
            ("maxLength", Value::String(text)) => text.chars().count() as u64 <= whole(rule),
            ("pattern", Value::String(value)) => self.matches(text(rule), value),
            ("minimum", Value::Number(number)) => number.as_f64() >= rule.as_f64(),
            ("maximum", Value::Number(number)) => number.as_f64() <= rule.as_f64(),
            (
                "required"
                | "properties"
                | "additionalProperties"
                | "propertyNames"
                | "maxProperties"
                | "items"
                | "minItems"
                | "maxItems"
                | "minLength"
                | "maxLength"
                | "pattern"
                | "minimum"
                | "maximum",
                _,
            ) => true,
            _ if ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-") => true,
            _ => panic!("{keyword} isn't known here"),
        };
        if right { Ok(()) } else { Err(format!("not {rule}")) }
    }

    fn matches(&self, pattern: &str, value: &str) -> bool {
        let mut patterns = self.patterns.borrow_mut();
        let new = || Regex::new(pattern).expect("a pattern");
        patterns.entry(pattern.to_owned()).or_insert_with(new).is_match(value)
    }

    /// Which fields a value has, and which of them its schema, which is called HERE, doesn't name.
    pub(crate) fn find(&self, here: &str, schema: &Value, value: &Value, fields: &mut Fields) {
        let (here, schema) = self.meant(here, schema);
        if let Some(shape) = shapes(schema).find(|shape| self.check(shape, value).is_ok()) {
            return self.find(&here, shape, value, fields);
        }
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    let field = format!("{here}.{name}");
                    if let Some(schema) = schema["properties"].get(name) {
                        self.find(&field, schema, value, fields);
                        fields.seen.insert(field);
                    } else if let Some(schema) = schema.get("additionalProperties") {
                        self.find(&field, schema, value, fields);
                    } else {
                        fields.unnamed.insert(field);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.find(&here, &schema["items"], item, fields)),
            _ => {}
        }
    }

    /// Every field that a schema, which is called HERE, names, and those that are in them; and each schema that has a name.
    pub(crate) fn name(
        &self,
        here: &str,
        schema: &Value,
        named: &mut BTreeSet<String>,
        schemas: &mut BTreeSet<String>,
    ) {
        let (here, meant) = self.meant(here, schema);
        let has_name = !std::ptr::eq(schema, meant);
        if has_name && !schemas.insert(here.clone()) {
            return;
        }
        shapes(meant).for_each(|shape| self.name(&here, shape, named, schemas));
        for (name, schema) in meant.get("properties").into_iter().flat_map(members) {
            let field = format!("{here}.{name}");
            self.name(&field, schema, named, schemas);
            named.insert(field);
        }
        for inner in ["items", "additionalProperties", "propertyNames"].iter().filter_map(|inner| meant.get(inner)) {
            self.name(&here, inner, named, schemas);
        }
    }

    /// The schema that is meant, and what it is called: a reference may stand alone, or beside a description.
    fn meant<'s>(&self, here: &str, schema: &'s Value) -> (String, &'s Value)
    where
        'a: 's,
    {
        let reference = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref"));
        match reference {
            Some(reference) => self.meant(text(reference), self.at(text(reference))),
            None => (here.to_owned(), schema),
        }
    }
}

/// What something may be that is one of several: each with fields of its own, not only other conditions on the same.
fn shapes(schema: &Value) -> impl Iterator<Item = &Value> {
    let one_of = schema.get("oneOf").filter(|_| schema.get("properties").is_none());
    one_of.into_iter().flat_map(list)
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("{other} isn't known here"),
    }
}

/// An object's members.
pub(crate) fn members(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("{value} is no object"))
}

/// A list's items.
pub(crate) fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

/// A string's text.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}
