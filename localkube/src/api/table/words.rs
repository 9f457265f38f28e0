//! The short forms that cells have in common.

use jiff::Timestamp;
use serde_json::Value;

use super::super::meta;

pub(super) const NONE: &str = "<none>";
const UNKNOWN: &str = "<unknown>";
const UNSET: &str = "<unset>";

/// The text of a field, or `<none>`.
pub(super) fn text_or_none(value: &Value) -> String {
    text_or(value, NONE)
}

/// The text of a field, or `<unset>`.
pub(super) fn text_or_unset(value: &Value) -> String {
    text_or(value, UNSET)
}

fn text_or(value: &Value, absent: &str) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Null | Value::String(_) => absent.to_owned(),
        other => other.to_string(),
    }
}

/// How long ago a time was.
pub(super) fn age(time: &Value, now: Timestamp) -> String {
    match meta::parse_time(time) {
        Some(time) => duration(now.as_second() - time.as_second()),
        None => UNKNOWN.to_owned(),
    }
}

/// `k8s.io/apimachinery/pkg/util/duration.HumanDuration`: two units at most, fewer the longer it is.
pub(super) fn duration(seconds: i64) -> String {
    let two = |first: i64, unit: &str, second: i64, rest: &str| match second {
        0 => format!("{first}{unit}"),
        _ => format!("{first}{unit}{second}{rest}"),
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => two(days, "d", hours % 24, "h"),
        _ if days < 365 * 2 => format!("{days}d"),
        _ if days < 365 * 8 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// `a=1,b=2`, or `<none>`.
pub(super) fn labels(labels: &Value) -> String {
    let mut terms: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    terms.sort_unstable();
    if terms.is_empty() { NONE.to_owned() } else { terms.join(",") }
}

/// A LabelSelector, or `<none>`.
pub(super) fn selector(selector: &Value) -> String {
    let text = super::super::scale::selector_text(selector);
    if text.is_empty() { NONE.to_owned() } else { text }
}

/// The first few of many, and how many more there are.
pub(super) fn first_of(items: &[String], most: usize) -> String {
    if items.len() <= most {
        return items.join(",");
    }
    format!("{} + {} more...", items[..most].join(","), items.len() - most)
}

/// A field of each item of a list.
pub(super) fn each(list: &Value, field: &str) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item[field].as_str()).map(str::to_owned).collect()
}

/// The items of a list.
pub(super) fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The number in a field, 0 where there is none.
pub(super) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// How many entries a map or a list has.
pub(super) fn count(value: &Value) -> usize {
    value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), serde_json::Map::len)
}

/// Whether a condition holds.
pub(super) fn condition(status: &Value, kind: &str) -> bool {
    items(&status["conditions"]).iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}
