//! How often one client may ask.
//!
//! [`client`] says who that is, [`buckets`] counts.

mod buckets;
mod client;

use std::{net::IpAddr, time::Duration};

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderValue, StatusCode, header},
};

use self::buckets::Buckets;
use crate::{config, problem::Problem};

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

/// Refuses a request of a client that sends too many.
///
/// # Errors
/// 429, with the time after which the next one may come.
pub fn admit(limit: Option<&Limit>, request: &Request) -> Result<(), Problem> {
    let peer = request.extensions().get::<ConnectInfo<std::net::SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let Some((limit, peer)) = limit.zip(peer) else { return Ok(()) };
    limit.admit(client::address(peer, request.headers(), &limit.proxies)).map_err(|wait| {
        // RFC 6585 section 4. Whole seconds, and none too few.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests from where you are");
        problem.with(header::RETRY_AFTER, HeaderValue::from(seconds))
    })
}
