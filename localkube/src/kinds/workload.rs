//! ReplicaSet, StatefulSet and DaemonSet, and what they share with Deployment (`pkg/apis/apps`).

use serde_json::{Value, json};

use super::{
    errors::{IMMUTABLE, forbidden, invalid, not_negative, one_of, raw_invalid, required, unsupported},
    names, pod, selector,
    value::{default, default_nonzero, has, items_mut, make, text},
};
use crate::status::FieldError;

/// Defaults of a ReplicaSet.
pub(super) fn replica_set_defaults(object: &mut Value) {
    let spec = make(object, "spec");
    default(spec, "replicas", 1);
    pod::defaults::template(make(spec, "template"));
}

/// Defaults of a StatefulSet.
pub(super) fn stateful_set_defaults(object: &mut Value) {
    let spec = make(object, "spec");
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    default_nonzero(spec, "podManagementPolicy", "OrderedReady");
    let strategy = make(spec, "updateStrategy");
    default_nonzero(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        default(make(strategy, "rollingUpdate"), "partition", 0);
    }
    let retention = make(spec, "persistentVolumeClaimRetentionPolicy");
    default_nonzero(retention, "whenDeleted", "Retain");
    default_nonzero(retention, "whenScaled", "Retain");
    for claim in items_mut(spec, "volumeClaimTemplates") {
        default(claim, "apiVersion", "v1");
        default(claim, "kind", "PersistentVolumeClaim");
        super::storage::claim_defaults(claim);
        default(claim, "status", json!({"phase": "Pending"}));
    }
    pod::defaults::template(make(spec, "template"));
}

/// Defaults of a DaemonSet.
pub(super) fn daemon_set_defaults(object: &mut Value) {
    let spec = make(object, "spec");
    default(spec, "revisionHistoryLimit", 10);
    let strategy = make(spec, "updateStrategy");
    default_nonzero(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = make(strategy, "rollingUpdate");
        default(rolling, "maxUnavailable", 1);
        default(rolling, "maxSurge", 0);
    }
    pod::defaults::template(make(spec, "template"));
}

/// The rules for a ReplicaSet.
pub(super) fn validate_replica_set(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    let spec = &object["spec"];
    not_negative(errors, spec, "replicas", "spec");
    not_negative(errors, spec, "minReadySeconds", "spec");
    selector_and_template(errors, spec, "deployment");
    immutable_selector(errors, object, old);
}

/// The rules for a StatefulSet.
pub(super) fn validate_stateful_set(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    let spec = &object["spec"];
    if let Some(old) = old {
        let mut rest = spec.clone();
        let changeable = [
            "minReadySeconds",
            "ordinals",
            "persistentVolumeClaimRetentionPolicy",
            "replicas",
            "revisionHistoryLimit",
            "template",
            "updateStrategy",
        ];
        for key in changeable {
            super::value::restore(&mut rest, &old["spec"], key);
        }
        if rest != old["spec"] {
            let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                          'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                          'minReadySeconds' are forbidden";
            errors.push(forbidden("spec", detail));
        }
    }
    let policies = ["OrderedReady", "Parallel"];
    if !policies.contains(&text(spec, "podManagementPolicy")) {
        let detail = "must be 'OrderedReady' or 'Parallel'";
        errors.push(invalid("spec.podManagementPolicy", text(spec, "podManagementPolicy"), detail));
    }
    update_strategy(errors, &spec["updateStrategy"]);
    not_negative(errors, spec, "replicas", "spec");
    not_negative(errors, spec, "minReadySeconds", "spec");
    not_negative(errors, spec, "revisionHistoryLimit", "spec");
    selector_and_template(errors, &with_claims(spec), "statefulset");
}

/// A StatefulSet's specification with the volumes that its pods get for the claim templates: containers may mount
/// them.
fn with_claims(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let claims: Vec<Value> =
        items_mut(&mut spec, "volumeClaimTemplates").map(|claim| claim["metadata"]["name"].clone()).collect();
    let pod = &mut spec["template"]["spec"];
    let known: Vec<Value> = items_mut(pod, "volumes").map(|volume| volume["name"].clone()).collect();
    let missing =
        claims.into_iter().filter(|name| !known.contains(name)).map(|name| json!({"name": name, "emptyDir": {}}));
    let missing: Vec<Value> = missing.collect();
    if pod.is_object() && !missing.is_empty() {
        match pod["volumes"].as_array_mut() {
            Some(volumes) => volumes.extend(missing),
            None => pod["volumes"] = missing.into(),
        }
    }
    spec
}

