//! One stream of the engine's events tells when containers end, instead of asking about each.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use bollard::{
    Docker,
    models::ContainerInspectResponse,
    query_parameters::{EventsOptions, InspectContainerOptions},
};
use futures::StreamExt;
use tokio::sync::watch;

use super::{names, unavailable};

/// Between two tries to reach the engine: first and longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Who waits for which container, and whether the engine answers.
#[derive(Debug)]
pub(super) struct Exits {
    docker: Docker,
    waiting: Mutex<HashMap<String, watch::Sender<()>>>,
    connected: watch::Sender<Result<(), String>>,
}

impl Exits {
    pub(super) fn new(docker: Docker) -> Self {
        Self {
            docker,
            waiting: Mutex::default(),
            connected: watch::Sender::new(Err("the Docker Engine has not been asked yet".to_owned())),
        }
    }

    /// Whether the engine answers; when not, why.
    pub(super) fn connection(&self) -> watch::Receiver<Result<(), String>> {
        self.connected.subscribe()
    }

    /// Waits until the engine answers.
    pub(super) async fn connected(&self) {
        // The sender lives as long as self.
        let _ = self.connection().wait_for(Result::is_ok).await;
    }

    /// Waits for the container's end and returns what the engine knows of it; nothing when it was removed.
    pub(super) async fn wait(&self, id: &str) -> Option<ContainerInspectResponse> {
        let mut news = self.waiting.lock().expect("no holder panics").entry(id.to_owned()).or_default().subscribe();
        loop {
            match self.docker.inspect_container(id, None::<InspectContainerOptions>).await {
                Ok(found) if found.state.as_ref().and_then(|state| state.running) == Some(true) => {}
                Ok(found) => return Some(found),
                Err(error) if unavailable(&error) => {}
                Err(_) => return None,
            }
            // The sender stays as long as somebody listens.
            let _ = news.changed().await;
        }
    }

    /// Lets those who wait look again, and forgets containers that nobody waits for any more.
    fn wake(&self, wanted: impl Fn(&str) -> bool) {
        self.waiting.lock().expect("no holder panics").retain(|id, news| {
            if wanted(id) {
                news.send_replace(());
            }
            news.receiver_count() > 0
        });
    }

    /// Reads the stream, and opens it again when the engine went away, until dropped.
    pub(super) async fn run(&self, cluster_id: &str) {
        let mut pause = RETRY.0;
        loop {
            match self.docker.ping().await {
                Ok(_) => {
                    pause = RETRY.0;
                    if self.connected.send_replace(Ok(())).is_err() {
                        tracing::info!("the Docker Engine answers");
                    }
                    self.follow(cluster_id).await;
                }
                Err(error) => {
                    let message = format!("the Docker Engine does not answer: {error}");
                    if self.connected.send_replace(Err(message)).is_ok() {
                        tracing::warn!(%error, "the Docker Engine does not answer; pods cannot be started or stopped");
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    async fn follow(&self, cluster_id: &str) {
        let mut filters = names::filter(&[(names::CLUSTER, cluster_id)]);
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        filters.insert("event".to_owned(), vec!["die".to_owned(), "destroy".to_owned()]);
        // The request is sent with the first read, after the others have asked: `since` covers what ends in between.
        let since = (jiff::Timestamp::now().as_second() - 1).to_string();
        let options = EventsOptions { since: Some(since), until: None, filters: Some(filters) };
        let mut events = Box::pin(self.docker.events(Some(options)));
        // What ended between two streams is found by asking once.
        self.wake(|_| true);
        while let Some(Ok(event)) = events.next().await {
            let Some(id) = event.actor.and_then(|actor| actor.id) else { continue };
            self.wake(|waiting| waiting == id);
        }
    }
}
