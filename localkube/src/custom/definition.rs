//! CustomResourceDefinitions: what is filled in, and what they must keep to. The rules and their words are those of
//! `k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation`.

use serde_json::{Value, json};

use super::{conditions::holds, structural, versions::stored};
use crate::{
    kinds::{
        errors::{IMMUTABLE, invalid, raw_invalid, required, unsupported},
        names::{dns_label, dns_subdomain},
    },
    status::FieldError,
};

/// Fills in what was left out.
pub(crate) fn complete(object: &mut Value) {
    let spec = &mut object["spec"];
    if !spec.is_object() {
        return;
    }
    let empty = |value: &Value| value.as_str().is_none_or(str::is_empty);
    if let Some(kind) = spec["names"]["kind"].as_str().map(str::to_owned).filter(|kind| !kind.is_empty()) {
        if empty(&spec["names"]["singular"]) {
            spec["names"]["singular"] = kind.to_lowercase().into();
        }
        if empty(&spec["names"]["listKind"]) {
            spec["names"]["listKind"] = format!("{kind}List").into();
        }
    }
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
}

/// Readies a new definition: nothing is accepted yet.
pub(crate) fn create(object: &mut Value) {
    let stored = stored(&object["spec"]);
    let versions = if stored.is_empty() { Value::Null } else { json!([stored]) };
    object["status"] =
        json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": versions});
}

/// Readies a changed definition: a version that is stored from now on stays on record.
pub(crate) fn update(object: &mut Value) {
    let name = stored(&object["spec"]).to_owned();
    if let Some(versions) = object["status"]["storedVersions"].as_array_mut()
        && !name.is_empty()
        && !versions.iter().any(|version| *version == name.as_str())
    {
        versions.push(name.into());
    }
}

