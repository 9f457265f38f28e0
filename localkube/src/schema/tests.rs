use serde_json::{Value, json};

use super::{FieldValidation, Format, body::parse_json, canonical, decode, quantity, table::Schema, table::of_kind};
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
        assert_eq!(parse_json(text.as_bytes()).expect_err(text).0, words, "{text}");
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = "[".repeat(100_000);
    assert_eq!(parse_json(deep.as_bytes()).expect_err("refused").0, "exceeded max depth");
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    assert!(parse_json(deep.as_bytes()).is_ok());
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

/// What kubectl 1.37 sends to create these.
#[test]
fn kubectls_protobuf_becomes_what_its_json_would_be() {
    for (plural, bytes, expected) in [
        (
            "deployments",
            "6b3873000a150a07617070732f7631120a4465706c6f796d656e7412b9010a210a047765623212001a0022002a003200\
             380042005a0b0a036170701204776562321285010802120d0a0b0a036170701204776562321a6a0a1d0a0012001a0022\
             002a003200380042005a0b0a036170701204776562321249122b0a0361707012036170702a00320b0a00100018903f22\
             002a0042006a007200800100880100900100a201001a00320042004a0052005800600068008201008a01009a0100c201\
             0022020a00280038001a0c0800100018002000280038001a002200",
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web2", "labels": {"app": "web2"}},
                "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web2"}}, "strategy": {},
                    "template": {"metadata": {"labels": {"app": "web2"}}, "spec": {"containers": [
                        {"name": "app", "image": "app", "ports": [{"containerPort": 8080}], "resources": {}}]}}},
                "status": {}}),
        ),
        (
            "poddisruptionbudgets",
            "6b3873000a200a09706f6c6963792f76311213506f6444697372757074696f6e427564676574123a0a110a017712001a\
             0022002a0032003800420012190a09080110001a03353025120c0a0a0a0361707012037765621a0a0800180020002800\
             30001a002200",
            json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "w"},
                "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}},
                "status": {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}}),
        ),
        (
            "secrets",
            "6b3873000a0c0a027631120653656372657412200a120a026c3212001a0022002a0032003800420012080a0175120361\
             64611a001a002200",
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "l2"}, "data": {"u": "YWRh"}}),
        ),
        (
            "resourcequotas",
            "6b3873000a130a027631120d5265736f7572636551756f746112300a120a02663212001a0022002a0032003800420012\
             180a160a0c72657175657374732e63707512060a043530306d1a001a002200",
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "f2"},
                "spec": {"hard": {"requests.cpu": "500m"}}, "status": {}}),
        ),
        (
            "namespaces",
            "6b3873000a0f0a02763112094e616d65737061636512190a110a017812001a0022002a0032003800420012001a020a00\
             1a002200",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}, "spec": {}, "status": {}}),
        ),
    ] {
        let body = hex::decode(bytes).expect("hex digits");
        let read = decode(&resource(plural), &body, Format::Protobuf, FieldValidation::Strict);
        assert_eq!(read.expect("decodes").object, expected, "{plural}");
        for end in 0..body.len() {
            // Every cut is inside of something that says how long it is.
            let status = decode(&resource(plural), &body[..end], Format::Protobuf, FieldValidation::Strict);
            assert!(end > 4 && status.is_ok() || status.is_err_and(|status| status.code == 400), "{plural} {end}");
        }
    }
}

/// A field of a message: its number and its bytes.
fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).expect("short")], bytes].concat()
}

fn envelope(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let type_meta = [part(1, api_version.as_bytes()), part(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), part(1, &type_meta), part(2, message)].concat()
}

