//! From settings to a service that listens, and to its end.

use std::{net::SocketAddr, pin::pin, sync::Arc};

use tokio::net::TcpListener;

use crate::{
    State, app,
    auth::Auth,
    config::Config,
    drain::{self, Phase},
    metrics, serve,
    trace::Traces,
};

/// Serves until it was asked to end and has drained.
///
/// # Errors
/// What kept it from starting, in words.
pub async fn run(config: Config) -> Result<(), String> {
    let mut state = State::new(config);
    let traces = Traces::new(&state.config.telemetry)?;
    state.tracer = traces.as_ref().map(Traces::tracer);
    if state.users.is_some() && matches!(state.auth, Auth::Off) {
        tracing::warn!("AUTH is off: whoever can connect may read and change all users");
    }
    let state = Arc::new(state);
    let listen = &state.config.listen;
    // The signals before the port: whoever sees it listening may ask it to end.
    let cut = drain::on_signals(state.drain.clone(), listen.drain_delay, listen.drain_timeout)
        .map_err(|error| format!("listening to signals: {error}"))?;
    let mut cut = pin!(cut);
    if let Some(database) = &state.database {
        tokio::select! {
            prepared = database.prepare(&state.config.database) => prepared?,
            // Nobody has been promised anything yet.
            () = state.drain.reached(Phase::Lame) => return Ok(()),
            () = cut.as_mut() => return Ok(()),
        }
    }
    let listening = |error| format!("listening on {}: {error}", listen.address);
    let listener = TcpListener::bind(listen.address).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let measured = measured(&state).await?;
    tracing::info!(%address, version = state.config.telemetry.version, "listening");
    if let Some(listener) = measured {
        let address = listener.local_addr().map_err(listening)?;
        tracing::info!(%address, "metrics");
        let router = metrics::routes(state.metrics.clone());
        let state = state.clone();
        tokio::spawn(async move { serve::serve(listener, router, state.drain.clone(), &state.config.limits).await });
    }
    let router = app(state.clone());
    tokio::select! {
        () = serve::serve(listener, router, state.drain.clone(), &state.config.limits) => tracing::info!("drained"),
        () = cut.as_mut() => tracing::warn!("connections were still open and have been cut off"),
    }
    if let Some(traces) = traces {
        traces.end().await;
    }
    Ok(())
}

/// Where Prometheus asks, if it may.
async fn measured(state: &State) -> Result<Option<TcpListener>, String> {
    let Some(port) = state.config.metrics.port else { return Ok(None) };
    let address = SocketAddr::new(state.config.listen.address.ip(), port);
    let listener = TcpListener::bind(address).await;
    listener.map(Some).map_err(|error| format!("listening on {address} for metrics: {error}"))
}
