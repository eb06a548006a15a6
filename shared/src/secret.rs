//! The secret that HS256 tokens are signed with, as Secrets Manager keeps it: the only file that knows that service.
//!
//! Two versions are good: the current one, and the one that was current before. So a new one can be made current at any
//! time: tokens signed with it are good as soon as they are seen, those signed with the old one until they expire, and
//! nothing is deployed. See docs/security.md, "Rotating the secret".

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_types::SdkConfig;
use futures::future::try_join;

use crate::aws::timeouts;
use crate::limits::{ATTEMPT_TIMEOUT, CALL_ATTEMPTS_MAX, CALL_TIMEOUT, SECRET_BYTES_MIN};
use crate::telemetry::chain;

/// The label of the version that tokens are signed with.
const CURRENT: &str = "AWSCURRENT";
/// The label of the version that was current before. Secrets Manager moves both labels in one step.
const PREVIOUS: &str = "AWSPREVIOUS";

/// Fetches the secret.
#[derive(Clone, Debug)]
pub struct Secrets {
    client: Client,
}

impl Secrets {
    /// With timeouts and retries of ours.
    pub fn new(sdk: &SdkConfig) -> Self {
        let retries = RetryConfig::standard().with_max_attempts(CALL_ATTEMPTS_MAX);
        let settings = Builder::from(sdk).timeout_config(timeouts(ATTEMPT_TIMEOUT, CALL_TIMEOUT)).retry_config(retries);
        Self { client: Client::from_conf(settings.build()) }
    }

    /// The versions that are good, the current one first.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub(crate) async fn versions(&self, id: &str) -> Result<Vec<String>, String> {
        let (current, previous) = try_join(self.version(id, CURRENT), self.version(id, PREVIOUS)).await?;
        let current = current.ok_or_else(|| format!("{id} does not exist or has no value"))?;
        if current.len() < SECRET_BYTES_MIN {
            return Err(format!("{id} has {} bytes; give it at least {SECRET_BYTES_MIN}", current.len()));
        }
        Ok([current].into_iter().chain(previous.filter(|previous| previous.len() >= SECRET_BYTES_MIN)).collect())
    }

    /// The version with this label, if there is one.
    async fn version(&self, id: &str, label: &str) -> Result<Option<String>, String> {
        match self.client.get_secret_value().secret_id(id).version_stage(label).send().await {
            Ok(answer) => Ok(answer.secret_string),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
                Ok(None)
            }
            Err(error) => Err(format!("GetSecretValue: {}", chain(&error))),
        }
    }
}
