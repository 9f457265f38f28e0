//! What is served: `/api`, `/apis` in the old and the aggregated form, `/version`, health.

use axum::response::Response;
use base64::Engine as _;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Server, aggregated,
    negotiate::{self, Encoding, accept},
    openapi, respond,
};
use crate::{
    resource::{GROUP_ORDER, Resource},
    status::Status,
};

/// The Kubernetes version whose behaviour this is.
pub(super) const VERSION: &str = "v1.36.2";

/// Answers paths that are not about objects; none for those that are.
pub(super) fn serve(server: &Server, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let body = match parts.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => return Some(respond::text(200, "ok")),
        ["version"] => version(),
        ["api"] => match negotiate::aggregated(headers) {
            Some(version) => return Some(aggregated::serve(server, true, version)),
            None => json!({
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
            }),
        },
        ["apis"] => match negotiate::aggregated(headers) {
            Some(version) => return Some(aggregated::serve(server, false, version)),
            None => {
                let groups: Vec<Value> = groups(server).iter().map(|name| group(server, name)).collect();
                json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
            }
        },
        ["openapi", rest @ ..] => {
            return Some(openapi::serve(server, rest, headers).unwrap_or_else(respond::no_path));
        }
        [""] => json!({"paths": paths(server)}),
        ["apis", name] => {
            if !groups(server).iter().any(|group| group == name) {
                return Some(respond::no_path());
            }
            let mut body = group(server, name);
            body["kind"] = "APIGroup".into();
            body["apiVersion"] = "v1".into();
            body
        }
        ["api", version] => return Some(resource_list(server, "", version)),
        ["apis", group, version] => {
            if !groups(server).iter().any(|known| known == group) {
                return Some(respond::no_path());
            }
            return Some(resource_list(server, group, version));
        }
        _ => return None,
    };
    if *method != Method::GET && *method != Method::HEAD {
        return Some(respond::failure(&Status::method_not_allowed()));
    }
    let encoding = accept(headers, false).map_or(Encoding::Json, |representation| representation.encoding);
    Some(respond::encoded(200, encoding, &body))
}

/// Every path that is not about objects.
fn paths(server: &Server) -> Vec<String> {
    let fixed = [
        ".well-known/openid-configuration",
        "api",
        "api/v1",
        "apis",
        "healthz",
        "livez",
        "openapi/v2",
        "openapi/v3",
        "readyz",
        "version",
    ];
    let mut paths: Vec<String> = fixed.iter().map(|path| format!("/{path}")).collect();
    for group in groups(server) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions(server, &group).iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.sort();
    paths
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// The groups but core, those of the table first in their order.
pub(super) fn groups(server: &Server) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for resource in server.resources().iter() {
        if !resource.group.is_empty() && !names.contains(&resource.group) {
            names.push(resource.group.clone());
        }
    }
    let place = |name: &String| GROUP_ORDER.iter().position(|known| known == name).unwrap_or(GROUP_ORDER.len());
    // Groups of custom kinds come in the order of the alphabet.
    let custom = |name: &String| if place(name) == GROUP_ORDER.len() { name.clone() } else { String::new() };
    names.sort_by_key(|name| (place(name), custom(name)));
    names
}

/// The versions of a group, the preferred one first.
pub(super) fn versions(server: &Server, group: &str) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for resource in server.resources().iter().filter(|resource| resource.group == group) {
        if !versions.contains(&resource.version) {
            versions.push(resource.version.clone());
        }
    }
    versions
}

fn group(server: &Server, name: &str) -> Value {
    let version = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let versions: Vec<Value> = versions(server, name).iter().map(version).collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

fn resource_list(server: &Server, group: &str, version: &str) -> Response {
    let resources = server.resources();
    let served = |resource: &&std::sync::Arc<Resource>| resource.group == group && resource.version == version;
    let entries: Vec<Value> = resources.iter().filter(served).flat_map(|resource| entries(resource)).collect();
    if entries.is_empty() {
        let message = "the server could not find the requested resource";
        return respond::failure(&Status::new(404, "NotFound", message).with_details(json!({})));
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut body = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": entries});
    if !group.is_empty() {
        body["apiVersion"] = "v1".into();
    }
    respond::json(200, body.to_string())
}

/// A resource and its subresources as `APIResource`s.
fn entries(resource: &Resource) -> Vec<Value> {
    let mut entry = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    if resource.stored() && resource.kind != "ComponentStatus" {
        entry["storageVersionHash"] = storage_version_hash(&resource.storage_version).into();
    }
    let mut entries = vec![entry];
    for subresource in &resource.subresources {
        let mut entry = json!({
            "name": format!("{}/{}", resource.plural, subresource.name),
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": subresource.kind,
            "verbs": subresource.verbs,
        });
        if let Some((group, version)) = subresource.group_version {
            entry["group"] = group.into();
            entry["version"] = version.into();
        }
        entries.push(entry);
    }
    entries
}

/// As `k8s.io/apiserver/pkg/endpoints/discovery` makes it.
fn storage_version_hash(storage_version: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(&Sha256::digest(storage_version.as_bytes())[..8])
}
