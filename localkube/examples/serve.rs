//! Serves a directory until Ctrl-C: `cargo run -p localkube --example serve -- DIRECTORY`.

use std::{error::Error, path::PathBuf};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from).ok_or("which directory?")?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let options = localkube::serve::Options { directory, ..Default::default() };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let shutdown = async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    localkube::serve::serve(options, shutdown).await?;
    Ok(())
}
