//! What an error's answer echoes of the text that it answers, also of one that is no frame: whoever asked knows the answer
//! by that, and waits for it.

use crate::ids::RequestId;
use crate::limits::CLIENT_ID_CHARS_MAX;

/// What an error's answer echoes of its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// The action.
    pub action: Option<String>,
    /// The client's name for the request.
    pub request_id: Option<RequestId>,
    /// The sender's id of the message.
    pub client_message_id: Option<String>,
}

impl Echo {
    /// Of any text that begins as an object: what its own members of these names hold, not those of what is within it. Of
    /// JSON that is what JSON says; of anything else, what can be found. One pass, whatever there is.
    pub fn of(text: &str) -> Self {
        let mut echo = Self::default();
        let text = text.trim_start_matches(|c: char| c == '\u{feff}' || c.is_ascii_whitespace());
        let Some(rest) = text.strip_prefix('{') else { return echo };
        let mut depth = 1_usize;
        // The last string, which is a name if a colon follows; then the name of the member whose value follows.
        let (mut string, mut member) = (None, None);
        for token in (Tokens { rest }) {
            let value = match token {
                Token::Close if depth == 1 => break,
                Token::Close => {
                    depth -= 1;
                    continue;
                }
                Token::Open => {
                    depth += 1;
                    None
                }
                _ if depth > 1 => continue,
                Token::Colon => {
                    member = string.take();
                    continue;
                }
                Token::String(text) => Some(text),
                Token::Other => None,
            };
            match member.take() {
                Some(name) => echo.hears(name, value),
                None => string = value,
            }
        }
        echo
    }

    /// A member has this name, and this string for a value if it is one: both in quotes, as they were written.
    fn hears(&mut self, name: &str, value: Option<&str>) {
        let unescaped = |string: &str| serde_json::from_str::<String>(string).ok();
        let value = || value.and_then(unescaped);
        match unescaped(name).as_deref() {
            Some("action") => self.action = value(),
            Some("requestId") => self.request_id = value().and_then(|id| id.parse().ok()),
            Some("clientMessageId") => {
                self.client_message_id = value().filter(|id| id.chars().count() <= CLIENT_ID_CHARS_MAX);
            }
            _ => {}
        }
    }
}

/// What something is made of that may be JSON.
enum Token<'a> {
    /// `{` or `[`.
    Open,
    /// `}` or `]`.
    Close,
    /// `:`.
    Colon,
    /// With its quotes; one without an end is none.
    String(&'a str),
    /// A comma, a number, a word, whatever there is.
    Other,
}

/// The tokens of a text.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = self.rest.trim_ascii_start();
        let bytes = self.rest.as_bytes();
        let (token, length) = match bytes.first()? {
            b'{' | b'[' => (Token::Open, 1),
            b'}' | b']' => (Token::Close, 1),
            b':' => (Token::Colon, 1),
            b'"' => {
                let length = string_length(bytes)?;
                (Token::String(&self.rest[..length]), length)
            }
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || b"{}[]:,\"".contains(byte);
                (Token::Other, 1 + bytes[1..].iter().position(ends).unwrap_or(bytes.len() - 1))
            }
        };
        // Each ends before or after a character of ASCII, or at the end.
        self.rest = &self.rest[length..];
        Some(token)
    }
}

/// How long the string is that begins here, with its quotes.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let end = bytes[1..].iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map(|end| end + 2)
}
