//! Label and field selectors, with the API server's words for bad ones.

use serde_json::Value;

use super::request::Call;
use crate::{resource::Resource, status::Status, store::Stored};

/// What a list or a watch is restricted to.
#[derive(Debug, Default, Clone)]
pub(super) struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    Absent,
    Greater,
    Less,
}

#[derive(Debug, Clone)]
struct Field {
    path: String,
    value: String,
    equal: bool,
}

impl Selection {
    /// Reads both selectors of a request; a name in the path of a watch is one more.
    pub(super) fn of(call: &Call) -> Result<Self, Status> {
        let labels = parse_labels(call.query.get("labelSelector").unwrap_or_default())
            .map_err(|why| Status::bad_request(format!("unable to parse requirement: {why}")))?;
        let mut fields = parse_fields(call.query.get("fieldSelector").unwrap_or_default(), &call.resource)?;
        if let Some(name) = &call.name {
            fields.push(Field { path: "metadata.name".to_owned(), value: name.clone(), equal: true });
        }
        Ok(Self { labels, fields })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn matches(&self, object: &Stored) -> bool {
        self.labels.iter().all(|requirement| requirement.matches(&object.labels)) && self.fields_match(object)
    }

    fn fields_match(&self, object: &Stored) -> bool {
        // Parsing the object is what costs; name and namespace do not need it.
        let mut parsed: Option<Value> = None;
        self.fields.iter().all(|field| {
            let equal = match field.path.as_str() {
                "metadata.name" => object.key.name == field.value,
                "metadata.namespace" => object.key.namespace == field.value,
                path => text_at(parsed.get_or_insert_with(|| object.value()), path) == field.value,
            };
            equal == field.equal
        })
    }
}

impl Requirement {
    fn matches(&self, labels: &[(String, String)]) -> bool {
        let value = labels.iter().find(|(key, _)| *key == self.key).map(|(_, value)| value);
        let number = |text: &String| text.parse::<i64>().ok();
        let compare = |holds: fn(i64, i64) -> bool| match (value.and_then(number), self.values.first().and_then(number))
        {
            (Some(value), Some(bound)) => holds(value, bound),
            _ => false,
        };
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::Absent => value.is_none(),
            Operator::Greater => compare(|value, bound| value > bound),
            Operator::Less => compare(|value, bound| value < bound),
        }
    }
}

/// Whether labels match a `metav1.LabelSelector`.
pub(crate) fn matches_selector(selector: &Value, labels: &[(String, String)]) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten().map(|(key, value)| Requirement {
        key: key.clone(),
        operator: Operator::In,
        values: value.as_str().map(str::to_owned).into_iter().collect(),
    });
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten().map(|expression| Requirement {
        key: expression["key"].as_str().unwrap_or_default().to_owned(),
        operator: match expression["operator"].as_str() {
            Some("NotIn") => Operator::NotIn,
            Some("Exists") => Operator::Exists,
            Some("DoesNotExist") => Operator::Absent,
            _ => Operator::In,
        },
        values: expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    });
    equal.chain(expressions).all(|requirement| requirement.matches(labels))
}

