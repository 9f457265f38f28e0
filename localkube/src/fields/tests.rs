use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    Manager, apply, check_kind, managed, scale,
    set::{Set, display},
    track_update, typed,
};
use crate::{
    kinds, patch,
    resource::{Resource, builtin},
    schema::{
        self, FieldValidation, Format, Schema,
        tests::{recording, schema as schema_of},
    },
    status::Status,
};

fn now() -> jiff::Timestamp {
    "2024-05-01T10:00:00Z".parse().expect("a time")
}

fn by<'a>(name: &'a str, api_version: &'a str) -> Manager<'a> {
    Manager { name, subresource: None, api_version }
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

fn apply_map(live: Option<&Value>, data: Value, name: &str, force: bool) -> Result<Value, Status> {
    apply(schema_of("v1", "ConfigMap"), live, &config_map(data), by(name, "v1"), force, now())
}

/// managedFields without times, by manager within an operation, as the recordings hold them.
fn owners(object: &Value) -> Vec<Value> {
    let mut entries = object.pointer("/metadata/managedFields").and_then(Value::as_array).cloned().unwrap_or_default();
    for entry in &mut entries {
        entry.as_object_mut().expect("an entry").remove("time");
    }
    entries.sort_by_key(|entry| (entry["operation"].to_string(), entry["manager"].to_string()));
    entries
}

/// One request of a recording, done without a server.
fn replay(resource: &Resource, live: Option<&Value>, step: &Value) -> Result<Value, Status> {
    let request = step["request"].as_str().expect("a request");
    let (method, url) = request.split_once(' ').expect("a method");
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let parameter = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let version = resource.api_version();
    let subresource = path.ends_with("/status").then_some("status");
    let manager = Manager { name: parameter("fieldManager").unwrap_or("golden"), subresource, api_version: &version };
    let schema = schema_of(&version, &resource.kind);
    let body = step["raw"].as_str().map_or_else(|| step["body"].to_string(), str::to_owned);
    let body = body.as_bytes();
    let mut object = match (method, step["type"].as_str().unwrap_or("json")) {
        ("PATCH", "apply") => {
            let configuration = schema::configuration(body)?;
            check_kind(&configuration, &version, &resource.kind)?;
            apply(schema, live, &configuration, manager, parameter("force") == Some("true"), now())?
        }
        ("PATCH", kind) => {
            let kind = match kind {
                "jsonpatch" => patch::Kind::Json,
                "merge" => patch::Kind::Merge,
                _ => patch::Kind::Strategic,
            };
            patch::apply(kind, schema, live.expect("something to patch"), body, FieldValidation::Warn)?.object
        }
        _ => schema::decode(resource, body, Format::Json, FieldValidation::Warn)?.object,
    };
    kinds::set_defaults(resource, &mut object);
    if step["type"] != "apply" {
        track_update(schema, live, &mut object, manager, now());
    }
    Ok(object)
}

#[test]
fn the_recorded_requests_lead_to_the_recorded_owners() {
    let mut objects: BTreeMap<String, Value> = BTreeMap::new();
    let resources = builtin();
    let mut compared = BTreeMap::new();
    for (step, answer) in recording(include_str!("../../tests/golden/recordings/server-side-apply.jsonl")) {
        let name = step["name"].as_str().expect("a name");
        let request = step["request"].as_str().expect("a request");
        let path = request.split([' ', '?']).nth(1).expect("a path");
        let parts: Vec<&str> = path.split('/').collect();
        let at = parts.iter().position(|part| *part == "{{ns}}").expect("a namespace");
        let resource = resources.iter().find(|resource| resource.plural == parts[at + 1]).expect("a resource");
        // Scales have their own test; status is the controllers' and names and versions are the server's to check.
        let servers = ["GET", "DELETE"].iter().any(|method| request.starts_with(method));
        let others = ["resource-version", "mismatch", "no-field-manager", "without-apply", "too-long"];
        if servers
            || path.ends_with("/scale")
            || path.ends_with("/status")
            || others.iter().any(|other| name.contains(other))
        {
            continue;
        }
        let body = &answer["body"];
        let key = parts.get(at + 2).map_or_else(|| step["body"]["metadata"]["name"].as_str(), |name| Some(*name));
        let key = key.expect("a name").to_owned();
        let outcome = replay(resource, objects.get(&key), &step);
        let code = answer["status"].as_u64().expect("a status");
        if code == 422 {
            continue; // The validation of the kind, which is not here.
        }
        match outcome {
            Ok(object) => {
                assert!(code < 300, "{name} is refused by a real server: {body}");
                assert_eq!(owners(&object), owners(body), "{name}");
                assert_eq!(object.get("data"), body.get("data"), "{name}");
                if !request.contains("dryRun") {
                    objects.insert(key, object);
                }
            }
            Err(status) => {
                assert_eq!(u64::from(status.code), code, "{name}: {}", status.message);
                let recorded = body["message"].as_str().expect("a message");
                // The list of several conflicts is recorded without its order; the causes say the same.
                if !recorded.contains("conflicts:") && !recorded.contains(" | ") {
                    assert_eq!(status.message, recorded, "{name}");
                }
                let causes = |details: Option<&Value>| {
                    let causes = details.and_then(|details| details["causes"].as_array()).cloned().unwrap_or_default();
                    let mut texts: Vec<String> = causes.iter().map(Value::to_string).collect();
                    texts.sort();
                    texts
                };
                assert_eq!(causes(status.details.as_ref()), causes(body.get("details")), "{name}");
            }
        }
        *compared.entry(code).or_insert(0) += 1;
    }
    assert!(compared[&200] > 30 && compared[&409] > 6 && compared[&500] > 3, "{compared:?}");
}

#[test]
fn a_second_apply_of_the_same_changes_nothing() {
    let first = apply_map(None, json!({"a": "1"}), "alice", false).expect("applies");
    let later = now() + jiff::SignedDuration::from_hours(1);
    let schema = schema_of("v1", "ConfigMap");
    let again = apply(schema, Some(&first), &config_map(json!({"a": "1"})), by("alice", "v1"), false, later);
    assert_eq!(again.expect("applies"), first, "not even the time");
}

#[test]
fn an_update_takes_fields_and_an_apply_then_conflicts_with_it() {
    let live = apply_map(None, json!({"a": "1"}), "alice", false).expect("applies");
    let mut updated = live.clone();
    updated["data"]["a"] = "2".into();
    track_update(schema_of("v1", "ConfigMap"), Some(&live), &mut updated, by("dave", "v1"), now());
    let conflict = apply_map(Some(&updated), json!({"a": "1"}), "alice", false).expect_err("conflicts");
    assert_eq!(conflict.message, "Apply failed with 1 conflict: conflict with \"dave\" using v1: .data.a");
    assert_eq!(conflict.code, 409);
}

#[test]
fn a_changed_status_belongs_to_the_status_subresource_alone() {
    let schema = schema_of("apps/v1", "Deployment");
    let live = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "managedFields": [
        {"manager": "m", "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
         "fieldsV1": {"f:spec": {"f:replicas": {}}}}]}, "spec": {"replicas": 1}});
    let mut object = live.clone();
    object["status"] = json!({"replicas": 1});
    object["spec"]["replicas"] = 5.into();
    let manager = Manager { name: "controller", subresource: Some("status"), api_version: "apps/v1" };
    track_update(schema, Some(&live), &mut object, manager, now());
    let entries = owners(&object);
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!(entries[0]["subresource"], "status");
    assert_eq!(entries[0]["fieldsV1"], json!({"f:status": {".": {}, "f:replicas": {}}}));
    assert_eq!(entries[1]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}), "the path does not change it");
}

