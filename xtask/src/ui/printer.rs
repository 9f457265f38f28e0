//! The one way out of the process for anything that is read.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use super::{Row, Step, failure, github};
use crate::{
    cli,
    config::variables,
    error::{Error, Kind},
};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verbosity {
    /// Errors only.
    Quiet,
    /// Stages and what they do.
    Normal,
    /// Everything that may help to find a mistake.
    Verbose,
}

/// Writes results to stdout and words to stderr. Clones speak through the same mouth.
#[derive(Clone)]
pub struct Printer(Arc<Inner>);

struct Inner {
    verbosity: Verbosity,
    coloured: bool,
    github: bool,
    /// There on a terminal only: what is drawn on it must move away for each line that is written.
    progress: Option<MultiProgress>,
    rows: Mutex<Vec<Row>>,
    /// The columns of the terminal that stdout is; none where it is a file or a pipe.
    width: Option<usize>,
}

impl Printer {
    /// A printer for this process's stdout and stderr.
    pub fn new(options: &cli::Global) -> Self {
        let verbosity = match (options.quiet, options.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        let terminal = io::stderr().is_terminal() && !variables::terminal_is_dumb();
        let coloured = match options.color {
            cli::Color::Always => true,
            cli::Color::Never => false,
            cli::Color::Auto => terminal && !variables::no_color(),
        };
        let live = terminal && verbosity != Verbosity::Quiet;
        Self(Arc::new(Inner {
            verbosity,
            coloured,
            github: variables::github_actions(),
            progress: live.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr())),
            rows: Mutex::default(),
            width: io::stdout().is_terminal().then(columns).flatten(),
        }))
    }

    /// A printer that says nothing.
    pub fn silent() -> Self {
        Self(Arc::new(Inner {
            verbosity: Verbosity::Quiet,
            coloured: false,
            github: false,
            progress: None,
            rows: Mutex::default(),
            width: None,
        }))
    }

    /// Writes a line of words, unless quiet.
    pub fn words(&self, text: impl AsRef<str>) {
        if self.0.verbosity > Verbosity::Quiet {
            self.stderr(text.as_ref());
        }
    }

    /// Writes a line of words that only `--verbose` shows.
    pub fn verbose(&self, text: impl AsRef<str>) {
        if self.0.verbosity > Verbosity::Normal {
            self.stderr(text.as_ref());
        }
    }

    /// Writes a warning, also when quiet.
    pub fn warning(&self, text: impl AsRef<str>) {
        self.stderr(&format!("warning: {}", text.as_ref()));
    }

    /// Writes an error with its causes and its hint; inside GitHub Actions also as annotations.
    pub fn error(&self, error: &Error) {
        if error.kind == Kind::Differs {
            return;
        }
        // A blank line sets it off from the stages above.
        let space = if self.rows().is_empty() || self.0.verbosity == Verbosity::Quiet { "" } else { "\n" };
        self.stderr(&format!("{space}{}", failure::render(error, self.0.coloured)));
        if self.0.github {
            for annotation in github::annotations(error) {
                self.stderr(&annotation);
            }
        }
    }

    /// Writes a line of data.
    pub fn data(&self, text: impl AsRef<str>) {
        self.stdout(text.as_ref().as_bytes());
        self.stdout(b"\n");
    }

    /// Writes a line of data for people: on a terminal it ends at its edge, elsewhere it is whole.
    pub fn line(&self, text: impl AsRef<str>) {
        match self.0.width {
            Some(width) => {
                text.as_ref().split('\n').for_each(|line| self.data(console::truncate_str(line, width, "…")));
            }
            None => self.data(text),
        }
    }

    /// Writes data as it is.
    pub fn bytes(&self, bytes: &[u8]) {
        self.stdout(bytes);
    }

    /// Writes one JSON document as data.
    pub fn json(&self, document: &impl Serialize) {
        match serde_json::to_string_pretty(document) {
            Ok(text) => self.data(text),
            Err(error) => self.error(&Error::failed("write the result as JSON").source(&error)),
        }
    }

    /// Begins the report of a stage.
    pub fn step(&self, stage: impl Into<String>) -> Step {
        Step::new(self.clone(), stage.into())
    }

    /// The stages that ended so far.
    pub fn rows(&self) -> Vec<Row> {
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn row(&self, row: Row) {
        self.words(row.render(self.0.coloured));
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    }

    pub(super) fn progress(&self) -> Option<&MultiProgress> {
        self.0.progress.as_ref()
    }

    fn stderr(&self, text: &str) {
        let write = || {
            // Nobody is left to tell when stderr itself is gone.
            let _ = writeln!(io::stderr().lock(), "{text}");
        };
        match &self.0.progress {
            Some(progress) => progress.suspend(write),
            None => write(),
        }
    }

    fn stdout(&self, bytes: &[u8]) {
        let write = || {
            // The reader may have seen enough, as `head` does.
            let _ = io::stdout().lock().write_all(bytes);
            let _ = io::stdout().lock().flush();
        };
        match &self.0.progress {
            Some(progress) => progress.suspend(write),
            None => write(),
        }
    }
}

/// How wide the terminal is: as the user says, or as it says itself.
fn columns() -> Option<usize> {
    let size = || console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    variables::columns().or_else(size).filter(|columns| *columns > 0)
}

impl fmt::Debug for Printer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Printer").field("verbosity", &self.0.verbosity).finish_non_exhaustive()
    }
}
