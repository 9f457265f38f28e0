//! PodDisruptionBudgets, and what an eviction asks of them.

use serde_json::{Value, json};

use super::{
    errors::{one_of, raw_invalid},
    selector,
    value::{has, int, items},
    workload::{count_or_percent, not_over_all},
};
use crate::status::FieldError;

/// The status that a new budget begins with.
pub(super) fn fresh_status() -> Value {
    json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0})
}

/// The rules for a budget.
pub(super) fn validate(errors: &mut Vec<FieldError>, object: &Value) {
    let spec = &object["spec"];
    if has(spec, "minAvailable") && has(spec, "maxUnavailable") {
        let value = format!(
            "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
            spec["minAvailable"], spec["selector"], spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]
        );
        errors.push(raw_invalid("spec", &value, "minAvailable and maxUnavailable cannot be both set"));
    }
    for key in ["minAvailable", "maxUnavailable"] {
        count_or_percent(errors, &spec[key], &format!("spec.{key}"));
        not_over_all(errors, &spec[key], &format!("spec.{key}"));
    }
    selector::validate(errors, &spec["selector"], "spec.selector");
    let policies = ["AlwaysAllow", "IfHealthyBudget"];
    one_of(errors, spec, "unhealthyPodEvictionPolicy", "spec", &policies, true);
}

/// What the budgets of a namespace say about evicting a pod.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No budget covers the pod, or it does not count: it may go at once.
    Free,
    /// The named budget allows it; its `status.disruptionsAllowed` goes down by one with the eviction.
    Spend(String),
    /// More than one budget covers the pod, which the server refuses to weigh (500).
    Several,
    /// The named budget forbids it now (429); the message is the cause's.
    Refused(String),
}

/// Whether a pod may be evicted, from the namespace's budgets (`pkg/registry/core/pod/storage/eviction.go`).
pub fn evict(pod: &Value, budgets: &[Value]) -> Verdict {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if ["Succeeded", "Failed", "Pending"].contains(&phase) || has(&pod["metadata"], "deletionTimestamp") {
        return Verdict::Free;
    }
    let covers = |budget: &&Value| selector::matches(&budget["spec"]["selector"], &pod["metadata"]["labels"]);
    let covering: Vec<&Value> = budgets.iter().filter(covers).collect();
    let budget = match covering.as_slice() {
        [] => return Verdict::Free,
        [budget] => budget,
        _ => return Verdict::Several,
    };
    let name = budget["metadata"]["name"].as_str().unwrap_or_default();
    let status = &budget["status"];
    let number = |key: &str| int(status, key).unwrap_or_default();
    let ready = items(&pod["status"], "conditions").iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
    // A pod that does not serve costs the budget nothing once enough others do, or where the policy says so.
    let always = budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
    let enough = number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0;
    if !ready && (always || enough) {
        return Verdict::Free;
    }
    if number("observedGeneration") < int(&budget["metadata"], "generation").unwrap_or_default() {
        return Verdict::Refused(format!("The disruption budget {name} is still being processed by the server."));
    }
    if number("disruptionsAllowed") > 0 {
        return Verdict::Spend(name.to_owned());
    }
    Verdict::Refused(format!(
        "The disruption budget {name} needs {} healthy pods and has {} currently",
        number("desiredHealthy"),
        number("currentHealthy")
    ))
}
