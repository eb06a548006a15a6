//! What the template takes is what the functions take: a deployment must not come up with functions that can't start.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use shared::config::{self, Config, Number, TokenConfig};

use super::{DEPLOYED, Template, TemplateError};

/// What isn't a whole number as the functions read one.
const NO_NUMBERS: [&str; 9] = ["", " 7", "7.5", "+7", "07", "7e0", "-1", "seven", "９"];

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| Template::parse(DEPLOYED).expect("parses"));

fn parameters(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The parameter behind a variable: `DefaultPrice` for `DEFAULT_PRICE`.
fn parameter_of(variable: &str) -> String {
    let capitalised = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
    variable.split('_').map(capitalised).collect()
}

/// Whether every function starts, with these parameters and this change to its variables.
fn all_start(given: &[(&str, &str)], change: Option<(&str, &str)>) -> Result<(), String> {
    let deployment = TEMPLATE.deploy(&parameters(given), "http://127.0.0.1:1").map_err(|error| error.to_string())?;
    for (function, mut environment) in deployment.functions.into_iter().map(|(name, it)| (name, it.environment)) {
        if let Some((name, value)) = change {
            environment.entry(name.to_owned()).and_modify(|it| value.clone_into(it));
        }
        let find = |name: &str| environment.get(name).cloned();
        let read = Config::read(&find).and_then(|_| config::log_level(&find)).and_then(|_| {
            if environment.contains_key("JWT_ALGORITHMS") { TokenConfig::read(&find).map(drop) } else { Ok(()) }
        });
        read.map_err(|error| format!("{function}: {error}"))?;
    }
    Ok(())
}

fn refused(name: &str, value: &str) -> Option<String> {
    let refused = TEMPLATE.parameter_values(&parameters(&[(name, value)])).err()?;
    assert!(matches!(refused, TemplateError::InvalidParameter { .. }), "{refused}");
    Some(refused.to_string())
}

#[test]
fn a_number_has_the_same_range_in_the_template_and_in_the_functions() {
    for Number { name, min, max } in Number::ALL {
        let parameter = parameter_of(name);
        let mut texts = vec![min.to_string(), max.to_string(), (max + 1).to_string(), u64::MAX.to_string()];
        texts.extend(min.checked_sub(1).map(|less| less.to_string()));
        // One of each length, as the pattern goes by digits.
        texts.extend((0..=20).map(|zeros| format!("1{}", "0".repeat(zeros))));
        texts.extend(NO_NUMBERS.map(str::to_owned));
        for text in texts {
            let is_within =
                text.parse().is_ok_and(|number: u64| (min..=max).contains(&number) && number.to_string() == text);
            let says = format!("--parameter {parameter}: must be a whole number from {min} to {max}");
            assert_eq!(refused(&parameter, &text), (!is_within).then_some(says), "{parameter}={text}");
            // An empty variable is one that isn't set.
            if !text.is_empty() {
                let starts = all_start(&[], Some((name, &text)));
                assert_eq!(starts.is_ok(), is_within, "{name}={text}: {starts:?}");
            }
        }
    }
}

#[test]
fn every_number_of_a_function_is_in_the_table_and_none_of_the_template_takes_what_is_no_number() {
    let deployment = TEMPLATE.deploy(&BTreeMap::new(), "http://127.0.0.1:1").expect("deploys");
    for (variable, value) in deployment.functions.into_values().flat_map(|function| function.environment) {
        let is_known = Number::ALL.iter().any(|number| number.name == variable);
        assert_eq!(value.parse::<u64>().is_ok(), is_known, "{variable}={value}");
    }
    let defaults = TEMPLATE.parameter_values(&BTreeMap::new()).expect("defaults");
    let numbers: Vec<&String> =
        defaults.iter().filter(|(_, it)| it.parse::<u64>().is_ok()).map(|(name, _)| name).collect();
    assert!(numbers.len() > Number::ALL.len(), "{numbers:?}");
    for name in numbers {
        for text in NO_NUMBERS {
            assert!(refused(name, text).is_some(), "{name}={text:?}");
        }
    }
}

#[test]
fn with_whatever_the_template_takes_every_function_starts() {
    let long = |text: &str, times| text.repeat(times);
    for (name, value, is_taken) in [
        ("HouseUserId", "house", true),
        ("HouseUserId", "kasse@münchen", true),
        ("HouseUserId", &long("h", 128), true),
        ("HouseUserId", &long("h", 129), false),
        ("HouseUserId", &long("🦀", 32), true),
        ("HouseUserId", &long("🦀", 33), false),
        ("HouseUserId", "", false),
        ("HouseUserId", "a\tb", false),
        ("HouseUserId", "a\nb", false),
        ("HouseUserId", "é\u{85}", false),
        ("DeliveredRetentionDays", "100", true),
        ("UndeliveredRetentionDays", "1", true),
        ("LogLevel", "warn", true),
        ("LogLevel", "WARN", false),
        ("JwtIssuer", "https://id.example.com/", true),
        ("JwtIssuer", &long("i", 513), false),
        ("JwtAudience", "one\ntwo", false),
        ("JwtAlgorithms", "HS256", true),
        ("JwtAlgorithms", "hs256", false),
        ("JwtAlgorithms", "", false),
    ] {
        let start = all_start(&[(name, value)], None);
        assert_eq!(start.is_ok(), is_taken, "{name}={value:?}: {start:?}");
        assert_eq!(refused(name, value).is_none(), is_taken, "{name}={value:?}: by the template, not by a function");
    }
    for (algorithms, url, is_taken) in [
        ("RS256", "https://id.example.com/keys", true),
        ("RS256, ES256,EdDSA", "https://id.example.com/keys", true),
        ("RS256,,ES256", "https://id.example.com/keys", false),
        ("ES256", "https://", false),
        ("ES256", "https://id.example.com/my keys", false),
        ("ES256", "ftp://id.example.com/keys", false),
    ] {
        let start = all_start(&[("JwtAlgorithms", algorithms), ("JwtJwksUrl", url)], None);
        assert_eq!(start.is_ok(), is_taken, "{algorithms} {url}: {start:?}");
        assert!(
            start.err().is_none_or(|error| error.starts_with("--parameter ")),
            "by the template, not by a function"
        );
    }
}

#[test]
fn every_parameter_is_held_by_a_list_or_by_a_pattern_that_is_said_in_words() {
    for (name, parameter) in &TEMPLATE.parameters {
        assert!(parameter.says_what_it_takes(), "{name}");
    }
}
