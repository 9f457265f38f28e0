//! `x-kubernetes-validations`: rules of definitions in the Common Expression Language.
//! <https://kubernetes.io/docs/reference/using-api/cel/>

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use cel::{Context, Env, ExecutionError, Program, extensions};
use serde_json::Value;

use super::{
    defaults::property,
    paths::{error, field, former},
};
use crate::status::{FieldError, FieldErrorKind};

/// The compiled rules and message expressions of a schema, by their text.
#[derive(Debug)]
pub(super) struct Rules(HashMap<String, Program>);

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::stdlib();
    for extension in [extensions::strings, extensions::lists, extensions::math] {
        // They name other functions than the standard ones, so that there is nothing to be in the way.
        let _ = environment.add_extension(extension);
    }
    Arc::new(environment)
});

/// Why an expression is none.
pub(super) fn refusal(expression: &str) -> Option<String> {
    ENVIRONMENT.compile(expression).err().map(|errors| errors.to_string())
}

impl Rules {
    pub(super) fn of(schema: &Value) -> Self {
        let mut rules = HashMap::new();
        collect(schema, &mut rules);
        Self(rules)
    }

    /// Every rule that an object breaks; `old` is what was there before.
    pub(super) fn check(&self, schema: &Value, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if !self.0.is_empty() {
            self.visit(schema, value, old, "", &mut errors);
        }
        errors
    }

    fn visit(&self, schema: &Value, value: &Value, old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
        if value.is_null() {
            return;
        }
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let transition = rule["rule"].as_str().is_some_and(|rule| self.is_transition(rule));
            let asked = match old {
                None => !transition || rule["optionalOldSelf"] == true,
                // What has not changed may stay, whatever a later schema says of it.
                Some(old) => transition || old != value,
            };
            if asked && let Some(broken) = self.broken(schema, rule, value, old, path) {
                errors.push(broken);
            }
        }
        match value {
            Value::Object(map) => {
                for (name, inner) in map {
                    if let Some(of) = property(schema, name) {
                        self.visit(of, inner, old.and_then(|old| old.get(name)), &field(path, name), errors);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let old = former(schema, old, item);
                    self.visit(&schema["items"], item, old, &format!("{path}[{index}]"), errors);
                }
            }
            _ => {}
        }
    }

    fn is_transition(&self, rule: &str) -> bool {
        self.0.get(rule).is_some_and(|program| program.references().has_variable("oldSelf"))
    }

    fn broken(
        &self,
        schema: &Value,
        rule: &Value,
        value: &Value,
        old: Option<&Value>,
        path: &str,
    ) -> Option<FieldError> {
        let text = rule["rule"].as_str()?;
        let program = self.0.get(text)?;
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        context.add_variable_from_value("self", cel_value(schema, value));
        if let Some(old) = old {
            context.add_variable_from_value("oldSelf", cel_value(schema, old));
        }
        let fixed = rule["message"].as_str().map(|message| message.trim().to_owned());
        let why = match program.execute(&context) {
            Ok(cel::Value::Bool(true)) => return None,
            Ok(_) => None,
            Err(failure) => {
                let rule = fixed.as_deref().unwrap_or(text);
                Some(format!("Invalid value: \"{}\": {} evaluating rule: {rule}", go_kind(value), words(&failure)))
            }
        };
        let at = rule["fieldPath"].as_str().map_or_else(|| path.to_owned(), |below| format!("{path}{below}"));
        if let Some(why) = why {
            return Some(error(&at, FieldErrorKind::Invalid, why));
        }
        let expressed = rule["messageExpression"].as_str().and_then(|text| self.0.get(text)).and_then(|program| {
            match program.execute(&context) {
                Ok(cel::Value::String(text)) if !text.trim().is_empty() && !text.contains('\n') => {
                    Some(text.to_string())
                }
                _ => None,
            }
        });
        let message = expressed.or(fixed).unwrap_or_else(|| format!("failed rule: {}", text.trim()));
        let (kind, prefix) = match rule["reason"].as_str() {
            Some("FieldValueForbidden") => (FieldErrorKind::Forbidden, "Forbidden"),
            Some("FieldValueRequired") => (FieldErrorKind::Required, "Required value"),
            Some("FieldValueDuplicate") => (FieldErrorKind::Duplicate, "Duplicate value"),
            _ => (FieldErrorKind::Invalid, "Invalid value"),
        };
        Some(error(at.trim_start_matches('.'), kind, format!("{prefix}: {message}")))
    }
}

fn collect(schema: &Value, rules: &mut HashMap<String, Program>) {
    match schema {
        Value::Object(map) => {
            for rule in map.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                for text in ["rule", "messageExpression"].into_iter().filter_map(|name| rule[name].as_str()) {
                    if let Ok(program) = ENVIRONMENT.compile(text) {
                        rules.insert(text.to_owned(), program);
                    }
                }
            }
            map.values().for_each(|inner| collect(inner, rules));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, rules)),
        _ => {}
    }
}

/// A value with the types that its schema says, and names that the language can spell.
fn cel_value(schema: &Value, value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(set) => cel::Value::Bool(*set),
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Number(number) => match number.as_i64().filter(|_| schema["type"] != "number") {
            Some(whole) => cel::Value::Int(whole),
            None => cel::Value::Float(number.as_f64().unwrap_or_default()),
        },
        Value::Array(items) => {
            cel::Value::List(Arc::new(items.iter().map(|item| cel_value(&schema["items"], item)).collect()))
        }
        Value::Object(map) => {
            let fields = map.iter().map(|(name, inner)| {
                let named = schema["properties"].get(name).is_some();
                let of = property(schema, name).unwrap_or(&Value::Null);
                (if named { escaped(name) } else { name.clone() }, cel_value(of, inner))
            });
            let fields: HashMap<String, cel::Value> = fields.collect();
            cel::Value::Map(fields.into())
        }
    }
}

/// How a rule spells a property whose name is no identifier of the language.
fn escaped(name: &str) -> String {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    let name = name.replace("__", "__underscores__");
    name.replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}

fn words(failure: &ExecutionError) -> String {
    match failure {
        ExecutionError::NoSuchKey(name) => format!("no such key: {name}"),
        other => other.to_string(),
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
