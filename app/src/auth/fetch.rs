//! Documents of the issuer, fetched over HTTP.

use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt as _, Limited};
use hyper::{Request, StatusCode, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;

use crate::problem::causes;

const TIMEOUT: Duration = Duration::from_secs(3);
/// Google's keys have 2 KiB, Cognito's 1.
const LIMIT: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Fetcher(Result<Client<HttpsConnector<HttpConnector>, Body>, String>);

impl Fetcher {
    /// Trusts the certificate authorities of the image or machine.
    pub(super) fn new() -> Self {
        let roots = HttpsConnectorBuilder::new().with_native_roots();
        let connector = roots.map(|roots| roots.https_or_http().enable_http1().build());
        let client = connector.map(|connector| Client::builder(TokioExecutor::new()).build(connector));
        Self(client.map_err(|error| format!("reading the certificate authorities of this machine: {error}")))
    }

    /// Fetches and reads one, in bounded time and space.
    pub(super) async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let fetched = tokio::time::timeout(TIMEOUT, self.bytes(url)).await;
        let bytes = fetched.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}")));
        let value = bytes.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
        value.map_err(|error| format!("{url}: {error}"))
    }

    async fn bytes(&self, url: &str) -> Result<Vec<u8>, String> {
        let request = Request::get(url).header(header::ACCEPT, "application/json").body(Body::empty());
        let request = request.map_err(|error| error.to_string())?;
        let client = self.0.as_ref().map_err(String::clone)?;
        let response = client.request(request).await.map_err(|error| causes(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("answered {}", response.status()));
        }
        let body = Limited::new(response.into_body(), LIMIT).collect().await.map_err(|error| error.to_string())?;
        Ok(body.to_bytes().to_vec())
    }
}
