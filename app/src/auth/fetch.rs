//! Documents of the issuer, fetched over HTTP.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::{
    outward::{self, Client},
    problem::causes,
};

const TIMEOUT: Duration = Duration::from_secs(3);
/// Google's keys have 2 KiB, Cognito's 1.
const LIMIT: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Fetcher(Client);

impl Fetcher {
    pub(super) fn new() -> Self {
        Self(outward::client(TIMEOUT, 1))
    }

    /// Fetches and reads one, in bounded time and space.
    pub(super) async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let fetched = tokio::time::timeout(TIMEOUT, self.bytes(url)).await;
        let bytes = fetched.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}")));
        let value = bytes.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
        value.map_err(|error| format!("{url}: {error}"))
    }

    async fn bytes(&self, url: &str) -> Result<Vec<u8>, String> {
        let request = Request::get(url).header(header::ACCEPT, "application/json").body(Full::default());
        let request = request.map_err(|error| error.to_string())?;
        let response = self.0.request(request).await.map_err(|error| causes(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("answered {}", response.status()));
        }
        let body = Limited::new(response.into_body(), LIMIT).collect().await.map_err(|error| error.to_string())?;
        Ok(body.to_bytes().to_vec())
    }
}
