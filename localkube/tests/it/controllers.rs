//! The controllers against the API server in this process, with a node that only says that its pods run.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, Endpoints, Namespace, Pod, Service},
    discovery::v1::EndpointSlice,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use localkube::{api, controllers, store::Store};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::fake_node::{self, Behaviour};

/// An API server and a node. Its files go with it.
pub(crate) struct Cluster {
    router: axum::Router,
    client: Client,
    directory: PathBuf,
    node: JoinHandle<()>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.node.abort();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Cluster {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let directory = std::env::temp_dir().join(format!("localkube-controllers-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&directory).unwrap();
        let store = Store::open(&directory.join("store.redb")).unwrap();
        let key = rcgen::KeyPair::generate().unwrap().serialize_der();
        let signer = localkube::access::Signer::new(&key).unwrap();
        let options = api::Options { ca_certificate: "none".into(), admin_token: "none".into(), signer };
        let server = api::Server::new(store, options);
        server.set_service_cidr("10.96.0.0/17");
        api::bootstrap(&server).await;
        let router = api::router(Arc::clone(&server));
        let client = api::client(&router, "test");
        let node = tokio::spawn(fake_node::run(api::client(&router, "kubelet"), "one", behaviour));
        Self { router, client, directory, node }
    }

    pub(crate) fn control(&self) -> JoinHandle<()> {
        tokio::spawn(controllers::run(api::client(&self.router, "kube-controller-manager")))
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + serde::Serialize
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        self.api::<K>().create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    }

    pub(crate) async fn pods(&self) -> Vec<Pod> {
        self.api::<Pod>().list(&ListParams::default()).await.unwrap().items
    }

    async fn roll(&self, version: u32) {
        let environment = json!([{"name": "V", "value": version.to_string()}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": environment}]}}}});
        let api = self.api::<Deployment>();
        api.patch("web", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    }

    /// Waits until the rollout of the Deployment as it is now has come to its end.
    async fn rolled(&self, replicas: i32) {
        let api = self.api::<Deployment>();
        eventually("the rollout is complete", async || {
            let deployment = api.get("web").await.unwrap();
            let status = deployment.status.unwrap_or_default();
            let all = Some(replicas);
            status.observed_generation == deployment.metadata.generation
                && (status.updated_replicas, status.replicas, status.available_replicas) == (all, all, all)
                && status.terminating_replicas == Some(0)
        })
        .await;
    }
}

pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < deadline, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn web(replicas: Option<i32>) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [
                    {"name": "main", "image": "none", "ports": [{"name": "http", "containerPort": 8080}]}]},
            },
        },
    })
}

