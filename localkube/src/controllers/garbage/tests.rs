//! The graph and the fate of what is in it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::{
    graph::{Fate, Graph, Node, Place, Standing, fate},
    without_owners,
};

fn meta(value: Value) -> ObjectMeta {
    serde_json::from_value(value).unwrap()
}

fn node(name: &str, owners: &[&str], more: Value) -> Node {
    let owners: Vec<Value> = owners
        .iter()
        .map(|uid| {
            let blocks = !uid.starts_with('~');
            let uid = uid.trim_start_matches('~');
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": uid, "uid": uid, "blockOwnerDeletion": blocks})
        })
        .collect();
    let mut value = json!({"name": name, "ownerReferences": owners});
    for (key, part) in more.as_object().unwrap() {
        value[key] = part.clone();
    }
    let place = Place { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: "n".into(), name: name.into() };
    Node::of(place, &meta(value))
}

#[test]
fn an_object_lives_as_long_as_one_of_its_owners() {
    use Standing::{Absent, Solid, Waiting};
    let of = |standings: &[Standing], dependents| {
        let owners: Vec<_> = standings.iter().enumerate().map(|(number, one)| (number.to_string(), *one)).collect();
        fate(&owners, dependents)
    };
    let deleted = |foreground| Fate::Deleted { foreground };
    assert_eq!(of(&[], false), Fate::Stays);
    assert_eq!(of(&[Solid, Solid], false), Fate::Stays);
    assert_eq!(of(&[Absent, Solid, Waiting], false), Fate::Drops(vec!["0".into(), "2".into()]));
    assert_eq!(of(&[Absent, Absent], true), deleted(false));
    assert_eq!(of(&[Waiting], false), deleted(false));
    assert_eq!(of(&[Absent, Waiting], true), deleted(true));
}

#[test]
fn each_change_names_whom_it_concerns() {
    let mut graph = Graph::default();
    let plain = json!({});
    // A dependent may be seen before its owner.
    assert_eq!(graph.apply("pod", node("pod", &["set"], plain.clone())), ["pod"]);
    assert!(graph.apply("set", node("set", &["deploy"], plain.clone())).contains(&"set".to_owned()));
    assert!(graph.apply("deploy", node("deploy", &[], plain.clone())).is_empty());
    // The same again, as a status update brings it, is no work.
    assert!(graph.apply("pod", node("pod", &["set"], plain.clone())).is_empty());
    assert_eq!(graph.remove("deploy"), ["set"]);
    assert_eq!(graph.remove("set"), ["pod", "deploy"]);
    assert_eq!(graph.dependents("set"), ["pod"]);
    assert_eq!(graph.apply("pod", node("pod", &[], plain)), ["set"]);
    assert!(graph.dependents("set").is_empty());
}

#[test]
fn the_foreground_waits_for_those_who_block_and_for_no_others() {
    let mut graph = Graph::default();
    graph.apply("a", node("a", &["owner"], json!({})));
    graph.apply("b", node("b", &["~owner"], json!({})));
    let going = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["foregroundDeletion"]});
    let affected = graph.apply("owner", node("owner", &[], going));
    assert_eq!(affected, ["owner", "a", "b"]);
    assert_eq!(graph.blocking("owner"), ["a"]);
    assert!(graph.get("owner").unwrap().foreground);
    graph.remove("a");
    assert!(graph.blocking("owner").is_empty());
    // The finalizer alone, on an object that nobody deletes, means nothing.
    graph.apply("c", node("c", &[], json!({"finalizers": ["foregroundDeletion"]})));
    assert!(!graph.get("c").unwrap().foreground);
}

#[test]
fn references_are_dropped_only_from_the_object_as_it_was_read() {
    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": uid, "uid": uid});
    let live = meta(json!({"resourceVersion": "7", "ownerReferences": [owner("a"), owner("b")]}));
    let patch = without_owners(&live, &["a".into()]);
    assert_eq!(patch, json!({"metadata": {"resourceVersion": "7", "ownerReferences": [owner("b")]}}));
    let patch = without_owners(&live, &["a".into(), "b".into()]);
    assert_eq!(patch, json!({"metadata": {"resourceVersion": "7", "ownerReferences": null}}));
}
