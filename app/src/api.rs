//! The endpoints, and what surrounds each of them.

use std::{borrow::Cow, future::poll_fn, panic::AssertUnwindSafe, pin::pin, task::Poll, time::Instant};

use axum::{
    body::Body,
    extract::{Request, State as Shared},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{State, problem::Problem, text};

/// The largest body that is read, in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// What is read and thrown away of a larger body. A client that is still sending when the connection closes may never
/// see the answer that tells it why.
const DISCARD_LIMIT: usize = 8 * BODY_LIMIT;

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

#[derive(Serialize)]
struct Output {
    data: String,
}

/// `POST /v1`: `{"data": text}` becomes `{"data": text reversed and upper-cased}`.
pub async fn transform(headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    require_json(&headers)?;
    let bytes = read(&headers, body).await?;
    let input: Input<'_> = serde_json::from_slice(&bytes).map_err(|error| refuse(&bytes, &error))?;
    let output = Output { data: text::reverse_upcase(&input.data) };
    let output = serde_json::to_vec(&output)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], output).into_response())
}

/// `GET /v1`: how to use it.
pub async fn usage(Shared(state): Shared<State>) -> String {
    format!("app {}: POST {{\"data\": \"text\"}} as application/json to have it reversed and upcased\n", state.version)
}

/// `GET /healthz`: the process answers. It says so while draining too: a restart would cut off what is in flight.
pub async fn healthz() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], "ok\n").into_response()
}

/// `GET /readyz`: whether new requests should be sent here.
pub async fn readyz(Shared(state): Shared<State>) -> Result<Response, Problem> {
    if state.drain.is_draining() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining: about to end"));
    }
    Ok(([(header::CACHE_CONTROL, "no-store")], "ready\n").into_response())
}

/// Every path that there isn't.
pub async fn not_found(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {}, see GET /v1", uri.path()))
}

/// Every method that a path does not have; `Allow` lists those that it has.
pub async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = given.and_then(|text| text.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    let structured = media_type.starts_with("application/") && media_type.ends_with("+json");
    if media_type == "application/json" || structured {
        return Ok(());
    }
    let given = given.map_or_else(|| "no content-type".to_owned(), |given| format!("content-type {given:?}"));
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the body must be application/json, got {given}")))
}

async fn read(headers: &HeaderMap, mut body: Body) -> Result<Vec<u8>, Problem> {
    let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has {BODY_LIMIT} bytes at most"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT) && headers.contains_key(header::EXPECT) {
        // The client waits to be told to go on, and is not.
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(BODY_LIMIT));
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body was cut off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        received += data.len();
        if received > DISCARD_LIMIT {
            break;
        }
        if received <= BODY_LIMIT {
            bytes.extend_from_slice(&data);
        }
    }
    if received > BODY_LIMIT { Err(too_large()) } else { Ok(bytes) }
}

/// What is no JSON at all is malformed; JSON of another shape was understood and can't be processed.
fn refuse(bytes: &[u8], error: &serde_json::Error) -> Problem {
    // A wrong shape is found before what follows it has been parsed.
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Err(error) => Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")),
        Ok(_) if error.is_data() => {
            let detail = format!("the body must be {{\"data\": string}}: {error}");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
        Ok(_) => Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")),
    }
}

/// What every request has in common: a deadline, an answer even to a panic, who answered, and a line in the log.
pub async fn around(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = tokio::time::timeout(state.request_timeout, caught(next.run(request)));
    let mut response = answer.await.unwrap_or_else(|_| {
        let detail = format!("the request took longer than {:?}", state.request_timeout);
        let mut response = Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    });
    let server = HeaderValue::try_from(format!("app/{}", state.version));
    response.headers_mut().insert(header::SERVER, server.unwrap_or(HeaderValue::from_static("app")));
    if state.drain.is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (status, micros) = (response.status(), began.elapsed().as_micros() as u64);
    if status.is_server_error() && path != "/readyz" {
        tracing::error!(%method, path, status = status.as_u16(), micros, "request");
    } else {
        tracing::debug!(%method, path, status = status.as_u16(), micros, "request");
    }
    response
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

    #[test]
    fn malformed_and_misshapen_are_told_apart() {
        let status = |text: &str| {
            let bytes = text.as_bytes();
            serde_json::from_slice::<Input<'_>>(bytes).err().map(|error| refuse(bytes, &error).into_response().status())
        };
        for good in [r#"{"data":""}"#, r#"{"data":"\u00df","more":[1]}"#, " {\"data\":\"x\"}\n"] {
            assert_eq!(status(good), None, "{good}");
        }
        for malformed in
            ["", "{", r#"{"data":"x"} y"#, r#"{"data":5,"#, r#"{"data":"\ud800"}"#, "{'data':1}", "\u{feff}{}"]
        {
            assert_eq!(status(malformed), Some(StatusCode::BAD_REQUEST), "{malformed}");
        }
        for misshapen in
            ["null", "[]", "{}", r#""x""#, r#"{"data":5}"#, r#"{"data":null}"#, r#"{"data":"a","data":"b"}"#]
        {
            assert_eq!(status(misshapen), Some(StatusCode::UNPROCESSABLE_ENTITY), "{misshapen}");
        }
    }
}
