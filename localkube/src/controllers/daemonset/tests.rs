use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSet;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::decide;

fn set(strategy: Value) -> DaemonSet {
    serde_json::from_value(json!({
        "metadata": {"name": "agent", "namespace": "default", "uid": "set", "generation": 3},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "updateStrategy": strategy,
            "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": []}}},
    }))
    .expect("a DaemonSet")
}

/// What is done on three nodes with these pods, `one:old+` a ready one of the old template on node one, without the
/// plus it is not ready, with a minus it is leaving: `+node`, `-pod`.
fn done(strategy: Value, present: &[&str]) -> String {
    let node = |(name, taint): (&str, Option<&str>)| {
        let taints: Vec<_> = taint.iter().map(|key| json!({"key": key, "effect": "NoSchedule"})).collect();
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"taints": taints}})).expect("a node"),
        )
    };
    let nodes = [("one", None), ("two", Some("node.kubernetes.io/unschedulable")), ("three", Some("mine"))].map(node);
    let pod = |text: &&str| {
        let (node, state) = text.split_once(':').expect("a node and a state");
        let ready = if state.ends_with('+') { "True" } else { "False" };
        let mut pod = json!({
            "metadata": {"name": text, "labels": {"controller-revision-hash": state.trim_end_matches(['+', '-'])}},
            "spec": {"nodeName": node, "containers": []},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        });
        if state.ends_with('-') {
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        Arc::new(serde_json::from_value(pod).expect("a Pod"))
    };
    let all: Vec<_> = present.iter().map(pod).collect();
    let plan = decide::plan(&set(strategy), &all, &nodes, "new", "2026-01-01T00:00:00Z".parse().expect("a time"));
    let mut steps: Vec<String> = plan.create.iter().map(|node| format!("+{node}")).collect();
    steps.extend(plan.delete.iter().map(|pod| format!("-{}", pod.name_any())));
    steps.join(" ")
}

#[test]
fn every_node_that_takes_it_has_one() {
    let rolling = || json!({"type": "RollingUpdate"});
    assert_eq!(done(rolling(), &[]), "+one +two", "a cordoned node takes it, a tainted one does not");
    assert_eq!(done(rolling(), &["one:new+", "two:new"]), "");
    assert_eq!(done(rolling(), &["one:new-", "two:new+"]), "", "the leaving one is waited for");
    assert_eq!(done(rolling(), &["one:new+", "two:new+", "three:new+", "gone:new+"]), "-three:new+ -gone:new+");
}

#[test]
fn an_update_keeps_within_its_bounds() {
    let rolling = || json!({"type": "RollingUpdate"});
    assert_eq!(done(rolling(), &["one:old+", "two:old+"]), "-one:old+");
    assert_eq!(done(rolling(), &["one:new", "two:old+"]), "", "the first is not ready yet");
    assert_eq!(done(rolling(), &["one:new", "two:old"]), "-two:old", "it does not serve anyway");
    assert_eq!(done(json!({"type": "OnDelete"}), &["one:old+", "two:old+"]), "");
    let surge = || json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    assert_eq!(done(surge(), &["one:old+", "two:old+"]), "+one");
    assert_eq!(done(surge(), &["one:old+", "one:new", "two:old+"]), "");
    assert_eq!(done(surge(), &["one:old+", "one:new+", "two:old+"]), "-one:old+");
}
