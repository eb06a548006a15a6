//! Why a call to the store failed.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::error::Error;
use crate::telemetry::chain;

/// Why a call to the store failed.
#[derive(Debug)]
pub struct StoreError {
    /// Whether trying again may help: throttled, timed out, not reached.
    pub busy: bool,
    pub(super) text: String,
}

impl StoreError {
    /// Data that can't be read.
    pub fn broken(text: &str) -> Self {
        Self { busy: false, text: text.to_owned() }
    }

    /// A write that others keep getting in the way of.
    pub(crate) fn contended(text: &str) -> Self {
        Self { busy: true, text: text.to_owned() }
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
        Self { busy, text: format!("{operation}: {} [{}]", chain(error), said.join(" ")) }
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
        if cause.busy { Self::Unavailable(cause.to_string()) } else { Self::Internal(cause.to_string()) }
    }
}
