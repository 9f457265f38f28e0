use super::*;

fn rules(value: Value) -> Vec<Rule> {
    of(&json!({"rules": value}))
}

fn allowed(rules: &[Rule], verb: &str, group: &str, resource: &str, name: &str) -> bool {
    let action = Action::On { verb, group, resource, name, namespace: Some("any") };
    rules.iter().any(|rule| rule.allows(&action))
}

#[test]
fn rules_allow_what_they_name_and_nothing_else() {
    let some = rules(json!([
        {"apiGroups": ["", "apps"], "resources": ["pods", "*/scale"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["*"]},
        {"nonResourceURLs": ["/healthz", "/api/*"], "verbs": ["get"]},
    ]));
    assert!(allowed(&some, "get", "", "pods", "one"));
    assert!(allowed(&some, "list", "apps", "deployments/scale", ""));
    assert!(!allowed(&some, "get", "", "pods/log", "one"), "a subresource is another resource");
    assert!(!allowed(&some, "get", "batch", "pods", "one"), "another group");
    assert!(!allowed(&some, "delete", "", "pods", "one"), "another verb");
    assert!(allowed(&some, "delete", "", "secrets", "mine"));
    assert!(!allowed(&some, "delete", "", "secrets", "yours"));
    assert!(!allowed(&some, "list", "", "secrets", ""), "a list is of more than the one");
    let path = |path: &str| some.iter().any(|rule| rule.allows(&Action::Path { verb: "get", path }));
    assert!(path("/healthz") && path("/api/v1"));
    assert!(!path("/healthz/etcd") && !path("/apis"));
    assert!(allowed(&rules(json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])), "any", "x", "y/z", "n"));
}

#[test]
fn nobody_grants_more_than_they_hold() {
    let held = rules(json!([
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["get"]},
        {"nonResourceURLs": ["/logs/*"], "verbs": ["get"]},
    ]));
    let names =
        |wanted: Value| -> Vec<String> { missing(&held, &rules(wanted)).iter().map(ToString::to_string).collect() };
    let covered = json!([
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["one"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["get"]},
        {"nonResourceURLs": ["/logs/today"], "verbs": ["get"]},
    ]);
    assert_eq!(names(covered), [""; 0]);
    assert_eq!(
        names(json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}])),
        ["{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"]
    );
    assert_eq!(
        names(json!([{"apiGroups": ["", "apps"], "resources": ["pods"], "verbs": ["get", "delete", "watch"]}])),
        [
            "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"watch\"]}",
            "{APIGroups:[\"apps\"], Resources:[\"pods\"], Verbs:[\"get\" \"delete\" \"watch\"]}",
        ]
    );
    assert_eq!(
        names(json!([{"nonResourceURLs": ["/*"], "verbs": ["get"]}])),
        ["{NonResourceURLs:[\"/*\"], Verbs:[\"get\"]}"]
    );
    assert!(!names(json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])).is_empty());
}
