//! An issuer's published keys: a JSON Web Key Set (RFC 7517), fetched from its address.

use std::collections::HashMap;
use std::time::Duration;

use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::value::RawValue;

use super::keys::Key;
use crate::limits::JWKS_BYTES_MAX;

/// Fetches an issuer's keys. LIMIT is for all of it, as an issuer may send its document byte by byte.
pub(super) async fn fetch(url: &str, limit: Duration) -> Result<Vec<Key>, String> {
    let document = tokio::time::timeout(limit, exchange(url)).await;
    read(&document.unwrap_or_else(|_| Err(format!("the issuer took longer than {limit:?}")))?)
}

/// Asks an issuer for its keys.
async fn exchange(url: &str) -> Result<Vec<u8>, String> {
    let connector =
        Connector::builder().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build();
    let request = HttpRequest::get(url).map_err(|error| error.to_string())?;
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
    Ok(bytes)
}

/// The keys of a set that signatures are checked by. Each is read by itself: one that isn't understood is passed over, and the
/// others are good (RFC 7517 section 5).
fn read(document: &[u8]) -> Result<Vec<Key>, String> {
    let set: HashMap<String, &RawValue> = serde_json::from_slice(document).map_err(|error| error.to_string())?;
    let keys = set.get("keys").ok_or("the document has no keys")?;
    let keys: Vec<&RawValue> = serde_json::from_str(keys.get()).map_err(|error| error.to_string())?;
    let mut odd = Vec::new();
    let mut good = Vec::new();
    for (place, key) in keys.iter().enumerate() {
        match understood(key) {
            Some((jwk, key)) => good.extend(for_signatures(jwk, key)),
            None => odd.push(place),
        }
    }
    if let Some(first) = odd.first() {
        tracing::warn!(keys = odd.len(), first, "keys of the issuer are passed over");
    }
    Ok(good)
}

/// A key, if it is one of a kind that is known here.
fn understood(key: &RawValue) -> Option<(Jwk, DecodingKey)> {
    let jwk = serde_json::from_str(key.get()).ok()?;
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some((jwk, key))
}

/// What it is for: signatures of one algorithm, or nothing here. What it says of that itself has to be the same.
fn for_signatures(jwk: Jwk, key: DecodingKey) -> Option<Key> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(point) if point.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    let common = jwk.common;
    let says_so = common.public_key_use.is_none_or(|used| used == PublicKeyUse::Signature)
        && common.key_operations.is_none_or(|may| may.contains(&KeyOperations::Verify))
        && common.key_algorithm.is_none_or(|its| its == algorithm.into());
    says_so.then_some(Key { algorithm, id: common.key_id, key })
}
