use serde_json::{Value, json};

use super::{FieldValidation, Format, body::parse, canonical, decode, quantity, table::Schema, table::of_kind};
use crate::resource::{Resource, builtin};

/// The steps of a recording of a real API server, with their answers.
pub(crate) fn recording(text: &str) -> Vec<(Value, Value)> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a recording is JSON lines"));
    lines.filter(|line| line["step"].is_object()).map(|line| (line["step"].clone(), line["answer"].clone())).collect()
}

pub(crate) fn schema(api_version: &str, kind: &str) -> &'static Schema {
    of_kind(api_version, kind).expect("a built-in kind")
}

fn resource(plural: &str) -> Resource {
    builtin().iter().find(|resource| resource.plural == plural).expect("a built-in resource").clone()
}

fn decoded(kind: &str, object: &Value) -> Result<super::Decoded, crate::status::Status> {
    decode(&resource(kind), object.to_string().as_bytes(), Format::Json, FieldValidation::Warn)
}

fn refusal(kind: &str, object: &Value) -> String {
    decoded(kind, object).expect_err("refused").message
}

#[test]
fn bodies_are_refused_in_the_words_of_the_recordings() {
    let steps = recording(include_str!("../../tests/golden/recordings/crud-errors.jsonl"));
    let mut checked = Vec::new();
    for (step, answer) in steps {
        let (name, request) = (step["name"].as_str().expect("name"), step["request"].as_str().expect("request"));
        let message = answer["body"]["message"].as_str().unwrap_or_default();
        let decoding = ["cannot be handled as", "unrecognized", "API version in the data"];
        if !decoding.iter().any(|words| message.contains(words)) {
            continue;
        }
        let path = request.split(['?', ' ']).nth(1).expect("a path");
        let plural = path.split('/').find(|part| ["configmaps", "deployments", "secrets", "pods"].contains(part));
        let body = step["raw"].as_str().map_or_else(|| step["body"].to_string(), str::to_owned);
        let validation = if request.contains("Strict") { FieldValidation::Strict } else { FieldValidation::Warn };
        let status =
            decode(&resource(plural.expect("a kind")), body.as_bytes(), Format::Json, validation).expect_err(name);
        // The recordings hold a list of reasons in no order, without the commas between.
        let sorted = |text: &str| {
            let mut parts: Vec<String> = text
                .replace("strict decoding error: ", " | ")
                .split([',', '|'])
                .map(|part| part.trim().to_owned())
                .collect();
            parts.sort();
            parts
        };
        assert_eq!(sorted(&status.message), sorted(message), "{name}");
        assert_eq!(status.code, answer["status"], "{name}");
        checked.push(name.to_owned());
    }
    assert!(checked.len() >= 10, "{checked:?}");
}

#[test]
fn unknown_fields_are_dropped_and_reported() {
    let pod = json!({"metadata": {"name": "p", "lables": {}}, "spec": {"containers": [{"nam": "x"}]}, "extra": 1});
    let decoded = decoded("pods", &pod).expect("decodes");
    assert_eq!(
        decoded.warnings,
        ["unknown field \"extra\"", "unknown field \"metadata.lables\"", "unknown field \"spec.containers[0].nam\"",]
    );
    assert_eq!(decoded.object["spec"]["containers"], json!([{"resources": {}}]));
}

#[test]
fn type_errors_name_the_struct_and_the_path() {
    let replicas = json!({"spec": {"replicas": "three"}});
    assert_eq!(
        refusal("deployments", &replicas),
        "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct \
         field DeploymentSpec.spec.replicas of type int32"
    );
    let env = json!({"spec": {"containers": [{"env": [{"name": "A", "value": 1}]}]}});
    let message = refusal("pods", &env);
    assert!(message.ends_with("field EnvVar.spec.containers.env.value of type string"), "{message}");
    let list = json!({"spec": {"containers": {}}});
    assert!(
        refusal("pods", &list).ends_with("object into Go struct field PodSpec.spec.containers of type []v1.Container")
    );
    let huge = json!({"spec": {"replicas": 3_000_000_000_i64}});
    assert!(refusal("deployments", &huge).contains("cannot unmarshal number 3000000000 into"));
}

