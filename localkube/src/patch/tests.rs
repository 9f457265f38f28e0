use serde_json::{Value, json};

use super::{Kind, apply, strategic};
use crate::{
    kinds,
    resource::builtin,
    schema::{
        self, FieldValidation, Format,
        tests::{recording, schema as schema_of},
    },
    status::Status,
};

fn deployment_patched(live: &Value, patch: Value) -> Result<Value, Status> {
    strategic(schema_of("apps/v1", "Deployment"), live, patch.to_string().as_bytes())
}

/// Every patch of the recordings, one after the other on the object that the one before left.
#[test]
fn the_recorded_patches_lead_to_the_recorded_objects() {
    let resources = builtin();
    let mut live: std::collections::BTreeMap<String, Value> = std::collections::BTreeMap::new();
    let mut compared = std::collections::BTreeMap::new();
    for (step, answer) in recording(include_str!("../../tests/golden/recordings/patches.jsonl")) {
        let name = step["name"].as_str().expect("a name");
        let request = step["request"].as_str().expect("a request");
        let path = request.split([' ', '?']).nth(1).expect("a path");
        let (code, body) = (answer["status"].as_u64().expect("a status"), &answer["body"]);
        let plural = if path.contains("/deployments") { "deployments" } else { "configmaps" };
        let resource = resources.iter().find(|resource| resource.plural == plural).expect("a resource");
        let text = step["raw"].as_str().map_or_else(|| step["body"].to_string(), str::to_owned);
        let kind = match step["type"].as_str() {
            Some("jsonpatch") => Kind::Json,
            Some("merge") => Kind::Merge,
            Some("strategic") => Kind::Strategic,
            _ => {
                let mut object = schema::decode(resource, text.as_bytes(), Format::Json, FieldValidation::Warn)
                    .expect("decodes")
                    .object;
                kinds::set_defaults(resource, &mut object);
                live.insert(plural.to_owned(), object);
                continue;
            }
        };
        // What is not the patch's: versions, names and rules of the kind.
        let others = ["resource-version", "rename", "not-found", "uid", "dry-run", "on-status"];
        if others.iter().any(|other| name.contains(other)) || body["message"].to_string().contains(" is invalid: [") {
            continue;
        }
        let validation = if request.contains("Strict") { FieldValidation::Strict } else { FieldValidation::Warn };
        let schema = schema_of(&resource.api_version(), &resource.kind);
        match apply(kind, schema, &live[plural], text.as_bytes(), validation) {
            Ok(decoded) => {
                let mut object = decoded.object;
                kinds::set_defaults(resource, &mut object);
                if code == 422 {
                    // Refused by the rules of the kind, so that it is not stored.
                    assert!(body["message"].as_str().is_some_and(|words| words.contains("is invalid")), "{name}");
                    continue;
                }
                assert_eq!(code, 200, "{name}: {body}");
                for part in ["data", "spec"] {
                    if let Some(expected) = body.get(part) {
                        let shown = object.get(part).map(|part| part.to_string());
                        let masked = shown.map(|shown| shown.replace("2024-05-01T10:00:00Z", "<time>"));
                        assert_eq!(masked, Some(expected.to_string()), "{name}");
                    }
                }
                live.insert(plural.to_owned(), object);
            }
            Err(status) => {
                assert_eq!(u64::from(status.code), code, "{name}: {}", status.message);
                let message = body["message"].as_str().expect("a message");
                // The quoted object has masked times and names in the recordings; the reason is at the end.
                let reason = |text: &str| text.rsplit_once("\": ").map_or(text.to_owned(), |(_, why)| why.to_owned());
                assert_eq!(reason(&status.message), reason(message), "{name}");
            }
        }
        *compared.entry(code).or_insert(0) += 1;
    }
    assert!(compared[&200] > 25 && compared[&400] > 3 && compared[&422] > 6 && compared[&500] > 1, "{compared:?}");
}

#[test]
fn the_refused_object_is_quoted_as_the_server_encodes_it() {
    let live = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"annotations": {"z": "1"}, "name": "c",
        "uid": "u", "managedFields": [{"manager": "m", "apiVersion": "v1", "operation": "Update"}]}});
    let schema = schema_of("v1", "ConfigMap");
    let status = apply(Kind::Merge, schema, &live, br#"{"data":{"a":5}}"#, FieldValidation::Warn).expect_err("refused");
    let quoted = r#"{"apiVersion":"v1","data":{"a":5},"kind":"ConfigMap","metadata":{"name":"c","uid":"u","annotations":{"z":"1"},"managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1"}]}}"#;
    assert_eq!(
        status.message,
        format!(
            " \"\" is invalid: patch: Invalid value: {}: json: cannot unmarshal number into Go struct field \
             ConfigMap.data of type string",
            Value::from(quoted)
        )
    );
}

#[test]
fn json_patch_counts_from_the_end_and_escapes_names() {
    let live = json!({"a/b": {"m~n": [1, 2, 3]}});
    let patched = |patch: Value| super::json(&live, patch.to_string().as_bytes());
    let last = patched(json!([{"op": "remove", "path": "/a~1b/m~0n/-1"}])).expect("applies");
    assert_eq!(last, json!({"a/b": {"m~n": [1, 2]}}));
    let tested = patched(json!([{"op": "test", "path": "/a~1b/absent", "value": null}]));
    assert!(tested.is_ok(), "what is absent is null to a test");
    for bad in [
        json!([{"op": "add", "path": "/a~1b/m~0n/9", "value": 1}]),
        json!([{"op": "remove", "path": "no-slash"}]),
        json!([{"op": "copy", "from": "/x", "path": "/y"}]),
        json!([{"path": "/a"}]),
    ] {
        assert_eq!(patched(bad.clone()).expect_err("refused").code, 422, "{bad}");
    }
}

#[test]
fn a_merge_patch_drops_nulls_inside_what_it_adds() {
    let patched = super::merge(&json!({"a": 1}), br#"{"b": {"c": null, "d": 1}, "a": null}"#).expect("applies");
    assert_eq!(patched, json!({"b": {"d": 1}}));
}

#[test]
fn strategic_patches_add_without_their_directives() {
    let live = json!({"spec": {"template": {"spec": {}}}});
    let patch = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
        "containers": [{"name": "b", "$retainKeys": ["name"]}, {"name": "a", "args": null}, {"name": "x", "$patch": "delete"}],
    }}}});
    let patched = deployment_patched(&live, patch).expect("applies");
    assert_eq!(patched["spec"]["template"]["spec"], json!({"containers": [{"name": "b"}, {"name": "a"}]}));
}

#[test]
fn retain_keys_refuses_fields_that_it_does_not_name() {
    let live = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let patched = deployment_patched(&live, patch).expect("applies");
    assert_eq!(patched["spec"]["strategy"], json!({"type": "Recreate"}));
    let wrong = json!({"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}});
    let status = deployment_patched(&live, wrong).expect_err("refused");
    assert_eq!((status.code, status.message.as_str()), (400, "invalid patch format of retainKeys"));
}
