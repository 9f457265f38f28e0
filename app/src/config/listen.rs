//! Where the service listens, and how it ends.

use std::{net::SocketAddr, time::Duration};

use super::Reader;

/// Its address and its end.
#[derive(Debug, Clone)]
pub struct Listen {
    /// `ADDRESS` and `PORT`: by default 0.0.0.0:8080. Port 0 takes a free one.
    pub address: SocketAddr,
    /// `DRAIN_DELAY`: for how long it serves on after SIGTERM, for load balancers to notice, by default 5s.
    pub drain_delay: Duration,
    /// `DRAIN_TIMEOUT`: when it ends after SIGTERM at the latest, by default 25s: Kubernetes kills after 30.
    pub drain_timeout: Duration,
}

impl Listen {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let ip = read.value("ADDRESS", "0.0.0.0", "an IP address", |text| text.parse().ok());
        let port = read.value("PORT", "8080", "a port from 0 to 65535", |text| text.parse().ok());
        let drain_delay = read.duration("DRAIN_DELAY", "5s");
        let drain_timeout = read.duration("DRAIN_TIMEOUT", "25s");
        read.require(drain_timeout >= drain_delay, || {
            format!("DRAIN_TIMEOUT ({drain_timeout:?}) must not be below DRAIN_DELAY ({drain_delay:?})")
        });
        Self { address: SocketAddr::new(ip, port), drain_delay, drain_timeout }
    }
}
