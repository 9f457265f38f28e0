//! What the service remembers of upcasing by another one.

use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo as _};

use super::{Reader, Secret};

/// Its caches, in the process and shared. Upcasing by itself is faster than either.
#[derive(Debug, Clone)]
pub struct Cache {
    /// `CACHE_SIZE`: what the cache in the process may hold, by default 8MiB.
    pub size: usize,
    /// `CACHE_TTL`: for how long an answer holds, by default 10m.
    pub ttl: Duration,
    /// `REDIS_URL`: a Redis that processes share, `redis://[user:password@]host[:port][/database]`.
    pub redis: Option<Secret<ConnectionInfo>>,
    /// `REDIS_TIMEOUT`: how long that may take to answer before it is done without, by default 100ms.
    pub redis_timeout: Duration,
}

impl Cache {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            size: read.bytes("CACHE_SIZE", "8MiB", 1 << 40),
            ttl: read.duration("CACHE_TTL", "10m"),
            redis: read.secret("REDIS_URL", "a URL of redis, redis://[user:password@]host[:port][/database]", redis),
            redis_timeout: read.duration("REDIS_TIMEOUT", "100ms"),
        }
    }
}

fn redis(text: &str) -> Option<ConnectionInfo> {
    text.starts_with("redis://").then(|| text.into_connection_info().ok()).flatten()
}
