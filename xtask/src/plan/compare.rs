//! What applying one object would do: seen without asking where that is certain, by a dry-run otherwise.

use std::collections::BTreeSet;

use kube::{Client, api::PatchParams};
use serde_json::Value;

use super::{
    Action, Change, FieldDiff, ObjectRef, Options, Served, blame, diff, managers,
    mask::Known,
    ownership, refusal, refused, request,
    shapes::Shapes,
    wire::{Identity, Place},
};
use crate::{
    error::{Error, Result},
    manifests::Object,
    secrets,
    ui::Step,
};

/// How often an object is looked at again when it changes between the look and the dry-run.
const ATTEMPTS: usize = 5;

/// Up to here every object that changes is asked about; beyond, a deploy asks about one of each shape.
const FEW: usize = 64;

/// What is the same for every object.
pub(super) struct Context<'a> {
    pub(super) client: &'a Client,
    /// The service's [`ownership::id`].
    pub(super) id: &'a str,
    pub(super) step: &'a Step,
    pub(super) absent: BTreeSet<String>,
    pub(super) scaled: BTreeSet<ObjectRef>,
    pub(super) options: &'a Options,
    pub(super) known: Known,
    /// How many objects there are.
    pub(super) count: usize,
    /// What was asked about.
    pub(super) shapes: Shapes,
}

/// An object on its way to becoming a change.
pub(super) struct Prepared<'objects> {
    pub(super) index: usize,
    pub(super) object: ObjectRef,
    pub(super) written: &'objects Object,
    pub(super) served: Served,
    pub(super) desired: Value,
}

/// What is known of an object before it is compared.
pub(super) enum Seen {
    /// It has to be asked for.
    Unknown,
    /// This is there, or nothing.
    Live(Option<Value>),
}

/// Decides about one object.
pub(super) async fn change(context: &Context<'_>, mut prepared: Prepared<'_>, seen: Seen) -> Result<Change> {
    let object = &prepared.object;
    let homeless = object.namespace.as_ref().is_some_and(|namespace| context.absent.contains(namespace));
    let place = Place { client: context.client, served: &prepared.served, namespace: object.namespace.as_deref() };
    let mut seen = if homeless { Seen::Live(None) } else { seen };
    let mut attempts = 0..ATTEMPTS;
    loop {
        let live = match std::mem::replace(&mut seen, Seen::Unknown) {
            Seen::Live(live) => live,
            Seen::Unknown => {
                place.get(&object.name).await.map_err(|error| request::failed(format!("look at {object}"), &error))?
            }
        };
        let leaving = live.as_ref().is_some_and(|live| live["metadata"].get("deletionTimestamp").is_some());
        if context.scaled.contains(object) {
            ownership::leave_replicas(&mut prepared.desired, live.as_ref());
        }
        secrets::keep(&mut prepared.desired, live.as_ref());
        let standing = live.as_ref().filter(|_| !leaving);
        let adopts = standing.is_some_and(managers::has_client_side);
        let action = match certain(context, &prepared, standing, adopts) {
            Some(action) => action,
            None => {
                let question = Question { context, prepared: &prepared, place, homeless, leaving, adopts };
                match question.answer(live.as_ref()).await? {
                    Some(action) => action,
                    // Another look is needed; after some of them the last answer would have to do.
                    None if attempts.next().is_some() => continue,
                    None => {
                        return Err(Error::failed(format!(
                            "plan {object}: it changes faster than it can be looked at"
                        ))
                        .hint("see who writes it: kubectl get --show-managed-fields -o yaml"));
                    }
                }
            }
        };
        let salt = context.options.salt.as_deref();
        let scaled = context.scaled.contains(object);
        let state = salt.zip(standing).map(|(salt, live)| diff::state(live, scaled, salt));
        let last = salt.zip(standing).and_then(|(_, live)| blame::last(live));
        let identity = standing.and_then(Identity::of);
        let mut action = action;
        context.known.scrub_fields(&mut action);
        if let Some(live) = standing.filter(|_| context.options.blame) {
            blame::add(&mut action, live);
        }
        let Prepared { index, object, written, served, desired } = prepared;
        let written = Some(written.clone());
        return Ok(Change {
            index,
            object,
            action,
            served,
            desired,
            written,
            leaving,
            adopts,
            live: identity,
            state,
            last,
        });
    }
}

