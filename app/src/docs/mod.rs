//! The documentation of the API: `/openapi.json`, made from the code, and an explorer at `/docs` that needs no network but
//! the one to this service.

mod document;

use std::sync::Arc;

use axum::{
    Router,
    extract::State as Shared,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::State;

pub use document::{Parts, document, text};

/// Swagger UI, packed by the build script.
const SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));
const STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));
const PAGE: &str = include_str!("page.html");
const START: &str = include_str!("start.js");

/// Nothing but what this service itself serves; Swagger UI sets styles inline and has its icons in data URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// `/openapi.json` and `/docs`.
pub fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/openapi.json", get(openapi))
        .route("/docs", get(async || file("text/html; charset=utf-8", PAGE.as_bytes(), false)))
        .route("/docs/start.js", get(async || file("text/javascript; charset=utf-8", START.as_bytes(), false)))
        .route("/docs/swagger-ui-bundle.js", get(async || file("text/javascript; charset=utf-8", SCRIPT, true)))
        .route("/docs/swagger-ui.css", get(async || file("text/css; charset=utf-8", STYLE, true)))
}

async fn openapi(Shared(state): Shared<Arc<State>>) -> Response {
    let mut document = document(Parts::of(&state));
    document.info.version.clone_from(&state.config.telemetry.version);
    ([(header::CACHE_CONTROL, "no-cache")], axum::Json(document)).into_response()
}

fn file(kind: &'static str, bytes: &'static [u8], packed: bool) -> Response {
    let header = |name: HeaderName, value| (name, HeaderValue::from_static(value));
    let headers = [
        header(header::CONTENT_TYPE, kind),
        header(header::CACHE_CONTROL, "max-age=3600"),
        header(header::CONTENT_SECURITY_POLICY, POLICY),
        header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        header(header::REFERRER_POLICY, "no-referrer"),
    ];
    // Browsers all unpack it, and nobody else has a use for it: there is no other form of it here.
    let encoding = packed.then(|| [header(header::CONTENT_ENCODING, "gzip")]);
    match encoding {
        Some(encoding) => (headers, encoding, bytes).into_response(),
        None => (headers, bytes).into_response(),
    }
}
