//! What is shipped: one service by keys at the top level, or several under `services`.

use std::{collections::BTreeMap, path::Path};

use super::{
    Service, Unit,
    address::address,
    aws::{self, Aws},
    environment::{check, image, label, manifests},
    fields::{Field, Section},
};

/// One item of `services`, with the fields that are judged beside the others'.
struct Item<'a> {
    service: Service,
    name: Field<'a>,
    manifests: Field<'a>,
    needs: Vec<(String, Field<'a>)>,
}

pub(super) fn read(root: &Path, environment: &str, aws: Option<&Aws>, keys: &mut Section<'_>) -> Vec<Service> {
    let list = keys.field("services");
    if !list.is_given() {
        return vec![single(root, environment, aws, keys)];
    }
    for key in ["service", "image", "manifests", "verify", "address", "secrets"] {
        let field = keys.field(key);
        if field.is_given() {
            field.mistake("it belongs to one service: write it in the items of `services`");
        }
    }
    if !list.is_mapping() && list.is_empty_list() {
        list.mistake("there is nothing to ship: name a service, or leave `services` out");
    }
    let items: Vec<_> = list.items().into_iter().map(|field| item(root, environment, aws, field)).collect();
    judge(&items);
    items.into_iter().map(|item| item.service).collect()
}

/// The same units, each behind those that it needs.
pub(crate) fn in_order<'a>(units: &[Unit<'a>]) -> Vec<Unit<'a>> {
    let mut ordered: Vec<Unit<'a>> = Vec::new();
    let mut left = units.to_vec();
    while !left.is_empty() {
        let waits = |unit: &Unit<'a>| left.iter().any(|other| unit.service.needs.contains(&other.service.name));
        let (later, now): (Vec<_>, Vec<_>) = left.iter().partition(|unit| waits(unit));
        // They cannot all wait: a circle is a mistake of the file.
        if now.is_empty() {
            ordered.extend(later);
            break;
        }
        ordered.extend(now);
        left = later;
    }
    ordered
}

/// The keys at the top level.
fn single(root: &Path, environment: &str, aws: Option<&Aws>, keys: &mut Section<'_>) -> Service {
    let mut names = keys.field("service").section();
    let name = names.field("name").checked(service_name).unwrap_or_else(|| "app".into());
    let namespace = names.field("namespace").checked(|name| label(name, true)).unwrap_or_else(|| "app".into());
    names.end();
    let default = Path::new("manifests/overlays").join(environment);
    Service {
        name,
        namespace,
        image: image(root, keys.field("image").section(), "app"),
        manifests: manifests(root, &default, &keys.field("manifests")),
        verify: keys.field("verify").items().into_iter().map(check).collect(),
        address: address(keys.field("address").section()),
        secrets: aws::secrets(aws, keys.field("secrets")),
        needs: Vec::new(),
    }
}

fn item<'a>(root: &Path, environment: &str, aws: Option<&Aws>, field: Field<'a>) -> Item<'a> {
    let mut keys = field.section();
    let field = keys.field("name").required("a service has a name");
    let name = field.checked(service_name).unwrap_or_default();
    let namespace = keys.field("namespace").checked(|name| label(name, true)).unwrap_or_else(|| name.clone());
    let default = Path::new("manifests/overlays").join(environment).join(&name);
    let directory = keys.field("manifests");
    let needs = keys.field("needs").items();
    let needs: Vec<_> = needs.into_iter().filter_map(|need| Some((need.text()?.to_owned(), need))).collect();
    let service = Service {
        image: image(root, keys.field("image").section(), &name),
        manifests: manifests(root, &default, &directory),
        verify: keys.field("verify").items().into_iter().map(check).collect(),
        address: address(keys.field("address").section()),
        secrets: aws::secrets(aws, keys.field("secrets")),
        needs: needs.iter().map(|(need, _)| need.clone()).collect(),
        namespace,
        name,
    };
    keys.end();
    Item { service, name: field, manifests: directory, needs }
}

/// Reports what the services are to each other and must not be.
fn judge(items: &[Item<'_>]) {
    let mut first: BTreeMap<&str, &Item<'_>> = BTreeMap::new();
    for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.service.name.is_empty()) {
        let name = item.service.name.as_str();
        if first.insert(name, item).is_some() {
            item.name.mistake(format!("there is another service `{name}`"));
        }
        let twin = items[..index].iter().find(|other| other.service.manifests == item.service.manifests);
        if let Some(twin) = twin {
            let message = format!("service `{}` has the same manifests: each object belongs to one", twin.service.name);
            item.manifests.mistake(message);
        }
    }
    for item in items {
        for (need, field) in &item.needs {
            let known = first.keys().copied();
            match (first.contains_key(need.as_str()), super::closest(need, known)) {
                (false, Some(close)) => field.mistake(format!("there is no service `{need}`; did you mean `{close}`?")),
                (false, None) => field.mistake(format!("there is no service `{need}`")),
                // One mistake for each circle: at the need that closes it, in the order of the file.
                (true, _) => {
                    if let Some(circle) = circle(&item.service.name, need, &first)
                        && circle.iter().min() == Some(&item.service.name.as_str())
                    {
                        field.mistake(format!("the services wait for each other: {}", circle.join(" -> ")));
                    }
                }
            }
        }
    }
}

/// The way from a service over what it needs back to itself.
fn circle<'a>(service: &'a str, need: &'a str, items: &BTreeMap<&str, &'a Item<'_>>) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![service, need]];
    while let Some(way) = ways.pop() {
        let last = *way.last()?;
        if last == service {
            return Some(way);
        }
        let next = items.get(last).into_iter().flat_map(|item| item.service.needs.iter());
        // Only the first may come again: other circles are their own services' mistakes.
        ways.extend(next.filter(|next| **next == service || !way.contains(&next.as_str())).map(|next| {
            let mut longer = way.clone();
            longer.push(next);
            longer
        }));
    }
    None
}

/// A Service's name becomes a DNS label that starts with a letter (RFC 1035), a namespace's one of RFC 1123.
fn service_name(name: &str) -> Result<(), String> {
    label(name, false)
}
