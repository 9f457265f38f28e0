//! Manifests: what they must be like to be taken, and where they are found.

use std::io::Write as _;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, Method, Response, StatusCode, header},
};
use serde_json::Value;

use super::{
    DIGEST, Registry,
    error::{Code, Error, Result},
    name::{Algorithm, Digest, Name, Reference},
    storage::Link,
};

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// The size that the distribution-spec asks registries to take at least; none that is real comes near it.
const LIMIT: usize = 4 * 1024 * 1024;

/// The formats that are understood; a manifest refers to blobs, an index to manifests.
const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// `PUT /v2/NAME/manifests/REFERENCE`.
pub(super) async fn put(
    registry: &Registry,
    name: &Name,
    reference: &Reference,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>> {
    let too_large = |_| Error::new(Code::TooLarge, format!("manifests have {LIMIT} bytes at most"));
    let bytes = axum::body::to_bytes(body, LIMIT).await.map_err(too_large)?;
    let digest = match reference {
        Reference::Tag(_) => Digest::of(Algorithm::Sha256, &bytes),
        Reference::Digest(wanted) => {
            let digest = Digest::of(wanted.algorithm(), &bytes);
            if digest != *wanted {
                return Err(Error::new(Code::DigestInvalid, format!("content is {digest}, not {wanted}")));
            }
            digest
        }
    };
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let manifest = serde_json::from_slice(&bytes).map_err(|error| invalid(format!("not JSON: {error}")))?;
    let media_type = media_type(&manifest, content_type)?;
    require_content(registry, name, &manifest, &media_type)?;
    let subject = subject(&manifest)?;

    let storage = &registry.storage;
    let (path, mut file) = storage.scratch()?;
    file.write_all(&bytes)?;
    storage.keep(&file, &path, &digest)?;
    if let Some(subject) = &subject {
        storage.add_referrer(name, subject, &digest)?;
    }
    storage.link(name, Link::Manifest, &digest, &media_type)?;
    if let Reference::Tag(tag) = reference {
        storage.set_tag(name, tag, &digest)?;
    }
    let mut response = Response::builder()
        .status(StatusCode::CREATED)
        .header(header::LOCATION, format!("/v2/{name}/manifests/{digest}"))
        .header(DIGEST, digest.to_string());
    if let Some(subject) = subject {
        // Tells the client that the referrers API lists it, so that it need not keep a tag for that.
        response = response.header(SUBJECT, subject.to_string());
    }
    Ok(super::empty(response))
}

/// `GET` and `HEAD /v2/NAME/manifests/REFERENCE`.
pub(super) fn get(
    registry: &Registry,
    name: &Name,
    reference: &Reference,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response<Body>> {
    let unknown = || Error::new(Code::ManifestUnknown, format!("no manifest {} in {name}", describe(reference)));
    let digest = match reference {
        Reference::Tag(tag) => registry.storage.tag(name, tag)?.ok_or_else(unknown)?,
        Reference::Digest(digest) => digest.clone(),
    };
    let media_type = registry.storage.linked(name, Link::Manifest, &digest)?.ok_or_else(unknown)?;
    let bytes = std::fs::read(registry.storage.content(&digest)).map_err(|_| unknown())?;
    let etag = format!("\"{digest}\"");
    let response = Response::builder().header(DIGEST, digest.to_string()).header(header::ETAG, &etag);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes()) {
        return Ok(super::empty(response.status(StatusCode::NOT_MODIFIED)));
    }
    let response = response.header(header::CONTENT_TYPE, media_type).header(header::CONTENT_LENGTH, bytes.len());
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(bytes) };
    Ok(response.body(body).expect("headers are valid by construction"))
}

