//! The schemas of custom kinds, as their definitions have them, between those that Kubernetes publishes.

use serde_json::{Map, Value, json};

use super::PREFIX;
use crate::resource::Resource;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should \
                           convert recognized schemas to the latest internal value, and may reject unrecognized values. \
                           More info: \
                           https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this \
                    from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: \
                    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const METADATA: &str = "Standard object's metadata. More info: \
                        https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// Adds a custom kind and its list.
pub(super) fn add(schemas: &mut Map<String, Value>, resource: &Resource) {
    let Some(custom) = &resource.custom else { return };
    let name = name(resource);
    let mut schema = custom.openapi.clone();
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let metadata =
        |of: &str, words: &str| json!({"allOf": [{"$ref": format!("{PREFIX}{META}{of}")}], "description": words});
    schema["properties"]["apiVersion"] = json!({"type": "string", "description": API_VERSION});
    schema["properties"]["kind"] = json!({"type": "string", "description": KIND});
    schema["properties"]["metadata"] = metadata("ObjectMeta", METADATA);
    let kind = |kind: &str| json!([{"group": resource.group, "version": resource.version, "kind": kind}]);
    schema["x-kubernetes-group-version-kind"] = kind(&resource.kind);
    let list = json!({
        "description": format!("{} is a list of {}", custom.list_kind, resource.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION},
            "kind": {"type": "string", "description": KIND},
            "metadata": metadata("ListMeta", "Standard list metadata."),
            "items": {
                "type": "array",
                "items": {"$ref": format!("{PREFIX}{name}")},
                "description": format!("List of {}. More info: \
                    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md", resource.plural),
            },
        },
        "x-kubernetes-group-version-kind": kind(&custom.list_kind),
    });
    schemas.insert(format!("{name}List"), list);
    schemas.insert(name, schema);
}

/// The group's domain from behind, the version and the kind.
fn name(resource: &Resource) -> String {
    let domain: Vec<&str> = resource.group.split('.').rev().collect();
    format!("{}.{}.{}", domain.join("."), resource.version, resource.kind)
}
