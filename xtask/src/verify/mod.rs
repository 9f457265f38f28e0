//! HTTP checks of the deployed service: the request, the status and the body that infra-config names.

use std::{
    fmt,
    time::{Duration, Instant},
};

use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::Client;

use crate::{
    config::{Check, Environment},
    error::{Error, Kind, Result},
    ui::Step,
};

mod address;
mod answer;

pub use address::base_url;
use answer::{Answer, Mismatch};

/// The longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Pauses between attempts: the first soon, for a load balancer that has just learned the pods' addresses.
const PAUSES: [u64; 5] = [50, 100, 200, 500, 1000];

/// How often an answer that is plainly wrong is asked for again, before it is believed.
const BELIEVED: usize = 3;

/// No check looks at more of an answer.
const BODY_LIMIT: usize = 1 << 20;

/// The checks that passed.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Where the service is reached.
    pub url: String,
    /// Each check, in the order of the configuration.
    pub checks: Vec<Passed>,
}

/// A check that passed.
#[derive(Debug, Clone)]
pub struct Passed {
    /// The check's name.
    pub name: String,
    /// `POST /v1`
    pub request: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// How long the answer took, without the attempts before.
    pub took: Duration,
}

impl fmt::Display for Verified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.checks.len();
        match self.checks.first() {
            None => write!(formatter, "no checks in the configuration"),
            Some(first) => {
                let millis = first.took.as_millis();
                write!(formatter, "{} {} in {millis} ms, {count} of {count} checks", first.request, first.status)
            }
        }
    }
}

/// Finds the service's address in the cluster and runs every check against it.
///
/// # Errors
/// The service has no address, or a check does not pass before its timeout.
pub async fn verify(client: &Client, environment: &Environment, step: &Step) -> Result<Verified> {
    let url = base_url(client, environment).await?;
    check(&url, environment, step).await
}

/// Runs every check against this address, `http://host:port`.
///
/// # Errors
/// A check does not pass before its timeout.
pub async fn check(url: &str, environment: &Environment, step: &Step) -> Result<Verified> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(ATTEMPT));
    // A connection for each request: a kept one would always meet the same pod.
    let http = HttpClient::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    let mut checks = Vec::new();
    for (index, check) in environment.verify.iter().enumerate() {
        step.update(format!("{}, {index} of {} checks passed", check.name, environment.verify.len()));
        let hint = format!("cargo xtask logs --env {}", environment.name);
        checks.push(pass(&http, url, check).await.map_err(|error| error.hint(hint))?);
    }
    Ok(Verified { url: url.to_owned(), checks })
}

type Http = HttpClient<HttpConnector, Full<bytes::Bytes>>;

/// Sends a check's request until the answer is right, it has been plainly wrong a few times, or the time is over.
async fn pass(http: &Http, url: &str, check: &Check) -> Result<Passed> {
    let deadline = Instant::now() + check.timeout;
    let target = format!("{}{}", url.trim_end_matches('/'), check.path);
    let mut pauses = PAUSES.iter().copied().map(Duration::from_millis);
    let mut wrong = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let began = Instant::now();
        let failure = match attempt(http, &target, check, left.min(ATTEMPT)).await? {
            Ok(answer) => match answer.mismatch(check) {
                None => {
                    let request = format!("{} {}", check.method, check.path);
                    let took = began.elapsed();
                    return Ok(Passed { name: check.name.clone(), request, status: answer.status, took });
                }
                Some(mismatch) => {
                    wrong += usize::from(!answer.is_transient());
                    Failure::Wrong(answer, mismatch)
                }
            },
            Err(why) => Failure::Unanswered(why),
        };
        let pause = pauses.next().unwrap_or(Duration::from_secs(1));
        if wrong >= BELIEVED || Instant::now() + pause >= deadline {
            return Err(failure.explain(&target, check));
        }
        tokio::time::sleep(pause).await;
    }
}

/// Why an attempt was not good enough.
enum Failure {
    Wrong(Answer, Mismatch),
    Unanswered(String),
}

impl Failure {
    fn explain(self, target: &str, check: &Check) -> Error {
        let doing = format!("check `{}`: {} {target}", check.name, check.method);
        match self {
            Self::Unanswered(why) => {
                let seconds = check.timeout.as_secs_f64();
                Error::new(Kind::TimedOut, format!("{doing} was not answered in {seconds} s")).cause(why)
            }
            Self::Wrong(answer, mismatch) => {
                let error = Error::failed(format!("{doing} {}", mismatch.sentence)).cause(answer::request(check));
                error.cause(format!("expected: {}", mismatch.expected)).cause(format!("answer: {}", answer.shown()))
            }
        }
    }
}

/// One request; the inner result says why there was no answer.
async fn attempt(http: &Http, target: &str, check: &Check, limit: Duration) -> Result<Result<Answer, String>> {
    let wrong = |error: &dyn std::error::Error| {
        Error::usage(format!("check `{}`: {} {target} is no HTTP request", check.name, check.method)).source(error)
    };
    let method: Method = check.method.parse().map_err(|error: http::method::InvalidMethod| wrong(&error))?;
    let uri: Uri = target.parse().map_err(|error: http::uri::InvalidUri| wrong(&error))?;
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in &check.headers {
        request = request.header(name, value);
    }
    let body = Full::from(check.body.clone().unwrap_or_default());
    let request = request.body(body).map_err(|error| wrong(&error))?;
    let exchange = async {
        let response = http.request(request).await.map_err(|error| chain(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await.map_err(|error| error.to_string())?;
        Ok(Answer { status, body: body.to_bytes() })
    };
    let seconds = limit.as_secs_f64();
    Ok(tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| Err(format!("no answer in {seconds:.1} s"))))
}

/// An error and what is behind it: the outermost says only `client error (Connect)`.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests;
