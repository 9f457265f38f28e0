//! Request bodies in protobuf, as Kubernetes' own clients send the built-in kinds: an envelope that says what the
//! object is (`runtime.Unknown`), and the proto2 message of the kind. Both become the JSON that the client would have
//! sent instead, by the field numbers in the table of built-in kinds. Encoding:
//! <https://protobuf.dev/programming-guides/encoding>; envelope:
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding-idl>.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    convert::zero,
    table::{Field, Node, Scalar, Type, of_kind},
};
use crate::status::Status;

const MAGIC: &[u8] = b"k8s\0";

/// What a body is in.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) api_version: String,
    pub(super) kind: String,
    message: &'a [u8],
}

/// Opens a body's envelope.
///
/// # Errors
/// What is wrong with it, in the words of apimachinery's serializer.
pub(super) fn open(body: &[u8]) -> Result<Envelope<'_>, String> {
    if body.is_empty() {
        return Err("empty data".to_owned());
    }
    let Some(body) = body.strip_prefix(MAGIC) else {
        let text = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
        return Err(text.to_owned());
    };
    if body.is_empty() {
        return Err("empty body".to_owned());
    }
    let mut envelope = Envelope { api_version: String::new(), kind: String::new(), message: &[] };
    for part in Parts(body) {
        match part? {
            (1, Wire::Bytes(type_meta)) => {
                for part in Parts(type_meta) {
                    match part? {
                        (1, Wire::Bytes(text)) => envelope.api_version = string(text).into_owned(),
                        (2, Wire::Bytes(text)) => envelope.kind = string(text).into_owned(),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(message)) => envelope.message = message,
            // How the message is encoded and what it is in have one answer each.
            _ => {}
        }
    }
    Ok(envelope)
}

impl Envelope<'_> {
    /// The message as an object of its kind; only `apiVersion` and `kind` where that is not known.
    ///
    /// # Errors
    /// What is wrong with the message, as Go's decoders word it.
    pub(super) fn object(&self) -> Result<Value, String> {
        let mut object = Map::new();
        if let Some(schema) = of_kind(&self.api_version, &self.kind) {
            message(schema.root(), &[], self.message, &mut object)?;
        }
        object.insert("apiVersion".to_owned(), self.api_version.as_str().into());
        object.insert("kind".to_owned(), self.kind.as_str().into());
        Ok(Value::Object(object))
    }

    /// Whether the fields of its kind have numbers. Those of custom resources have none, and those of
    /// CustomResourceDefinition none here.
    pub(super) fn is_readable(&self) -> bool {
        of_kind(&self.api_version, &self.kind)
            .and_then(|schema| schema.root().structure())
            .is_some_and(|structure| structure.fields.iter().any(|field| !field.number.is_empty()))
    }
}

/// Reads the body of an action on an object (`Eviction`, `DeleteOptions`), whose fields are not checked.
///
/// # Errors
/// 400.
pub fn action(body: &[u8], api_version: &str, kind: &str) -> Result<Value, Status> {
    let envelope = open(body).map_err(Status::bad_request)?;
    // DeleteOptions are of every group; what else is sent is said by its kind.
    let known = if envelope.kind == kind { api_version } else { &envelope.api_version };
    let mut object = Envelope { api_version: known.to_owned(), ..envelope }.object().map_err(Status::bad_request)?;
    object["apiVersion"] = known.into();
    Ok(object)
}

/// A field's value as it is on the wire.
enum Wire<'a> {
    /// A varint, or eight or four bytes.
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers.
struct Parts<'a>(&'a [u8]);

const CUT_OFF: &str = "unexpected EOF";

