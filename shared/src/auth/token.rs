//! Tokens: JSON Web Tokens (RFC 7519), by a shared secret or by the issuer's published keys.
//!
//! The algorithm is the deployment's, never the token's. How keys are kept is in `keys`. Whoever holds [`Claims`] or [`Admin`]
//! has been checked.

use std::sync::Arc;

use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};
use wire::{Time, UserId};

use super::asking::{HttpRequest, Token};
use super::keys::{Key, Keys};
use super::{crypto, published};
use crate::config::{KeyConfig, TokenConfig};
use crate::error::Error;
use crate::limits::{
    JWKS_LIFE, JWKS_REFETCH_AFTER, JWKS_TIMEOUT, KEYS_TRIED_MAX, SECRET_LIFE, SECRET_REFETCH_AFTER, TOKEN_LEEWAY,
    TOKEN_LIFE_MAX,
};
use crate::secret::Secrets;

/// What a good token says.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Who it is.
    pub user: UserId,
    /// When the token ends.
    pub expires_at: Time,
    /// Whether it is an operator.
    is_admin: bool,
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
    /// Of operators. The chat has no need of them, so they may be anything.
    #[serde(default)]
    roles: Value,
}

impl Body {
    /// Whether this is one of the roles: of a list of texts, or a text alone. Anything else is no role.
    fn has_role(&self, role: &str) -> bool {
        match &self.roles {
            Value::Array(roles) => roles.iter().any(|one| one == role),
            one => one == role,
        }
    }
}

/// Checks tokens.
#[derive(Clone)]
pub struct Verifier {
    config: TokenConfig,
    secrets: Secrets,
    keys: Arc<Keys>,
}

impl Verifier {
    /// By the deployment's rules.
    pub fn new(config: TokenConfig, secrets: Secrets) -> Self {
        crypto::install();
        let keys = match &config.keys {
            KeyConfig::Secret(_) => Keys::new(SECRET_LIFE, SECRET_REFETCH_AFTER),
            KeyConfig::Jwks { .. } => Keys::new(JWKS_LIFE, JWKS_REFETCH_AFTER),
        };
        Self { config, secrets, keys: Arc::new(keys) }
    }

    /// By the deployment's rules, as the functions open it that check tokens.
    pub fn open(config: TokenConfig, sdk: &SdkConfig) -> Self {
        Self::new(config, Secrets::new(sdk))
    }

    /// Says whose token it is, if it is good now.
    ///
    /// # Errors
    /// [`Error::Unauthorized`], [`Error::TokenExpired`]; [`Error::Unavailable`] when the issuer's keys can't be had.
    pub async fn verify(&self, token: &Token, now: Time) -> Result<Claims, Error> {
        let claims = self.signed(token.text()?, now).await?;
        let body: Body = serde_json::from_value(Value::Object(claims)).map_err(|_| Error::Unauthorized)?;
        let expires_at = moment(body.exp);
        if body.nbf.is_some_and(|nbf| moment(nbf) > now.after(TOKEN_LEEWAY)) {
            return Err(Error::Unauthorized);
        }
        if expires_at.after(TOKEN_LEEWAY) < now {
            return Err(Error::TokenExpired);
        }
        if expires_at > now.after(TOKEN_LIFE_MAX).after(TOKEN_LEEWAY) {
            tracing::warn!("a token ends too late");
            return Err(Error::Unauthorized);
        }
        Ok(Claims { is_admin: body.has_role("admin"), user: body.sub, expires_at })
    }

    /// Says whether an operator asks.
    ///
    /// # Errors
    /// [`Error::Unauthorized`], [`Error::TokenExpired`], [`Error::Forbidden`].
    pub async fn admin(&self, request: &HttpRequest, now: Time) -> Result<Admin, Error> {
        let token = request.token.as_ref().ok_or(Error::Unauthorized)?;
        let claims = self.verify(token, now).await?;
        if claims.is_admin { Ok(Admin(())) } else { Err(Error::Forbidden) }
    }

    /// What a token says, if it is signed with a key of ours, and for us.
    async fn signed(&self, token: &str, now: Time) -> Result<Map<String, Value>, Error> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Error::Unauthorized)?;
        let is_accepted = match &self.config.keys {
            KeyConfig::Secret(_) => header.alg == Algorithm::HS256,
            KeyConfig::Jwks { algorithms, .. } => algorithms.contains(&header.alg),
        };
        if !is_accepted || names_critical(token) {
            return Err(Error::Unauthorized);
        }
        let validation = self.validation(header.alg);
        let check = |keys: &[Key]| {
            let mut fitting = keys.iter().filter(|key| key.fits(&header)).take(KEYS_TRIED_MAX);
            // An object, and nothing else: serde also takes a struct's fields from a list.
            fitting.find_map(|key| match jsonwebtoken::decode(token, &key.key, &validation) {
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => None,
                decoded => Some(decoded),
            })
        };
        let decoded = self.keys.find(now, check, self.fetch()).await?;
        Ok(decoded.map_err(|_| Error::Unauthorized)?.claims)
    }

    /// What must be right beside the signature.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        // Checked by the clock that we were given.
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
        validation
    }

    /// Fetches the keys: each good version of the secret, or what the issuer publishes.
    async fn fetch(&self) -> Result<Vec<Key>, String> {
        match &self.config.keys {
            KeyConfig::Secret(arn) => {
                let versions = self.secrets.versions(arn).await?.into_iter();
                let key = |secret: String| DecodingKey::from_secret(secret.as_bytes());
                Ok(versions.map(|secret| Key { algorithm: Algorithm::HS256, id: None, key: key(secret) }).collect())
            }
            KeyConfig::Jwks { url, .. } => published::fetch(url, JWKS_TIMEOUT).await,
        }
    }
}

/// Whether a token's header has `crit`, whatever it says: then there is something that must be understood, or else the token is
/// no good (RFC 7515 section 4.1.11), and none of that is known here.
fn names_critical(token: &str) -> bool {
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let header = header.and_then(|header| serde_json::from_slice::<Map<String, Value>>(&header).ok());
    header.is_none_or(|header| header.contains_key("crit"))
}

/// A token's seconds as a moment. `as` saturates: a number that no clock reaches just never comes.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn moment(seconds: f64) -> Time {
    Time { ms: (seconds * 1_000.0) as i64 }
}
