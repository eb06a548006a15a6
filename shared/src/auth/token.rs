//! Tokens: JSON Web Tokens (RFC 7519), by a shared secret or by the issuer's published keys.
//!
//! The algorithm is the deployment's, never the token's. How keys are fetched and kept is in `keys`. Whoever holds [`Claims`]
//! or [`Admin`] has been checked.

use std::sync::Arc;

use aws_types::SdkConfig;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};
use wire::{Time, UserId};

use super::asking::HttpRequest;
use super::crypto;
use super::keys::{Keys, fetch};
use crate::config::{KeyConfig, TokenConfig};
use crate::error::Error;
use crate::limits::{
    JWKS_LIFE, JWKS_REFETCH_AFTER, JWKS_TIMEOUT, SECRET_LIFE, SECRET_REFETCH_AFTER, TOKEN_BYTES_MAX, TOKEN_LEEWAY,
};
use crate::secret::Secrets;

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
    secrets: Secrets,
    versions: Arc<Keys<Vec<DecodingKey>>>,
    published: Arc<Keys<JwkSet>>,
}

impl Verifier {
    /// By the deployment's rules.
    pub fn new(config: TokenConfig, secrets: Secrets) -> Self {
        crypto::install();
        let versions = Arc::new(Keys::new(SECRET_LIFE, SECRET_REFETCH_AFTER));
        let published = Arc::new(Keys::new(JWKS_LIFE, JWKS_REFETCH_AFTER));
        Self { config, secrets, versions, published }
    }

    /// By the deployment's rules, as the functions open it that check tokens.
    pub fn open(config: TokenConfig, sdk: &SdkConfig) -> Self {
        Self::new(config, Secrets::new(sdk))
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
        // An object, and nothing else: serde also takes a struct's fields from a list.
        let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation);
        let claims = claims.map_err(|_| Error::Unauthorized)?.claims;
        let body: Body = serde_json::from_value(Value::Object(claims)).map_err(|_| Error::Unauthorized)?;
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
        let header = jsonwebtoken::decode_header(token).map_err(|_| Error::Unauthorized)?;
        match &self.config.keys {
            KeyConfig::Secret(arn) => {
                if header.alg != Algorithm::HS256 {
                    return Err(Error::Unauthorized);
                }
                Ok((self.version(arn, token, now).await?, Algorithm::HS256))
            }
            KeyConfig::Jwks { url, algorithms } => {
                let algorithm =
                    algorithms.iter().find(|accepted| **accepted == header.alg).ok_or(Error::Unauthorized)?;
                let key_id = header.kid.ok_or(Error::Unauthorized)?;
                Ok((self.published_key(url, &key_id, now).await?, *algorithm))
            }
        }
    }

    /// The version of the secret that this token is signed with.
    async fn version(&self, arn: &str, token: &str, now: Time) -> Result<DecodingKey, Error> {
        let fetch = async {
            let versions = self.secrets.versions(arn).await?;
            Ok(versions.iter().map(|secret| DecodingKey::from_secret(secret.as_bytes())).collect())
        };
        self.versions.find(now, |keys| keys.iter().find(|key| signs(key, token)).cloned(), fetch).await
    }

    /// The issuer's key with this id.
    async fn published_key(&self, url: &str, key_id: &str, now: Time) -> Result<DecodingKey, Error> {
        let key = self.published.find(now, |keys| keys.find(key_id).cloned(), fetch(url, JWKS_TIMEOUT)).await?;
        DecodingKey::from_jwk(&key).map_err(|_| Error::Unauthorized)
    }
}

/// Whether a token is signed with this secret.
fn signs(key: &DecodingKey, token: &str) -> bool {
    let Some((message, signature)) = token.rsplit_once('.') else { return false };
    jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, Algorithm::HS256).unwrap_or_default()
}

/// A token's seconds as a moment. `as` saturates: a number that no clock reaches just never comes.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn moment(seconds: f64) -> Time {
    Time { ms: (seconds * 1_000.0) as i64 }
}
