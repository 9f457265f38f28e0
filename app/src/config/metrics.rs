//! Where the service is measured.

use super::Reader;

/// Its metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// `METRICS_PORT`: the port of `ADDRESS` where Prometheus finds `/metrics`; by default nothing listens. Port 0 takes a
    /// free one.
    pub port: Option<u16>,
}

impl Metrics {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self { port: read.optional("METRICS_PORT", "a port from 0 to 65535", |text| text.parse().ok()) }
    }
}
