//! HTTP to registries: system roots, time limits, and patience with those that ask for it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connect, HttpConnector},
    },
    rt::TokioExecutor,
};
use serde_json::Value;

use crate::error::{Error, Result};

/// How long a registry may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest manifest that a registry has to take.
const LIMIT: usize = 4 * 1024 * 1024;
/// How often a request is made in all, and the first pause between two.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that a registry may ask for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends requests and reads whole answers.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
}

#[derive(Debug)]
enum Client {
    Plain(legacy::Client<HttpConnector, Full<Bytes>>),
    Web(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

fn legacy<C: Connect + Clone>(connector: C) -> legacy::Client<C, Full<Bytes>> {
    legacy::Client::builder(TokioExecutor::new()).build(connector)
}

impl Transport {
    /// One that trusts this system's root certificates; it speaks https, and http only if it is not `secure`.
    ///
    /// # Errors
    /// The system's root certificates cannot be read.
    pub(super) fn new(secure: bool) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider);
        let builder = builder.map_err(|error| Error::failed("read this system's root certificates").source(&error))?;
        let builder = if secure { builder.https_only() } else { builder.https_or_http() };
        Ok(Self { client: Client::Web(legacy(builder.enable_http1().build())) })
    }

    /// One that speaks http alone: reading the roots would cost more than all that it is asked.
    pub(super) fn plain() -> Self {
        Self { client: Client::Plain(legacy(HttpConnector::new())) }
    }

    /// Sends a request, again when the answer is that it might work later. `url` is what errors name.
    ///
    /// # Errors
    /// No answer at all.
    pub(super) async fn send(
        &self,
        url: &str,
        request: impl Fn() -> http::Result<Request<Bytes>>,
    ) -> Result<Response<Bytes>> {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            let response = self.once(url, &request).await?;
            if !is_passing(response.status()) {
                return Ok(response);
            }
            tokio::time::sleep(asked_for(&response).unwrap_or(pause)).await;
            pause *= 2;
        }
        self.once(url, &request).await
    }

    async fn once(&self, url: &str, request: &impl Fn() -> http::Result<Request<Bytes>>) -> Result<Response<Bytes>> {
        let doing = format!("ask the registry for {url}");
        let request = request().map_err(|error| Error::failed(&doing).source(&error))?;
        let work = async {
            let response = match &self.client {
                Client::Plain(client) => client.request(request.map(Full::new)).await,
                Client::Web(client) => client.request(request.map(Full::new)).await,
            };
            let (parts, body) = response.map_err(|error| Error::failed(&doing).source(&error))?.into_parts();
            let body = Limited::new(body, LIMIT).collect().await;
            let body = body.map_err(|error| Error::failed(&doing).source(error.as_ref()))?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        tokio::time::timeout(TIMEOUT, work).await.unwrap_or_else(|_| {
            Err(Error::timed_out(&doing).cause(format!("no answer within {} s", TIMEOUT.as_secs())))
        })
    }
}

/// The status and what the registry says beside it (distribution-spec, "Error Codes").
pub(super) fn said(response: &Response<Bytes>) -> String {
    const LIMIT: usize = 500;
    let errors: Option<Value> = serde_json::from_slice(response.body()).ok();
    let errors = errors.as_ref().and_then(|body| body["errors"].as_array()).cloned().unwrap_or_default();
    let words = |error: &Value| {
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        format!("{} ({})", text("message"), text("code"))
    };
    let text = match errors.as_slice() {
        [] => String::from_utf8_lossy(response.body()).trim().to_owned(),
        errors => errors.iter().map(words).collect::<Vec<_>>().join(", "),
    };
    let text: String = text.chars().take(LIMIT).collect();
    if text.is_empty() { response.status().to_string() } else { format!("{}: {text}", response.status()) }
}

/// Whether the same request may be answered later: 408, 429 and the server's own troubles.
fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) || status.is_server_error()
}

/// The seconds of `Retry-After`, up to our patience.
fn asked_for(response: &Response<Bytes>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(PATIENCE))
}
