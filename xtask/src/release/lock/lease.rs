//! The Lease that is a lock.

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};

use super::DURATION;
use crate::{
    config::Unit,
    plan::{FIELD_MANAGER, ownership},
    release::{Holder, record},
};

/// The annotation in which a holder describes itself, as JSON.
pub(super) const HOLDER: &str = "slipway.dev/holder";

/// A lock that is taken now.
pub(super) fn lease(name: &str, unit: Unit<'_>, holder: &Holder, transitions: i32) -> Lease {
    let now = Some(MicroTime(Timestamp::now()));
    let mut lease = Lease::default();
    lease.metadata.name = Some(name.to_owned());
    let labels = [(ownership::MANAGED_BY, FIELD_MANAGER.to_owned()), (record::RELEASE, ownership::id(unit))];
    lease.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value)).into());
    let text = serde_json::to_string(holder).unwrap_or_default();
    lease.metadata.annotations = Some([(HOLDER.to_owned(), text)].into());
    lease.spec = Some(LeaseSpec {
        acquire_time: now.clone(),
        renew_time: now,
        holder_identity: Some(holder.id.clone()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    });
    lease
}
