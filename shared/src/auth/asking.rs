//! Who asks, and what came with it: a frame's [`Caller`], a connection's [`Handshake`], an [`HttpRequest`].

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use wire::{ConnectionId, Device, RequestId, Time, UserId};

use crate::error::Error;
use crate::limits::{TOKEN_BYTES_MAX, TOKEN_QUERY_BYTES_MAX};

/// The subprotocol that the server answers.
pub const SUBPROTOCOL: &str = "chat.v1";
/// The subprotocol that carries a token, for browsers.
const BEARER_SUBPROTOCOL: &str = "bearer.";

/// Who asks: taken from the authorizer's context, never from the client. Only [`crate::run`] makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The connection that the frame came on.
    pub connection: ConnectionId,
    /// The client's name for the request.
    pub request_id: Option<RequestId>,
    /// Lambda's name for the invocation: unique, and in the log.
    pub trace_id: String,
    /// When the token expires.
    pub(crate) expires_at: Time,
}

impl Caller {
    /// When the token expires: from then on its user hears nothing on this connection.
    pub fn token_expires_at(&self) -> Time {
        self.expires_at
    }
}

/// A token as somebody has sent it. It is still to be checked.
#[derive(Debug)]
pub struct Token {
    text: String,
    /// How long one may be where it stood.
    bytes_max: usize,
}

impl Token {
    /// From a header.
    fn in_header(text: &str) -> Self {
        Self { text: text.to_owned(), bytes_max: TOKEN_BYTES_MAX }
    }

    /// From the query of an address.
    fn in_query(text: String) -> Self {
        Self { text, bytes_max: TOKEN_QUERY_BYTES_MAX }
    }

    /// What it says.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when it is too long. Whoever issues such tokens finds that in the log: the client is told no more
    /// than of any other.
    pub(super) fn text(&self) -> Result<&str, Error> {
        let (bytes, bytes_max) = (self.text.len(), self.bytes_max);
        if bytes > bytes_max {
            tracing::warn!(bytes, bytes_max, "a token is too long");
            return Err(Error::Unauthorized);
        }
        Ok(&self.text)
    }
}

/// What a client says when it connects.
#[derive(Debug, Default)]
pub struct Handshake {
    /// The token: the first of the three carriers.
    pub token: Option<Token>,
    /// The client's name for its device, as given.
    device: Option<String>,
    /// Whether it offered [`SUBPROTOCOL`].
    pub(crate) offers_subprotocol: bool,
}

impl Handshake {
    /// From a request's headers and query. The first carrier counts: header, subprotocol, query.
    pub(crate) fn new<'a>(header: impl Fn(&str) -> Option<&'a str>, query: impl Fn(&str) -> Option<String>) -> Self {
        let bearer = header("authorization").and_then(bearer);
        let protocols: Vec<&str> =
            header("sec-websocket-protocol").unwrap_or_default().split(',').map(str::trim).collect();
        let protocol = protocols.iter().find_map(|protocol| protocol.strip_prefix(BEARER_SUBPROTOCOL));
        Self {
            token: bearer.or_else(|| protocol.map(Token::in_header)).or_else(|| query("token").map(Token::in_query)),
            device: query("device"),
            offers_subprotocol: protocols.contains(&SUBPROTOCOL),
        }
    }

    /// The client's name for its device.
    ///
    /// # Errors
    /// [`Error::Invalid`] when that is no such name.
    pub fn device(&self) -> Result<Option<Device>, Error> {
        self.device.as_deref().map(|text| addressed("device", text)).transpose()
    }
}

/// The token of an `Authorization` header.
pub(crate) fn bearer(header: &str) -> Option<Token> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Token::in_header(token.trim()))
}

/// One HTTP request.
#[derive(Debug)]
pub struct HttpRequest {
    /// The route as `template.yaml` has it: `GET /api/wallets/{userId}`.
    pub route: String,
    /// The parts of the path that the route names.
    pub(crate) path: HashMap<String, String>,
    /// The query.
    pub(crate) query: HashMap<String, String>,
    /// The token of the `Authorization` header.
    pub token: Option<Token>,
    /// The body; nothing, if it is no text.
    pub(crate) body: Option<String>,
}

impl HttpRequest {
    /// What the path says in a part that the route names.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the part.
    pub fn path<T: TryFrom<String, Error = String>>(&self, name: &str) -> Result<T, Error> {
        addressed(name, self.path.get(name).map(String::as_str).unwrap_or_default())
    }

    /// What the query says, if it says it.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names it.
    pub fn query<T: TryFrom<String, Error = String>>(&self, name: &str) -> Result<Option<T>, Error> {
        self.query.get(name).map(|text| addressed(name, text)).transpose()
    }

    /// The body.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no text.
    pub fn body(&self) -> Result<&str, Error> {
        self.body.as_deref().ok_or_else(|| Error::bad_request("", "the body isn't text in UTF-8"))
    }

    /// Reads the JSON body's fields, of which none may come twice.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(wire::parse_body(self.body()?)?)
    }
}

/// Takes what an address says. Its bytes may be no text; what it was meant for can't be told from others then. A gateway
/// puts the sign for that in their place, or leaves them as they were written.
fn addressed<T: TryFrom<String, Error = String>>(name: &str, text: &str) -> Result<T, Error> {
    if text.contains(char::REPLACEMENT_CHARACTER) || percent_decode_str(text).decode_utf8().is_err() {
        return Err(Error::bad_request(name, "this isn't text in UTF-8"));
    }
    T::try_from(text.to_owned()).map_err(|problem| Error::bad_request(name, &problem))
}
