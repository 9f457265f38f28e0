//! From pods to endpoints, and from endpoints to writes.

use std::sync::Arc;

use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use serde_json::{Value, json};

use super::{
    build,
    slices::{self, Write},
};

fn service(spec: Value) -> Service {
    let mut value = json!({
        "metadata": {"name": "web", "namespace": "n", "uid": "u", "labels": {"team": "x"}},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "main"}]},
    });
    for (key, part) in spec.as_object().unwrap() {
        value["spec"][key] = part.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn pod(number: u32, port: u16, ready: bool, going: bool) -> Arc<Pod> {
    let name = format!("p{number}");
    let value = json!({
        "metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"app": "web"},
            "deletionTimestamp": going.then_some("2026-01-01T00:00:00Z")},
        "spec": {"nodeName": "one", "containers": [{"name": "c", "ports": [{"name": "main", "containerPort": port}]}]},
        "status": {"phase": "Running", "podIP": format!("10.0.{}.{}", number / 200, number % 200 + 1),
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    });
    Arc::new(serde_json::from_value(value).unwrap())
}

/// Applies the writes as the server would.
fn apply(present: &mut Vec<EndpointSlice>, writes: Vec<Write>) {
    for write in writes {
        match write {
            Write::Create(slice) => present.push(slice),
            Write::Update(slice) => {
                let old = present.iter_mut().find(|old| old.metadata.name == slice.metadata.name).unwrap();
                *old = slice;
            }
            Write::Delete(slice) => present.retain(|old| old.metadata.name != slice.metadata.name),
        }
    }
}

fn conditions(service: &Service, pod: Arc<Pod>) -> Value {
    let groups = build::groups(service, &[pod]);
    serde_json::to_value(groups[0].endpoints[0].conditions.clone()).unwrap()
}

#[test]
fn a_pod_that_is_being_deleted_is_not_ready_from_that_moment() {
    let plain = service(json!({}));
    let told = |ready, serving, terminating| json!({"ready": ready, "serving": serving, "terminating": terminating});
    assert_eq!(conditions(&plain, pod(1, 80, true, false)), told(true, true, false));
    assert_eq!(conditions(&plain, pod(1, 80, true, true)), told(false, true, true));
    assert_eq!(conditions(&plain, pod(1, 80, false, false)), told(false, false, false));
    let tolerant = service(json!({"publishNotReadyAddresses": true}));
    assert_eq!(conditions(&tolerant, pod(1, 80, false, true)), told(true, true, true));
}

#[test]
fn legacy_endpoints_list_ready_and_not_ready_and_no_one_who_leaves() {
    let pods = [pod(1, 80, true, false), pod(2, 80, false, false), pod(3, 80, true, true)];
    let subsets = serde_json::to_value(build::subsets(&service(json!({})), &pods)).unwrap();
    let address = |number: u32, name: &str| {
        json!({"ip": format!("10.0.0.{}", number + 1), "nodeName": "one",
            "targetRef": {"kind": "Pod", "namespace": "n", "name": name, "uid": name}})
    };
    let expected = json!([{
        "addresses": [address(1, "p1")],
        "notReadyAddresses": [address(2, "p2")],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    }]);
    assert_eq!(subsets, expected);
}

#[test]
fn named_ports_are_looked_up_in_each_pod() {
    let pods = [pod(1, 8080, true, false), pod(2, 9090, true, false), pod(3, 8080, true, false)];
    let groups = build::groups(&service(json!({})), &pods);
    let seen: Vec<_> = groups.iter().map(|group| (group.ports[0].port.unwrap(), group.endpoints.len())).collect();
    assert_eq!(seen, vec![(8080, 2), (9090, 1)]);
    let numbered = service(json!({"ports": [{"port": 80, "targetPort": 7}, {"name": "x", "port": 9}]}));
    let ports: Vec<_> = build::groups(&numbered, &pods[..1])[0].ports.iter().map(|port| port.port.unwrap()).collect();
    assert_eq!(ports, vec![7, 9]);
    let unknown = service(json!({"ports": [{"port": 80, "targetPort": "none"}]}));
    assert!(build::groups(&unknown, &pods[..1])[0].ports.is_empty());
}

#[test]
fn only_running_pods_with_an_address_are_selected_and_no_selector_means_hands_off() {
    let mut ended = (*pod(1, 80, true, false)).clone();
    ended.status.as_mut().unwrap().phase = Some("Failed".into());
    let mut young = (*pod(2, 80, true, false)).clone();
    young.status.as_mut().unwrap().pod_ip = None;
    let mut other = (*pod(3, 80, true, false)).clone();
    other.metadata.labels = None;
    let all = vec![Arc::new(ended), Arc::new(young), Arc::new(other), pod(4, 80, false, false)];
    let selected = build::selected(&service(json!({})), all.clone()).unwrap();
    assert_eq!(selected.len(), 1);
    assert!(build::selected(&service(json!({"selector": null})), all).is_none());
}

#[test]
fn slices_converge_with_few_writes_and_the_same_decision_twice_meets_itself() {
    let service = service(json!({"clusterIP": "None"}));
    let groups = |numbers: std::ops::Range<u32>| {
        let pods: Vec<_> = numbers.map(|number| pod(number, 80, true, false)).collect();
        build::groups(&service, &pods)
    };
    let mut present = Vec::new();
    let first = slices::reconcile(&service, groups(0..250), &present);
    assert_eq!(first, slices::reconcile(&service, groups(0..250), &present), "a stale cache decides alike");
    assert_eq!(first.len(), 3);
    apply(&mut present, first);
    assert!(slices::reconcile(&service, groups(0..250), &present).is_empty());
    let labels = serde_json::to_value(&present[0].metadata.labels).unwrap();
    let expected = json!({"team": "x", "service.kubernetes.io/headless": "", "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"});
    assert_eq!(labels, expected);
    for shrunk in [1, 0] {
        let writes = slices::reconcile(&service, groups(0..shrunk), &present);
        apply(&mut present, writes);
        assert_eq!(present.len(), 1);
        assert_eq!(present[0].endpoints.as_ref().map_or(0, Vec::len), shrunk as usize);
    }
    let names: Vec<_> = present.iter().filter_map(|slice| slice.metadata.name.clone()).collect();
    assert!(names.iter().all(|name| name.len() == "web-12345".len()), "{names:?}");
}
