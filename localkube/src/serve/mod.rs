//! One process: the API server, the controllers, the kubelet, the proxy and the registry.

mod authenticate;
mod directory;
mod hosted;
mod listener;
mod tls;
mod webhook;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    api, controllers, kubelet, proxy, registry,
    store::{OpenError, Store},
};
use directory::{Cluster, Directory};
pub use hosted::Hosted;

/// How long requests may go on after the process was asked to end.
const DRAIN: Duration = Duration::from_secs(2);
/// How long to wait before Docker is asked again whether it runs.
const DOCKER_RETRY: Duration = Duration::from_secs(1);
const LOOPBACK: [u8; 4] = [127, 0, 0, 1];
/// The node's name: a cluster of this kind has one.
const NODE: &str = "slipway";

/// What to serve.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where everything is kept; made if it is not there.
    pub directory: PathBuf,
    /// The port of the API server; a free one, kept for later starts, if none is given.
    pub api_port: Option<u16>,
    /// The port of the image registry; likewise.
    pub registry_port: Option<u16>,
    /// Serve the API and the registry alone: no controllers and no node, so that nothing happens to objects but what
    /// clients do to them.
    pub api_only: bool,
    /// Serve in the place of k3s, in a container.
    pub hosted: Option<Hosted>,
}

/// Why serving failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the directory.
    #[error("{} is served by another process", .0.display())]
    InUse(PathBuf),
    /// A port that the cluster needs belongs to another program.
    #[error("port {port} of 127.0.0.1, kept for the {purpose}, is taken by another program")]
    PortTaken {
        /// The port.
        port: u16,
        /// What it is for.
        purpose: &'static str,
    },
    /// A file of the directory is not what this program writes.
    #[error("{} cannot be used: {reason}", .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refuses.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// No addresses are left for the cluster's network.
    #[error("cannot choose the cluster's network: {0}")]
    Network(String),
    /// No certificate can be made.
    #[error("cannot make the server's certificate: {0}")]
    Certificate(String),
}

impl Error {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InUse(_) => Some("stop it: cargo xtask local down".to_owned()),
            Self::PortTaken { port, .. } => Some(format!(
                "end the program that listens there (ss -ltnp 'sport = :{port}'), or remove the local environment: \
                 cargo xtask local down"
            )),
            Self::State { path, .. } => {
                let directory = path.parent().unwrap_or(path);
                Some(format!("remove the local environment: cargo xtask local down, or remove {}", directory.display()))
            }
            Self::Network(_) => Some("remove networks that are not used: docker network prune".to_owned()),
            Self::Io { .. } | Self::Certificate(_) => None,
        }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::InUse(path) => Self::InUse(path),
            OpenError::Foreign { path, reason } => Self::State { path, reason },
            OpenError::Io { path, source } => Self::Io { doing: "open", path, source },
        }
    }
}

