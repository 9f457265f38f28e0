//! What admission adds to pods and says about them.

use serde_json::{Value, json};

use super::super::{
    limits, pod,
    pod_security::{self, Level},
    usage,
};

fn records(suite: &str) -> Vec<Value> {
    let path = format!("{}/tests/golden/recordings/{suite}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn step(suite: &str, name: &str) -> Value {
    records(suite).into_iter().find(|record| record["step"]["name"] == name).unwrap()
}

#[test]
fn a_hardened_pod_violates_nothing() {
    let record = step("policy", "psa-allowed");
    assert_eq!(pod_security::violations(Level::Restricted, &record["step"]["body"]["spec"]), Vec::<String>::new());
}

#[test]
fn refusals_are_worded_as_recorded() {
    for name in ["psa-enforced", "psa-enforced-privileged"] {
        let record = step("policy", name);
        let sentence = pod_security::sentence(Level::Restricted, &record["step"]["body"]["spec"]).unwrap();
        let message = record["answer"]["body"]["message"].as_str().unwrap();
        assert!(message.ends_with(&format!(" is forbidden: violates {sentence}")), "{sentence}");
    }
}

#[test]
fn warnings_about_workloads_are_worded_as_recorded() {
    for name in ["psa-deployment-only-warned", "psa-warn-deployment", "psa-warn"] {
        let record = step("policy", name);
        let body = &record["step"]["body"];
        let spec = pod_security::pod_spec(body["kind"].as_str().unwrap(), body).unwrap();
        let sentence = pod_security::sentence(Level::Restricted, spec).unwrap();
        let quoted = format!("299 - {}", json!(format!("would violate {sentence}")));
        assert_eq!(record["answer"]["warning"], json!([quoted]));
    }
}

#[test]
fn baseline_names_what_leads_out_of_the_container() {
    let spec = json!({
        "hostIPC": true,
        "containers": [
            {"name": "a", "securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}},
            {"name": "b", "securityContext": {"privileged": true, "seccompProfile": {"type": "Unconfined"}}},
        ],
        "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
        "securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]},
    });
    assert_eq!(
        pod_security::violations(Level::Baseline, &spec),
        [
            "host namespaces (hostIPC=true)",
            "privileged (container \"b\" must not set securityContext.privileged=true)",
            "forbidden sysctls (kernel.msgmax)",
            "non-default capabilities (container \"a\" must not include \"SYS_ADMIN\" in \
             securityContext.capabilities.add)",
            "hostPath volumes (volume \"v\")",
            "seccompProfile (container \"b\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ]
    );
    assert!(pod_security::violations(Level::Privileged, &spec).is_empty());
}

#[test]
fn several_containers_are_named_in_the_plural() {
    let spec = json!({"containers": [{"name": "a"}, {"name": "b"}]});
    let found = pod_security::violations(Level::Restricted, &spec);
    assert!(found[0].contains("(containers \"a\", \"b\" must set securityContext.allowPrivilegeEscalation=false)"));
}

/// A pod as the recordings show it after its creation, without what the scheduler and the random name put in.
#[test]
fn a_pod_is_completed_as_recorded() {
    let recorded = step("deployments", "crash-loop")["answer"]["body"]["spec"].clone();
    let body = step("deployments", "crash")["step"]["body"].clone();
    let mut object = super::created(&body);
    pod::admit(&mut object, Some(&json!({})));
    let mut spec = object["spec"].clone();
    let name = spec["volumes"][0]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("kube-api-access-") && name.len() == "kube-api-access-".len() + 5);
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], *name);
    spec["nodeName"] = "<node>".into();
    let text = spec.to_string().replace(&name, "kube-api-access-<gen>");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), recorded);
}

#[test]
fn the_token_is_not_mounted_where_pod_or_account_say_so() {
    let bare = json!({"spec": {"containers": [{"name": "a"}]}});
    let off = json!({"automountServiceAccountToken": false});
    let mut object = bare.clone();
    pod::admit(&mut object, Some(&off));
    assert!(object["spec"]["volumes"].is_null());
    let mut object = bare.clone();
    object["spec"]["automountServiceAccountToken"] = false.into();
    pod::admit(&mut object, None);
    assert!(object["spec"]["volumes"].is_null());
    // What the pod says goes before what the account says.
    let mut object = bare;
    object["spec"]["automountServiceAccountToken"] = true.into();
    pod::admit(&mut object, Some(&off));
    assert!(object["spec"]["volumes"].is_array());
}

