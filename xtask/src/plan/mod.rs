//! What an apply would change, as a value: what is not certain from managedFields and values is applied with
//! `dryRun=All`, and the answer is compared with what is there.
//!
//! What is planned differs from what is rendered in three ways. Objects get two labels, [`ownership::MANAGED_BY`] and
//! [`ownership::ID`], by which `destroy` finds them. Namespaced objects without a namespace get the environment's.
//! `replicas` leaves where a HorizontalPodAutoscaler owns it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{Client, api::PatchParams};
use serde::Serialize;
use serde_json::Value;

use crate::{
    config::Unit,
    error::{Error, Result},
    manifests::Object,
    ui::Step,
};

mod blame;
mod compare;
mod config_hash;
mod diff;
mod fields;
mod live;
pub(crate) mod managers;
mod markdown;
pub(crate) mod mask;
pub mod ownership;
mod prune;
mod refusal;
pub(crate) mod request;
mod resources;
mod saved;
pub(crate) mod search;
mod shapes;
mod view;
pub(crate) mod wire;

pub use crate::manifests::ObjectRef;
pub use blame::Writer;
pub use diff::FieldDiff;
pub use markdown::LIMIT as MARKDOWN_LIMIT;
pub use prune::{Protected, Unprotected};
pub use saved::Saved;
pub use view::Summary;

pub(crate) use config_hash::Configs;
pub(crate) use diff::differences;
pub(crate) use prune::has_hash;
pub(crate) use refusal::{refused, scrubbed};
pub(crate) use resources::{Served, discover, served};

use compare::{Context, Prepared};
use live::Compared;
use wire::Identity;

/// The name under which the API server records what is ours (KEP-555).
pub const FIELD_MANAGER: &str = "slipway";

/// How many requests are under way at once.
pub(crate) const CONCURRENCY: usize = 32;

/// What a plan may do, and how closely it looks.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Fields of other managers are taken over; otherwise they are an error.
    pub take_ownership: bool,
    /// Objects may be deleted and created again where a field cannot be changed; otherwise that is an error.
    pub allow_replace: bool,
    /// The protected kinds of which objects may be deleted.
    pub unprotected: Unprotected,
    /// Every object is asked about that changes, however many there are; a deploy of hundreds asks about one of each
    /// shape, since the apply itself asks about all.
    pub thorough: bool,
    /// Each difference says who wrote what is there.
    pub blame: bool,
    /// Each object gets a fingerprint of its state with this salt.
    pub salt: Option<String>,
    /// Nothing is looked for that left the manifests.
    pub keep_others: bool,
}

impl Options {
    /// For looking only: nothing that is in the way of an apply is an error.
    pub fn looking() -> Self {
        Self {
            take_ownership: true,
            allow_replace: true,
            unprotected: [Protected::All].into_iter().collect(),
            thorough: true,
            keep_others: true,
            ..Self::default()
        }
    }
}

/// What would happen to each object, in the order in which they are rendered; what is deleted comes last.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// One entry an object.
    pub changes: Vec<Change>,
    /// Protected objects that are in no manifest any more and stay all the same.
    pub left: Vec<ObjectRef>,
    /// Whether fields of other managers are taken over.
    pub take_ownership: bool,
    /// What pods read.
    #[serde(skip)]
    pub(crate) configs: Configs,
}

/// What would happen to one object.
#[derive(Clone, Serialize)]
pub struct Change {
    /// Which object.
    pub object: ObjectRef,
    /// What would happen.
    #[serde(flatten)]
    pub action: Action,
    /// Its place in the plan.
    #[serde(skip)]
    index: usize,
    /// How to reach it.
    #[serde(skip)]
    pub(crate) served: Served,
    /// What is sent; holds the values of Secrets, hence never shown.
    #[serde(skip)]
    pub(crate) desired: Value,
    /// Where it is written, for errors; nowhere if it is deleted.
    #[serde(skip)]
    pub(crate) written: Option<Object>,
    /// An object of that name is on its way out and must be gone first.
    #[serde(skip)]
    pub(crate) leaving: bool,
    /// What client-side `kubectl apply` owns of it becomes ours first.
    #[serde(skip)]
    pub(crate) adopts: bool,
    /// What is there.
    #[serde(skip)]
    pub(crate) live: Option<Identity>,
    /// A fingerprint of what is there, if one was asked for.
    #[serde(skip)]
    state: Option<String>,
    /// Who wrote it last, with the fingerprint.
    #[serde(skip)]
    last: Option<Writer>,
}

