//! What every controller works with: the client, the shared caches, the recorder of events.

use std::{fmt::Debug, sync::Arc};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::Job,
        core::v1::{Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service},
        discovery::v1::EndpointSlice,
        policy::v1::PodDisruptionBudget,
        storage::v1::StorageClass,
    },
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, PatchParams, PostParams, Preconditions, PropagationPolicy},
};

use super::{cache::Cache, events::Recorder};

/// The name under which controllers' writes appear in managedFields.
const MANAGER: &str = "kube-controller-manager";

/// Shared by all controllers.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) recorder: Recorder,
    pub(crate) caches: Arc<Caches>,
}

/// One watched copy of each kind, however many controllers read it.
#[derive(Default)]
pub(crate) struct Caches {
    pub(crate) pods: Arc<Cache<Pod>>,
    pub(crate) replica_sets: Arc<Cache<ReplicaSet>>,
    pub(crate) deployments: Arc<Cache<Deployment>>,
    pub(crate) services: Arc<Cache<Service>>,
    pub(crate) endpoint_slices: Arc<Cache<EndpointSlice>>,
    pub(crate) endpoints: Arc<Cache<Endpoints>>,
    pub(crate) autoscalers: Arc<Cache<HorizontalPodAutoscaler>>,
    pub(crate) budgets: Arc<Cache<PodDisruptionBudget>>,
    pub(crate) namespaces: Arc<Cache<Namespace>>,
    pub(crate) nodes: Arc<Cache<Node>>,
    pub(crate) jobs: Arc<Cache<Job>>,
    pub(crate) stateful_sets: Arc<Cache<StatefulSet>>,
    pub(crate) daemon_sets: Arc<Cache<DaemonSet>>,
    pub(crate) revisions: Arc<Cache<ControllerRevision>>,
    pub(crate) claims: Arc<Cache<PersistentVolumeClaim>>,
    pub(crate) volumes: Arc<Cache<PersistentVolume>>,
    pub(crate) storage_classes: Arc<Cache<StorageClass>>,
}

impl Context {
    /// The objects of one kind in one namespace.
    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug,
    {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// Parameters of a create or an update by a controller.
pub(crate) fn write() -> PostParams {
    PostParams { field_manager: Some(MANAGER.into()), dry_run: false }
}

/// Parameters of a patch by a controller.
pub(crate) fn patch() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() }
}

/// Parameters that delete this very object and no other of its name.
pub(crate) fn delete(uid: Option<String>, propagation: PropagationPolicy) -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(propagation),
        preconditions: Some(Preconditions { uid, resource_version: None }),
        ..DeleteParams::default()
    }
}

/// The server's HTTP status code, 0 if the request did not get so far.
pub(crate) fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    }
}

/// The server's own words, as controllers put them into conditions and events.
pub(crate) fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Whether the namespace is going away, so that creating in it is not worth a retry.
pub(crate) fn is_namespace_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == "NamespaceTerminating")
}

/// A result in which an object that is not there counts as done.
pub(crate) fn gone_is_fine<T>(result: kube::Result<T>) -> kube::Result<()> {
    match result {
        Err(error) if code(&error) != 404 => Err(error),
        _ => Ok(()),
    }
}
