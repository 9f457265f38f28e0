use serde_json::{Value, json};

use super::*;

fn budget(spec: Value) -> PodDisruptionBudget {
    let value = json!({"metadata": {"name": "b", "namespace": "n", "generation": 1}, "spec": spec});
    serde_json::from_value(value).unwrap()
}

fn pod(name: &str, ready: bool) -> Arc<Pod> {
    let status = if ready { "True" } else { "False" };
    let value = json!({"metadata": {"name": name}, "status": {"phase": "Running",
        "conditions": [{"type": "Ready", "status": status}]}});
    Arc::new(serde_json::from_value(value).unwrap())
}

fn allowed(spec: Value, pods: &[Arc<Pod>], wanted: i32) -> (i32, i32, i32, i32) {
    let status = status(&budget(spec), pods, wanted, &pods::now());
    let number = |number: Option<i32>| number.unwrap();
    (
        number(status.expected_pods),
        number(status.desired_healthy),
        number(status.current_healthy),
        number(status.disruptions_allowed),
    )
}

#[test]
fn every_form_of_a_budget() {
    let three: Vec<_> = ["a", "b", "c"].map(|name| pod(name, name != "c")).into();
    assert_eq!(allowed(json!({"minAvailable": 1}), &[], 0), (0, 1, 0, 0));
    assert_eq!(allowed(json!({"minAvailable": 1}), &three, 4), (3, 1, 2, 1));
    assert_eq!(allowed(json!({"minAvailable": "50%"}), &three, 3), (3, 2, 2, 0));
    assert_eq!(allowed(json!({"maxUnavailable": 2}), &three, 3), (3, 1, 2, 1));
    assert_eq!(allowed(json!({"maxUnavailable": "34%"}), &three, 3), (3, 1, 2, 1));
}

#[test]
fn an_evicted_pod_is_not_healthy_until_it_is_gone_or_proves_to_stay() {
    let mut budget = budget(json!({"minAvailable": 1}));
    let two = [pod("a", true), pod("b", true)];
    let now = pods::now();
    let since = |seconds| Time(now.0 - SignedDuration::from_secs(seconds));
    let evicted = |at: Time| Some([("a".to_owned(), at)].into());
    budget.status = Some(PodDisruptionBudgetStatus { disrupted_pods: evicted(since(5)), ..Default::default() });
    assert_eq!(status(&budget, &two, 2, &now).disruptions_allowed, Some(0));
    budget.status = Some(PodDisruptionBudgetStatus { disrupted_pods: evicted(since(121)), ..Default::default() });
    let recovered = status(&budget, &two, 2, &now);
    assert_eq!((recovered.disruptions_allowed, recovered.disrupted_pods), (Some(1), None));
}
