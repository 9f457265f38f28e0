//! What a table says of a pod: its containers' states in one word.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::meta,
    words::{NONE, age, condition, duration, items, number, text_or_none},
};
use crate::resource::Resource;

/// What the containers' states amount to.
#[derive(Default)]
struct Summary {
    reason: String,
    ready: i64,
    restarts: i64,
    sidecar_restarts: i64,
    last_restart: Option<Timestamp>,
}

pub(super) fn cells(pod: &Value, now: Timestamp) -> Value {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let mut summary = Summary { reason: first_reason(status), ..Summary::default() };
    let initializing = summary.init_containers(pod);
    if !initializing || condition(status, "Initialized") {
        summary.containers(pod);
    }
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        if status["reason"] == "NodeLost" {
            "Unknown".clone_into(&mut summary.reason);
        } else if !matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")) {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    let sidecars = items(&spec["initContainers"]).iter().filter(|container| is_sidecar(container)).count();
    let total = items(&spec["containers"]).len() + sidecars;
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts != 0 => {
            format!("{} ({} ago)", summary.restarts, duration(now.as_second() - last.as_second()))
        }
        _ => summary.restarts.to_string(),
    };
    json!([
        pod["metadata"]["name"],
        format!("{}/{total}", summary.ready),
        summary.reason,
        restarts,
        age(&pod["metadata"]["creationTimestamp"], now),
        text_or_none(&status["podIP"]),
        text_or_none(&spec["nodeName"]),
        text_or_none(&status["nominatedNodeName"]),
        readiness_gates(spec, status),
    ])
}

/// Rows of pods that have ended say so, for clients that hide them.
pub(super) fn conditions(resource: &Resource, object: &Value) -> Option<Value> {
    let (reason, message) = match (resource.storage.as_str(), object["status"]["phase"].as_str()) {
        ("pods", Some("Succeeded")) => ("Succeeded", "The pod has completed successfully."),
        ("pods", Some("Failed")) => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

fn first_reason(status: &Value) -> String {
    let scheduled = items(&status["conditions"]).iter().find(|condition| condition["type"] == "PodScheduled");
    if scheduled.is_some_and(|condition| condition["reason"] == "SchedulingGated") {
        return "SchedulingGated".to_owned();
    }
    let reason = status["reason"].as_str().filter(|reason| !reason.is_empty());
    reason.or(status["phase"].as_str()).unwrap_or_default().to_owned()
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

impl Summary {
    /// Whether the pod is still initialising.
    fn init_containers(&mut self, pod: &Value) -> bool {
        let specs = items(&pod["spec"]["initContainers"]);
        for (index, status) in items(&pod["status"]["initContainerStatuses"]).iter().enumerate() {
            let sidecar = specs.iter().any(|spec| spec["name"] == status["name"] && is_sidecar(spec));
            self.restarted(status);
            if sidecar {
                self.sidecar_restarts += number(&status["restartCount"]);
            }
            let state = &status["state"];
            let terminated = &state["terminated"];
            let waiting = state["waiting"]["reason"].as_str().unwrap_or_default();
            if terminated.is_object() && number(&terminated["exitCode"]) == 0 {
                continue;
            }
            if sidecar && status["started"] == true {
                self.ready += i64::from(status["ready"] == true);
                continue;
            }
            self.reason = if terminated.is_object() {
                format!("Init:{}", end(terminated))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", specs.len())
            };
            return true;
        }
        false
    }

    fn containers(&mut self, pod: &Value) {
        self.restarts = self.sidecar_restarts;
        let mut running = false;
        for status in items(&pod["status"]["containerStatuses"]).iter().rev() {
            self.restarted(status);
            let state = &status["state"];
            let waiting = state["waiting"]["reason"].as_str().unwrap_or_default();
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if state["terminated"].is_object() {
                self.reason = end(&state["terminated"]);
            } else if status["ready"] == true && state["running"].is_object() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            let ready = condition(&pod["status"], "Ready");
            self.reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn restarted(&mut self, status: &Value) {
        self.restarts += number(&status["restartCount"]);
        let last = meta::parse_time(&status["lastState"]["terminated"]["finishedAt"]);
        self.last_restart = self.last_restart.max(last);
    }
}

/// Why a container ended, in a word.
fn end(terminated: &Value) -> String {
    match terminated["reason"].as_str() {
        Some(reason) if !reason.is_empty() => reason.to_owned(),
        _ if number(&terminated["signal"]) != 0 => format!("Signal:{}", terminated["signal"]),
        _ => format!("ExitCode:{}", number(&terminated["exitCode"])),
    }
}

fn readiness_gates(spec: &Value, status: &Value) -> String {
    let gates = items(&spec["readinessGates"]);
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let met = gates.iter().filter(|gate| condition(status, gate["conditionType"].as_str().unwrap_or_default()));
    format!("{}/{}", met.count(), gates.len())
}
