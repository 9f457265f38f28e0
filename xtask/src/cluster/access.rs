//! Whether we may do what a deploy does, asked before anything is done
//! (<https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access>).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep};

use crate::{
    error::{Error, Result},
    manifests::Object,
    plan,
    ui::Step,
};

/// How many questions are asked at once.
const CONCURRENCY: usize = 16;
/// How long a cluster may take to hear whom it lets in, and between two questions.
const HEARD: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
/// What applying an object takes.
const APPLY: [&str; 3] = ["get", "create", "patch"];
/// What the records and the lock of releases take.
const RECORD: [&str; 6] = ["get", "list", "create", "patch", "update", "delete"];

/// Something to be allowed: a resource, in a namespace unless it is the cluster's, of which a role may allow single
/// objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Thing {
    group: String,
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
}

/// What is refused of all that deploying these objects takes: one error for each resource of a namespace.
///
/// # Errors
/// The cluster does not say.
pub(super) async fn refused(client: &Client, releases: &str, objects: &[Object]) -> Result<Vec<Error>> {
    let everything = Thing { group: "*".into(), resource: "*".into(), namespace: None, name: None };
    if may(client, &everything, "*").await? {
        return Ok(Vec::new());
    }
    let questions: Vec<(Thing, &str)> = wanted(client, releases, objects).await?;
    let answers: Vec<(Thing, &str, bool)> = stream::iter(questions)
        .map(|(thing, verb)| async move {
            let allowed = may(client, &thing, verb).await?;
            Ok::<_, Error>((thing, verb, allowed))
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let mut refused: BTreeMap<Thing, Vec<&str>> = BTreeMap::new();
    for (thing, verb, _) in answers.into_iter().filter(|(_, _, allowed)| !allowed) {
        refused.entry(thing).or_default().push(verb);
    }
    Ok(refused.into_iter().map(|(thing, verbs)| error(&thing, &verbs)).collect())
}

async fn wanted<'v>(client: &Client, releases: &str, objects: &[Object]) -> Result<Vec<(Thing, &'v str)>> {
    let thing = |group: &str, resource: &str, namespace: &str| Thing {
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: Some(namespace.to_owned()),
        name: None,
    };
    let mut wanted = BTreeSet::new();
    for (group, resource) in [("", "secrets"), ("coordination.k8s.io", "leases")] {
        wanted.extend(RECORD.map(|verb| (thing(group, resource, releases), verb)));
    }
    let versions: BTreeSet<&str> = objects.iter().map(Object::api_version).collect();
    for version in versions {
        // A kind that the cluster does not serve is the plan's to report, with its place.
        let served = plan::served(client, version).await?;
        for object in objects.iter().filter(|object| object.api_version() == version) {
            let Some(kind) = served.iter().find(|served| served.resource.kind == object.kind()) else { continue };
            let namespace = object.namespace().filter(|_| kind.namespaced).map(str::to_owned);
            let (group, resource) = (kind.resource.group.clone(), kind.resource.plural.clone());
            // No role allows the creation of a certain name.
            let name = |verb| (verb != "create" && !kind.namespaced).then(|| object.name().to_owned());
            let thing = |verb| Thing {
                group: group.clone(),
                resource: resource.clone(),
                namespace: namespace.clone(),
                name: name(verb),
            };
            wanted.extend(APPLY.map(|verb| (thing(verb), verb)));
        }
    }
    // What the rollout is judged by.
    let namespaces: BTreeSet<&str> = objects.iter().filter_map(Object::namespace).collect();
    for namespace in namespaces {
        wanted.extend(["list", "watch"].map(|verb| (thing("", "pods", namespace), verb)));
        wanted.insert((thing("", "pods/log", namespace), "get"));
    }
    Ok(wanted.into_iter().collect())
}

/// Waits until the cluster has heard whom it lets in: after a change that takes a moment.
pub(super) async fn admitted(client: &Client, step: &Step) {
    let deadline = Instant::now() + HEARD;
    let thing = Thing { group: String::new(), resource: "namespaces".to_owned(), namespace: None, name: None };
    step.update("waiting until the cluster lets us in");
    // Who has fewer rights than that finds out by what is refused.
    while Instant::now() < deadline && !may(client, &thing, "create").await.unwrap_or(false) {
        sleep(PAUSE).await;
    }
}

async fn may(client: &Client, thing: &Thing, verb: &str) -> Result<bool> {
    let (resource, subresource) = match thing.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (thing.resource.as_str(), None),
    };
    let attributes = ResourceAttributes {
        group: Some(thing.group.clone()),
        resource: Some(resource.to_owned()),
        subresource,
        namespace: thing.namespace.clone(),
        name: thing.name.clone(),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| Error::failed("ask the cluster what we may do").source(&error))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

fn error(thing: &Thing, verbs: &[&str]) -> Error {
    let resource = match thing.group.as_str() {
        "" => thing.resource.clone(),
        group => format!("{}.{group}", thing.resource),
    };
    let (place, flag) = match &thing.namespace {
        Some(namespace) => (format!(" in namespace {namespace}"), format!(" --namespace {namespace}")),
        None => (String::new(), String::new()),
    };
    let resource = match &thing.name {
        Some(name) => format!("{resource}/{name}"),
        None => resource,
    };
    let verb = verbs.first().copied().unwrap_or("*");
    Error::failed(format!("this account may not {} {resource}{place}", verbs.join(", ")))
        .hint(format!("have it bound to a role that allows it; kubectl auth can-i {verb} {resource}{flag}"))
}
