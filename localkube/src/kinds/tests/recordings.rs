//! Every create of the recordings that the kinds alone decide: the answer's object or causes are what comes out here.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use super::{decode, resource};
use crate::{
    kinds,
    resource::Resource,
    schema::{self, FieldValidation, Format},
};

/// Steps that are not compared, each with the reason.
const LEFT_OUT: [(&str, &str); 8] = [
    ("bad-field-validation", "a query parameter, read before the body"),
    ("bad-dry-run", "a query parameter, read before the body"),
    ("sa-token-too-short", "a TokenRequest is answered, not stored"),
    ("ssar-invalid", "a review is answered, not stored"),
    ("local-sar-namespace-mismatch", "a review is answered, not stored"),
    ("yaml-body", "written as text, which schema's tests read"),
    ("limitrange-defaults", "admission by a LimitRange, which another object holds"),
    ("limitrange-partial", "admission by a LimitRange, which another object holds"),
];
/// Left out of both sides: the machinery sets them, not the kind.
const MACHINERY: [&str; 5] = ["managedFields", "uid", "resourceVersion", "creationTimestamp", "namespace"];

#[test]
fn creates_agree_with_the_recordings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/recordings");
    let mut compared = BTreeMap::new();
    let mut differing = Vec::new();
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        for line in fs::read_to_string(&file).unwrap().lines().skip(1) {
            let record: Value = serde_json::from_str(line).unwrap();
            let name = record["step"]["name"].as_str().unwrap();
            if LEFT_OUT.iter().any(|(left, _)| *left == name) {
                continue;
            }
            if let Some(outcome) = compare(&record) {
                *compared.entry(record["answer"]["status"].to_string()).or_insert(0) += 1;
                if let Err(difference) = outcome {
                    differing.push(format!("{name}: {difference}"));
                }
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    let total: i32 = compared.values().sum();
    assert!(total >= 100 && compared["422"] >= 19, "only {compared:?} steps were compared");
}

/// What a create step answers against what the kinds make of its body; `None` when it is not a create of a kind.
fn compare(record: &Value) -> Option<Result<(), String>> {
    let (step, answer) = (&record["step"], &record["answer"]);
    let (method, target) = step["request"].as_str()?.split_once(' ')?;
    let (resource, named) = route(target)?;
    let create = method == "POST" || (step["type"] == "apply" && answer["status"] == 201);
    if !create || named != (method != "POST") || !step["body"].is_object() {
        return None;
    }
    let text = step["body"].to_string().replace("{{sfx}}", "sfx").replace("{{ns}}", "ns");
    let text = text.replace("{{x*300}}", &"x".repeat(300)).replace("{{x*254}}", &"x".repeat(254));
    let mut object = read(&resource, serde_json::from_str(&text).unwrap())?;
    if resource.namespaced {
        object["metadata"]["namespace"] = "ns".into();
    }
    let prefix = object["metadata"]["generateName"].as_str().map(str::to_owned);
    if let Some(prefix) = prefix.filter(|_| object["metadata"]["name"].is_null()) {
        object["metadata"]["name"] = format!("{prefix}x").into();
    }
    kinds::set_defaults(&resource, &mut object);
    kinds::prepare_create(&resource, &mut object);
    let errors = kinds::validate(&resource, None, &object, None);
    match answer["status"].as_i64()? {
        201 => Some(compare_object(step, answer, object, &errors)),
        422 => {
            let mut ours: Vec<Value> = errors
                .iter()
                .map(|error| json!({"field": error.path, "message": error.message, "reason": error.kind.reason()}))
                .collect();
            let mut theirs = answer["body"]["details"]["causes"].as_array()?.clone();
            if step["unordered"].is_array() {
                ours.sort_by_key(ToString::to_string);
                theirs.sort_by_key(ToString::to_string);
            }
            let (ours, theirs) = (settled(&Value::from(ours)), settled(&Value::from(theirs)));
            Some(if ours == theirs { Ok(()) } else { Err(format!("\n  ours   {ours}\n  theirs {theirs}")) })
        }
        _ => None,
    }
}

fn compare_object(
    step: &Value,
    answer: &Value,
    mut ours: Value,
    errors: &[crate::status::FieldError],
) -> Result<(), String> {
    if !errors.is_empty() {
        return Err(format!("refused: {errors:?}"));
    }
    if step["compare"] == "status" || step["accept"] == "table" {
        return Ok(());
    }
    let body = &answer["body"];
    if step["only"].is_array() {
        for (path, theirs) in body.as_object().into_iter().flatten() {
            let found = at(&ours, path);
            if found != theirs {
                return Err(format!("{path}\n  ours   {found}\n  theirs {theirs}"));
            }
        }
        return Ok(());
    }
    let mut theirs = body.clone();
    for side in [&mut ours, &mut theirs] {
        for key in MACHINERY {
            side["metadata"].as_object_mut().map(|metadata| metadata.remove(key));
        }
        // The random part of a generated name is the machinery's too.
        if !side["metadata"]["generateName"].is_null() {
            side["metadata"]["name"] = Value::Null;
        }
        if side["kind"] == "Service" && side["spec"]["clusterIP"] != "None" {
            for key in ["clusterIP", "clusterIPs"] {
                side["spec"].as_object_mut().map(|spec| spec.remove(key));
            }
        }
    }
    for ignored in step["ignore"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        ours.as_object_mut().map(|fields| fields.remove(ignored));
        theirs.as_object_mut().map(|fields| fields.remove(ignored));
    }
    let (ours, theirs) = (settled(&ours), settled(&theirs));
    if ours == theirs { Ok(()) } else { Err(format!("\n  ours   {ours}\n  theirs {theirs}")) }
}

/// A value without what a run of the suite replaces.
fn settled(value: &Value) -> String {
    let text = value.to_string().replace("golden-crud-errors-{{sfx}}", "ns").replace("golden-policy-{{sfx}}", "ns");
    let text = text.replace("{{sfx}}", "sfx");
    ["first", "second", "front", "back", "orph"].iter().fold(text, |text, name| {
        let owner = if *name == "orph" { "orphaner" } else { name };
        text.replace(&format!("<uid:ConfigMap/{owner}>"), &format!("{{{{{name}}}}}"))
    })
}

/// A body that fits its kind; a misfit is a matter of the schema.
fn read(resource: &Resource, body: Value) -> Option<Value> {
    let bytes = serde_json::to_vec(&body).unwrap();
    schema::decode(resource, &bytes, Format::Json, FieldValidation::Ignore).ok().map(|_| decode(resource, &body))
}

/// The resource of a path, and whether the path goes on to one object; `None` for subresources and unknown kinds.
fn route(target: &str) -> Option<(Resource, bool)> {
    let path = target.split('?').next()?;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (plural, named) = match rest {
        [plural] => (*plural, false),
        ["namespaces", _, plural] => (*plural, false),
        ["namespaces", _, plural, _] => (*plural, true),
        _ => return None,
    };
    // Definitions of custom resources have rules of another package.
    let found = resource(group, version, plural).filter(|found| found.stored() && group != "apiextensions.k8s.io");
    found.map(|found| (found, named))
}

/// The value at a path like `spec.containers[0].resources`.
fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |value, part| match part.split_once('[') {
        Some((key, index)) => &value[key][index.trim_end_matches(']').parse::<usize>().unwrap()],
        None => &value[part],
    })
}
