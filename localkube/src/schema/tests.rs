use serde_json::{Value, json};

use super::{body, quantity, table::by_kind, *};
use crate::resource::Resource;

/// The steps of a recording of a real API server, with their answers.
pub(crate) fn recording(text: &str) -> Vec<(Value, Value)> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a recording is JSON lines"));
    lines.filter(|line| line["step"].is_object()).map(|line| (line["step"].clone(), line["answer"].clone())).collect()
}

fn resource(api_version: &str, kind: &str) -> Resource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    crate::resource::tests_support(group, version, kind)
}
