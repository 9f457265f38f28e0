//! The registry of the local environment: plain HTTP on loopback, which Docker accepts without configuration.

use std::net::SocketAddr;

use crate::{
    error::{Error, Result},
    image::reference::Repository,
};

/// The image's repository in the registry at this address.
///
/// # Errors
/// When the address is not on loopback: Docker would insist on TLS.
pub(super) fn repository(address: SocketAddr, image: &Repository) -> Result<Repository> {
    if !address.ip().is_loopback() {
        return Err(Error::failed(format!("push to the local registry at {address}")).cause("it is not on loopback"));
    }
    format!("{address}/{}", image.path()).parse()
}