fn service() -> Value {
    json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}})
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn ready_addresses(slices: &[EndpointSlice]) -> usize {
    let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
    endpoints.filter(|one| one.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_keeps_every_promised_pod_in_the_endpoints() {
    let behaviour = Behaviour { start: Duration::from_millis(60), stop: Duration::from_millis(60) };
    let cluster = Cluster::start(behaviour).await;
    let control = cluster.control();
    cluster.create::<Deployment>(web(Some(3))).await;
    cluster.create::<Service>(service()).await;
    cluster.rolled(3).await;
    let slices = cluster.api::<EndpointSlice>();
    let ready = async || ready_addresses(&slices.list(&ListParams::default()).await.unwrap().items);
    eventually("three endpoints", async || ready().await == 3).await;
    cluster.roll(2).await;
    let watching = async {
        loop {
            let count = ready().await;
            assert!(count >= 3, "{count} endpoints are ready");
            let serving = cluster.pods().await.iter().filter(|pod| is_ready(pod)).count();
            assert!(serving >= 3, "{serving} pods are ready");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = cluster.rolled(3) => {}
    }
    let legacy = cluster.api::<Endpoints>().get("web").await.unwrap();
    assert_eq!(legacy.subsets.unwrap()[0].addresses.as_ref().unwrap().len(), 3);
    // A rollback takes the old ReplicaSet again.
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": null}]}}}});
    cluster.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    cluster.rolled(3).await;
    let sets = cluster.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items;
    let mut revisions: Vec<_> =
        sets.iter().map(|set| set.annotations()["deployment.kubernetes.io/revision"].clone()).collect();
    revisions.sort();
    assert_eq!(revisions, ["2", "3"]);
    control.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_the_controllers_converge_and_double_nothing() {
    let behaviour = Behaviour { start: Duration::from_millis(5), stop: Duration::from_millis(5) };
    let cluster = Cluster::start(behaviour).await;
    cluster.create::<Service>(service()).await;
    cluster.create::<Deployment>(web(Some(4))).await;
    let mut random = StdRng::seed_from_u64(7);
    for life in 0..40 {
        let control = cluster.control();
        if life % 5 == 4 {
            cluster.roll(life).await;
        }
        let until = Instant::now() + Duration::from_millis(random.random_range(1..150));
        while Instant::now() < until {
            no_set_has_too_many(&cluster).await;
            tokio::task::yield_now().await;
        }
        control.abort();
        let _ = control.await;
        // Requests under way would die with the process; this server lives on and ends them.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let control = cluster.control();
    cluster.rolled(4).await;
    no_set_has_too_many(&cluster).await;
    eventually("only the pods of the last version", async || cluster.pods().await.len() == 4).await;
    let slices = cluster.api::<EndpointSlice>();
    eventually("one slice with all of them", async || {
        let slices = slices.list(&ListParams::default()).await.unwrap().items;
        slices.len() == 1 && ready_addresses(&slices) == 4
    })
    .await;
    let sets = cluster.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(sets.len(), 9, "one for each template");
    control.abort();
}

async fn no_set_has_too_many(cluster: &Cluster) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for pod in cluster.pods().await.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        *counts.entry(pod.owner_references()[0].name.clone()).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count <= 4), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_autoscaler_holds_its_bounds_and_a_budget_counts() {
    let cluster = Cluster::start(Behaviour::default()).await;
    let control = cluster.control();
    cluster.create::<Deployment>(web(None)).await;
    let bounds = json!({"metadata": {"name": "web"}, "spec": {"minReplicas": 3, "maxReplicas": 5,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    cluster.create::<HorizontalPodAutoscaler>(bounds).await;
    cluster
        .create::<PodDisruptionBudget>(json!({"metadata": {"name": "web"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}}))
        .await;
    cluster.rolled(3).await;
    let scale = json!({"spec": {"replicas": 9}});
    cluster.api::<Deployment>().patch_scale("web", &PatchParams::default(), &Patch::Merge(scale)).await.unwrap();
    cluster.rolled(5).await;
    // Nothing is known about the load: what is within the bounds stays.
    let scale = json!({"spec": {"replicas": 4}});
    cluster.api::<Deployment>().patch_scale("web", &PatchParams::default(), &Patch::Merge(scale)).await.unwrap();
    cluster.rolled(4).await;
    let autoscalers = cluster.api::<HorizontalPodAutoscaler>();
    eventually("the condition says why nothing scales", async || {
        let status = autoscalers.get("web").await.unwrap().status.unwrap_or_default();
        let reasons: Vec<_> = status.conditions.iter().flatten().filter_map(|one| one.reason.as_deref()).collect();
        status.current_replicas == Some(4) && reasons.contains(&"FailedGetResourceMetric")
    })
    .await;
    let budgets = cluster.api::<PodDisruptionBudget>();
    eventually("one may go", async || {
        let status = budgets.get("web").await.unwrap().status.unwrap_or_default();
        (status.expected_pods, status.desired_healthy, status.disruptions_allowed) == (Some(4), Some(3), Some(1))
    })
    .await;
    control.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_goes_with_all_that_is_in_it_once_nothing_holds_it() {
    let cluster = Cluster::start(Behaviour::default()).await;
    let control = cluster.control();
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "gone"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let inside: Api<Deployment> = Api::namespaced(cluster.client.clone(), "gone");
    inside.create(&PostParams::default(), &serde_json::from_value(web(Some(2))).unwrap()).await.unwrap();
    let held: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "gone");
    let object = json!({"metadata": {"name": "held", "finalizers": ["test.example/hold"]}});
    held.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    namespaces.delete("gone", &DeleteParams::default()).await.unwrap();
    eventually("only the held object is left", async || {
        let status = namespaces.get("gone").await.unwrap().status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let remaining = conditions.iter().find(|one| one.type_ == "NamespaceContentRemaining");
        remaining.and_then(|one| one.message.as_deref())
            == Some("Some resources are remaining: configmaps. has 1 resource instances")
    })
    .await;
    let release = json!({"metadata": {"finalizers": null}});
    held.patch("held", &PatchParams::default(), &Patch::Merge(release)).await.unwrap();
    eventually("the namespace is gone", async || namespaces.get_opt("gone").await.unwrap().is_none()).await;
    control.abort();
}
