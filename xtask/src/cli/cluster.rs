//! Options of `cluster` and `nodegroup` and their verbs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Reporting, Target};

/// Options of `cluster`.
#[derive(Debug, Args)]
pub struct Cluster {
    /// What to do with it.
    #[command(subcommand)]
    pub command: ClusterCommand,
}

/// The verbs of `cluster`.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Make it what it is configured to be: network, roles, control plane, access, add-ons, nodes
    ///
    /// Killed at any moment, the next run goes on from there.
    Up(Reporting),
    /// Say what is there and what differs from the configuration
    Status(Reporting),
    /// Write a kubeconfig that asks this program for tokens, and print its path
    #[command(after_help = "Examples:\n  export KUBECONFIG=$(cargo xtask cluster kubeconfig --env staging)")]
    Kubeconfig(Target),
    /// Print a token for it, as kubectl asks credential plugins for
    Token(Token),
    /// Remove it, and the network and roles that were made for it
    Down(Reporting),
}

/// Options of `cluster token`.
#[derive(Debug, Args)]
pub struct Token {
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// The repository, when it is not around the current directory
    #[arg(long, value_name = "DIRECTORY")]
    pub root: Option<PathBuf>,
}

/// Options of `nodegroup`.
#[derive(Debug, Args)]
pub struct Nodegroup {
    /// What to do with them.
    #[command(subcommand)]
    pub command: NodegroupCommand,
}

/// The verbs of `nodegroup`.
#[derive(Debug, Subcommand)]
pub enum NodegroupCommand {
    /// List the nodegroups of the cluster
    List(Reporting),
    /// Have a nodegroup have that many nodes, within the limits of the configuration
    #[command(after_help = "Examples:\n  cargo xtask nodegroup scale general 4 --env staging")]
    Scale(Scale),
}

/// Options of `nodegroup scale`.
#[derive(Debug, Args)]
pub struct Scale {
    /// The nodegroup
    pub name: String,
    /// How many nodes
    pub nodes: u32,
    /// The environment.
    #[command(flatten)]
    pub target: Target,
}
