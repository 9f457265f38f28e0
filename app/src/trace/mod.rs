//! What the service says while it runs: the log, one JSON object a line on stdout, and traces.
//!
//! Each request has an id, the one that its client gave it in `x-request-id` or a new one, and is part of a trace, that of
//! its `traceparent` (<https://www.w3.org/TR/trace-context/>) or a new one. Every line that is logged on behalf of a
//! request carries both. No body, no query and no credential is ever logged or traced.

mod export;
mod line;
mod trail;

pub use export::Traces;
pub use trail::{REQUEST_ID, Trail, end, propagate, within};

use tracing_subscriber::fmt;

use crate::config::Telemetry;

/// Logs from now on.
pub fn init(telemetry: &Telemetry) {
    fmt().event_format(line::Line).with_max_level(telemetry.log_level).init();
}