/// What follows without asking the server, if anything does.
fn certain(context: &Context<'_>, prepared: &Prepared<'_>, live: Option<&Value>, adopts: bool) -> Option<Action> {
    if let Some(live) = live.filter(|_| !adopts) {
        if managers::settled(live, &prepared.desired) {
            return Some(Action::Unchanged);
        }
        return if context.trusts() { foreseen(live, &prepared.desired) } else { None };
    }
    let new = live.is_none() && !prepared.served.planned && context.trusts();
    (new && !context.shapes.is_first(&prepared.object, &prepared.desired)).then_some(Action::Create)
}

impl Context<'_> {
    /// Whether there are so many objects that asking about each would double the work of a deploy.
    fn trusts(&self) -> bool {
        self.count > FEW && !self.options.thorough
    }
}

/// What changes where the server adds nothing of its own: values of ConfigMaps and Secrets, labels, annotations, all of
/// them nobody's but ours.
fn foreseen(live: &Value, desired: &Value) -> Option<Action> {
    let plain = live["apiVersion"] == "v1" && matches!(live["kind"].as_str(), Some("ConfigMap" | "Secret"));
    if !plain || live.get("immutable").is_some() || desired.get("stringData").is_some() {
        return None;
    }
    let keys = |object: &Value| object.as_object().map(|fields| fields.keys().cloned().collect::<BTreeSet<_>>());
    let essence = diff::essence(live);
    // Fields of others beside ours, or ours that go: the server knows better.
    let same_keys = keys(&essence) == keys(desired)
        && keys(&essence["data"]) == keys(&desired["data"])
        && keys(&essence["metadata"]["labels"]) == keys(&desired["metadata"]["labels"])
        && keys(&essence["metadata"]["annotations"]) == keys(&desired["metadata"]["annotations"])
        && essence.get("type") == desired.get("type");
    if !same_keys || !managers::owns_all(live, desired) {
        return None;
    }
    let fields: Vec<FieldDiff> = diff::differences(live, desired);
    (!fields.is_empty()).then_some(Action::Update { fields })
}

/// A dry-run.
struct Question<'a> {
    context: &'a Context<'a>,
    prepared: &'a Prepared<'a>,
    place: Place<'a>,
    homeless: bool,
    leaving: bool,
    adopts: bool,
}

