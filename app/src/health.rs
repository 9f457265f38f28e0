//! Whether the process lives, and whether new requests should be sent to it.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures::future::{BoxFuture, join_all};
use utoipa::ToSchema;

use crate::{State, problem::Problem};

/// How long a dependency may take to answer: less than the second that a kubelet waits for the whole.
const PATIENCE: Duration = Duration::from_millis(800);

/// Something that the service can't do without, and how it is asked whether it is there.
pub struct Check {
    name: &'static str,
    ask: Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Check {
    /// `ask` says what is wrong in words that hold no secret: they are shown to whoever asks.
    pub fn new(
        name: &'static str,
        ask: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) -> Self {
        Self { name, ask: Box::new(ask) }
    }

    async fn complaint(&self) -> Option<String> {
        let answer = tokio::time::timeout(PATIENCE, (self.ask)()).await;
        let wrong = answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))).err()?;
        Some(format!("{}: {wrong}", self.name))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Check").field(&self.name).finish()
    }
}

/// That the service answers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `health` writes")]
struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: String,
}

/// `/healthz`, `/readyz` and `/api/health`.
pub fn routes() -> Router<Arc<State>> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/api/health", get(health))
}

/// The process answers. It says so while draining too, and whatever is wrong elsewhere: a restart would mend nothing and
/// cut off what is in flight.
#[utoipa::path(
    get,
    path = "/healthz",
    security(()),
    summary = "Whether the process lives",
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain")),
)]
pub(crate) async fn healthz() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], "ok\n").into_response()
}

/// `/healthz` in JSON.
#[utoipa::path(
    get,
    path = "/api/health",
    tag = "api",
    security(()),
    summary = "Whether it answers",
    responses((status = 200, description = "It does.", body = Health)),
)]
pub(crate) async fn health() -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], "{\"status\":\"ok\"}")
        .into_response()
}

/// Whether new requests should be sent here: not while draining, and not while something required does not answer.
#[utoipa::path(
    get,
    path = "/readyz",
    security(()),
    summary = "Whether requests should be sent here",
    responses(
        (status = 200, description = "They should.", body = String, content_type = "text/plain"),
        (status = 503, description = "It is about to end, or something that it needs does not answer."),
    ),
)]
pub(crate) async fn readyz(Shared(state): Shared<Arc<State>>) -> Result<Response, Problem> {
    if state.drain.is_draining() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining: about to end"));
    }
    let complaints: Vec<_> = join_all(state.checks.iter().map(Check::complaint)).await.into_iter().flatten().collect();
    if complaints.is_empty() {
        return Ok(([(header::CACHE_CONTROL, "no-store")], "ready\n").into_response());
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, complaints.join("; ")))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::{body::Body, extract::Request};
    use futures::FutureExt as _;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::config::Config;

    async fn ask(checks: Vec<Check>, path: &str) -> (StatusCode, String) {
        let config = Config::parse(|_| None).unwrap();
        let state = Arc::new(State { checks, ..State::new(config) });
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = routes().with_state(state).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn readiness_asks_what_is_required_and_liveness_does_not() {
        let good = || Check::new("good", || async { Ok(()) }.boxed());
        let down = || Check::new("store", || async { Err("refused".to_owned()) }.boxed());
        let hung = || Check::new("queue", || pending().boxed());
        assert_eq!(ask(vec![good()], "/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
        let (status, body) = ask(vec![good(), down(), hung()], "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("\"store: refused; queue: no answer within 800ms\""), "{body}");
        assert_eq!(ask(vec![down(), hung()], "/healthz").await.0, StatusCode::OK);
    }
}
