//! What an invocation is made of: reading its event, and why it may have no answer.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::Error;
use crate::telemetry;

/// Reads an event of the type that the function is called with. Such a type has only what is used: what else a caller writes
/// may be missing, or of another kind, and changes with its versions.
pub(super) fn read<T: serde::de::DeserializeOwned>(event: Value) -> Result<T, InvokeError> {
    // Where it is wrong, but not what is there, as the event holds what people write.
    let not_ours = |place| InvokeError(format!("not an event of this function's: {place}"));
    serde_path_to_error::deserialize(event).map_err(|cause| not_ours(cause.path().to_string()))
}

/// What an event has by name: headers, parameters. The caller may say `null` where there are none.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|names| Self(names.unwrap_or_default()))
    }
}

impl Names {
    /// What a header says: its name may be written in any case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// What a parameter says.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them.
    pub(super) fn into_inner(self) -> HashMap<String, String> {
        self.0
    }
}

/// Why an invocation has no answer. API Gateway reads the text: "Unauthorized" makes it answer 401.
#[derive(Debug)]
pub struct InvokeError(pub(super) String);

impl std::fmt::Display for InvokeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvokeError {}

impl From<InvokeError> for lambda_runtime::Diagnostic {
    fn from(error: InvokeError) -> Self {
        Self { error_type: "InvokeError".to_owned(), error_message: error.0 }
    }
}

/// An error that only Lambda and the log see.
#[expect(clippy::needless_pass_by_value, reason = "used as map_err(refused)")]
pub(super) fn refused(error: Error) -> InvokeError {
    telemetry::failed(&error);
    InvokeError(error.to_string())
}
