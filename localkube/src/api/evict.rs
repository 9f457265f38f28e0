//! Eviction: a deletion that PodDisruptionBudgets may forbid (policy/v1).

use axum::response::Response;
use serde_json::{Value, json};

use super::{delete, negotiate::action, options, read, request::Call, respond};
use crate::{
    status::Status,
    store::{Stored, WriteError},
};

const ATTEMPTS: usize = 64;

/// POST of `pods/NAME/eviction`.
pub(super) async fn create(call: &Call) -> Result<Response, Status> {
    let eviction = action(call, "policy/v1", "Eviction")?;
    let name = call.name.as_deref().unwrap_or_default();
    if eviction["metadata"]["name"].as_str().is_some_and(|given| !given.is_empty() && given != name) {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let dry_in_query = options::dry_run(&call.query, "CreateOptions")?;
    let deletion = delete::DeleteOptions::of(call, &eviction["deleteOptions"])?;
    let dry_run = dry_in_query || deletion.dry_run;
    let pod = read::found(call)?.value();
    if counts(&pod) {
        spend(call, &pod, dry_run).await?;
    }
    if !dry_run {
        delete::delete_one(call, name, &deletion).await?;
    }
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(respond::json(201, body.to_string()))
}

/// Budgets protect pods that serve: not those that have ended, that are going, or that have not begun.
fn counts(pod: &Value) -> bool {
    let running = !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"));
    running && pod["metadata"]["deletionTimestamp"].is_null()
}

/// Takes the disruption from the pod's budget, or says that there is none left.
async fn spend(call: &Call, pod: &Value, dry_run: bool) -> Result<(), Status> {
    let namespace = call.namespace.as_deref().unwrap_or_default();
    let store = &call.server.store;
    let labels = store.get(&call.key()).map(|pod| pod.labels.clone()).unwrap_or_default();
    for _ in 0..ATTEMPTS {
        let budgets = store.list("poddisruptionbudgets.policy", Some(namespace)).objects;
        let mut covering = budgets.iter().filter(|budget| covers(&budget.value(), &labels));
        let Some(stored) = covering.next() else { return Ok(()) };
        if covering.next().is_some() {
            let message =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Status::new(500, "InternalError", message));
        }
        let budget = allowed(stored, pod)?;
        let Some(budget) = budget.filter(|_| !dry_run) else { return Ok(()) };
        match store.update(stored.key.clone(), stored.revision, budget).await {
            Ok(_) => return Ok(()),
            Err(WriteError::Disk(why)) => return Err(Status::internal(why)),
            Err(_) => {}
        }
    }
    Err(refused("too many evictions at once", None))
}

/// The budget after the disruption; none where it costs nothing.
fn allowed(stored: &Stored, pod: &Value) -> Result<Option<Value>, Status> {
    let mut budget = stored.value();
    let name = &stored.key.name;
    let status = &budget["status"];
    let number = |field: &str| status[field].as_i64().unwrap_or(0);
    if status["observedGeneration"].as_i64().unwrap_or(0) < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        return Err(refused(&cause, Some(10)));
    }
    let ready = pod["status"]["conditions"].as_array().is_some_and(|conditions| {
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    });
    // IfHealthyBudget: a pod that is not ready may go as long as enough others are healthy; AlwaysAllow: in any case.
    let always = budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
    let enough = number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0;
    if !ready && (always || enough) {
        return Ok(None);
    }
    if number("disruptionsAllowed") <= 0 {
        let (needs, has) = (number("desiredHealthy"), number("currentHealthy"));
        let cause = format!("The disruption budget {name} needs {needs} healthy pods and has {has} currently");
        return Err(refused(&cause, None));
    }
    budget["status"]["disruptionsAllowed"] = (number("disruptionsAllowed") - 1).into();
    Ok(Some(budget))
}

fn refused(cause: &str, retry_seconds: Option<i64>) -> Status {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut details = json!({"causes": [{"reason": "DisruptionBudget", "message": cause}]});
    if let Some(seconds) = retry_seconds {
        details["retryAfterSeconds"] = seconds.into();
    }
    Status::new(429, "TooManyRequests", message).with_details(details)
}

/// Whether a budget's selector covers a pod; an empty one covers all.
fn covers(budget: &Value, labels: &[(String, String)]) -> bool {
    let selector = &budget["spec"]["selector"];
    if !selector.is_object() {
        return false;
    }
    super::selector::matches_selector(selector, labels)
}
