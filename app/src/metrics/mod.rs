//! What is measured, for Prometheus: `/metrics` on a port of its own, off until it is configured.
//!
//! Labels have few values, whatever clients send: a route is the template of a path, never the path.

mod process;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::State as Shared,
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

use process::Process;
use tokio::sync::Semaphore;

/// Seconds: from a transformation in passing to a request that is about to run out of time.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Not a status of any answer: the client had gone before there was one.
const CLIENT_GONE: &str = "499";

/// How asking the service that upcases comes out, usually.
const OUTCOMES: [&str; 5] = ["success", "unreachable", "unavailable", "wrong", "slow"];
/// The caches: in the process, and shared.
const TIERS: [&str; 2] = ["memory", "redis"];

/// What the service counts. A clone counts into the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

type Look = Box<dyn Fn(&Metrics) + Send + Sync>;

struct Inner {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    in_flight: IntGauge,
    in_flight_limit: IntGauge,
    shed: IntCounter,
    upstream: IntCounterVec,
    upstream_duration: HistogramVec,
    circuit: IntGauge,
    cache: IntCounterVec,
    connections: IntGaugeVec,
    connections_limit: IntGauge,
    process: Process,
    looks: Mutex<Vec<Look>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Nothing counted yet, by a service of that version.
    pub fn new(version: &str) -> Self {
        let registry = Registry::new();
        let add = &registry;
        let build = gauges(add, "app_build_info", "The version that runs; always 1.", &["version"]);
        build.with_label_values(&[version]).set(1);
        let inner = Inner {
            requests: counters(
                add,
                "app_http_requests_total",
                "Requests by what they asked for and how they were answered; 499: the client had gone before.",
                &["method", "route", "status"],
            ),
            durations: histograms(
                add,
                "app_http_request_duration_seconds",
                "From the head of a request to the head of its answer.",
                &["route"],
            ),
            in_flight: gauge(add, "app_http_requests_in_flight", "Requests that are being answered."),
            in_flight_limit: gauge(
                add,
                "app_http_requests_in_flight_limit",
                "How many requests are answered at once at most.",
            ),
            shed: counter(add, "app_http_requests_shed_total", "Requests sent away because too many were in flight."),
            upstream: counters(
                add,
                "app_upstream_requests_total",
                "Requests to the service that upcases, each attempt, by how they came out.",
                &["outcome"],
            ),
            upstream_duration: histograms(
                add,
                "app_upstream_request_duration_seconds",
                "How long the service that upcases took, by how it came out.",
                &["outcome"],
            ),
            circuit: gauge(
                add,
                "app_upstream_circuit_open",
                "1 while the service that upcases is not asked because too many requests to it failed.",
            ),
            cache: counters(add, "app_cache_requests_total", "Look-ups in the caches.", &["tier", "result"]),
            connections: gauges(
                add,
                "app_database_connections",
                "Connections to the database, idle and used.",
                &["state"],
            ),
            connections_limit: gauge(
                add,
                "app_database_connections_limit",
                "How many connections to the database there are at most; 0: no database is configured.",
            ),
            process: Process::new(add),
            looks: Mutex::default(),
            registry: registry.clone(),
        };
        let metrics = Self(Arc::new(inner));
        metrics.expose();
        metrics
    }

    /// Series that there are from the start, so that a rate of theirs never misses the first time.
    fn expose(&self) {
        for outcome in OUTCOMES {
            self.0.upstream.with_label_values(&[outcome]);
            self.0.upstream_duration.with_label_values(&[outcome]);
        }
        for tier in TIERS {
            for result in ["hit", "miss"] {
                self.0.cache.with_label_values(&[tier, result]);
            }
        }
        self.pool(0, 0, 0);
    }

    /// A request begins; what is returned counts it when it is answered or given up.
    pub fn request(&self, method: &Method, route: Option<&str>) -> InFlight {
        InFlight {
            metrics: self.clone(),
            method: known(method),
            route: route.unwrap_or("none").into(),
            began: std::time::Instant::now(),
            answered: false,
        }
    }

    /// How many requests are under way is how many permits of so many are taken.
    pub fn watch(&self, permits: &Arc<Semaphore>, limit: usize) {
        self.0.in_flight_limit.set(number(limit));
        let permits = permits.clone();
        self.look(move |metrics| metrics.0.in_flight.set(number(limit.saturating_sub(permits.available_permits()))));
    }

    /// A request was sent away, because too many were in flight.
    pub fn shed(&self) {
        self.0.shed.inc();
    }

    /// The service that upcases was asked: `outcome` is one of a few words.
    pub fn upstream(&self, outcome: &'static str, took: Duration) {
        self.0.upstream.with_label_values(&[outcome]).inc();
        self.0.upstream_duration.with_label_values(&[outcome]).observe(took.as_secs_f64());
    }

    /// The service that upcases is left alone, or asked again.
    pub fn circuit(&self, open: bool) {
        self.0.circuit.set(open.into());
    }

    /// A cache was asked: `tier` and `result` are one of a few words each.
    pub fn cache(&self, tier: &'static str, result: &'static str) {
        self.0.cache.with_label_values(&[tier, result]).inc();
    }

    /// The pool of connections to the database.
    pub fn pool(&self, used: usize, idle: usize, limit: usize) {
        self.0.connections.with_label_values(&["used"]).set(number(used));
        self.0.connections.with_label_values(&["idle"]).set(number(idle));
        self.0.connections_limit.set(number(limit));
    }

    /// Has something looked at whenever Prometheus asks, instead of whenever it changes.
    pub fn look(&self, look: impl Fn(&Self) + Send + Sync + 'static) {
        self.0.looks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(look));
    }

    /// All of it in Prometheus' text format, version 0.0.4.
    fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        self.0.process.look();
        self.0.looks.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|look| look(self));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct InFlight {
    metrics: Metrics,
    method: &'static str,
    route: Box<str>,
    began: std::time::Instant,
    answered: bool,
}

impl InFlight {
    /// It is answered. Says how long that took.
    pub fn answered(mut self, status: StatusCode) -> Duration {
        self.answered = true;
        let took = self.began.elapsed();
        self.metrics.0.requests.with_label_values(&[self.method, &*self.route, status.as_str()]).inc();
        self.metrics.0.durations.with_label_values(&[&*self.route]).observe(took.as_secs_f64());
        took
    }

    /// The template of its path, `none` if there is no such path.
    pub fn route(&self) -> &str {
        &self.route
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.answered {
            self.metrics.0.requests.with_label_values(&[self.method, &*self.route, CLIENT_GONE]).inc();
        }
    }
}

/// The routes of the port for Prometheus.
pub fn routes(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(metrics)
}

async fn scrape(Shared(metrics): Shared<Metrics>) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Clients may make up methods.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Names are ours and each is made once: nothing of this can fail but by a mistake that every test would show.
fn add<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("a metric is well-formed");
    registry.register(Box::new(collector.clone())).expect("a metric is made once");
    collector
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    add(registry, IntCounter::new(name, help))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    add(registry, IntGauge::new(name, help))
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    add(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    add(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    add(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels))
}
