//! Filters and their words.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use super::fit::{explain, misfit_of, on_node};

fn node(spec: Value) -> Node {
    let room = json!({"cpu": "2", "memory": "1Gi", "pods": "3"});
    let labels = json!({"zone": "z", "cores": "8"});
    let value = json!({"metadata": {"name": "one", "labels": labels}, "spec": spec, "status": {"allocatable": room}});
    serde_json::from_value(value).unwrap()
}

fn pod(name: &str, labels: Value, spec: Value) -> Arc<Pod> {
    let mut spec = spec;
    if spec["containers"].is_null() {
        spec["containers"] = json!([]);
    }
    let value = json!({"metadata": {"name": name, "namespace": "n", "labels": labels}, "spec": spec});
    Arc::new(serde_json::from_value(value).unwrap())
}

fn asks(cpu: &str) -> Value {
    json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]})
}

fn told(pod: &Pod, node: &Node, present: &[Arc<Pod>]) -> Option<String> {
    misfit_of(pod, node, present).map(|misfit| explain(&[misfit]))
}

fn refused(why: &str, helpful: bool) -> Option<String> {
    let preemption = if helpful {
        "No preemption victims found for incoming pod"
    } else {
        "Preemption is not helpful for scheduling"
    };
    Some(format!(
        "0/1 nodes are available: {why}. no new claims to deallocate, preemption: 0/1 nodes are available: 1 {preemption}."
    ))
}

#[test]
fn every_filter_speaks_its_own_words() {
    let free = node(json!({}));
    let cases: Vec<(Value, Node, &str, bool)> = vec![
        (json!({}), node(json!({"unschedulable": true})), "1 node(s) were unschedulable", false),
        (
            json!({}),
            node(json!({"taints": [{"key": "k", "effect": "NoSchedule"}]})),
            "1 node(s) had untolerated taint(s)",
            false,
        ),
        // The words of the recording.
        (
            json!({"nodeSelector": {"golden": "none"}}),
            free.clone(),
            "1 node(s) didn't match Pod's node affinity/selector",
            false,
        ),
        (asks("1500m"), free.clone(), "1 Insufficient cpu", true),
        (asks("3"), free.clone(), "1 Insufficient cpu", false),
        (
            json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]}),
            free.clone(),
            "1 node(s) didn't match pod topology spread constraints (missing required label)",
            false,
        ),
        (
            json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "db"}}}]}}}),
            free.clone(),
            "1 node(s) didn't match pod anti-affinity rules",
            true,
        ),
        (
            json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "cache"}}}]}}}),
            free.clone(),
            "1 node(s) didn't match pod affinity rules",
            false,
        ),
        (
            json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}]}]}),
            free,
            "1 node(s) didn't have free ports for the requested pod ports",
            true,
        ),
    ];
    let mut other = asks("1");
    other["containers"][0]["ports"] = json!([{"containerPort": 2, "hostPort": 80, "hostIP": "127.0.0.1"}]);
    let present = [pod("db", json!({"app": "db"}), other)];
    for (spec, node, why, helpful) in cases {
        assert_eq!(told(&pod("new", json!({}), spec), &node, &present), refused(why, helpful));
    }
    assert_eq!(explain(&[]), "no nodes available to schedule pods");
}

#[test]
fn a_pod_that_fits_fits() {
    let tainted = node(json!({"unschedulable": true, "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}));
    let mut spec = asks("2");
    spec["nodeSelector"] = json!({"zone": "z"});
    spec["tolerations"] = json!([
        {"key": "k", "operator": "Equal", "value": "v"},
        {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"},
    ]);
    spec["affinity"] = json!({
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "absent", "operator": "Exists"}]},
            {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}],
             "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["one"]}]},
        ]}},
        // The first of a group that wants to be together.
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}]},
    });
    assert_eq!(told(&pod("new", json!({"app": "web"}), spec), &tainted, &[]), None);
}

#[test]
fn room_is_counted_by_the_larger_of_start_and_run_and_sidecars_count_throughout() {
    let spec = json!({
        "initContainers": [
            {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}},
            {"name": "init", "resources": {"requests": {"cpu": "1600m"}}},
        ],
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}],
    });
    let free = node(json!({}));
    assert_eq!(told(&pod("new", json!({}), spec.clone()), &free, &[]), refused("1 Insufficient cpu", false));
    let mut smaller = spec;
    smaller["initContainers"][1]["resources"]["requests"]["cpu"] = json!("1500m");
    assert_eq!(told(&pod("new", json!({}), smaller.clone()), &free, &[]), None);
    smaller["nodeName"] = json!("one");
    let mut all = vec![pod("taken", json!({}), smaller)];
    let small = pod("small", json!({}), asks("1m"));
    assert_eq!(told(&small, &free, &on_node(all.iter(), "one")), refused("1 Insufficient cpu", true));
    all.extend(["a", "b"].map(|name| pod(name, json!({}), json!({"nodeName": "one"}))));
    let why = "1 Insufficient cpu, 1 Too many pods";
    assert_eq!(told(&small, &free, &on_node(all.iter(), "one")), refused(why, true));
    // What has ended takes no room.
    for pod in &mut all {
        Arc::make_mut(pod).status = serde_json::from_value(json!({"phase": "Succeeded"})).unwrap();
    }
    assert_eq!(told(&small, &free, &on_node(all.iter(), "one")), None);
}
