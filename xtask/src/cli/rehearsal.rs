//! Options of `rehearsal` and its verbs.

use clap::{Args, Subcommand};

/// Options of `rehearsal`.
#[derive(Debug, Args)]
pub struct Rehearsal {
    /// What to do with it.
    #[command(subcommand)]
    pub command: RehearsalCommand,
}

/// The verbs of `rehearsal`.
#[derive(Debug, Subcommand)]
pub enum RehearsalCommand {
    /// End the emulator and remove what its clusters left in Docker
    Down,
}
