//! Which kinds the server has at present, for the controllers that must treat all of them.

use std::{sync::Arc, time::Duration};

use kube::{
    Api, Client,
    api::DynamicObject,
    discovery::{ApiResource, Discovery, Scope, verbs},
};
use tokio::sync::{Notify, watch};

/// One kind in its preferred version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
}

impl Kind {
    /// Its objects, in the namespace if it has such.
    pub(crate) fn api(&self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        if self.namespaced {
            Api::namespaced_with(client.clone(), namespace, &self.resource)
        } else {
            Api::all_with(client.clone(), &self.resource)
        }
    }
}

/// The kinds that can be listed, watched and deleted.
pub(crate) struct Catalog {
    client: Client,
    kinds: watch::Sender<Arc<Vec<Kind>>>,
    stale: Notify,
}

/// How long after a change more changes are waited for: definitions come in batches.
const SETTLE: Duration = Duration::from_millis(100);

impl Catalog {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, kinds: watch::Sender::new(Arc::default()), stale: Notify::new() }
    }

    /// The kinds, and when they change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Vec<Kind>>> {
        self.kinds.subscribe()
    }

    /// The kinds as last discovered.
    pub(crate) fn kinds(&self) -> Arc<Vec<Kind>> {
        self.kinds.borrow().clone()
    }

    /// Tells that definitions changed.
    pub(crate) fn refresh(&self) {
        self.stale.notify_one();
    }

    /// Discovers at the start and after each change, until dropped.
    pub(crate) async fn run(&self) {
        loop {
            match self.discover().await {
                Ok(found) => {
                    let found = Arc::new(found);
                    self.kinds.send_if_modified(|kinds| {
                        let changed = *kinds != found;
                        *kinds = found.clone();
                        changed
                    });
                    self.stale.notified().await;
                    tokio::time::sleep(SETTLE).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "discovery failed, retrying");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn discover(&self) -> kube::Result<Vec<Kind>> {
        let discovery = Discovery::new(self.client.clone()).run_aggregated().await?;
        let mut kinds = Vec::new();
        for (resource, capabilities) in discovery.groups().flat_map(|group| group.recommended_resources()) {
            let usable =
                [verbs::LIST, verbs::WATCH, verbs::DELETE].iter().all(|verb| capabilities.supports_operation(verb));
            // Events own nothing, and the core group has the same ones.
            if usable && resource.group != "events.k8s.io" {
                kinds.push(Kind { namespaced: capabilities.scope == Scope::Namespaced, resource });
            }
        }
        kinds.sort_by(|a, b| (&a.resource.group, &a.resource.plural).cmp(&(&b.resource.group, &b.resource.plural)));
        Ok(kinds)
    }
}
