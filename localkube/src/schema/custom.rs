//! The schema of a custom resource, from the OpenAPI schema of its definition: what server-side apply sees of it.

use std::borrow::Cow;

use serde_json::Value;

use super::table::{Field, Origin, Patch, Scalar, Schema, Struct, Topology, Type, of_kind};

/// The schema that a definition's version describes. `status`: whether the status has a subresource of its own.
pub(crate) fn of_definition(openapi: &Value, status: bool) -> Schema {
    // The metadata is that of every kind. Its structs refer to each other by index, so they come first.
    let (structs, metadata) = match of_kind("v1", "ConfigMap").and_then(|schema| schema.below("metadata")) {
        Some((structs, metadata)) => (structs.to_vec(), metadata),
        None => (Vec::new(), Type::Any),
    };
    let mut structs = Structs { all: structs, metadata };
    let root = structs.structure(openapi, true);
    Schema { structs: structs.all.into(), root, origin: Origin::Custom { status } }
}

struct Structs {
    all: Vec<Struct>,
    metadata: Type,
}

impl Structs {
    /// `whole`: an object with `apiVersion`, `kind` and `metadata`, as the root and embedded resources are.
    fn structure(&mut self, openapi: &Value, whole: bool) -> Type {
        let mut fields: Vec<Field> = Vec::new();
        for (name, of) in openapi["properties"].as_object().into_iter().flatten() {
            let own = whole && ["apiVersion", "kind", "metadata"].contains(&name.as_str());
            if !own {
                fields.push(self.field(name, of));
            }
        }
        if whole {
            fields.push(plain("apiVersion", Type::Scalar(Scalar::String)));
            fields.push(plain("kind", Type::Scalar(Scalar::String)));
            fields.push(plain("metadata", self.metadata.clone()));
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let open = openapi["x-kubernetes-preserve-unknown-fields"] == true;
        self.all.push(Struct { name: "", atomic: openapi["x-kubernetes-map-type"] == "atomic", open, fields });
        Type::Struct(self.all.len() - 1)
    }

    fn field(&mut self, name: &str, openapi: &Value) -> Field {
        let mut field = plain(name, self.of(openapi));
        field.default = Some(openapi["default"].clone()).filter(|default| !default.is_null());
        let keys = openapi["x-kubernetes-list-map-keys"].as_array();
        let keys = keys.into_iter().flatten().filter_map(Value::as_str).map(|key| Cow::Owned(key.to_owned()));
        field.topology = match openapi["x-kubernetes-list-type"].as_str() {
            Some("set") => Topology::Set,
            Some("map") => Topology::Keyed(keys.collect()),
            _ if openapi["x-kubernetes-map-type"] == "atomic" => Topology::Atomic,
            _ => Topology::Default,
        };
        field
    }

    fn of(&mut self, openapi: &Value) -> Type {
        if openapi["x-kubernetes-int-or-string"] == true {
            return Type::Scalar(Scalar::IntOrString);
        }
        let whole = openapi["x-kubernetes-embedded-resource"] == true;
        match openapi["type"].as_str() {
            Some("string") => Type::Scalar(Scalar::String),
            Some("boolean") => Type::Scalar(Scalar::Bool),
            Some("integer") => Type::Scalar(Scalar::Int64),
            Some("number") => Type::Scalar(Scalar::Double),
            Some("array") => Type::List(Box::new(self.of(&openapi["items"]))),
            Some("object") if whole || openapi["properties"].is_object() => self.structure(openapi, whole),
            Some("object") if openapi["additionalProperties"].is_object() => {
                Type::Map(Box::new(self.of(&openapi["additionalProperties"])))
            }
            Some("object") if openapi["x-kubernetes-preserve-unknown-fields"] != true => self.structure(openapi, false),
            _ => Type::Deduced,
        }
    }
}

fn plain(name: &str, of: Type) -> Field {
    Field {
        name: Cow::Owned(name.to_owned()),
        of,
        required: false,
        value: false,
        omitted: false,
        topology: Topology::Default,
        patch: Patch::default(),
        default: None,
        number: Vec::new(),
    }
}
