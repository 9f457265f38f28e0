//! Request bodies into objects of their kind, with the API server's answers to bodies that are none.

use serde_json::Value;

use super::{
    body::{ParseError, Parsed, parse_json, parse_yaml},
    convert::{Wording, convert, json_kind},
    protobuf,
    table::{Schema, kind_exists, of, of_kind, split, version_exists},
};
use crate::{resource::Resource, status::Status};

/// What `fieldValidation` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// Unknown and duplicate fields are refused.
    Strict,
    /// They are dropped and reported in Warning headers.
    Warn,
    /// They are dropped.
    Ignore,
}

/// How a request body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// application/json
    Json,
    /// application/yaml
    Yaml,
    /// application/vnd.kubernetes.protobuf
    Protobuf,
}

/// A request body that fits its kind.
#[derive(Debug)]
pub struct Decoded {
    /// The object, without unknown fields.
    pub object: Value,
    /// What to send in Warning headers.
    pub warnings: Vec<String>,
}

/// Reads a request body as an object of the resource's kind. A body without `apiVersion` and `kind` gets them.
///
/// # Errors
/// 400, worded as the API server words it.
pub fn decode(
    resource: &Resource,
    body: &[u8],
    format: Format,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    let schema = of(resource).unwrap_or_else(|| Schema::deduced());
    decode_as(schema, &resource.api_version(), &resource.kind, body, format, validation)
}

/// Reads a request body as an object of a kind, for kinds that are no resource of their own: `Scale`, `Eviction`.
///
/// # Errors
/// 400, worded as the API server words it.
pub fn decode_as(
    schema: &Schema,
    api_version: &str,
    kind: &str,
    body: &[u8],
    format: Format,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    let unrecognized = |error: &str| {
        let summary = summary(body);
        let text = format!("the object provided is unrecognized (must be of type {kind}): {error} ({summary})");
        Status::bad_request(text)
    };
    let no_kind = |ParseError(error)| unrecognized(&format!("couldn't get version/kind; json parse error: {error}"));
    let parsed = match format {
        Format::Json => parse_json(body).map_err(no_kind)?,
        Format::Yaml => parse_yaml(body).map_err(no_kind)?,
        Format::Protobuf => {
            let mut envelope = protobuf::open(body).map_err(|error| unrecognized(&error))?;
            if envelope.api_version.is_empty() && envelope.kind.is_empty() {
                (envelope.api_version, envelope.kind) = (api_version.to_owned(), kind.to_owned());
            }
            // Another kind is refused below for what it is.
            if !envelope.is_readable() && (envelope.api_version.as_str(), envelope.kind.as_str()) == (api_version, kind)
            {
                let text = "the body of the request was in an unknown format - accepted media types include: \
                            application/json, application/yaml";
                return Err(Status::new(415, "UnsupportedMediaType", text));
            }
            let value = envelope.object().map_err(|error| {
                let (version, given) = (split(&envelope.api_version).1, &envelope.kind);
                let text = format!("{given} in version \"{version}\" cannot be handled as a {kind}: {error}");
                Status::bad_request(text)
            })?;
            Parsed { value, duplicates: Vec::new() }
        }
    };
    let mut object = parsed.value;
    let given = |name: &str| match object.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(unrecognized(&format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go struct field .{name} of type string",
            json_kind(other)
        ))),
    };
    if !object.is_object() && !object.is_null() {
        // Go prints the anonymous struct that it reads the kind into.
        let error = format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            json_kind(&object)
        );
        return Err(unrecognized(&error));
    }
    let (mut given_version, mut given_kind) = (given("apiVersion")?, given("kind")?);
    if given_version.is_empty() {
        api_version.clone_into(&mut given_version);
    }
    if given_kind.is_empty() {
        kind.clone_into(&mut given_kind);
    }
    if object.is_null() {
        object = Value::Object(serde_json::Map::new());
    }
    let refused = |error: &str| {
        let version = split(&given_version).1;
        Status::bad_request(format!("{given_kind} in version \"{version}\" cannot be handled as a {kind}: {error}"))
    };
    let schema = another(schema, (api_version, kind), (&given_version, &given_kind)).map_err(|error| match error {
        Mismatch::Version => Status::bad_request(format!(
            "the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )),
        Mismatch::Unknown(error) => refused(&error),
    })?;
    let unknown = convert(schema, &mut object, Wording::Json).map_err(|error| refused(&error))?;
    let problems: Vec<String> = (parsed.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")))
        .chain(unknown.iter().map(|path| format!("unknown field \"{path}\"")))
        .take(100)
        .collect();
    if validation == FieldValidation::Strict && !problems.is_empty() {
        return Err(refused(&format!("strict decoding error: {}", problems.join(", "))));
    }
    if given_kind != kind || given_version != api_version {
        return Err(refused(&format!(
            "converting ({}) to ({}): unknown conversion",
            go_name(&given_version, &given_kind, false),
            go_name(api_version, kind, true)
        )));
    }
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    let warnings = if validation == FieldValidation::Warn { problems } else { Vec::new() };
    Ok(Decoded { object, warnings })
}

/// Reads the body of an apply, as it was written: nulls and empty maps stay.
///
/// # Errors
/// 400 for a body that is not YAML or not an object.
pub fn configuration(body: &[u8]) -> Result<Value, Status> {
    let refused = |error: &str| Status::bad_request(format!("error decoding YAML: {error}"));
    match parse_yaml(body).map_err(|ParseError(error)| refused(&error))?.value {
        Value::Null => Ok(Value::Object(serde_json::Map::new())),
        Value::Object(map) => Ok(Value::Object(map)),
        other => Err(refused(&format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            json_kind(&other)
        ))),
    }
}

enum Mismatch {
    Version,
    Unknown(String),
}

/// The schema by which the data is read, which is that of the kind that it says it is.
fn another<'a>(schema: &'a Schema, expected: (&str, &str), given: (&str, &str)) -> Result<&'a Schema, Mismatch> {
    if expected == given {
        return Ok(schema);
    }
    let (group, version) = split(given.0);
    if given.1 == expected.1 && group == split(expected.0).0 {
        return Err(Mismatch::Version);
    }
    if kind_exists(given.0, given.1) {
        return Ok(of_kind(given.0, given.1).unwrap_or(schema));
    }
    if version_exists(group, given.1) {
        return Err(Mismatch::Version);
    }
    let shown = if group.is_empty() { version } else { given.0 };
    Err(Mismatch::Unknown(format!(
        "no kind \"{}\" is registered for version \"{shown}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        given.1
    )))
}

/// `v1.Secret`, or with the internal package `core.Secret`.
fn go_name(api_version: &str, kind: &str, internal: bool) -> String {
    let (group, version) = split(api_version);
    let package = match group.split('.').next() {
        _ if !internal => version,
        None | Some("") => "core",
        Some(package) => package,
    };
    format!("{package}.{kind}")
}

/// The start of a body that can't be read, as text where it looks like JSON and as hex digits where it does not.
fn summary(body: &[u8]) -> String {
    let start = &body[..body.len().min(30)];
    let more = if body.len() > 30 { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => format!("{}{more}", hex::encode(start)),
    }
}
