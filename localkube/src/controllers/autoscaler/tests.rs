use super::*;

#[test]
fn bounds_are_enforced_and_the_rest_is_left_alone() {
    let at = |wanted| Scale { wanted, present: wanted };
    let rescaled = |decision| match decision {
        Decision::Rescale { to, .. } => Some(to),
        _ => None,
    };
    assert_eq!(rescaled(decide(at(1), 3, 10)), Some(3));
    assert_eq!(rescaled(decide(at(12), 3, 10)), Some(10));
    for held in 3..=10 {
        assert_eq!(decide(at(held), 3, 10), Decision::Hold);
    }
    assert_eq!(decide(at(0), 3, 10), Decision::Disabled);
}

#[test]
fn conditions_are_truthful_and_settle() {
    let autoscaler: HorizontalPodAutoscaler = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "n"},
        "spec": {"maxReplicas": 5, "minReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]},
    }))
    .unwrap();
    let scale = Scale { wanted: 3, present: 3 };
    let first = status(&autoscaler, scale, &Decision::Hold, &pods::now());
    let active = first.conditions.iter().flatten().find(|one| one.type_ == "ScalingActive").unwrap();
    assert_eq!((active.status.as_str(), active.reason.as_deref()), ("False", Some("FailedGetResourceMetric")));
    // As recorded from a server without metrics.
    assert_eq!(serde_json::to_value(&first.current_metrics).unwrap(), json!([{"type": ""}]));
    assert_eq!((first.current_replicas, first.desired_replicas), (Some(3), 0));
    // A status that changed on every look would make the controller wake itself for ever.
    let again = HorizontalPodAutoscaler { status: Some(first.clone()), ..autoscaler };
    let later = Time(pods::now().0 + jiff::SignedDuration::from_secs(60));
    assert_eq!(status(&again, scale, &Decision::Hold, &later), first);
}
