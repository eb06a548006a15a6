//! Why a call to the store failed.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::error::Error;
use crate::telemetry::chain;

/// Why a call to the store failed.
#[derive(Debug)]
pub struct StoreError {
    kind: Kind,
    text: String,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Trying again may help: throttled, timed out, not reached.
    Busy,
    /// What is kept there is damaged, or of a kind that a later version writes.
    Unreadable,
    /// The call was refused.
    Refused,
}

impl StoreError {
    /// Data that can't be read.
    pub fn broken(text: &str) -> Self {
        Self { kind: Kind::Unreadable, text: text.to_owned() }
    }

    /// Whether what is kept can't be read, however often it is tried.
    pub fn is_unreadable(&self) -> bool {
        self.kind == Kind::Unreadable
    }

    /// A write that others keep getting in the way of.
    pub(crate) fn contended(text: &str) -> Self {
        Self { kind: Kind::Busy, text: text.to_owned() }
    }

    pub(super) fn call<E>(operation: &str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = error.code().unwrap_or_default();
        let throttled = ["Throttl", "ProvisionedThroughput", "RequestLimit", "LimitExceeded"]
            .iter()
            .any(|part| code.contains(part));
        let busy = throttled
            || error.raw_response().is_none_or(|response| response.status().is_server_error())
                && !matches!(error, SdkError::ConstructionFailure(_));
        let status = error.raw_response().map(|response| response.status().as_u16().to_string());
        let said: Vec<String> = status.into_iter().chain(error.code().map(str::to_owned)).collect();
        let kind = if busy { Kind::Busy } else { Kind::Refused };
        Self { kind, text: format!("{operation}: {} [{}]", chain(error), said.join(" ")) }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Error {
    fn from(cause: StoreError) -> Self {
        match cause.kind {
            Kind::Busy => Self::Unavailable(cause.text),
            Kind::Unreadable => Self::Unreadable(cause.text),
            Kind::Refused => Self::Internal(cause.text),
        }
    }
}
