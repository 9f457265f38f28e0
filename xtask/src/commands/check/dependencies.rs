//! Rules about the dependencies that are really compiled. The lock file does not tell: it lists what features might
//! bring in, too, such as ring for rustls-webpki.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};

/// What cargo is asked: every package that the workspace is built from, on any platform, one a line.
pub(super) const ARGUMENTS: &[&str] =
    &["tree", "--workspace", "--locked", "--edges=normal,build", "--target=all", "--prefix=none", "--format={p}"];

/// Two TLS providers and rustls panics at the first handshake; two HTTP stacks and types do not fit each other.
const ONCE: [&str; 7] = ["axum", "hyper", "rustls", "tokio", "tokio-rustls", "aws-lc-rs", "kube-client"];
const NEVER: [(&str, &str); 6] = [
    ("ring", "the TLS provider is aws-lc-rs"),
    ("openssl", "TLS is rustls"),
    ("openssl-sys", "TLS is rustls"),
    ("native-tls", "TLS is rustls"),
    ("serde_yml", "RUSTSEC-2025-0068"),
    ("serde_yaml", "it is archived; yaml_serde continues it"),
];

/// Checks the tree that cargo printed and says what it found.
pub(super) fn check(tree: &str) -> Result<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    let mut causes = Vec::new();
    for name in ONCE {
        match versions.get(name) {
            Some(found) if found.len() == 1 => {}
            None => causes.push(format!("{name} is not there: is the rule about it still right?")),
            Some(found) => {
                let found: Vec<_> = found.iter().copied().collect();
                causes.push(format!("{name} is there more than once: {}", found.join(", ")));
            }
        }
    }
    for (name, why) in NEVER {
        if versions.contains_key(name) {
            causes.push(format!("{name} must not be there: {why}; cargo tree --invert {name} says who brings it"));
        }
    }
    if causes.is_empty() {
        return Ok(format!("{} packages, one rustls, one hyper, one axum", versions.len()));
    }
    Err(causes.into_iter().fold(Error::failed("the dependency graph breaks its rules"), Error::cause))
}
