//! A client for the cluster that a kubeconfig names.

use std::{path::Path, time::Duration};

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
    let doing = || Error::failed(format!("use the kubeconfig {}", file.display()));
    let kubeconfig = Kubeconfig::read_from(file).map_err(|error| doing().source(&error))?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| doing().source(&error))?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    Client::try_from(config).map_err(|error| doing().source(&error))
}
