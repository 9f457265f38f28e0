//! `logs`: what the containers of the service say.

use std::{collections::HashSet, time::Duration};

use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::LogParams};
use tokio::time::{Instant, timeout_at};

use super::workload;
use crate::{
    cli::Logs,
    config,
    error::{Error, Result},
    ui::Printer,
};

/// How soon a pod that comes later is noticed.
const RELIST: Duration = Duration::from_secs(1);

/// Prints the lines of every pod, each behind its pod's name when there are several.
pub(super) async fn run(options: Logs, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let unit = environment.only(&options.target.services)?;
    let client = workload::client(&environment).await?;
    let deployment = workload::deployment(&client, unit).await?;
    let api: Api<Pod> = Api::namespaced(client, &unit.service.namespace);
    let mut seen = HashSet::new();
    let mut streams = FuturesUnordered::new();
    loop {
        let pods = workload::pods(&api, &deployment).await?;
        let several = options.follow || pods.len() > 1;
        for pod in &pods {
            for (container, restarts) in started(pod, options.previous) {
                if seen.insert((pod.uid(), container.clone(), restarts)) {
                    let prefix = if several { format!("{} | ", pod.name_any()) } else { String::new() };
                    streams.push(print(&api, pod.name_any(), container, &options, prefix, printer));
                }
            }
        }
        if !options.follow {
            while streams.try_next().await?.is_some() {}
            return if seen.is_empty() { Err(nothing(&unit.service.name)) } else { Ok(()) };
        }
        let relist = Instant::now() + RELIST;
        // A stream that ends or breaks belongs to a container that ended: the next list tells what came after it.
        while let Ok(Some(_)) = timeout_at(relist, streams.next()).await {}
        tokio::time::sleep_until(relist).await;
    }
}

/// The containers that have something to say, and how often each was restarted.
fn started(pod: &Pod, previous: bool) -> Vec<(String, i32)> {
    let statuses = pod.status.iter().filter_map(|status| status.container_statuses.as_ref()).flatten();
    statuses
        .filter(|status| {
            let state = status.state.as_ref();
            let begun = state.is_some_and(|state| state.running.is_some() || state.terminated.is_some());
            if previous { status.restart_count > 0 } else { begun || status.restart_count > 0 }
        })
        .map(|status| (status.name.clone(), status.restart_count))
        .collect()
}

async fn print(
    api: &Api<Pod>,
    pod: String,
    container: String,
    options: &Logs,
    prefix: String,
    printer: &Printer,
) -> Result<()> {
    let parameters = LogParams {
        container: Some(container.clone()),
        follow: options.follow,
        tail_lines: options.tail.map(i64::from),
        previous: options.previous,
        ..LogParams::default()
    };
    let doing = || Error::failed(format!("read the log of container {container} in pod {pod}"));
    let stream = api.log_stream(&pod, &parameters).await.map_err(|error| doing().source(&error))?;
    let mut lines = stream.lines();
    while let Some(line) = lines.try_next().await.map_err(|error| doing().source(&error))? {
        printer.data(format!("{prefix}{line}"));
    }
    Ok(())
}

fn nothing(service: &str) -> Error {
    Error::failed(format!("no container of {service} has started")).hint("cargo xtask status")
}
