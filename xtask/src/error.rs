//! One error type: what was being done, why it failed, what to type next, and the exit code that follows.

use std::fmt;

/// The kind of a failure; it picks the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was tried and failed: exit 1.
    Failed,
    /// The command line or the configuration is wrong, nothing was tried: exit 2.
    Usage,
    /// A release failed and the one before is back: exit 4.
    RolledBack,
    /// A deadline passed: exit 70.
    TimedOut,
    /// Something differs, as was asked with `--exit-code`: exit 3. It is an answer, so nothing more is said.
    Differs,
    /// Interrupted by a signal: exit 130.
    Interrupted,
}

/// A failure as a person reads it: `error:` message, the causes below it, `hint:` the next command.
#[derive(Debug)]
pub struct Error {
    /// Picks the exit code.
    pub kind: Kind,
    /// What was being done, to which object; lower case, no full stop.
    pub message: String,
    /// Why, outermost first; each may span lines.
    pub causes: Vec<String>,
    /// The next command to type or the key to change.
    pub hint: Option<String>,
    /// Where in which file; GitHub shows them beside the line.
    pub places: Vec<Place>,
    /// What is known of a release that failed, for programs.
    pub diagnosis: Option<Box<crate::rollout::Diagnosis>>,
}

/// A mistake at a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, relative to the repository's root.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of what was being done.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// A mistake in the command line or the configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A deadline that passed.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(Kind::TimedOut, message)
    }

    /// Something differs, where that was asked.
    pub fn differs() -> Self {
        Self::new(Kind::Differs, "something differs")
    }

    /// A failure of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hint: None, places: Vec::new(), diagnosis: None }
    }

    /// One error that says all of these, under a headline; a single one speaks for itself.
    pub fn gathered(headline: impl Into<String>, mut errors: Vec<Self>) -> Option<Self> {
        if errors.len() < 2 {
            return errors.pop();
        }
        let first = errors[0].kind;
        let same = errors.iter().all(|error| error.kind == first);
        let interrupted = errors.iter().any(|error| error.kind == Kind::Interrupted);
        let kind = if interrupted { Kind::Interrupted } else { Kind::Failed };
        let mut whole = Self::new(if same { first } else { kind }, headline);
        for error in errors {
            let mut text = error.message;
            for line in error.causes.iter().flat_map(|cause| cause.lines()) {
                text.push_str("\n  ");
                text.push_str(line);
            }
            if let Some(hint) = error.hint {
                text.push_str("\n  hint: ");
                text.push_str(&hint);
            }
            whole.causes.push(text);
            whole.places.extend(error.places);
        }
        Some(whole)
    }

    /// Adds a cause below those already there.
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds an error and its chain of sources as causes.
    pub fn source(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Many libraries repeat their source in their own message.
            if !self.causes.last().is_some_and(|last| last.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds a cause that lies at a line of a file.
    pub fn place(mut self, place: Place) -> Self {
        self.causes.push(format!("{}:{}:{}: {}", place.file, place.line, place.column, place.message));
        self.places.push(place);
        self
    }

    /// Says what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::RolledBack => 4,
            Kind::Differs => 3,
            Kind::TimedOut => 70,
            Kind::Interrupted => 130,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        for cause in &self.causes {
            write!(formatter, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
