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
    /// Bring it to another version of Kubernetes: the control plane, then, when that has been watched, add-ons and nodes
    ///
    /// One minor version at a time, to that of the configuration. What AWS knows against it refuses first. Killed at any
    /// moment, the next run goes on from there. Within 7 days AWS also goes back: name the version before.
    #[command(
        after_help = "Examples:\n  cargo xtask cluster upgrade --env staging\n  cargo xtask cluster upgrade --to 1.36 --env staging"
    )]
    Upgrade(Upgrade),
    /// Write a kubeconfig that asks this program for tokens, and print its path
    #[command(after_help = "Examples:\n  export KUBECONFIG=$(cargo xtask cluster kubeconfig --env staging)")]
    Kubeconfig(Target),
    /// Print a token for it, as kubectl asks credential plugins for
    Token(Token),
    /// Remove it, and the network and roles that were made for it
    Down(Reporting),
}

/// Options of `cluster upgrade`.
#[derive(Debug, Args)]
pub struct Upgrade {
    /// The version, when it is not that of the configuration
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// Go on although AWS knows a reason against it
    #[arg(long)]
    pub force: bool,
    /// The environment and the format.
    #[command(flatten)]
    pub reporting: Reporting,
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
    /// Have a nodegroup's nodes run the newest image of the cluster's version; each is drained before it ends
    #[command(
        after_help = "Examples:\n  cargo xtask nodegroup upgrade general --env staging\n  cargo xtask nodegroup upgrade general --image 1.35.6-20261120 --env staging"
    )]
    Upgrade(Renew),
    /// Drain a nodegroup's nodes and remove it
    #[command(after_help = "Examples:\n  cargo xtask nodegroup delete old --env staging")]
    Delete(Disband),
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

/// Options of `nodegroup upgrade`.
#[derive(Debug, Args)]
pub struct Renew {
    /// The nodegroup
    pub name: String,
    /// The release of the image, instead of the newest
    #[arg(long, value_name = "RELEASE")]
    pub image: Option<String>,
    /// End nodes also where a PodDisruptionBudget keeps them from being drained
    #[arg(long)]
    pub force: bool,
    /// The environment.
    #[command(flatten)]
    pub target: Target,
}

/// Options of `nodegroup delete`.
#[derive(Debug, Args)]
pub struct Disband {
    /// The nodegroup
    pub name: String,
    /// Also one that the configuration has
    #[arg(long)]
    pub force: bool,
    /// The environment.
    #[command(flatten)]
    pub target: Target,
}