#[test]
fn more_than_ten_updaters_are_merged_into_one() {
    let schema = schema_of("v1", "ConfigMap");
    let mut live = apply_map(None, json!({"a": "1"}), "alice", false).expect("applies");
    for index in 0..15 {
        let mut object = live.clone();
        object["data"][format!("k{index:02}")] = "x".into();
        let then = now() + jiff::SignedDuration::from_secs(index);
        track_update(schema, Some(&live), &mut object, by(&format!("m{index:02}"), "v1"), then);
        live = object;
    }
    let entries = owners(&live);
    let updaters: Vec<&str> =
        entries.iter().filter(|entry| entry["operation"] == "Update").filter_map(|e| e["manager"].as_str()).collect();
    assert_eq!(updaters.len(), 10, "{updaters:?}");
    let ancient = entries.iter().find(|entry| entry["manager"] == "ancient-changes").expect("a bucket");
    assert_eq!(ancient["fieldsV1"]["f:data"].as_object().expect("data").len(), 6);
}

#[test]
fn replicas_scaled_through_the_subresource_belong_to_who_scaled() {
    let schema = schema_of("apps/v1", "Deployment");
    let configuration = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}}});
    let mut parent = apply(schema, None, &configuration, by("alice", "apps/v1"), false, now()).expect("applies");
    let mut shown = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"},
        "spec": {"replicas": 1}});
    scale::show(&parent, &mut shown);
    let mut changed = shown.clone();
    changed["spec"]["replicas"] = 3.into();
    let manager = Manager { name: "kubectl", subresource: Some("scale"), api_version: "autoscaling/v1" };
    track_update(schema_of("autoscaling/v1", "Scale"), Some(&shown), &mut changed, manager, now());
    parent["spec"]["replicas"] = 3.into();
    scale::restore(&changed, &mut parent);
    let conflict = apply(schema, Some(&parent), &configuration, by("alice", "apps/v1"), false, now());
    assert_eq!(
        conflict.expect_err("conflicts").message,
        "Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using apps/v1: \
         .spec.replicas"
    );
}

