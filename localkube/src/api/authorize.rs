//! What a user may do: what the roles say that are bound to them or to one of their groups
//! (rbac.authorization.k8s.io/v1).

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::{Server, User, request::Query};
use crate::{
    access::rules::{self, Action, Rule},
    status::Status,
    store::{Key, Stored},
};

/// May do everything, whatever roles there are.
const MASTERS: &str = "system:masters";
/// Subresources whose WebSockets need the right to create, though they come as a GET.
const CONNECTED: [&str; 3] = ["attach", "exec", "portforward"];

/// Rules that a user has, and by what.
pub(super) struct Grant {
    pub(super) rules: Vec<Rule>,
    /// For example `RoleBinding "reader/default" of Role "reader" to User "jane"`.
    pub(super) by: String,
}

/// Refuses what the user may not do, before it is known whether there is such a thing.
///
/// # Errors
/// 403 in the words of the API server.
pub(super) fn check(server: &Server, user: &User, method: &Method, path: &str, query: &Query) -> Result<(), Status> {
    if master(user) {
        return Ok(());
    }
    let verb = method.as_str().to_lowercase();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _, rest @ ..] if !rest.is_empty() => ("", rest),
        ["apis", group, _, rest @ ..] if !rest.is_empty() => (*group, rest),
        _ => return permit(server, user, &Action::Path { verb: &verb, path }),
    };
    let (watched, rest) = match rest {
        ["watch", rest @ ..] => (true, rest),
        rest => (query.flag("watch"), rest),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) => {
            (Some(*namespace), rest)
        }
        // A namespace's own rights may be given inside of it.
        ["namespaces", namespace, ..] => (Some(*namespace), rest),
        rest => (None, rest),
    };
    let [resource, rest @ ..] = rest else { return permit(server, user, &Action::Path { verb: &verb, path }) };
    let (name, subresource) = (rest.first().copied(), rest.get(1).copied());
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name.is_none() => "deletecollection",
        Method::DELETE => "delete",
        _ if name.is_some() && !watched => "get",
        _ if watched => "watch",
        _ => "list",
    };
    // Lists and watches of one object may be allowed by its name.
    let only = query.get("fieldSelector").and_then(|selector| selector.strip_prefix("metadata.name="));
    let name = name.or(only.filter(|only| !only.contains(','))).unwrap_or_default();
    let full = subresource.map_or_else(|| (*resource).to_owned(), |subresource| format!("{resource}/{subresource}"));
    let action = Action::On { verb, group, resource: &full, name, namespace };
    permit(server, user, &action)?;
    if verb == "get" && *resource == "pods" && subresource.is_some_and(|one| CONNECTED.contains(&one)) {
        permit(server, user, &Action::On { verb: "create", group, resource: &full, name, namespace })?;
    }
    Ok(())
}

/// Whether the user is above all roles.
pub(super) fn master(user: &User) -> bool {
    user.groups.iter().any(|group| group == MASTERS)
}

/// Why the user may do it; none if they may not.
pub(super) fn allowed(server: &Server, user: &User, action: &Action<'_>) -> Option<String> {
    if master(user) {
        return Some(String::new());
    }
    let namespace = match action {
        Action::On { namespace, .. } => *namespace,
        Action::Path { .. } => None,
    };
    let mut grants = grants(server, user, namespace);
    let grant = grants.find(|grant| grant.rules.iter().any(|rule| rule.allows(action)))?;
    Some(format!("RBAC: allowed by {}", grant.by))
}

/// # Errors
/// 403 if the user may not.
fn permit(server: &Server, user: &User, action: &Action<'_>) -> Result<(), Status> {
    if allowed(server, user, action).is_some() { Ok(()) } else { Err(refusal(user, action)) }
}

/// 403 in the words of the API server.
pub(super) fn refusal(user: &User, action: &Action<'_>) -> Status {
    let (verb, group, resource, name, namespace) = match *action {
        Action::On { verb, group, resource, name, namespace } => (verb, group, resource, name, namespace),
        Action::Path { verb, path } => {
            let message = format!("forbidden: User \"{}\" cannot {verb} path \"{path}\"", user.name);
            return Status::new(403, "Forbidden", message).with_details(json!({}));
        }
    };
    let plural = resource.split('/').next().unwrap_or_default();
    let place = match namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let of_group = if group.is_empty() { String::new() } else { format!(".{group}") };
    let named = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
    let message = format!(
        "{plural}{of_group}{named} is forbidden: User \"{}\" cannot {verb} resource \"{resource}\" in API group \
         \"{group}\" {place}",
        user.name
    );
    let mut details = json!({"kind": plural});
    for (field, value) in [("group", group), ("name", name)].into_iter().filter(|(_, value)| !value.is_empty()) {
        details[field] = value.into();
    }
    Status::new(403, "Forbidden", message).with_details(details)
}

/// What is bound to the user, first in all of the cluster, then in the namespace.
pub(super) fn grants<'a>(
    server: &'a Server,
    user: &'a User,
    namespace: Option<&'a str>,
) -> impl Iterator<Item = Grant> + 'a {
    let everywhere = server.store.list("clusterrolebindings.rbac.authorization.k8s.io", None).objects;
    let here =
        namespace.map(|namespace| server.store.list("rolebindings.rbac.authorization.k8s.io", Some(namespace)).objects);
    everywhere.into_iter().chain(here.into_iter().flatten()).filter_map(move |stored| grant(server, user, &stored))
}

fn grant(server: &Server, user: &User, stored: &Arc<Stored>) -> Option<Grant> {
    let binding = stored.value();
    let (name, namespace) = (&stored.key.name, &stored.key.namespace);
    let subject = binding["subjects"].as_array()?.iter().find(|subject| is(user, subject, namespace))?;
    let (kind, role) = (binding["roleRef"]["kind"].as_str()?, binding["roleRef"]["name"].as_str()?);
    let rules = role_rules(server, kind, role, namespace)?;
    let whom = match (subject["kind"].as_str()?, subject["name"].as_str()?) {
        (kind @ "ServiceAccount", account) => {
            let of = subject["namespace"].as_str().unwrap_or(namespace);
            format!("{kind} \"{account}/{of}\"")
        }
        (kind, name) => format!("{kind} \"{name}\""),
    };
    let what = if namespace.is_empty() {
        format!("ClusterRoleBinding \"{name}\"")
    } else {
        format!("RoleBinding \"{name}/{namespace}\"")
    };
    Some(Grant { rules, by: format!("{what} of {kind} \"{role}\" to {whom}") })
}

/// The rules of a role that a binding names; none if there is no such role.
pub(super) fn role_rules(server: &Server, kind: &str, name: &str, namespace: &str) -> Option<Vec<Rule>> {
    let (plural, namespace) = if kind == "Role" { ("roles", namespace) } else { ("clusterroles", "") };
    let resource = format!("{plural}.rbac.authorization.k8s.io");
    let key = Key { resource, namespace: namespace.to_owned(), name: name.to_owned() };
    Some(rules::of(&server.store.get(&key)?.value()))
}

/// Whether a subject of a binding is this user.
fn is(user: &User, subject: &Value, namespace: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str() {
        Some("User") => user.name == name,
        Some("Group") => user.groups.iter().any(|group| group == name),
        Some("ServiceAccount") => {
            let of = subject["namespace"].as_str().filter(|of| !of.is_empty()).unwrap_or(namespace);
            user.name.strip_prefix("system:serviceaccount:") == Some(&format!("{of}:{name}"))
        }
        _ => false,
    }
}
