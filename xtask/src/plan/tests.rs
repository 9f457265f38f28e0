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
fn a_name_that_stays_tells_that_the_value_beside_it_is_secret() {
    let object = |value: &str| json!({"kind": "Job", "spec": {"variable": {"name": "DB_PASSWORD", "value": value}}});
    assert_eq!(texts(&object("one"), &object("two")), ["spec.variable.value: (hidden) -> (hidden)"]);
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
    let fields = vec![FieldDiff { path: "data.a".into(), before: None, after: Some("1".into()), by: None }];
    let update = serde_json::to_value(Action::Update { fields }).expect("it is JSON");
    assert_eq!(update, json!({"action": "update", "fields": [{"path": "data.a", "after": "1"}]}));
}

#[test]
fn a_comment_says_what_it_has_no_room_for() {
    let change = |number: usize| {
        let object = ObjectRef {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: Some("app".into()),
            name: format!("config-{number:04}"),
        };
        let field = |field: usize| FieldDiff {
            path: format!("data.key-{field}"),
            before: Some("ü".repeat(40).into()),
            after: Some("```".into()),
            by: None,
        };
        Change { action: Action::Update { fields: (0..20).map(field).collect() }, ..Change::creation(object) }
    };
    let of = |count: usize| {
        let mut plan = Plan::from_nothing(std::iter::empty());
        plan.changes = (0..count).map(change).collect();
        plan.markdown("Plan", &[("image", "a -> b".to_owned())], MARKDOWN_LIMIT)
    };
    // GitHub's own limit, in characters.
    const TAKEN: usize = 65_536;
    let few = of(3);
    assert_eq!((few.matches("<details>").count(), few.contains("shown")), (3, false), "{few}");
    for count in [60, 400, 4000] {
        let text = of(count);
        assert!(text.chars().count() <= TAKEN, "{} characters", text.chars().count());
        assert!(text.chars().count() > TAKEN - 3000, "there was room for more: {}", text.chars().count());
        let (whole, named) = (text.matches("<details>").count(), text.matches("\n- change **").count());
        assert_eq!(text.matches("</details>").count(), whole, "it is cut off in the middle");
        let left = text.lines().last().expect("a last line");
        let unnamed = count - whole - named;
        let expected = match unnamed {
            0 => format!("The fields of {named} are not shown: `cargo xtask plan` shows all."),
            _ => {
                format!("The fields of {named} and {unnamed} more objects are not shown: `cargo xtask plan` shows all.")
            }
        };
        assert_eq!(left, expected);
        assert_eq!(text.matches("```").count(), 2 * whole, "a value ends the block that it stands in");
    }
}

#[test]
fn lines_are_aligned() {
    let change = |kind: &str, name: &str, action: Action| {
        let object =
            ObjectRef { api_version: "v1".into(), kind: kind.into(), namespace: Some("app".into()), name: name.into() };
        Change { action, ..Change::creation(object) }
    };
    let field = |path: &str| FieldDiff { path: path.into(), before: None, after: Some(json!(1)), by: None };
    let update = |paths: &[&str]| Action::Update { fields: paths.iter().map(|path| field(path)).collect() };
    let mut plan = Plan::from_nothing(std::iter::empty());
    plan.changes = vec![
        change("ConfigMap", "a-name-that-is-long", Action::Create),
        change("Service", "app", update(&["spec.a"])),
        change("Deployment", "worker", update(&["spec.b"])),
        change("Secret", "x", update(&["data.c", "data.d"])),
        change("Job", "y", Action::Replace { fields: vec![field("spec.e")] }),
    ];
    assert_eq!(
        plan.lines(),
        [
            "+ ConfigMap  app/a-name-that-is-long",
            "~ Service    app/app      spec.a: + 1",
            "~ Deployment app/worker   spec.b: + 1",
            "~ Secret     app/x",
            "    data.c: + 1",
            "    data.d: + 1",
            "± Job        app/y        is deleted and created again",
            "    spec.e: + 1",
        ]
    );
}
