//! Names and secrets that nobody can guess.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

/// 88 random bits, like API Gateway's own ids: 16 characters with the padding.
const ID_BYTES: usize = 11;
/// As many as HS256 can use.
const SECRET_BYTES: usize = 32;

/// An id for a connection, a message or a request, in API Gateway's form.
#[must_use]
pub fn id() -> String {
    URL_SAFE.encode(random::<ID_BYTES>())
}

/// A secret to sign tokens with.
#[must_use]
pub fn secret() -> String {
    URL_SAFE.encode(random::<SECRET_BYTES>())
}

/// True in `percent` of 100 cases.
#[must_use]
pub fn chance(percent: u8) -> bool {
    u32::from_le_bytes(random()) % 100 < u32::from(percent)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}
