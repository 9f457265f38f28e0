//! NetworkPolicies and Ingresses.

use serde_json::{Value, json};

use super::{
    errors::{forbidden, invalid, one_of, required},
    names, pod, selector,
    value::{default, has, int, items, items_mut, make, part_names, text},
};
use crate::status::FieldError;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Defaults of a NetworkPolicy: without `policyTypes` it is about what comes in, and about what goes out if it says so.
pub(super) fn policy_defaults(object: &mut Value) {
    let spec = make(object, "spec");
    make(spec, "podSelector");
    for list in ["ingress", "egress"] {
        for rule in items_mut(spec, list) {
            for port in items_mut(rule, "ports") {
                default(port, "protocol", "TCP");
            }
        }
    }
    let types = if items(spec, "egress").is_empty() { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
    default(spec, "policyTypes", types);
}

/// The rules for a NetworkPolicy.
pub(super) fn validate_policy(errors: &mut Vec<FieldError>, object: &Value) {
    let spec = &object["spec"];
    selector::validate(errors, &spec["podSelector"], "spec.podSelector");
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(spec, list).iter().enumerate() {
            let path = format!("spec.{list}[{index}]");
            for (index, port) in items(rule, "ports").iter().enumerate() {
                policy_port(errors, port, &format!("{path}.ports[{index}]"));
            }
            for (index, peer) in items(rule, peers).iter().enumerate() {
                policy_peer(errors, peer, &format!("{path}.{peers}[{index}]"));
            }
        }
    }
    for (index, kind) in items(spec, "policyTypes").iter().enumerate() {
        let holder = json!({"policyTypes": kind});
        let mut found = Vec::new();
        one_of(&mut found, &holder, "policyTypes", "spec", &["Egress", "Ingress"], false);
        errors.extend(found.into_iter().map(|mut error| {
            error.path = format!("spec.policyTypes[{index}]");
            error
        }));
    }
}

fn policy_port(errors: &mut Vec<FieldError>, port: &Value, path: &str) {
    one_of(errors, port, "protocol", path, &PROTOCOLS, true);
    if has(port, "port") {
        pod::port_or_name(errors, &port["port"], &format!("{path}.port"));
    }
    let Some(end) = int(port, "endPort") else { return };
    if !has(port, "port") {
        let detail = "may not be specified when `port` is not specified";
        errors.push(invalid(format!("{path}.endPort"), end, detail));
    } else if port["port"].is_string() {
        let detail = "may not be specified when `port` is non-numeric";
        errors.push(invalid(format!("{path}.endPort"), end, detail));
    } else if int(port, "port").is_some_and(|start| end < start) {
        errors.push(invalid(format!("{path}.endPort"), end, "must be greater than or equal to `port`"));
    }
}

fn policy_peer(errors: &mut Vec<FieldError>, peer: &Value, path: &str) {
    let given: Vec<&str> = part_names(peer).collect();
    if given.is_empty() {
        errors.push(required(path, "must specify a peer"));
    } else if given.contains(&"ipBlock") && given.len() > 1 {
        errors.push(forbidden(path, "may not specify both ipBlock and another peer"));
    }
    for key in ["podSelector", "namespaceSelector"] {
        selector::validate(errors, &peer[key], &format!("{path}.{key}"));
    }
    if peer["ipBlock"].is_object() {
        let block = text(&peer["ipBlock"], "cidr");
        if block.is_empty() {
            errors.push(required(format!("{path}.ipBlock.cidr"), ""));
        } else if !is_cidr(block) {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            errors.push(invalid(format!("{path}.ipBlock.cidr"), block, detail));
        }
    }
}

fn is_cidr(block: &str) -> bool {
    let Some((address, bits)) = block.split_once('/') else { return false };
    let (Ok(address), Ok(bits)) = (address.parse::<std::net::IpAddr>(), bits.parse::<u8>()) else { return false };
    bits <= if address.is_ipv4() { 32 } else { 128 }
}

/// The rules for an Ingress.
pub(super) fn validate_ingress(errors: &mut Vec<FieldError>, object: &Value) {
    let spec = &object["spec"];
    let rules = items(spec, "rules");
    if rules.is_empty() && !has(spec, "defaultBackend") {
        errors.push(invalid("spec", spec.clone(), "either `defaultBackend` or `rules` must be specified"));
    }
    if has(spec, "defaultBackend") {
        backend(errors, &spec["defaultBackend"], "spec.defaultBackend");
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        let host = text(rule, "host");
        if !host.is_empty() {
            let plain = host.strip_prefix("*.").unwrap_or(host);
            let wrong = names::dns_subdomain(plain);
            errors.extend(wrong.iter().map(|wrong| invalid(format!("{path}.host"), host, wrong)));
        }
        if !has(rule, "http") {
            continue;
        }
        let paths = items(&rule["http"], "paths");
        if paths.is_empty() {
            errors.push(required(format!("{path}.http.paths"), ""));
        }
        for (index, one) in paths.iter().enumerate() {
            ingress_path(errors, one, &format!("{path}.http.paths[{index}]"));
        }
    }
}

fn ingress_path(errors: &mut Vec<FieldError>, one: &Value, path: &str) {
    let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
    let kind = text(one, "pathType");
    if kind.is_empty() {
        errors.push(required(format!("{path}.pathType"), "pathType must be specified"));
    } else {
        one_of(errors, one, "pathType", path, &kinds, false);
    }
    let value = text(one, "path");
    if ["Exact", "Prefix"].contains(&kind) && !value.starts_with('/') {
        errors.push(invalid(format!("{path}.path"), value, "must be an absolute path"));
    }
    backend(errors, &one["backend"], &format!("{path}.backend"));
}

fn backend(errors: &mut Vec<FieldError>, backend: &Value, path: &str) {
    let service = &backend["service"];
    match (has(backend, "service"), has(backend, "resource")) {
        (false, false) => errors.push(required(format!("{path}.service.name"), "")),
        (true, true) => {
            let detail = "cannot set both resource and service backends";
            errors.push(invalid(path, "", detail));
        }
        (true, false) => {
            if text(service, "name").is_empty() {
                errors.push(required(format!("{path}.service.name"), ""));
            }
            let port = &service["port"];
            if text(port, "name").is_empty() && int(port, "number").unwrap_or_default() == 0 {
                errors.push(required(path, "port name or number is required"));
            } else if let Some(number) = int(port, "number").filter(|number| *number != 0) {
                pod::port_number(errors, number, &format!("{path}.service.port.number"));
            }
        }
        (false, true) => {}
    }
}
