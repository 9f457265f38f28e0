//! What objects use of a namespace's ResourceQuotas (`plugin/pkg/admission/resourcequota`, `pkg/quota/v1`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    quantity::Quantity,
    resources::amount,
    value::{entries, has, items, text},
};
use crate::resource::Resource;

/// Amounts by the name that a quota gives them, for example `requests.cpu`.
pub type Usage = BTreeMap<String, Quantity>;

/// Kinds that quotas count by their plain plural, besides `count/…`.
const COUNTED: [&str; 7] =
    ["configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets", "services"];

/// What one object uses.
pub fn of(resource: &Resource, object: &Value) -> Usage {
    let mut usage = Usage::new();
    usage.insert(format!("count/{}", resource.group_resource()), Quantity::count(1));
    if !resource.group.is_empty() {
        return usage;
    }
    let plural = resource.plural.as_str();
    // A pod that has ended holds nothing but its place among the objects.
    let ended = ["Succeeded", "Failed"].contains(&text(&object["status"], "phase"));
    if plural == "pods" && ended {
        return usage;
    }
    if COUNTED.contains(&plural) {
        usage.insert(plural.to_owned(), Quantity::count(1));
    }
    match plural {
        "pods" => compute(&mut usage, &object["spec"]),
        "services" => service(&mut usage, &object["spec"]),
        "persistentvolumeclaims" => {
            if let Some(size) = amount(&object["spec"]["resources"]["requests"]["storage"]) {
                usage.insert("requests.storage".to_owned(), size);
            }
        }
        _ => {}
    }
    usage
}

fn service(usage: &mut Usage, spec: &Value) {
    let ports = i64::try_from(items(spec, "ports").len()).unwrap_or(i64::MAX);
    match text(spec, "type") {
        "NodePort" => {
            usage.insert("services.nodeports".to_owned(), Quantity::count(ports));
        }
        "LoadBalancer" => {
            usage.insert("services.loadbalancers".to_owned(), Quantity::count(1));
            if spec["allocateLoadBalancerNodePorts"] != false {
                usage.insert("services.nodeports".to_owned(), Quantity::count(ports));
            }
        }
        _ => {}
    }
}

/// A pod needs what its containers need together, or its largest init container if that is more.
fn compute(usage: &mut Usage, spec: &Value) {
    for key in ["requests", "limits"] {
        let mut total: BTreeMap<&str, Quantity> = BTreeMap::new();
        for container in items(spec, "containers") {
            for (name, value) in entries(&container["resources"], key) {
                let sum = total.entry(name).or_insert(Quantity::ZERO);
                *sum = sum.plus(amount(value).unwrap_or(Quantity::ZERO));
            }
        }
        for container in items(spec, "initContainers") {
            for (name, value) in entries(&container["resources"], key) {
                let most = total.entry(name).or_insert(Quantity::ZERO);
                *most = (*most).max(amount(value).unwrap_or(Quantity::ZERO));
            }
        }
        for (name, sum) in total {
            usage.insert(format!("{key}.{name}"), sum);
            if key == "requests" && ["cpu", "memory", "ephemeral-storage"].contains(&name) {
                usage.insert(name.to_owned(), sum);
            }
        }
    }
}

/// The sum of two usages.
pub fn add(total: &mut Usage, more: &Usage) {
    for (name, amount) in more {
        let sum = total.entry(name.clone()).or_insert(Quantity::ZERO);
        *sum = sum.plus(*amount);
    }
}

/// The `status` of a quota over what is used.
pub fn status(quota: &Value, used: &Usage) -> Value {
    let mut amounts = Map::new();
    for (name, _) in entries(&quota["spec"], "hard") {
        let amount = used.get(name).copied().unwrap_or(Quantity::ZERO);
        amounts.insert(name.clone(), amount.to_string().into());
    }
    let mut status = Map::new();
    if !amounts.is_empty() {
        status.insert("hard".to_owned(), quota["spec"]["hard"].clone());
        status.insert("used".to_owned(), amounts.into());
    }
    status.into()
}

/// Why a quota refuses a new object: what it must say and does not, or what would be too much. `used` is without it.
pub fn refusal(quota: &Value, resource: &Resource, object: &Value, used: &Usage) -> Option<String> {
    // Scoped quotas select pods by rules that this server does not weigh.
    if has(&quota["spec"], "scopes") || has(&quota["spec"], "scopeSelector") {
        return None;
    }
    let name = text(&quota["metadata"], "name");
    let is_pod = resource.group.is_empty() && resource.plural == "pods";
    if let Some(missing) = is_pod.then(|| unspecified(quota, &object["spec"])).flatten() {
        return Some(format!("failed quota: {name}: must specify {missing}"));
    }
    let asked = of(resource, object);
    let mut over = [Vec::new(), Vec::new(), Vec::new()];
    for (key, value) in entries(&quota["spec"], "hard") {
        let (Some(hard), Some(more)) = (amount(value), asked.get(key)) else { continue };
        let before = used.get(key).copied().unwrap_or(Quantity::ZERO);
        if before.plus(*more) > hard && !more.is_zero() {
            for (list, amount) in over.iter_mut().zip([*more, before, hard]) {
                list.push(format!("{key}={amount}"));
            }
        }
    }
    let [more, before, hard] = over.map(|list| list.join(","));
    (!more.is_empty()).then(|| format!("exceeded quota: {name}, requested: {more}, used: {before}, limited: {hard}"))
}

/// A quota on compute resources is only fair when every container says what it needs.
fn unspecified(quota: &Value, spec: &Value) -> Option<String> {
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, _) in entries(&quota["spec"], "hard") {
        let (list, resource) = match key.split_once('.') {
            Some(("limits", resource)) => ("limits", resource),
            Some(("requests", "storage")) | None if !["cpu", "memory"].contains(&key.as_str()) => continue,
            Some(("requests", resource)) => ("requests", resource),
            Some(_) => continue,
            None => ("requests", key.as_str()),
        };
        for container in items(spec, "containers").iter().chain(items(spec, "initContainers")) {
            if !has(&container["resources"][list], resource) {
                missing.entry(key).or_default().insert(text(container, "name"));
            }
        }
    }
    let parts: Vec<String> = missing
        .into_iter()
        .map(|(key, names)| format!("{key} for: {}", names.into_iter().collect::<Vec<_>>().join(",")))
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
