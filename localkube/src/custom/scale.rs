//! Where a custom resource keeps what its scale subresource shows.

use serde_json::Value;

use super::paths::error;
use crate::status::{FieldError, FieldErrorKind};

/// JSON paths without arrays, for example `.spec.replicas`.
#[derive(Debug)]
pub(crate) struct Paths {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

impl Paths {
    pub(super) fn of(scale: &Value) -> Option<Self> {
        let text = |name: &str| scale[name].as_str().map(str::to_owned);
        Some(Self {
            spec: text("specReplicasPath")?,
            status: text("statusReplicasPath")?,
            selector: text("labelSelectorPath"),
        })
    }

    /// What is wrong with the numbers of an object; `status`: whether its status is looked at, too.
    pub(super) fn errors(&self, object: &Value, only_status: bool) -> Vec<FieldError> {
        let numbers = if only_status { vec![&self.status] } else { vec![&self.spec, &self.status] };
        let mut errors: Vec<FieldError> = numbers.into_iter().filter_map(|path| number(object, path)).collect();
        if let Some(path) = &self.selector
            && let Some(value) = at(object, path)
            && !value.is_string()
        {
            let why =
                format!("{path} accessor error: {} is of the type {}, expected string", plain(value), go_type(value));
            errors.push(error(path, FieldErrorKind::Invalid, format!("Invalid value: \"\": {why}")));
        }
        errors
    }
}

fn number(object: &Value, path: &str) -> Option<FieldError> {
    let value = at(object, path)?;
    let invalid =
        |shown: i64, why: &str| Some(error(path, FieldErrorKind::Invalid, format!("Invalid value: {shown}: {why}")));
    match value.as_i64() {
        None => invalid(
            0,
            &format!("{path} accessor error: {} is of the type {}, expected int64", plain(value), go_type(value)),
        ),
        Some(number) if number < 0 => invalid(number, "should be a non-negative integer"),
        Some(number) if number > i64::from(i32::MAX) => {
            invalid(number, &format!("should be less than or equal to {}", i32::MAX))
        }
        Some(_) => None,
    }
}

/// The value at a path.
pub(crate) fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(object, |value, part| value.get(part))
}

/// The place of a value, made if there is none.
pub(crate) fn place<'a>(object: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').filter(|part| !part.is_empty()).fold(object, |value, part| {
        if !value.is_object() {
            *value = Value::Object(serde_json::Map::new());
        }
        &mut value[part]
    })
}

fn plain(value: &Value) -> String {
    crate::patch::go_format(value)
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
