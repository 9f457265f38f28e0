use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{Node, Pod, Taint},
    apimachinery::pkg::apis::meta::v1::Time,
};
use serde_json::{Value, json};

use super::decide;

fn keys(ready: &str, cordoned: bool, taints: Value) -> Vec<String> {
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": "one"}, "spec": {"unschedulable": cordoned, "taints": taints},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }))
    .expect("a node");
    let now = Time("2026-01-01T00:00:00Z".parse().expect("a time"));
    decide::taints(&node, &now).iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect()
}

#[test]
fn conditions_become_taints_and_go_with_them() {
    let mine = json!([{"key": "mine", "effect": "NoSchedule"}]);
    assert_eq!(keys("True", false, mine), ["mine:NoSchedule"]);
    let lost = ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"];
    assert_eq!(keys("Unknown", false, json!([])), lost);
    let old = json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]);
    assert_eq!(keys("True", true, old), ["node.kubernetes.io/unschedulable:NoSchedule"]);
}

#[test]
fn a_pod_stays_as_long_as_it_tolerates() {
    let stay = |tolerations: Value, effect: &str| {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {}, "spec": {"containers": [], "tolerations": tolerations}}))
                .expect("a pod");
        let taint = Taint { key: "gone".into(), effect: effect.into(), ..Taint::default() };
        decide::stay(&pod, &[taint])
    };
    let exists = |seconds: Value| json!([{"key": "gone", "operator": "Exists", "tolerationSeconds": seconds}]);
    assert_eq!(stay(json!([]), "NoExecute"), Some(Duration::ZERO));
    assert_eq!(stay(json!([]), "NoSchedule"), None);
    assert_eq!(stay(exists(json!(300)), "NoExecute"), Some(Duration::from_secs(300)));
    assert_eq!(stay(exists(Value::Null), "NoExecute"), None);
}
