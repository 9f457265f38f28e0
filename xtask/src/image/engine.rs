//! The Docker Engine: reaching it, and saying what to do when it cannot be reached.

use std::path::PathBuf;

pub use bollard::Docker;
use bollard::errors::Error as Failure;

use crate::{
    config::variables,
    error::{Error, Result},
};

const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// Docker Engine 20.10.
pub(super) const OLDEST_API: (usize, usize) = (1, 41);

/// Connects to the engine that `DOCKER_HOST` names, or to the machine's, and agrees on the API version.
///
/// # Errors
/// When it does not answer or is older than 20.10, with the remedy.
pub async fn connect() -> Result<Docker> {
    connect_to(&variables::docker_host().unwrap_or_else(|| DEFAULT_HOST.to_owned())).await
}

pub(super) async fn connect_to(host: &str) -> Result<Docker> {
    let docker = Docker::connect_with_host(host).map_err(|error| unreachable(host, &error))?;
    let docker = docker.negotiate_version().await.map_err(|error| unreachable(host, &error))?;
    let version = docker.client_version();
    if (version.major_version, version.minor_version) < OLDEST_API {
        return Err(Error::failed(format!(
            "Docker at {host} speaks API {}.{}, at least {}.{} is needed",
            version.major_version, version.minor_version, OLDEST_API.0, OLDEST_API.1
        ))
        .hint("install Docker Engine 20.10 or newer"));
    }
    Ok(docker)
}

/// The socket that [`connect`] has reached, for the one request that bollard can't make.
pub(crate) fn socket() -> PathBuf {
    let host = variables::docker_host().unwrap_or_else(|| DEFAULT_HOST.to_owned());
    PathBuf::from(host.strip_prefix("unix://").unwrap_or(&host))
}

fn unreachable(host: &str, failure: &Failure) -> Error {
    let error = Error::failed(format!("Docker does not answer at {host}"));
    if let Failure::UnsupportedURISchemeError { .. } = failure {
        return error
            .cause("only unix:// and tcp:// addresses are supported")
            .hint("unset DOCKER_HOST, or name a socket by unix:// or an address by tcp://");
    }
    // What lies between is how the client is built, which helps nobody.
    let mut innermost: &dyn std::error::Error = failure;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let error = error.cause(innermost);
    if error.causes.iter().any(|cause| cause.contains("Permission denied")) {
        return error.hint("let this user use Docker: sudo usermod -aG docker $USER, then log in again");
    }
    match variables::docker_host() {
        Some(_) => error.hint("start it, or unset DOCKER_HOST to use the machine's own"),
        None => error.hint("start it: sudo systemctl start docker"),
    }
}