#[test]
fn protobuf_has_forms_of_its_own_for_times_and_json() {
    let seconds = [vec![0x08], vec![0x80, 0xa3, 0x05]].concat();
    let owned = [part(1, b"m"), part(4, &seconds), part(7, &part(1, br#"{"f:data":{}}"#))].concat();
    // A field that nobody knows (15, a varint) is skipped, and times that are zero are none.
    let metadata = [part(1, b"one"), part(8, b""), vec![15 << 3, 1]].concat();
    let metadata = [metadata, vec![0x8a, 1, u8::try_from(owned.len()).expect("short")], owned].concat();
    let body = envelope("v1", "ConfigMap", &part(1, &metadata));
    let read = decode(&resource("configmaps"), &body, Format::Protobuf, FieldValidation::Strict).expect("decodes");
    let entry = json!({"manager": "m", "time": "1970-01-02T00:00:00Z", "fieldsV1": {"f:data": {}}});
    assert_eq!(read.object["metadata"], json!({"name": "one", "managedFields": [entry]}));

    let lease = [part(1, b"me"), part(3, &[0x08, 1, 0x10, 0xc0, 0x84, 0x3d]), vec![2 << 3, 15]].concat();
    let body = envelope("coordination.k8s.io/v1", "Lease", &part(2, &lease));
    let read = decode(&resource("leases"), &body, Format::Protobuf, FieldValidation::Strict).expect("decodes");
    let spec =
        json!({"holderIdentity": "me", "acquireTime": "1970-01-01T00:00:01.001000Z", "leaseDurationSeconds": 15});
    assert_eq!(read.object["spec"], spec);

    // Structs that Go embeds are messages: the volume's source (2), and in it the reference (1) to a ConfigMap (19).
    let reference = part(1, &part(1, b"settings"));
    let source = [vec![0x9a, 1, u8::try_from(reference.len()).expect("short")], reference].concat();
    // Numbers come one by one or packed.
    let groups = [vec![4 << 3, 1], part(4, &[2, 0xac, 2]), vec![4 << 3, 3]].concat();
    let pod = [part(1, &[part(1, b"v"), part(2, &source)].concat()), part(14, &groups)].concat();
    let body = envelope("v1", "Pod", &part(2, &pod));
    let read = decode(&resource("pods"), &body, Format::Protobuf, FieldValidation::Strict).expect("decodes");
    assert_eq!(read.object["spec"]["volumes"], json!([{"name": "v", "configMap": {"name": "settings"}}]));
    assert_eq!(read.object["spec"]["securityContext"], json!({"supplementalGroups": [1, 2, 300, 3]}));

    // Among a map's values, lists are messages too.
    let extra = [part(1, b"scopes"), part(2, &[part(1, b"a"), part(1, b"b")].concat())].concat();
    let body = envelope("authorization.k8s.io/v1", "SubjectAccessReview", &part(2, &part(5, &extra)));
    let read = decode(&resource("subjectaccessreviews"), &body, Format::Protobuf, FieldValidation::Strict);
    assert_eq!(read.expect("decodes").object["spec"]["extra"], json!({"scopes": ["a", "b"]}));

    let options = [vec![1 << 3, 0], part(2, &part(1, b"u")), part(4, b"Orphan")].concat();
    let options = super::action(&envelope("apps/v1", "DeleteOptions", &options), "v1", "DeleteOptions");
    let expected = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u"}, "propagationPolicy": "Orphan"});
    assert_eq!(options.expect("decodes"), expected);
}

#[test]
fn protobuf_that_is_none_is_refused() {
    let refused = |body: &[u8]| {
        let status = decode(&resource("configmaps"), body, Format::Protobuf, FieldValidation::Ignore);
        let status = status.expect_err("refused");
        (status.code, status.message)
    };
    for (body, words) in [
        (b"".to_vec(), "empty data (<empty>)"),
        (b"{}".to_vec(), "does not appear to be a protobuf message, expected prefix [107 56 115 0] ({})"),
        (b"k8s\0".to_vec(), "the object provided is unrecognized (must be of type ConfigMap): empty body (6b387300)"),
        (b"k8s\0\x0a\x7f".to_vec(), "unexpected EOF"),
        (
            envelope("v1", "ConfigMap", &[0x0a, 5]),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: unexpected EOF",
        ),
        (envelope("v1", "ConfigMap", &[0x08, 5]), "proto: wrong wireType = 0 for field Metadata"),
        (envelope("v1", "ConfigMap", &[0x0b]), "proto: illegal wireType 3"),
        (envelope("v1", "Secret", &[]), "converting (v1.Secret) to (core.ConfigMap): unknown conversion"),
        (envelope("v1", "Widget", &[]), "no kind \"Widget\" is registered for version \"v1\""),
    ] {
        let (code, message) = refused(&body);
        assert!(code == 400 && message.contains(words), "{code} {message}");
    }
}
