//! The controllers, each a client of the API server like any other.
//!
//! Every controller is a set of pure decisions over one snapshot with thin effects around them. [`cache`] holds one
//! watched copy of each kind for all of them, [`queue`] what each has to look at.

mod autoscaler;
mod cache;
mod catalog;
mod context;
mod daemonset;
mod deployment;
mod disruption;
mod endpoints;
mod events;
mod expectations;
mod frame;
mod garbage;
mod hash;
mod job;
mod namespace;
mod nodes;
mod numbers;
mod owners;
mod pods;
mod quantity;
mod queue;
mod replicaset;
mod revisions;
mod scheduler;
mod statefulset;
mod volumes;

use std::sync::Arc;

use tokio::task::JoinSet;

use self::{
    catalog::Catalog,
    context::{Caches, Context},
    events::Recorder,
};

/// Runs every controller and the scheduler until the returned future is dropped.
pub async fn run(client: kube::Client) {
    let (recorder, recording) = Recorder::new(client.clone());
    let context = Context { client: client.clone(), recorder, caches: Arc::new(Caches::default()) };
    let catalog = Arc::new(Catalog::new(client.clone()));
    let deployments = deployment::Controller::new(&context);
    let replica_sets = replicaset::Controller::new(&context);
    let scheduler = scheduler::Scheduler::new(&context);
    let endpoints = endpoints::Controller::new(&context);
    let namespaces = namespace::Controller::new(&context, catalog.clone());
    let autoscalers = autoscaler::Controller::new(&context, catalog.clone());
    let budgets = disruption::Controller::new(&context);
    let jobs = job::Controller::new(&context);
    let volumes = volumes::Controller::new(&context);
    let nodes = nodes::Controller::new(&context);
    let daemon_sets = daemonset::Controller::new(&context);
    let stateful_sets = statefulset::Controller::new(&context);
    let gone = namespaces.clone();
    let on_gone = Arc::new(move |namespace: &str| gone.object_gone(namespace));
    let collector = garbage::Collector::new(client.clone(), catalog.clone(), on_gone);

    // Dropping the set with the returned future ends them all.
    let mut tasks = JoinSet::new();
    tasks.spawn(recording);
    tasks.spawn(async move { catalog.run().await });
    let caches = &context.caches;
    let pods = vec![
        replica_sets.on_pod(),
        deployments.on_pod(),
        scheduler.on_pod(),
        endpoints.on_pod(),
        budgets.on_pod(),
        jobs.on_pod(),
        stateful_sets.on_pod(),
        daemon_sets.on_pod(),
        nodes.on_pod(),
        volumes.on_pod(),
    ];
    tasks.spawn(caches.pods.clone().feed(client.clone(), pods));
    tasks.spawn(
        caches.nodes.clone().feed(client.clone(), vec![scheduler.on_node(), daemon_sets.on_node(), nodes.on_node()]),
    );
    let sets = vec![replica_sets.on_replica_set(), deployments.on_replica_set(), autoscalers.on_replica_set()];
    tasks.spawn(caches.replica_sets.clone().feed(client.clone(), sets));
    tasks.spawn(
        caches.deployments.clone().feed(client.clone(), vec![deployments.on_deployment(), autoscalers.on_deployment()]),
    );
    tasks.spawn(caches.services.clone().feed(client.clone(), vec![endpoints.on_service()]));
    tasks.spawn(caches.endpoints.clone().feed(client.clone(), vec![endpoints.on_endpoints()]));
    tasks.spawn(caches.endpoint_slices.clone().feed(client.clone(), vec![endpoints.on_slice()]));
    tasks.spawn(caches.namespaces.clone().feed(client.clone(), vec![namespaces.on_namespace()]));
    tasks.spawn(caches.autoscalers.clone().feed(client.clone(), vec![autoscalers.on_autoscaler()]));
    tasks.spawn(caches.budgets.clone().feed(client.clone(), vec![budgets.on_budget()]));
    tasks.spawn(caches.jobs.clone().feed(client.clone(), vec![jobs.on_job()]));

    tasks.spawn(caches.stateful_sets.clone().feed(client.clone(), vec![stateful_sets.on_stateful_set()]));
    tasks.spawn(caches.daemon_sets.clone().feed(client.clone(), vec![daemon_sets.on_daemon_set()]));
    tasks.spawn(caches.revisions.clone().feed(client.clone(), Vec::new()));
    tasks.spawn(caches.claims.clone().feed(client.clone(), vec![volumes.on_claim(), scheduler.on_claim()]));
    tasks.spawn(caches.volumes.clone().feed(client.clone(), vec![volumes.on_volume()]));
    tasks.spawn(caches.storage_classes.clone().feed(client.clone(), vec![volumes.on_class()]));

    tasks.spawn(deployments.run());
    tasks.spawn(replica_sets.run());
    tasks.spawn(scheduler.run());
    tasks.spawn(endpoints.run());
    tasks.spawn(namespaces.run());
    tasks.spawn(autoscalers.run());
    tasks.spawn(budgets.run());
    tasks.spawn(jobs.run());
    tasks.spawn(stateful_sets.run());
    tasks.spawn(daemon_sets.run());
    tasks.spawn(nodes.run());
    tasks.spawn(volumes.run());
    tasks.spawn(collector.run());
    while let Some(ended) = tasks.join_next().await {
        // Nothing of this ends by itself: a bug in one controller must not take the others along.
        if let Err(error) = ended {
            tracing::error!(%error, "a controller ended");
        }
    }
}
