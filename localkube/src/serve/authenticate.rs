//! Who asks: the bearer of the cluster's token, of a service account's, or somebody without any.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};

use super::webhook::Webhook;
use crate::{api, status::Status};

/// The routes behind authentication. Who brings no token is anonymous, and gets what roles give to everybody.
pub(super) fn required(router: Router, server: &Arc<api::Server>, webhook: Option<Webhook>) -> Router {
    let (server, webhook) = (Arc::clone(server), Arc::new(webhook));
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let (server, webhook) = (Arc::clone(&server), Arc::clone(&webhook));
        async move { check(&server, webhook.as_ref().as_ref(), request, next).await }
    }))
}

async fn check(server: &api::Server, webhook: Option<&Webhook>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = given.and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")));
    let user = match (given, bearer) {
        (None, _) => Some(api::User::anonymous()),
        (Some(_), None) => None,
        (Some(_), Some(bearer)) => match (api::User::of_token(server, bearer.trim()), webhook) {
            (None, Some(webhook)) => webhook.of_token(bearer.trim()).await,
            (user, _) => user,
        },
    };
    let Some(user) = user else { return unauthorized() };
    request.extensions_mut().insert(user);
    next.run(request).await
}

fn unauthorized() -> Response {
    let body = Status::new(401, "Unauthorized", "Unauthorized").to_value().to_string();
    (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
}
