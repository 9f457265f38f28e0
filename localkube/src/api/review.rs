//! Questions that are answered and not stored: who am I, may I, whose token is this.

use std::collections::BTreeMap;

use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{User, authorize, meta, negotiate::body_format, options, request::Call, respond, token};
use crate::{
    access::{
        AUDIENCE,
        rules::{Action, Rule},
    },
    schema,
    status::{FieldError, FieldErrorKind, Status},
};

/// POST of a review.
pub(super) fn create(call: &Call) -> Result<Response, Status> {
    let validation = options::field_validation(&call.query, "CreateOptions")?;
    let decoded = schema::decode(&call.resource, &call.body, body_format(&call.headers)?, validation)?;
    let mut object = decoded.object;
    object["kind"] = call.resource.kind.as_str().into();
    object["apiVersion"] = call.resource.api_version().into();
    if call.namespace.is_some() {
        meta::set_namespace(call, &mut object)?;
    }
    let namespace = object["metadata"]["namespace"].clone();
    object["status"] = status(call, &object, namespace.as_str())?;
    object["metadata"] = json!({});
    if call.resource.kind == "SelfSubjectReview" {
        object["metadata"]["creationTimestamp"] = meta::time(Timestamp::now()).into();
    }
    respond::object(call, 201, object, &decoded.warnings)
}

fn status(call: &Call, object: &Value, namespace: Option<&str>) -> Result<Value, Status> {
    let spec = &object["spec"];
    match call.resource.kind.as_str() {
        "SelfSubjectReview" => Ok(json!({"userInfo": call.user.value()})),
        "SelfSubjectRulesReview" => rules(call, spec),
        "TokenReview" => whose(call, spec),
        "SelfSubjectAccessReview" => {
            check(spec, Subject::Self_, None)?;
            Ok(may(call, &call.user, spec))
        }
        "LocalSubjectAccessReview" => {
            check(spec, Subject::Other, Some(namespace.unwrap_or_default()))?;
            Ok(may(call, &subject(spec), spec))
        }
        _ => {
            check(spec, Subject::Other, None)?;
            Ok(may(call, &subject(spec), spec))
        }
    }
}

#[derive(PartialEq, Eq)]
enum Subject {
    Self_,
    Other,
}

/// What the question must say; `local`: the namespace that it is asked in.
fn check(spec: &Value, subject: Subject, local: Option<&str>) -> Result<(), Status> {
    let (on, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let mut errors = Vec::new();
    let mut refuse = |path: &str, message: String| {
        errors.push(FieldError { path: path.to_owned(), kind: FieldErrorKind::Invalid, message });
    };
    if on.is_object() == path.is_object() {
        let shown = if on.is_object() { "" } else { "null" };
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let field = if on.is_object() { "spec.nonResourceAttributes" } else { "spec.resourceAttributes" };
        let separator = if shown.is_empty() { "" } else { ": " };
        refuse(field, format!("Invalid value: {shown}{separator}{why}"));
    }
    let nobody = spec["user"].as_str().is_none_or(str::is_empty) && spec["groups"].as_array().is_none_or(Vec::is_empty);
    if subject == Subject::Other && nobody {
        refuse("spec.user", "Invalid value: \"\": at least one of user or group must be specified".to_owned());
    }
    if let Some(namespace) = local
        && let Some(other) = on["namespace"].as_str().filter(|other| *other != namespace)
    {
        refuse(
            "spec.resourceAttributes.namespace",
            format!("Invalid value: \"{other}\": must match metadata.namespace"),
        );
    }
    if errors.is_empty() {
        return Ok(());
    }
    // These reviews are refused without their kind.
    let mut status = Status::invalid("authorization.k8s.io", "", "", &errors);
    if let Some(details) = status.details.as_mut().and_then(Value::as_object_mut) {
        details.remove("kind");
    }
    Err(status)
}

/// Whom a question is about.
fn subject(spec: &Value) -> User {
    let words = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let extra = spec["extra"].as_object().into_iter().flatten();
    let extra: BTreeMap<String, Vec<String>> = extra.map(|(key, values)| (key.clone(), words(values))).collect();
    User {
        name: spec["user"].as_str().unwrap_or_default().to_owned(),
        groups: words(&spec["groups"]),
        uid: spec["uid"].as_str().map(str::to_owned),
        extra,
    }
}

fn may(call: &Call, user: &User, spec: &Value) -> Value {
    let (on, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let reason = if path.is_object() {
        let (verb, path) = (text(path, "verb"), text(path, "path"));
        authorize::allowed(&call.server, user, &Action::Path { verb: &verb, path: &path })
    } else {
        let (verb, group, name) = (text(on, "verb"), text(on, "group"), text(on, "name"));
        let (mut resource, subresource) = (text(on, "resource"), text(on, "subresource"));
        if !subresource.is_empty() {
            resource = format!("{resource}/{subresource}");
        }
        let namespace = on["namespace"].as_str().filter(|namespace| !namespace.is_empty());
        let action = Action::On { verb: &verb, group: &group, resource: &resource, name: &name, namespace };
        authorize::allowed(&call.server, user, &action)
    };
    match reason {
        None => json!({"allowed": false}),
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
    }
}

/// Everything that the user may do in a namespace.
fn rules(call: &Call, spec: &Value) -> Result<Value, Status> {
    let namespace = spec["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let mut rules: Vec<Rule> =
        authorize::grants(&call.server, &call.user, Some(namespace)).flat_map(|grant| grant.rules).collect();
    if rules.is_empty() && authorize::master(&call.user) {
        let all = vec!["*".to_owned()];
        rules.push(Rule { verbs: all.clone(), groups: all.clone(), resources: all.clone(), ..Rule::default() });
        rules.push(Rule { verbs: all.clone(), urls: all, ..Rule::default() });
    }
    let (paths, resources): (Vec<Rule>, Vec<Rule>) = rules.into_iter().partition(|rule| !rule.urls.is_empty());
    let values = |rules: Vec<Rule>| -> Vec<Value> { rules.iter().map(Rule::value).collect() };
    Ok(json!({"resourceRules": values(resources), "nonResourceRules": values(paths), "incomplete": false}))
}

fn whose(call: &Call, spec: &Value) -> Result<Value, Status> {
    let given = spec["token"].as_str().unwrap_or_default();
    if given.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let mut audiences: Vec<String> = Vec::new();
    audiences
        .extend(spec["audiences"].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)));
    if audiences.is_empty() {
        audiences.push(AUDIENCE.to_owned());
    }
    Ok(match token::recognise(&call.server, given, &audiences) {
        Some((user, audiences)) => json!({"authenticated": true, "user": user.value(), "audiences": audiences}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    })
}
