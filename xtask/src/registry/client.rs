//! What is asked of a registry apart from Docker's push (distribution-spec 1.1, "Pulling manifests").

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy, rt::TokioExecutor};
use serde_json::Value;

use super::Registry;
use crate::{
    error::{Error, Kind, Result},
    image::reference::{Digest, Repository},
};

const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";
/// How long a registry may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest manifest that a registry has to take.
const LIMIT: usize = 4 * 1024 * 1024;

/// A manifest, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) digest: Digest,
    pub(super) config: Option<Digest>,
    pub(super) layers: usize,
}

/// A client of one registry.
#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
}

impl Client {
    pub(super) fn new(registry: &Registry) -> Self {
        match registry {
            Registry::Local(address) => Self { address: *address },
        }
    }

    /// The manifest by this name, or nothing if there is none.
    pub(super) async fn manifest(&self, repository: &Repository, reference: &str) -> Result<Option<Manifest>> {
        let url = format!("http://{}/v2/{}/manifests/{reference}", self.address, repository.path());
        match tokio::time::timeout(TIMEOUT, self.get(&url)).await {
            Ok(manifest) => manifest,
            Err(_) => Err(Error::new(Kind::TimedOut, format!("ask the registry for {url}"))
                .cause(format!("no answer within {} s", TIMEOUT.as_secs()))),
        }
    }

    async fn get(&self, url: &str) -> Result<Option<Manifest>> {
        let failed = || Error::failed(format!("ask the registry for {url}"));
        let client: legacy::Client<_, Empty<Bytes>> = legacy::Client::builder(TokioExecutor::new()).build_http();
        let request = Request::get(url).header(header::ACCEPT, ACCEPT).body(Empty::new());
        let request = request.map_err(|error| failed().source(&error))?;
        let response = client.request(request).await.map_err(|error| failed().source(&error))?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body = Limited::new(response.into_body(), LIMIT).collect().await;
        let body = body.map_err(|error| failed().source(error.as_ref()))?.to_bytes();
        if status != StatusCode::OK {
            let text = String::from_utf8_lossy(&body);
            return Err(failed().cause(format!("{status}: {}", text.trim())));
        }
        let manifest: Value = serde_json::from_slice(&body).map_err(|error| failed().source(&error))?;
        let config = manifest.pointer("/config/digest").and_then(Value::as_str);
        Ok(Some(Manifest {
            // Computed, not believed.
            digest: Digest::of(&body),
            config: config.and_then(|digest| digest.parse().ok()),
            layers: manifest["layers"].as_array().map_or(0, Vec::len),
        }))
    }
}
