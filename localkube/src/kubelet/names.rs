//! How containers, networks and volumes of a cluster are named and labelled, so that clusters never meet and everything
//! of one can be found without its directory.

use std::{collections::HashMap, path::Path};

use k8s_openapi::api::core::v1::Pod;

/// The cluster's id.
pub(crate) const CLUSTER: &str = "dev.slipway.cluster";
/// The cluster's state directory.
pub(crate) const DIRECTORY: &str = "dev.slipway.directory";
/// What the thing is for: one of the `ROLE_` values.
pub(crate) const ROLE: &str = "dev.slipway.role";
/// The pod that a container or volume belongs to.
pub(crate) const POD_UID: &str = "dev.slipway.pod.uid";
/// That pod's namespace, for people.
pub(crate) const POD_NAMESPACE: &str = "dev.slipway.pod.namespace";
/// That pod's name, for people.
pub(crate) const POD_NAME: &str = "dev.slipway.pod.name";
/// The container's name in the pod.
pub(crate) const CONTAINER: &str = "dev.slipway.container";
/// How many times the container had been restarted when this one was made.
pub(crate) const ATTEMPT: &str = "dev.slipway.attempt";
/// A digest of what the container was made from.
pub(crate) const HASH: &str = "dev.slipway.hash";

/// Holds a pod's network namespace.
pub(crate) const ROLE_SANDBOX: &str = "sandbox";
/// Runs a pod's container.
pub(crate) const ROLE_CONTAINER: &str = "container";
/// Answers at a service's address.
pub(crate) const ROLE_SERVICE: &str = "service";
/// A pod's emptyDir.
pub(crate) const ROLE_VOLUME: &str = "volume";
/// The network of pods and services.
pub(crate) const ROLE_NETWORK: &str = "network";

/// The labels of everything that a cluster makes.
pub(crate) fn labels(cluster_id: &str, directory: &Path, role: &str) -> HashMap<String, String> {
    HashMap::from([
        (CLUSTER.to_owned(), cluster_id.to_owned()),
        (DIRECTORY.to_owned(), directory.display().to_string()),
        (ROLE.to_owned(), role.to_owned()),
    ])
}

/// A filter for things of one cluster in one role.
pub(crate) fn filter(labels: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), labels.iter().map(|(key, value)| format!("{key}={value}")).collect())])
}

/// The name of a pod's container; the uid keeps a pod apart from the one of the same name that it replaces.
pub(crate) fn container(cluster_id: &str, pod: &Pod, container: &str, attempt: i32) -> String {
    format!("slipway-{cluster_id}-{}-{}-{container}-{attempt}", name(pod), short(uid(pod)))
}

/// The name of a pod's sandbox.
pub(crate) fn sandbox(cluster_id: &str, pod: &Pod) -> String {
    format!("slipway-{cluster_id}-{}-{}", name(pod), short(uid(pod)))
}

/// The name of a pod's emptyDir.
pub(crate) fn volume(cluster_id: &str, pod: &Pod, volume: &str) -> String {
    format!("slipway-{cluster_id}-{}-{}-{volume}", name(pod), short(uid(pod)))
}

/// The cluster's network.
pub(crate) fn network(cluster_id: &str) -> String {
    format!("slipway-{cluster_id}")
}

/// The part of a uid that tells pods of one name apart.
pub(crate) fn short(uid: &str) -> &str {
    uid.get(..8).unwrap_or(uid)
}

pub(crate) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub(crate) fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

/// A pod as messages name it: `name_namespace(uid)`.
pub(crate) fn full(pod: &Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}
