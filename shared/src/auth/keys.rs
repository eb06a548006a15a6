//! The keys that tokens are checked by: fetched, kept, and fetched again.
//!
//! Keys are good for their life, and no longer. From the middle of it on they are fetched again, so that the issuer may be down
//! for as long as the other half. Whatever fits a key that is kept is checked by it at once, whoever is fetching meanwhile: one
//! slow fetch makes nobody wait who needs nothing of it. Who needs a key that isn't kept waits, and takes what another's fetch
//! has brought meanwhile. But keys are never fetched often, whatever comes of it: a client chooses what its tokens say.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;
use jsonwebtoken::jwk::JwkSet;
use wire::Time;

use crate::clock::is_to_come;
use crate::error::Error;
use crate::limits::JWKS_BYTES_MAX;

/// Keys, and whose turn it is to fetch them.
pub(super) struct Keys<T> {
    /// How long they are good, from when they were fetched.
    life: Duration,
    /// The least time between two fetches, whatever keys are asked for, and whatever the first has brought.
    refetch_after: Duration,
    /// Locked for as long as it takes to look, or to change it.
    kept: Mutex<Kept<T>>,
    /// Held by who fetches.
    turn: tokio::sync::Mutex<()>,
}

/// What the fetches have left.
struct Kept<T> {
    /// What was fetched last, and when.
    keys: Option<(Arc<T>, Time)>,
    /// When somebody last tried to fetch them.
    tried: Option<Time>,
    /// Why that failed, where it has.
    cause: String,
}

/// Whether a moment was longer ago than this. One that is to come was set by a clock that was wrong.
fn is_past(moment: Time, life: Duration, now: Time) -> bool {
    moment.after(life) < now || is_to_come(moment, now)
}

impl<T> Keys<T> {
    /// None yet.
    pub(super) fn new(life: Duration, refetch_after: Duration) -> Self {
        let kept = Mutex::new(Kept { keys: None, tried: None, cause: String::new() });
        Self { life, refetch_after, kept, turn: tokio::sync::Mutex::default() }
    }

    /// The key that FIND finds, of those that are kept or those that FETCH brings.
    ///
    /// When the keys are to be fetched again, the first who comes does it, and waits for it: nothing goes on once a function
    /// has answered, so somebody has to. The others are checked by what is kept until then.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when there is no such key; [`Error::Unavailable`] when there are none at all that are good.
    pub(super) async fn find<K>(
        &self,
        now: Time,
        find: impl Fn(&T) -> Option<K>,
        fetch: impl Future<Output = Result<T, String>>,
    ) -> Result<K, Error> {
        let kept = self.good(now);
        let mut found = kept.as_ref().and_then(|(keys, _)| find(keys));
        let are_old = kept.is_some_and(|(_, fetched)| is_past(fetched, self.life / 2, now));
        if (found.is_none() || are_old) && self.may_fetch(now) {
            let turn = match found {
                Some(_) => self.turn.try_lock().ok(),
                None => Some(self.turn.lock().await),
            };
            if let Some(_turn) = turn {
                // Whoever had the turn meanwhile has fetched them for this one, too, or has tried in vain.
                if self.may_fetch(now) {
                    self.keep(fetch.await, now);
                }
                found = self.good(now).and_then(|(keys, _)| find(&keys));
            }
        }
        found.ok_or_else(|| match self.good(now) {
            Some(_) => Error::Unauthorized,
            // Without any keys nobody can be told who they are.
            None => Error::Unavailable(self.kept().cause.clone()),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys, and when they were fetched, if their life isn't over.
    fn good(&self, now: Time) -> Option<(Arc<T>, Time)> {
        self.kept().keys.clone().filter(|(_, fetched)| !is_past(*fetched, self.life, now))
    }

    /// Whether nobody has tried to for long enough.
    fn may_fetch(&self, now: Time) -> bool {
        self.kept().tried.is_none_or(|tried| is_past(tried, self.refetch_after, now))
    }

    /// Keeps what was fetched; where that has failed, what was there before, which grows no younger by it.
    fn keep(&self, fetched: Result<T, String>, now: Time) {
        let mut kept = self.kept();
        kept.tried = Some(now);
        match fetched {
            Ok(keys) => kept.keys = Some((Arc::new(keys), now)),
            Err(cause) => {
                tracing::warn!(cause, "the keys can't be fetched");
                kept.cause = cause;
            }
        }
    }
}

/// Fetches an issuer's keys. LIMIT is for all of it, as an issuer may send its document byte by byte.
pub(super) async fn fetch(url: &str, limit: Duration) -> Result<JwkSet, String> {
    let exchanged = tokio::time::timeout(limit, exchange(url)).await;
    exchanged.unwrap_or_else(|_| Err(format!("the issuer took longer than {limit:?}")))
}

/// Asks an issuer for its keys, and reads what it answers.
async fn exchange(url: &str) -> Result<JwkSet, String> {
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
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}
