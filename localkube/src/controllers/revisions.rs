//! ControllerRevisions: the templates that a StatefulSet or DaemonSet has had, for rolling updates and `rollout undo`.

use std::{collections::HashSet, sync::Arc};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{apps::v1::ControllerRevision, core::v1::PodTemplateSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, runtime::RawExtension},
};
use kube::{
    Resource, ResourceExt,
    api::{ObjectMeta, PropagationPolicy},
};
use serde_json::{Value, json};

use super::{
    context::{self, Context},
    frame,
    hash::hash,
    owners,
};

/// The label of a pod that says which revision it was made from.
pub(crate) const LABEL: &str = "controller-revision-hash";

/// What a workload's history says now.
#[derive(Debug)]
pub(crate) struct History {
    /// Oldest first, the one of the present template last.
    pub(crate) all: Vec<Arc<ControllerRevision>>,
    /// How many names were taken by other templates.
    pub(crate) collisions: Option<i32>,
}

impl History {
    /// The revision of the present template.
    pub(crate) fn update(&self) -> &Arc<ControllerRevision> {
        self.all.last().expect("a history is made with the present template")
    }

    /// The revision of that name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<ControllerRevision>> {
        self.all.iter().find(|revision| revision.metadata.name.as_deref() == Some(name))
    }
}

/// What a workload gives its revisions.
pub(crate) struct Source<'a> {
    pub(crate) selector: &'a LabelSelector,
    pub(crate) template: &'a PodTemplateSpec,
    pub(crate) collisions: Option<i32>,
    /// The label of a revision that carries its hash.
    pub(crate) label: &'static str,
}

/// A revision's data: the patch that brings its template back, as `kubectl rollout undo` applies it.
fn data(template: &PodTemplateSpec) -> Value {
    let mut template = json!(template);
    template["$patch"] = "replace".into();
    json!({"spec": {"template": template}})
}

/// The template that a revision keeps.
pub(crate) fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut template = revision.data.as_ref()?.0.get("spec")?.get("template")?.clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

/// The owner's revisions, after one was made or renewed for the present template.
pub(crate) async fn sync<O>(context: &Context, owner: &O, source: Source<'_>) -> kube::Result<History>
where
    O: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    let namespace = owner.meta().namespace.clone().unwrap_or_default();
    let candidates = context.caches.revisions.list(&namespace);
    let mut all = frame::claim(context, owner, source.selector, candidates).await?;
    all.sort_by_key(|revision| (revision.revision, revision.metadata.creation_timestamp.clone(), revision.name_any()));
    let wanted = data(source.template);
    let equal = all.iter().rposition(|revision| revision.data.as_ref().is_some_and(|data| data.0 == wanted));
    let next = all.last().map_or(0, |revision| revision.revision) + 1;
    let mut collisions = source.collisions;
    let api = context.api::<ControllerRevision>(&namespace);
    let update = match equal.map(|index| (all.remove(index), index == all.len())) {
        Some((present, true)) => present,
        // An old template again: its revision becomes the newest.
        Some((present, false)) => {
            let mut renewed = (*present).clone();
            renewed.revision = next;
            Arc::new(api.replace(&renewed.name_any(), &context::write(), &renewed).await?)
        }
        None => loop {
            let hash = hash(source.template, collisions);
            let mut labels = source.template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
            labels.insert(source.label.into(), hash.clone());
            let name = format!("{}-{hash}", owner.name_any());
            let revision = ControllerRevision {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    namespace: Some(namespace.clone()),
                    labels: Some(labels),
                    annotations: owner.meta().annotations.clone(),
                    owner_references: Some(vec![owners::controller_reference(owner)]),
                    ..ObjectMeta::default()
                },
                data: Some(RawExtension(wanted.clone())),
                revision: next,
            };
            match api.create(&context::write(), &revision).await {
                Ok(made) => break Arc::new(made),
                Err(error) if context::code(&error) == 409 && !context::is_namespace_terminating(&error) => {
                    // Made before this process was killed, or before the cache shows it.
                    let present = api.get(&name).await?;
                    let ours = owners::is_controlled_by(&present, &owner.uid().unwrap_or_default());
                    if ours && present.data.as_ref().is_some_and(|data| data.0 == wanted) {
                        break Arc::new(present);
                    }
                    collisions = Some(collisions.unwrap_or(0) + 1);
                }
                Err(error) => return Err(error),
            }
        },
    };
    all.push(update);
    Ok(History { all, collisions })
}

/// Deletes the oldest revisions that nothing uses, down to `limit`.
pub(crate) async fn forget(
    context: &Context,
    history: &History,
    used: &HashSet<String>,
    limit: Option<i32>,
) -> kube::Result<()> {
    let (_, past) = history.all.split_last().expect("a history is made with the present template");
    let unused: Vec<_> = past.iter().filter(|revision| !used.contains(&revision.name_any())).collect();
    let surplus = unused.len().saturating_sub(usize::try_from(limit.unwrap_or(10)).unwrap_or(0));
    for revision in &unused[..surplus] {
        let api = context.api::<ControllerRevision>(&revision.namespace().unwrap_or_default());
        let parameters = context::delete(revision.uid(), PropagationPolicy::Background);
        context::gone_is_fine(api.delete(&revision.name_any(), &parameters).await)?;
    }
    Ok(())
}
