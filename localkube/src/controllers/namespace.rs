//! The namespace controller: empties a namespace that is being deleted, then lets it go.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};

use super::{
    cache::{Change, Handler},
    catalog::{Catalog, Kind},
    context::{self, Context},
    pods,
    queue::Queue,
};

const FINALIZER: &str = "kubernetes";
/// A namespace is looked at whenever something in it goes; this is for what no watch tells.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The controller's work and what it waits for.
#[derive(Clone)]
pub(super) struct Controller {
    context: Context,
    catalog: Arc<Catalog>,
    queue: Queue<String>,
    attempts: Arc<Mutex<HashMap<String, u32>>>,
}

/// What is left in a namespace.
#[derive(Debug, Default, PartialEq)]
struct Contents {
    // By resource and group.
    remaining: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
    failures: Vec<String>,
}

impl Controller {
    pub(super) fn new(context: &Context, catalog: Arc<Catalog>) -> Self {
        Self { context: context.clone(), catalog, queue: Queue::new(), attempts: Arc::default() }
    }

    pub(super) fn on_namespace(&self) -> Handler<Namespace> {
        let this = self.clone();
        Box::new(move |change| match change {
            Change::Applied { new, .. } if new.metadata.deletion_timestamp.is_some() => {
                this.queue.add(new.name_any());
            }
            Change::Deleted(namespace) => {
                this.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(&namespace.name_any());
            }
            _ => {}
        })
    }

    /// An object of this namespace is gone: it may have been the last.
    pub(super) fn object_gone(&self, namespace: &str) {
        let terminating = self.context.caches.namespaces.get("", namespace);
        if terminating.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some()) {
            self.queue.add(namespace.to_owned());
        }
    }

    pub(super) async fn run(self) {
        self.context.caches.namespaces.ready().await;
        // Whoever can't name the kinds can't tell that a namespace is empty.
        let _ = self.catalog.subscribe().wait_for(|kinds| !kinds.is_empty()).await;
        loop {
            let name = self.queue.next().await;
            let result = self.sync(&name).await;
            self.queue.done("namespace", name, result);
        }
    }

    async fn sync(&self, name: &str) -> kube::Result<()> {
        let api: Api<Namespace> = Api::all(self.context.client.clone());
        let Some(namespace) = api.get_opt(name).await? else { return Ok(()) };
        let ours =
            namespace.spec.as_ref().is_some_and(|spec| spec.finalizers.iter().flatten().any(|one| one == FINALIZER));
        if namespace.metadata.deletion_timestamp.is_none() || !ours {
            return Ok(());
        }
        let contents = self.empty(name).await;
        if contents == Contents::default() {
            return self.finalize(&api, namespace).await;
        }
        let mut updated = namespace.clone();
        let status = updated.status.get_or_insert_default();
        status.conditions = Some(conditions(status, &contents));
        if updated.status != namespace.status {
            context::gone_is_fine(api.replace_status(name, &context::write(), &updated).await)?;
        }
        let attempt = {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            let attempt = attempts.entry(name.to_owned()).or_default();
            *attempt += 1;
            *attempt
        };
        self.queue.add_after(name.to_owned(), FIRST_WAIT.saturating_mul(1 << attempt.min(10)).min(LONGEST_WAIT));
        Ok(())
    }

    async fn finalize(&self, api: &Api<Namespace>, mut namespace: Namespace) -> kube::Result<()> {
        if let Some(finalizers) = namespace.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
            finalizers.retain(|one| one != FINALIZER);
        }
        let name = namespace.name_any();
        context::gone_is_fine(api.replace_subresource("finalize", &name, &context::write(), &namespace).await)
    }

    /// Deletes what is in the namespace and says what is left. Pods go first (KEP-5080), so that nothing they rely on,
    /// such as a NetworkPolicy, is gone while they run.
    async fn empty(&self, namespace: &str) -> Contents {
        let kinds = self.catalog.kinds();
        let (pods, others): (Vec<&Kind>, Vec<&Kind>) = kinds
            .iter()
            .filter(|kind| kind.namespaced)
            .partition(|kind| kind.resource.group.is_empty() && kind.resource.plural == "pods");
        let mut contents = Contents::default();
        for phase in [pods, others] {
            for kind in phase {
                match self.empty_kind(kind, namespace).await {
                    Ok(left) if left.is_empty() => {}
                    Ok(left) => {
                        let resource = format!("{}.{}", kind.resource.plural, kind.resource.group);
                        contents.remaining.insert(resource, left.len());
                        for finalizer in left.into_iter().flatten() {
                            *contents.finalizers.entry(finalizer).or_default() += 1;
                        }
                    }
                    Err(error) => contents.failures.push(context::words(&error)),
                }
            }
            if contents != Contents::default() {
                break;
            }
        }
        contents
    }

    /// The finalizers of each object that is left.
    async fn empty_kind(&self, kind: &Kind, namespace: &str) -> kube::Result<Vec<Vec<String>>> {
        let api = kind.api(&self.context.client, namespace);
        let everything = ListParams::default();
        let result = async {
            if api.list_metadata(&everything).await?.items.is_empty() {
                return Ok(Vec::new());
            }
            api.delete_collection(&DeleteParams::background(), &everything).await?;
            let left = api.list_metadata(&everything).await?;
            Ok(left.items.into_iter().map(|object| object.metadata.finalizers.unwrap_or_default()).collect())
        };
        match result.await {
            // A kind whose definition has just gone, or that can't be deleted in bulk.
            Err(error) if matches!(context::code(&error), 404 | 405) => Ok(Vec::new()),
            result => result,
        }
    }
}

