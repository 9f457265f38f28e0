//! What every request has in common: an id and a place in a trace, a limit to how many one client may send, a place among
//! those under way, a deadline, an answer even to a panic, who answered, what is counted, and a line in the log.

use std::{future::poll_fn, panic::AssertUnwindSafe, pin::pin, sync::Arc, task::Poll};

use axum::{
    body::{Body, HttpBody as _},
    extract::{MatchedPath, Request, State as Shared},
    http::{HeaderValue, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use opentelemetry::{KeyValue, trace::SpanBuilder};

use crate::{
    State, limit,
    problem::Problem,
    trace::{self, REQUEST_ID, Trail},
};

/// Surrounds every request.
pub async fn around(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let counted = state.metrics.request(request.method(), route.map(MatchedPath::as_str));
    let (trail, span) = Trail::begin(request.headers(), state.tracer.as_ref(), || {
        let (method, route) = (request.method().as_str(), counted.route());
        let attributes = [("http.request.method", method), ("http.route", route), ("url.path", request.uri().path())];
        SpanBuilder::from_name(format!("{method} {route}"))
            .with_attributes(attributes.map(|(key, value)| KeyValue::new(key, value.to_owned())))
    });
    let id = trail.header();
    let work = async {
        let version = request.version();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let mut response = admitted(&state, request, next).await;
        response.headers_mut().insert(header::SERVER, state.server.clone());
        response.headers_mut().insert(REQUEST_ID, id);
        // A connection of HTTP/2 is told by GOAWAY, when it closes.
        if state.drain.is_draining() && version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let status = response.status();
        let took = counted.answered(status);
        trace::end(span, status, took);
        let (micros, path) = (took.as_micros() as u64, uri.path());
        if status.is_server_error() && path != "/readyz" {
            tracing::error!(%method, path, status = status.as_u16(), micros, "request");
        } else {
            tracing::debug!(%method, path, status = status.as_u16(), micros, "request");
        }
        response
    };
    trail.follow(work).await
}

/// Answers, if neither the client nor all together ask too much, and in time.
async fn admitted(state: &State, request: Request, next: Next) -> Response {
    // Whoever asks how the service does is always told.
    let permit = match request.uri().path() {
        "/healthz" | "/readyz" | "/api/health" => None,
        _ => {
            if let Err(refusal) = limit::admit(state.limit.as_ref(), &request) {
                return refusal.into_response();
            }
            match state.permits.clone().try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => {
                    state.metrics.shed();
                    return Problem::unavailable("there are too many requests under way").into_response();
                }
            }
        }
    };
    let (timeout, version) = (state.config.limits.request_timeout, request.version());
    let answer = tokio::time::timeout(timeout, caught(next.run(request)));
    let response = answer.await.unwrap_or_else(|_| {
        let detail = format!("the request took longer than {timeout:?}");
        let mut response = Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response();
        if version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    });
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    // What is made while it is sent is under way until then.
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held = &permit;
            frame
        }))
    })
}

/// A panic is one request's failure, not that of all the others in flight.
async fn caught(response: impl Future<Output = Response>) -> Response {
    let mut response = pin!(response);
    let polled =
        poll_fn(|context| match std::panic::catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => Poll::Ready(Some(response)),
            Err(_) => Poll::Ready(None),
        });
    polled
        .await
        .unwrap_or_else(|| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "something broke here").into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_problem() {
        let response = caught(async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        });
        let response = response.await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}
