//! Keeps EndpointSlices, and the legacy Endpoints, at what the pods of each Service are.

mod build;
mod slices;
#[cfg(test)]
mod tests;

use k8s_openapi::api::{
    core::v1::{Endpoints, Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    ResourceExt,
    api::{ObjectMeta, PropagationPolicy},
};

use self::slices::Write;
use super::{
    cache::{Change, Handler},
    context::{self, Context},
    frame, owners,
    queue::{Key, Queue},
};

const ENDPOINTS_MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const ENDPOINTS_MANAGER: &str = "endpoint-controller";

/// The controller's work and what it waits for.
#[derive(Clone)]
pub(super) struct Controller {
    context: Context,
    queue: Queue<Key>,
}

impl Controller {
    pub(super) fn new(context: &Context) -> Self {
        Self { context: context.clone(), queue: Queue::new() }
    }

    pub(super) fn on_service(&self) -> Handler<Service> {
        frame::own(&self.queue)
    }

    pub(super) fn on_endpoints(&self) -> Handler<Endpoints> {
        frame::own(&self.queue)
    }

    pub(super) fn on_slice(&self) -> Handler<EndpointSlice> {
        let queue = self.queue.clone();
        Box::new(move |change| {
            if let Change::Applied { new: slice, .. } | Change::Deleted(slice) = change
                && let Some(service) = slice.labels().get(slices::SERVICE_NAME)
            {
                queue.add((slice.namespace().unwrap_or_default(), service.clone()));
            }
        })
    }

    pub(super) fn on_pod(&self) -> Handler<Pod> {
        let this = self.clone();
        frame::dependents(move |pod| this.pod_changed(pod))
    }

    fn pod_changed(&self, pod: &Pod) {
        let namespace = pod.namespace().unwrap_or_default();
        for service in self.context.caches.services.list(&namespace) {
            let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let fits = |selector: &owners::Labels| {
                !selector.is_empty() && selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value))
            };
            if selector.is_some_and(fits) {
                self.queue.add((namespace.clone(), service.name_any()));
            }
        }
    }

    pub(super) async fn run(self) {
        let caches = &self.context.caches;
        caches.services.ready().await;
        caches.pods.ready().await;
        caches.endpoint_slices.ready().await;
        caches.endpoints.ready().await;
        frame::work("endpoints", self.queue.clone(), self, |this, key| async move { this.sync(&key).await }).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<()> {
        let caches = &self.context.caches;
        let Some(service) = caches.services.get(&key.0, &key.1) else {
            // Slices go with their owner; Endpoints have none.
            return self.remove_endpoints(key).await;
        };
        if service.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let Some(selected) = build::selected(&service, caches.pods.list(&key.0)) else { return Ok(()) };
        let is_ours = |slice: &EndpointSlice| {
            slice.labels().get(slices::MANAGED_BY).map(String::as_str) == Some(slices::MANAGER)
                && slice.labels().get(slices::SERVICE_NAME) == Some(&key.1)
                && slice.metadata.deletion_timestamp.is_none()
        };
        let present = caches.endpoint_slices.list(&key.0);
        let present: Vec<EndpointSlice> =
            present.iter().filter(|one| is_ours(one)).map(|one| (**one).clone()).collect();
        let api = self.context.api::<EndpointSlice>(&key.0);
        for write in slices::reconcile(&service, build::groups(&service, &selected), &present) {
            match write {
                Write::Create(slice) => match api.create(&context::write(), &slice).await {
                    Err(error) if context::is_namespace_terminating(&error) => return Ok(()),
                    result => drop(result?),
                },
                Write::Update(slice) => drop(api.replace(&slice.name_any(), &context::write(), &slice).await?),
                Write::Delete(slice) => {
                    let parameters = context::delete(slice.uid(), PropagationPolicy::Background);
                    context::gone_is_fine(api.delete(&slice.name_any(), &parameters).await)?;
                }
            }
        }
        self.write_endpoints(&service, key, build::subsets(&service, &selected)).await
    }

    async fn remove_endpoints(&self, key: &Key) -> kube::Result<()> {
        let Some(endpoints) = self.context.caches.endpoints.get(&key.0, &key.1) else { return Ok(()) };
        if endpoints.labels().get(ENDPOINTS_MANAGED_BY).map(String::as_str) != Some(ENDPOINTS_MANAGER) {
            return Ok(());
        }
        let parameters = context::delete(endpoints.uid(), PropagationPolicy::Background);
        context::gone_is_fine(self.context.api::<Endpoints>(&key.0).delete(&key.1, &parameters).await)
    }

    async fn write_endpoints(
        &self,
        service: &Service,
        key: &Key,
        subsets: Vec<k8s_openapi::api::core::v1::EndpointSubset>,
    ) -> kube::Result<()> {
        let mut labels = slices::labels_of(service);
        labels.insert(ENDPOINTS_MANAGED_BY.into(), ENDPOINTS_MANAGER.into());
        let api = self.context.api::<Endpoints>(&key.0);
        let subsets = (!subsets.is_empty()).then_some(subsets);
        match self.context.caches.endpoints.get(&key.0, &key.1) {
            Some(present) if present.subsets == subsets && present.labels() == &labels => Ok(()),
            Some(present) => {
                let mut updated = (*present).clone();
                updated.metadata.labels = Some(labels);
                updated.subsets = subsets;
                api.replace(&key.1, &context::write(), &updated).await.map(drop)
            }
            None => {
                let endpoints = Endpoints {
                    metadata: ObjectMeta {
                        name: Some(key.1.clone()),
                        namespace: Some(key.0.clone()),
                        labels: Some(labels),
                        ..ObjectMeta::default()
                    },
                    subsets,
                };
                match api.create(&context::write(), &endpoints).await {
                    Err(error) if context::is_namespace_terminating(&error) => Ok(()),
                    result => result.map(drop),
                }
            }
        }
    }
}
