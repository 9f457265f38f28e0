//! A Redis that processes share. Nothing depends on it: what it does not answer at once is found out without it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{
    Client, ConnectionInfo, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::config::{self, Secret};

/// For how long it is not asked after it has failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Writes that may be under way: more are left out, for they are only for the better.
const WRITES: usize = 64;

#[derive(Clone)]
pub(super) struct Shared(Arc<Inner>);

struct Inner {
    /// None if the client can't be made of its URL.
    connection: Option<ConnectionManager>,
    timeout: Duration,
    ttl: Duration,
    began: Instant,
    /// Until when it is not asked, in milliseconds since the beginning; 0 while it answers.
    paused: AtomicU64,
    writes: Arc<tokio::sync::Semaphore>,
}

impl Shared {
    pub(super) fn new(url: &Secret<ConnectionInfo>, config: &config::Cache) -> Self {
        let manager = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_max_delay(PAUSE)
            .set_connection_timeout(Some(config.redis_timeout))
            .set_response_timeout(Some(config.redis_timeout));
        let connection = Client::open(url.expose().clone())
            .and_then(|client| ConnectionManager::new_lazy_with_config(client, manager))
            .inspect_err(|error| tracing::error!(%error, "using Redis"))
            .ok();
        Self(Arc::new(Inner {
            connection,
            timeout: config.redis_timeout,
            ttl: config.ttl,
            began: Instant::now(),
            paused: AtomicU64::new(0),
            writes: Arc::new(tokio::sync::Semaphore::new(WRITES)),
        }))
    }

    /// What is kept for a text.
    pub(super) async fn get(&self, text: &str) -> Option<String> {
        let mut command = redis::cmd("GET");
        command.arg(key(text));
        self.ask(command).await.flatten()
    }

    /// Keeps an answer, without anybody waiting for it.
    pub(super) fn put(&self, text: &str, answer: Arc<str>) {
        let Ok(permit) = self.0.writes.clone().try_acquire_owned() else { return };
        let mut command = redis::cmd("SET");
        command.arg(key(text)).arg(&*answer).arg("PX").arg(self.0.ttl.as_millis().max(1) as u64);
        let shared = self.clone();
        tokio::spawn(async move {
            let _permit = permit;
            shared.ask::<()>(command).await;
        });
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: redis::Cmd) -> Option<T> {
        let inner = &self.0;
        let mut connection = inner.connection.clone()?;
        let now = inner.began.elapsed().as_millis() as u64;
        let paused = inner.paused.load(Ordering::Relaxed);
        if now < paused {
            return None;
        }
        // Connecting and answering together.
        let answer = tokio::time::timeout(inner.timeout, command.query_async(&mut connection));
        let answer: RedisResult<T> = match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        };
        match answer {
            Ok(answer) => {
                if inner.paused.swap(0, Ordering::Relaxed) != 0 {
                    tracing::info!("Redis answers again");
                }
                Some(answer)
            }
            Err(error) => {
                let until = now + PAUSE.as_millis() as u64;
                if inner.paused.swap(until, Ordering::Relaxed) == 0 {
                    tracing::warn!(%error, "Redis does not answer; caching in the process alone");
                }
                None
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Redis")
    }
}

/// Texts may be long, and are nobody's business there.
fn key(text: &str) -> String {
    use std::fmt::Write as _;
    let mut key = String::from("app:upcase:1:");
    for byte in Sha256::digest(text) {
        let _ = write!(key, "{byte:02x}");
    }
    key
}
