//! `status`: what runs in an environment.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, ResourceExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::{each, history, workload};
use crate::{
    cli::{Output, Reporting},
    cluster::{self, Connection},
    config::{self, Unit},
    error::Result,
    release::{Entry, Ledger},
    ui::Printer,
    verify,
};

/// What runs of one service.
#[derive(Debug, Serialize)]
struct Status<'a> {
    environment: &'a str,
    cluster: &'a str,
    deployment: Value,
    pods: Vec<Value>,
    url: Option<String>,
    release: Option<Entry>,
}

/// Reports the cluster, and of each service the Deployment, its pods and the address.
pub(super) async fn run(options: Reporting, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let units = environment.select(&options.target.services)?;
    let Some(connection) = cluster::find(&environment).await? else {
        match options.report.output {
            Output::Json => printer.json(&json!({"environment": environment.name, "cluster": null})),
            Output::Text => printer.data(format!("the cluster of {} does not run", environment.name)),
        }
        return Ok(());
    };
    let looked = each::look(&units, async |unit| look(&connection, unit).await).await;
    match options.report.output {
        Output::Json => each::documents(&environment, &looked, printer),
        Output::Text => {
            if looked.iter().any(|(_, found)| found.is_ok()) {
                printer.data(format!("{}: {}", environment.name, connection.description));
            }
            each::sections(&looked, Status::lines, printer);
        }
    }
    each::all(looked).map(drop)
}

async fn look<'a>(connection: &'a Connection, unit: Unit<'a>) -> Result<Status<'a>> {
    let client = &connection.client;
    let deployment = workload::deployment(client, unit).await?;
    let pods = workload::pods(&Api::namespaced(client.clone(), &unit.service.namespace), &deployment).await?;
    let url = verify::base_url(client, unit).await.ok();
    let releases = Ledger::open(client, unit).await?.list().await?;
    Ok(Status {
        environment: &unit.environment.name,
        cluster: &connection.description,
        deployment: describe_deployment(&deployment),
        pods: pods.iter().map(describe_pod).collect(),
        url,
        release: releases.into_iter().next_back(),
    })
}

impl Status<'_> {
    fn lines(&self) -> Vec<String> {
        let Self { deployment, pods, url, release, .. } = self;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut lines = vec![format!(
            "Deployment {}  {} of {} available  {}",
            text(&deployment["name"]),
            deployment["available"],
            deployment["wanted"],
            text(&deployment["image"])
        )];
        if let Some(Entry { header, outcome }) = release {
            let when = history::moment(header.when);
            let (number, who) = (header.number, &header.who);
            lines.push(format!("release {number} {} since {when} UTC, by {who}", outcome.word()));
        }
        lines.extend(pods.iter().map(|pod| {
            let ready = if pod["ready"] == true { "ready" } else { "not ready" };
            let (name, state) = (text(&pod["name"]), text(&pod["state"]));
            format!("  pod {name:<28} {state:<18} {ready:<10} {} restarts", pod["restarts"])
        }));
        lines.push(url.clone().unwrap_or_else(|| "no address from outside".into()));
        lines
    }
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
