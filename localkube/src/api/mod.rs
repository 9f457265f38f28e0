//! The API server: discovery, get, list, watch, create, update, patch, delete and subresources over HTTP.
//!
//! One generic path serves every kind: [`request`] says what a request is about, [`read`], [`watch`], [`write`] and
//! [`delete`] do it, [`respond`] and [`table`] put the answer into the form that was asked for. What is particular to a
//! kind is elsewhere: in the resource table, in the schemas and in [`crate::kinds`].

mod address;
mod admission;
mod aggregated;
mod authorize;
mod bootstrap;
mod connect;
mod convert;
mod definitions;
mod delete;
mod discovery;
mod escalate;
mod evict;
mod impersonate;
mod log;
mod manager;
mod meta;
mod namespace;
mod negotiate;
mod openapi;
mod options;
mod patch_options;
mod quota;
mod read;
mod request;
mod respond;
mod review;
mod scale;
mod selector;
mod subresource;
mod table;
mod token;
mod user;
mod watch;
mod write;

use std::sync::{Arc, OnceLock, RwLock};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub use bootstrap::{aggregate, bootstrap, refurnish};
pub(crate) use selector::matches_selector;
pub use user::User;

use crate::{access::Signer, kubelet, resource::Resource, store::Store};

/// What the API server is told once.
pub struct Options {
    /// The certificates that the server's own is verified with, for the ConfigMap kube-root-ca.crt.
    pub ca_certificate: String,
    /// What makes its bearer the administrator.
    pub admin_token: String,
    /// Signs the tokens of service accounts.
    pub signer: Signer,
}

impl std::fmt::Debug for Options {
    /// Without the token.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Options").field("signer", &self.signer).finish_non_exhaustive()
    }
}

/// The API server's state. Handlers share it.
#[derive(Debug)]
pub struct Server {
    pub(crate) store: Store,
    pub(crate) options: Options,
    /// The kinds served now: the built-in ones, then those of CustomResourceDefinitions.
    resources: RwLock<Arc<Vec<Arc<Resource>>>>,
    /// Held while a Service gets addresses and ports, until it is stored.
    addresses: tokio::sync::Mutex<()>,
    /// Where addresses of Services come from, once it is known.
    service_cidr: OnceLock<String>,
    /// Where pods run, once Docker answers.
    pub(crate) node: OnceLock<Node>,
    /// Held while an object is weighed against quotas, until it is stored.
    quotas: tokio::sync::Mutex<()>,
    /// Held while definitions are told what became of them.
    definitions: tokio::sync::Mutex<()>,
    /// Ends the watches, which would otherwise keep connections open for minutes.
    pub(crate) stopping: CancellationToken,
}

/// What the API server asks the node's container engine for: the output of containers.
#[derive(Debug)]
pub struct Node {
    /// The engine.
    pub docker: kubelet::Docker,
    /// Whose containers.
    pub cluster_id: String,
}

impl Server {
    /// A server over a store.
    pub fn new(store: Store, options: Options) -> Arc<Self> {
        let resources = crate::resource::builtin().into_iter().map(Arc::new).collect();
        let server = Self {
            store,
            options,
            resources: RwLock::new(Arc::new(resources)),
            addresses: tokio::sync::Mutex::new(()),
            service_cidr: OnceLock::new(),
            node: OnceLock::new(),
            quotas: tokio::sync::Mutex::new(()),
            definitions: tokio::sync::Mutex::new(()),
            stopping: CancellationToken::new(),
        };
        server.define();
        Arc::new(server)
    }

    /// Says where addresses of Services come from, for example `10.96.0.0/17`. Without it no Service can be made.
    pub fn set_service_cidr(&self, cidr: &str) {
        // It is chosen once in a cluster's life.
        let _ = self.service_cidr.set(cidr.to_owned());
    }

    /// From now on the node answers.
    pub fn attach(&self, node: Node) {
        // A process has one node; were there another, the first would go on.
        let _ = self.node.set(node);
    }

    /// Ends every watch, so that their connections can close.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// The kinds served now.
    pub(crate) fn resources(&self) -> Arc<Vec<Arc<Resource>>> {
        Arc::clone(&self.resources.read().expect("nothing panics while it holds the lock"))
    }

    /// The kind at a path.
    pub(crate) fn resource(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let resources = self.resources();
        let found = |resource: &&Arc<Resource>| {
            resource.plural == plural && resource.group == group && resource.version == version
        };
        resources.iter().find(found).cloned()
    }
}

/// The routes, without authentication: a request counts as made by the [`User`] in its extensions, or by the
/// administrator.
pub fn router(server: Arc<Server>) -> Router {
    Router::new().fallback(handle).with_state(server)
}

async fn handle(State(server): State<Arc<Server>>, request: Request) -> Response {
    request::serve(server, request).await
}

/// A client whose requests are function calls, for what runs in this process. Its name becomes the field manager of what
/// it writes.
pub fn client(router: &Router, user_agent: &'static str) -> kube::Client {
    let agent = http::HeaderValue::from_static(user_agent);
    let service = router.clone().map_request(move |request: http::Request<kube::client::Body>| {
        let mut request = request.map(Body::new);
        request.headers_mut().insert(http::header::USER_AGENT, agent.clone());
        request
    });
    kube::Client::new(service, "default")
}