#[test]
fn kinds_without_a_schema_are_merged_by_what_their_values_are() {
    let schema = Schema::deduced();
    let widget = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    let manager = |name| by(name, "example.com/v1");
    let first = apply(schema, None, &widget(json!({"list": [1, 2], "map": {"a": 1}})), manager("alice"), false, now());
    let first = first.expect("applies");
    let second = apply(schema, Some(&first), &widget(json!({"map": {"b": 2}})), manager("bob"), false, now());
    let second = second.expect("applies");
    assert_eq!(second["spec"], json!({"list": [1, 2], "map": {"a": 1, "b": 2}}));
    let conflict = apply(schema, Some(&second), &widget(json!({"list": [3]})), manager("bob"), false, now());
    assert!(conflict.expect_err("lists are atomic").message.ends_with("conflict with \"alice\": .spec.list"));
}

#[test]
fn sets_survive_their_serialised_form() {
    let json = json!({"f:metadata": {"f:labels": {".": {}, "f:a.b/c": {}}},
        "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
                   "f:finalizers": {"v:\"x\"": {}}}});
    let set = Set::from_json(&json).expect("a set");
    assert_eq!(set.to_json(), json);
    let shown: Vec<String> = set.paths().iter().map(|path| display(path)).collect();
    assert!(shown.contains(&".spec.ports[port=80,protocol=\"TCP\"].port".to_owned()), "{shown:?}");
    assert!(shown.contains(&".spec.finalizers[=\"x\"]".to_owned()), "{shown:?}");
    assert_eq!(set.difference(&set), Set::default());
    assert_eq!(set.union(&set), set);
    assert_eq!(set.intersection(&set), set);
    // Keys that another server wrote in another order are the same keys.
    let other = json!({"f:spec": {"f:ports": {"k:{\"protocol\":\"TCP\",\"port\":80}": {".": {}, "f:port": {}}}}});
    assert!(Set::from_json(&other).expect("a set").difference(&set).is_empty());
    assert!(managed::read(&json!({"metadata": {"managedFields": [{"operation": "Sometimes"}]}})).is_none());
}

