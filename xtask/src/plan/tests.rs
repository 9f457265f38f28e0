use serde_json::json;

use super::{diff::differences, *};

fn texts(before: &Value, after: &Value) -> Vec<String> {
    differences(before, after).iter().map(ToString::to_string).collect()
}

#[test]
fn bookkeeping_is_no_difference() {
    let live = json!({"kind": "Service", "metadata": {"name": "a", "uid": "1", "resourceVersion": "5", "generation": 2,
        "annotations": {"deployment.kubernetes.io/revision": "3"},
        "managedFields": [{"manager": "x"}]}, "status": {"a": 1}});
    let planned = json!({"kind": "Service", "metadata": {"name": "a", "resourceVersion": "6"}});
    assert_eq!(texts(&live, &planned), [""; 0]);
}

#[test]
fn fields_are_compared_by_name_then_by_place() {
    let old = json!({"spec": {"replicas": 3, "args": ["a", "b"], "list": [1], "containers": [
        {"name": "app", "image": "r/app@sha256:1111111111111111111111111111111111111111111111111111111111111111"}]}});
    let new = json!({"spec": {"args": ["a", "c"], "list": [1, 2], "labels": {"x.y/z": "1"}, "containers": [
        {"name": "side", "image": "s"},
        {"name": "app", "image": "r/app@sha256:2222222222222222222222222222222222222222222222222222222222222222"}]}});
    assert_eq!(
        texts(&old, &new),
        [
            "spec.args[1]: b -> c",
            "spec.containers[app].image: r/app@sha256:111111.. -> r/app@sha256:222222..",
            "spec.containers[side]: + {\"image\":\"s\",\"name\":\"side\"}",
            "spec.labels: + {\"x.y/z\":\"1\"}",
            "spec.list: [1] -> [1,2]",
            "spec.replicas: - 3",
        ]
    );
}

#[test]
fn the_values_of_a_secret_are_hidden() {
    let old = json!({"kind": "Secret", "type": "Opaque", "data": {"password": "b2xk", "same": "c2FtZQ=="}});
    let new = json!({"kind": "Secret", "type": "Opaque", "data": {"password": "bmV3", "token": "dG9rZW4=", "same": "c2FtZQ=="}});
    assert_eq!(texts(&old, &new), ["data.password: (hidden) -> (hidden)", "data.token: + (hidden)"]);
    let first = json!({"kind": "Secret", "type": "Opaque"});
    assert_eq!(
        texts(&first, &new),
        ["data: + {\"password\":\"(hidden)\",\"same\":\"(hidden)\",\"token\":\"(hidden)\"}"]
    );
}

fn managed(manager: &str, operation: &str, fields: Value) -> Value {
    json!({"manager": manager, "operation": operation, "fieldsV1": fields})
}

#[test]
fn ownership_alone_is_a_change() {
    let object = |managers: Value| json!({"metadata": {"name": "a", "managedFields": managers}, "data": {"a": "1"}});
    let other = managed("kubectl", "Apply", json!({"f:data": {"f:a": {}}}));
    let ours = managed("slipway", "Apply", json!({"f:data": {"f:a": {}}}));
    let live = object(json!([other]));
    let both = object(json!([other, ours]));
    assert_eq!(diff::action(&live, &both), Action::Update { fields: Vec::new() });
    assert_eq!(diff::action(&both, &both), Action::Unchanged);
}

#[test]
fn replicas_stay_until_the_autoscaler_owns_them() {
    let desired = || json!({"spec": {"replicas": 2, "x": 1}});
    let replicas = json!({"f:spec": {"f:replicas": {}}});
    let live = |managers: Value| json!({"metadata": {"managedFields": managers}, "spec": {"replicas": 7}});
    let left = |live: Option<Value>| {
        let mut desired = desired();
        ownership::leave_replicas(&mut desired, live.as_ref());
        desired
    };
    let without = json!({"spec": {"x": 1}});
    assert_eq!(left(None), without);
    let ours = managed("slipway", "Apply", replicas.clone());
    assert_eq!(left(Some(live(json!([ours])))), json!({"spec": {"replicas": 7, "x": 1}}));
    let autoscaler = managed("kube-controller-manager", "Update", replicas);
    assert_eq!(left(Some(live(json!([ours, autoscaler])))), without);
    assert_eq!(left(Some(live(json!([autoscaler])))), without);
}

#[test]
fn marking_adds_two_labels_and_keeps_the_others() {
    let mut object = json!({"metadata": {"name": "a", "labels": {"own": "1"}}});
    ownership::mark(&mut object, "app.local");
    let labels = json!({"own": "1", "app.kubernetes.io/managed-by": "slipway", "slipway.dev/id": "app.local"});
    assert_eq!(object["metadata"]["labels"], labels);
}

#[test]
fn an_action_names_itself_in_json() {
    assert_eq!(serde_json::to_value(Action::Create).expect("it is JSON"), json!({"action": "create"}));
    let fields = vec![FieldDiff { path: "data.a".into(), before: None, after: Some("1".into()) }];
    let update = serde_json::to_value(Action::Update { fields }).expect("it is JSON");
    assert_eq!(update, json!({"action": "update", "fields": [{"path": "data.a", "after": "1"}]}));
}
