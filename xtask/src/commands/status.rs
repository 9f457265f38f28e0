//! `status`: what runs in an environment.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::workload;
use crate::{
    cli::{Output, Reporting},
    cluster, config,
    error::Result,
    ui::Printer,
    verify,
};

/// Reports the cluster, the Deployment, its pods and the address.
pub(super) async fn run(options: Reporting, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let Some(connection) = cluster::find(&environment).await? else {
        match options.report.output {
            Output::Json => printer.json(&json!({"environment": environment.name, "cluster": null})),
            Output::Text => printer.data(format!("the cluster of {} does not run", environment.name)),
        }
        return Ok(());
    };
    let client = connection.client;
    let deployment = workload::deployment(&client, &environment).await?;
    let pods = workload::pods(&Api::namespaced(client.clone(), &environment.service.namespace), &deployment).await?;
    let url = verify::base_url(&client, &environment).await.ok();
    let deployment = describe_deployment(&deployment);
    let pods: Vec<Value> = pods.iter().map(describe_pod).collect();
    match options.report.output {
        Output::Json => printer.json(&json!({
            "environment": environment.name,
            "cluster": connection.description,
            "deployment": deployment,
            "pods": pods,
            "url": url,
        })),
        Output::Text => {
            printer.data(format!("{}: {}", environment.name, connection.description));
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            printer.data(format!(
                "Deployment {}  {} of {} available  {}",
                text(&deployment["name"]),
                deployment["available"],
                deployment["wanted"],
                text(&deployment["image"])
            ));
            for pod in &pods {
                let ready = if pod["ready"] == true { "ready" } else { "not ready" };
                printer.data(format!(
                    "  pod {:<28} {:<18} {ready:<10} {} restarts",
                    text(&pod["name"]),
                    text(&pod["state"]),
                    pod["restarts"]
                ));
            }
            printer.data(url.unwrap_or_else(|| "no address from outside".into()));
        }
    }
    Ok(())
}

fn describe_deployment(deployment: &Deployment) -> Value {
    let status = deployment.status.clone().unwrap_or_default();
    let spec = deployment.spec.as_ref();
    let image = spec
        .and_then(|spec| spec.template.spec.as_ref())
        .and_then(|spec| spec.containers.first())
        .and_then(|container| container.image.clone());
    json!({
        "name": deployment.name_any(),
        "image": image,
        "wanted": spec.and_then(|spec| spec.replicas).unwrap_or(1),
        "updated": status.updated_replicas.unwrap_or(0),
        "ready": status.ready_replicas.unwrap_or(0),
        "available": status.available_replicas.unwrap_or(0),
    })
}

fn describe_pod(pod: &Pod) -> Value {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    // The reason of a container that waits says more than the pod's phase.
    let waiting =
        containers.iter().filter_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone()).next();
    let phase = if pod.metadata.deletion_timestamp.is_some() { Some("Terminating".to_owned()) } else { status.phase };
    json!({
        "name": pod.name_any(),
        "state": waiting.or(phase),
        "ready": !containers.is_empty() && containers.iter().all(|container| container.ready),
        "restarts": containers.iter().map(|container| container.restart_count).sum::<i32>(),
    })
}
