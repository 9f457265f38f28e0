//! A thousand objects beside a bare loop of the same requests, the least that anybody needs for them.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::figures::Figures;
use crate::{
    apply,
    cluster::{self, Purpose},
    config::{self, Unit},
    error::{Error, Result},
    manifests::Object,
    plan::{self, Options},
    ui::{Outcome, Printer, Step},
};

/// How many objects are applied.
const COUNT: usize = 1_000;
/// How many are planned in one go: each time twice as many.
const PLANS: [(&str, usize); 3] =
    [("plan over 1,250 new objects", 1_250), ("plan over 2,500", 2_500), ("plan over 5,000", 5_000)];
/// How often a round is repeated: the bare loop goes first in every other one. Of each the best counts, because what else
/// the machine does only ever takes away.
const ROUNDS: usize = 6;
/// How many requests the bare loop has under way; as many as a plan.
const AT_ONCE: usize = 32;
/// Where the bare loop works; a plan works in the service's namespace.
const BARE: &str = "slipway-bench-bare";
const OURS: &str = "slipway-bench";
/// How often it is looked whether the controllers are done.
const SETTLE: Duration = Duration::from_millis(250);
/// How long the cluster may take to clear up.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What is applied.
#[derive(Clone, Copy)]
enum Set {
    ConfigMaps,
    /// ConfigMaps, Services, ServiceAccounts, Roles, and Deployments without pods, one in five each.
    Mixed,
}

/// What a round does, each with the value that its objects carry.
const PHASES: [&str; 3] = ["1", "1", "2"];

impl Set {
    /// What each phase is called, for the bare loop and for us.
    fn names(self) -> [(&'static str, &'static str); 3] {
        match self {
            Self::ConfigMaps => [
                ("1,000 ConfigMaps created, bare loop", "the same by a plan and its apply"),
                ("1,000 ConfigMaps unchanged, bare loop", "the same by a plan and its apply"),
                ("1,000 ConfigMaps changed, bare loop", "the same by a plan and its apply"),
            ],
            Self::Mixed => [
                ("1,000 objects of five kinds created, bare loop", "the same by a plan and its apply"),
                ("1,000 of five kinds unchanged, bare loop", "the same by a plan and its apply"),
                ("1,000 of five kinds changed, bare loop", "the same by a plan and its apply"),
            ],
        }
    }

    fn object(self, number: usize, namespace: &str, value: &str) -> Value {
        let metadata = json!({"name": format!("bench-{number}"), "namespace": namespace});
        match (self, number % 5) {
            (Self::ConfigMaps, _) | (Self::Mixed, 0) => json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": metadata,
                "data": {"value": value, "text": "a line of a configuration file\n".repeat(8)}}),
            (Self::Mixed, 1) => json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
                "spec": {"clusterIP": "None", "selector": {"app": format!("bench-{number}")},
                    "ports": [{"name": "http", "port": 80, "targetPort": format!("http-{value}")}]}}),
            (Self::Mixed, 2) => json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": format!("bench-{number}"), "namespace": namespace,
                    "annotations": {"example.com/value": value}}}),
            (Self::Mixed, 3) => json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": metadata, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"],
                    "resourceNames": [format!("value-{value}")]}]}),
            (Self::Mixed, _) => json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
                "spec": {"replicas": 0, "selector": {"matchLabels": {"app": format!("bench-{number}")}}, "template": {
                    "metadata": {"labels": {"app": format!("bench-{number}")}},
                    "spec": {"containers": [{"name": "app", "image": format!("example.com/app:{value}")}]}}}}),
        }
    }

    fn objects(self, count: usize, value: &str) -> Vec<Object> {
        let namespaces = [namespace(OURS), namespace(BARE)];
        let objects = (0..count).map(|number| Object::recorded(self.object(number, OURS, value), "the benchmark"));
        namespaces.into_iter().chain(objects).collect()
    }
}

