//! Versions of a definition and their order: stable ones before betas before alphas, newer before older.

use std::cmp::Reverse;

use serde_json::Value;

/// The versions, the preferred one first.
pub(super) fn by_priority(spec: &Value) -> Vec<&Value> {
    let mut versions: Vec<&Value> = spec["versions"].as_array().into_iter().flatten().collect();
    versions.sort_by_key(|version| priority(version["name"].as_str().unwrap_or_default()));
    versions
}

/// The name of the version in which objects are stored.
pub(super) fn stored(spec: &Value) -> &str {
    let versions = spec["versions"].as_array();
    let stored = versions.into_iter().flatten().find(|version| version["storage"] == true);
    stored.and_then(|version| version["name"].as_str()).unwrap_or_default()
}

/// `k8s.io/apimachinery/pkg/version.CompareKubeAwareVersionStrings`: what sorts first is preferred; other names come
/// last, by the alphabet.
fn priority(name: &str) -> (Reverse<u8>, Reverse<u64>, Reverse<u64>, String) {
    let parsed = name.strip_prefix('v').and_then(|rest| {
        let (major, minor) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let major = major.parse().ok()?;
        let (stability, minor) = match minor {
            "" => (3, "0"),
            minor => minor
                .strip_prefix("beta")
                .map(|minor| (2, minor))
                .or_else(|| Some((1, minor.strip_prefix("alpha")?)))?,
        };
        Some((Reverse(stability), Reverse(major), Reverse(minor.parse().ok()?), String::new()))
    });
    parsed.unwrap_or_else(|| (Reverse(0), Reverse(0), Reverse(0), name.to_owned()))
}
