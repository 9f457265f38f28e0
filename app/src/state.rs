//! What the handlers share.

use std::sync::Arc;

use axum::http::HeaderValue;
use opentelemetry_sdk::trace::SdkTracer;
use tokio::sync::Semaphore;

use crate::{
    auth::Auth, body::Bodies, config::Config, database::Database, drain::Drain, health::Check, limit::Limit,
    metrics::Metrics, upcase::Upcaser, upload::Bucket, users::Users,
};

/// One service: its settings, whether it is about to end, and a handle for each part that is configured.
#[derive(Debug)]
pub struct State {
    /// What it was told.
    pub config: Config,
    /// Whether it is about to end.
    pub drain: Drain,
    /// What must answer for it to be ready.
    pub checks: Vec<Check>,
    /// Who upper-cases.
    pub upcaser: Upcaser,
    /// What it calls itself to clients.
    pub server: HeaderValue,
    /// A permit for each request that may be under way.
    pub permits: Arc<Semaphore>,
    /// What bodies may hold.
    pub bodies: Bodies,
    /// How those who ask prove who they are.
    pub auth: Auth,
    /// How often they may ask.
    pub limit: Option<Limit>,
    /// The users' database.
    pub database: Option<Database>,
    /// The users in it.
    pub users: Option<Users>,
    /// Where random files go.
    pub bucket: Option<Bucket>,
    /// What is counted.
    pub metrics: Metrics,
    /// What makes spans, when there is a collector.
    pub tracer: Option<SdkTracer>,
}

impl State {
    /// The parts that need nothing but their settings.
    pub fn new(config: Config) -> Self {
        let limits = &config.limits;
        let permits = Arc::new(Semaphore::new(limits.concurrency));
        let bodies = Bodies::new(limits.body, limits.bodies);
        let server = HeaderValue::try_from(format!("app/{}", config.telemetry.version));
        let server = server.unwrap_or(HeaderValue::from_static("app"));
        let metrics = Metrics::new(&config.telemetry.version);
        metrics.watch(&permits, limits.concurrency);
        let upcaser = Upcaser::new(&config.upcase, &config.cache, &metrics);
        let database = Database::new(&config.database);
        if let Some(database) = database.clone() {
            metrics.look(move |metrics| {
                let (open, idle) = (database.pool().size() as usize, database.pool().num_idle());
                let most = database.pool().options().get_max_connections() as usize;
                metrics.pool(open.saturating_sub(idle), idle, most);
            });
        }
        let auth = Auth::new(&config.auth);
        Self {
            drain: Drain::default(),
            checks: database.iter().map(Database::check).chain(auth.check()).collect(),
            auth,
            upcaser,
            server,
            permits,
            bodies,
            limit: Limit::new(&config.rate),
            users: database.clone().map(Users::new),
            database,
            bucket: Bucket::new(&config.upload),
            metrics,
            tracer: None,
            config,
        }
    }
}