/// `DELETE /v2/NAME/manifests/REFERENCE`: a tag alone, or a manifest with every tag that names it.
pub(super) fn delete(registry: &Registry, name: &Name, reference: &Reference) -> Result<Response<Body>> {
    let storage = &registry.storage;
    let unknown = || Error::new(Code::ManifestUnknown, format!("no manifest {} in {name}", describe(reference)));
    match reference {
        Reference::Tag(tag) => {
            if !storage.remove_tag(name, tag)? {
                return Err(unknown());
            }
        }
        Reference::Digest(digest) => {
            for tag in storage.tags(name)? {
                if let Ok(Reference::Tag(tag)) = Reference::parse(&tag)
                    && storage.tag(name, &tag)?.as_ref() == Some(digest)
                {
                    storage.remove_tag(name, &tag)?;
                }
            }
            if !storage.unlink(name, Link::Manifest, digest)? {
                return Err(unknown());
            }
            let manifest = std::fs::read(storage.content(digest))?;
            let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
            if let Ok(Some(subject)) = subject(&manifest) {
                storage.remove_referrer(name, &subject, digest)?;
            }
        }
    }
    Ok(super::empty(Response::builder().status(StatusCode::ACCEPTED)))
}

fn describe(reference: &Reference) -> String {
    match reference {
        Reference::Tag(tag) => format!("{:?}", tag.as_str()),
        Reference::Digest(digest) => digest.to_string(),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Code::ManifestInvalid, message)
}

/// The header and the document must agree: a parser that believed one of them could be shown something else by the
/// other (CVE-2021-41190).
fn media_type(manifest: &Value, content_type: Option<&str>) -> Result<String> {
    let content_type = content_type.and_then(|text| text.split(';').next()).map(str::trim);
    let inside = manifest.get("mediaType").and_then(Value::as_str);
    let media_type = match (content_type, inside) {
        (Some(outside), Some(inside)) if outside != inside => {
            return Err(invalid(format!("Content-Type is {outside:?}, mediaType is {inside:?}")));
        }
        (Some(media_type), _) | (None, Some(media_type)) => media_type,
        (None, None) => return Err(invalid("neither Content-Type nor mediaType is given")),
    };
    if manifest.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
        return Err(invalid("schemaVersion must be 2"));
    }
    let (has, has_not) = match media_type {
        known if MANIFESTS.contains(&known) => ("layers", "manifests"),
        known if INDEXES.contains(&known) => ("manifests", "layers"),
        other => return Err(invalid(format!("unknown media type {other:?}"))),
    };
    if !manifest.get(has).is_some_and(Value::is_array) || manifest.get(has_not).is_some() {
        return Err(invalid(format!("{media_type} must have {has:?} and no {has_not:?}")));
    }
    Ok(media_type.to_owned())
}

/// Everything that a manifest refers to must be there already: a tag never leads to a hole.
fn require_content(registry: &Registry, name: &Name, manifest: &Value, media_type: &str) -> Result<()> {
    let list = |key| manifest.get(key).and_then(Value::as_array).into_iter().flatten();
    let descriptors: Vec<(&Value, Link)> = match MANIFESTS.contains(&media_type) {
        true => manifest.get("config").into_iter().chain(list("layers")).map(|value| (value, Link::Blob)).collect(),
        false => list("manifests").map(|value| (value, Link::Manifest)).collect(),
    };
    for (descriptor, link) in descriptors {
        // Layers that may not be distributed are fetched from elsewhere.
        if descriptor.get("urls").and_then(Value::as_array).is_some_and(|urls| !urls.is_empty()) {
            continue;
        }
        let digest = descriptor_digest(descriptor)?;
        let held = registry.storage.linked(name, link, &digest)?.is_some();
        let size = std::fs::metadata(registry.storage.content(&digest)).map(|metadata| metadata.len());
        let (true, Ok(size)) = (held, size) else {
            return Err(Error::new(Code::ManifestBlobUnknown, format!("{name} has no {digest}")));
        };
        if descriptor.get("size").and_then(Value::as_u64) != Some(size) {
            return Err(invalid(format!("{digest} has {size} bytes, the manifest says otherwise")));
        }
    }
    Ok(())
}

fn descriptor_digest(descriptor: &Value) -> Result<Digest> {
    let text = descriptor.get("digest").and_then(Value::as_str).unwrap_or_default();
    Digest::parse(text).map_err(|_| invalid(format!("a descriptor has the digest {text:?}")))
}

fn subject(manifest: &Value) -> Result<Option<Digest>> {
    manifest.get("subject").filter(|subject| !subject.is_null()).map(descriptor_digest).transpose()
}
