//! Called before a handshake: a REQUEST authorizer.

use serde::Deserialize;
use serde_json::{Value, json};
use wire::Time;

use super::event::{InvokeError, Names, read, refused};
use super::socket::handshake;
use super::trigger::{Handling, Invocation, Supply, Trigger};
use crate::auth::{Claims, Handshake, Verifier};
use crate::config::ConfigError;
use crate::error::Error;
use crate::telemetry;

/// Says who connects.
pub struct OnHandshake(pub for<'a> fn(&'a Verifier, Handshake, Time) -> Handling<'a, Claims>);

/// What the authorizer gets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(default)]
    headers: Names,
    #[serde(default)]
    query_string_parameters: Names,
    /// What its policy is about.
    method_arn: String,
}

impl Trigger for OnHandshake {
    type With = Verifier;

    fn with(&self, supply: &(impl Supply + ?Sized)) -> Result<Verifier, ConfigError> {
        supply.verifier()
    }

    async fn warm(_: &Verifier) {}

    /// Answers with the policy that API Gateway asks for.
    async fn answer(
        &self,
        verifier: &Verifier,
        event: Value,
        invocation: Invocation<'_>,
    ) -> Result<Value, InvokeError> {
        let event: Event = read(event)?;
        let handshake = handshake(&event.headers, &event.query_string_parameters);
        let claims = (self.0)(verifier, handshake, invocation.clock.now()).await.map_err(|error| match error {
            // This very text makes API Gateway answer 401.
            Error::Unauthorized | Error::TokenExpired => {
                telemetry::failed(&error);
                InvokeError("Unauthorized".to_owned())
            }
            other => refused(other),
        })?;
        Ok(json!({
            "principalId": claims.user,
            "policyDocument": {
                "Version": "2012-10-17",
                "Statement": [{
                    "Action": ["execute-api:Invoke"],
                    "Effect": "Allow",
                    "Resource": [event.method_arn],
                }],
            },
            "context": { "userId": claims.user, "expiresAt": claims.expires_at.ms.to_string() },
        }))
    }
}
