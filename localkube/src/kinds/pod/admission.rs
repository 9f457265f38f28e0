//! What admission adds to a new pod: the service account and its token, default tolerations, priority.

use rand::Rng;
use serde_json::{Value, json};

use super::super::{
    resources::amount,
    value::{default, entries, has, items, make, text},
};

/// Where containers find the credentials of their service account.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long a pod stays on a node that is not ready or not reachable, in seconds.
const TOLERATION_SECONDS: i64 = 300;
/// How long the mounted token is valid, in seconds: an hour, and seven to tell it from one that was asked for.
const TOKEN_SECONDS: i64 = 3607;

/// Completes a new pod as the admission plugins ServiceAccount, DefaultTolerationSeconds and Priority do.
/// `service_account` is the pod's, when it exists: it may turn off the mounting of its token.
pub fn admit(pod: &mut Value, service_account: Option<&Value>) {
    let account = service_account.unwrap_or(&Value::Null);
    let spec = make(pod, "spec");
    if text(spec, "serviceAccountName").is_empty() {
        spec["serviceAccountName"] = "default".into();
    }
    spec["serviceAccount"] = spec["serviceAccountName"].clone();
    if items(spec, "imagePullSecrets").is_empty() && has(account, "imagePullSecrets") {
        spec["imagePullSecrets"] = account["imagePullSecrets"].clone();
    }
    let mount = match (&spec["automountServiceAccountToken"], &account["automountServiceAccountToken"]) {
        (Value::Bool(choice), _) | (_, Value::Bool(choice)) => *choice,
        _ => true,
    };
    if mount {
        mount_token(spec);
    }
    tolerate(spec);
    default(spec, "priority", 0);
    default(spec, "preemptionPolicy", "PreemptLowerPriority");
}

fn mount_token(spec: &mut Value) {
    let found = items(spec, "volumes").iter().find(|volume| text(volume, "name").starts_with("kube-api-access-"));
    let name = match found {
        Some(volume) => text(volume, "name").to_owned(),
        None => format!("kube-api-access-{}", suffix()),
    };
    let mut used = false;
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if items(container, "volumeMounts").iter().any(|mount| mount["mountPath"] == TOKEN_PATH) {
                continue;
            }
            used = true;
            push(container, "volumeMounts", json!({"name": name, "readOnly": true, "mountPath": TOKEN_PATH}));
        }
    }
    let exists = items(spec, "volumes").iter().any(|volume| text(volume, "name") == name);
    if used && !exists {
        let field = json!({"apiVersion": "v1", "fieldPath": "metadata.namespace"});
        let sources = json!([
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
        ]);
        push(spec, "volumes", json!({"name": name, "projected": {"defaultMode": 0o644, "sources": sources}}));
    }
}

fn tolerate(spec: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = items(spec, "tolerations").iter().any(|one| {
            let effect = text(one, "effect");
            [key, ""].contains(&text(one, "key")) && ["NoExecute", ""].contains(&effect)
        });
        if !tolerated {
            let one = json!({"key": key, "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": TOLERATION_SECONDS});
            push(spec, "tolerations", one);
        }
    }
}

fn push(parent: &mut Value, key: &str, item: Value) {
    match parent[key].as_array_mut() {
        Some(list) => list.push(item),
        None => parent[key] = json!([item]),
    }
}

/// Five characters without vowels and without digits that look like letters.
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = rand::rng();
    (0..5).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}

/// `Guaranteed`, `Burstable` or `BestEffort`: who is put out first when a node runs short.
pub fn quality_of_service(spec: &Value) -> &'static str {
    let containers = || items(spec, "initContainers").iter().chain(items(spec, "containers"));
    let counts = |name: &str, value: &Value| {
        ["cpu", "memory"].contains(&name) && amount(value).is_some_and(|one| !one.is_zero())
    };
    let any = containers().any(|one| {
        let resources = &one["resources"];
        entries(resources, "requests").chain(entries(resources, "limits")).any(|(name, value)| counts(name, value))
    });
    if !any {
        return "BestEffort";
    }
    let guaranteed = containers().all(|one| {
        let (requests, limits) = (&one["resources"]["requests"], &one["resources"]["limits"]);
        ["cpu", "memory"].iter().all(|name| {
            counts(name, &limits[*name])
                && (requests[*name].is_null() || amount(&requests[*name]) == amount(&limits[*name]))
        })
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}
