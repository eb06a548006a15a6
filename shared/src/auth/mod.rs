//! Who asks, and how they prove it: [`asking`] has what came with a request, [`token`] checks tokens, `keys` keeps what they are
//! checked by, `published` fetches that from an issuer, [`crypto`] checks signatures. Whoever holds a [`Caller`], [`Claims`] or an [`Admin`] has been checked.

pub mod asking;
pub mod crypto;
mod keys;
mod published;
pub mod token;

pub use asking::{Caller, Handshake, HttpRequest, Token};
pub use token::{Admin, Claims, Verifier};
