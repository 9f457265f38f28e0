//! One row of a table, as `pkg/printers/internalversion/printers.go` fills it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::meta,
    network::{endpoints, ingress, service},
    pod,
    words::{
        NONE, age, condition, count, duration, each, first_of, items, labels, number, selector, text_or_none,
        text_or_unset,
    },
};
use crate::resource::Resource;

/// The cells of an object.
pub(super) fn of(resource: &Resource, object: &Value, now: Timestamp) -> Value {
    let metadata = &object["metadata"];
    let (spec, status) = (&object["spec"], &object["status"]);
    let name = &metadata["name"];
    let age = age(&metadata["creationTimestamp"], now);
    match resource.storage.as_str() {
        "pods" => pod::cells(object, now),
        "deployments.apps" => {
            let ready = format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"]));
            let (updated, available) = (number(&status["updatedReplicas"]), number(&status["availableReplicas"]));
            let (names, images) = template(&spec["template"]);
            json!([name, ready, updated, available, age, names, images, selector(&spec["selector"])])
        }
        "replicasets.apps" | "replicationcontrollers" => {
            let (names, images) = template(&spec["template"]);
            let (current, ready) = (number(&status["replicas"]), number(&status["readyReplicas"]));
            json!([name, number(&spec["replicas"]), current, ready, age, names, images, selector(&spec["selector"])])
        }
        "statefulsets.apps" => {
            let ready = format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"]));
            let (names, images) = template(&spec["template"]);
            json!([name, ready, age, names, images])
        }
        "daemonsets.apps" => {
            let (names, images) = template(&spec["template"]);
            json!([
                name,
                number(&status["desiredNumberScheduled"]),
                number(&status["currentNumberScheduled"]),
                number(&status["numberReady"]),
                number(&status["updatedNumberScheduled"]),
                number(&status["numberAvailable"]),
                labels(&spec["template"]["spec"]["nodeSelector"]),
                age,
                names,
                images,
                selector(&spec["selector"]),
            ])
        }
        "jobs.batch" => job(object, age, now),
        "cronjobs.batch" => {
            let (names, images) = template(&spec["jobTemplate"]["spec"]["template"]);
            let suspended = if spec["suspend"] == true { "True" } else { "False" };
            let last = match &status["lastScheduleTime"] {
                Value::Null => NONE.to_owned(),
                time => super::words::age(time, now),
            };
            let chosen = selector(&spec["jobTemplate"]["spec"]["selector"]);
            let active = count(&status["active"]);
            let zone = text_or_none(&spec["timeZone"]);
            json!([name, spec["schedule"], zone, suspended, active, last, age, names, images, chosen])
        }
        "services" => service(object, age),
        "endpointslices.discovery.k8s.io" => {
            let ports: Vec<String> = items(&object["ports"]).iter().map(|port| text_or_none(&port["port"])).collect();
            let addresses: Vec<String> = items(&object["endpoints"])
                .iter()
                .flat_map(|endpoint| items(&endpoint["addresses"]))
                .filter_map(|address| address.as_str().map(str::to_owned))
                .collect();
            let shown = |list: Vec<String>| if list.is_empty() { "<unset>".to_owned() } else { first_of(&list, 3) };
            json!([name, object["addressType"], shown(ports), shown(addresses), age])
        }
        "endpoints" => json!([name, endpoints(object), age]),
        "ingresses.networking.k8s.io" => ingress(object, age),
        "ingressclasses.networking.k8s.io" => {
            let parameters = &spec["parameters"];
            let parameters = match (parameters["kind"].as_str(), parameters["name"].as_str()) {
                (Some(kind), Some(name)) => match parameters["apiGroup"].as_str() {
                    Some(group) => format!("{kind}.{group}/{name}"),
                    None => format!("{kind}/{name}"),
                },
                _ => NONE.to_owned(),
            };
            json!([name, spec["controller"], parameters, age])
        }
        "networkpolicies.networking.k8s.io" => json!([name, selector(&spec["podSelector"]), age]),
        "configmaps" => json!([name, count(&object["data"]) + count(&object["binaryData"]), age]),
        "secrets" => json!([name, object["type"], count(&object["data"]), age]),
        "namespaces" => json!([name, status["phase"], age]),
        "nodes" => node(object, age),
        "events" => event(resource, object, now),
        "horizontalpodautoscalers.autoscaling" => autoscaler(object, age),
        "poddisruptionbudgets.policy" => {
            let bound = |value: &Value| if value.is_null() { "N/A".to_owned() } else { text_or_none(value) };
            let allowed = number(&status["disruptionsAllowed"]);
            json!([name, bound(&spec["minAvailable"]), bound(&spec["maxUnavailable"]), allowed, age])
        }
        "leases.coordination.k8s.io" => json!([name, spec["holderIdentity"].as_str().unwrap_or_default(), age]),
        "priorityclasses.scheduling.k8s.io" => {
            json!([name, object["value"], object["globalDefault"] == true, age, object["preemptionPolicy"]])
        }
        "storageclasses.storage.k8s.io" => {
            let default = &metadata["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
            let shown = format!("{}{}", name.as_str().unwrap_or_default(), if default { " (default)" } else { "" });
            let expands = object["allowVolumeExpansion"] == true;
            let policy = text_or_none(&object["reclaimPolicy"]);
            json!([shown, object["provisioner"], policy, text_or_none(&object["volumeBindingMode"]), expands, age])
        }
        "controllerrevisions.apps" => {
            let owners = items(&metadata["ownerReferences"]);
            let controller = owners.iter().find(|owner| owner["controller"] == true).map_or_else(
                || NONE.to_owned(),
                |owner| {
                    let kind = owner["kind"].as_str().unwrap_or_default().to_lowercase();
                    let group = owner["apiVersion"].as_str().unwrap_or_default().split_once('/').map(|parts| parts.0);
                    let name = owner["name"].as_str().unwrap_or_default();
                    group.map_or_else(|| format!("{kind}/{name}"), |group| format!("{kind}.{group}/{name}"))
                },
            );
            json!([name, controller, object["revision"], age])
        }
        "persistentvolumeclaims" => {
            let phase = if metadata["deletionTimestamp"].is_null() { &status["phase"] } else { &json!("Terminating") };
            json!([
                name,
                phase,
                spec["volumeName"].as_str().unwrap_or_default(),
                status["capacity"]["storage"].as_str().unwrap_or_default(),
                access_modes(&status["accessModes"]),
                spec["storageClassName"].as_str().unwrap_or_default(),
                text_or_unset(&spec["volumeAttributesClassName"]),
                age,
                text_or_unset(&spec["volumeMode"]),
            ])
        }
        "persistentvolumes" => {
            let claim = match (spec["claimRef"]["namespace"].as_str(), spec["claimRef"]["name"].as_str()) {
                (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
                _ => String::new(),
            };
            let phase = if metadata["deletionTimestamp"].is_null() { &status["phase"] } else { &json!("Terminating") };
            json!([
                name,
                spec["capacity"]["storage"].as_str().unwrap_or_default(),
                access_modes(&spec["accessModes"]),
                text_or_none(&spec["persistentVolumeReclaimPolicy"]),
                phase,
                claim,
                spec["storageClassName"].as_str().unwrap_or_default(),
                text_or_unset(&spec["volumeAttributesClassName"]),
                status["reason"].as_str().unwrap_or_default(),
                age,
                text_or_unset(&spec["volumeMode"]),
            ])
        }
        "resourcequotas" => quota(object, age),
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => {
            let role = &object["roleRef"];
            let role = format!("{}/{}", text_or_none(&role["kind"]), text_or_none(&role["name"]));
            let subjects = |kind: &str| -> String {
                let subjects = items(&object["subjects"]).iter().filter(|subject| subject["kind"] == kind);
                let name = |subject: &Value| match subject["namespace"].as_str() {
                    Some(namespace) => format!("{namespace}/{}", text_or_none(&subject["name"])),
                    None => text_or_none(&subject["name"]),
                };
                subjects.map(name).collect::<Vec<_>>().join(", ")
            };
            json!([name, role, age, subjects("User"), subjects("Group"), subjects("ServiceAccount")])
        }
        "roles.rbac.authorization.k8s.io"
        | "clusterroles.rbac.authorization.k8s.io"
        | "limitranges"
        | "customresourcedefinitions.apiextensions.k8s.io" => json!([name, metadata["creationTimestamp"]]),
        "podtemplates" => {
            let (names, images) = template(&object["template"]);
            json!([name, names, images, labels(&object["template"]["metadata"]["labels"])])
        }
        _ => json!([name, age]),
    }
}

/// Names and images of a template's containers.
fn template(template: &Value) -> (String, String) {
    let containers = &template["spec"]["containers"];
    (each(containers, "name").join(","), each(containers, "image").join(","))
}

fn job(job: &Value, age: String, now: Timestamp) -> Value {
    let (spec, status) = (&job["spec"], &job["status"]);
    let state = if condition(status, "Complete") {
        "Complete"
    } else if condition(status, "Failed") {
        "Failed"
    } else if !job["metadata"]["deletionTimestamp"].is_null() {
        "Terminating"
    } else if condition(status, "Suspended") {
        "Suspended"
    } else if condition(status, "FailureTarget") {
        "FailureTarget"
    } else if condition(status, "SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    };
    let succeeded = number(&status["succeeded"]);
    let completions = match (spec["completions"].as_i64(), spec["parallelism"].as_i64()) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, Some(parallel)) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        _ => format!("{succeeded}/1"),
    };
    let took = meta::parse_time(&status["startTime"]).map_or_else(String::new, |start| {
        let end = meta::parse_time(&status["completionTime"]).unwrap_or(now);
        duration(end.as_second() - start.as_second())
    });
    let (names, images) = template(&spec["template"]);
    json!([job["metadata"]["name"], state, completions, took, age, names, images, selector(&spec["selector"])])
}

fn node(node: &Value, age: String) -> Value {
    const ROLE: &str = "node-role.kubernetes.io/";
    let (metadata, status) = (&node["metadata"], &node["status"]);
    let ready = items(&status["conditions"]).iter().find(|condition| condition["type"] == "Ready");
    let mut state = match ready {
        None => "Unknown",
        Some(ready) if ready["status"] == "True" => "Ready",
        Some(_) => "NotReady",
    }
    .to_owned();
    if node["spec"]["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let keys = metadata["labels"].as_object().into_iter().flatten().map(|(key, _)| key);
    let mut roles: Vec<&str> = keys.filter_map(|key| key.strip_prefix(ROLE)).filter(|role| !role.is_empty()).collect();
    roles.sort_unstable();
    let roles = if roles.is_empty() { NONE.to_owned() } else { roles.join(",") };
    let address = |kind: &str| {
        let found = items(&status["addresses"]).iter().find(|address| address["type"] == kind);
        found.map_or_else(|| NONE.to_owned(), |address| text_or_none(&address["address"]))
    };
    let info = |field: &str| match status["nodeInfo"][field].as_str() {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => "<unknown>".to_owned(),
    };
    json!([
        metadata["name"],
        state,
        roles,
        age,
        status["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default(),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ])
}

fn event(resource: &Resource, event: &Value, now: Timestamp) -> Value {
    let core = resource.group.is_empty();
    let field = |in_core: &str, in_events: &str| &event[if core { in_core } else { in_events }];
    let object = field("involvedObject", "regarding");
    let target = match (object["kind"].as_str(), object["name"].as_str()) {
        (Some(kind), Some(name)) => format!("{}/{name}", kind.to_lowercase()),
        (Some(kind), None) => kind.to_lowercase(),
        _ => String::new(),
    };
    let times = [field("firstTimestamp", "deprecatedFirstTimestamp"), &event["eventTime"]];
    let first = times.into_iter().find(|time| !time.is_null()).unwrap_or(&Value::Null);
    let times = [&event["series"]["lastObservedTime"], field("lastTimestamp", "deprecatedLastTimestamp"), first];
    let last = times.into_iter().find(|time| !time.is_null()).unwrap_or(&Value::Null);
    let counts = [event["series"]["count"].as_i64(), field("count", "deprecatedCount").as_i64()];
    let times_seen = counts.into_iter().flatten().find(|count| *count > 0).unwrap_or(1);
    let source = field("source", "deprecatedSource");
    let component = source["component"].as_str().filter(|component| !component.is_empty());
    let component = component.or(field("reportingComponent", "reportingController").as_str()).unwrap_or_default();
    let source = match source["host"].as_str().filter(|host| !host.is_empty()) {
        Some(host) => format!("{component}, {host}"),
        None => component.to_owned(),
    };
    json!([
        age(last, now),
        event["type"],
        event["reason"],
        target,
        object["fieldPath"].as_str().unwrap_or_default(),
        source,
        field("message", "note").as_str().unwrap_or_default().trim(),
        age(first, now),
        times_seen,
        event["metadata"]["name"],
    ])
}

fn autoscaler(object: &Value, age: String) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    let target = &spec["scaleTargetRef"];
    let reference = format!("{}/{}", text_or_none(&target["kind"]), text_or_none(&target["name"]));
    let metrics: Vec<String> = items(&spec["metrics"])
        .iter()
        .enumerate()
        .map(|(index, metric)| metric_text(metric, items(&status["currentMetrics"]).get(index)))
        .collect();
    let metrics = match metrics.len() {
        0 => NONE.to_owned(),
        1 | 2 => metrics.join(", "),
        more => format!("{} + {} more...", metrics[..2].join(", "), more - 2),
    };
    let least = text_or_unset(&spec["minReplicas"]);
    json!([
        object["metadata"]["name"],
        reference,
        metrics,
        least,
        number(&spec["maxReplicas"]),
        number(&status["currentReplicas"]),
        age
    ])
}

fn metric_text(metric: &Value, current: Option<&Value>) -> String {
    let kind = metric["type"].as_str().unwrap_or_default();
    // The field is named like the type: Resource, ContainerResource, Pods, Object, External.
    let field = kind
        .chars()
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_ascii_lowercase(), &kind[first.len_utf8()..]));
    let goal = &metric[&field]["target"];
    let now = current.map_or(&Value::Null, |current| &current[&field]["current"]);
    let shown = |value: &Value, percent: bool| match value {
        Value::Null => "<unknown>".to_owned(),
        value if percent => format!("{value}%"),
        value => text_or_none(value),
    };
    let pair = if goal["averageUtilization"].is_null() {
        let by = if goal["averageValue"].is_null() { "value" } else { "averageValue" };
        format!("{}/{}", shown(&now[by], false), shown(&goal[by], false))
    } else {
        format!("{}/{}", shown(&now["averageUtilization"], true), shown(&goal["averageUtilization"], true))
    };
    match metric[&field]["name"].as_str().filter(|_| field == "resource" || field == "containerResource") {
        Some(name) => format!("{name}: {pair}"),
        None => pair,
    }
}

fn access_modes(modes: &Value) -> String {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    items(modes).iter().map(short).collect::<Vec<_>>().join(",")
}

fn quota(quota: &Value, age: String) -> Value {
    let hard = quota["status"]["hard"].as_object();
    let mut parts: [Vec<String>; 2] = [Vec::new(), Vec::new()];
    for (name, most) in hard.into_iter().flatten() {
        let used = text_or_none(&quota["status"]["used"][name]);
        parts[usize::from(name.starts_with("limits"))].push(format!("{name}: {used}/{}", text_or_none(most)));
    }
    json!([quota["metadata"]["name"], parts[0].join(", "), parts[1].join(", "), age])
}
