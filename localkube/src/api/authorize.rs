//! What a user may do: everything for administrators, health and version for everybody else.

use http::Method;
use serde_json::json;

use super::{User, request::Query};
use crate::status::Status;

const OPEN: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// Refuses what the user may not do, before it is known whether there is such a thing. Requests of this process itself
/// carry no user.
///
/// # Errors
/// 403 in the words of the API server.
pub(super) fn check(user: Option<&User>, method: &Method, path: &str, query: &Query) -> Result<(), Status> {
    let Some(user) = user.filter(|user| !user.groups.iter().any(|group| group == "system:masters")) else {
        return Ok(());
    };
    if OPEN.contains(&path) {
        return Ok(());
    }
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _, rest @ ..] if !rest.is_empty() => ("", rest),
        ["apis", group, _, rest @ ..] if !rest.is_empty() => (*group, rest),
        _ => {
            let verb = method.as_str().to_lowercase();
            let message = format!("forbidden: User \"{}\" cannot {verb} path \"{path}\"", user.name);
            return Err(Status::new(403, "Forbidden", message).with_details(json!({})));
        }
    };
    let (watched, rest) = match rest {
        ["watch", rest @ ..] => (true, rest),
        rest => (query.flag("watch"), rest),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) => {
            (Some(*namespace), rest)
        }
        rest => (None, rest),
    };
    let [resource, rest @ ..] = rest else { return Err(Status::new(403, "Forbidden", "forbidden")) };
    let (name, subresource) = (rest.first(), rest.get(1));
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name.is_none() => "deletecollection",
        Method::DELETE => "delete",
        _ if name.is_some() => "get",
        _ if watched => "watch",
        _ => "list",
    };
    let full = subresource.map_or_else(|| (*resource).to_owned(), |subresource| format!("{resource}/{subresource}"));
    let place = match namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let of_group = if group.is_empty() { String::new() } else { format!(".{group}") };
    let named = name.map_or_else(String::new, |name| format!(" \"{name}\""));
    let message = format!(
        "{resource}{of_group}{named} is forbidden: User \"{}\" cannot {verb} resource \"{full}\" in API group \
         \"{group}\" {place}",
        user.name
    );
    let mut details = json!({"kind": resource});
    if !group.is_empty() {
        details["group"] = group.into();
    }
    if let Some(name) = name {
        details["name"] = (*name).into();
    }
    Err(Status::new(403, "Forbidden", message).with_details(details))
}
