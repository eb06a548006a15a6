//! What can be wrong: the codes that a client is told, and what is wrong with what it said.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::CONTENT_CHARS_MAX;

/// Defines the codes, a row each: its name on the wire, whether the same request may succeed later, the HTTP status, and what
/// its details may hold.
macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident $name:literal $retryable:literal $status:literal $details:tt,)*) => {
        /// Why a request was refused, for a program.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $name)] $code,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// Its name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)*
                }
            }

            /// Whether the same request may succeed later.
            pub const fn is_retryable(self) -> bool {
                match self {
                    $(Self::$code => $retryable,)*
                }
            }

            /// The HTTP status that fits.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$code => $status,)*
                }
            }

            /// What its details may hold, as it is called on the wire.
            pub const fn details(self) -> &'static [&'static str] {
                match self {
                    $(Self::$code => &$details,)*
                }
            }
        }
    };
}

codes! {
    /// The request itself is wrong.
    BadRequest "bad_request" false 400 ["field"],
    /// No such action.
    UnknownAction "unknown_action" false 400 [],
    /// The text is too long.
    ContentTooLong "content_too_long" false 400 [],
    /// There is no text.
    ContentEmpty "content_empty" false 400 [],
    /// No token, or a bad one.
    Unauthorized "unauthorized" false 401 [],
    /// The token was good, once.
    TokenExpired "token_expired" false 401 [],
    /// The token is good, but not for this.
    Forbidden "forbidden" false 403 [],
    /// Not in this conversation, or there is none: both look the same.
    NotAParticipant "not_a_participant" false 403 [],
    /// There is no such thing.
    NotFound "not_found" false 404 [],
    /// A conversation with oneself.
    SelfConversation "self_conversation" false 400 [],
    /// One of the two has blocked the other.
    Blocked "blocked" false 403 [],
    /// The group has no room for so many.
    GroupFull "group_full" false 409 ["max"],
    /// There are as many as there may be, or a list is too long.
    TooMany "too_many" false 409 ["max", "userId", "what"],
    /// Not enough coins.
    InsufficientBalance "insufficient_balance" false 402 ["balance", "price"],
    /// It costs more than the sender would pay.
    PriceChanged "price_changed" false 409 ["price"],
    /// The same clientMessageId with something else.
    ClientMessageIdReused "client_message_id_reused" false 409 [],
    /// The same clientRequestId with other fields.
    ClientRequestIdReused "client_request_id_reused" false 409 [],
    /// The send was given up; nothing was sent or charged.
    SendExpired "send_expired" false 409 [],
    /// Too fast, or too much at once.
    RateLimited "rate_limited" true 429 ["retryAfterMs"],
    /// The same idempotencyKey with another amount.
    IdempotencyKeyReused "idempotency_key_reused" false 409 [],
    /// Something we need didn't answer in time. Trying again is right.
    Unavailable "unavailable" true 503 ["requestId"],
    /// A bug, or something that an operator must see. The cause is logged, never sent.
    Internal "internal" true 500 ["requestId"],
}

/// What is wrong with what a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// A field, or the whole of it.
    Field {
        /// Which, or nothing for the whole.
        field: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The text is too long.
    ContentTooLong,
    /// There is no text.
    ContentEmpty,
    /// A list is too long.
    TooMany {
        /// Which.
        what: &'static str,
        /// How many it may have.
        max: usize,
    },
}

impl Invalid {
    /// What is wrong in FIELD (nothing: the whole).
    pub fn field(field: &str, problem: &str) -> Self {
        Self::Field { field: field.to_owned(), problem: problem.to_owned() }
    }

    /// What a client is told, for a program.
    pub const fn code(&self) -> Code {
        match self {
            Self::Field { .. } => Code::BadRequest,
            Self::ContentTooLong => Code::ContentTooLong,
            Self::ContentEmpty => Code::ContentEmpty,
            Self::TooMany { .. } => Code::TooMany,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { field, problem } if field.is_empty() => f.write_str(problem),
            Self::Field { field, problem } => write!(f, "{field}: {problem}"),
            Self::ContentTooLong => write!(f, "content: at most {CONTENT_CHARS_MAX} characters"),
            Self::ContentEmpty => f.write_str("content: write something"),
            Self::TooMany { what, max } => write!(f, "{what}: at most {max}"),
        }
    }
}

impl std::error::Error for Invalid {}
