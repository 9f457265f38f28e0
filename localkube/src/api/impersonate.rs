//! Requests on behalf of somebody else: the headers `Impersonate-User`, `-Group`, `-Uid` and `-Extra-…`.

use std::collections::BTreeMap;

use http::HeaderMap;

use super::{Server, User, authorize};
use crate::{access::rules::Action, status::Status};

const EXTRA: &str = "impersonate-extra-";
const ACCOUNT: &str = "system:serviceaccount:";
const ANONYMOUS: &str = "system:anonymous";

/// As whom the request counts; none if it is nobody else's.
///
/// # Errors
/// 403 if the user may not act for them, 500 (as the API server answers) if it isn't said for whom.
pub(super) fn read(server: &Server, user: &User, headers: &HeaderMap) -> Result<Option<User>, Status> {
    let values = |name: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.map(str::to_owned).collect::<Vec<_>>()
    };
    let name = values("impersonate-user").pop().unwrap_or_default();
    let mut groups = values("impersonate-group");
    let uid = values("impersonate-uid").pop();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for header in headers.keys().filter(|header| header.as_str().starts_with(EXTRA)) {
        extra.insert(header.as_str()[EXTRA.len()..].to_owned(), values(header.as_str()));
    }
    if name.is_empty() {
        if groups.is_empty() && uid.is_none() && extra.is_empty() {
            return Ok(None);
        }
        return Err(Status::internal("requested impersonation of parts of a user without impersonating a user"));
    }
    let may = |group: &str, resource: &str, namespace: Option<&str>, name: &str| {
        let action = Action::On { verb: "impersonate", group, resource, name, namespace };
        match authorize::allowed(server, user, &action) {
            Some(_) => Ok(()),
            None => Err(authorize::refusal(user, &action)),
        }
    };
    let account = name.strip_prefix(ACCOUNT).and_then(|account| account.split_once(':'));
    match account {
        Some((namespace, account)) => may("", "serviceaccounts", Some(namespace), account)?,
        None => may("", "users", None, &name)?,
    }
    for group in &groups {
        may("", "groups", None, group)?;
    }
    if let Some(uid) = &uid {
        may("authentication.k8s.io", "uids", None, uid)?;
    }
    for (key, values) in &extra {
        for value in values {
            may("authentication.k8s.io", &format!("userextras/{key}"), None, value)?;
        }
    }
    if let Some((namespace, _)) = account.filter(|_| groups.is_empty()) {
        groups = User::account_groups(namespace);
    }
    let known = ["system:authenticated", "system:unauthenticated"];
    if !groups.iter().any(|group| known.contains(&group.as_str())) {
        let group = if name == ANONYMOUS { known[1] } else { known[0] };
        groups.push(group.to_owned());
    }
    Ok(Some(User { name, groups, uid, extra }))
}
