//! OpenAPI v3: one document a group and version, from the schemas that Kubernetes publishes.
//!
//! kubectl reads them to explain fields, to find merge keys, and to learn from the parameters of PATCH whether the
//! server validates fields. The paths carry what clients look at: operations, kinds and parameters.

mod custom;
mod protobuf;
mod v2;

use std::{collections::BTreeMap, io::Read as _, sync::Arc};

use axum::response::Response;
use flate2::read::GzDecoder;
use http::HeaderMap;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Server, respond};
use crate::resource::{Resource, Subresource};

/// See `localkube/openapi/generate.py`.
const SCHEMAS: &[u8] = include_bytes!("../../../openapi/schemas.json.gz");
const PREFIX: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Answers what is below `/openapi`; none for what there is no document of.
pub(super) fn serve(server: &Server, parts: &[&str], headers: &HeaderMap) -> Option<Response> {
    let ["v3", parts @ ..] = parts else {
        return (parts == ["v2"]).then(|| v2::serve(server, headers));
    };
    match parts {
        [] => Some(respond::text(200, index(server).to_string())),
        ["api", version] => document(server, "", version),
        ["apis", group, version] => document(server, group, version),
        _ => None,
    }
}

fn index(server: &Server) -> Value {
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    // A hash in the URL lets clients cache the document for ever.
    let mut built_in = Sha256::digest(SCHEMAS).to_vec();
    built_in.truncate(16);
    let mut add = |path: &str, revisions: &[u8]| {
        let hash = if revisions.is_empty() { built_in.clone() } else { Sha256::digest(revisions)[..16].to_vec() };
        let url = format!("/openapi/v3/{path}?hash={}", hex::encode_upper(hash));
        paths.insert(path.to_owned(), json!({"serverRelativeURL": url}));
    };
    for path in [".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version"] {
        add(path, &[]);
    }
    let resources = server.resources();
    for resource in resources.iter() {
        if resource.group.is_empty() {
            add(&format!("api/{}", resource.version), &[]);
        } else {
            let group = |other: &&Arc<Resource>| other.group == resource.group;
            let customs = resources.iter().filter(group).filter_map(|other| other.custom.as_ref());
            let revisions: Vec<u8> = customs
                .flat_map(|custom| [custom.revision.to_be_bytes(), custom.born.to_be_bytes()].concat())
                .collect();
            add(&format!("apis/{}", resource.group), &[]);
            add(&format!("apis/{}/{}", resource.group, resource.version), &revisions);
        }
    }
    json!({"paths": paths})
}

fn document(server: &Server, group: &str, version: &str) -> Option<Response> {
    let resources = server.resources();
    let served: Vec<&Resource> = resources
        .iter()
        .filter(|resource| resource.group == group && resource.version == version)
        .map(AsRef::as_ref)
        .collect();
    if served.is_empty() {
        return None;
    }
    let mut all = all_schemas(server);
    let is_custom = served.iter().any(|resource| resource.custom.is_some());
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let mut paths = Map::new();
    // Of custom kinds there are only the paths of objects and their lists.
    if !is_custom {
        paths.insert(format!("{root}/"), json!({"get": {"description": "get available resources"}}));
    }
    for resource in &served {
        add_paths(&mut paths, &root, resource, &all);
    }
    let mut wanted = Map::new();
    for resource in &served {
        let Some(name) = schema_name(&all, &resource.group, &resource.version, &resource.kind) else { continue };
        collect(&mut all, &mut wanted, &format!("{name}List"));
        collect(&mut all, &mut wanted, &name);
        for subresource in &resource.subresources {
            let (group, version) = subresource.group_version.unwrap_or((&resource.group, &resource.version));
            if let Some(name) = schema_name(&all, group, version, &subresource.kind) {
                collect(&mut all, &mut wanted, &name);
            }
        }
    }
    let besides: &[&str] = if is_custom { &[] } else { &["APIResourceList", "WatchEvent"] };
    for name in ["DeleteOptions", "Patch", "Status"].iter().chain(besides) {
        collect(&mut all, &mut wanted, &format!("{META}{name}"));
    }
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": super::discovery::VERSION},
        "paths": paths,
        "components": {"schemas": wanted},
    });
    Some(respond::json(200, document.to_string()))
}

/// The published schemas and those of custom kinds.
fn all_schemas(server: &Server) -> Map<String, Value> {
    let mut all = schemas();
    for resource in server.resources().iter().filter(|resource| resource.custom.is_some()) {
        custom::add(&mut all, resource);
    }
    all
}

/// Read anew for every document: these are rare, and the text is large.
fn schemas() -> Map<String, Value> {
    let mut text = String::new();
    GzDecoder::new(SCHEMAS).read_to_string(&mut text).expect("a test unpacks it");
    match text.parse() {
        Ok(Value::Object(schemas)) => schemas,
        _ => Map::new(),
    }
}

/// Moves a schema and everything that it refers to.
fn collect(all: &mut Map<String, Value>, wanted: &mut Map<String, Value>, name: &str) {
    let mut names = vec![name.to_owned()];
    while let Some(name) = names.pop() {
        if let Some(schema) = all.remove(&name) {
            references(&schema, &mut names);
            wanted.insert(name, schema);
        }
    }
}

