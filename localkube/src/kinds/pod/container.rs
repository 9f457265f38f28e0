//! Rules for containers (`validateContainers` in `pkg/apis/core/validation`).

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{
    errors::{duplicate, invalid, one_of, required, unsupported},
    names, resources,
    value::{has, int, is_true, items, part_names, text},
};
use super::{probe, volume};
use crate::status::FieldError;

const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// The containers of a pod that are of one sort.
pub(super) fn validate_all(
    errors: &mut Vec<FieldError>,
    spec: &Value,
    list: &str,
    volumes: &BTreeSet<&str>,
    path: &str,
) {
    let mut seen = BTreeSet::new();
    for (index, container) in items(spec, list).iter().enumerate() {
        let path = format!("{path}.{list}[{index}]");
        validate(errors, container, volumes, &path);
        let name = text(container, "name");
        // A name is one among all of the pod's containers.
        let taken = list != "containers" && items(spec, "containers").iter().any(|other| text(other, "name") == name);
        if !name.is_empty() && (!seen.insert(name) || taken) {
            errors.push(duplicate(format!("{path}.name"), name));
        }
        if has(container, "lifecycle") {
            probe::validate_lifecycle(errors, &container["lifecycle"], &format!("{path}.lifecycle"));
        }
        probe::validate_all(errors, container, &path);
    }
}

fn validate(errors: &mut Vec<FieldError>, container: &Value, volumes: &BTreeSet<&str>, path: &str) {
    let name = text(container, "name");
    if name.is_empty() {
        errors.push(required(format!("{path}.name"), ""));
    } else {
        errors.extend(names::dns_label(name).iter().map(|wrong| invalid(format!("{path}.name"), name, wrong)));
    }
    let image = text(container, "image");
    if image.is_empty() {
        errors.push(required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        errors.push(invalid(format!("{path}.image"), image, "must not have leading or trailing whitespace"));
    }
    let policies = ["FallbackToLogsOnError", "File"];
    one_of(errors, container, "terminationMessagePolicy", path, &policies, true);
    ports(errors, container, path);
    environment(errors, container, path);
    volume::mounts(errors, container, volumes, path);
    one_of(errors, container, "imagePullPolicy", path, &["Always", "IfNotPresent", "Never"], true);
    resources::validate(errors, &container["resources"], &format!("{path}.resources"));
    security_context(errors, &container["securityContext"], &format!("{path}.securityContext"));
}

fn ports(errors: &mut Vec<FieldError>, container: &Value, path: &str) {
    let mut seen = BTreeSet::new();
    for (index, port) in items(container, "ports").iter().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            let wrong = names::port_name(name);
            errors.extend(wrong.iter().map(|wrong| invalid(format!("{path}.name"), name, wrong)));
            if wrong.is_empty() && !seen.insert(name) {
                errors.push(duplicate(format!("{path}.name"), name));
            }
        }
        match int(port, "containerPort") {
            None | Some(0) => errors.push(required(format!("{path}.containerPort"), "")),
            Some(number) => probe::port_number(errors, number, &format!("{path}.containerPort")),
        }
        if let Some(number) = int(port, "hostPort").filter(|number| *number != 0) {
            probe::port_number(errors, number, &format!("{path}.hostPort"));
        }
        one_of(errors, port, "protocol", &path, &PROTOCOLS, false);
    }
}

