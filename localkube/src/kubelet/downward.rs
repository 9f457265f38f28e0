//! The downward API: a pod's own fields and resources as text
//! (<https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>).

use std::{collections::BTreeMap, fmt::Write};

use k8s_openapi::{
    api::core::v1::{Container, Pod, ResourceFieldSelector},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{names, quantity};

/// What a pod's status doesn't say yet when its containers are made.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) pod_ip: String,
    pub(super) host_ip: String,
    /// What resources are when a container has no limit.
    pub(super) allocatable: BTreeMap<String, Quantity>,
}

/// The value of a `fieldRef`.
///
/// # Errors
/// When there is no such field.
pub(super) fn field(pod: &Pod, facts: &Facts, path: &str) -> Result<String, String> {
    let spec = pod.spec.as_ref();
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let map = match map {
            "metadata.labels" => pod.metadata.labels.as_ref(),
            "metadata.annotations" => pod.metadata.annotations.as_ref(),
            _ => return Err(format!("unsupported fieldPath: {path}")),
        };
        return Ok(map.and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => names::name(pod).to_owned(),
        "metadata.namespace" => names::namespace(pod).to_owned(),
        "metadata.uid" => names::uid(pod).to_owned(),
        "metadata.labels" => lines(pod.metadata.labels.as_ref()),
        "metadata.annotations" => lines(pod.metadata.annotations.as_ref()),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default(),
        "status.podIP" | "status.podIPs" => facts.pod_ip.clone(),
        "status.hostIP" | "status.hostIPs" => facts.host_ip.clone(),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// As files show labels: one `key="value"` a line.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let mut text = String::new();
    for (key, value) in map.into_iter().flatten() {
        let _ = writeln!(text, "{key}={value:?}");
    }
    text.trim_end().to_owned()
}

/// The value of a `resourceFieldRef`, in units of its divisor, rounded up.
///
/// # Errors
/// When there is no such container or resource.
#[allow(clippy::cast_possible_truncation, reason = "quantities are far below 2^53")]
pub(super) fn resource(
    pod: &Pod,
    own: &Container,
    facts: &Facts,
    of: &ResourceFieldSelector,
) -> Result<String, String> {
    let spec = pod.spec.as_ref();
    let container = match &of.container_name {
        None => own,
        Some(name) => spec
            .and_then(|spec| spec.containers.iter().find(|container| container.name == *name))
            .ok_or_else(|| format!("container {name} not found"))?,
    };
    let (kind, name) = of.resource.split_once('.').ok_or_else(|| format!("unsupported resource: {}", of.resource))?;
    let resources = container.resources.as_ref();
    let limit = || resources.and_then(|all| all.limits.as_ref()).and_then(|all| all.get(name));
    let request = || resources.and_then(|all| all.requests.as_ref()).and_then(|all| all.get(name));
    let amount = match kind {
        "limits" => limit().or_else(|| facts.allocatable.get(name)),
        "requests" => request(),
        _ => return Err(format!("unsupported resource: {}", of.resource)),
    };
    let amount = amount.and_then(quantity::value).unwrap_or(0.0);
    let divisor = of.divisor.as_ref().and_then(quantity::value).filter(|divisor| *divisor > 0.0).unwrap_or(1.0);
    Ok(((amount / divisor - 1e-9).ceil() as i64).to_string())
}
