//! What the LimitRanges of a namespace do to a new pod (`plugin/pkg/admission/limitranger`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    quantity::Quantity,
    resources::amount,
    value::{entries, items, make, text},
};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Gives containers the requests and limits that they leave out, and notes it in an annotation.
pub fn complete(pod: &mut Value, ranges: &[Value]) {
    let mut notes = Vec::new();
    for (list, sort) in [("containers", "container"), ("initContainers", "init container")] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let name = text(container, "name").to_owned();
            for (key, from, word) in [("requests", "defaultRequest", "request"), ("limits", "default", "limit")] {
                let set = inherit(make(container, "resources"), key, &defaults(ranges, from));
                if !set.is_empty() {
                    notes.push(format!("{} {word} for {sort} {name}", set.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        make(make(pod, "metadata"), "annotations")[ANNOTATION] = note.into();
    }
}

fn defaults(ranges: &[Value], key: &str) -> BTreeMap<String, Value> {
    let of_containers = |range: &Value| -> Vec<(String, Value)> {
        let limits = items(&range["spec"], "limits").iter().filter(|item| text(item, "type") == "Container");
        limits.flat_map(|item| entries(item, key)).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    ranges.iter().flat_map(of_containers).collect()
}

fn inherit(resources: &mut Value, key: &str, defaults: &BTreeMap<String, Value>) -> Vec<String> {
    if defaults.is_empty() {
        return Vec::new();
    }
    if !resources[key].is_object() {
        resources[key] = Value::Object(Map::new());
    }
    let missing = |name: &&String| resources[key][name.as_str()].is_null();
    let set: Vec<String> = defaults.keys().filter(missing).cloned().collect();
    for name in &set {
        resources[key][name.as_str()] = defaults[name].clone();
    }
    set
}

/// What a pod asks for that a range forbids.
pub fn violations(pod: &Value, ranges: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    let spec = &pod["spec"];
    for item in ranges.iter().flat_map(|range| items(&range["spec"], "limits")) {
        match text(item, "type") {
            "Container" => {
                for container in items(spec, "containers").iter().chain(items(spec, "initContainers")) {
                    let of = |key: &str, name: &str| amount(&container["resources"][key][name]);
                    check(&mut found, item, "Container", &of);
                }
            }
            "Pod" => {
                let of = |key: &str, name: &str| {
                    let all = items(spec, "containers").iter();
                    all.filter_map(|one| amount(&one["resources"][key][name])).reduce(Quantity::plus)
                };
                check(&mut found, item, "Pod", &of);
            }
            _ => {}
        }
    }
    found
}

fn check(found: &mut Vec<String>, item: &Value, sort: &str, of: &dyn Fn(&str, &str) -> Option<Quantity>) {
    for (name, value) in entries(item, "min") {
        let Some(least) = amount(value) else { continue };
        let rule = format!("minimum {name} usage per {sort} is {least}");
        match (of("requests", name), of("limits", name)) {
            (None, _) => found.push(format!("{rule}.  No request is specified")),
            (Some(request), _) if request < least => found.push(format!("{rule}, but request is {request}")),
            (_, Some(limit)) if limit < least => found.push(format!("{rule}, but limit is {limit}")),
            _ => {}
        }
    }
    for (name, value) in entries(item, "max") {
        let Some(most) = amount(value) else { continue };
        let rule = format!("maximum {name} usage per {sort} is {most}");
        match (of("limits", name), of("requests", name)) {
            (None, _) => found.push(format!("{rule}.  No limit is specified")),
            (Some(limit), _) if limit > most => found.push(format!("{rule}, but limit is {limit}")),
            (_, Some(request)) if request > most => found.push(format!("{rule}, but request is {request}")),
            _ => {}
        }
    }
    for (name, value) in entries(item, "maxLimitRequestRatio") {
        let (Some(most), Some(limit), Some(request)) = (amount(value), of("limits", name), of("requests", name)) else {
            continue;
        };
        let ratio = limit.ratio(request);
        if ratio > most.ratio(Quantity::count(1)) {
            found.push(format!(
                "{name} max limit to request ratio per {sort} is {most}, but provided ratio is {ratio:.6}"
            ));
        }
    }
}
