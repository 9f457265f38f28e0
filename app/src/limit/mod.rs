//! How often one client may ask.
//!
//! [`client`] says who that is, [`buckets`] counts.

mod buckets;
mod client;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State as Shared},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
};

use self::buckets::Buckets;
use crate::{State, config, problem::Problem};

/// The limit of a service that has one.
#[derive(Debug)]
pub struct Limit {
    buckets: Buckets,
    proxies: Vec<ipnet::IpNet>,
}

impl Limit {
    /// As configured.
    pub fn new(config: &config::Rate) -> Option<Self> {
        let buckets = Buckets::new(config.interval?, config.burst);
        Some(Self { buckets, proxies: config.proxies.clone() })
    }

    /// Lets a client's request pass, or says after which time the next one may.
    fn admit(&self, client: IpAddr) -> Result<(), Duration> {
        self.buckets.take(client::network(client))
    }
}

/// Refuses the requests of a client that sends too many.
pub fn protect(state: &Arc<State>, routes: Router<Arc<State>>) -> Router<Arc<State>> {
    if state.limit.is_none() {
        return routes;
    }
    routes.route_layer(middleware::from_fn_with_state(state.clone(), admit))
}

async fn admit(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Result<Response, Problem> {
    let peer = request.extensions().get::<ConnectInfo<std::net::SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    if let (Some(limit), Some(peer)) = (&state.limit, peer)
        && let Err(wait) = limit.admit(client::address(peer, request.headers(), &limit.proxies))
    {
        // RFC 6585 section 4. Whole seconds, and none too few.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests from where you are");
        return Err(problem.with(header::RETRY_AFTER, HeaderValue::from(seconds)));
    }
    Ok(next.run(request).await)
}