/// The rules for a DaemonSet.
pub(super) fn validate_daemon_set(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    let spec = &object["spec"];
    selector_and_template(errors, spec, "daemonset");
    not_negative(errors, spec, "minReadySeconds", "spec");
    update_strategy(errors, &spec["updateStrategy"]);
    not_negative(errors, spec, "revisionHistoryLimit", "spec");
    immutable_selector(errors, object, old);
}

fn update_strategy(errors: &mut Vec<FieldError>, strategy: &Value) {
    let path = "spec.updateStrategy";
    match text(strategy, "type") {
        "RollingUpdate" => {
            let rolling = &strategy["rollingUpdate"];
            not_negative(errors, rolling, "partition", &format!("{path}.rollingUpdate"));
            for key in ["maxUnavailable", "maxSurge"] {
                count_or_percent(errors, &rolling[key], &format!("{path}.rollingUpdate.{key}"));
            }
        }
        "OnDelete" => {
            if has(strategy, "rollingUpdate") {
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                errors.push(invalid(format!("{path}.rollingUpdate"), strategy["rollingUpdate"].clone(), detail));
            }
        }
        "" => errors.push(required(path, "")),
        _ => one_of(errors, strategy, "type", path, &["OnDelete", "RollingUpdate"], false),
    }
}

/// The selector, the template, and that the one selects the other. `kind` is how the message names the workload.
pub(super) fn selector_and_template(errors: &mut Vec<FieldError>, spec: &Value, kind: &str) {
    let chosen = &spec["selector"];
    if chosen.is_null() {
        errors.push(required("spec.selector", ""));
    } else {
        selector::validate(errors, chosen, "spec.selector");
        if selector::is_empty(chosen) {
            let detail = format!("empty selector is invalid for {kind}");
            errors.push(raw_invalid("spec.selector", &selector_text(chosen), &detail));
        }
    }
    let template = &spec["template"];
    let labels = &template["metadata"]["labels"];
    if (chosen.is_null() || !selector::is_empty(chosen)) && !selector::matches(chosen, labels) {
        let detail = "`selector` does not match template `labels`";
        errors.push(invalid("spec.template.metadata.labels", labels.clone(), detail));
    }
    pod::template(errors, template, "spec.template");
    let policy = text(&template["spec"], "restartPolicy");
    if policy != "Always" {
        errors.push(unsupported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
    if has(&template["spec"], "activeDeadlineSeconds") {
        let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
        errors.push(forbidden("spec.template.spec.activeDeadlineSeconds", detail));
    }
}

/// A selector is chosen once, as the objects it once selected would be left behind.
pub(super) fn immutable_selector(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    let now = &object["spec"]["selector"];
    if old.is_some_and(|old| old["spec"]["selector"] != *now) {
        errors.push(raw_invalid("spec.selector", &selector_text(now), IMMUTABLE));
    }
}

/// A selector as it stands in messages: `matchLabels` first.
fn selector_text(selector: &Value) -> String {
    let parts: Vec<String> = ["matchLabels", "matchExpressions"]
        .iter()
        .filter(|key| has(selector, key))
        .map(|key| format!("\"{key}\":{}", selector[*key]))
        .collect();
    if selector.is_null() { "null".to_owned() } else { format!("{{{}}}", parts.join(",")) }
}

/// A number of pods that is not negative, or a share like `25%`.
pub(super) fn count_or_percent(errors: &mut Vec<FieldError>, value: &Value, path: &str) {
    match value {
        Value::String(share) if names::percent(share).is_none() => {
            let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                          '93%', regex used for validation is '[0-9]+%')";
            errors.push(invalid(path, share.as_str(), detail));
        }
        Value::Number(number) if number.as_i64().is_some_and(|number| number < 0) => {
            errors.push(invalid(path, value.clone(), super::errors::NOT_NEGATIVE));
        }
        _ => {}
    }
}

/// A share of everything is the most there is.
pub(super) fn not_over_all(errors: &mut Vec<FieldError>, value: &Value, path: &str) {
    if value.as_str().and_then(names::percent).is_some_and(|share| share > 100) {
        errors.push(invalid(path, value.clone(), "must not be greater than 100%"));
    }
}

/// Whether a number of pods or a share is none at all.
pub(super) fn is_nothing(value: &Value) -> bool {
    value.as_i64() == Some(0) || value.as_str().and_then(names::percent) == Some(0)
}

/// The status that a new workload begins with.
pub(super) fn fresh_status(kind: &str) -> Value {
    match kind {
        "ReplicaSet" | "ReplicationController" => json!({"replicas": 0}),
        "StatefulSet" => json!({"replicas": 0, "availableReplicas": 0}),
        "DaemonSet" => json!({"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0,
            "numberReady": 0}),
        _ => json!({}),
    }
}
