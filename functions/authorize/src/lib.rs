//! The authorizer: says who connects, before the handshake. Whom it can't name is refused with 401.

use shared::auth::{Claims, Handshake, Verifier};
use shared::error::Error;
use shared::run::{Function, Handling, OnHandshake};
use wire::Time;

/// The function.
pub static FUNCTION: Function<OnHandshake> = Function { name: "authorize", trigger: OnHandshake(handle) };

fn handle(verifier: &Verifier, handshake: Handshake, now: Time) -> Handling<'_, Claims> {
    Box::pin(authorize(verifier, handshake, now))
}

/// Checks the handshake's token.
///
/// # Errors
/// [`Error::Unauthorized`] without a good one; [`Error::TokenExpired`]; [`Error::Unavailable`] when the issuer's keys can't
/// be had.
pub async fn authorize(verifier: &Verifier, handshake: Handshake, now: Time) -> Result<Claims, Error> {
    let token = handshake.token.ok_or(Error::Unauthorized)?;
    verifier.verify(&token, now).await
}