/// The five conditions, in the words of the Kubernetes controller.
fn conditions(status: &NamespaceStatus, contents: &Contents) -> Vec<NamespaceCondition> {
    let list = |counts: &BTreeMap<String, usize>, word: &str| {
        let parts: Vec<String> =
            counts.iter().map(|(name, count)| format!("{name} {word} {count} resource instances")).collect();
        parts.join(", ")
    };
    let failed = (!contents.failures.is_empty()).then(|| {
        format!(
            "Failed to delete all resource types, {} remaining: {}",
            contents.failures.len(),
            contents.failures.join(", ")
        )
    });
    let remaining = (!contents.remaining.is_empty())
        .then(|| format!("Some resources are remaining: {}", list(&contents.remaining, "has")));
    let finalizers = (!contents.finalizers.is_empty()).then(|| {
        format!("Some content in the namespace has finalizers remaining: {}", list(&contents.finalizers, "in"))
    });
    let all = [
        ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered", "", None),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
            "",
            None,
        ),
        (
            "NamespaceDeletionContentFailure",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
            "ContentDeletionFailed",
            failed,
        ),
        (
            "NamespaceContentRemaining",
            "ContentRemoved",
            "All content successfully removed",
            "SomeResourcesRemain",
            remaining,
        ),
        (
            "NamespaceFinalizersRemaining",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
            "SomeFinalizersRemain",
            finalizers,
        ),
    ];
    let now = pods::now();
    let condition = |(kind, good, fine, bad, trouble): (&str, &str, &str, &str, Option<String>)| {
        let value = if trouble.is_some() { "True" } else { "False" };
        let present = status.conditions.iter().flatten().find(|one| one.type_ == kind && one.status == value);
        NamespaceCondition {
            type_: kind.into(),
            status: value.into(),
            reason: Some(if trouble.is_some() { bad } else { good }.into()),
            message: Some(trouble.unwrap_or_else(|| fine.into())),
            last_transition_time: present
                .and_then(|one| one.last_transition_time.clone())
                .or_else(|| Some(now.clone())),
        }
    };
    all.into_iter().map(condition).collect()
}
