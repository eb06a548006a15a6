//! Why a request was refused, and what the client is told of it.

use std::time::Duration;

use wire::limits::ERROR_TEXT_CHARS_MAX;
use wire::{Code, Coins, ErrorDetails, ErrorObject, Invalid, UserId};

/// Why a request was refused. Its text is for a person; [`Error::code`] is for a program.
#[derive(Debug)]
pub enum Error {
    /// The request itself is wrong.
    Invalid(Invalid),
    /// No such action.
    UnknownAction(String),
    /// No token, or a bad one.
    Unauthorized,
    /// The token was good, once.
    TokenExpired,
    /// The token is good, but not for this.
    Forbidden,
    /// Not in this conversation, or there is none: both look the same.
    NotAParticipant,
    /// There is no such thing.
    NotFound,
    /// A conversation with oneself.
    SelfConversation,
    /// A group has no room for so many.
    GroupFull {
        /// How many it may have.
        max: usize,
    },
    /// There is too much of something.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How much there may be.
        max: usize,
        /// With whom, where that isn't the caller.
        user: Option<UserId>,
    },
    /// One of the two has blocked the other.
    Blocked,
    /// Not enough coins.
    InsufficientBalance {
        /// What there is.
        balance: Coins,
        /// What it costs.
        price: Coins,
    },
    /// It costs more than the sender would pay.
    PriceChanged {
        /// What it costs.
        price: Coins,
    },
    /// The same clientMessageId with something else.
    ClientMessageIdReused,
    /// The same clientRequestId with something else.
    ClientRequestIdReused,
    /// The send was given up; nothing was sent or charged.
    SendExpired,
    /// Too fast, or too much at once.
    RateLimited {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The same idempotencyKey with another amount.
    IdempotencyKeyReused,
    /// Something we need didn't answer in time. Trying again is right.
    Unavailable(String),
    /// What is asked for can't be read: it is damaged, missing where it was kept, or of a kind that a later version writes.
    /// Trying again helps once an operator has mended it, or the later version is there.
    Unreadable(String),
    /// A bug, or something that an operator must see. The cause is logged, never sent.
    Internal(String),
}

impl Error {
    /// A request that is wrong in FIELD (nothing: the whole frame).
    pub fn bad_request(field: &str, problem: &str) -> Self {
        Self::Invalid(Invalid::field(field, problem))
    }

    /// It may be tried again after this.
    pub fn rate_limited(wait: Duration) -> Self {
        Self::RateLimited { retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) }
    }

    /// What a client is told, for a program.
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(invalid) => invalid.code(),
            Self::UnknownAction(_) => Code::UnknownAction,
            Self::Unauthorized => Code::Unauthorized,
            Self::TokenExpired => Code::TokenExpired,
            Self::Forbidden => Code::Forbidden,
            Self::NotAParticipant => Code::NotAParticipant,
            Self::NotFound => Code::NotFound,
            Self::SelfConversation => Code::SelfConversation,
            Self::GroupFull { .. } => Code::GroupFull,
            Self::TooMany { .. } => Code::TooMany,
            Self::Blocked => Code::Blocked,
            Self::InsufficientBalance { .. } => Code::InsufficientBalance,
            Self::PriceChanged { .. } => Code::PriceChanged,
            Self::ClientMessageIdReused => Code::ClientMessageIdReused,
            Self::ClientRequestIdReused => Code::ClientRequestIdReused,
            Self::SendExpired => Code::SendExpired,
            Self::RateLimited { .. } => Code::RateLimited,
            Self::IdempotencyKeyReused => Code::IdempotencyKeyReused,
            Self::Unavailable(_) | Self::Unreadable(_) => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }

    /// What an operator must see and a client must not: the cause.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Unavailable(cause) | Self::Unreadable(cause) | Self::Internal(cause) => Some(cause),
            _ => None,
        }
    }

    /// The protocol's `error` object. `trace_id` finds an internal cause in the log.
    pub fn body(&self, trace_id: &str) -> ErrorObject {
        let code = self.code();
        let nothing = ErrorDetails::default();
        let details = match self {
            Self::Invalid(Invalid::Field { field, .. }) if !field.is_empty() => {
                Some(ErrorDetails { field: Some(cut(field)), ..nothing })
            }
            Self::InsufficientBalance { balance, price } => {
                Some(ErrorDetails { balance: Some(*balance), price: Some(*price), ..nothing })
            }
            Self::GroupFull { max } => Some(ErrorDetails { max: Some(*max), ..nothing }),
            Self::TooMany { what, max, user } => {
                Some(ErrorDetails { what: Some((*what).to_owned()), max: Some(*max), user_id: user.clone(), ..nothing })
            }
            Self::PriceChanged { price } => Some(ErrorDetails { price: Some(*price), ..nothing }),
            Self::RateLimited { retry_after_ms } => {
                Some(ErrorDetails { retry_after_ms: Some(*retry_after_ms), ..nothing })
            }
            Self::Invalid(Invalid::TooMany { what, max }) => {
                Some(ErrorDetails { what: Some((*what).to_owned()), max: Some(*max), ..nothing })
            }
            Self::Unavailable(_) | Self::Unreadable(_) | Self::Internal(_) => {
                Some(ErrorDetails { request_id: Some(trace_id.to_owned()), ..nothing })
            }
            _ => None,
        };
        ErrorObject { code: code.into(), message: cut(&self.to_string()), retryable: code.is_retryable(), details }
    }
}

