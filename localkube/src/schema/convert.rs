//! What a value becomes on its way through a Go struct: types checked, unknown fields and nulls dropped, canonical
//! forms written. The rules are those of sigs.k8s.io/json and of apimachinery's unstructured converter.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    quantity,
    table::{Node, Origin, Scalar, Schema, Type},
};

/// Which of the API server's two decoders words an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wording {
    /// The JSON decoder.
    Json,
    /// The converter of unstructured objects, through which strategic merge patches go.
    Unstructured,
}

/// Brings an object that the server made itself (by a merge) into the form that a decoded one has: nulls, empty
/// optional lists and maps, and unknown fields go, quantities and times become canonical.
///
/// # Errors
/// The API server's words for a value that does not fit its field.
pub fn canonical(schema: &Schema, object: &mut Value) -> Result<(), String> {
    convert(schema, object, Wording::Unstructured).map(|_| ())
}

/// Converts an object in place and returns the paths of the unknown fields that it dropped.
pub(crate) fn convert(schema: &Schema, object: &mut Value, wording: Wording) -> Result<Vec<String>, String> {
    if schema.origin() != Origin::BuiltIn {
        return Ok(Vec::new());
    }
    let mut walk = Walk { wording, unknown: Vec::new(), path: Vec::new(), fields: Vec::new(), owner: None };
    walk.value(schema.root(), object)?;
    Ok(walk.unknown)
}

