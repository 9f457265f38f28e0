//! HTTP checks of the deployed service: the request, the status and the body that infra-config names.

use std::{
    fmt,
    time::{Duration, Instant},
};

use http::{Method, Request, Uri};
use http_body_util::Full;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client, api::ListParams};
use serde_json::{Value, json};

use crate::{
    config::{Check, Unit},
    error::{Error, Kind, Result},
    plan::{mask::Known, request},
    rollout,
    ui::Step,
};

mod address;
mod answer;
mod route;

pub use address::base_url;
use answer::{Answer, Mismatch};
use route::Route;

/// The longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Pauses between attempts: the first soon, for a load balancer that has just learned the pods' addresses.
const PAUSES: [u64; 5] = [50, 100, 200, 500, 1000];

/// How often an answer that is plainly wrong is asked for again, before it is believed.
const BELIEVED: usize = 3;

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

/// Finds the way to the service and runs every check against it. Redirects are answers like others: none is followed.
///
/// # Errors
/// There is no way to the service, or a check does not pass before its timeout.
pub async fn verify(client: &Client, unit: Unit<'_>, step: &Step) -> Result<Verified> {
    if unit.service.verify.is_empty() {
        // Nothing is asked of it, so it need not be reachable.
        let url = base_url(client, unit).await.unwrap_or_else(|_| "no address from outside".to_owned());
        return Ok(Verified { url, checks: Vec::new() });
    }
    let route = address::find(client, unit).await?;
    through(&route, unit, async || given(client, unit).await, step).await
}

/// Runs every check. What the service knows and must not say is asked for when one fails.
async fn through(route: &Route, unit: Unit<'_>, given: impl AsyncFn() -> Known, step: &Step) -> Result<Verified> {
    let mut checks = Vec::new();
    for (index, check) in unit.service.verify.iter().enumerate() {
        step.update(format!("{}, {index} of {} checks passed", check.name, unit.service.verify.len()));
        match pass(route, check).await? {
            Ok(passed) => checks.push(passed),
            Err(failure) => {
                let mut known = given().await;
                answer::remember(check, &mut known);
                let hint = format!("cargo xtask logs --env {}", unit.environment.name);
                return Err(failure.explain(route, check, &known).hint(hint));
            }
        }
    }
    Ok(Verified { url: route.url().to_owned(), checks })
}

/// The secret values that the pods behind the Service were given. Its answer may repeat them.
async fn given(client: &Client, unit: Unit<'_>) -> Known {
    let namespace = &unit.service.namespace;
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let service = request::retry(|| services.get_opt(&unit.service.name)).await.ok().flatten();
    let selector = service.and_then(|service| service.spec?.selector).unwrap_or_default();
    if selector.is_empty() {
        return Known::default();
    }
    let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(&labels.join(","));
    let found = request::retry(|| pods.list(&params)).await.map(|list| list.items).unwrap_or_default();
    let specs: Vec<Value> = found.into_iter().map(|pod| json!(pod.spec)).collect();
    rollout::given(client, namespace, &specs.iter().collect::<Vec<_>>()).await
}

/// Sends a check's request until the answer is right, it has been plainly wrong a few times, or the time is over.
async fn pass(route: &Route, check: &Check) -> Result<Result<Passed, Failure>> {
    let deadline = Instant::now() + check.timeout;
    let target = format!("{}{}", route.url(), check.path);
    let mut pauses = PAUSES.iter().copied().map(Duration::from_millis);
    let mut wrong = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let began = Instant::now();
        let failure = match attempt(route, &target, check, left.min(ATTEMPT)).await? {
            Ok(answer) => match answer.mismatch(check) {
                None => {
                    let request = format!("{} {}", check.method, check.path);
                    let took = began.elapsed();
                    return Ok(Ok(Passed { name: check.name.clone(), request, status: answer.status, took }));
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
            return Ok(Err(failure));
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
    fn explain(self, route: &Route, check: &Check, known: &Known) -> Error {
        let way = if route.is_forwarded() { " through a port-forward" } else { "" };
        let target = format!("{}{}", route.url(), known.scrub_all(&check.path));
        let doing = format!("check `{}`: {} {target}{way}", check.name, check.method);
        match self {
            Self::Unanswered(why) => {
                let seconds = check.timeout.as_secs_f64();
                Error::new(Kind::TimedOut, format!("{doing} was not answered in {seconds} s")).cause(why)
            }
            Self::Wrong(answer, mismatch) => {
                let error =
                    Error::failed(format!("{doing} {}", mismatch.sentence)).cause(answer::request(check, known));
                let error = error.cause(format!("expected: {}", known.scrub_values(&mismatch.expected)));
                error.cause(format!("answer: {}", answer.shown(known)))
            }
        }
    }
}

/// One request; the inner result says why there was no answer.
async fn attempt(route: &Route, target: &str, check: &Check, limit: Duration) -> Result<Result<Answer, String>> {
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
    let seconds = limit.as_secs_f64();
    let answer = tokio::time::timeout(limit, route.send(request)).await;
    Ok(answer.unwrap_or_else(|_| Err(format!("no answer in {seconds:.1} s"))))
}

#[cfg(test)]
mod tests;
