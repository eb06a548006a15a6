//! Origins of web sites, as browsers say them.

use std::fmt;

use axum::http::{HeaderValue, Uri};

/// What an origin looks like.
const EXAMPLE: &str = "http://localhost:5173";

/// Where a page comes from: scheme, host and port (RFC 6454, section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The origin that this URL is. One slash at its end may stay: tools print addresses so.
    ///
    /// # Errors
    /// It is none, or more than one: a sentence that says which to give.
    pub fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        let with_scheme = if trimmed.contains("://") { trimmed.to_owned() } else { format!("http://{trimmed}") };
        // `null` is what browsers say of files and of pages that are to have no origin.
        let parts = parts(&with_scheme).filter(|_| trimmed != "null");
        let (written, meant) = parts.ok_or_else(|| format!("must be the origin of a web site, such as {EXAMPLE}"))?;
        if trimmed.eq_ignore_ascii_case(&written) {
            return Ok(Self(meant));
        }
        Err(format!("must be scheme, host and port, without a path: give {meant}"))
    }

    /// As a browser says it in `Origin`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Likewise, for a header.
    ///
    /// # Panics
    /// Never: an origin is ASCII.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("an origin is ASCII")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The origin in a URL: as it is written there, and as a browser says it. None: there is no host, or one that no page has.
fn parts(url: &str) -> Option<(String, String)> {
    let uri: Uri = url.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let host = authority.host();
    let plain = |character: char| character.is_ascii_alphanumeric() || "-._[:]".contains(character);
    if host.is_empty() || !host.chars().all(plain) {
        return None;
    }
    let (_, site) = authority.as_str().rsplit_once('@').unwrap_or(("", authority.as_str()));
    let port: Option<u16> = match site.strip_prefix(host)?.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    // No page comes from a WebSocket.
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "ws" => "http".to_owned(),
        "wss" => "https".to_owned(),
        other => other.to_owned(),
    };
    let origin = |port: Option<u16>| {
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        format!("{scheme}://{}{port}", host.to_ascii_lowercase())
    };
    // No browser says the port that a scheme has anyway.
    let said = port.filter(|port| ![("http", 80), ("https", 443)].contains(&(scheme.as_str(), *port)));
    Some((origin(port), origin(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_says() {
        for (given, said) in [
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://localhost:5173/", "http://localhost:5173"),
            ("HTTPS://App.Example.com:443", "https://app.example.com"),
            ("http://example.com:80", "http://example.com"),
            ("https://example.com:80", "https://example.com:80"),
            ("http://[::1]:5173", "http://[::1]:5173"),
            ("http://5:5", "http://5:5"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(Origin::parse(given).map(|origin| origin.to_string()), Ok(said.to_owned()), "{given}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_the_one_that_is_meant() {
        for (given, meant) in [
            ("localhost:5173", "http://localhost:5173"),
            ("localhost", "http://localhost"),
            ("http://localhost:5173/app", "http://localhost:5173"),
            ("localhost:5173/app?a=b", "http://localhost:5173"),
            ("http://localhost:5173?a", "http://localhost:5173"),
            ("http://localhost:5173/#top", "http://localhost:5173"),
            ("http://localhost:5173//", "http://localhost:5173"),
            ("http://ann:secret@localhost:5173", "http://localhost:5173"),
            ("ws://localhost:5173", "http://localhost:5173"),
            ("wss://example.com:443/ws", "https://example.com"),
        ] {
            let refused = Origin::parse(given).expect_err(given);
            assert!(refused.ends_with(&format!("give {meant}")), "{given}: {refused}");
        }
        for given in
            ["", "*", "null", "http://", "http://*.example.com", "http://localhost:99999", "http://localhost:", "/app"]
        {
            let refused = Origin::parse(given).expect_err(given);
            assert!(refused.ends_with(&format!("such as {EXAMPLE}")), "{given}: {refused}");
        }
    }
}
