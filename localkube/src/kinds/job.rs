//! Jobs and CronJobs (`pkg/apis/batch`).

use serde_json::{Value, json};

use super::{
    errors::{IMMUTABLE, invalid, not_negative, one_of, required},
    pod,
    value::{default, default_nonzero, has, is_true, make, text},
};
use crate::status::FieldError;

/// The name of a CronJob leaves room for the suffix of its Jobs.
const CRON_JOB_NAME: usize = 52;

/// Defaults of a Job.
pub(super) fn defaults(object: &mut Value) {
    let spec = make(object, "spec");
    if !has(spec, "completions") && !has(spec, "parallelism") {
        default(spec, "completions", 1);
    }
    default(spec, "parallelism", 1);
    let limit = if has(spec, "backoffLimitPerIndex") { i64::from(i32::MAX) } else { 6 };
    default(spec, "backoffLimit", limit);
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    let replacement = if has(spec, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    default(spec, "podReplacementPolicy", replacement);
    pod::defaults::template(make(spec, "template"));
}

/// Defaults of a CronJob.
pub(super) fn cron_defaults(object: &mut Value) {
    let spec = make(object, "spec");
    default_nonzero(spec, "concurrencyPolicy", "Allow");
    default(spec, "suspend", false);
    default(spec, "successfulJobsHistoryLimit", 3);
    default(spec, "failedJobsHistoryLimit", 1);
    let job = make(spec, "jobTemplate");
    make(job, "metadata");
    pod::defaults::template(make(make(job, "spec"), "template"));
}

/// Gives a new Job a selector of its own, so that it never takes another Job's pods. Needs the object's uid.
pub(super) fn generate_selector(object: &mut Value) {
    let (name, uid) = (object["metadata"]["name"].clone(), object["metadata"]["uid"].clone());
    let spec = make(object, "spec");
    if uid.is_null() || is_true(spec, "manualSelector") {
        return;
    }
    let labels = make(make(make(spec, "template"), "metadata"), "labels");
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        default(labels, key, value.clone());
    }
    if !has(spec, "selector") {
        spec["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    }
}

/// The rules for a Job.
pub(super) fn validate(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    let spec = &object["spec"];
    job_spec(errors, spec, "spec");
    let Some(before) = old.map(|old| &old["spec"]) else { return };
    for key in ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex"] {
        if spec[key] != before[key] {
            errors.push(invalid(format!("spec.{key}"), spec[key].clone(), IMMUTABLE));
        }
    }
    if spec["completions"] != before["completions"] && text(spec, "completionMode") != "Indexed" {
        errors.push(invalid("spec.completions", spec["completions"].clone(), IMMUTABLE));
    }
    let never_ran = is_true(before, "suspend") && old.is_some_and(|old| !has(&old["status"], "startTime"));
    if spec["template"] != before["template"] && !never_ran {
        errors.push(invalid("spec.template", spec["template"].clone(), IMMUTABLE));
    }
}

/// The rules for a CronJob.
pub(super) fn validate_cron(errors: &mut Vec<FieldError>, object: &Value) {
    let spec = &object["spec"];
    let name = text(&object["metadata"], "name");
    if name.len() > CRON_JOB_NAME {
        errors.push(invalid("metadata.name", name, &format!("must be no more than {CRON_JOB_NAME} characters")));
    }
    let schedule = text(spec, "schedule");
    if schedule.is_empty() {
        errors.push(required("spec.schedule", ""));
    } else if !schedule.starts_with('@') && schedule.split_whitespace().count() != 5 {
        let count = schedule.split_whitespace().count();
        let detail = format!("expected exactly 5 fields, found {count}: [{schedule}]");
        errors.push(invalid("spec.schedule", schedule, &detail));
    }
    not_negative(errors, spec, "startingDeadlineSeconds", "spec");
    one_of(errors, spec, "concurrencyPolicy", "spec", &["Allow", "Forbid", "Replace"], false);
    not_negative(errors, spec, "successfulJobsHistoryLimit", "spec");
    not_negative(errors, spec, "failedJobsHistoryLimit", "spec");
    job_spec(errors, &spec["jobTemplate"]["spec"], "spec.jobTemplate.spec");
}

fn job_spec(errors: &mut Vec<FieldError>, spec: &Value, path: &str) {
    for key in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
        not_negative(errors, spec, key, path);
    }
    one_of(errors, spec, "completionMode", path, &["Indexed", "NonIndexed"], true);
    if text(spec, "completionMode") == "Indexed" && !has(spec, "completions") {
        let detail = "when completion mode is Indexed";
        errors.push(required(format!("{path}.completions"), detail));
    }
    pod::template(errors, &spec["template"], &format!("{path}.template"));
    let policy = text(&spec["template"]["spec"], "restartPolicy");
    if policy == "Always" {
        let detail = "valid values: \"OnFailure\", \"Never\"";
        errors.push(required(format!("{path}.template.spec.restartPolicy"), detail));
    }
}
