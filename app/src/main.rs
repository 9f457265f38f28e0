//! Reads the configuration, serves, and drains when asked to end.

use std::{io::Write as _, process::ExitCode};

use app::{State, config::Config, drain, drain::Drain, serve};
use tokio::net::TcpListener;

/// `EX_CONFIG` of sysexits.h: starting again won't help until somebody has changed the configuration.
const EXIT_CONFIG: u8 = 78;

#[tokio::main]
async fn main() -> ExitCode {
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(errors) => {
            for error in errors {
                say(&format!("configuration: {error}"));
            }
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    tracing_subscriber::fmt().json().flatten_event(true).with_max_level(config.log_level).init();
    match run(&config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("listening on {}: {error}", config.address));
            ExitCode::FAILURE
        }
    }
}

async fn run(config: &Config) -> std::io::Result<()> {
    let drain = Drain::default();
    let state = State {
        version: config.version.as_str().into(),
        drain: drain.clone(),
        request_timeout: config.request_timeout,
    };
    // The signals before the port: whoever sees it listening may ask it to end.
    let cut = drain::on_signals(drain.clone(), config.drain_delay, config.drain_timeout)?;
    let listener = TcpListener::bind(config.address).await?;
    tracing::info!(address = %listener.local_addr()?, version = config.version, "listening");
    tokio::select! {
        () = serve::serve(listener, app::app(state), drain, config.header_timeout) => tracing::info!("drained"),
        () = cut => tracing::warn!("connections were still open and have been cut off"),
    }
    Ok(())
}

/// For people: what keeps the service from starting, before or beside the log.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
