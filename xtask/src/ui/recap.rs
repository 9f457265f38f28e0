//! The table that a command ends in: what became of each stage and how long it took.

use std::time::Duration;

use serde::Serialize;

/// What became of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Ok,
    /// There was nothing to do.
    Same,
    /// It changed something.
    Changed,
    /// It failed.
    Failed,
    /// It was interrupted.
    Stopped,
}

/// One stage in the recap.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What became of it.
    pub outcome: Outcome,
    /// The stage's name.
    pub stage: String,
    /// Whose stage it is, where several services go side by side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What it did, in a few words.
    pub summary: String,
    /// Lines that belong under it.
    pub details: Vec<String>,
    /// How long it took.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
}

/// Where the seconds are aligned; the summary may run over it.
const SUMMARY_WIDTH: usize = 58;

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// An ANSI colour that repeats what the word says.
    fn colour(self) -> &'static str {
        match self {
            Self::Ok | Self::Same => "32",
            Self::Changed => "33",
            Self::Failed | Self::Stopped => "31",
        }
    }
}

impl Row {
    /// The row as lines of text.
    pub(super) fn render(&self, coloured: bool) -> String {
        let word = format!("{:<8}", self.outcome.word());
        let word = if coloured { format!("\u{1b}[{}m{word}\u{1b}[0m", self.outcome.colour()) } else { word };
        let seconds = format!("{:.1}s", self.took.as_secs_f64());
        let summary = match &self.service {
            Some(service) => format!("{service}: {}", self.summary),
            None => self.summary.clone(),
        };
        let mut text = format!(" {word} {:<10} {summary:<SUMMARY_WIDTH$} {seconds:>7}", self.stage);
        for detail in self.details.iter().flat_map(|detail| detail.lines()) {
            text.push_str("\n            ");
            text.push_str(detail);
        }
        text
    }
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((took.as_secs_f64() * 1000.0).round() / 1000.0)
}
