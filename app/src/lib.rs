//! The service: it reverses and upcases strings.
//!
//! [`text`] is what it does, [`api`] how that is asked for, [`problem`] how it is refused. [`serve`] is one server of
//! it, whose [`drain`] loses no request, and [`config`] is what its environment says.

pub mod api;
pub mod config;
pub mod drain;
pub mod problem;
pub mod serve;
pub mod text;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post},
};

use crate::drain::Drain;

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct State {
    /// What the service calls itself in the `server` header and in its usage line.
    pub version: Arc<str>,
    /// Whether it is about to end.
    pub drain: Drain,
    /// How long a request may take, its body included.
    pub request_timeout: std::time::Duration,
}

/// The service's routes.
pub fn app(state: State) -> Router {
    Router::new()
        .route("/", post(api::transform))
        .route("/v1", get(api::usage).post(api::transform))
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .fallback(api::not_found)
        .method_not_allowed_fallback(api::method_not_allowed)
        .layer(middleware::from_fn_with_state(state.clone(), api::around))
        .with_state(state)
}