/// A part of a Deployment, of which two managers may well choose the same fields.
fn configuration(random: &mut StdRng, values: char) -> Value {
    let mut pick = |from: &[&str]| -> Vec<String> {
        from.iter().filter(|_| random.random_bool(0.5)).map(|name| (*name).to_owned()).collect()
    };
    let labels: serde_json::Map<String, Value> =
        pick(&["a", "b", "c"]).into_iter().map(|name| (name, values.to_string().into())).collect();
    let containers: Vec<Value> = pick(&["main", "side", "proxy"])
        .into_iter()
        .map(|name| {
            let env: Vec<Value> = pick(&["X", "Y", "Z"])
                .into_iter()
                .map(|name| json!({"name": name, "value": values.to_string()}))
                .collect();
            let ports: Vec<Value> = pick(&["80", "81"])
                .into_iter()
                .map(|port| json!({"containerPort": port.parse::<u16>().expect("a port")}))
                .collect();
            let mut args = pick(&["x", "y"]);
            args.push("z".to_owned());
            json!({"name": name, "env": env, "ports": ports, "args": args})
        })
        .collect();
    let finalizers = pick(&["e.x/1", "e.x/2"]);
    let mut configuration = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "d", "labels": labels, "finalizers": finalizers},
        "spec": {"template": {"spec": {"containers": containers}}},
    });
    drop_empty(&mut configuration);
    configuration
}

/// Empty lists and maps are owned, but an encoder leaves them out, so that they are not there to be compared.
fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(drop_empty);
            map.retain(|_, value| !value.as_object().is_some_and(|map| map.is_empty()));
            map.retain(|_, value| !value.as_array().is_some_and(Vec::is_empty));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

/// Random applies by two managers, forced every other time.
#[test]
fn appliers_get_what_they_apply_and_lose_only_what_is_taken() {
    let schema = schema_of("apps/v1", "Deployment");
    let mut random = StdRng::seed_from_u64(555);
    let mut conflicts = 0;
    for _ in 0..80 {
        let mut live: Option<Value> = None;
        let mut last: BTreeMap<&str, Value> = BTreeMap::new();
        for round in 0..6 {
            let (name, values) = if random.random_bool(0.5) { ("alice", 'a') } else { ("bob", 'b') };
            let wanted = configuration(&mut random, values);
            let force = round % 2 == 0;
            let manager = by(name, "apps/v1");
            let object = match apply(schema, live.as_ref(), &wanted, manager, force, now()) {
                Ok(object) => object,
                Err(status) => {
                    assert_eq!((status.code, force), (409, false), "{}", status.message);
                    conflicts += 1;
                    continue;
                }
            };
            // Everything applied is there, and applied again is the same.
            let owned = typed::fields_of(schema.root(), &wanted);
            let missing = owned.difference(&typed::fields_of(schema.root(), &object));
            assert!(missing.is_empty(), "{name} misses {:?} of {wanted} in {object}", missing.to_json());
            let again = apply(schema, Some(&object), &wanted, manager, false, now()).expect("no conflict with oneself");
            assert_eq!(again, object, "{wanted}");
            last.insert(name, wanted);
            // What the other one owns is still as it applied it.
            for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
                let other = entry["manager"].as_str().expect("a name");
                let fields = Set::from_json(&entry["fieldsV1"]).expect("a set");
                let applied = typed::fields_of(schema.root(), &last[other]);
                assert!(fields.difference(&applied).is_empty(), "{other} owns more than it applied");
                let there = typed::fields_of(schema.root(), &object).with_named_fields(schema.root());
                let lost = fields.difference(&there);
                assert!(lost.is_empty(), "{other} owns {:?}, which is not there", lost.to_json());
            }
            live = Some(object);
        }
        // Who applies nothing any more takes its own fields away and no others.
        let Some(object) = live else { continue };
        let nothing = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}});
        let without = apply(schema, Some(&object), &nothing, by("alice", "apps/v1"), false, now()).expect("applies");
        let bobs = owners(&object).into_iter().find(|entry| entry["manager"] == "bob");
        assert_eq!(owners(&without).into_iter().find(|entry| entry["manager"] == "bob"), bobs);
        if bobs.is_none() {
            assert_eq!(without.pointer("/spec/template/spec/containers"), None, "{without}");
        }
    }
    assert!(conflicts > 25, "{conflicts}");
}