impl fmt::Debug for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is sent holds secrets.
        let Self { object, action, .. } = self;
        formatter.debug_struct("Change").field("object", object).field("action", action).finish_non_exhaustive()
    }
}

/// What an apply does to an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    /// It is not there yet.
    Create,
    /// These fields change; none of them if only their ownership does.
    Update {
        /// Field by field, sorted by path.
        fields: Vec<FieldDiff>,
    },
    /// It is deleted and created again, because a field among these cannot be changed.
    Replace {
        /// Field by field, sorted by path.
        fields: Vec<FieldDiff>,
    },
    /// It left the manifests and is deleted once everything else is ready.
    Delete,
    /// It is as it should be.
    Unchanged,
}

/// Asks the cluster what an apply of these objects would change. Changes nothing.
///
/// # Errors
/// The API server refuses an object (unknown field, invalid value, a field of another manager, one that cannot be
/// changed), does not serve its kind, or cannot be reached.
pub async fn plan(client: &Client, unit: Unit<'_>, objects: &[Object], options: &Options, step: &Step) -> Result<Plan> {
    step.update(format!("comparing {} objects", objects.len()));
    let kinds = discover(client).await?;
    let prepared = prepare(unit, objects, &kinds.of(client, objects).await?)?;
    let namespaces: BTreeSet<String> = prepared
        .iter()
        .filter_map(|prepared| prepared.object.namespace.clone())
        .chain([unit.service.namespace.clone()])
        .collect();
    let wanted: BTreeSet<ObjectRef> = prepared.iter().map(|prepared| prepared.object.clone()).collect();
    let id = ownership::id(unit);
    let places = search::Places { namespaces, except: live::listed(&prepared) };
    let search = async {
        // An empty set is a mistake somewhere, not the wish to delete everything.
        match options.keep_others || wanted.is_empty() {
            true => Ok(Vec::new()),
            false => search::ours(client, &kinds, &id, &places, step).await,
        }
    };
    let compare = async {
        let mut known = mask::Known::default();
        prepared.iter().filter(|one| one.object.kind == "Secret").for_each(|one| known.add(&one.desired));
        let context = Context {
            client,
            id: &id,
            step,
            absent: absent_namespaces(client, &prepared).await?,
            scaled: ownership::autoscaled(objects),
            options,
            count: prepared.len(),
            shapes: shapes::Shapes::default(),
            known,
        };
        compared(&context, prepared).await
    };
    let (mut found, (Compared { mut changes, others }, configs)) = tokio::try_join!(search, compare)?;
    if !options.keep_others {
        found.extend(others);
    }
    let (doomed, left) = prune::split(found, &wanted, &options.unprotected);
    changes.extend(doomed.into_iter().map(Change::deletion));
    Ok(Plan { changes, left, take_ownership: options.take_ownership, configs })
}

/// The objects as they are sent: marked as ours, in their namespaces.
fn prepare<'a>(unit: Unit<'_>, objects: &'a [Object], kinds: &resources::Kinds) -> Result<Vec<Prepared<'a>>> {
    let id = ownership::id(unit);
    let prepare = |(index, written): (usize, &'a Object)| {
        let served = kinds.of(written)?;
        let mut desired = written.value().clone();
        let metadata = desired["metadata"].as_object_mut().ok_or_else(|| Error::usage("an object has no metadata"))?;
        if served.namespaced {
            metadata.entry("namespace").or_insert_with(|| unit.service.namespace.as_str().into());
        } else {
            metadata.remove("namespace");
        }
        let namespace = metadata.get("namespace").and_then(Value::as_str).map(str::to_owned);
        ownership::mark(&mut desired, &id);
        let object = ObjectRef { namespace, ..written.reference() };
        Ok(Prepared { index, object, written, served, desired })
    };
    objects.iter().enumerate().map(prepare).collect()
}

