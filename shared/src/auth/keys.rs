//! The keys that tokens are checked by: fetched, kept, and fetched again.
//!
//! Whatever fits a key that is kept is checked by it at once, whoever is fetching meanwhile: one slow fetch makes nobody wait
//! who needs nothing of it. Who names a key that isn't kept waits, and takes what another's fetch has brought meanwhile. But
//! keys are never fetched often: a client chooses what its tokens say.

use std::sync::{Arc, Mutex, PoisonError};
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
    /// How long they are used before they are fetched again.
    life: Duration,
    /// The least time between two fetches, whatever keys are asked for.
    refetch_after: Duration,
    /// Another with each fetch. Locked for as long as it takes to look, or to change it.
    kept: Mutex<Arc<Kept<T>>>,
    /// Held by who fetches.
    turn: tokio::sync::Mutex<()>,
}

/// What the last fetch has left.
struct Kept<T> {
    /// The keys, of that or an earlier fetch; or why there are none.
    keys: Result<Arc<T>, String>,
    /// When it was.
    at: Option<Time>,
}

impl<T> Kept<T> {
    /// Whether it was longer ago than this. A fetch from the future was timed by a clock that was wrong.
    fn is_older_than(&self, life: Duration, now: Time) -> bool {
        self.at.is_none_or(|at| at.after(life) < now || is_to_come(at, now))
    }
}

impl<T> Keys<T> {
    /// None yet.
    pub(super) fn new(life: Duration, refetch_after: Duration) -> Self {
        let kept = Kept { keys: Err("nothing was fetched yet".to_owned()), at: None };
        Self { life, refetch_after, kept: Mutex::new(Arc::new(kept)), turn: tokio::sync::Mutex::default() }
    }

    /// The key that FIND finds, of those that are kept or those that FETCH brings.
    ///
    /// When the keys' life is over, the first who comes fetches them again, and waits for it: nothing goes on once a function
    /// has answered, so somebody has to. The others are checked by what is kept until then. It goes on being good also where
    /// the fetch fails.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when there is no such key; [`Error::Unavailable`] when there are none at all.
    pub(super) async fn find<K>(
        &self,
        now: Time,
        find: impl Fn(&T) -> Option<K>,
        fetch: impl Future<Output = Result<T, String>>,
    ) -> Result<K, Error> {
        let found = |kept: &Kept<T>| kept.keys.as_deref().ok().and_then(&find);
        let before = self.kept();
        let known = found(&before);
        let life = if known.is_some() { self.life } else { self.refetch_after };
        let turn = match known {
            Some(key) if !before.is_older_than(life, now) => return Ok(key),
            Some(key) => match self.turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(key),
            },
            None => self.turn.lock().await,
        };
        let mut kept = self.kept();
        // Whoever had the turn meanwhile has fetched them for this one, too, or has tried in vain.
        let is_due = Arc::ptr_eq(&before, &kept) && (kept.keys.is_err() || kept.is_older_than(life, now));
        if is_due {
            kept = self.keep(fetch.await, now);
        }
        drop(turn);
        match &kept.keys {
            Ok(_) => found(&kept).ok_or(Error::Unauthorized),
            // Without any keys nobody can be told who they are.
            Err(cause) => Err(Error::Unavailable(cause.clone())),
        }
    }

    /// What is kept now.
    fn kept(&self) -> Arc<Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what was fetched; where that has failed, what was there before.
    fn keep(&self, fetched: Result<T, String>, now: Time) -> Arc<Kept<T>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = fetched.map(Arc::new).or_else(|cause| {
            tracing::warn!(cause, "the keys can't be fetched");
            kept.keys.clone().map_err(|_| cause)
        });
        *kept = Arc::new(Kept { keys, at: Some(now) });
        kept.clone()
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
