//! What is there of the objects of a plan: pages of a list where there are many of a kind, single looks otherwise.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    CONCURRENCY, Change,
    compare::{self, Context, Prepared, Seen},
    ownership, request,
    search::{self, Found},
    wire::Place,
};
use crate::error::Result;

/// From that many objects of a kind in a namespace on, a list costs less than looking at each.
const MANY: usize = 16;

/// Objects of one kind, by its API version and name, and one namespace.
type Groups<T> = BTreeMap<(String, String, Option<String>), Vec<T>>;

fn groups<'a, T: Borrow<Prepared<'a>>>(prepared: impl IntoIterator<Item = T>) -> Groups<T> {
    let mut groups = Groups::new();
    for one in prepared {
        let object = &one.borrow().object;
        let key = (object.api_version.clone(), object.kind.clone(), object.namespace.clone());
        groups.entry(key).or_default().push(one);
    }
    groups
}

fn is_listed<'a, T: Borrow<Prepared<'a>>>(group: &[T]) -> bool {
    group.len() >= MANY && !group[0].borrow().served.planned
}

/// In which namespaces the objects of a kind, by its group and name, are listed whole: who looks for more of them need
/// not look there.
pub(super) fn listed(prepared: &[Prepared<'_>]) -> BTreeMap<(String, String), BTreeSet<Option<String>>> {
    let mut listed: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for ((_, kind, namespace), group) in groups(prepared) {
        if is_listed(&group) {
            listed.entry((group[0].object.group().to_owned(), kind)).or_default().insert(namespace);
        }
    }
    listed
}

/// What would happen to each object, and what else of the service was seen.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) changes: Vec<Change>,
    pub(super) others: Vec<Found>,
}

impl Compared {
    pub(super) fn extend(&mut self, more: Self) {
        self.changes.extend(more.changes);
        self.others.extend(more.others);
    }
}

/// Decides about all of these; what is there is dropped as soon as it is compared.
pub(super) async fn compare(context: &Context<'_>, prepared: Vec<Prepared<'_>>) -> Result<Compared> {
    let is_absent = |namespace: &Option<String>| namespace.as_ref().is_some_and(|name| context.absent.contains(name));
    let (many, few): (Vec<_>, Vec<_>) =
        groups(prepared).into_iter().partition(|((_, _, namespace), group)| is_listed(group) && !is_absent(namespace));
    let few = few.into_iter().flat_map(|(_, group)| group);
    let changes = all(few.map(|one| compare::change(context, one, Seen::Unknown))).await?;
    let mut compared = Compared { changes, others: Vec::new() };
    for (_, group) in many {
        compared.extend(by_list(context, group).await?);
    }
    Ok(compared)
}

/// Objects of one kind in one namespace, page by page.
async fn by_list(context: &Context<'_>, group: Vec<Prepared<'_>>) -> Result<Compared> {
    let Some(first) = group.first() else { return Ok(Compared::default()) };
    let (served, namespace) = (first.served.clone(), first.object.namespace.clone());
    let place = Place { client: context.client, served: &served, namespace: namespace.as_deref() };
    let mut compared = Compared::default();
    let mut waiting: HashMap<String, Prepared<'_>> =
        group.into_iter().map(|one| (one.object.name.clone(), one)).collect();
    let mut page = Some(place.page(None).await);
    while let Some(answer) = page.take() {
        let (items, more) = match answer {
            Ok(page) => page,
            // May not be listed, or the rest of the list is too old by now: the others are looked at one by one.
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 405 | 410) => {
                let rest = waiting.into_values().map(|one| compare::change(context, one, Seen::Unknown));
                compared.changes.extend(all(rest).await?);
                if !context.options.keep_others {
                    compared.others = search::within(place, context.id, context.step).await?;
                }
                return Ok(compared);
            }
            Err(error) => return Err(request::failed(format!("list {}", served.resource.plural), &error)),
        };
        let mut known = Vec::new();
        for live in items {
            match waiting.remove(live["metadata"]["name"].as_str().unwrap_or_default()) {
                Some(one) => known.push((one, live)),
                None if live["metadata"]["labels"][ownership::ID] == context.id => {
                    let item = serde_json::from_value(live).ok();
                    compared.others.extend(item.and_then(|item| Found::of(&served, &item)));
                }
                None => {}
            }
        }
        let looks = known.into_iter().map(|(one, live)| compare::change(context, one, Seen::Live(Some(live))));
        let more = more.filter(|_| !waiting.is_empty() || !context.options.keep_others);
        // The server makes the next page while this one is compared.
        let next = async {
            match &more {
                Some(more) => Some(place.page(Some(more)).await),
                None => None,
            }
        };
        let (changes, next) = futures::join!(all(looks), next);
        compared.changes.extend(changes?);
        page = next;
    }
    let rest = waiting.into_values().map(|one| compare::change(context, one, Seen::Live(None)));
    compared.changes.extend(all(rest).await?);
    Ok(compared)
}

async fn all(looks: impl Iterator<Item = impl Future<Output = Result<Change>>>) -> Result<Vec<Change>> {
    stream::iter(looks).buffer_unordered(CONCURRENCY).try_collect().await
}
