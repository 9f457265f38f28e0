//! HTTP to registries and to AWS: system roots, time limits, and patience with those that ask for it.

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

use crate::error::{Error, Result};

/// The largest answer, which is the largest manifest that a registry has to take, and how long it may take.
const LIMITS: (usize, Duration) = (4 * 1024 * 1024, Duration::from_secs(10));
/// The same for the layers of images.
const LAYERS: (usize, Duration) = (4 * 1024 * 1024 * 1024, Duration::from_secs(15 * 60));
/// How often a request is made in all, and the first pause between two.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that an answer may ask for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends requests and reads whole answers.
#[derive(Debug)]
pub(crate) struct Transport {
    client: Client,
    /// How large an answer may be, and how long it may take.
    limits: (usize, Duration),
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
    pub(crate) fn new(secure: bool) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider);
        let builder = builder.map_err(|error| Error::failed("read this system's root certificates").source(&error))?;
        let builder = if secure { builder.https_only() } else { builder.https_or_http() };
        Ok(Self { client: Client::Web(legacy(builder.enable_http1().build())), limits: LIMITS })
    }

    /// One that speaks http alone: reading the roots would cost more than all that it is asked.
    pub(crate) fn plain() -> Self {
        Self { client: Client::Plain(legacy(HttpConnector::new())), limits: LIMITS }
    }

    /// The same, with the patience that whole layers take.
    pub(crate) fn patient(self) -> Self {
        Self { limits: LAYERS, ..self }
    }

    /// Sends a request, again when the answer is that it might work later. `doing` is what errors say.
    ///
    /// # Errors
    /// No answer at all.
    pub(crate) async fn send(
        &self,
        doing: &str,
        request: impl Fn() -> http::Result<Request<Bytes>>,
    ) -> Result<Response<Bytes>> {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            let response = self.once(doing, &request).await?;
            if !is_passing(response.status()) {
                return Ok(response);
            }
            tokio::time::sleep(asked_for(&response).unwrap_or(pause)).await;
            pause *= 2;
        }
        self.once(doing, &request).await
    }

    async fn once(&self, doing: &str, request: &impl Fn() -> http::Result<Request<Bytes>>) -> Result<Response<Bytes>> {
        let (limit, timeout) = self.limits;
        let request = request().map_err(|error| Error::failed(doing).source(&error))?;
        let work = async {
            let response = match &self.client {
                Client::Plain(client) => client.request(request.map(Full::new)).await,
                Client::Web(client) => client.request(request.map(Full::new)).await,
            };
            let (parts, body) = response.map_err(|error| Error::failed(doing).source(&error))?.into_parts();
            let body = Limited::new(body, limit).collect().await;
            let body = body.map_err(|error| Error::failed(doing).source(error.as_ref()))?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        tokio::time::timeout(timeout, work)
            .await
            .unwrap_or_else(|_| Err(Error::timed_out(doing).cause(format!("no answer within {} s", timeout.as_secs()))))
    }
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