impl<'a> Parts<'a> {
    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let length = usize::try_from(length).ok().filter(|length| *length <= self.0.len()).ok_or(CUT_OFF)?;
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(CUT_OFF)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("proto: integer overflow".to_owned())
    }

    fn fixed(&mut self, length: u64) -> Result<u64, String> {
        Ok(self.take(length)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn part(&mut self) -> Result<(u64, Wire<'a>), String> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Number(self.fixed(8)?),
            2 => {
                let length = self.varint()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Number(self.fixed(4)?),
            // No message of Kubernetes has groups (3 and 4).
            other => return Err(format!("proto: illegal wireType {other}")),
        };
        match tag >> 3 {
            0 => Err(format!("proto: illegal tag 0 (wire type {tag})")),
            number => Ok((number, wire)),
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<(u64, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let part = self.part();
        if part.is_err() {
            self.0 = &[];
        }
        Some(part)
    }
}

/// Reads a struct's message into an object. A message inside it that is an embedded struct of Go's, at `path`, has
/// the object's own fields. Fields that are not known are skipped.
fn message(node: Node<'_>, path: &[u64], bytes: &[u8], object: &mut Map<String, Value>) -> Result<(), String> {
    let Some(structure) = node.structure() else { return Ok(()) };
    for part in Parts(bytes) {
        let (number, wire) = part?;
        let at = [path, &[number]].concat();
        if let Some(field) = structure.fields.iter().find(|field| field.number == at) {
            let slot = object.entry(field.name.as_ref()).or_insert(Value::Null);
            add(node.field(field), wire, slot).map_err(|error| named(error, field))?;
        } else if let (true, Wire::Bytes(inner)) = (is_embedded(&structure.fields, &at), wire) {
            message(node, &at, inner, object)?;
        }
    }
    Ok(())
}

fn is_embedded(fields: &[Field], path: &[u64]) -> bool {
    fields.iter().any(|field| field.number.starts_with(path))
}

/// Go names the field that has another wire type than it should.
fn named(error: String, field: &Field) -> String {
    match error.strip_suffix(" for field") {
        Some(_) => {
            let mut letters = field.name.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            format!("{error} {}", first.into_iter().chain(letters).collect::<String>())
        }
        None => error,
    }
}

/// Adds what is on the wire to what a field has: lists, maps and messages may come in parts.
fn add(node: Node<'_>, wire: Wire<'_>, slot: &mut Value) -> Result<(), String> {
    match (node.of, wire) {
        (Type::List(of), Wire::Bytes(packed)) if is_number(of) => {
            let mut parts = Parts(packed);
            while !parts.0.is_empty() {
                let number = parts.varint()?;
                push(slot, value(node.item(), Wire::Number(number))?);
            }
        }
        (Type::List(_), wire) => push(slot, value(node.item(), wire)?),
        (Type::Map(of), Wire::Bytes(entry)) => {
            let (mut key, mut inner) = (Cow::Borrowed(""), zero(of));
            for part in Parts(entry) {
                match part? {
                    (1, Wire::Bytes(text)) => key = string(text),
                    (2, wire) => inner = value(node.child("").unwrap_or(node), wire)?,
                    _ => {}
                }
            }
            let map = fill(slot, || Value::Object(Map::new())).as_object_mut();
            map.map(|map| map.insert(key.into_owned(), inner));
        }
        (Type::Struct(_), Wire::Bytes(bytes)) => {
            if let Some(object) = fill(slot, || Value::Object(Map::new())).as_object_mut() {
                message(node, &[], bytes, object)?;
            }
        }
        (_, wire) => *slot = value(node, wire)?,
    }
    Ok(())
}

fn fill(slot: &mut Value, empty: impl FnOnce() -> Value) -> &mut Value {
    if slot.is_null() {
        *slot = empty();
    }
    slot
}

fn push(slot: &mut Value, item: Value) {
    if let Some(items) = fill(slot, || Value::Array(Vec::new())).as_array_mut() {
        items.push(item);
    }
}

fn is_number(of: &Type) -> bool {
    matches!(of, Type::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Bool))
}

fn value(node: Node<'_>, wire: Wire<'_>) -> Result<Value, String> {
    Ok(match (node.of, wire) {
        (Type::Scalar(scalar), Wire::Number(number)) => number_value(*scalar, number)?,
        (Type::Scalar(scalar), Wire::Bytes(bytes)) => bytes_value(*scalar, bytes)?,
        (Type::Struct(_), Wire::Bytes(bytes)) => {
            let mut object = Map::new();
            message(node, &[], bytes, &mut object)?;
            Value::Object(object)
        }
        // A list among a map's values is a message with the list in it.
        (Type::List(_), Wire::Bytes(bytes)) => {
            let mut list = Value::Array(Vec::new());
            for part in Parts(bytes) {
                if let (1, wire) = part? {
                    add(node, wire, &mut list)?;
                }
            }
            list
        }
        // FieldsV1 and RawExtension: a message with JSON in it.
        (_, Wire::Bytes(bytes)) => {
            let mut raw = &b""[..];
            for part in Parts(bytes) {
                if let (1, Wire::Bytes(json)) = part? {
                    raw = json;
                }
            }
            if raw.is_empty() { Value::Null } else { serde_json::from_slice(raw).map_err(|error| error.to_string())? }
        }
        (_, Wire::Number(_)) => return Err(wrong_type(0)),
    })
}

fn wrong_type(wire: u8) -> String {
    format!("proto: wrong wireType = {wire} for field")
}

#[expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "varints are two's complement")]
fn number_value(scalar: Scalar, number: u64) -> Result<Value, String> {
    Ok(match scalar {
        Scalar::Int32 => (number as i32).into(),
        Scalar::Int64 => (number as i64).into(),
        Scalar::Bool => (number != 0).into(),
        Scalar::Double => f64::from_bits(number).into(),
        _ => return Err(wrong_type(0)),
    })
}

fn bytes_value(scalar: Scalar, bytes: &[u8]) -> Result<Value, String> {
    Ok(match scalar {
        Scalar::String => string(bytes).into(),
        Scalar::Bytes => STANDARD.encode(bytes).into(),
        Scalar::Quantity => {
            let text = Members::of(bytes)?.first;
            if text.is_empty() { "0".into() } else { string(text).into() }
        }
        Scalar::IntOrString => {
            let members = Members::of(bytes)?;
            if members.numbers[0] == 1 {
                string(members.third).into()
            } else {
                number_value(Scalar::Int32, members.numbers[1])?
            }
        }
        // Go's zero time is written as nothing, and no field has it in JSON.
        Scalar::Time | Scalar::MicroTime if bytes.is_empty() => Value::Null,
        Scalar::Time | Scalar::MicroTime => time(Members::of(bytes)?.numbers)?.to_string().into(),
        _ => return Err(wrong_type(2)),
    })
}

#[expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "varints are two's complement")]
fn time([seconds, nanoseconds]: [u64; 2]) -> Result<Timestamp, String> {
    Timestamp::new(seconds as i64, nanoseconds as i32).map_err(|error| error.to_string())
}

/// The fields of the small messages that are one value in JSON.
#[derive(Default)]
struct Members<'a> {
    numbers: [u64; 2],
    first: &'a [u8],
    third: &'a [u8],
}

impl<'a> Members<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, String> {
        let mut members = Self::default();
        for part in Parts(bytes) {
            match part? {
                (1, Wire::Number(number)) => members.numbers[0] = number,
                (2, Wire::Number(number)) => members.numbers[1] = number,
                (1, Wire::Bytes(text)) => members.first = text,
                (3, Wire::Bytes(text)) => members.third = text,
                _ => {}
            }
        }
        Ok(members)
    }
}

fn string(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
