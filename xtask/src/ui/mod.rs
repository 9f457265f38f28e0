//! Everything that a person or a program reads: results on stdout, words on stderr.

/// The running report of one stage: live progress on a terminal, plain lines elsewhere.
#[derive(Debug)]
pub struct Step {}

impl Step {
    /// Replaces the text of the live progress line; shown on a terminal only.
    pub fn update(&self, _text: impl Into<String>) {}

    /// Writes a line that stays.
    pub fn line(&self, _text: impl Into<String>) {}
}
