//! Who may ask.
//!
//! [`protect`] surrounds the routes that are not for everybody: health, metrics and documentation stay outside. Whoever
//! passes is a [`Principal`], which the handlers find among the request's extensions.

mod basic;
mod bearer;
mod fetch;
mod keys;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Request, State as Shared},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
};
use uuid::Uuid;

pub use bearer::Bearer;

use crate::{State, config, health::Check, problem::Problem};

/// How those who ask prove who they are.
#[derive(Debug, Clone)]
pub enum Auth {
    /// They need not: everybody may do everything.
    Off,
    /// By a token.
    Bearer(Arc<Bearer>),
    /// By e-mail address and password.
    Basic,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Nobody is asked for a proof.
    Anyone,
    /// The holder of a token, and whether it may manage users. `required` is what it would need to.
    Holder {
        /// Whether it has what it needs.
        admin: bool,
        /// The name of the scope.
        required: String,
    },
    /// A user of this service.
    User {
        /// Which one.
        id: Uuid,
        /// Whether it may manage the others.
        admin: bool,
    },
}

impl Auth {
    /// As configured.
    pub fn new(config: &config::Auth) -> Self {
        match config {
            config::Auth::Off => Self::Off,
            config::Auth::Jwt(jwt) => Self::Bearer(Arc::new(Bearer::new(jwt))),
            config::Auth::Basic => Self::Basic,
        }
    }

    /// What must answer for requests to be let in.
    pub fn check(&self) -> Option<Check> {
        let Self::Bearer(bearer) = self else { return None };
        let bearer = bearer.clone();
        Some(Check::new("issuer", move || {
            let bearer = bearer.clone();
            Box::pin(async move { bearer.ready().await })
        }))
    }

    async fn identify(&self, state: &State, headers: &HeaderMap) -> Result<Principal, Problem> {
        match self {
            Self::Off => Ok(Principal::Anyone),
            Self::Bearer(bearer) => bearer.identify(headers).await,
            Self::Basic => basic::identify(state, headers).await,
        }
    }
}

impl Principal {
    /// Lets only those pass who may manage users.
    ///
    /// # Errors
    /// 403.
    pub fn require_admin(&self) -> Result<(), Problem> {
        match self {
            Self::Anyone | Self::Holder { admin: true, .. } | Self::User { admin: true, .. } => Ok(()),
            Self::Holder { required, .. } => {
                // RFC 6750 section 3.1.
                let challenge = format!("Bearer realm=\"app\", error=\"insufficient_scope\", scope=\"{required}\"");
                Err(challenged(forbidden(), &challenge))
            }
            Self::User { .. } => Err(forbidden()),
        }
    }

    /// Lets only those pass who may manage users, or are the user in question.
    ///
    /// # Errors
    /// 403.
    pub fn require_self_or_admin(&self, user: Uuid) -> Result<(), Problem> {
        match self {
            Self::User { id, .. } if *id == user => Ok(()),
            _ => self.require_admin(),
        }
    }
}

/// Lets only those in who prove who they are.
pub fn protect(state: &Arc<State>, routes: Router<Arc<State>>) -> Router<Arc<State>> {
    if matches!(state.auth, Auth::Off) {
        // There is nothing to wait for, which would take every request some memory.
        return routes.route_layer(Extension(Principal::Anyone));
    }
    routes.route_layer(middleware::from_fn_with_state(state.clone(), require))
}

async fn require(Shared(state): Shared<Arc<State>>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let principal = state.auth.identify(&state, request.headers()).await?;
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}

/// The credentials of a scheme; none if there are none of it.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Result<Option<&'a str>, Problem> {
    let mut given = headers.get_all(header::AUTHORIZATION).into_iter();
    let Some(value) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "there are several authorization headers"));
    }
    let (found, rest) = value.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    Ok(found.eq_ignore_ascii_case(scheme).then(|| rest.trim_matches(' ')))
}

fn challenged(problem: Problem, challenge: &str) -> Problem {
    match HeaderValue::try_from(challenge) {
        Ok(challenge) => problem.with(header::WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}

fn forbidden() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "this is not for you")
}
