//! Everything that a person or a program reads: results on stdout, words on stderr.

mod failure;
mod github;
mod printer;
mod recap;
mod secret;
mod service;
mod step;

pub use printer::Printer;
pub use recap::{Outcome, Row};
pub use secret::Secret;
pub use service::of_service;
pub use step::{Done, Step};

#[cfg(test)]
mod tests;