#[test]
fn values_get_their_canonical_form() {
    let pod = json!({
        "metadata": {"name": "p", "labels": null, "annotations": {}, "creationTimestamp": "2024-05-01T12:00:00.5+02:00"},
        "spec": {
            "hostNetwork": false,
            "containers": [{
                "name": "c", "env": [{"name": "A", "value": ""}],
                "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}, "requests": {"cpu": "0.5"}},
                "command": [],
            }],
        },
    });
    let object = decoded("pods", &pod).expect("decodes").object;
    assert_eq!(object["metadata"], json!({"name": "p", "creationTimestamp": "2024-05-01T10:00:00Z"}));
    assert_eq!(
        object["spec"],
        json!({"containers": [{
            "name": "c", "env": [{"name": "A"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
        }]})
    );
    let zero = json!({"metadata": {"name": "d"}, "spec": {"replicas": 0, "paused": false}});
    let object = decoded("deployments", &zero).expect("decodes").object;
    assert_eq!(object["spec"]["replicas"], 0, "a pointer tells zero from nothing");
    assert_eq!(object["spec"].get("paused"), None);
}

#[test]
fn quantities_are_written_as_kubernetes_writes_them() {
    for (text, form) in [
        ("0", "0"),
        ("1", "1"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.1", "100m"),
        ("1000", "1k"),
        ("1024", "1024"),
        ("1024Ki", "1Mi"),
        ("1.5Gi", "1536Mi"),
        ("100Ki", "100Ki"),
        ("0.5Ki", "512"),
        ("12e6", "12e6"),
        ("1E", "1E"),
        ("-2", "-2"),
        ("1n", "1n"),
        ("0.0000000001", "1n"),
    ] {
        assert_eq!(quantity::canonical(text).as_deref(), Some(form), "{text}");
    }
    for text in ["", "x", "12Q", "1.2.3", "Mi", "1 Gi", "--1"] {
        assert_eq!(quantity::canonical(text), None, "{text}");
    }
}

#[test]
fn malformed_json_is_described_as_go_describes_it() {
    for (text, words) in [
        ("{", "unexpected end of JSON input"),
        ("", "unexpected end of JSON input"),
        ("data", "invalid character 'd' looking for beginning of value"),
        ("{a}", "invalid character 'a' looking for beginning of object key string"),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("nul", "unexpected end of JSON input"),
        ("nulx", "invalid character 'x' in literal null (expecting 'l')"),
        ("\"\\x\"", "invalid character 'x' in string escape code"),
    ] {
        assert_eq!(parse(text.as_bytes(), Format::Json).expect_err(text).0, words, "{text}");
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = "[".repeat(100_000);
    assert_eq!(parse(deep.as_bytes(), Format::Json).expect_err("refused").0, "exceeded max depth");
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    assert!(parse(deep.as_bytes(), Format::Json).is_ok());
}

#[test]
fn yaml_bodies_are_read_with_their_duplicates() {
    let body = b"kind: ConfigMap\ndata:\n  a: one\n  a: two\n";
    let strict = decode(&resource("configmaps"), body, Format::Yaml, FieldValidation::Strict).expect_err("refused");
    assert!(strict.message.ends_with("strict decoding error: duplicate field \"data.a\""), "{}", strict.message);
    let loose = decode(&resource("configmaps"), body, Format::Yaml, FieldValidation::Ignore).expect("decodes");
    assert_eq!((loose.object["data"]["a"].as_str(), loose.warnings.len()), (Some("two"), 0));
}

#[test]
fn every_stored_builtin_resource_has_a_schema() {
    let missing: Vec<String> = (builtin().iter())
        .filter(|resource| super::of(resource).is_none())
        .map(|resource| format!("{} {}", resource.api_version(), resource.kind))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_table_is_read_fast_enough_to_be_read_at_the_first_request() {
    let start = std::time::Instant::now();
    let table = super::table::parse(include_str!("../../schema/builtin.txt"));
    assert!(start.elapsed().as_millis() < 250, "{:?}", start.elapsed());
    assert!(table.kinds.values().map(std::collections::HashMap::len).sum::<usize>() > 150);
}

#[test]
fn a_merge_result_is_brought_into_form() {
    let mut object = json!({"metadata": {"name": "c"}, "data": {"a": null}});
    canonical(schema("v1", "ConfigMap"), &mut object).expect("fits");
    assert_eq!(object, json!({"metadata": {"name": "c"}, "data": {"a": ""}}));
}
