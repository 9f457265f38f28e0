//! A client for the cluster that a kubeconfig names.

use std::{net::IpAddr, path::Path, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::error::{Error, Result};

/// Longer than the 290 s after which watches renew themselves; without it a dead connection is waited for without end.
const READ_TIMEOUT: Duration = Duration::from_secs(295);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client for the current context of a kubeconfig file.
///
/// # Errors
/// When the file is not a kubeconfig or its credentials cannot be used.
pub async fn from_kubeconfig(file: &Path) -> Result<Client> {
    let doing = format!("use the kubeconfig {}", file.display());
    let kubeconfig = Kubeconfig::read_from(file).map_err(|error| Error::failed(&doing).source(&error))?;
    for_context(kubeconfig, None, &doing).await
}

/// A client for a context; without a name for the current one.
pub(super) async fn for_context(kubeconfig: Kubeconfig, context: Option<String>, doing: &str) -> Result<Client> {
    let config = config(kubeconfig, context, doing).await?;
    Client::try_from(config).map_err(|error| Error::failed(doing).source(&error))
}

/// How a context's cluster is spoken to.
pub(super) async fn config(kubeconfig: Kubeconfig, context: Option<String>, doing: &str) -> Result<Config> {
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| Error::failed(doing).source(&error))?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    // A connection of the pool may have been idle for longer than an answer may take.
    config.reset_reader_on_write = true;
    if is_loopback(&config.cluster_url) {
        // No proxy of HTTPS_PROXY reaches this machine's own loopback.
        config.proxy_url = None;
    }
    Ok(config)
}

fn is_loopback(url: &http::Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
