//! What a lock says of its holder, as people read it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;

use super::{DURATION, lease::HOLDER};
use crate::{config::Unit, error::Error, release::Holder};

/// Digits of an id that are shown, and that are enough to name it.
pub(super) const SHORT: usize = 8;

/// A lock as it was found.
pub(super) struct Theirs {
    /// Empty if nobody holds it.
    pub(super) id: String,
    /// None of a lock that another program has made.
    pub(super) holder: Option<Holder>,
    pub(super) acquired: Option<Timestamp>,
    pub(super) renewed: Option<Timestamp>,
    pub(super) duration: Duration,
    pub(super) transitions: i32,
}

impl Theirs {
    pub(super) fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let id = spec.holder_identity.unwrap_or_default();
        let holder = lease.annotations().get(HOLDER).and_then(|text| serde_json::from_str::<Holder>(text).ok());
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            holder: holder.filter(|holder| holder.id == id),
            id,
            acquired: spec.acquire_time.map(|time| time.0),
            renewed: spec.renew_time.map(|time| time.0),
            duration: seconds.map_or(DURATION, Duration::from_secs),
            transitions: spec.lease_transitions.unwrap_or(0),
        }
    }

    /// Whether it has ended if all clocks agree; a reason to watch it, no more.
    pub(super) fn looks_expired(&self) -> bool {
        self.renewed.is_none_or(|renewed| ago(renewed) > self.duration)
    }

    /// `cargo xtask deploy --env local (Jane Doe, jane@laptop)`
    pub(super) fn named(&self) -> String {
        match &self.holder {
            Some(holder) => format!("{} ({})", holder.command, holder.who),
            None if self.id.is_empty() => "nobody".to_owned(),
            None => self.id.clone(),
        }
    }

    pub(super) fn short(&self) -> &str {
        self.id.get(..SHORT).unwrap_or(&self.id)
    }
}

/// The error for a lock that another one holds.
pub(super) fn held(unit: Unit<'_>, theirs: &Theirs) -> Error {
    let (service, environment) = (&unit.service.name, &unit.environment.name);
    let mut error = Error::failed(format!("another command is changing {service} in {environment}"));
    let mut line = theirs.named();
    if let Some(acquired) = theirs.acquired {
        line.push_str(&format!(", since {}", acquired.strftime("%Y-%m-%d %H:%M:%S UTC")));
    }
    if let Some(renewed) = theirs.renewed {
        line.push_str(&format!(", last heard of {} s ago", ago(renewed).as_secs()));
    }
    error = error.cause(line);
    if let Some(run) = theirs.holder.as_ref().and_then(|holder| holder.run.as_ref()) {
        error = error.cause(run);
    }
    error.hint(format!(
        "wait for it with --wait-lock 5m; if you know that it is gone: cargo xtask unlock {} --env {environment}",
        theirs.short()
    ))
}

fn ago(time: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(time)).unwrap_or_default()
}
