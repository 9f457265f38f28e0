//! Registries that are reached at another address than the one in the names of their images.

use std::collections::BTreeMap;

/// How a container calls the machine that its engine runs on; the engine that pulls is that machine.
const HOST: &str = "host.docker.internal";

/// The address by the registry's host.
#[derive(Debug, Clone, Default)]
pub struct Mirrors(BTreeMap<String, String>);

impl Mirrors {
    /// Mirrors by host, each as `http://HOST:PORT`.
    pub fn new(mirrors: impl Iterator<Item = (String, String)>) -> Self {
        let address = |endpoint: String| {
            let address = endpoint.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/');
            match address.strip_prefix(HOST) {
                Some(rest) => format!("127.0.0.1{rest}"),
                None => address.to_owned(),
            }
        };
        Self(mirrors.map(|(host, endpoint)| (host, address(endpoint))).collect())
    }

    /// The name under which the engine finds the image.
    pub(super) fn name(&self, image: &str) -> String {
        match image.split_once('/') {
            Some((host, rest)) => match self.0.get(host) {
                Some(mirror) => format!("{mirror}/{rest}"),
                None => image.to_owned(),
            },
            None => image.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_to_the_mirror() {
        let host = "000000000000.dkr.ecr.us-east-2.amazonaws.com";
        let mirrors = Mirrors::new([(host.to_owned(), "http://host.docker.internal:4566".to_owned())].into_iter());
        assert_eq!(mirrors.name(&format!("{host}/app@sha256:00")), "127.0.0.1:4566/app@sha256:00");
        assert_eq!(mirrors.name("busybox:1"), "busybox:1");
        assert_eq!(mirrors.name("ghcr.io/a/b:1"), "ghcr.io/a/b:1");
    }
}
