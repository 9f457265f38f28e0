//! Nobody gives others what they do not have: checked when roles and bindings are written.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{authorize, request::Call};
use crate::{
    access::rules::{self, Action, Rule, quoted},
    status::Status,
};

/// Whether the user may write this role or binding; `live` is what there was before.
///
/// # Errors
/// 403 that names the rules that are missing, 404 for a binding to no role.
pub(super) fn check(call: &Call, live: Option<&Value>, object: &Value) -> Result<(), Status> {
    if call.resource.group != "rbac.authorization.k8s.io" || authorize::master(&call.user) {
        return Ok(());
    }
    match call.resource.kind.as_str() {
        "Role" | "ClusterRole" => role(call, live, object),
        _ => binding(call, live, object),
    }
}

fn role(call: &Call, live: Option<&Value>, object: &Value) -> Result<(), Status> {
    let same = |field: &str| live.is_some_and(|live| live[field] == object[field]);
    if same("rules") && same("aggregationRule") {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if may(call, "escalate", &call.resource.plural, name) {
        return Ok(());
    }
    let mut wanted = rules::of(object);
    if object["aggregationRule"].is_object() {
        // What such a role will hold, nobody knows: only who holds everything may make one.
        let all = vec!["*".to_owned()];
        wanted.push(Rule { verbs: all.clone(), groups: all.clone(), resources: all.clone(), ..Rule::default() });
        wanted.push(Rule { verbs: all.clone(), urls: all, ..Rule::default() });
    }
    held(call, name, &wanted)
}

fn binding(call: &Call, live: Option<&Value>, object: &Value) -> Result<(), Status> {
    let same = |field: &str| live.is_some_and(|live| live[field] == object[field]);
    if same("roleRef") && same("subjects") {
        return Ok(());
    }
    let (kind, role) = (&object["roleRef"]["kind"], object["roleRef"]["name"].as_str().unwrap_or_default());
    let kind = kind.as_str().unwrap_or_default();
    let plural = if kind == "Role" { "roles" } else { "clusterroles" };
    if may(call, "bind", plural, role) {
        return Ok(());
    }
    let namespace = call.namespace.as_deref().unwrap_or_default();
    let wanted = authorize::role_rules(&call.server, kind, role, namespace).ok_or_else(|| {
        let resource = call.server.resource("rbac.authorization.k8s.io", "v1", plural);
        resource.map_or_else(|| Status::internal("roles are not served"), |resource| Status::not_found(&resource, role))
    })?;
    held(call, object["metadata"]["name"].as_str().unwrap_or_default(), &wanted)
}

fn may(call: &Call, verb: &str, resource: &str, name: &str) -> bool {
    let group = call.resource.group.as_str();
    let action = Action::On { verb, group, resource, name, namespace: call.namespace.as_deref() };
    authorize::allowed(&call.server, &call.user, &action).is_some()
}

fn held(call: &Call, name: &str, wanted: &[Rule]) -> Result<(), Status> {
    let user = &call.user;
    let grants = authorize::grants(&call.server, user, call.namespace.as_deref());
    let held: Vec<Rule> = grants.flat_map(|grant| grant.rules).collect();
    let missing: BTreeSet<String> = rules::missing(&held, wanted).iter().map(ToString::to_string).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<String> = missing.into_iter().collect();
    let why = format!(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        Value::from(user.name.as_str()),
        quoted(&user.groups),
        missing.join("\n")
    );
    Err(Status::forbidden(&call.resource, name, &why))
}
