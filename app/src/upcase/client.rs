//! Asking SHOUTCLOUD: `POST {"INPUT": text}`, answered by `{"INPUT": text, "OUTPUT": TEXT}`.

use std::{borrow::Cow, time::Duration};

use axum::{
    body::Bytes,
    http::{HeaderValue, Method, Request, StatusCode, Uri, header},
};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{Failure, breaker::Breaker, budget::Budget};
use crate::{config::Upcase, metrics::Metrics, outward, trace};

/// The first pause before asking again; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Serialize)]
struct Shout<'a> {
    #[serde(rename = "INPUT")]
    input: &'a str,
}

#[derive(Deserialize)]
struct Shouted<'a> {
    #[serde(rename = "INPUT", borrow)]
    input: Cow<'a, str>,
    #[serde(rename = "OUTPUT")]
    output: String,
}

/// A client with everything that keeps a bad service from taking this one down.
#[derive(Debug)]
pub(super) struct Client {
    url: Uri,
    http: outward::Client,
    timeout: Duration,
    retries: u32,
    under_way: Semaphore,
    breaker: Breaker,
    budget: Budget,
    metrics: Metrics,
}

impl Client {
    pub(super) fn new(url: Uri, config: &Upcase, metrics: Metrics) -> Self {
        Self {
            url,
            http: outward::client(config.connect_timeout, config.concurrency),
            timeout: config.timeout,
            retries: config.retries,
            under_way: Semaphore::new(config.concurrency),
            breaker: Breaker::new(config.breaker_failures, config.breaker_pause),
            budget: Budget::default(),
            metrics,
        }
    }

    /// Has a text upper-cased.
    pub(super) async fn upcase(&self, text: &str) -> Result<String, Failure> {
        let deadline = Instant::now() + self.timeout;
        let place = timeout_at(deadline, self.under_way.acquire()).await.map_err(|_| Failure::Busy)?;
        let _place = place.map_err(|_| Failure::Busy)?;
        self.budget.earn();
        let body = serde_json::to_vec(&Shout { input: text }).map_err(|error| Failure::Wrong(error.to_string()))?;
        let body = Bytes::from(body);
        let mut tried = 0;
        loop {
            let leave = self.breaker.leave().map_err(Failure::LeftAlone)?;
            let began = Instant::now();
            let ask = trace::within("POST shoutcloud", self.ask(text, body.clone()));
            let answer = timeout_at(deadline, ask).await.unwrap_or(Err(Failure::Slow));
            self.metrics.upstream(answer.as_ref().map_or_else(Failure::name, |_| "success"), began.elapsed());
            let failure = match answer {
                Ok(upper) => {
                    leave.succeeded();
                    self.metrics.circuit(self.breaker.is_open());
                    return Ok(upper);
                }
                Err(failure) => failure,
            };
            leave.failed();
            self.metrics.circuit(self.breaker.is_open());
            tracing::debug!(%failure, tried, "upcasing");
            // The pause is anything up to its length, so that those who failed together do not come back together.
            let pause = PAUSE.saturating_mul(1 << tried.min(10)).mul_f64(fastrand::f64());
            let again = failure.passes() && tried < self.retries && Instant::now() + pause < deadline;
            if !again || !self.budget.spend() {
                return Err(failure);
            }
            tried += 1;
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask(&self, text: &str, body: Bytes) -> Result<String, Failure> {
        let wrong = |what: &str| Failure::Wrong(what.to_owned());
        // An answer repeats the text, and each character may be escaped.
        let most = text.len() * 16 + 1024;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        trace::propagate(request.headers_mut());
        let response = self.http.request(request).await.map_err(|_| Failure::Unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failure::Unavailable(status));
            }
            status => return Err(wrong(&format!("status {status}"))),
        }
        let answer = Limited::new(response.into_body(), most).collect().await;
        let answer = answer.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() { wrong("it is too long") } else { Failure::Unreachable }
        })?;
        let answer = answer.to_bytes();
        let shouted: Shouted<'_> =
            serde_json::from_slice(&answer).map_err(|_| wrong("it is not {\"INPUT\": …, \"OUTPUT\": …}"))?;
        if shouted.input != text {
            return Err(wrong("it is about another text"));
        }
        Ok(shouted.output)
    }
}

impl Failure {
    /// Whether asking again may help. It can do no harm: upper-casing changes nothing there.
    fn passes(&self) -> bool {
        match self {
            Self::Unreachable => true,
            Self::Unavailable(status) => {
                matches!(status.as_u16(), 429 | 502 | 503 | 504)
            }
            Self::Wrong(_) | Self::Slow | Self::LeftAlone(_) | Self::Busy => false,
        }
    }
}
