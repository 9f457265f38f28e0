//! The file of settings.

use std::{collections::BTreeMap, fs};

/// The settings of a file by the names of their environment variables.
///
/// # Errors
/// What is wrong with it, in one line.
pub(super) fn read(path: &str) -> Result<BTreeMap<String, String>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("CONFIG_FILE: reading {path}: {error}"))?;
    // Asked for text, the parser takes any scalar as it is written: 1.10 stays a version. JSON is YAML.
    let settings: BTreeMap<String, Option<String>> = serde_saphyr::from_str(&text).map_err(|error| {
        // Only where, never what: the line may hold a secret.
        let place = error.location().map(|place| format!(":{}:{}", place.line(), place.column())).unwrap_or_default();
        format!("CONFIG_FILE: {path}{place} must be one mapping of settings to plain values, in YAML or JSON")
    })?;
    let mut named = BTreeMap::new();
    for (name, value) in settings {
        if named.insert(name.to_ascii_uppercase(), value.unwrap_or_default()).is_some() {
            return Err(format!("CONFIG_FILE: {path} has {name} twice"));
        }
    }
    Ok(named)
}
