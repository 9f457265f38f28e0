//! An OCI registry (distribution-spec 1.1) over a directory, for images built on this machine.
//!
//! `name` (what can be asked for), `storage` (the directory), `uploads`, `blobs`, `manifests` and
//! `listing` (the endpoints). It has no authentication: it is served on loopback, where Docker talks plain HTTP.

mod blobs;
mod error;
mod listing;
mod manifests;
mod name;
mod storage;
#[cfg(test)]
mod tests;
mod uploads;

use std::{collections::HashMap, path::Path, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Query as QueryOf, Request, State},
    http::{HeaderName, HeaderValue, Method, Response, header, response},
    response::IntoResponse as _,
};

use self::{
    error::{Code, Error, Result},
    name::{Digest, Name, Reference},
    storage::Storage,
    uploads::Uploads,
};

/// The digest of what an answer is about.
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Clients that predate the OCI take this as the sign of a registry.
const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

type Query = HashMap<String, String>;

#[derive(Debug)]
struct Registry {
    storage: Arc<Storage>,
    uploads: Uploads,
}

/// The registry's routes over the directory, which is made when something is first pushed. One process at a time may
/// serve a directory.
pub fn router(directory: &Path) -> Router {
    let registry = Registry { storage: Arc::new(Storage::open(directory)), uploads: Uploads::default() };
    // Names contain slashes in front of the fixed part of a path, which no route pattern can say.
    Router::new().fallback(serve).with_state(Arc::new(registry))
}

async fn serve(State(registry): State<Arc<Registry>>, request: Request) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = dispatch(&registry, request).await.unwrap_or_else(|error| error.into_response());
    response.headers_mut().insert(VERSION, HeaderValue::from_static("registry/2.0"));
    tracing::debug!(%method, path, status = response.status().as_u16(), "registry");
    response
}

async fn dispatch(registry: &Registry, request: Request) -> Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let query = QueryOf::<Query>::try_from_uri(&parts.uri).map(|query| query.0).unwrap_or_default();
    // The colon of a digest is the one character of a path that clients may escape.
    let path = parts.uri.path().replace("%3A", ":").replace("%3a", ":");
    let unknown = || Error::new(Code::NameUnknown, format!("no such path {path:?}"));
    let rest = path.strip_prefix("/v2").ok_or_else(unknown)?;
    let segments: Vec<&str> = rest.trim_start_matches('/').split('/').collect();
    let name = |segments: &[&str]| Name::parse(&segments.join("/"));
    let (headers, method) = (&parts.headers, &parts.method);
    let reading = method == Method::GET || method == Method::HEAD;

    // From the end, since `blobs` or `tags` may be a component of a name too.
    match segments.as_slice() {
        [""] if reading => Ok(json(&serde_json::json!({}))),
        [""] => Err(Error::method("GET, HEAD")),
        ["_catalog"] if reading => listing::catalog(registry, &query),
        ["_catalog"] => Err(Error::method("GET")),
        [head @ .., "tags", "list"] if reading => listing::tags(registry, &name(head)?, &query),
        [_, .., "tags", "list"] => Err(Error::method("GET")),
        [head @ .., "referrers", digest] if reading => {
            listing::referrers(registry, &name(head)?, &Digest::parse(digest)?, &query)
        }
        [_, .., "referrers", _] => Err(Error::method("GET")),
        [head @ .., "blobs", "uploads"] | [head @ .., "blobs", "uploads", ""] => match *method {
            Method::POST => uploads::start(registry, &name(head)?, &query, body).await,
            _ => Err(Error::method("POST")),
        },
        [head @ .., "blobs", "uploads", id] => match *method {
            Method::GET => uploads::status(registry, &name(head)?, id).await,
            Method::PATCH => uploads::append(registry, &name(head)?, id, headers, body).await,
            Method::PUT => uploads::end(registry, &name(head)?, id, &query, headers, body).await,
            Method::DELETE => uploads::cancel(registry, &name(head)?, id).await,
            _ => Err(Error::method("GET, PATCH, PUT, DELETE")),
        },
        [head @ .., "blobs", digest] => {
            let (name, digest) = (name(head)?, Digest::parse(digest)?);
            match *method {
                Method::GET | Method::HEAD => blobs::get(registry, &name, &digest, method, headers).await,
                Method::DELETE => blobs::delete(registry, &name, &digest),
                _ => Err(Error::method("GET, HEAD, DELETE")),
            }
        }
        [head @ .., "manifests", reference] => {
            let (name, reference) = (name(head)?, Reference::parse(reference)?);
            match *method {
                Method::GET | Method::HEAD => manifests::get(registry, &name, &reference, method, headers),
                Method::PUT => manifests::put(registry, &name, &reference, headers, body).await,
                Method::DELETE => manifests::delete(registry, &name, &reference),
                _ => Err(Error::method("GET, HEAD, PUT, DELETE")),
            }
        }
        _ => Err(unknown()),
    }
}

fn json(body: &serde_json::Value) -> Response<Body> {
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    response.body(Body::from(body.to_string())).expect("headers are valid by construction")
}

fn empty(response: response::Builder) -> Response<Body> {
    response.body(Body::empty()).expect("headers are valid by construction")
}
