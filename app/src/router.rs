//! The parts put together.
//!
//! What a request passes, from the outside in; each is there for what is inside it:
//!
//! ```text
//! connection   how many there are, the head's size and time, HTTP/1.1 or h2c        serve
//! around       an id, a place in a trace, a line in the log, metrics,
//!              how often one client may ask, where that is limited,
//!              an answer even to a panic, a deadline                              around, limit
//! auth         who asks, where that matters                                         auth
//! route        the part's own handler, which reads the body within its limit        api, users, ...
//! ```

use std::sync::Arc;

use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    middleware,
};

use crate::{State, api, around, auth, docs, health, problem::Problem, upload, users};

/// All routes of the service, and what surrounds them.
pub fn app(state: Arc<State>) -> Router {
    let guarded = api::routes().merge(users::routes(&state)).merge(upload::routes(&state));
    Router::new()
        .merge(auth::protect(&state, guarded))
        .merge(docs::routes())
        .merge(health::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        // The last layer is the outermost.
        .layer(middleware::from_fn_with_state(state.clone(), around::around))
        .with_state(state)
}

/// Every path that there isn't.
async fn not_found(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {}, see GET /v1", uri.path()))
}

/// Every method that a path does not have; `Allow` lists those that it has.
async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}
