//! Who may ask: the holder of the cluster's token.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};

use crate::{api, status::Status};

/// The routes behind the token. Who brings none is anonymous, and gets health and version as from any API server.
pub(super) fn required(router: Router, token: &str) -> Router {
    let token: Arc<str> = token.into();
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let token = Arc::clone(&token);
        async move { check(&token, request, next).await }
    }))
}

async fn check(token: &str, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = given.and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")));
    match bearer.map(|bearer| equal(bearer.trim().as_bytes(), token.as_bytes())) {
        Some(true) => {
            request.extensions_mut().insert(api::User::admin());
            next.run(request).await
        }
        None if given.is_none() => {
            request.extensions_mut().insert(api::User::anonymous());
            next.run(request).await
        }
        _ => unauthorized(),
    }
}

/// In a time that does not depend on where the two differ.
fn equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (one, other)| sum | (one ^ other)) == 0
}

fn unauthorized() -> Response {
    let body = Status::new(401, "Unauthorized", "Unauthorized").to_value().to_string();
    (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
}
