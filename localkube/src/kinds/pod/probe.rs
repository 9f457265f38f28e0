//! Rules for probes, lifecycle hooks and the ports they name.

use serde_json::Value;

use super::super::{
    errors::{forbidden, invalid, not_negative, one_of, required},
    names::{self, PORT_RANGE},
    value::{has, int, items, part_names, text},
};
use crate::status::FieldError;

const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// The rules for the three probes of a container.
pub(super) fn validate_all(errors: &mut Vec<FieldError>, container: &Value, path: &str) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = &container[name];
        if !probe.is_object() {
            continue;
        }
        let path = format!("{path}.{name}");
        validate_handler(errors, probe, &path);
        for key in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
            not_negative(errors, probe, key, &path);
        }
        if let Some(grace) = int(probe, "terminationGracePeriodSeconds") {
            let field = format!("{path}.terminationGracePeriodSeconds");
            if name == "readinessProbe" {
                errors.push(invalid(field, grace, "must not be set for readinessProbes"));
            } else if grace <= 0 {
                errors.push(invalid(field, grace, "must be greater than 0"));
            }
        }
        // Only readiness can come back after it was lost.
        if name != "readinessProbe" && int(probe, "successThreshold").is_some_and(|count| count > 1) {
            let count = probe["successThreshold"].clone();
            errors.push(invalid(format!("{path}.successThreshold"), count, "must be 1"));
        }
    }
}

/// The rules for `lifecycle`.
pub(super) fn validate_lifecycle(errors: &mut Vec<FieldError>, lifecycle: &Value, path: &str) {
    for name in ["postStart", "preStop"] {
        if has(lifecycle, name) {
            validate_handler(errors, &lifecycle[name], &format!("{path}.{name}"));
        }
    }
}

fn validate_handler(errors: &mut Vec<FieldError>, handler: &Value, path: &str) {
    let mut given = part_names(handler).filter(|name| HANDLERS.contains(name));
    let Some(kind) = given.next() else {
        errors.push(required(path, "must specify a handler type"));
        return;
    };
    for more in given {
        errors.push(forbidden(format!("{path}.{more}"), "may not specify more than 1 handler type"));
    }
    let (action, path) = (&handler[kind], format!("{path}.{kind}"));
    match kind {
        "exec" => {
            if items(action, "command").is_empty() {
                errors.push(required(format!("{path}.command"), ""));
            }
        }
        "httpGet" => {
            if text(action, "path").is_empty() {
                errors.push(required(format!("{path}.path"), ""));
            }
            port_or_name(errors, &action["port"], &format!("{path}.port"));
            one_of(errors, action, "scheme", &path, &["HTTP", "HTTPS"], true);
        }
        "sleep" => {
            if int(action, "seconds").is_none_or(|seconds| seconds < 0) {
                let seconds = action["seconds"].clone();
                errors.push(invalid(path, seconds, "must be non-negative and less than terminationGracePeriodSeconds"));
            }
        }
        _ => port_or_name(errors, &action["port"], &format!("{path}.port")),
    }
}

/// A port by number, or by the name that a container gives it.
pub(in super::super) fn port_or_name(errors: &mut Vec<FieldError>, port: &Value, path: &str) {
    match port {
        Value::String(name) => {
            errors.extend(names::port_name(name).iter().map(|wrong| invalid(path, name.as_str(), wrong)));
        }
        other => port_number(errors, other.as_i64().unwrap_or_default(), path),
    }
}

/// A port by number.
pub(in super::super) fn port_number(errors: &mut Vec<FieldError>, port: i64, path: &str) {
    if !(1..=65535).contains(&port) {
        errors.push(invalid(path, port, PORT_RANGE));
    }
}
