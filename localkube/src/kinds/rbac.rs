//! Roles and their bindings.

use serde_json::{Value, json};

use super::{
    errors::{invalid, one_of, raw_invalid, required, unsupported},
    value::{default, default_nonzero, items, items_mut, make, text},
};
use crate::status::FieldError;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Defaults of a Role or ClusterRole: the rules are always shown.
pub(super) fn role_defaults(object: &mut Value) {
    default(object, "rules", Value::Null);
}

/// Defaults of a binding: users and groups and roles are of this API group.
pub(super) fn binding_defaults(object: &mut Value) {
    default_nonzero(make(object, "roleRef"), "apiGroup", GROUP);
    for subject in items_mut(object, "subjects") {
        if ["User", "Group"].contains(&text(subject, "kind")) {
            default_nonzero(subject, "apiGroup", GROUP);
        }
    }
}

/// The rules for a role; only one for the whole cluster can speak of paths outside the API.
pub(super) fn validate_role(errors: &mut Vec<FieldError>, object: &Value, namespaced: bool) {
    for (index, rule) in items(object, "rules").iter().enumerate() {
        let path = format!("rules[{index}]");
        if items(rule, "verbs").is_empty() {
            errors.push(required(format!("{path}.verbs"), "verbs must contain at least one value"));
        }
        let urls = items(rule, "nonResourceURLs");
        if !urls.is_empty() {
            let field = format!("{path}.nonResourceURLs");
            if namespaced {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                errors.push(invalid(&field, json!(urls), detail));
            }
            if ["apiGroups", "resources", "resourceNames"].iter().any(|key| !items(rule, key).is_empty()) {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(invalid(&field, json!(urls), detail));
            }
            continue;
        }
        if items(rule, "apiGroups").is_empty() {
            let detail = "resource rules must supply at least one api group";
            errors.push(required(format!("{path}.apiGroups"), detail));
        }
        if items(rule, "resources").is_empty() {
            let detail = "resource rules must supply at least one resource";
            errors.push(required(format!("{path}.resources"), detail));
        }
    }
}

/// The rules for a binding.
pub(super) fn validate_binding(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>, namespaced: bool) {
    let role = &object["roleRef"];
    if old.is_some_and(|old| old["roleRef"] != *role) {
        let value = format!(
            "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
            json!(text(role, "apiGroup")),
            json!(text(role, "kind")),
            json!(text(role, "name"))
        );
        errors.push(raw_invalid("roleRef", &value, "cannot change roleRef"));
    }
    if text(role, "apiGroup") != GROUP {
        errors.push(unsupported("roleRef.apiGroup", text(role, "apiGroup"), &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["ClusterRole", "Role"] } else { &["ClusterRole"] };
    if !kinds.contains(&text(role, "kind")) {
        errors.push(unsupported("roleRef.kind", text(role, "kind"), kinds));
    }
    if text(role, "name").is_empty() {
        errors.push(required("roleRef.name", ""));
    }
    for (index, subject) in items(object, "subjects").iter().enumerate() {
        let path = format!("subjects[{index}]");
        if text(subject, "name").is_empty() {
            errors.push(required(format!("{path}.name"), ""));
        }
        let account = text(subject, "kind") == "ServiceAccount";
        one_of(errors, subject, "kind", &path, &["Group", "ServiceAccount", "User"], false);
        if account && !namespaced && text(subject, "namespace").is_empty() {
            errors.push(required(format!("{path}.namespace"), ""));
        }
        let group = if account { "" } else { GROUP };
        if text(subject, "apiGroup") != group {
            errors.push(unsupported(format!("{path}.apiGroup"), text(subject, "apiGroup"), &[group]));
        }
    }
}