fn environment(errors: &mut Vec<FieldError>, container: &Value, path: &str) {
    for (index, variable) in items(container, "env").iter().enumerate() {
        let path = format!("{path}.env[{index}]");
        let name = text(variable, "name");
        if name.is_empty() {
            errors.push(required(format!("{path}.name"), ""));
        } else {
            let wrong = names::environment_variable(name);
            errors.extend(wrong.iter().map(|wrong| invalid(format!("{path}.name"), name, wrong)));
        }
        if has(variable, "valueFrom") {
            value_from(errors, variable, &format!("{path}.valueFrom"));
        }
    }
    for (index, source) in items(container, "envFrom").iter().enumerate() {
        let path = format!("{path}.envFrom[{index}]");
        let given: Vec<&str> = part_names(source).collect();
        match given.as_slice() {
            [] => errors.push(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")),
            [kind] if text(&source[*kind], "name").is_empty() => {
                errors.push(required(format!("{path}.{kind}.name"), ""));
            }
            [_] => {}
            _ => errors.push(invalid(path, "", "may not have more than one field specified at a time")),
        }
    }
}

fn value_from(errors: &mut Vec<FieldError>, variable: &Value, path: &str) {
    let source = &variable["valueFrom"];
    let given: Vec<&str> = part_names(source).collect();
    for kind in &given {
        let (one, path) = (&source[*kind], format!("{path}.{kind}"));
        match *kind {
            "fieldRef" => field_reference(errors, one, &path),
            "configMapKeyRef" | "secretKeyRef" => {
                let key = text(one, "key");
                if key.is_empty() {
                    errors.push(required(format!("{path}.key"), ""));
                } else {
                    let wrong = names::config_key(key);
                    errors.extend(wrong.iter().map(|wrong| invalid(format!("{path}.key"), key, wrong)));
                }
            }
            "resourceFieldRef" if text(one, "resource").is_empty() => {
                errors.push(required(format!("{path}.resource"), ""));
            }
            _ => {}
        }
    }
    if given.is_empty() {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or \
                      `fileKeyRef`";
        errors.push(invalid(path, "", detail));
    } else if !text(variable, "value").is_empty() {
        errors.push(invalid(path, "", "may not be specified when `value` is not empty"));
    } else if given.len() > 1 {
        errors.push(invalid(path, "", "may not have more than one field specified at a time"));
    }
}

fn field_reference(errors: &mut Vec<FieldError>, reference: &Value, path: &str) {
    let field = text(reference, "fieldPath");
    let subscript = ["metadata.labels[", "metadata.annotations["].iter().any(|prefix| field.starts_with(prefix));
    if field.is_empty() {
        errors.push(required(format!("{path}.fieldPath"), ""));
    } else if !(FIELDS.contains(&field) || subscript && field.ends_with(']')) {
        errors.push(unsupported(format!("{path}.fieldPath"), field, &FIELDS));
    }
}

fn security_context(errors: &mut Vec<FieldError>, context: &Value, path: &str) {
    for key in ["runAsUser", "runAsGroup"] {
        if let Some(id) = int(context, key).filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
            let detail = format!("must be between 0 and {}, inclusive", i32::MAX);
            errors.push(invalid(format!("{path}.{key}"), id, &detail));
        }
    }
    let escalates = context["allowPrivilegeEscalation"] == false;
    if escalates && is_true(context, "privileged") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(invalid(path, context.clone(), detail));
    }
    if escalates && items(&context["capabilities"], "add").iter().any(|one| one == "CAP_SYS_ADMIN") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.push(invalid(path, context.clone(), detail));
    }
    seccomp(errors, context, path);
}

/// The rules for `seccompProfile`, of a container or of a pod.
pub(super) fn seccomp(errors: &mut Vec<FieldError>, context: &Value, path: &str) {
    let profile = &context["seccompProfile"];
    if !profile.is_object() {
        return;
    }
    let path = format!("{path}.seccompProfile");
    one_of(errors, profile, "type", &path, &["Localhost", "RuntimeDefault", "Unconfined"], false);
    let local = text(profile, "type") == "Localhost";
    let named = has(profile, "localhostProfile");
    if local && !named {
        let detail = "must be set when seccomp type is Localhost";
        errors.push(required(format!("{path}.localhostProfile"), detail));
    } else if named && !local {
        let detail = "can only be set when seccomp type is Localhost";
        errors.push(invalid(format!("{path}.localhostProfile"), profile["localhostProfile"].clone(), detail));
    }
}
