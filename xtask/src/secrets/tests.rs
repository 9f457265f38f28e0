use super::*;

fn secret(version: u32) -> Value {
    let origins = json!({"A": {"parameter_store": {"parameter": "/a", "version": version}}, "B": {"secrets_manager":
        {"secret": "b", "version": "0123456789abcdef0123456789abcdef", "field": "url"}}});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"annotations": {ORIGINS: origins.to_string()}}})
}

fn live(version: u32, owned: &[&str]) -> Value {
    let mut live = secret(version);
    live["data"] = json!({"A": "YQ==", "B": "Yg=="});
    let fields: Map<String, Value> = owned.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
    live["metadata"]["managedFields"] =
        json!([{"manager": "slipway", "operation": "Apply", "fieldsV1": {"f:data": fields}}]);
    live
}

fn names(desired: &Value) -> Vec<String> {
    missing(desired).into_iter().map(|(key, _)| key).collect()
}

#[test]
fn a_value_is_fetched_once_a_version() {
    for (there, expected) in [
        (None, vec!["A", "B"]),
        (Some(live(3, &["A", "B"])), vec![]),
        (Some(live(2, &["A", "B"])), vec!["A"]),
        // Somebody else wrote it since.
        (Some(live(3, &["A"])), vec!["B"]),
    ] {
        let mut desired = secret(3);
        keep(&mut desired, there.as_ref());
        assert_eq!(names(&desired), expected);
        assert_eq!(desired["data"].as_object().map(Map::len), Some(2));
        keep(&mut desired, Some(&live(3, &["A", "B"])));
        assert_eq!(desired["data"], json!({"A": "YQ==", "B": "Yg=="}), "another look counts, not the first");
    }
}

#[test]
fn other_secrets_are_left_alone() {
    let mut desired = json!({"apiVersion": "v1", "kind": "Secret", "data": {"A": later()}});
    let before = desired.clone();
    keep(&mut desired, Some(&live(3, &["A"])));
    assert_eq!((names(&desired), desired), (vec![], before));
}

#[test]
fn a_version_is_seen_and_no_value_is() {
    let (mut before, mut after) = (live(3, &["A", "B"]), secret(4));
    keep(&mut after, Some(&before));
    before["metadata"].as_object_mut().expect("it has metadata").remove("managedFields");
    let lines: Vec<String> = crate::plan::differences(&before, &after).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "data.A: (hidden) -> (hidden)",
            "metadata.annotations['slipway.dev/values-from'].A.parameter_store.version: 3 -> 4"
        ]
    );
}

#[test]
fn origins_are_never_sealed() {
    let mut object = secret(3);
    let text = annotation(&object).map(|text| text.replace("\"A\"", "\"DB_PASSWORD\"").replace("\"B\"", "\"token\""));
    object["metadata"]["annotations"][ORIGINS] = text.into();
    let before = object.clone();
    crate::plan::mask::seal(&mut object, "salt");
    assert_eq!(object, before, "a rollback fetches by them");
}