/// Plans, creates, looks at, changes and deletes them in the local environment.
pub(super) async fn figures(root: &Path, printer: &Printer) -> Result<Figures> {
    let mut environment = config::load(root, "local")?;
    for service in &mut environment.services {
        service.name = "bench".into();
        service.namespace = OURS.into();
    }
    let unit = environment.unit(None)?;
    let step = printer.step("bench");
    let client = cluster::connect(&environment, Purpose::Make, &step).await?.client;
    // What an earlier run left would be no creation.
    apply::destroy(&client, unit, TIMEOUT, &step).await?;
    let mut figures = Figures { unit: Duration::from_secs(1), list: Vec::new() };
    // First, as long as this process has held nothing else.
    for (index, (name, count)) in PLANS.into_iter().enumerate() {
        step.update(name);
        let took = planned(&client, unit, count).await?;
        figures.unit = if index == 0 { took } else { figures.unit };
        figures.time(name, took);
    }
    figures.amount("memory of the process at its most until here", peak()?, "MB");
    for set in [Set::ConfigMaps, Set::Mixed] {
        let mut rounds = Vec::new();
        for round in 0..ROUNDS {
            step.update(format!("{}, round {} of {ROUNDS}", set.names()[0].0, round + 1));
            rounds.push(measure(&client, unit, set, round % 2 == 0).await?);
            apply::destroy(&client, unit, TIMEOUT, &step).await?;
        }
        for (phase, (bare, ours)) in set.names().into_iter().enumerate() {
            figures.unit = rounds.iter().map(|round| round[phase].0).min().unwrap_or_default();
            figures.time(bare, figures.unit);
            figures.time(ours, rounds.iter().map(|round| round[phase].1).min().unwrap_or_default());
        }
    }
    step.end(Outcome::Ok, "measured");
    Ok(figures)
}

/// What a plan over new objects takes.
async fn planned(client: &Client, unit: Unit<'_>, count: usize) -> Result<Duration> {
    let objects = Set::Mixed.objects(count, "1");
    let options = Options { thorough: true, ..Options::default() };
    let began = Instant::now();
    plan::plan(client, unit, &objects, &options, &Step::silent()).await?;
    Ok(began.elapsed())
}

/// One round: what each phase takes the bare loop, and us.
async fn measure(client: &Client, unit: Unit<'_>, set: Set, bare_first: bool) -> Result<Vec<(Duration, Duration)>> {
    run(client, unit, &[namespace(OURS), namespace(BARE)]).await?;
    let mut phases = Vec::new();
    for value in PHASES {
        let objects = set.objects(COUNT, value);
        phases.push(if bare_first {
            let bare = bare(client, set, value).await?;
            settled(client).await?;
            (bare, run(client, unit, &objects).await?)
        } else {
            let ours = run(client, unit, &objects).await?;
            settled(client).await?;
            (bare(client, set, value).await?, ours)
        });
        settled(client).await?;
    }
    Ok(phases)
}

/// Waits until the controllers have done what the last changes ask of them: who comes next would pay for it.
async fn settled(client: &Client) -> Result<()> {
    let deployments: Api<Deployment> = Api::all(client.clone());
    let is_seen = |deployment: &Deployment| {
        let seen = deployment.status.as_ref().and_then(|status| status.observed_generation);
        seen == deployment.metadata.generation
    };
    let deadline = Instant::now() + TIMEOUT;
    let failed = || Error::failed("wait for the controllers");
    while !deployments.list(&ListParams::default()).await.map_err(|error| failed().source(&error))?.iter().all(is_seen)
    {
        if Instant::now() > deadline {
            return Err(failed().cause(format!("they are behind after {} s", TIMEOUT.as_secs())));
        }
        tokio::time::sleep(SETTLE).await;
    }
    Ok(())
}

async fn run(client: &Client, unit: Unit<'_>, objects: &[Object]) -> Result<Duration> {
    let options = Options { keep_others: objects.len() < COUNT, ..Options::default() };
    let began = Instant::now();
    let plan = plan::plan(client, unit, objects, &options, &Step::silent()).await?;
    apply::apply(client, &plan, &Step::silent()).await?;
    Ok(began.elapsed())
}

async fn bare(client: &Client, set: Set, value: &str) -> Result<Duration> {
    let params = PatchParams::apply("bench");
    let began = Instant::now();
    let requests = (0..COUNT).map(|number| {
        let params = &params;
        async move {
            let object = set.object(number, BARE, value);
            let text = |field: &str| object[field].as_str().unwrap_or_default();
            let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
            let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), BARE, &kind);
            api.patch(&format!("bench-{number}"), params, &Patch::Apply(&object)).await
        }
    });
    let done: kube::Result<Vec<DynamicObject>> = stream::iter(requests).buffer_unordered(AT_ONCE).try_collect().await;
    done.map_err(|error| Error::failed("apply objects in a loop").source(&error))?;
    Ok(began.elapsed())
}

fn namespace(name: &str) -> Object {
    Object::recorded(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}), "the benchmark")
}

/// The most memory that this process has held, in megabytes.
fn peak() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")
        .map_err(|error| Error::failed("read how much memory was used").source(&error))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kilobytes.unwrap_or_default() / 1000.0)
}
