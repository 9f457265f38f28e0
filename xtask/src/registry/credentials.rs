//! Who we are to a registry: from variables that the configuration names, or from what `docker login` left.

use super::docker_config;
use crate::{
    config::{Credentials, Generic, variables},
    error::{Error, Result},
    ui::Secret,
};

/// What is shown to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Nothing.
    Anonymous,
    /// A name and a password, or a token in its place.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// What a login by browser leaves: it buys tokens and nothing else.
    Identity(Secret),
}

/// Finds the credentials.
///
/// # Errors
/// A variable is not set, or Docker's configuration or its helper cannot be read.
pub(super) async fn find(generic: &Generic, credentials: &Credentials) -> Result<Login> {
    match credentials {
        Credentials::Anonymous => Ok(Login::Anonymous),
        Credentials::Docker => docker_config::find(&generic.host).await,
        Credentials::Variables { username, password } => {
            let missing: Vec<_> =
                [username, password].into_iter().filter(|name| variables::secret(name).is_none()).cloned().collect();
            match (variables::secret(username), variables::secret(password)) {
                (Some(username), Some(password)) => {
                    Ok(Login::Basic { username: username.reveal().to_owned(), password })
                }
                _ => Err(Error::usage(format!("log in to {}: {} is not set", generic.host, missing.join(" and ")))
                    .hint("set it, or change registry.generic.credentials")),
            }
        }
    }
}

/// What to do when a registry refuses.
pub(super) fn remedy(generic: &Generic) -> String {
    let host = &generic.host;
    match &generic.credentials {
        Credentials::Docker => format!("log in with an account that may push there: docker login {host}"),
        Credentials::Anonymous => format!("{host} wants credentials: set registry.generic.credentials"),
        Credentials::Variables { username, password } => {
            format!("do {username} and {password} hold an account that may push to {host}?")
        }
    }
}