impl Question<'_> {
    /// What would happen; nothing if the object was written meanwhile.
    ///
    /// Among hundreds of objects the answer about one stands for all whose same fields change, if it was just what its
    /// own fields had let expect: no default, no admission and no quantity written in another way comes into it.
    async fn answer(&self, live: Option<&Value>) -> Result<Option<Action>> {
        let Some(fields) = live.and_then(|live| self.expected(live)) else { return self.ask(live).await };
        let known = self.context.shapes.of_change(&self.prepared.object, live.unwrap_or(&Value::Null), &fields);
        let mut asked = None;
        let first = async {
            asked = self.ask(live).await?;
            Ok::<_, Error>(matches!(&asked, Some(Action::Update { fields: answer }) if *answer == fields))
        };
        let holds = *known.get_or_try_init(|| first).await?;
        match asked {
            Some(action) => Ok(Some(action)),
            None if holds => Ok(Some(Action::Update { fields })),
            None => self.ask(live).await,
        }
    }

    /// The fields that change, where no more than values of our own fields do and nothing is replaced.
    fn expected(&self, live: &Value) -> Option<Vec<FieldDiff>> {
        let Self { context, prepared, leaving, adopts, .. } = self;
        let plain = context.trusts() && !context.options.allow_replace && !leaving && !adopts;
        let fields =
            (plain && managers::has_all(live, &prepared.desired)).then(|| diff::wanted(live, &prepared.desired));
        fields.filter(|fields| !fields.is_empty())
    }

    /// What the server says.
    async fn ask(&self, live: Option<&Value>) -> Result<Option<Action>> {
        let Self { context, prepared, place, homeless, leaving, adopts } = self;
        let Prepared { object, written, served, desired, .. } = prepared;
        let params = super::apply_params(context.options.take_ownership);
        let params = PatchParams { dry_run: true, ..params };
        let mut answer = place.apply::<Value>(&object.name, &params, desired).await;
        // What `kubectl apply` owns by itself becomes ours before we apply, so it is in nobody's way.
        if *adopts && answer.as_ref().is_err_and(|error| refusal::conflicts_only_with(error, managers::CLIENT_SIDE)) {
            answer = place.apply(&object.name, &PatchParams { force: true, ..params }, desired).await;
        }
        let standing = live.filter(|_| !leaving);
        let unchangeable = match &answer {
            Err(error) if standing.is_some() && refusal::may_be_immutable(error) => {
                refusal::is_immutable(error) || self.fits_anew().await
            }
            _ => false,
        };
        let action = match (answer, standing) {
            (Ok(_), None) => Action::Create,
            // A dry-run keeps the resourceVersion: with another one, a controller wrote between our two requests, and
            // its change would be taken for ours.
            (Ok(planned), Some(live)) => {
                if planned["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"] {
                    return Ok(None);
                }
                self.difference(live, &planned)
            }
            // What the server can say about an object without its namespace it has said: nothing is wrong with its form.
            (Err(kube::Error::Api(status)), None) if *homeless && matches!(status.code, 403 | 404) => Action::Create,
            // It goes away between our requests.
            (Err(kube::Error::Api(status)), None) if *leaving && status.code == 409 => Action::Create,
            // Its kind comes with the CustomResourceDefinition that is applied before it.
            (Err(kube::Error::Api(status)), None) if served.planned && status.code == 404 => Action::Create,
            (Err(error), Some(live)) if unchangeable => {
                let allowed = refusal::may_replace(context.options, written, object, desired, &error);
                allowed.map_err(|error| refusal::scrubbed(error, &context.known))?;
                Action::Replace { fields: diff::wanted(live, desired) }
            }
            (Err(error), _) => {
                let error = refused(context.client, written, desired, object, "plan", &error).await;
                // What of it was taken from the live object is known to nobody else.
                let error = refusal::scrubbed(error, &Known::of(desired));
                return Err(refusal::scrubbed(error, &context.known));
            }
        };
        Ok(Some(action))
    }

    /// Whether the server takes the object where there is none of it, under another name: then it is the change that it
    /// refuses. Rules of custom resources and webhooks word that as they like.
    async fn fits_anew(&self) -> bool {
        let object = &self.prepared.object;
        let start: String = object.name.chars().take(40).collect();
        let name =
            format!("{}-{}", start.trim_end_matches(['-', '.']), &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let mut desired = self.prepared.desired.clone();
        desired["metadata"]["name"] = name.as_str().into();
        let params = PatchParams { dry_run: true, ..super::apply_params(true) };
        self.place.apply::<serde::de::IgnoredAny>(&name, &params, &desired).await.is_ok()
    }

    fn difference(&self, live: &Value, planned: &Value) -> Action {
        let mut action = diff::action(live, planned);
        if !self.adopts {
            return action;
        }
        // The dry-run still sees the fields of `kubectl apply` as its own and leaves them.
        let orphans = managers::orphaned(live, &self.prepared.desired);
        let gone = orphans.into_iter().map(|path| FieldDiff::gone(path, live));
        match &mut action {
            Action::Update { fields } => fields.extend(gone),
            _ => action = Action::Update { fields: gone.collect() },
        }
        action
    }
}