/// Every rule that a definition breaks.
pub(crate) fn validate(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let (spec, name) = (&object["spec"], object["metadata"]["name"].as_str().unwrap_or_default());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (plural, group) = (text(&spec["names"]["plural"]), text(&spec["group"]));
    let mut errors = Vec::new();
    if name != format!("{plural}.{group}") {
        errors.push(invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
    }
    match group.as_str() {
        "" => errors.push(required("spec.group", "")),
        group => {
            let wrong = dns_subdomain(group);
            if wrong.is_empty() && !group.contains('.') {
                errors.push(invalid("spec.group", group, "should be a domain with at least one dot"));
            }
            errors.extend(wrong.iter().map(|why| invalid("spec.group", group, why)));
        }
    }
    match spec["scope"].as_str().unwrap_or_default() {
        "" => errors.push(required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(unsupported("spec.scope", other, &["Cluster", "Namespaced"])),
    }
    if spec["preserveUnknownFields"] == true {
        errors.push(invalid(
            "spec.preserveUnknownFields",
            true,
            "must be false in order to use defaults in the schema",
        ));
    }
    versions(&mut errors, spec);
    names(&mut errors, &spec["names"]);
    if spec["conversion"]["strategy"].as_str().is_some_and(|strategy| !["None", "Webhook"].contains(&strategy)) {
        let strategy = spec["conversion"]["strategy"].clone();
        errors.push(unsupported("spec.conversion.strategy", strategy, &["None", "Webhook"]));
    }
    if let Some(old) = old {
        unchanged(&mut errors, object, old);
    }
    kept(&mut errors, object);
    errors
}

fn versions(errors: &mut Vec<FieldError>, spec: &Value) {
    let versions = spec["versions"].as_array().cloned().unwrap_or_default();
    let mut seen: Vec<&str> = Vec::new();
    let mut unique = true;
    for (index, version) in versions.iter().enumerate() {
        let at = format!("spec.versions[{index}]");
        let name = version["name"].as_str().unwrap_or_default();
        errors.extend(dns_label(name).iter().map(|why| invalid(format!("{at}.name"), name, why)));
        unique &= !seen.contains(&name);
        seen.push(name);
        if version["deprecationWarning"].is_string() && version["deprecated"] != true {
            let path = format!("{at}.deprecationWarning");
            errors.push(invalid(
                path,
                version["deprecationWarning"].clone(),
                "can only be set for deprecated versions",
            ));
        }
        let schema = &version["schema"]["openAPIV3Schema"];
        if schema.is_object() {
            structural::validate(errors, schema, &format!("{at}.schema.openAPIV3Schema"));
        } else {
            errors.push(required(format!("{at}.schema.openAPIV3Schema"), ""));
        }
        for (index, column) in version["additionalPrinterColumns"].as_array().into_iter().flatten().enumerate() {
            columns(errors, column, &format!("{at}.additionalPrinterColumns[{index}]"));
        }
    }
    if !unique {
        errors.push(raw_invalid("spec.versions", &as_go(&versions), "must contain unique version names"));
    }
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(raw_invalid("spec.versions", &as_go(&versions), why));
    }
}

fn columns(errors: &mut Vec<FieldError>, column: &Value, at: &str) {
    for name in ["name", "type", "jsonPath"] {
        let text = column[name].as_str().unwrap_or_default();
        match name {
            _ if text.is_empty() => errors.push(required(format!("{at}.{name}"), "")),
            "type" if !["integer", "number", "string", "boolean", "date"].contains(&text) => {
                let why = "must be one of boolean,date,integer,number,string";
                errors.push(invalid(format!("{at}.type"), text, why));
            }
            _ => {}
        }
    }
}

fn names(errors: &mut Vec<FieldError>, names: &Value) {
    let mut check = |name: &str, text: &str, cased: bool| {
        let lower = text.to_lowercase();
        let mixed = if cased { "may have mixed case, but should otherwise match: " } else { "" };
        let wrong = dns_label(if cased { &lower } else { text });
        errors.extend(wrong.iter().map(|why| invalid(format!("spec.names.{name}"), text, &format!("{mixed}{why}"))));
    };
    let text = |name: &str| names[name].as_str().unwrap_or_default();
    check("plural", text("plural"), false);
    check("singular", text("singular"), false);
    check("kind", text("kind"), true);
    check("listKind", text("listKind"), true);
    for list in ["shortNames", "categories"] {
        for (index, name) in names[list].as_array().into_iter().flatten().enumerate() {
            check(&format!("{list}[{index}]"), name.as_str().unwrap_or_default(), false);
        }
    }
    if !text("kind").is_empty() && text("kind") == text("listKind") {
        errors.push(invalid("spec.names.listKind", text("listKind"), "kind and listKind may not be the same"));
    }
}

/// What stays for the life of a definition, and what stays from when objects can be made.
fn unchanged(errors: &mut Vec<FieldError>, object: &Value, old: &Value) {
    let mut check = |path: &str, pointer: &str| {
        let new = object.pointer(pointer).cloned().unwrap_or_default();
        if Some(&new) != old.pointer(pointer) {
            errors.push(invalid(path, new, IMMUTABLE));
        }
    };
    if holds(old, "Established") {
        check("spec.scope", "/spec/scope");
        check("spec.names.kind", "/spec/names/kind");
    }
    check("spec.group", "/spec/group");
    check("spec.names.plural", "/spec/names/plural");
}

/// Versions in which objects may be stored have to stay.
fn kept(errors: &mut Vec<FieldError>, object: &Value) {
    let stored = object["status"]["storedVersions"].as_array().filter(|versions| !versions.is_empty());
    let Some(stored) = stored else {
        errors.push(raw_invalid("status.storedVersions", "null", "must have at least one stored version"));
        return;
    };
    let versions = object["spec"]["versions"].as_array();
    for (index, name) in stored.iter().enumerate() {
        if !versions.into_iter().flatten().any(|version| version["name"] == *name) {
            let name = name.as_str().unwrap_or_default();
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            errors.push(invalid(format!("status.storedVersions[{index}]"), name, &why));
        }
    }
}

/// The versions as Go prints their structs.
fn as_go(versions: &[Value]) -> String {
    let version = |version: &Value| {
        let or = |name: &str, fallback: Value| if version[name].is_null() { fallback } else { version[name].clone() };
        let fields = [
            ("Name", or("name", "".into())),
            ("Served", or("served", false.into())),
            ("Storage", or("storage", false.into())),
            ("Deprecated", or("deprecated", false.into())),
            ("DeprecationWarning", version["deprecationWarning"].clone()),
            ("Schema", version["schema"].clone()),
            ("Subresources", version["subresources"].clone()),
            ("AdditionalPrinterColumns", version["additionalPrinterColumns"].clone()),
            ("SelectableFields", version["selectableFields"].clone()),
        ];
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    };
    format!("[{}]", versions.iter().map(version).collect::<Vec<_>>().join(","))
}