struct Walk<'a> {
    wording: Wording,
    unknown: Vec<String>,
    /// The way to the value with keys and indices, as unknown fields are reported.
    path: Vec<String>,
    /// The way to the value by field names alone, as type errors are reported.
    fields: Vec<&'a str>,
    /// The struct that the last field belongs to.
    owner: Option<&'a str>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, node: Node<'a>, value: &mut Value) -> Result<(), String> {
        match node.of {
            Type::Scalar(scalar) => self.scalar(*scalar, node, value),
            Type::Struct(_) => self.structure(node, value),
            Type::Map(_) => self.map(node, value),
            Type::List(_) => self.list(node, value),
            Type::Object if !value.is_object() => Err(self.mismatch(node, value)),
            Type::Object | Type::Any | Type::Deduced => Ok(()),
        }
    }

    fn structure(&mut self, node: Node<'a>, value: &mut Value) -> Result<(), String> {
        let (Some(structure), Some(map)) = (node.structure(), value.as_object_mut()) else {
            return Err(self.mismatch(node, value));
        };
        let outer = self.owner;
        let names: Vec<String> = map.keys().cloned().collect();
        for name in names {
            let Some(child) = node.child(&name) else {
                map.remove(&name);
                self.unknown.push(self.path_to(&name));
                continue;
            };
            let (Some(field), Some(inner)) = (child.field, map.get_mut(&name)) else { continue };
            if inner.is_null() {
                map.remove(&name);
                continue;
            }
            self.owner = Some(structure.name);
            self.path.push(if self.path.is_empty() { name.clone() } else { format!(".{name}") });
            self.fields.push(&field.name);
            self.value(child, inner)?;
            self.path.pop();
            self.fields.pop();
            let empty = match inner {
                Value::Array(items) => items.is_empty(),
                Value::Object(inner) => inner.is_empty() && matches!(field.of, Type::Map(_)),
                Value::String(text) => text.is_empty() && field.omitted,
                Value::Bool(set) => !*set && field.omitted,
                Value::Number(number) => field.omitted && number.as_i64() == Some(0),
                Value::Null => true,
            };
            if empty && !field.required {
                map.remove(&name);
            }
        }
        self.owner = outer;
        for field in structure.fields.iter().filter(|field| field.value) {
            if map.contains_key(field.name.as_ref()) {
                continue;
            }
            let mut empty = Value::Object(Map::new());
            self.value(node.field(field), &mut empty)?;
            map.insert(field.name.to_string(), empty);
        }
        Ok(())
    }

    fn map(&mut self, node: Node<'a>, value: &mut Value) -> Result<(), String> {
        let Some(map) = value.as_object_mut() else { return Err(self.mismatch(node, value)) };
        for (key, inner) in map {
            let Some(child) = node.child(key) else { continue };
            if inner.is_null() {
                *inner = zero(child.of);
                continue;
            }
            self.path.push(if self.path.is_empty() { key.clone() } else { format!(".{key}") });
            self.value(child, inner)?;
            self.path.pop();
        }
        Ok(())
    }

    fn list(&mut self, node: Node<'a>, value: &mut Value) -> Result<(), String> {
        let Some(items) = value.as_array_mut() else { return Err(self.mismatch(node, value)) };
        for (index, inner) in items.iter_mut().enumerate() {
            if inner.is_null() {
                *inner = zero(node.item().of);
                continue;
            }
            self.path.push(format!("[{index}]"));
            self.value(node.item(), inner)?;
            self.path.pop();
        }
        Ok(())
    }

    fn scalar(&self, scalar: Scalar, node: Node<'a>, value: &mut Value) -> Result<(), String> {
        match (scalar, &*value) {
            (Scalar::String | Scalar::Duration | Scalar::IntOrString, Value::String(_))
            | (Scalar::Bool, Value::Bool(_))
            | (Scalar::Double, Value::Number(_)) => Ok(()),
            (Scalar::Int32 | Scalar::Int64 | Scalar::IntOrString, Value::Number(number)) => {
                let whole = number.as_i64().or_else(|| self.whole(number));
                let narrow = scalar != Scalar::Int64;
                let Some(whole) = whole.filter(|whole| !narrow || i32::try_from(*whole).is_ok()) else {
                    return Err(self.mismatch(node, value));
                };
                *value = whole.into();
                Ok(())
            }
            (Scalar::Quantity, Value::String(text)) => {
                *value = quantity::canonical(text.trim()).ok_or(quantity::MALFORMED)?.into();
                Ok(())
            }
            (Scalar::Quantity, Value::Number(number)) => {
                *value = quantity::canonical(&number.to_string()).ok_or(quantity::MALFORMED)?.into();
                Ok(())
            }
            (Scalar::Bytes, Value::String(text)) => match STANDARD.decode(text) {
                Ok(_) => Ok(()),
                Err(_) => Err(format!("illegal base64 data at input byte {}", first_illegal(text))),
            },
            (Scalar::Time | Scalar::MicroTime, Value::String(text)) => {
                let time: Timestamp = text.parse().map_err(|_| unparsable_time(scalar, text))?;
                let form = if scalar == Scalar::Time { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S.%6fZ" };
                *value = time.strftime(form).to_string().into();
                Ok(())
            }
            _ => Err(self.mismatch(node, value)),
        }
    }

    /// The converter of unstructured objects takes a whole float for an integer, the JSON decoder does not.
    fn whole(&self, number: &serde_json::Number) -> Option<i64> {
        let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15)?;
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the range")]
        let whole = float as i64;
        (self.wording == Wording::Unstructured).then_some(whole)
    }

    fn path_to(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path.concat()) }
    }

    fn mismatch(&self, node: Node<'_>, value: &Value) -> String {
        match self.wording {
            Wording::Json => self.json_mismatch(node, value),
            Wording::Unstructured => unstructured_mismatch(node, value),
        }
    }

    fn json_mismatch(&self, node: Node<'_>, value: &Value) -> String {
        let what = match value {
            Value::Number(number) if matches!(go_type(node).as_str(), "int32" | "int64") => format!("number {number}"),
            other => json_kind(other).to_owned(),
        };
        // These types decode themselves, apart from the struct that they are in.
        match node.of {
            Type::Scalar(Scalar::IntOrString) => {
                return format!("json: cannot unmarshal {what} into Go value of type int32");
            }
            Type::Scalar(Scalar::Time | Scalar::MicroTime | Scalar::Duration) => {
                return format!("json: cannot unmarshal {what} into Go value of type string");
            }
            Type::Scalar(Scalar::Quantity) => return quantity::MALFORMED.to_owned(),
            _ => {}
        }
        match self.owner {
            Some(owner) => {
                let owner = owner.rsplit('.').next().unwrap_or(owner);
                let path = self.fields.join(".");
                format!("json: cannot unmarshal {what} into Go struct field {owner}.{path} of type {}", go_type(node))
            }
            None => format!("json: cannot unmarshal {what} into Go value of type {}", go_type(node)),
        }
    }
}

