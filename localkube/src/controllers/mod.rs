//! The controllers, each a client of the API server like any other.

/// Runs every controller and the scheduler until the returned future is dropped.
pub async fn run(_client: kube::Client) {
    std::future::pending::<()>().await;
}
