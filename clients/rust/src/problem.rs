//! Why something that was asked has no answer, or not the one that was hoped for.

use std::fmt;

use tokio_tungstenite::tungstenite::Error as Socket;
use wire::{ErrorObject, Invalid};

/// Why a request has no answer, or not the one that was hoped for.
#[derive(Debug)]
pub enum Problem {
    /// The server has refused it. Where that is `retryable`, the same request may succeed later.
    Refused(ErrorObject),
    /// There is no final answer: the connection was lost, its function has died, or it took too long. Whether it was done nobody
    /// knows; the same request may be repeated.
    Lost(String),
    /// No connection was made: the server has answered with this HTTP status. 401 and 403 mean the token.
    NotLetIn(u16),
    /// A frame that isn't of the protocol.
    Strange(Invalid),
}

impl Problem {
    /// Whether the same request may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(error) => error.retryable,
            Self::Lost(_) => true,
            // What is too much at once, or out of order for a moment.
            Self::NotLetIn(status) => *status == 429 || *status >= 500,
            Self::Strange(_) => false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "refused: {}", error.message),
            Self::Lost(why) => write!(f, "no answer: {why}"),
            Self::NotLetIn(status) => write!(f, "not let in: HTTP status {status}"),
            Self::Strange(invalid) => write!(f, "a frame that isn't of the protocol: {invalid}"),
        }
    }
}

impl std::error::Error for Problem {}

impl From<Socket> for Problem {
    fn from(error: Socket) -> Self {
        match error {
            Socket::Http(refusal) => Self::NotLetIn(refusal.status().as_u16()),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::Strange(invalid)
    }
}
