//! What each kind adds to the generic object: defaults, validation, what a write may change, admission.
//!
//! Defaults are those of `pkg/apis/*/defaults.go`, rules and their words those of `pkg/apis/*/validation`, what a
//! write may change that of `pkg/registry/*/strategy.go` in Kubernetes 1.36. [`value`] and [`errors`] are the words
//! that all of them are written in; there is one file a kind or family.
//!
//! A create goes through [`set_defaults`], admission ([`pod::admit`], [`pod_security`]), [`prepare_create`] and
//! [`validate`], in this order.

mod autoscaler;
mod config;
mod deployment;
mod disruption;
pub(crate) mod errors;
mod event;
mod job;
pub mod limits;
mod metadata;
pub(crate) mod names;
mod namespace;
mod network;
pub mod pod;
pub mod pod_security;
pub mod quantity;
mod quota;
mod rbac;
mod resources;
mod selector;
mod service;
mod storage;
mod strategy;
#[cfg(test)]
mod tests;
pub mod usage;
mod value;
mod workload;

use serde_json::Value;

use crate::{custom, resource::Resource, status::FieldError};

/// Fills in what the API server fills in for fields that were left out. The object is in canonical form
/// ([`crate::schema::decode`], [`crate::schema::canonical`]).
pub fn set_defaults(resource: &Resource, object: &mut Value) {
    if let Some(custom) = &resource.custom {
        return custom.fill(resource, object);
    }
    if is_definition(resource) {
        return custom::definition::complete(object);
    }
    if !is_built_in(resource) || !object.is_object() {
        return;
    }
    let kind = resource.kind.as_str();
    match (resource.group.as_str(), kind) {
        ("", "Namespace") => namespace::defaults(object),
        ("", "Secret") => config::secret_defaults(object),
        ("", "Service") => service::defaults(object),
        ("", "Pod") => pod::defaults::pod(object),
        ("", "PodTemplate") => pod::defaults::template(value::make(object, "template")),
        ("", "PersistentVolumeClaim") => storage::claim_defaults(object),
        ("", "PersistentVolume") => storage::volume_defaults(object),
        ("", "LimitRange") => quota::range_defaults(object),
        ("", "Event") => event::defaults(object),
        ("apps", "Deployment") => deployment::defaults(object),
        ("apps", "ReplicaSet") => workload::replica_set_defaults(object),
        ("apps", "StatefulSet") => workload::stateful_set_defaults(object),
        ("apps", "DaemonSet") => workload::daemon_set_defaults(object),
        ("batch", "Job") => job::defaults(object),
        ("batch", "CronJob") => job::cron_defaults(object),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler::defaults(&resource.version, object),
        ("networking.k8s.io", "NetworkPolicy") => network::policy_defaults(object),
        ("discovery.k8s.io", "EndpointSlice") => service::slice_defaults(object),
        ("storage.k8s.io", "StorageClass") => storage::class_defaults(object),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => rbac::role_defaults(object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => rbac::binding_defaults(object),
        _ => {}
    }
}

/// Readies an object for creation: status and generation as the kind's strategy sets them.
///
/// `metadata.name` and `metadata.uid` are set already: a Job's selector is made of them.
pub fn prepare_create(resource: &Resource, object: &mut Value) {
    match &resource.custom {
        Some(custom) => custom::strategy::create(custom, object),
        None => strategy::create(resource, object),
    }
}

/// Readies an object for an update through the main resource or a subresource: what the path may not change is
/// restored from `old`, and the generation grows with the specification.
pub fn prepare_update(resource: &Resource, subresource: Option<&str>, object: &mut Value, old: &Value) {
    match &resource.custom {
        Some(custom) => {
            strategy::keep_system_fields(object, old);
            custom::strategy::update(custom, subresource, object, old);
        }
        None => strategy::update(resource, subresource, object, old),
    }
}

/// Every rule that the object breaks, in the order in which the server reports them; `old` is there on an update.
pub fn validate(
    resource: &Resource,
    subresource: Option<&str>,
    object: &Value,
    old: Option<&Value>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(custom) = &resource.custom {
        match old {
            None => errors.extend(metadata::validate(object, resource.namespaced, names::dns_subdomain)),
            Some(old) => errors.extend(metadata::validate_update(object, old)),
        }
        return custom::strategy::validate(resource, custom, subresource, object, old, errors);
    }
    let kind = if is_built_in(resource) { resource.kind.as_str() } else { "" };
    if let Some(old) = old {
        // The generic layer looks at the metadata before the kind does, and the kind looks again.
        errors.extend(metadata::apimachinery(object, resource.namespaced, names::path_segment));
        errors.extend(metadata::validate_update(object, old));
        errors.extend(metadata::validate_update(object, old));
    }
    if matches!(subresource, Some("status" | "binding" | "finalize")) {
        return errors;
    }
    // Templates and autoscalers are not asked for their name again once they have one.
    let again = !["Deployment", "HorizontalPodAutoscaler", "Ingress", "Namespace", "NetworkPolicy", "ReplicaSet"]
        .contains(&kind);
    if old.is_none() || (again && !kind.is_empty()) {
        errors.extend(metadata::validate(object, resource.namespaced, name_rule(kind)));
    }
    rules(resource, kind, &mut errors, object, old);
    errors
}

fn rules(resource: &Resource, kind: &str, errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    match (resource.group.as_str(), kind) {
        ("", "Namespace") => namespace::validate(errors, object),
        ("", "ConfigMap") => config::validate_config_map(errors, object, old),
        ("", "Secret") => config::validate_secret(errors, object, old),
        ("", "Service") => service::validate(errors, object, old),
        ("", "Pod") => {
            pod::validate_spec(errors, &object["spec"], "spec");
            if let Some(old) = old {
                pod::validate_update(errors, object, old);
            }
        }
        ("", "PodTemplate") => pod::template(errors, &object["template"], "template"),
        ("", "PersistentVolumeClaim") => storage::validate_claim(errors, object, old),
        ("", "ResourceQuota") => quota::validate(errors, object),
        ("", "LimitRange") => quota::validate_range(errors, object),
        ("", "Event") => event::validate(errors, object),
        ("apps", "Deployment") => deployment::validate(errors, object, old),
        ("apps", "ReplicaSet") => workload::validate_replica_set(errors, object, old),
        ("apps", "StatefulSet") => workload::validate_stateful_set(errors, object, old),
        ("apps", "DaemonSet") => workload::validate_daemon_set(errors, object, old),
        ("batch", "Job") => job::validate(errors, object, old),
        ("batch", "CronJob") => job::validate_cron(errors, object),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler::validate(errors, object),
        ("policy", "PodDisruptionBudget") => disruption::validate(errors, object),
        ("networking.k8s.io", "NetworkPolicy") => network::validate_policy(errors, object),
        ("networking.k8s.io", "Ingress") => network::validate_ingress(errors, object),
        ("discovery.k8s.io", "EndpointSlice") => service::validate_slice(errors, object, old),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => {
            rbac::validate_role(errors, object, resource.namespaced);
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            rbac::validate_binding(errors, object, old, resource.namespaced);
        }
        ("apiextensions.k8s.io", _) if is_definition(resource) => {
            errors.extend(custom::definition::validate(object, old));
        }
        _ => {}
    }
}

/// Whether objects of the resource define others.
pub(crate) fn is_definition(resource: &Resource) -> bool {
    resource.kind == "CustomResourceDefinition" && resource.group == "apiextensions.k8s.io"
}

/// What names of a kind look like. Most are subdomains; some end up as a DNS label; some only stand in paths.
fn name_rule(kind: &str) -> metadata::NameRule {
    match kind {
        "Namespace" | "Service" => names::dns_label,
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" | "" => names::path_segment,
        _ => names::dns_subdomain,
    }
}

/// Whether a group is one of Kubernetes's own, whose types and rules are known here.
fn is_built_in(resource: &Resource) -> bool {
    let group = resource.group.as_str();
    let own = !group.contains('.') || group.ends_with(".k8s.io");
    own && group != "apiextensions.k8s.io" && group != "apiregistration.k8s.io"
}