fn references(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix(PREFIX)) {
                names.push(name.to_owned());
            }
            fields.values().for_each(|value| references(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, names)),
        _ => {}
    }
}

/// The schema that says it is of the kind.
fn schema_name(schemas: &Map<String, Value>, group: &str, version: &str, kind: &str) -> Option<String> {
    let suffix = format!(".{version}.{kind}");
    let is = |schema: &Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| kinds.contains(&json!({"group": group, "version": version, "kind": kind})))
    };
    schemas.iter().find(|(name, schema)| name.ends_with(&suffix) && is(schema)).map(|(name, _)| name.clone())
}

fn add_paths(paths: &mut Map<String, Value>, root: &str, resource: &Resource, schemas: &Map<String, Value>) {
    let plural = &resource.plural;
    let watched = resource.custom.is_none() && resource.verbs.contains(&"watch");
    let schema = schema_name(schemas, &resource.group, &resource.version, &resource.kind);
    let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{root}{scope}/{plural}");
    let mut add = |path: String, verbs: &[(&str, &str, &str)], kind: &Value, schema: Option<&str>| {
        let mut operations = Map::new();
        for (verb, method, action) in verbs.iter().filter(|(_, _, action)| !action.is_empty()) {
            operations.insert((*method).to_owned(), operation(verb, action, kind, schema));
        }
        if !operations.is_empty() {
            operations.insert("parameters".to_owned(), path_parameters(&path));
            paths.insert(path, operations.into());
        }
    };
    let served = |list: &[(&'static str, &'static str, &'static str)], verbs: &[&str]| -> Vec<_> {
        list.iter().filter(|(verb, _, _)| verbs.contains(verb)).copied().collect()
    };
    const COLLECTION: &[(&str, &str, &str)] =
        &[("list", "get", "list"), ("create", "post", "post"), ("deletecollection", "delete", "deletecollection")];
    const OBJECT: &[(&str, &str, &str)] =
        &[("get", "get", "get"), ("update", "put", "put"), ("patch", "patch", "patch"), ("delete", "delete", "delete")];
    add(collection.clone(), &served(COLLECTION, resource.verbs), &kind, schema.as_deref());
    add(format!("{collection}/{{name}}"), &served(OBJECT, resource.verbs), &kind, schema.as_deref());
    for subresource in &resource.subresources {
        let (kind, schema) = of_subresource(resource, subresource, schemas);
        let mut verbs = served(OBJECT, subresource.verbs);
        verbs.extend(served(&[("create", "post", "post")], subresource.verbs));
        add(format!("{collection}/{{name}}/{}", subresource.name), &verbs, &kind, schema.as_deref());
    }
    if resource.namespaced && resource.verbs.contains(&"list") {
        add(format!("{root}/{plural}"), &[("list", "get", "list")], &kind, schema.as_deref());
        if watched {
            add(format!("{root}/watch/{plural}"), &[("watch", "get", "watchlist")], &kind, schema.as_deref());
        }
    }
    if watched {
        let list = format!("{root}/watch{scope}/{plural}");
        add(list.clone(), &[("watch", "get", "watchlist")], &kind, schema.as_deref());
        add(format!("{list}/{{name}}"), &[("watch", "get", "watch")], &kind, schema.as_deref());
    }
}

fn of_subresource(
    resource: &Resource,
    subresource: &Subresource,
    schemas: &Map<String, Value>,
) -> (Value, Option<String>) {
    let (group, version) = subresource.group_version.unwrap_or((&resource.group, &resource.version));
    let kind = json!({"group": group, "version": version, "kind": subresource.kind});
    (kind, schema_name(schemas, group, version, &subresource.kind))
}

fn operation(verb: &str, action: &str, kind: &Value, schema: Option<&str>) -> Value {
    let parameters: &[&str] = match verb {
        "create" | "update" => &["dryRun", "fieldManager", "fieldValidation", "pretty"],
        "patch" => &["dryRun", "fieldManager", "fieldValidation", "force", "pretty"],
        "delete" | "deletecollection" => &["dryRun", "gracePeriodSeconds", "propagationPolicy", "pretty"],
        "list" | "watch" => {
            &["allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "watch"]
        }
        _ => &["pretty"],
    };
    let parameter = |name: &&str| {
        let kind = match *name {
            "limit" | "gracePeriodSeconds" => "integer",
            "force" | "watch" | "allowWatchBookmarks" => "boolean",
            _ => "string",
        };
        json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
    };
    let list = if verb == "list" { "List" } else { "" };
    let content = match schema {
        Some(name) => json!({"application/json": {"schema": {"$ref": format!("{PREFIX}{name}{list}")}}}),
        None => json!({}),
    };
    let mut operation = json!({
        "parameters": parameters.iter().map(parameter).collect::<Vec<_>>(),
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
    });
    if let (Some(name), "create" | "update") = (schema, verb) {
        let body = json!({"schema": {"$ref": format!("{PREFIX}{name}")}});
        operation["requestBody"] = json!({"required": true, "content": {"*/*": body}});
    }
    operation
}

fn path_parameters(path: &str) -> Value {
    let names = ["namespace", "name"].into_iter().filter(|name| path.contains(&format!("{{{name}}}")));
    names.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})).collect()
}