fn unstructured_mismatch(node: Node<'_>, value: &Value) -> String {
    let kind = match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    };
    match node.of {
        Type::Struct(_) => format!("cannot restore struct from: {kind}"),
        Type::List(_) => format!("cannot restore slice from: {kind}"),
        Type::Map(_) | Type::Object => format!("cannot restore map from {kind}"),
        // Go converts these into each other, which JSON does not: that has words of its own.
        Type::Scalar(Scalar::String) if kind == "int64" => "cannot convert int64 to string".to_owned(),
        Type::Scalar(Scalar::Int32 | Scalar::Int64) if kind == "float64" => {
            format!("cannot convert float64 to {}", go_type(node))
        }
        _ => format!("unrecognized type: {}", go_type(node)),
    }
}

pub(crate) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn go_type(node: Node<'_>) -> String {
    match node.of {
        Type::Scalar(scalar) => match scalar {
            Scalar::String => "string",
            Scalar::Int32 => "int32",
            Scalar::Int64 => "int64",
            Scalar::Double => "float64",
            Scalar::Bool => "bool",
            Scalar::Quantity => "resource.Quantity",
            Scalar::IntOrString => "intstr.IntOrString",
            Scalar::Time => "v1.Time",
            Scalar::MicroTime => "v1.MicroTime",
            Scalar::Duration => "v1.Duration",
            Scalar::Bytes => "[]uint8",
        }
        .to_owned(),
        Type::Struct(_) => {
            let name = node.structure().map_or("", |structure| structure.name);
            // core.v1.PodSpec is v1.PodSpec to Go.
            name.split_once('.').map_or(name, |(_, name)| name).to_owned()
        }
        Type::List(_) => format!("[]{}", go_type(node.item())),
        Type::Map(of) if **of == Type::Scalar(Scalar::Quantity) => "v1.ResourceList".to_owned(),
        Type::Map(_) => format!("map[string]{}", node.child("").map_or_else(String::new, go_type)),
        Type::Object => "runtime.RawExtension".to_owned(),
        Type::Any | Type::Deduced => "interface {}".to_owned(),
    }
}

/// What Go's zero value of a type is written as, which is what a null among a map's or list's values becomes.
pub(crate) fn zero(of: &Type) -> Value {
    match of {
        Type::Scalar(Scalar::String | Scalar::Duration) => Value::String(String::new()),
        Type::Scalar(Scalar::Quantity) => Value::String("0".to_owned()),
        Type::Scalar(Scalar::Bool) => Value::Bool(false),
        Type::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::IntOrString | Scalar::Double) => 0.into(),
        Type::Struct(_) | Type::Object => Value::Object(Map::new()),
        _ => Value::Null,
    }
}

/// Where Go's base64 decoder stops: line ends are skipped, padding is checked at the end.
fn first_illegal(text: &str) -> usize {
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let bytes = text.as_bytes();
    let odd = bytes.iter().position(|byte| !alphabet(*byte) && *byte != b'\n' && *byte != b'\r');
    // All good but too short: the quantum that is not complete.
    odd.unwrap_or(bytes.len() - bytes.len() % 4)
}

fn unparsable_time(scalar: Scalar, text: &str) -> String {
    let layout = match scalar {
        Scalar::MicroTime => "2006-01-02T15:04:05.000000Z07:00",
        _ => "2006-01-02T15:04:05Z07:00",
    };
    format!("parsing time \"{text}\" as \"{layout}\": cannot parse \"{text}\" as \"2006\"")
}
