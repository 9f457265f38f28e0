//! What the environment and an optional file say, read in this one place and checked as a whole before anything starts.
//!
//! Each part of the service has its settings in a file of its own below this one. A setting is named as its environment
//! variable is; `CONFIG_FILE` names a file, YAML or JSON, that holds any of them as one mapping with the same names in
//! small letters. The environment takes precedence. A setting that is empty counts as not set.

mod auth;
mod cache;
mod database;
mod file;
mod limits;
mod listen;
mod metrics;
mod rate;
mod read;
mod secret;
mod telemetry;
mod upcase;
mod upload;

#[cfg(test)]
mod tests;

use std::fmt;

pub use auth::{Auth, Jwt};
pub use cache::Cache;
pub use database::Database;
pub use limits::Limits;
pub use listen::Listen;
pub use metrics::Metrics;
pub use rate::Rate;
pub use secret::Secret;
pub use telemetry::Telemetry;
pub use upcase::Upcase;
pub use upload::Upload;

use read::{Effective, Reader};

/// The service's settings, part by part.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens and how it ends.
    pub listen: Listen,
    /// What one client may ask of it.
    pub limits: Limits,
    /// How often.
    pub rate: Rate,
    /// Who upper-cases.
    pub upcase: Upcase,
    /// What it remembers of that.
    pub cache: Cache,
    /// Where the users are.
    pub database: Database,
    /// Who may ask.
    pub auth: Auth,
    /// Where random files go.
    pub upload: Upload,
    /// Where it is measured.
    pub metrics: Metrics,
    /// What it says of itself.
    pub telemetry: Telemetry,
    effective: Vec<Effective>,
}

impl Config {
    /// Reads the process' environment, and the file that it names.
    ///
    /// # Errors
    /// One line for each setting that is wrong.
    pub fn from_env() -> Result<Self, Vec<String>> {
        #[expect(clippy::disallowed_methods, reason = "this is the one file that reads it")]
        Self::parse(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Takes the settings from where `get` finds them, and from the file named there.
    ///
    /// # Errors
    /// One line for each setting that is wrong.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut read = Reader::new(&get);
        let database = Database::read(&mut read);
        let config = Self {
            listen: Listen::read(&mut read),
            limits: Limits::read(&mut read),
            rate: Rate::read(&mut read),
            upcase: Upcase::read(&mut read),
            cache: Cache::read(&mut read),
            auth: Auth::read(&mut read, database.url.is_some()),
            database,
            upload: Upload::read(&mut read),
            metrics: Metrics::read(&mut read),
            telemetry: Telemetry::read(&mut read),
            effective: Vec::new(),
        };
        Ok(Self { effective: read.end()?, ..config })
    }
}

/// Every setting with its effective value and where that is from, as YAML that `CONFIG_FILE` takes; secrets are masked.
impl fmt::Display for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.effective.iter().try_for_each(|setting| writeln!(formatter, "{setting}"))
    }
}