#[test]
fn tolerations_of_the_pod_itself_are_kept() {
    let own = json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
        "tolerationSeconds": 5});
    let mut object = json!({"spec": {"containers": [], "tolerations": [own]}});
    pod::admit(&mut object, None);
    let list = object["spec"]["tolerations"].as_array().unwrap();
    assert_eq!((list.len(), &list[0], &list[1]["key"]), (2, &own, &json!("node.kubernetes.io/unreachable")));
}

#[test]
fn limit_ranges_complete_and_refuse_as_recorded() {
    let range = step("policy", "limitrange-create")["answer"]["body"].clone();
    for name in ["limitrange-defaults", "limitrange-partial", "limitrange-max", "limitrange-min-and-max"] {
        let record = step("policy", name);
        let resource = super::resource_of(&record["step"]["body"]);
        let mut object = super::decode(&resource, &record["step"]["body"]);
        super::super::set_defaults(&resource, &mut object);
        limits::complete(&mut object, std::slice::from_ref(&range));
        let found = limits::violations(&object, std::slice::from_ref(&range));
        let body = &record["answer"]["body"];
        if record["answer"]["status"] == 201 {
            assert!(found.is_empty(), "{name}: {found:?}");
            assert_eq!(object["metadata"]["annotations"], body["metadata.annotations"], "{name}");
            assert_eq!(object["spec"]["containers"][0]["resources"], body["spec.containers[0].resources"], "{name}");
        } else {
            let message = body["message"].as_str().unwrap();
            for part in found.iter().flat_map(|one| one.split(", ")) {
                assert!(message.contains(part), "{name}: {part}");
            }
            assert_eq!(found.len(), message.matches("usage per").count(), "{name}: {found:?}");
        }
    }
}

#[test]
fn quality_of_service_follows_requests_and_limits() {
    let class = |resources: Value| pod::quality_of_service(&json!({"containers": [{"resources": resources}]}));
    let both = json!({"cpu": "1", "memory": "1Gi"});
    assert_eq!(class(json!({})), "BestEffort");
    assert_eq!(class(json!({"requests": {"cpu": "1"}})), "Burstable");
    assert_eq!(class(json!({"limits": both, "requests": both})), "Guaranteed");
    assert_eq!(class(json!({"limits": both, "requests": {"cpu": "500m", "memory": "1Gi"}})), "Burstable");
    assert_eq!(class(json!({"requests": {"ephemeral-storage": "1Gi"}})), "BestEffort");
}

#[test]
fn quotas_refuse_as_recorded() {
    let quota = step("policy", "quota-create")["answer"]["body"].clone();
    let pods = super::resource("", "v1", "pods").unwrap();
    let mut used = usage::Usage::new();
    let fits = step("policy", "quota-pod-fits")["step"]["body"].clone();
    assert_eq!(usage::refusal(&quota, &pods, &fits, &used), None);
    usage::add(&mut used, &usage::of(&pods, &fits));
    let map = super::resource("", "v1", "configmaps").unwrap();
    for _ in 0..2 {
        usage::add(&mut used, &usage::of(&map, &json!({})));
    }
    assert_eq!(usage::status(&quota, &used), step("policy", "quota-used")["answer"]["body"]["status"]);
    for name in ["must-specify", "exceeded-cpu", "exceeded-two", "configmap-exceeded", "nodeport"] {
        let record = step("policy", &format!("quota-{name}"));
        let object = super::created(&record["step"]["body"]);
        let why = usage::refusal(&quota, &super::resource_of(&object), &object, &used).unwrap();
        let message = record["answer"]["body"]["message"].as_str().unwrap();
        assert!(message.ends_with(&format!(" is forbidden: {why}")), "{name}: {why}");
    }
    // What has ended holds no room any more.
    let mut ended = fits;
    ended["status"] = json!({"phase": "Succeeded"});
    assert!(!usage::of(&pods, &ended).contains_key("pods"));
}
