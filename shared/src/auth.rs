//! Tokens: JSON Web Tokens (RFC 7519), by a shared secret or by the issuer's published keys.
//!
//! The algorithm is the deployment's, never the token's. Whoever holds [`Claims`] or [`Admin`] has been checked.

use std::sync::Arc;

use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest as SmithyRequest;
use aws_smithy_types::byte_stream::ByteStream;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::config::{KeyConfig, TokenConfig};
use crate::error::Error;
use crate::limits::{JWKS_BYTES_MAX, JWKS_LIFE, JWKS_REFETCH_AFTER, JWKS_TIMEOUT, TOKEN_BYTES_MAX, TOKEN_LEEWAY};
use crate::protocol::{Time, UserId};
use crate::run::HttpRequest;

/// What a good token says.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Who it is.
    pub user: UserId,
    /// When the token ends.
    pub expires_at: Time,
    /// What they may do.
    roles: Vec<String>,
}

/// Proof that an operator asks: a token with the role `admin`.
#[derive(Debug)]
pub struct Admin(());

/// The claims as they are in the token.
#[derive(Deserialize)]
struct Body {
    sub: UserId,
    /// Seconds since 1970; a fraction is allowed (RFC 7519 section 2, `NumericDate`).
    exp: f64,
    /// The same, from when on it is good (section 4.1.5).
    nbf: Option<f64>,
    #[serde(default)]
    roles: Vec<String>,
}

/// Checks tokens.
#[derive(Clone)]
pub struct Verifier {
    config: TokenConfig,
    published: Arc<Mutex<Published>>,
}

/// The issuer's keys as they were last fetched.
#[derive(Default)]
struct Published {
    keys: Option<JwkSet>,
    fetched_at: Option<Time>,
}

impl Verifier {
    /// By the deployment's rules.
    pub fn new(config: TokenConfig) -> Self {
        Self { config, published: Arc::default() }
    }

    /// Says whose token it is, if it is good now.
    ///
    /// # Errors
    /// [`Error::Unauthorized`], [`Error::TokenExpired`]; [`Error::Unavailable`] when the issuer's keys can't be had.
    pub async fn verify(&self, token: &str, now: Time) -> Result<Claims, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::Unauthorized);
        }
        let (key, algorithm) = self.key(token, now).await?;
        let mut validation = Validation::new(algorithm);
        // Checked below, by the clock that we were given.
        validation.validate_exp = false;
        // Setting what `aud` or `iss` must be doesn't ask for its being there.
        let mut required = vec!["exp", "sub"];
        match &self.config.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        if let Some(issuer) = &self.config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        let body = jsonwebtoken::decode::<Body>(token, &key, &validation).map_err(|_| Error::Unauthorized)?.claims;
        let expires_at = moment(body.exp);
        if body.nbf.is_some_and(|nbf| moment(nbf) > now.after(TOKEN_LEEWAY)) {
            return Err(Error::Unauthorized);
        }
        if expires_at.after(TOKEN_LEEWAY) < now {
            return Err(Error::TokenExpired);
        }
        Ok(Claims { user: body.sub, expires_at, roles: body.roles })
    }

    /// Says whether an operator asks.
    ///
    /// # Errors
    /// [`Error::Unauthorized`], [`Error::TokenExpired`], [`Error::Forbidden`].
    pub async fn admin(&self, request: &HttpRequest, now: Time) -> Result<Admin, Error> {
        let token = request.token.as_deref().ok_or(Error::Unauthorized)?;
        let claims = self.verify(token, now).await?;
        if claims.roles.iter().any(|role| role == "admin") { Ok(Admin(())) } else { Err(Error::Forbidden) }
    }

    /// The key that this token must be signed with, and how.
    async fn key(&self, token: &str, now: Time) -> Result<(DecodingKey, Algorithm), Error> {
        match &self.config.keys {
            KeyConfig::Secret(secret) => Ok((DecodingKey::from_secret(secret.as_bytes()), Algorithm::HS256)),
            KeyConfig::Jwks { url, algorithms } => {
                let header = jsonwebtoken::decode_header(token).map_err(|_| Error::Unauthorized)?;
                let algorithm =
                    algorithms.iter().find(|accepted| **accepted == header.alg).ok_or(Error::Unauthorized)?;
                let key_id = header.kid.ok_or(Error::Unauthorized)?;
                Ok((self.published_key(url, &key_id, now).await?, *algorithm))
            }
        }
    }

    /// The issuer's key with this id. Fetched again when it is unknown or old, but never often: a client chooses key ids.
    async fn published_key(&self, url: &str, key_id: &str, now: Time) -> Result<DecodingKey, Error> {
        let mut published = self.published.lock().await;
        let known = published.keys.as_ref().is_some_and(|keys| keys.find(key_id).is_some());
        let life = if known { JWKS_LIFE } else { JWKS_REFETCH_AFTER };
        if published.fetched_at.is_none_or(|at| at.after(life) < now) {
            published.fetched_at = Some(now);
            match fetch(url).await {
                Ok(keys) => published.keys = Some(keys),
                // The keys that we have go on being good; without any, nobody can be told who they are.
                Err(cause) if published.keys.is_some() => tracing::warn!(cause, "the signing keys can't be fetched"),
                Err(cause) => {
                    published.fetched_at = None;
                    return Err(Error::Unavailable(format!("the signing keys can't be fetched: {cause}")));
                }
            }
        }
        let key = published.keys.as_ref().and_then(|keys| keys.find(key_id)).ok_or(Error::Unauthorized)?;
        DecodingKey::from_jwk(key).map_err(|_| Error::Unauthorized)
    }
}

/// A token's seconds as a moment. `as` saturates: a number that no clock reaches just never comes.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn moment(seconds: f64) -> Time {
    Time { ms: (seconds * 1_000.0) as i64 }
}

/// Fetches an issuer's keys.
async fn fetch(url: &str) -> Result<JwkSet, String> {
    let settings = HttpConnectorSettings::builder().connect_timeout(JWKS_TIMEOUT).read_timeout(JWKS_TIMEOUT).build();
    let connector = Connector::builder()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .connector_settings(settings)
        .build();
    let request = SmithyRequest::get(url).map_err(|error| error.to_string())?;
    let response = connector.call(request).await.map_err(|error| format!("{error:?}"))?;
    if !response.status().is_success() {
        return Err(format!("the issuer answered {}", response.status()));
    }
    let mut body = ByteStream::new(response.into_body());
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
        if bytes.len() > JWKS_BYTES_MAX {
            return Err(format!("the document has more than {JWKS_BYTES_MAX} bytes"));
        }
    }
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}
