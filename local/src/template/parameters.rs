//! The parameters, and the rules that they must keep together.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::error::TemplateError;
use super::intrinsic::Scope;

/// A template parameter: its default and its constraints. One that isn't known here is an error: nothing would hold it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Parameter {
    /// Nothing: what AWS checks by it alone (that a `Number` is one) is too little for who reads it.
    #[serde(rename = "Type")]
    _kind: IgnoredAny,
    #[serde(rename = "Description")]
    _description: IgnoredAny,
    default: Option<String>,
    allowed_pattern: Option<String>,
    constraint_description: Option<String>,
    #[serde(default)]
    allowed_values: Vec<String>,
}

impl Parameter {
    /// Whether who gives a wrong value is told what is right.
    #[cfg(test)]
    pub(super) fn says_what_it_takes(&self) -> bool {
        self.allowed_pattern.is_some() == self.constraint_description.is_some()
            && self.allowed_pattern.is_none() != self.allowed_values.is_empty()
    }

    /// Checks a value as CloudFormation does; the error says what is asked for.
    fn check(&self, value: &str) -> Result<(), String> {
        if !self.allowed_values.is_empty() && !self.allowed_values.iter().any(|allowed| allowed == value) {
            return Err(format!("must be one of {}", self.allowed_values.join(", ")));
        }
        if let Some(pattern) = &self.allowed_pattern {
            let regex = regex_lite::Regex::new(&format!("^(?:{pattern})$"));
            let regex = regex.map_err(|error| format!("AllowedPattern is no regular expression: {error}"))?;
            // Nobody listens between a machine and itself, so plain HTTP to loopback passes where HTTPS is asked for.
            let loopback = value.strip_prefix("http://127.0.0.1").filter(|rest| rest.starts_with([':', '/']));
            let secure = loopback.map(|rest| format!("https://127.0.0.1{rest}"));
            if !regex.is_match(secure.as_deref().unwrap_or(value)) {
                return Err(self.constraint_description.clone().unwrap_or_else(|| format!("must match {pattern}")));
            }
        }
        Ok(())
    }
}

/// The value of every parameter: the given one or its default, checked against its constraints.
pub(super) fn values(
    parameters: &BTreeMap<String, Parameter>,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, TemplateError> {
    if let Some(name) = given.keys().find(|name| !parameters.contains_key(*name)) {
        let known = parameters.keys().cloned().collect();
        return Err(TemplateError::UnknownParameter { name: name.clone(), known });
    }
    let value = |(name, parameter): (&String, &Parameter)| {
        let invalid = |problem| TemplateError::InvalidParameter { name: name.clone(), problem };
        let value = given.get(name).or(parameter.default.as_ref());
        let value = value.ok_or_else(|| invalid("has no default: give it a value".to_owned()))?;
        parameter.check(value).map_err(invalid)?;
        Ok((name.clone(), value.clone()))
    };
    parameters.iter().map(value).collect()
}

/// Holds the parameters against the template's rules, as CloudFormation does before it makes anything.
pub(super) fn keep_rules(rules: &Value, scope: &Scope<'_>) -> Result<(), TemplateError> {
    for (name, rule) in rules.as_object().into_iter().flatten() {
        let path = format!("Rules.{name}");
        let applies = &rule["RuleCondition"];
        if !applies.is_null() && !scope.holds(applies, &path)? {
            continue;
        }
        for assertion in rule["Assertions"].as_array().into_iter().flatten() {
            if !scope.holds(&assertion["Assert"], &path)? {
                let problem = assertion["AssertDescription"].as_str().unwrap_or(name);
                return Err(TemplateError::BrokenRule(problem.to_owned()));
            }
        }
    }
    Ok(())
}