/// What would happen to each object, and what of it pods read: that is looked at first, because the templates of
/// workloads carry its hash.
async fn compared(context: &Context<'_>, prepared: Vec<Prepared<'_>>) -> Result<(Compared, Configs)> {
    let (first, mut second): (Vec<_>, Vec<_>) = prepared
        .into_iter()
        .partition(|one| one.object.api_version == "v1" && matches!(one.object.kind.as_str(), "ConfigMap" | "Secret"));
    let mut compared = live::compare(context, first).await?;
    let mut configs = Configs::default();
    for change in &compared.changes {
        // One that is replaced gets another UID.
        let stays = !matches!(change.action, Action::Replace { .. } | Action::Create);
        let uid = change.live.as_ref().filter(|_| stays).map(|live| live.uid.clone());
        configs.add(&change.object, &change.desired, uid);
    }
    for prepared in &mut second {
        configs.annotate(&mut prepared.desired, prepared.object.namespace.as_deref());
    }
    compared.extend(live::compare(context, second).await?);
    compared.changes.sort_by_key(|change| change.index);
    Ok((compared, configs))
}

impl Change {
    /// What of it changes, field by field.
    fn fields(&self) -> &[FieldDiff] {
        match &self.action {
            Action::Update { fields } | Action::Replace { fields } => fields,
            Action::Create | Action::Delete | Action::Unchanged => &[],
        }
    }

    fn deletion(found: search::Found) -> Self {
        let search::Found { object, uid, resource_version, served, .. } = found;
        let live = Some(Identity { uid, resource_version });
        Self { action: Action::Delete, index: usize::MAX, served, live, ..Self::creation(object) }
    }

    /// Nothing is known of it but that it is to be made.
    fn creation(object: ObjectRef) -> Self {
        Self {
            served: Served::unknown(&object),
            object,
            action: Action::Create,
            index: 0,
            desired: Value::Null,
            written: None,
            leaving: false,
            adopts: false,
            live: None,
            state: None,
            last: None,
        }
    }
}

/// The namespaces of the objects that are not there, or are being deleted, and so take nothing.
async fn absent_namespaces(client: &Client, prepared: &[Prepared<'_>]) -> Result<BTreeSet<String>> {
    let named: BTreeMap<&str, &Prepared<'_>> =
        prepared.iter().filter_map(|prepared| Some((prepared.object.namespace.as_deref()?, prepared))).collect();
    let made: BTreeSet<&str> =
        prepared.iter().filter(|one| one.object.kind == "Namespace").map(|one| one.object.name.as_str()).collect();
    let looks = named.into_iter().map(|(namespace, first)| {
        let made = made.contains(namespace);
        async move {
            if ownership::namespace_is_there(client, namespace).await? {
                return Ok(None);
            }
            if made {
                return Ok(Some(namespace.to_owned()));
            }
            Err(Error::failed(format!("plan {}: there is no namespace {namespace}", first.written.reference()))
                .hint(format!("add a Namespace to the manifests, or: kubectl create namespace {namespace}")))
        }
    });
    let absent: Vec<Option<String>> = stream::iter(looks).buffered(CONCURRENCY).try_collect().await?;
    Ok(absent.into_iter().flatten().collect())
}

/// Server-side apply as we do it: strict, and over what another manager owns only if that is asked for.
pub(crate) fn apply_params(force: bool) -> PatchParams {
    PatchParams { force, ..PatchParams::apply(FIELD_MANAGER).validation_strict() }
}

#[cfg(test)]
mod tests;
