//! The issuer's public keys: fetched when they are needed, kept while it is away, replaced when it rotates them.

use std::{
    sync::{Arc, RwLock},
    time::Duration,
};

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use tokio::{sync::Mutex, task::JoinHandle, time::Instant};

use super::fetch::Fetcher;
use crate::{config, problem::Problem};

/// Older keys are used while new ones are fetched: one that the issuer has withdrawn is good for no longer.
const FRESH: Duration = Duration::from_secs(600);
/// For how long keys are good while the issuer doesn't answer.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// How long an issuer that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// A key and what it may be used for.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) decoding: DecodingKey,
    pub(super) algorithms: Vec<Algorithm>,
}

#[derive(Debug)]
pub(super) struct Keys(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: config::Jwt,
    fetcher: Fetcher,
    known: RwLock<Known>,
    /// When the issuer may be asked again. Held by who asks, so that one does for all.
    next: Mutex<Instant>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    keys: Vec<Arc<Key>>,
    fetched: Option<Instant>,
}

/// OpenID Connect Discovery 1.0, section 3.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    pub(super) fn new(config: &config::Jwt) -> Self {
        Self(Arc::new(Inner {
            config: config.clone(),
            fetcher: Fetcher::new(),
            known: RwLock::default(),
            next: Mutex::new(Instant::now()),
        }))
    }

    /// The key of this id; the only one, if a token names none.
    ///
    /// # Errors
    /// 503 when there are no keys to look among.
    pub(super) async fn find(&self, id: Option<&str>) -> Result<Option<Arc<Key>>, Problem> {
        let known = self.0.known();
        if let Some(key) = known.find(id) {
            if known.is_fresh(FRESH) {
                return Ok(Some(key));
            }
            if known.is_fresh(STALE) {
                drop(self.refetch());
                return Ok(Some(key));
            }
        }
        let _ = self.refetch().await;
        let known = self.0.known();
        if !known.is_fresh(STALE) {
            return Err(Problem::unavailable("the keys of the token's issuer can't be had now"));
        }
        Ok(known.find(id))
    }

    /// Goes on when the request that wanted it is gone: the next one wants it too.
    fn refetch(&self) -> JoinHandle<()> {
        let inner = self.0.clone();
        tokio::spawn(async move { inner.refetch().await })
    }

    /// Whether there are keys.
    pub(super) async fn any(&self) -> Result<(), String> {
        if !self.0.known().is_fresh(STALE) {
            let _ = self.refetch().await;
        }
        if self.0.known().is_fresh(STALE) { Ok(()) } else { Err("it has given no keys yet".to_owned()) }
    }
}

impl Inner {
    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Asks the issuer for its keys, unless it has just been asked: tokens with made-up key ids are free.
    async fn refetch(&self) {
        let mut next = self.next.lock().await;
        if Instant::now() < *next {
            return;
        }
        match self.fetch().await {
            Ok(keys) => {
                let known = Known { keys, fetched: Some(Instant::now()) };
                *self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner) = known;
                *next = Instant::now() + self.config.refetch;
            }
            Err(error) => {
                tracing::warn!(error, issuer = self.config.issuer, "fetching the keys of the issuer");
                *next = Instant::now() + PAUSE;
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Arc<Key>>, String> {
        let discovery: Discovery = self.fetcher.json(&self.config.discovery).await?;
        if discovery.issuer != self.config.issuer {
            return Err(format!("{} describes another issuer, {}", self.config.discovery, discovery.issuer));
        }
        // Keys that came by a way where others can write would be anybody's.
        if self.config.discovery.starts_with("https:") && !discovery.jwks_uri.starts_with("https:") {
            return Err(format!("its keys are at {}, not at an https URL", discovery.jwks_uri));
        }
        let set: JwkSet = self.fetcher.json(&discovery.jwks_uri).await?;
        let keys: Vec<_> = set.keys.iter().filter_map(key).map(Arc::new).collect();
        if keys.is_empty() { Err(format!("no key at {} is one to sign with", discovery.jwks_uri)) } else { Ok(keys) }
    }
}

impl Known {
    fn find(&self, id: Option<&str>) -> Option<Arc<Key>> {
        match id {
            Some(id) => self.keys.iter().find(|key| key.id.as_deref() == Some(id)).cloned(),
            None => self.keys.first().filter(|_| self.keys.len() == 1).cloned(),
        }
    }

    fn is_fresh(&self, age: Duration) -> bool {
        self.fetched.is_some_and(|fetched| fetched.elapsed() < age)
    }
}

/// A key that signatures are verified with, and with which algorithms. A symmetric one is none: everybody can read it.
fn key(jwk: &Jwk) -> Option<Key> {
    if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
        return None;
    }
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    if decoding.family() == AlgorithmFamily::Hmac {
        return None;
    }
    let family = decoding.family().algorithms().to_vec();
    let algorithms = match jwk.common.key_algorithm {
        None => family,
        Some(named) => vec![signing(named).filter(|named| family.contains(named))?],
    };
    Some(Key { id: jwk.common.key_id.clone(), decoding, algorithms })
}

fn signing(algorithm: KeyAlgorithm) -> Option<Algorithm> {
    algorithm.to_string().parse().ok()
}
