//! The keys that tokens are checked by: fetched, kept, and fetched again.
//!
//! Keys are good for their life, and no longer. From the middle of it on they are fetched again, so that the issuer may be down
//! for as long as the other half. Whatever fits a key that is kept is checked by it at once, whoever is fetching meanwhile: one
//! slow fetch makes nobody wait who needs nothing of it. Who needs a key that isn't kept waits, and takes what another's fetch
//! has brought meanwhile. But keys are never fetched often, whatever comes of it: a client chooses what its tokens say.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Header};
use wire::Time;

use crate::clock::is_to_come;
use crate::error::Error;

/// What signatures are checked by.
pub(super) struct Key {
    /// The one algorithm that it is for.
    pub(super) algorithm: Algorithm,
    /// Its name, if it has one.
    pub(super) id: Option<String>,
    /// The key.
    pub(super) key: DecodingKey,
}

impl Key {
    /// Whether a token with this header may be signed with it. A name only helps to find the key (RFC 7515 section 4.1.4): where
    /// the token or the key has none, the signature says it.
    pub(super) fn fits(&self, header: &Header) -> bool {
        let names = self.id.as_ref().zip(header.kid.as_ref());
        self.algorithm == header.alg && names.is_none_or(|(key, token)| key == token)
    }
}

/// Keys, and whose turn it is to fetch them.
pub(super) struct Keys {
    /// How long they are good, from when they were fetched.
    life: Duration,
    /// The least time between two fetches, whatever keys are asked for, and whatever the first has brought.
    refetch_after: Duration,
    /// Locked for as long as it takes to look, or to change it.
    kept: Mutex<Kept>,
    /// Held by who fetches.
    turn: tokio::sync::Mutex<()>,
}

/// What the fetches have left.
struct Kept {
    /// What was fetched last, and when.
    keys: Option<(Arc<[Key]>, Time)>,
    /// When somebody last tried to fetch them.
    tried: Option<Time>,
    /// Why that failed, where it has.
    cause: String,
}

/// Whether a moment was longer ago than this. One that is to come was set by a clock that was wrong.
fn is_past(moment: Time, life: Duration, now: Time) -> bool {
    moment.after(life) < now || is_to_come(moment, now)
}

impl Keys {
    /// None yet.
    pub(super) fn new(life: Duration, refetch_after: Duration) -> Self {
        let kept = Mutex::new(Kept { keys: None, tried: None, cause: String::new() });
        Self { life, refetch_after, kept, turn: tokio::sync::Mutex::default() }
    }

    /// What FIND finds among the keys that are kept, or those that FETCH brings.
    ///
    /// When the keys are to be fetched again, the first who comes does it, and waits for it: nothing goes on once a function
    /// has answered, so somebody has to. The others are checked by what is kept until then.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when there is no such key; [`Error::Unavailable`] when there are none at all that are good.
    pub(super) async fn find<K>(
        &self,
        now: Time,
        find: impl Fn(&[Key]) -> Option<K>,
        fetch: impl Future<Output = Result<Vec<Key>, String>>,
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

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys, and when they were fetched, if their life isn't over.
    fn good(&self, now: Time) -> Option<(Arc<[Key]>, Time)> {
        self.kept().keys.clone().filter(|(_, fetched)| !is_past(*fetched, self.life, now))
    }

    /// Whether nobody has tried to for long enough.
    fn may_fetch(&self, now: Time) -> bool {
        self.kept().tried.is_none_or(|tried| is_past(tried, self.refetch_after, now))
    }

    /// Keeps what was fetched; where that has failed, what was there before, which grows no younger by it.
    fn keep(&self, fetched: Result<Vec<Key>, String>, now: Time) {
        let mut kept = self.kept();
        kept.tried = Some(now);
        match fetched {
            Ok(keys) => kept.keys = Some((keys.into(), now)),
            Err(cause) => {
                tracing::warn!(cause, "the keys can't be fetched");
                kept.cause = cause;
            }
        }
    }
}
