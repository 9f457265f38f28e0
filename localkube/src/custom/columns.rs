//! The columns that a definition adds to tables.

use jsonpath_rust::JsonPath as _;
use serde_json::{Value, json};

/// A column of a table.
#[derive(Debug)]
pub(crate) struct Column {
    /// As `columnDefinitions` has it.
    pub(crate) head: Value,
    path: String,
    kind: String,
}

/// The columns after the name. A version that has none shows the age.
pub(super) fn of(version: &Value) -> Vec<Column> {
    let age = json!([{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
        "description": "CreationTimestamp is a timestamp representing the server time when this object was created. It is \
        not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It \
        is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: \
        https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"}]);
    let columns = version["additionalPrinterColumns"].as_array().filter(|columns| !columns.is_empty());
    columns.or(age.as_array()).into_iter().flatten().map(column).collect()
}

fn column(column: &Value) -> Column {
    let text = |name: &str| column[name].as_str().unwrap_or_default();
    let path = text("jsonPath");
    let description = match text("description") {
        "" => format!("Custom resource definition column (in JSONPath format): {path}"),
        description => description.to_owned(),
    };
    Column {
        head: json!({
            "name": text("name"),
            "type": text("type"),
            "format": text("format"),
            "description": description,
            "priority": column["priority"].as_i64().unwrap_or(0),
        }),
        path: rfc(path),
        kind: text("type").to_owned(),
    }
}

impl Column {
    /// The cell of an object. `age` shows a time as the time since.
    pub(crate) fn cell(&self, object: &Value, age: impl Fn(&Value) -> String) -> Value {
        let found = object.query(&self.path).unwrap_or_default();
        match (self.kind.as_str(), found.as_slice()) {
            (_, []) => Value::Null,
            ("date", [time, ..]) if time.is_string() => age(time).into(),
            ("integer", [value, ..]) => match value.as_i64() {
                Some(number) => number.into(),
                None => value.as_f64().map_or(Value::Null, |number| json!(number.trunc())),
            },
            ("number", [value, ..]) => value.as_f64().map_or(Value::Null, Value::from),
            ("boolean", [value @ Value::Bool(_), ..]) => (*value).clone(),
            ("string", values) => {
                let text = |value: &&Value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                values.iter().map(text).collect::<Vec<_>>().join(" ").into()
            }
            _ => Value::Null,
        }
    }
}

/// A path of kubectl's dialect in that of RFC 9535: there, names with dots are quoted instead of escaped.
fn rfc(path: &str) -> String {
    let mut query = "$".to_owned();
    let mut rest = path;
    while !rest.is_empty() {
        if rest.starts_with('[') {
            let end = rest.find(']').map_or(rest.len(), |end| end + 1);
            query.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let start = rest.strip_prefix('.').unwrap_or(rest);
        let mut escaped = false;
        let ends = |c: char| {
            let end = !escaped && (c == '.' || c == '[');
            escaped = !escaped && c == '\\';
            end
        };
        let end = start.find(ends).unwrap_or(start.len());
        match start[..end].replace('\\', "").as_str() {
            "" if start.starts_with('.') => query.push('.'),
            "" => {}
            "*" => query.push_str("[*]"),
            name => query.push_str(&format!("['{name}']")),
        }
        rest = &start[end..];
    }
    query
}
