//! Lists: tags, repositories, and the manifests that refer to another.

use std::{collections::BTreeSet, ops::Bound};

use axum::{
    body::Body,
    http::{HeaderName, Response, header},
    response::IntoResponse as _,
};
use serde_json::{Value, json};

use super::{
    Query, Registry,
    error::{Code, Error, Result},
    name::{Digest, Name},
    storage::Link,
};

const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

/// `GET /v2/NAME/tags/list`.
pub(super) fn tags(registry: &Registry, name: &Name, query: &Query) -> Result<Response<Body>> {
    if !registry.storage.exists(name) {
        return Err(Error::new(Code::NameUnknown, format!("no repository {name}")));
    }
    let tags = registry.storage.tags(name)?;
    let (page, next) = page(&tags, query, &format!("/v2/{name}/tags/list"))?;
    Ok(linked(next, json!({ "name": name.as_str(), "tags": page })))
}

/// `GET /v2/_catalog`.
pub(super) fn catalog(registry: &Registry, query: &Query) -> Result<Response<Body>> {
    let names = registry.storage.repositories()?;
    let (page, next) = page(&names, query, "/v2/_catalog")?;
    Ok(linked(next, json!({ "repositories": page })))
}

/// `GET /v2/NAME/referrers/DIGEST`: an index, empty if nothing refers to it or if it isn't there.
pub(super) fn referrers(registry: &Registry, name: &Name, subject: &Digest, query: &Query) -> Result<Response<Body>> {
    let wanted = query.get("artifactType");
    let mut descriptors = Vec::new();
    for digest in registry.storage.referrers(name, subject)? {
        let Some(media_type) = registry.storage.linked(name, Link::Manifest, &digest)? else { continue };
        let bytes = std::fs::read(registry.storage.content(&digest))?;
        let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let artifact_type = manifest.get("artifactType").or_else(|| manifest.pointer("/config/mediaType"));
        if wanted.is_some_and(|wanted| artifact_type.and_then(Value::as_str) != Some(wanted)) {
            continue;
        }
        let mut descriptor = json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() });
        let optional = [("artifactType", artifact_type), ("annotations", manifest.get("annotations"))];
        for (key, value) in optional.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            descriptor[key] = value.clone();
        }
        descriptors.push(descriptor);
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": descriptors,
    });
    let mut response = Response::builder().header(header::CONTENT_TYPE, "application/vnd.oci.image.index.v1+json");
    if wanted.is_some() {
        response = response.header(FILTERS, "artifactType");
    }
    Ok(response.body(Body::from(index.to_string())).expect("headers are valid by construction"))
}

/// At most `n` names after `last`, and where the rest is.
fn page<'a>(names: &'a BTreeSet<String>, query: &Query, path: &str) -> Result<(Vec<&'a str>, Option<String>)> {
    let after = query.get("last").map_or(Bound::Unbounded, |last| Bound::Excluded(last.clone()));
    let mut rest = names.range((after, Bound::Unbounded)).map(String::as_str);
    let Some(count) = query.get("n") else { return Ok((rest.collect(), None)) };
    let invalid = |_| Error::new(Code::PageInvalid, format!("invalid number of results {count:?}"));
    let count: usize = count.parse().map_err(invalid)?;
    let page: Vec<&str> = rest.by_ref().take(count).collect();
    let next = match page.last() {
        Some(last) if rest.next().is_some() => Some(format!("<{path}?last={last}&n={count}>; rel=\"next\"")),
        _ => None,
    };
    Ok((page, next))
}

fn linked(next: Option<String>, body: Value) -> Response<Body> {
    match next {
        Some(next) => ([(header::LINK, next)], super::json(&body)).into_response(),
        None => super::json(&body),
    }
}
