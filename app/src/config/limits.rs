//! What a client may ask of the service.

use std::time::Duration;

use super::Reader;

/// Its limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `HEADER_TIMEOUT`: how long a connection may take to send the head of a request, at rest included, by default
    /// 75s: longer than the 60s after which load balancers drop a connection, so that it is never closed under them.
    pub header_timeout: Duration,
    /// `REQUEST_TIMEOUT`: how long a request may take, its body included, by default 10s.
    pub request_timeout: Duration,
    /// `SEND_TIMEOUT`: how long a client may leave what it was sent unread, by default 30s.
    pub send_timeout: Duration,
    /// `HEADER_LIMIT`: how large the head of a request may be, by default 16KiB, and 8KiB at least.
    pub header: usize,
    /// `BODY_LIMIT`: the largest body that is read, by default 1MiB. An item of a batch has the same limit.
    pub body: usize,
    /// `BODIES_LIMIT`: what bodies of more than 64 KiB may hold together, by default 16MiB.
    pub bodies: usize,
    /// `BATCH_LIMIT`: the largest batch, by default 256MiB. It is never held as a whole.
    pub batch: usize,
    /// `BATCH_TIMEOUT`: how long a batch may take, by default 5m. It must not rest for `REQUEST_TIMEOUT`.
    pub batch_timeout: Duration,
    /// `CONCURRENCY_LIMIT`: how many requests may be under way, by default 512; others are told to come again.
    pub concurrency: usize,
    /// `CONNECTION_LIMIT`: how many connections may be open, by default 4096; for more, those longest at rest are
    /// closed.
    pub connections: usize,
}

impl Limits {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let limits = Self {
            header_timeout: read.duration("HEADER_TIMEOUT", "75s"),
            request_timeout: read.duration("REQUEST_TIMEOUT", "10s"),
            send_timeout: read.duration("SEND_TIMEOUT", "30s"),
            header: read.bytes("HEADER_LIMIT", "16KiB", 1 << 20),
            body: read.bytes("BODY_LIMIT", "1MiB", 1 << 30),
            bodies: read.bytes("BODIES_LIMIT", "16MiB", 1 << 40),
            batch: read.bytes("BATCH_LIMIT", "256MiB", 1 << 40),
            batch_timeout: read.duration("BATCH_TIMEOUT", "5m"),
            concurrency: read.number("CONCURRENCY_LIMIT", "512", 1, 1_000_000) as usize,
            connections: read.number("CONNECTION_LIMIT", "4096", 1, 1_000_000) as usize,
        };
        read.require(limits.header >= 8192, || "HEADER_LIMIT must not be below 8KiB".to_owned());
        read.require(limits.bodies >= limits.body, || "BODIES_LIMIT must not be below BODY_LIMIT".to_owned());
        limits
    }
}
