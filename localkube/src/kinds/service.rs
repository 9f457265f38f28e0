//! Services and their endpoints.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    errors::{duplicate, forbidden, invalid, one_of, raw_duplicate, required},
    metadata, names, pod,
    value::{default, default_nonzero, has, int, is_true, items, items_mut, make, remove, restore, text},
};
use crate::status::FieldError;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Defaults of a Service that do not depend on what addresses are free.
pub(super) fn defaults(object: &mut Value) {
    let spec = make(object, "spec");
    default_nonzero(spec, "sessionAffinity", "None");
    default_nonzero(spec, "type", "ClusterIP");
    if text(spec, "sessionAffinity") == "None" {
        remove(spec, "sessionAffinityConfig");
    } else if text(spec, "sessionAffinity") == "ClientIP" {
        default(make(make(spec, "sessionAffinityConfig"), "clientIP"), "timeoutSeconds", 10_800);
    }
    for port in items_mut(spec, "ports") {
        default_nonzero(port, "protocol", "TCP");
        let number = port["port"].clone();
        default_nonzero(port, "targetPort", number);
    }
    let kind = text(spec, "type").to_owned();
    let outside = ["NodePort", "LoadBalancer"].contains(&kind.as_str());
    if outside || (kind == "ClusterIP" && !items(spec, "externalIPs").is_empty()) {
        default_nonzero(spec, "externalTrafficPolicy", "Cluster");
    }
    if outside || kind == "ClusterIP" {
        default_nonzero(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", true);
    }
}

/// Fills in the address family, and the list form of an address that was chosen.
pub(super) fn complete(object: &mut Value) {
    let spec = make(object, "spec");
    if text(spec, "type") == "ExternalName" {
        return;
    }
    let address = text(spec, "clusterIP").to_owned();
    if !address.is_empty() && !has(spec, "clusterIPs") {
        spec["clusterIPs"] = json!([address]);
    } else if address.is_empty() && !items(spec, "clusterIPs").is_empty() {
        spec["clusterIP"] = spec["clusterIPs"][0].clone();
    }
    default(spec, "ipFamilies", json!(["IPv4"]));
    default(spec, "ipFamilyPolicy", "SingleStack");
}

/// Keeps what was allocated where an update leaves it out.
pub(super) fn keep_allocated(object: &mut Value, old: &Value) {
    let before = &old["spec"];
    let spec = make(object, "spec");
    if text(spec, "type") != "ExternalName" && text(before, "type") != "ExternalName" {
        // Naming another single address means the list form too.
        if text(spec, "clusterIP").is_empty() && items(spec, "clusterIPs").is_empty() {
            restore(spec, before, "clusterIP");
            restore(spec, before, "clusterIPs");
        } else if !has(spec, "clusterIPs") || spec["clusterIPs"] == before["clusterIPs"] {
            spec["clusterIPs"] = json!([spec["clusterIP"]]);
        }
        for key in ["ipFamilies", "ipFamilyPolicy"] {
            if !has(spec, key) {
                restore(spec, before, key);
            }
        }
    }
    let outside = |kind: &str| ["NodePort", "LoadBalancer"].contains(&kind);
    if outside(text(spec, "type")) && outside(text(before, "type")) {
        for port in items_mut(spec, "ports") {
            let same = |one: &&Value| one["port"] == port["port"] && one["protocol"] == port["protocol"];
            if let Some(node_port) = items(before, "ports").iter().find(same).and_then(|one| int(one, "nodePort")) {
                default_nonzero(port, "nodePort", node_port);
            }
        }
        if text(spec, "externalTrafficPolicy") == "Local" && !has(spec, "healthCheckNodePort") {
            restore(spec, before, "healthCheckNodePort");
        }
    }
    drop_unused(spec, before);
}

/// Drops what belonged to the type that the Service was of, where the client sent it back unchanged
/// (`dropTypeDependentFields`).
fn drop_unused(spec: &mut Value, before: &Value) {
    let kind = text(spec, "type").to_owned();
    if kind == text(before, "type") {
        return;
    }
    if !["NodePort", "LoadBalancer"].contains(&kind.as_str()) {
        let given: Vec<Value> = items(before, "ports").iter().map(|port| port["nodePort"].clone()).collect();
        for port in items_mut(spec, "ports").filter(|port| given.contains(&port["nodePort"])) {
            remove(port, "nodePort");
        }
        for key in ["externalTrafficPolicy", "healthCheckNodePort"] {
            if items(spec, "externalIPs").is_empty() && spec[key] == before[key] {
                remove(spec, key);
            }
        }
    }
    if kind != "LoadBalancer" {
        for key in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if spec[key] == before[key] {
                remove(spec, key);
            }
        }
    }
}

