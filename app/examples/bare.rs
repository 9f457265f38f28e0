//! A bare axum handler that does the same to a text, to measure the service against: no limits, no log, no refusals.
//! `bare PORT` listens on loopback.

use std::io::{Error, Result};

use axum::{Router, body::Bytes, http::header, response::IntoResponse, routing::post};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
struct Text {
    data: String,
}

async fn transform(body: Bytes) -> impl IntoResponse {
    let text: Text = serde_json::from_slice(&body).unwrap_or(Text { data: String::new() });
    let answer = Text { data: app::text::reverse_upcase(&text.data) };
    ([(header::CONTENT_TYPE, "application/json")], serde_json::to_vec(&answer).unwrap_or_default())
}

#[tokio::main]
async fn main() -> Result<()> {
    let port: u16 =
        std::env::args().nth(1).and_then(|port| port.parse().ok()).ok_or(Error::other("usage: bare PORT"))?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, Router::new().route("/v1", post(transform))).await
}
