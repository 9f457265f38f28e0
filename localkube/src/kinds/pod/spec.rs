//! Rules for the specification of a pod and for templates of pods.

use serde_json::Value;

use super::super::{
    errors::{invalid, one_of, required},
    metadata, names,
    value::{has, int, items, text},
};
use super::{container, volume};
use crate::status::FieldError;

const DNS_POLICIES: [&str; 4] = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "PreferNoSchedule"];

/// The rules for the specification at `path`.
pub(in super::super) fn validate_spec(errors: &mut Vec<FieldError>, spec: &Value, path: &str) {
    let volumes = volume::validate(errors, spec, path);
    if items(spec, "containers").is_empty() {
        errors.push(required(format!("{path}.containers"), ""));
    }
    container::validate_all(errors, spec, "containers", &volumes, path);
    container::validate_all(errors, spec, "initContainers", &volumes, path);
    one_of(errors, spec, "restartPolicy", path, &["Always", "Never", "OnFailure"], false);
    one_of(errors, spec, "dnsPolicy", path, &DNS_POLICIES, false);
    if text(spec, "dnsPolicy") == "None" && items(&spec["dnsConfig"], "nameservers").is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.push(required(format!("{path}.dnsConfig.nameservers"), detail));
    }
    metadata::labels(errors, spec, "nodeSelector", &format!("{path}.nodeSelector"));
    container::seccomp(errors, &spec["securityContext"], &format!("{path}.securityContext"));
    for (index, constraint) in items(spec, "topologySpreadConstraints").iter().enumerate() {
        topology_spread(errors, constraint, &format!("{path}.topologySpreadConstraints[{index}]"));
    }
    for (key, rule) in [
        ("serviceAccountName", names::dns_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", names::dns_subdomain),
        ("hostname", names::dns_label),
        ("subdomain", names::dns_label),
        ("priorityClassName", names::dns_subdomain),
        ("runtimeClassName", names::dns_subdomain),
    ] {
        let value = text(spec, key);
        if !value.is_empty() {
            errors.extend(rule(value).iter().map(|wrong| invalid(format!("{path}.{key}"), value, wrong)));
        }
    }
    let possible = 1..=i64::from(i32::MAX);
    if let Some(seconds) = int(spec, "activeDeadlineSeconds").filter(|seconds| !possible.contains(seconds)) {
        let detail = format!("must be between 1 and {}, inclusive", i32::MAX);
        errors.push(invalid(format!("{path}.activeDeadlineSeconds"), seconds, &detail));
    }
    if let Some(seconds) = int(spec, "terminationGracePeriodSeconds").filter(|seconds| *seconds < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(invalid(format!("{path}.terminationGracePeriodSeconds"), seconds, detail));
    }
    for (index, toleration) in items(spec, "tolerations").iter().enumerate() {
        tolerations(errors, toleration, &format!("{path}.tolerations[{index}]"));
    }
}

fn topology_spread(errors: &mut Vec<FieldError>, constraint: &Value, path: &str) {
    if int(constraint, "maxSkew").is_none_or(|skew| skew <= 0) {
        let skew = int(constraint, "maxSkew").unwrap_or_default();
        errors.push(invalid(format!("{path}.maxSkew"), skew, "must be greater than 0"));
    }
    if text(constraint, "topologyKey").is_empty() {
        errors.push(required(format!("{path}.topologyKey"), "can not be empty"));
    }
    let actions = ["DoNotSchedule", "ScheduleAnyway"];
    one_of(errors, constraint, "whenUnsatisfiable", path, &actions, false);
}

fn tolerations(errors: &mut Vec<FieldError>, toleration: &Value, path: &str) {
    let key = text(toleration, "key");
    if !key.is_empty() {
        errors.extend(names::qualified(key).iter().map(|wrong| invalid(format!("{path}.key"), key, wrong)));
    }
    let operator = text(toleration, "operator");
    if key.is_empty() && operator != "Exists" {
        let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(invalid(format!("{path}.operator"), operator, detail));
    }
    if has(toleration, "tolerationSeconds") && text(toleration, "effect") != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(invalid(format!("{path}.effect"), text(toleration, "effect"), detail));
    }
    if operator == "Exists" && !text(toleration, "value").is_empty() {
        let detail = "value must be empty when `operator` is 'Exists'";
        errors.push(invalid(format!("{path}.operator"), toleration.clone(), detail));
    }
    one_of(errors, toleration, "operator", path, &["Equal", "Exists", "Gt", "Lt"], true);
    one_of(errors, toleration, "effect", path, &EFFECTS, true);
}

/// The rules for a template at `path`.
pub(in super::super) fn template(errors: &mut Vec<FieldError>, template: &Value, path: &str) {
    metadata::labels(errors, &template["metadata"], "labels", &format!("{path}.metadata.labels"));
    metadata::annotations(errors, &template["metadata"], &format!("{path}.metadata.annotations"));
    validate_spec(errors, &template["spec"], &format!("{path}.spec"));
}
