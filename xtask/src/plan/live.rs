//! What is there of the objects of a plan: pages of a list where there are many of a kind, single looks otherwise.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    CONCURRENCY, Change,
    compare::{self, Context, Prepared, Seen},
    request,
    wire::Place,
};
use crate::error::Result;

/// From that many objects of a kind in a namespace on, a list costs less than looking at each.
const MANY: usize = 16;

/// Decides about all of these; what is there is dropped as soon as it is compared.
pub(super) async fn compare(context: &Context<'_>, prepared: Vec<Prepared<'_>>) -> Result<Vec<Change>> {
    let mut groups: BTreeMap<(String, String, Option<String>), Vec<Prepared<'_>>> = BTreeMap::new();
    for one in prepared {
        let object = &one.object;
        let key = (object.api_version.clone(), object.kind.clone(), object.namespace.clone());
        groups.entry(key).or_default().push(one);
    }
    let is_absent = |namespace: &Option<String>| namespace.as_ref().is_some_and(|name| context.absent.contains(name));
    let (many, few): (Vec<_>, Vec<_>) = groups.into_iter().partition(|((_, _, namespace), group)| {
        group.len() >= MANY && !is_absent(namespace) && !group[0].served.planned
    });
    let few = few.into_iter().flat_map(|(_, group)| group);
    let mut changes: Vec<Change> = stream::iter(few)
        .map(|one| compare::change(context, one, Seen::Unknown))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    for (_, group) in many {
        changes.extend(by_list(context, group).await?);
    }
    Ok(changes)
}

/// Objects of one kind in one namespace, page by page.
async fn by_list(context: &Context<'_>, group: Vec<Prepared<'_>>) -> Result<Vec<Change>> {
    let Some(first) = group.first() else { return Ok(Vec::new()) };
    let (served, namespace) = (first.served.clone(), first.object.namespace.clone());
    let place = Place { client: context.client, served: &served, namespace: namespace.as_deref() };
    let mut changes = Vec::with_capacity(group.len());
    let mut waiting: HashMap<String, Prepared<'_>> =
        group.into_iter().map(|one| (one.object.name.clone(), one)).collect();
    let mut page = Some(place.page(None).await);
    while let Some(answer) = page.take() {
        let (items, more) = match answer {
            Ok(page) => page,
            // May not be listed, or the rest of the list is too old by now: the others are looked at one by one.
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 405 | 410) => {
                let rest = waiting.into_values().map(|one| compare::change(context, one, Seen::Unknown));
                changes.extend(all(rest).await?);
                return Ok(changes);
            }
            Err(error) => return Err(request::failed(format!("list {}", served.resource.plural), &error)),
        };
        let known = items.into_iter().filter_map(|live| {
            let one = waiting.remove(live["metadata"]["name"].as_str()?)?;
            Some((one, live))
        });
        let known: Vec<_> = known.collect();
        let looks = known.into_iter().map(|(one, live)| compare::change(context, one, Seen::Live(Some(live))));
        let more = more.filter(|_| !waiting.is_empty());
        // The server makes the next page while this one is compared.
        let next = async {
            match &more {
                Some(more) => Some(place.page(Some(more)).await),
                None => None,
            }
        };
        let (compared, next) = futures::join!(all(looks), next);
        changes.extend(compared?);
        page = next;
    }
    let rest = waiting.into_values().map(|one| compare::change(context, one, Seen::Live(None)));
    changes.extend(all(rest).await?);
    Ok(changes)
}

async fn all(looks: impl Iterator<Item = impl Future<Output = Result<Change>>>) -> Result<Vec<Change>> {
    stream::iter(looks).buffer_unordered(CONCURRENCY).try_collect().await
}
