//! Asking other services over HTTP, with TLS or without: the one client of whatever is asked of them.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};

/// How long a connection is kept for the next request; servers close theirs later, mostly.
const IDLE: Duration = Duration::from_secs(30);

/// A client that keeps its connections.
pub type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// One whose connections open within `patience`, and which keeps so many of them for later.
pub fn client(patience: Duration, kept: usize) -> Client {
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(patience));
    http.set_nodelay(true);
    // URLs of https are for what is around it.
    http.enforce_http(false);
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls()).https_or_http().enable_http1();
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(kept)
        .build(connector.wrap_connector(http))
}

/// Trusts the certificate authorities of the image or machine, or those in the file that `SSL_CERT_FILE` names. What is
/// asked without TLS does not depend on there being any.
fn tls() -> ClientConfig {
    let roots = ClientConfig::builder().with_native_roots().unwrap_or_else(|error| {
        tracing::warn!(%error, "there are no certificate authorities: nobody can be asked by https");
        ClientConfig::builder().with_root_certificates(RootCertStore::empty())
    });
    roots.with_no_client_auth()
}