/// The value that a field selector compares: the field's text, empty where there is none.
fn text_at(object: &Value, path: &str) -> String {
    let path = match path {
        "reportingComponent" if object["reportingComponent"].is_null() => "source.component",
        // core Events call it source, whatever of the two carries it.
        "source" if !object["source"]["component"].is_null() => "source.component",
        "source" => "reportingComponent",
        path => path,
    };
    let found = path.split('.').try_fold(object, |value, part| value.get(part));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None if path == "spec.unschedulable" || path == "spec.hostNetwork" => "false".to_owned(),
        Some(Value::Null) | None if path == "status.replicas" => "0".to_owned(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// The fields of a kind that can be selected by, besides name and namespace.
fn selectable(resource: &Resource) -> Option<&'static [&'static str]> {
    Some(match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("events.k8s.io", "events") => &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase"],
        ("", "secrets") => &["type"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        ("certificates.k8s.io", "certificatesigningrequests") => &["spec.signerName"],
        _ => return None,
    })
}

fn parse_fields(text: &str, resource: &Resource) -> Result<Vec<Field>, Status> {
    let mut fields = Vec::new();
    for term in text.split(',').filter(|term| !term.is_empty()) {
        let (path, value, equal) = if let Some((path, value)) = term.split_once("!=") {
            (path, value, false)
        } else if let Some((path, value)) = term.split_once("==") {
            (path, value, true)
        } else if let Some((path, value)) = term.split_once('=') {
            (path, value, true)
        } else {
            return Err(Status::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'")));
        };
        let known = matches!(path, "metadata.name" | "metadata.namespace");
        let path = match selectable(resource) {
            _ if known => path.to_owned(),
            Some(selectable) if selectable.contains(&path) => stored_path(resource, path),
            None if resource.custom.as_ref().is_some_and(|custom| custom.selectable.contains(&format!(".{path}"))) => {
                path.to_owned()
            }
            None if resource.custom.is_some() => {
                return Err(Status::bad_request(format!("field label not supported: {path}")));
            }
            Some(_) => return Err(Status::bad_request(format!("field label not supported: {path}"))),
            None => {
                let message =
                    format!("{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
                return Err(Status::bad_request(message));
            }
        };
        fields.push(Field { path, value: value.to_owned(), equal });
    }
    Ok(fields)
}

fn stored_path(resource: &Resource, path: &str) -> String {
    match (resource.group.as_str(), path) {
        ("events.k8s.io", "reportingController") => "reportingComponent".to_owned(),
        ("events.k8s.io", path) => path.replacen("regarding.", "involvedObject.", 1),
        (_, "status.successful") => "status.succeeded".to_owned(),
        _ => path.to_owned(),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Symbol(&'static str),
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Symbol(symbol) => symbol,
            Self::End => "",
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            tokens.push(Token::Symbol(symbol));
            rest = rest[symbol.len()..].trim_start();
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "=!(),><".contains(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = rest[end..].trim_start();
        }
    }
    tokens.push(Token::End);
    tokens
}

/// `k8s.io/apimachinery/pkg/labels`: the grammar of label selectors.
fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    let tokens = tokens(text);
    let mut position = 0;
    let mut requirements = Vec::new();
    if tokens[0] == Token::End {
        return Ok(requirements);
    }
    loop {
        requirements.push(requirement(&tokens, &mut position)?);
        match next(&tokens, &mut position) {
            Token::End => return Ok(requirements),
            Token::Symbol(",") => match &tokens[position] {
                Token::Word(_) | Token::Symbol("!") => {}
                other => return Err(format!("found '{}', expected: identifier after ','", other.text())),
            },
            other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
        }
    }
}

fn next(tokens: &[Token], position: &mut usize) -> Token {
    let token = tokens.get(*position).cloned().unwrap_or(Token::End);
    *position += 1;
    token
}

fn requirement(tokens: &[Token], position: &mut usize) -> Result<Requirement, String> {
    let mut absent = false;
    let mut token = next(tokens, position);
    if token == Token::Symbol("!") {
        absent = true;
        token = next(tokens, position);
    }
    let Token::Word(key) = token else {
        return Err(format!("found '{}', expected: identifier", token.text()));
    };
    if absent {
        return Ok(Requirement { key, operator: Operator::Absent, values: Vec::new() });
    }
    let operator = match tokens.get(*position).cloned().unwrap_or(Token::End) {
        Token::End | Token::Symbol(",") => {
            return Ok(Requirement { key, operator: Operator::Exists, values: Vec::new() });
        }
        Token::Symbol("=" | "==") => Operator::In,
        Token::Symbol("!=") => Operator::NotIn,
        Token::Symbol(">") => Operator::Greater,
        Token::Symbol("<") => Operator::Less,
        Token::Word(word) if word == "in" || word == "notin" => {
            *position += 1;
            let operator = if word == "in" { Operator::In } else { Operator::NotIn };
            let values = set(tokens, position)?;
            return checked(Requirement { key, operator, values });
        }
        other => return Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", other.text())),
    };
    *position += 1;
    let value = match tokens.get(*position).cloned().unwrap_or(Token::End) {
        Token::End | Token::Symbol(",") => String::new(),
        Token::Word(word) => {
            *position += 1;
            word
        }
        other => return Err(format!("found '{}', expected: identifier", other.text())),
    };
    checked(Requirement { key, operator, values: vec![value] })
}

fn set(tokens: &[Token], position: &mut usize) -> Result<Vec<String>, String> {
    match next(tokens, position) {
        Token::Symbol("(") => {}
        other => return Err(format!("found '{}' expected: '('", other.text())),
    }
    let mut values = Vec::new();
    loop {
        match next(tokens, position) {
            Token::Word(word) => values.push(word),
            Token::Symbol(")") => return Ok(values),
            Token::Symbol(",") => {}
            other => return Err(format!("found '{}', expected: ',', ')' or identifier", other.text())),
        }
    }
}

fn checked(requirement: Requirement) -> Result<Requirement, String> {
    let Requirement { key, operator, values } = &requirement;
    if matches!(operator, Operator::Greater | Operator::Less) {
        if let Some(value) = values.iter().find(|value| value.parse::<i64>().is_err()) {
            return Err(format!(
                "values[0][{key}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            ));
        }
        return Ok(requirement);
    }
    for (index, value) in values.iter().enumerate() {
        if !label_value(value) {
            return Err(format!(
                "values[{index}][{key}]: Invalid value: {value:?}: a valid label must be an empty string or consist of \
                 alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
                 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
                 '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ));
        }
    }
    Ok(requirement)
}

fn label_value(value: &str) -> bool {
    let edge = |character: Option<char>| character.is_none_or(|character| character.is_ascii_alphanumeric());
    value.len() <= 63
        && value.chars().all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character))
        && edge(value.chars().next())
        && edge(value.chars().next_back())
}
