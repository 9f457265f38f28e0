//! The report of one stage while it runs.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Outcome, Printer, Row, service};
use crate::error::Result;

/// The running report of one stage: live progress on a terminal, plain lines elsewhere.
pub struct Step {
    printer: Printer,
    stage: String,
    service: Option<String>,
    started: Instant,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: bool,
    progress: String,
    details: Vec<String>,
}

/// How a stage ended, what it did in a few words, and what it hands on.
#[derive(Debug)]
pub struct Done<T> {
    /// What became of it.
    pub outcome: Outcome,
    /// What it did, in a few words.
    pub summary: String,
    /// What the next stages need.
    pub value: T,
}

impl<T> Done<T> {
    /// A stage that ended well.
    pub fn new(outcome: Outcome, summary: impl Into<String>, value: T) -> Self {
        Self { outcome, summary: summary.into(), value }
    }
}

impl Step {
    pub(super) fn new(printer: Printer, stage: String) -> Self {
        let bar = printer.progress().map(|progress| {
            let bar = progress.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template(" {spinner:<8} {prefix:<10} {wide_msg} {elapsed:>7}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(stage.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let service = service::current();
        Self { printer, stage, service, started: Instant::now(), bar, state: Mutex::default() }
    }

    /// A report that nobody sees.
    pub fn silent() -> Self {
        Printer::silent().step("")
    }

    /// Replaces the text of the live progress line; shown on a terminal only.
    pub fn update(&self, text: impl Into<String>) {
        let text = text.into();
        if let Some(bar) = &self.bar {
            bar.set_message(self.said(&text));
        }
        self.state().progress = text;
    }

    /// Says how far it is: on the live line of a terminal, as a line that stays elsewhere; the same is said once.
    pub fn progress(&self, text: impl Into<String>) {
        let text = text.into();
        if self.state().progress == text {
            return;
        }
        if self.bar.is_none() {
            self.line(text.clone());
        }
        self.update(text);
    }

    /// Writes a line that stays.
    pub fn line(&self, text: impl Into<String>) {
        for line in text.into().lines() {
            self.printer.words(format!(" ...      {:<10} {}", self.stage, self.said(line)));
        }
    }

    /// Writes a line that stays, with `--verbose` only.
    pub fn verbose(&self, text: impl Into<String>) {
        for line in text.into().lines() {
            self.printer.verbose(format!(" ...      {:<10} {}", self.stage, self.said(line)));
        }
    }

    /// Keeps lines to be shown below the stage's row once it ends.
    pub fn detail(&self, text: impl Into<String>) {
        self.state().details.push(text.into());
    }

    /// Runs the stage's work and ends the report with what came of it.
    ///
    /// # Errors
    /// The work's own.
    pub async fn run<T>(self, work: impl AsyncFnOnce(&Self) -> Result<Done<T>>) -> Result<T> {
        match work(&self).await {
            Ok(done) => {
                self.end(done.outcome, done.summary);
                Ok(done.value)
            }
            Err(error) => {
                let reached = self.state().progress.clone();
                self.end(Outcome::Failed, reached);
                Err(error)
            }
        }
    }

    /// Ends the report.
    pub fn end(self, outcome: Outcome, summary: impl Into<String>) {
        self.conclude(outcome, summary.into());
    }

    fn conclude(&self, outcome: Outcome, summary: String) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let details = {
            let mut state = self.state();
            state.ended = true;
            std::mem::take(&mut state.details)
        };
        let (stage, service) = (self.stage.clone(), self.service.clone());
        self.printer.row(Row { outcome, stage, service, summary, details, took: self.started.elapsed() });
    }

    fn said(&self, text: &str) -> String {
        self.service.as_ref().map_or_else(|| text.to_owned(), |service| format!("{service}: {text}"))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Step {
    // A stage that is dropped while it runs was interrupted, by a signal or by the failure of one beside it.
    fn drop(&mut self) {
        let (ended, reached) = {
            let state = self.state();
            (state.ended, state.progress.clone())
        };
        if !ended {
            self.conclude(Outcome::Stopped, reached);
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Step").field("stage", &self.stage).finish_non_exhaustive()
    }
}