/// At most [`ERROR_TEXT_CHARS_MAX`] characters of a text.
fn cut(text: &str) -> String {
    match text.char_indices().nth(ERROR_TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::UnknownAction(action) => write!(f, "there is no action {action:?}"),
            Self::Unauthorized => f.write_str("the token is missing or not valid"),
            Self::TokenExpired => f.write_str("the token has expired; get a new one and connect again"),
            Self::Forbidden => f.write_str("you have no right to do this"),
            Self::NotAParticipant => f.write_str("there is no such conversation, or you are not in it"),
            Self::NotFound => f.write_str("there is no such thing"),
            Self::SelfConversation => f.write_str("this needs somebody else than yourself"),
            Self::Blocked => f.write_str("one of you has blocked the other"),
            Self::GroupFull { max } => write!(f, "a group has {max} people at most"),
            Self::TooMany { what, max, user: None } => write!(f, "at most {max} {what}"),
            Self::TooMany { what, max, user: Some(user) } => write!(f, "{user} has too many {what}: {max} at most"),
            Self::InsufficientBalance { balance, price } => {
                write!(f, "the message costs {} coins and the balance is {}", price.0, balance.0)
            }
            Self::PriceChanged { price } => write!(f, "the message costs {} coins, more than maxPrice", price.0),
            Self::ClientMessageIdReused => {
                f.write_str("this clientMessageId was used for another message; take a new one")
            }
            Self::ClientRequestIdReused => {
                f.write_str("this clientRequestId was used for another request; take a new one")
            }
            Self::SendExpired => {
                f.write_str("the message was given up; nothing was sent or charged; send it again with a new id")
            }
            Self::RateLimited { retry_after_ms } => write!(f, "too fast; try again in {retry_after_ms} ms"),
            Self::IdempotencyKeyReused => f.write_str("this idempotencyKey was used for another amount"),
            Self::Unavailable(_) => f.write_str("the service is busy; try again"),
            Self::Unreadable(_) => f.write_str("this can't be read now; try again later"),
            Self::Internal(_) => f.write_str("something went wrong on our side; try again"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_the_details_that_its_row_in_wire_names() {
        let errors = [
            Error::bad_request("seq", "wrong"),
            Error::UnknownAction("fly".to_owned()),
            Error::Invalid(Invalid::ContentTooLong),
            Error::Invalid(Invalid::ContentEmpty),
            Error::Unauthorized,
            Error::TokenExpired,
            Error::Forbidden,
            Error::NotAParticipant,
            Error::NotFound,
            Error::SelfConversation,
            Error::Blocked,
            Error::GroupFull { max: 2 },
            Error::TooMany { what: "groups", max: 2, user: "bob".parse().ok() },
            Error::InsufficientBalance { balance: Coins(1), price: Coins(2) },
            Error::PriceChanged { price: Coins(2) },
            Error::ClientMessageIdReused,
            Error::ClientRequestIdReused,
            Error::SendExpired,
            Error::rate_limited(Duration::from_millis(7)),
            Error::IdempotencyKeyReused,
            Error::Unavailable(String::new()),
            Error::Internal(String::new()),
        ];
        assert_eq!(errors.iter().map(Error::code).collect::<Vec<_>>(), Code::ALL, "one of each code, in their order");
        for error in errors.iter().chain([&Error::Unreadable(String::new())]) {
            let details = serde_json::to_value(error.body("trace").details).expect("JSON");
            let names: Vec<&String> = details.as_object().into_iter().flat_map(|details| details.keys()).collect();
            assert_eq!(names, error.code().details(), "{error:?}");
        }
        assert_eq!(Error::bad_request("", "wrong").body("trace").details, None, "the whole frame");
    }
}
