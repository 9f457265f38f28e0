//! Running the hooks of a phase, one after the other.

use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, Preconditions},
    core::ApiResource,
    runtime::wait,
};
use serde_json::Value;

use super::{Delete, Hook, Hooks, Phase};
use crate::{
    config::Unit,
    error::{Error, Result},
    plan::{ObjectRef, apply_params, ownership, refused, request},
    rollout,
    ui::Step,
};

/// What the cluster needs on top of a Job's own deadline until it says that it has passed.
const GRACE: Duration = Duration::from_secs(15);

/// Runs the hooks of a phase one after the other, each to its end. Returns what was done, in a few words.
///
/// A Job of the same name that an earlier run left is deleted first, with its pods; also one that still runs, because
/// whoever waited for it is gone.
///
/// # Errors
/// A Job fails, or has not ended at its deadline: `spec.activeDeadlineSeconds`, or else the environment's for a
/// rollout. With the last lines of its log. A Job of that name is not this service's.
pub async fn run(client: &Client, unit: Unit<'_>, phase: Phase, hooks: &Hooks, step: &Step) -> Result<String> {
    let mut done = Vec::new();
    for hook in hooks.0.iter().filter(|hook| hook.phase == phase) {
        let began = Instant::now();
        let object = hook.reference(unit);
        step.update(format!("{phase} {object}"));
        if one(client, unit, hook, &object, step).await? {
            done.push(format!("{} in {:.1}s", object.name, began.elapsed().as_secs_f64()));
        } else {
            done.push(format!("{} has run before", object.name));
        }
    }
    Ok(if done.is_empty() { "no hooks".to_owned() } else { done.join(", ") })
}

/// Runs one; false if it need not run again.
async fn one(client: &Client, unit: Unit<'_>, hook: &Hook, object: &ObjectRef, step: &Step) -> Result<bool> {
    let namespace = object.namespace.as_deref().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<Job>(&()));
    let live = request::words(format!("look at {object}"), request::retry(|| api.get_opt(&object.name)).await)?;
    let timeout = timeout(hook.object.value(), unit.environment.rollout.timeout);
    if let Some(live) = live {
        if live.labels().get(ownership::ID) != Some(&ownership::id(unit)) {
            return Err(Error::failed(format!(
                "{} hook {object}: there is such a Job, and it is none of ours",
                hook.phase
            ))
            .hint(format!(
                "give the hook another name, or: kubectl delete job --namespace {namespace} {}",
                object.name
            )));
        }
        if hook.delete == Delete::Never && has_succeeded(&live) {
            return Ok(false);
        }
        step.update(format!("{} {object}: deleting the one before", hook.phase));
        remove(&api, object, &live, timeout).await?;
    }
    let mut desired = hook.object.value().clone();
    desired["metadata"]["namespace"] = namespace.into();
    ownership::mark(&mut desired, &ownership::id(unit));
    let (params, patch) = (apply_params(false), Patch::Apply(&desired));
    let applied = request::retry(|| api.patch(&object.name, &params, &patch)).await;
    let applied = match applied {
        Ok(applied) => applied,
        Err(error) => {
            let doing = format!("run the {} hook", hook.phase);
            return Err(refused(client, &hook.object, &desired, object, &doing, &error).await);
        }
    };
    step.update(format!("{} {object}", hook.phase));
    let doing = format!("{} hook", hook.phase);
    rollout::wait_for(client, unit, std::slice::from_ref(object), (&doing, timeout), step).await?;
    if hook.delete == Delete::Succeeded {
        remove(&api, object, &applied, timeout).await?;
    }
    Ok(true)
}

/// How long the hook may take.
fn timeout(job: &Value, default: Duration) -> Duration {
    job["spec"]["activeDeadlineSeconds"].as_u64().map_or(default, |seconds| Duration::from_secs(seconds) + GRACE)
}

fn has_succeeded(job: &DynamicObject) -> bool {
    let conditions = job.data["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Complete" && condition["status"] == "True")
}

/// Deletes a Job and waits until it and its pods are gone.
async fn remove(api: &Api<DynamicObject>, object: &ObjectRef, live: &DynamicObject, timeout: Duration) -> Result<()> {
    let uid = live.uid().unwrap_or_default();
    // In the foreground: the Job stays until its pods are gone.
    let params =
        DeleteParams::foreground().preconditions(Preconditions { uid: Some(uid.clone()), resource_version: None });
    match request::found(request::retry(|| api.delete(&object.name, &params)).await) {
        Ok(_) => {}
        // Somebody else was faster: another one of the name is not ours to delete.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(request::failed(format!("delete {object}"), &error)),
    }
    let gone = wait::await_condition(api.clone(), &object.name, wait::conditions::is_deleted(&uid));
    match tokio::time::timeout(timeout, gone).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Error::failed(format!("wait until {object} is gone")).source(&error)),
        Err(_) => {
            let message = format!("delete {object}: it or its pods are still there after {} s", timeout.as_secs());
            Err(Error::timed_out(message).hint("something holds its finalizers: kubectl get -o yaml shows them"))
        }
    }
}
