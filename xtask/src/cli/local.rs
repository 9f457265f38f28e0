//! Options of `local` and its verbs.

use clap::{Args, Subcommand};

use super::Report;

/// Options of `local`.
#[derive(Debug, Args)]
pub struct Local {
    /// What to do with it.
    #[command(subcommand)]
    pub command: LocalCommand,
}

/// The verbs of `local`.
#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Start it, unless it runs
    Up(Report),
    /// Stop it and remove its containers, networks, volumes, images and files, also the images built here
    Down,
    /// Say whether it runs, and where
    Status(Report),
    /// Print the path of its kubeconfig
    #[command(after_help = "Examples:\n  export KUBECONFIG=$(cargo xtask local kubeconfig)")]
    Kubeconfig,
    /// Be its process
    #[command(hide = true)]
    Serve(Serve),
    /// Be the process of a rehearsal's cluster, in the place of k3s
    #[command(hide = true)]
    Node(Node),
}

/// Options of `local serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where its state is kept
    #[arg(long)]
    pub directory: std::path::PathBuf,
}

/// Options of `local node`.
#[derive(Debug, Args)]
pub struct Node {
    /// Where clusters keep their state, each in a folder of its own
    #[arg(long)]
    pub directory: std::path::PathBuf,
    /// What k3s is told
    #[arg(last = true)]
    pub arguments: Vec<String>,
}
