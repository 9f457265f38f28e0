//! Subresources that are actions: binding, eviction, finalize, log.

use axum::response::Response;
use serde_json::{Value, json};

use super::{
    connect, convert, evict, log, meta,
    negotiate::action,
    options, read,
    request::Call,
    respond, token,
    write::{self, Ownership, Refused},
};
use crate::status::Status;

const ATTEMPTS: usize = 64;

/// Answers a request about a subresource that is neither status nor scale.
pub(super) async fn serve(call: Call, verb: &str) -> Result<Response, Status> {
    match (call.resource.plural.as_str(), call.subresource.as_deref().unwrap_or_default()) {
        ("pods", "binding") => bind(&call).await,
        ("pods", "eviction") => evict::create(&call).await,
        ("pods", "portforward") => connect::forward(call),
        ("pods", subresource @ ("exec" | "attach")) => connect::process(&call, subresource).await,
        ("pods", "log") => log::serve(&call).await,
        ("serviceaccounts", "token") => token::create(&call),
        ("namespaces", "finalize") => finalize(&call).await,
        (_, subresource) => {
            let message = format!("the subresource {subresource} is not served ({verb})");
            Err(Status::new(501, "NotImplemented", message))
        }
    }
}

/// Changes the object through a function of its present state.
async fn modify(
    call: &Call,
    dry_run: bool,
    ownership: Ownership<'_>,
    change: impl Fn(&Value) -> Result<Value, Status>,
) -> Result<Value, Status> {
    for _ in 0..ATTEMPTS {
        let stored = read::found(call)?;
        let live = convert::shown(&call.resource, &stored);
        let object = change(&live)?;
        match write::replace(call, &stored, &live, object, ownership, dry_run).await {
            Ok(object) => return Ok(object),
            Err(Refused::Status(status)) => return Err(status),
            Err(Refused::Raced) => {}
        }
    }
    Err(meta::modified(call, call.name.as_deref().unwrap_or_default()))
}

/// What the scheduler does: a node for the pod, once.
async fn bind(call: &Call) -> Result<Response, Status> {
    let dry_run = options::dry_run(&call.query, "CreateOptions")?;
    let binding = action(call, "v1", "Binding")?;
    let name = call.name.clone().unwrap_or_default();
    let node = binding["target"]["name"].as_str().unwrap_or_default().to_owned();
    if node.is_empty() {
        return Err(Status::bad_request("the binding names no node"));
    }
    modify(call, dry_run, Ownership::Nobody, |live| {
        if !live["metadata"]["deletionTimestamp"].is_null() {
            let why = format!("pod {name} is being deleted, cannot be assigned to a host");
            return Err(Status::conflict(&call.resource, &name, &why));
        }
        if let Some(assigned) = live["spec"]["nodeName"].as_str().filter(|assigned| !assigned.is_empty()) {
            let why = format!("pod {name} is already assigned to node {assigned:?}");
            return Err(Status::conflict(&call.resource, &name, &why));
        }
        let mut pod = live.clone();
        pod["spec"]["nodeName"] = node.as_str().into();
        set_condition(&mut pod, "PodScheduled");
        Ok(pod)
    })
    .await?;
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(respond::json(201, body.to_string()))
}

fn set_condition(pod: &mut Value, kind: &str) {
    let condition = json!({
        "type": kind,
        "status": "True",
        "observedGeneration": pod["metadata"]["generation"],
        "lastProbeTime": null,
        "lastTransitionTime": meta::time(jiff::Timestamp::now()),
    });
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != kind);
    conditions.push(condition);
    pod["status"]["conditions"] = conditions.into();
}

/// A namespace's own finalizers, which keep it until its content is gone.
async fn finalize(call: &Call) -> Result<Response, Status> {
    let dry_run = options::dry_run(&call.query, "UpdateOptions")?;
    let wanted = action(call, "v1", "Namespace")?;
    meta::check_name(call, &mut wanted.clone())?;
    let manager = call.manager();
    let object = modify(call, dry_run, Ownership::Track(&manager), |live| {
        let mut namespace = live.clone();
        namespace["spec"]["finalizers"] = wanted["spec"]["finalizers"].clone();
        if let Some(spec) = namespace["spec"].as_object_mut().filter(|_| wanted["spec"]["finalizers"].is_null()) {
            spec.remove("finalizers");
        }
        if let Some(version) = wanted["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty()) {
            namespace["metadata"]["resourceVersion"] = version.into();
        }
        Ok(namespace)
    })
    .await?;
    respond::object(call, 200, object, &[])
}