/// Serves the directory until `shutdown` is done. `kubeconfig` and then `process.json` appear in it when everything
/// answers.
///
/// # Errors
/// The directory or a port is taken or not usable.
pub async fn serve(options: Options, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let directory = Directory::open(&options.directory)?;
    // What a killed process announced is no longer so.
    directory.withdraw();
    let mut cluster = directory.cluster()?;
    let hosted = options.hosted.as_ref();
    let webhook = hosted.map(Hosted::webhook).transpose()?.flatten();
    let api_listener = match hosted {
        // Whoever publishes the container's port says to whom.
        Some(hosted) => bind([0, 0, 0, 0], Some(hosted.port()), "API server").await?,
        None => bind(LOOPBACK, options.api_port.or(cluster.api_port), "API server").await?,
    };
    let registry_listener = bind(LOOPBACK, options.registry_port.or(cluster.registry_port), "image registry").await?;
    let (api_address, registry_address) = (address(&api_listener)?, address(&registry_listener)?);
    cluster.api_port = Some(api_address.port());
    cluster.registry_port = Some(registry_address.port());
    // Before there is anything that belongs to it: killed from here on, the next start goes on as the same cluster.
    directory.keep(&cluster)?;

    let authority = tls::Authority::open(&directory)?;
    let token = directory.token()?;
    let acceptor = authority.acceptor()?;
    let store = Store::open(&directory.file("store.redb"))?;
    let closed = store.closed();
    let options_of_api = api::Options {
        ca_certificate: authority.certificate.clone(),
        admin_token: token.clone(),
        signer: tls::signer(&directory)?,
    };
    let server = api::Server::new(store, options_of_api);
    // Docker takes its time to make a network; the first objects are made meanwhile.
    let ((), service_cidr) = tokio::join!(api::bootstrap(&server), service_cidr(&options, &cluster));
    let service_cidr = service_cidr?;
    server.set_service_cidr(&service_cidr);
    if cluster.service_cidr.is_none() {
        cluster.service_cidr = Some(service_cidr.clone());
        directory.keep(&cluster)?;
    }

    let router = api::router(Arc::clone(&server));
    let stop = CancellationToken::new();
    let public = authenticate::required(router.clone(), &server, webhook);
    let serving_api = tokio::spawn(listener::serve(api_listener, Some(acceptor), public, stop.clone()));
    let images = registry::router(&directory.file("registry"));
    let serving_images = tokio::spawn(listener::serve(registry_listener, None, images, stop.clone()));
    let mut working = tokio::task::JoinSet::new();
    if !options.api_only {
        working.spawn(api::refurnish(Arc::clone(&server)));
        working.spawn(api::aggregate(Arc::clone(&server)));
        working.spawn(controllers::run(api::client(&router, "kube-controller-manager")));
        let subnet = kubelet::Subnet::of_services(&service_cidr).ok_or_else(|| Error::State {
            path: directory.file("cluster.json"),
            reason: format!("{service_cidr} is not a range of this program's"),
        })?;
        let mut node = kubelet::Options::new(NODE, &cluster.id, &options.directory, subnet);
        if let Some(hosted) = hosted {
            node = hosted.node(node)?;
        }
        working.spawn(self::node(Arc::clone(&server), router.clone(), node, hosted.is_some()));
    }

    directory.announce(&cluster, &authority.certificate, &token)?;
    if let Some(hosted) = hosted {
        hosted.announce(&directory, &authority.certificate)?;
    }
    tracing::info!(api = %api_address, registry = %registry_address, "serving");
    shutdown.await;

    tracing::info!("stopping");
    directory.withdraw();
    server.stop();
    stop.cancel();
    drop((server, router));
    // Whoever starts next on the directory finds the store closed.
    let drained = async {
        working.shutdown().await;
        let _ = tokio::join!(serving_api, serving_images);
        closed.await;
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    if hosted.is_some()
        && let Ok(docker) = connect().await
        && let Err(error) = hosted::clear(&docker, &cluster.id, &options.directory).await
    {
        tracing::warn!(error, "some of the cluster's containers are left behind");
    }
    Ok(())
}

/// The range of the addresses of Services: chosen at the first start, as the network cannot change under running pods.
async fn service_cidr(options: &Options, cluster: &Cluster) -> Result<String, Error> {
    if let Some(kept) = &cluster.service_cidr {
        return Ok(kept.clone());
    }
    let docker = if options.api_only { None } else { connect().await.ok() };
    let subnet = kubelet::choose_subnet(docker.as_ref(), &cluster.id, &options.directory).await;
    Ok(subnet.map_err(Error::Network)?.services())
}

/// The part that needs Docker, which may not be there yet: the API is served without it.
async fn node(server: Arc<api::Server>, router: axum::Router, options: kubelet::Options, hosted: bool) {
    let mut told = false;
    let docker = loop {
        match connect().await {
            Ok(docker) => break docker,
            Err(error) if !told => {
                tracing::warn!(%error, "Docker does not answer; pods start when it does");
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(DOCKER_RETRY).await;
    };
    while hosted && let Err(error) = hosted::join(&docker, &options.cluster_id).await {
        tracing::warn!(error, "pods cannot be reached yet");
        tokio::time::sleep(DOCKER_RETRY).await;
    }
    server.attach(api::Node { docker: docker.clone(), cluster_id: options.cluster_id.clone() });
    let kubelet = kubelet::run(api::client(&router, "kubelet"), docker.clone(), options.clone());
    let proxy = proxy::run(api::client(&router, "kube-proxy"), docker, options);
    tokio::join!(kubelet, proxy);
}

async fn connect() -> Result<bollard::Docker, bollard::errors::Error> {
    bollard::Docker::connect_with_local_defaults()?.negotiate_version().await
}

async fn bind(host: [u8; 4], port: Option<u16>, purpose: &'static str) -> Result<TcpListener, Error> {
    let address = SocketAddr::from((host, port.unwrap_or(0)));
    TcpListener::bind(address).await.map_err(|source| match (source.kind(), port) {
        (io::ErrorKind::AddrInUse, Some(port)) => Error::PortTaken { port, purpose },
        _ => Error::Io { doing: "listen on", path: address.to_string().into(), source },
    })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|source| Error::Io {
        doing: "look at the address of",
        path: "a listener".into(),
        source,
    })
}
