//! Deployments.

use serde_json::Value;

use super::{
    errors::{forbidden, invalid, not_negative, one_of},
    pod,
    value::{default, default_nonzero, has, int, make, text},
    workload::{count_or_percent, immutable_selector, is_nothing, not_over_all, selector_and_template},
};
use crate::status::FieldError;

/// Defaults of a Deployment.
pub(super) fn defaults(object: &mut Value) {
    let spec = make(object, "spec");
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    default(spec, "progressDeadlineSeconds", 600);
    let strategy = make(spec, "strategy");
    default_nonzero(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = make(strategy, "rollingUpdate");
        default(rolling, "maxUnavailable", "25%");
        default(rolling, "maxSurge", "25%");
    }
    pod::defaults::template(make(spec, "template"));
}

/// The rules for a Deployment.
pub(super) fn validate(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    let spec = &object["spec"];
    not_negative(errors, spec, "replicas", "spec");
    selector_and_template(errors, spec, "deployment");
    strategy(errors, &spec["strategy"]);
    not_negative(errors, spec, "minReadySeconds", "spec");
    not_negative(errors, spec, "revisionHistoryLimit", "spec");
    not_negative(errors, spec, "progressDeadlineSeconds", "spec");
    let ready = int(spec, "minReadySeconds").unwrap_or_default();
    if let Some(deadline) = int(spec, "progressDeadlineSeconds").filter(|deadline| *deadline <= ready) {
        errors.push(invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"));
    }
    immutable_selector(errors, object, old);
}

fn strategy(errors: &mut Vec<FieldError>, strategy: &Value) {
    let path = "spec.strategy.rollingUpdate";
    match text(strategy, "type") {
        "Recreate" => {
            if has(strategy, "rollingUpdate") {
                errors.push(forbidden(path, "may not be specified when strategy `type` is 'Recreate'"));
            }
        }
        "RollingUpdate" => {
            let (lost, extra) = (&strategy["rollingUpdate"]["maxUnavailable"], &strategy["rollingUpdate"]["maxSurge"]);
            count_or_percent(errors, lost, &format!("{path}.maxUnavailable"));
            count_or_percent(errors, extra, &format!("{path}.maxSurge"));
            if is_nothing(lost) && is_nothing(extra) {
                let detail = "may not be 0 when `maxSurge` is 0";
                errors.push(invalid(format!("{path}.maxUnavailable"), lost.clone(), detail));
            }
            not_over_all(errors, lost, &format!("{path}.maxUnavailable"));
        }
        _ => one_of(errors, strategy, "type", "spec.strategy", &["Recreate", "RollingUpdate"], false),
    }
}
