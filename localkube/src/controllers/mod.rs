//! The controllers, each a client of the API server like any other.
//!
//! Every controller is a set of pure decisions over one snapshot with thin effects around them. [`cache`] holds one
//! watched copy of each kind for all of them, [`queue`] what each has to look at.

mod cache;
mod context;
mod deployment;
mod events;
mod numbers;
mod owners;
mod pods;
mod queue;
mod replicaset;

use std::sync::Arc;

use futures::join;

use self::{
    context::{Caches, Context},
    events::Recorder,
};

/// Runs every controller and the scheduler until the returned future is dropped.
pub async fn run(client: kube::Client) {
    let (recorder, recording) = Recorder::new(client.clone());
    let context = Context { client: client.clone(), recorder, caches: Arc::new(Caches::default()) };
    let deployments = deployment::Controller::new(&context);
    let replica_sets = replicaset::Controller::new(&context);

    let caches = &context.caches;
    let feeding = async {
        join!(
            caches.deployments.clone().feed(client.clone(), vec![deployments.on_deployment()]),
            caches
                .replica_sets
                .clone()
                .feed(client.clone(), vec![replica_sets.on_replica_set(), deployments.on_replica_set()]),
            caches.pods.clone().feed(client.clone(), vec![replica_sets.on_pod(), deployments.on_pod()]),
        )
    };
    join!(recording, feeding, deployments.clone().run(), replica_sets.clone().run());
}
