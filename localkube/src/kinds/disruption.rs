//! PodDisruptionBudgets.

use serde_json::{Value, json};

use super::{
    errors::{one_of, raw_invalid},
    selector,
    value::has,
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
