//! One thing to do to a cluster, and how a plan shows it.

use serde_json::Value;

use super::{compare::find_identity, live::Live, names, wait::typical};
use crate::config::aws::{Access, Addon, Eks, Identity, Nodegroup};

/// One thing to do, in the order in which they are done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// Make the network's stack, or change it.
    Network(Value),
    /// The same of the roles.
    Roles(Value),
    /// Make the control plane.
    Cluster,
    /// Change a part of the control plane.
    Configure(Facet),
    /// Let a principal in, or change what it may do.
    Admit(Access),
    /// Let it in no longer.
    Expel(String),
    /// Take a policy away.
    Revoke(String, String),
    /// Let a service account's pods use AWS.
    Identify(Identity),
    /// No longer.
    Forget(String),
    /// Install an add-on.
    Install(Addon),
    /// Change its version or configuration.
    Refit(Addon),
    /// Remove it.
    Uninstall(String),
    /// Make nodes; again, where EKS failed to.
    Group(Nodegroup, Again),
    /// Change what can be changed of them.
    Regroup(Nodegroup),
    /// Drain and remove them.
    Disband(String),
}

/// Whether there is a failed one to be removed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    No,
    Yes,
}

/// A part of the control plane that is changed by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Facet {
    Endpoint,
    Logging,
    UpgradePolicy,
    DeletionProtection,
}

impl Change {
    /// As a plan shows it.
    pub(super) fn line(&self, eks: &Eks, live: &Live) -> String {
        let stack = |there: bool, name: String| format!("{} Stack {name}", if there { "~" } else { "+" });
        match self {
            Self::Network(_) => stack(live.network.is_some(), names::network(eks)),
            Self::Roles(_) => stack(live.roles.is_some(), names::roles(eks)),
            Self::Cluster => format!("+ Cluster {} (EKS {})", eks.name, eks.version),
            Self::Configure(facet) => format!("~ Cluster {}: {}", eks.name, facet.word()),
            Self::Admit(access) => format!(
                "{} AccessEntry {}",
                sign(live.entries.iter().any(|entry| entry.principal == access.principal)),
                access.principal
            ),
            Self::Expel(principal) => format!("- AccessEntry {principal}"),
            Self::Revoke(principal, policy) => format!("~ AccessEntry {principal}: without {policy}"),
            Self::Identify(identity) => format!(
                "{} PodIdentity {}/{}",
                sign(find_identity(live, identity).is_some()),
                identity.namespace,
                identity.service_account
            ),
            Self::Forget(id) => format!("- PodIdentity {id}"),
            Self::Install(addon) => format!("+ Addon {}", addon.name),
            Self::Refit(addon) => format!("~ Addon {}", addon.name),
            Self::Uninstall(name) => format!("- Addon {name}"),
            Self::Group(group, Again::No) => format!(
                "+ Nodegroup {} ({} nodes, {})",
                group.name,
                group.size.desired,
                group.instance_types.join(", ")
            ),
            Self::Group(group, Again::Yes) => format!("! Nodegroup {}: it failed, and is made again", group.name),
            Self::Regroup(group) => format!("~ Nodegroup {}", group.name),
            Self::Disband(name) => format!("- Nodegroup {name}"),
        }
    }

    /// How many it usually takes; of what is over in seconds none.
    fn minutes(&self) -> u32 {
        match self {
            Self::Cluster => typical::CLUSTER,
            Self::Network(_) | Self::Roles(_) => typical::STACK,
            Self::Configure(_) => typical::CONFIGURE,
            Self::Group(_, Again::No) => typical::NODES,
            Self::Group(_, Again::Yes) => typical::NODES + typical::DRAIN,
            Self::Disband(_) => typical::DRAIN,
            Self::Regroup(_) | Self::Install(_) | Self::Refit(_) | Self::Uninstall(_) => 1,
            Self::Admit(_) | Self::Expel(_) | Self::Revoke(..) | Self::Identify(_) | Self::Forget(_) => 0,
        }
    }
}

/// How many minutes the changes usually take: nodes are made side by side, the rest is done one after the other.
pub(super) fn minutes(changes: &[Change]) -> u32 {
    let nodes = changes.iter().filter(|change| matches!(change, Change::Group(..))).map(Change::minutes).max();
    let others = changes.iter().filter(|change| !matches!(change, Change::Group(..))).map(Change::minutes);
    others.sum::<u32>() + nodes.unwrap_or_default()
}

fn sign(there: bool) -> char {
    if there { '~' } else { '+' }
}

impl Facet {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Endpoint => "access to its endpoint",
            Self::Logging => "logging",
            Self::UpgradePolicy => "upgrade policy",
            Self::DeletionProtection => "deletion protection",
        }
    }
}
