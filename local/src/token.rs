//! `POST /dev/token`: a token for anybody, signed with this machine's secret. It exists on one machine only.

use std::collections::BTreeMap;
use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use shared::limits::TOKEN_LIFE_MAX;

use crate::clock;

/// The longest user id (PROTOCOL.md, "Connecting").
const SUB_BYTES_MAX: usize = 128;
/// An hour, when the request doesn't say.
const TTL_DEFAULT_S: u64 = 3_600;
/// The functions take none that ends later.
const TTL_MAX_S: u64 = TOKEN_LIFE_MAX.as_secs();

/// Signs tokens that the functions of this machine accept.
#[derive(Debug, Default)]
pub struct TokenIssuer {
    secret: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
}

/// What a token is to say.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRequest {
    sub: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    chapters: Vec<String>,
    name: Option<String>,
    #[serde(default = "ttl_default_s")]
    ttl_seconds: u64,
}

fn ttl_default_s() -> u64 {
    TTL_DEFAULT_S
}

/// Why there is no token, in a sentence for the caller.
#[derive(Debug)]
pub struct TokenError(String);

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TokenError {}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iat: i64,
    exp: i64,
    roles: &'a [String],
    chapters: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// Whether these template parameters have the functions accept tokens that are signed with a secret.
#[must_use]
pub fn accepts_secret(parameters: &BTreeMap<String, String>) -> bool {
    parameters.get("JwtAlgorithms").is_some_and(|algorithms| algorithms == "HS256")
}

impl TokenIssuer {
    /// With the machine's secret, if it has one; issuer and audience are the template's, so that the functions agree.
    #[must_use]
    pub fn new(secret: Option<String>, parameters: &BTreeMap<String, String>) -> Self {
        shared::auth::crypto::install();
        let value = |name: &str| parameters.get(name).filter(|value| !value.is_empty()).cloned();
        Self { secret, issuer: value("JwtIssuer"), audience: value("JwtAudience") }
    }

    /// The token that this request body asks for.
    ///
    /// # Errors
    /// The body is no such request (the error names the field), or this machine accepts no tokens signed with a secret.
    pub fn issue(&self, body: &[u8]) -> Result<String, TokenError> {
        let secret = self.secret.as_ref().ok_or_else(|| {
            TokenError("JwtAlgorithms is not HS256: get a token from the issuer at JwtJwksUrl".to_owned())
        })?;
        let request = TokenRequest::parse(body)?;
        let now = clock::now().ms / 1_000;
        let claims = Claims {
            sub: &request.sub,
            iat: now,
            exp: now.saturating_add_unsigned(request.ttl_seconds),
            roles: &request.roles,
            chapters: &request.chapters,
            name: request.name.as_deref(),
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
        };
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
            .map_err(|error| TokenError(format!("the token can't be signed: {error}")))
    }
}

impl TokenRequest {
    fn parse(body: &[u8]) -> Result<Self, TokenError> {
        let text = std::str::from_utf8(body).map_err(|_| TokenError("the body isn't UTF-8".to_owned()))?;
        let request: Self = wire::parse_body(text).map_err(|invalid| TokenError(invalid.to_string()))?;
        if request.sub.is_empty() || request.sub.len() > SUB_BYTES_MAX || request.sub.chars().any(char::is_control) {
            return Err(TokenError(format!("sub: must be 1 to {SUB_BYTES_MAX} bytes without control characters")));
        }
        if request.ttl_seconds > TTL_MAX_S {
            return Err(TokenError(format!("ttlSeconds: must be {TTL_MAX_S} or less")));
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> TokenIssuer {
        TokenIssuer::new(Some("a secret of at least 32 bytes, really".to_owned()), &BTreeMap::new())
    }

    fn refused(body: &str) -> String {
        issuer().issue(body.as_bytes()).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_token_has_three_parts() {
        let token = issuer().issue(br#"{"sub":"ann","roles":["admin"]}"#).expect("is issued");
        assert_eq!(token.split('.').count(), 3);
    }

    #[test]
    fn a_bad_field_is_named() {
        assert_eq!(refused("{}"), "sub: this field is missing");
        assert!(refused(r#"{"sub":5}"#).starts_with("sub: "));
        assert!(refused(r#"{"sub":""}"#).starts_with("sub: "));
        assert!(refused(r#"{"sub":"ann","roles":"admin"}"#).starts_with("roles: "));
        assert!(refused(r#"{"sub":"ann","ttlSeconds":-1}"#).starts_with("ttlSeconds: "));
        let ttl = |ttl_s: u64| format!(r#"{{"sub":"ann","ttlSeconds":{ttl_s}}}"#);
        assert!(issuer().issue(ttl(TTL_MAX_S).as_bytes()).is_ok());
        assert!(refused(&ttl(TTL_MAX_S + 1)).starts_with("ttlSeconds: "));
        assert!(refused(r#"{"sub":"ann","colour":"red"}"#).contains("colour"));
        assert!(refused(r#"["ann",["admin"]]"#).contains("an object"));
    }

    #[test]
    fn no_token_is_issued_where_none_would_be_accepted() {
        let error = TokenIssuer::default().issue(br#"{"sub":"ann"}"#).expect_err("must be refused");
        assert!(error.to_string().contains("JwtAlgorithms"));
    }
}
