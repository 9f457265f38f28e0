//! Refusals as problem details (RFC 9457): every answer that is an error has the same machine-readable shape.

use std::{error::Error, fmt};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

/// A refusal; its type is `about:blank`, so its title is the status' own phrase.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    members: Map<String, Value>,
}

impl Problem {
    /// What went wrong this time, for the person who sent the request.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), headers: Vec::new(), members: Map::new() }
    }

    /// With a header that its status asks for.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With a member of its own, for programs (RFC 9457 section 3.2).
    #[must_use]
    pub fn member(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    /// Something that it takes is busy or away; a second later it may be there.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its body.
    pub fn json(&self) -> Value {
        let mut json = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        for (name, value) in &self.members {
            json[name] = value.clone();
        }
        json
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

/// What an error says, and all its causes: many libraries keep what matters below.
pub fn causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    words
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.json().to_string();
        let json = HeaderValue::from_static("application/problem+json");
        let uncached = HeaderValue::from_static("no-store");
        let headers = [(header::CONTENT_TYPE, json), (header::CACHE_CONTROL, uncached)];
        let mut response = (self.status, headers, body).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}
