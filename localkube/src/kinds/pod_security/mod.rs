//! Pod Security Standards: what a pod does that its namespace does not allow.
//!
//! Checks, their order and their words are those of `k8s.io/pod-security-admission` at its latest version.

mod baseline;
mod restricted;

use serde_json::Value;

use super::value::{is_true, items, text};

/// How much a namespace allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Everything.
    Privileged,
    /// No known way out of the container.
    Baseline,
    /// What hardened pods do.
    Restricted,
}

impl Level {
    /// The level that a label's value names.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }

    /// As labels and messages write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// What the labels of a namespace ask for in one mode (`enforce`, `warn` or `audit`).
pub fn level_of(namespace: &Value, mode: &str) -> Level {
    let label = format!("pod-security.kubernetes.io/{mode}");
    Level::parse(text(&namespace["metadata"]["labels"], &label)).unwrap_or(Level::Privileged)
}

/// Every check that a pod's specification fails, each as `reason (details)`.
pub fn violations(level: Level, spec: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if level == Level::Privileged {
        return found;
    }
    let restricted = level == Level::Restricted;
    baseline::host_namespaces(&mut found, spec);
    baseline::host_ports(&mut found, spec);
    baseline::privileged(&mut found, spec);
    baseline::selinux(&mut found, spec);
    baseline::proc_mount(&mut found, spec);
    baseline::sysctls(&mut found, spec);
    baseline::app_armor(&mut found, spec);
    baseline::host_process(&mut found, spec);
    if restricted {
        restricted::privilege_escalation(&mut found, spec);
        restricted::capabilities(&mut found, spec);
        restricted::volume_types(&mut found, spec);
        restricted::run_as_non_root(&mut found, spec);
        restricted::run_as_user(&mut found, spec);
        restricted::seccomp(&mut found, spec);
    } else {
        baseline::capabilities(&mut found, spec);
        baseline::host_path(&mut found, spec);
        baseline::seccomp(&mut found, spec);
    }
    found
}

/// The sentence that follows `violates` or `would violate`; `None` when nothing is wrong.
pub fn sentence(level: Level, spec: &Value) -> Option<String> {
    let found = violations(level, spec);
    if found.is_empty() {
        return None;
    }
    Some(format!("PodSecurity \"{}:latest\": {}", level.name(), found.join(", ")))
}

/// The reasons alone, without who and what, as warnings about pods that exist already give them.
pub fn reasons(level: Level, spec: &Value) -> String {
    let found = violations(level, spec);
    let reasons: Vec<&str> =
        found.iter().map(|one| one.split_once(" (").map_or(one.as_str(), |(head, _)| head)).collect();
    reasons.join(", ")
}

/// The specification of the pods that an object is or makes; `None` for other kinds.
pub fn pod_spec<'a>(kind: &str, object: &'a Value) -> Option<&'a Value> {
    match kind {
        "Pod" => Some(&object["spec"]),
        "PodTemplate" => Some(&object["template"]["spec"]),
        "CronJob" => Some(&object["spec"]["jobTemplate"]["spec"]["template"]["spec"]),
        "DaemonSet" | "Deployment" | "Job" | "ReplicaSet" | "ReplicationController" | "StatefulSet" => {
            Some(&object["spec"]["template"]["spec"])
        }
        _ => None,
    }
}

/// Every container of a pod, in the order in which messages name them.
fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    let list = |key| items(spec, key).iter();
    list("initContainers").chain(list("containers")).chain(list("ephemeralContainers"))
}

/// The names of the containers for which a check fails.
fn failing<'a>(spec: &'a Value, fails: impl Fn(&'a Value) -> bool) -> Vec<String> {
    containers(spec).filter(|one| fails(&one["securityContext"])).map(|one| quoted(text(one, "name"))).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn plural<'a>(list: &[String], one: &'a str, many: &'a str) -> &'a str {
    if list.len() == 1 { one } else { many }
}

/// `container "a"` or `containers "a", "b"`.
fn named(list: &[String]) -> String {
    format!("{} {}", plural(list, "container", "containers"), list.join(", "))
}

fn windows(spec: &Value) -> bool {
    text(&spec["os"], "name") == "windows"
}

fn host_process(context: &Value) -> bool {
    is_true(&context["windowsOptions"], "hostProcess")
}
