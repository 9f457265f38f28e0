use serde_json::json;

use super::*;

fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
}

/// A Service that we applied, as the server keeps it.
fn live() -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
    "metadata": {"name": "app", "namespace": "app", "uid": "1", "labels": {"a.b/c": "d"}, "managedFields": [
        entry("slipway", "Apply", &json!({
            "f:metadata": {"f:labels": {"f:a.b/c": {}}},
            "f:spec": {
                "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}},
                "f:selector": {}
            }
        })),
        entry("cloud", "Update", &json!({"f:spec": {"f:externalName": {}}}))
    ]},
    "spec": {"clusterIP": "10.0.0.1", "selector": {"app": "app"}, "ports": [
        {"name": "other", "port": 81, "protocol": "TCP", "targetPort": 81},
        {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}
    ]}})
}

fn desired() -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "app", "namespace": "app", "labels": {"a.b/c": "d"}},
        "spec": {"selector": {"app": "app"}, "ports": [{"name": "http", "port": 80}]}})
}

#[test]
fn what_is_applied_already_needs_no_question() {
    assert!(settled(&live(), &desired()));
}

#[test]
fn every_difference_makes_it_unsettled() {
    let changes: [(&str, Value); 8] = [
        ("/metadata/labels", json!({"a.b/c": "other"})),
        ("/metadata/labels", json!({})),
        ("/metadata/labels", json!({"a.b/c": "d", "more": "1"})),
        ("/metadata", json!({"name": "app", "namespace": "app"})),
        ("/spec/ports/0/name", json!("web")),
        ("/spec/ports/0", json!({"name": "http", "port": 80, "targetPort": 80})),
        ("/spec/ports", json!([{"name": "http", "port": 80}, {"name": "other", "port": 81}])),
        ("/spec/selector", json!({"app": "app", "x": "y"})),
    ];
    for (path, value) in changes {
        let mut changed = desired();
        *changed.pointer_mut(path).expect("it is there") = value;
        assert!(!settled(&live(), &changed), "{changed}");
    }
    let mut drifted = live();
    drifted["spec"]["ports"][1]["name"] = "drifted".into();
    assert!(!settled(&drifted, &desired()));
    let mut another_version = desired();
    another_version["apiVersion"] = "v2".into();
    assert!(!settled(&live(), &another_version));
    let mut nobodys = live();
    nobodys["metadata"]["managedFields"] = json!([]);
    assert!(!settled(&nobodys, &desired()));
}

#[test]
fn the_order_of_a_list_counts() {
    let mut live = live();
    let ports = live.pointer_mut("/metadata/managedFields/0/fieldsV1/f:spec/f:ports").expect("it is there");
    ports["k:{\"port\":81,\"protocol\":\"TCP\"}"] = json!({".": {}, "f:name": {}, "f:port": {}});
    let mut desired = desired();
    desired["spec"]["ports"] = json!([{"name": "http", "port": 80}, {"name": "other", "port": 81}]);
    assert!(!settled(&live, &desired));
    desired["spec"]["ports"] = json!([{"name": "other", "port": 81}, {"name": "http", "port": 80}]);
    assert!(settled(&live, &desired));
}

#[test]
fn what_kubectl_applied_becomes_ours() {
    let theirs = entry(CLIENT_SIDE, "Update", &json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}}));
    let other = entry("controller", "Update", &json!({"f:data": {"f:c": {}}}));
    let alone = adopted(&[theirs.clone(), other.clone()]);
    assert_eq!(alone.len(), 2);
    let ours = alone.iter().find(|entry| is_ours(entry)).expect("it is ours now");
    assert_eq!(ours["fieldsV1"], theirs["fieldsV1"]);

    let mine = entry("slipway", "Apply", &json!({"f:data": {"f:c": {}}, "f:immutable": {}}));
    let both = adopted(&[mine, theirs, other.clone()]);
    assert_eq!(both.len(), 2);
    assert_eq!(both[0], other);
    let fields = json!({"f:data": {".": {}, "f:a": {}, "f:b": {}, "f:c": {}}, "f:immutable": {}});
    assert_eq!(both[1]["fieldsV1"], fields);
}

#[test]
fn a_field_and_what_is_in_it_are_united() {
    let mut set = json!({"f:a": {}});
    union(&mut set, &json!({"f:a": {"f:b": {}}}));
    assert_eq!(set, json!({"f:a": {".": {}, "f:b": {}}}));
}

#[test]
fn orphans_are_what_kubectl_applied_and_no_manifest_has() {
    let fields = json!({"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}, "f:x/y": {}}},
        "f:spec": {"f:replicas": {}, "f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:image": {}, "f:tty": {}}}}});
    let live = json!({"metadata": {"managedFields": [entry(CLIENT_SIDE, "Update", &fields)]}});
    let desired = json!({"metadata": {"annotations": {}}, "spec": {"containers": [{"name": "app", "image": "x"}]}});
    assert_eq!(orphaned(&live, &desired), ["metadata.annotations['x/y']", "spec.containers[app].tty", "spec.replicas"]);
}
