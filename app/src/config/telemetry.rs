//! What the service says of itself: its version, its log, its traces.

use axum::http::Uri;
use tracing::Level;

use super::Reader;

/// Its log and its traces. Where OpenTelemetry has a name for a setting, that is the one.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// `APP_VERSION`: what it calls itself, by default the version of the package.
    pub version: String,
    /// `LOG_LEVEL`: error, warn, info (the default), debug or trace. Requests are logged at debug.
    pub log_level: Level,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: the collector that traces go to, over HTTP; by default none are made.
    pub collector: Option<Uri>,
    /// `OTEL_SERVICE_NAME`: what it is called in traces, by default app.
    pub service_name: String,
    /// `OTEL_TRACES_SAMPLER_ARG`: the share of requests that are traced when their caller has not decided, by default 1.
    pub sampled: f64,
}

impl Telemetry {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| text.to_owned());
        Self {
            version: read.value("APP_VERSION", env!("CARGO_PKG_VERSION"), "visible ASCII characters", visible),
            log_level: read.value("LOG_LEVEL", "info", "error, warn, info, debug or trace", |text| match text {
                "error" => Some(Level::ERROR),
                "warn" => Some(Level::WARN),
                "info" => Some(Level::INFO),
                "debug" => Some(Level::DEBUG),
                "trace" => Some(Level::TRACE),
                _ => None,
            }),
            collector: read.url("OTEL_EXPORTER_OTLP_ENDPOINT"),
            service_name: read.value("OTEL_SERVICE_NAME", "app", "visible ASCII characters", visible),
            sampled: read.value("OTEL_TRACES_SAMPLER_ARG", "1", "a number from 0 to 1", |text| {
                text.parse().ok().filter(|share| (0.0..=1.0).contains(share))
            }),
        }
    }
}
