//! An answer, and what is wrong with it.

use bytes::Bytes;
use serde_json::Value;

use crate::{
    config::Check,
    plan::mask::{self, Known},
};

/// How many characters of a body are shown.
const SHOWN: usize = 500;

/// What the service answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Those that tell something, in order.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

/// In what an answer differs from what is expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// `answered 500, not 200`
    pub(super) sentence: String,
    pub(super) expected: String,
}

impl Answer {
    /// What is wrong with it, if anything; the status is looked at first.
    pub(super) fn mismatch(&self, check: &Check) -> Option<Mismatch> {
        if self.status != check.status {
            let sentence = format!("answered {}, not {}", self.status, check.status);
            return Some(Mismatch { sentence, expected: format!("status {}", check.status) });
        }
        if let Some(expected) = &check.json {
            let sentence = match serde_json::from_slice::<Value>(&self.body) {
                Ok(found) if found == *expected => None,
                Ok(_) => Some(format!("answered {} with other JSON", self.status)),
                Err(error) => Some(format!("answered {} with what is no JSON ({error})", self.status)),
            };
            if let Some(sentence) = sentence {
                return Some(Mismatch { sentence, expected: expected.to_string() });
            }
        }
        let text = String::from_utf8_lossy(&self.body);
        let lacking = check.contains.as_ref().filter(|expected| !text.contains(expected.as_str()))?;
        let sentence = format!("answered {} without the text that is expected", self.status);
        Some(Mismatch { sentence, expected: format!("a body that contains {lacking:?}") })
    }

    /// Whether a proxy or a service that is starting answers like that, so that asking again may help.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self.status, 404 | 429 | 500..)
    }

    /// The status, the headers that tell something and the beginning of the body.
    pub(super) fn shown(&self, known: &Known) -> String {
        let mut head = format!("status {}", self.status);
        if matches!(self.status, 300..400) {
            head.push_str(" (redirects are not followed)");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("\n  {name}: {}", known.scrub_all(value)));
        }
        match beginning(&String::from_utf8_lossy(&self.body), known) {
            text if text.is_empty() => format!("{head}, no body"),
            text => format!("{head}\n  {text}"),
        }
    }
}

/// The headers of an answer that tell why it is as it is.
pub(super) fn telling(headers: &http::HeaderMap) -> Vec<(String, String)> {
    const TELLING: [&str; 6] = ["content-type", "location", "retry-after", "server", "via", "www-authenticate"];
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    TELLING.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect()
}

/// What must not be repeated of a request: the values of headers that identify somebody.
pub(super) fn remember(check: &Check, known: &mut Known) {
    for (_, value) in check.headers.iter().filter(|(name, _)| identifies(name)) {
        known.add_value(value);
        // `Bearer abc`, `session=abc; other=def`
        value.split([' ', ';']).for_each(|word| known.add_value(word));
    }
}

/// The request as it was sent, without these values.
pub(super) fn request(check: &Check, known: &Known) -> String {
    let mut text = format!("request: {} {}", check.method, known.scrub_all(&check.path));
    for (name, value) in &check.headers {
        let value = if identifies(name) { mask::HIDDEN.to_owned() } else { known.scrub_all(value) };
        text.push_str(&format!("\n  {name}: {value}"));
    }
    if let Some(body) = &check.body {
        text.push_str(&format!("\n  {}", beginning(body, known)));
    }
    text
}

fn identifies(header: &str) -> bool {
    mask::is_credential(header) || header.eq_ignore_ascii_case("cookie")
}

/// The beginning of a body. What is secret goes first: half of it would be too much.
fn beginning(body: &str, known: &Known) -> String {
    let text = known.scrub_all(body.trim());
    let count = text.chars().count();
    let start: String = text.chars().take(SHOWN).collect();
    let more = if count > SHOWN { format!("\n... and {} characters more", count - SHOWN) } else { String::new() };
    format!("{start}{more}").replace('\n', "\n  ")
}