/// The rules for a Service.
pub(super) fn validate(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    let spec = &object["spec"];
    let kind = text(spec, "type");
    if let Some(old) = old {
        immutable_addresses(errors, spec, &old["spec"]);
    }
    let headless = spec["clusterIP"] == "None";
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.push(invalid("spec.clusterIPs[0]", "None", &detail));
        }
        "ExternalName" => {
            if !text(spec, "clusterIP").is_empty() {
                errors.push(forbidden("spec.clusterIPs", "may not be set for ExternalName services"));
            }
            let name = text(spec, "externalName").trim_end_matches('.');
            if name.is_empty() {
                errors.push(required("spec.externalName", ""));
            } else {
                let wrong = names::dns_subdomain(name);
                errors.extend(wrong.iter().map(|wrong| invalid("spec.externalName", name, wrong)));
            }
        }
        _ => {}
    }
    ports(errors, spec, headless);
    metadata::labels(errors, spec, "selector", "spec.selector");
    one_of(errors, spec, "sessionAffinity", "spec", &["ClientIP", "None"], false);
    one_of(errors, spec, "type", "spec", &TYPES, false);
    if !headless {
        for (index, address) in items(spec, "clusterIPs").iter().enumerate() {
            let address = address.as_str().unwrap_or_default();
            if address.parse::<std::net::IpAddr>().is_err() {
                let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                errors.push(invalid(format!("spec.clusterIPs[{index}]"), address, detail));
            }
        }
    }
    for key in ["externalTrafficPolicy", "internalTrafficPolicy"] {
        one_of(errors, spec, key, "spec", &["Cluster", "Local"], true);
    }
    if is_true(spec, "allocateLoadBalancerNodePorts") && kind != "LoadBalancer" {
        let detail = "may only be used when `type` is 'LoadBalancer'";
        errors.push(forbidden("spec.allocateLoadBalancerNodePorts", detail));
    }
}

fn immutable_addresses(errors: &mut Vec<FieldError>, spec: &Value, before: &Value) {
    let external = |spec: &Value| text(spec, "type") == "ExternalName";
    let was = text(before, "clusterIP");
    if external(spec) || external(before) || was.is_empty() {
        return;
    }
    if text(spec, "clusterIP") != was {
        errors.push(invalid("spec.clusterIPs[0]", spec["clusterIPs"].clone(), "may not change once set"));
    }
}

fn ports(errors: &mut Vec<FieldError>, spec: &Value, headless: bool) {
    let list = items(spec, "ports");
    let kind = text(spec, "type");
    if list.is_empty() && !headless && kind != "ExternalName" {
        errors.push(required("spec.ports", ""));
    }
    let mut seen = BTreeSet::new();
    for (index, port) in list.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = text(port, "name");
        if name.is_empty() {
            if list.len() > 1 {
                errors.push(required(format!("{path}.name"), ""));
            }
        } else {
            let wrong = names::dns_label(name);
            errors.extend(wrong.iter().map(|wrong| invalid(format!("{path}.name"), name, wrong)));
            if !seen.insert(name) {
                errors.push(duplicate(format!("{path}.name"), name));
            }
        }
        let number = int(port, "port").unwrap_or_default();
        pod::port_number(errors, number, &format!("{path}.port"));
        one_of(errors, port, "protocol", &path, &PROTOCOLS, false);
        pod::port_or_name(errors, &port["targetPort"], &format!("{path}.targetPort"));
    }
    for (index, port) in list.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let node_port = int(port, "nodePort").unwrap_or_default();
        if kind == "ClusterIP" && node_port != 0 {
            errors.push(forbidden(format!("{path}.nodePort"), "may not be used when `type` is 'ClusterIP'"));
        } else if node_port != 0 && !(30_000..=32_767).contains(&node_port) {
            let detail = "provided port is not in the valid range. The range of valid ports is 30000-32767";
            errors.push(invalid(format!("{path}.nodePort"), node_port, detail));
        }
        let same = |other: &Value| other["port"] == port["port"] && other["protocol"] == port["protocol"];
        if list[..index].iter().any(same) {
            let value = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                port["protocol"], port["port"]
            );
            errors.push(raw_duplicate(&path, &value));
        }
    }
}

/// Defaults of an EndpointSlice.
pub(super) fn slice_defaults(object: &mut Value) {
    for port in items_mut(object, "ports") {
        default(port, "name", "");
        default_nonzero(port, "protocol", "TCP");
    }
    // Both lists are always shown, empty or not.
    default(object, "endpoints", Value::Null);
    default(object, "ports", Value::Null);
}

/// The rules for an EndpointSlice.
pub(super) fn validate_slice(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    one_of(errors, object, "addressType", "", &["FQDN", "IPv4", "IPv6"], false);
    if old.is_some_and(|old| old["addressType"] != object["addressType"]) {
        errors.push(invalid("addressType", object["addressType"].clone(), super::errors::IMMUTABLE));
    }
    for (index, endpoint) in items(object, "endpoints").iter().enumerate() {
        if items(endpoint, "addresses").is_empty() {
            errors.push(required(format!("endpoints[{index}].addresses"), "must contain at least 1 address"));
        }
    }
}
