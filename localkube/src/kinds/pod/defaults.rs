//! Defaults of pods and pod templates (`pkg/apis/core/v1/defaults.go`).

use serde_json::{Value, json};

use super::super::{
    resources,
    value::{default, default_nonzero, has, is_true, items_mut, make, part, remove, text},
};

/// Where permissions of files of a volume begin: `rw-r--r--`.
const FILE_MODE: i64 = 0o644;

/// What holds for pods only, not for templates.
pub(in super::super) fn pod(object: &mut Value) {
    let spec = make(object, "spec");
    for list in ["containers", "initContainers"] {
        for container in items_mut(spec, list) {
            resources::requests_from_limits(container);
        }
    }
    default(spec, "enableServiceLinks", true);
    pod_spec(spec);
    // Times that are not pointers are shown even when they are not set.
    if let Some(status) = part(object, "status") {
        for condition in items_mut(status, "conditions") {
            default(condition, "lastProbeTime", Value::Null);
            default(condition, "lastTransitionTime", Value::Null);
        }
    }
}

/// A template in a workload's specification.
pub(in super::super) fn template(template: &mut Value) {
    if !template.is_object() {
        return;
    }
    make(template, "metadata");
    pod_spec(make(template, "spec"));
}

fn pod_spec(spec: &mut Value) {
    default_nonzero(spec, "dnsPolicy", "ClusterFirst");
    default_nonzero(spec, "restartPolicy", "Always");
    default_nonzero(spec, "schedulerName", "default-scheduler");
    default(spec, "securityContext", json!({}));
    default(spec, "terminationGracePeriodSeconds", 30);
    service_account(spec);
    let host_network = is_true(spec, "hostNetwork");
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for one in items_mut(spec, list) {
            container(one, host_network);
        }
    }
    for one in items_mut(spec, "volumes") {
        volume(one);
    }
}

/// The older name of the field is an alias, and always shows the same.
fn service_account(spec: &mut Value) {
    if text(spec, "serviceAccountName").is_empty() {
        match remove(spec, "serviceAccount") {
            Some(alias) if alias != "" => spec["serviceAccountName"] = alias,
            _ => return,
        }
    }
    spec["serviceAccount"] = spec["serviceAccountName"].clone();
}

fn container(one: &mut Value, host_network: bool) {
    let policy = if is_latest(text(one, "image")) { "Always" } else { "IfNotPresent" };
    default_nonzero(one, "imagePullPolicy", policy);
    default_nonzero(one, "terminationMessagePath", "/dev/termination-log");
    default_nonzero(one, "terminationMessagePolicy", "File");
    make(one, "resources");
    for port in items_mut(one, "ports") {
        default_nonzero(port, "protocol", "TCP");
        if host_network && !has(port, "hostPort") {
            port["hostPort"] = port["containerPort"].clone();
        }
    }
    for variable in items_mut(one, "env") {
        if let Some(source) = part(variable, "valueFrom") {
            field_sources(source);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = part(one, name) {
            handler(probe);
            default_nonzero(probe, "timeoutSeconds", 1);
            default_nonzero(probe, "periodSeconds", 10);
            default_nonzero(probe, "successThreshold", 1);
            default_nonzero(probe, "failureThreshold", 3);
        }
    }
    if let Some(lifecycle) = part(one, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(hook) = part(lifecycle, name) {
                handler(hook);
            }
        }
    }
}

fn handler(handler: &mut Value) {
    if let Some(get) = part(handler, "httpGet") {
        default_nonzero(get, "path", "/");
        default_nonzero(get, "scheme", "HTTP");
    }
    if let Some(grpc) = part(handler, "grpc") {
        default(grpc, "service", "");
    }
}

fn field_sources(source: &mut Value) {
    if let Some(field) = part(source, "fieldRef") {
        default_nonzero(field, "apiVersion", "v1");
    }
    if let Some(resource) = part(source, "resourceFieldRef") {
        default(resource, "divisor", "0");
    }
}

/// Without a tag and without a digest an image means `:latest`.
fn is_latest(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    !last.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn volume(volume: &mut Value) {
    let Some(fields) = volume.as_object() else { return };
    if !fields.keys().any(|key| key != "name") {
        volume["emptyDir"] = json!({});
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = part(volume, kind) {
            default(source, "defaultMode", FILE_MODE);
        }
    }
    if let Some(source) = part(volume, "downwardAPI") {
        items_mut(source, "items").for_each(field_sources);
    }
    if let Some(source) = part(volume, "hostPath") {
        default(source, "type", "");
    }
    if let Some(source) = part(volume, "projected") {
        for one in items_mut(source, "sources") {
            if let Some(token) = part(one, "serviceAccountToken") {
                default(token, "expirationSeconds", 3600);
            }
            if let Some(downward) = part(one, "downwardAPI") {
                items_mut(downward, "items").for_each(field_sources);
            }
        }
    }
    if let Some(claim) = part(volume, "ephemeral").and_then(|one| part(one, "volumeClaimTemplate")) {
        default_nonzero(make(claim, "spec"), "volumeMode", "Filesystem");
    }
}
