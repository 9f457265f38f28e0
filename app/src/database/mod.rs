//! The users' database: SQLite in a file, or MySQL and MariaDB.
//!
//! One set of statements serves all of them; only the schema, in `migrations/`, is written twice.

mod failure;
mod schema;

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    AnyConnection, AnyPool, ConnectOptions as _,
    any::{AnyConnectOptions, AnyPoolOptions},
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub use failure::is_duplicate;

use crate::{
    config::{self, Config},
    health::Check,
    problem::Problem,
};

/// How long an attempt to reach the database at start comes after the one before.
const PAUSE: Duration = Duration::from_millis(250);

/// Connections to the database, made when they are needed.
#[derive(Debug, Clone)]
pub struct Database {
    pool: AnyPool,
    timeout: Duration,
}

impl Database {
    /// The configured one, if there is one. Nothing is connected yet.
    ///
    /// # Panics
    /// With a URL that the configuration would have refused.
    pub fn new(config: &config::Database) -> Option<Self> {
        let url = config.url.as_ref()?.expose();
        sqlx::any::install_default_drivers();
        let options = AnyConnectOptions::from_str(url).expect("the configuration has been checked");
        let file = url.starts_with("sqlite:");
        let pool = AnyPoolOptions::new()
            .max_connections(config.connections)
            .acquire_timeout(config.timeout)
            // Behind a name there may be another server tomorrow.
            .max_lifetime(Duration::from_secs(1800))
            .idle_timeout(Duration::from_secs(300))
            .after_connect(move |connection, _| Box::pin(prepare(connection, file)))
            .connect_lazy_with(options.disable_statement_logging());
        Some(Self { pool, timeout: config.timeout })
    }

    /// The connections, for what is done within [`Database::run`].
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Does something with the database, in bounded time.
    ///
    /// # Errors
    /// 503 when the database can't do it now, 500 when it answers what was not expected; the log says why.
    pub async fn run<T>(&self, doing: &str, work: impl Future<Output = sqlx::Result<T>>) -> Result<T, Problem> {
        // Once for a connection, once for what it is asked; given up halfway, the connection is closed.
        let result = timeout(2 * self.timeout, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        result.map_err(|error| failure::problem(doing, &error))
    }

    /// Waits until the database answers.
    ///
    /// # Errors
    /// What it said last when the time is up.
    async fn wait(&self, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        let mut said = String::new();
        loop {
            let error = match timeout_at(deadline, self.pool.acquire()).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => failure::words(&error),
                Err(_) => return Err(format!("waiting for the database: none after {patience:?}: {said}")),
            };
            if error != said {
                tracing::warn!(error, "waiting for the database");
                said = error;
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits for it, and brings its schema up to date if that is allowed at start.
    ///
    /// # Errors
    /// When it doesn't answer in time, or refuses.
    pub async fn prepare(&self, config: &config::Database) -> Result<(), String> {
        self.wait(config.wait).await?;
        if config.migrate { self.migrate().await } else { Ok(()) }
    }

    /// Whether it can be used, for readiness.
    pub fn check(&self) -> Check {
        let database = self.clone();
        Check::new("database", move || {
            let database = database.clone();
            Box::pin(async move { database.ready().await })
        })
    }

    /// Whether it answers and has the schema of this version.
    ///
    /// # Errors
    /// What is wrong, in words for whoever asks whether the service is ready.
    async fn ready(&self) -> Result<(), String> {
        match schema::is_current(&self.pool).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("its schema is not of this version: app migrate".to_owned()),
            Err(error) => {
                tracing::warn!(error = failure::words(&error), "asking the database whether it is there");
                Err("it does not answer".to_owned())
            }
        }
    }

    /// Brings the schema to that of this version. Several at once take turns.
    ///
    /// # Errors
    /// Why it can't.
    pub async fn migrate(&self) -> Result<(), String> {
        schema::migrate(&self.pool).await.map_err(|error| format!("migrating the database: {error}"))
    }
}

/// Waits for the configured database and brings it to the schema of this version: `app migrate`.
///
/// # Errors
/// When none is configured, does not answer in time, or refuses.
pub async fn migrate(config: &Config) -> Result<(), String> {
    let database = Database::new(&config.database)
        .ok_or("migrating: no database is configured; set DATABASE_URL or DATABASE_FILE")?;
    database.wait(config.database.wait).await?;
    database.migrate().await?;
    tracing::info!("the database has the schema of this version");
    Ok(())
}

/// Readers of a file that is written to read on, instead of being turned away.
async fn prepare(connection: &mut AnyConnection, file: bool) -> sqlx::Result<()> {
    if file {
        sqlx::query("PRAGMA journal_mode = WAL").execute(connection).await?;
    }
    Ok(())
}
