//! Serves the app.

fn main() {}
