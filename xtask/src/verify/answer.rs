//! An answer, and what is wrong with it.

use bytes::Bytes;
use serde_json::Value;

use crate::config::Check;

/// How many characters of a body are shown.
const SHOWN: usize = 500;

/// What the service answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
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

    /// The status and the beginning of the body.
    pub(super) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim();
        match text.chars().count() {
            0 => format!("status {}, no body", self.status),
            count if count > SHOWN => {
                let start: String = text.chars().take(SHOWN).collect();
                format!("status {}\n  {start}\n  ... and {} characters more", self.status, count - SHOWN)
            }
            _ => format!("status {}\n  {}", self.status, text.replace('\n', "\n  ")),
        }
    }
}

/// The request as it was sent, without the values of headers that identify somebody.
pub(super) fn request(check: &Check) -> String {
    let mut text = format!("request: {} {}", check.method, check.path);
    for (name, value) in &check.headers {
        let lower = name.to_ascii_lowercase();
        let secret = ["authorization", "cookie", "key", "token", "secret"].iter().any(|word| lower.contains(word));
        let value = if secret { "(hidden)" } else { value };
        text.push_str(&format!("\n  {name}: {value}"));
    }
    if let Some(body) = &check.body {
        let start: String = body.chars().take(SHOWN).collect();
        text.push_str(&format!("\n  {}", start.replace('\n', "\n  ")));
    }
    text
}
