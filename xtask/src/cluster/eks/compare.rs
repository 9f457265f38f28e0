//! What would have to be done for a cluster to be as configured. Pure, over one look at what is there.

use std::collections::BTreeSet;

use aws_sdk_eks::types::{Cluster, LogType as AwsLogType, Nodegroup as Group, NodegroupStatus};
use serde_json::Value;

use super::{
    change::{Again, Change, Facet},
    live::{Entry, Live},
    names, template,
};
use crate::{
    config::aws::{AddonVersion, Eks, Endpoint, Identity, LogType, Nodegroup, Scope, UpgradePolicy},
    error::{Error, Result},
};

/// All that differs.
///
/// # Errors
/// What cannot be changed in what is there.
pub(super) fn compare(eks: &Eks, live: &Live) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let differs = |stack: &Option<super::stacks::Stack>, template: &Value| {
        stack.as_ref().is_none_or(|stack| {
            stack.is_half_made() || stack.template != *template || stack.protected != eks.deletion_protection
        })
    };
    changes.extend(template::network(eks).filter(|template| differs(&live.network, template)).map(Change::Network));
    let roles = template::roles(eks);
    if differs(&live.roles, &roles) {
        changes.push(Change::Roles(roles));
    }
    match &live.cluster {
        None => changes.push(Change::Cluster),
        Some(cluster) => {
            same_version(eks, cluster)?;
            changes.extend(facets(eks, cluster).into_iter().map(Change::Configure));
        }
    }
    changes.extend(access(eks, live));
    changes.extend(identities(eks, live));
    changes.extend(addons(eks, live));
    changes.extend(nodegroups(eks, live)?);
    Ok(changes)
}

fn same_version(eks: &Eks, cluster: &Cluster) -> Result<()> {
    let is = cluster.version().unwrap_or_default();
    if is == eks.version {
        return Ok(());
    }
    Err(Error::failed(format!("the cluster {} runs Kubernetes {is}, not {}", eks.name, eks.version)).hint(format!(
        "an upgrade is a step of its own: cargo xtask cluster upgrade; or set cluster.eks.version to \"{is}\""
    )))
}

fn facets(eks: &Eks, cluster: &Cluster) -> Vec<Facet> {
    let mut facets = Vec::new();
    if let Some(vpc) = cluster.resources_vpc_config() {
        let (public, private, cidrs) = endpoint(&eks.endpoint);
        let set = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
        let open = public && set(vpc.public_access_cidrs()) != set(cidrs);
        if vpc.endpoint_public_access() != public || vpc.endpoint_private_access() != private || open {
            facets.push(Facet::Endpoint);
        }
    }
    let logged: BTreeSet<String> = cluster
        .logging()
        .into_iter()
        .flat_map(|logging| logging.cluster_logging())
        .filter(|setup| setup.enabled() == Some(true))
        .flat_map(|setup| setup.types())
        .map(|kind| kind.as_str().to_owned())
        .collect();
    if logged != eks.logging.iter().map(|kind| log_type(*kind).as_str().to_owned()).collect() {
        facets.push(Facet::Logging);
    }
    let policy = cluster.upgrade_policy().and_then(|policy| policy.support_type());
    if policy.is_some_and(|policy| *policy != support(eks.upgrade_policy)) {
        facets.push(Facet::UpgradePolicy);
    }
    if cluster.deletion_protection().is_some_and(|protected| protected != eks.deletion_protection) {
        facets.push(Facet::DeletionProtection);
    }
    facets
}

pub(super) fn support(policy: UpgradePolicy) -> aws_sdk_eks::types::SupportType {
    match policy {
        UpgradePolicy::Standard => aws_sdk_eks::types::SupportType::Standard,
        UpgradePolicy::Extended => aws_sdk_eks::types::SupportType::Extended,
    }
}

pub(super) fn log_type(kind: LogType) -> AwsLogType {
    match kind {
        LogType::Api => AwsLogType::Api,
        LogType::Audit => AwsLogType::Audit,
        LogType::Authenticator => AwsLogType::Authenticator,
        LogType::ControllerManager => AwsLogType::ControllerManager,
        LogType::Scheduler => AwsLogType::Scheduler,
    }
}

/// Whether it is public, whether it is private, and for whom it is public.
pub(super) fn endpoint(endpoint: &Endpoint) -> (bool, bool, &[String]) {
    match endpoint {
        Endpoint::Private => (false, true, &[]),
        Endpoint::Public(cidrs) => (true, false, cidrs),
        Endpoint::Both(cidrs) => (true, true, cidrs),
    }
}

fn access(eks: &Eks, live: &Live) -> Vec<Change> {
    let mut changes = Vec::new();
    for wanted in &eks.access {
        let Some(entry) = live.entries.iter().find(|entry| entry.principal == wanted.principal) else {
            changes.push(Change::Admit(wanted.clone()));
            continue;
        };
        let lacks = wanted.policies.iter().any(|policy| !has(entry, &eks.aws.region, &policy.name, &policy.scope));
        let set = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
        if lacks || set(&entry.groups) != set(&wanted.groups) {
            changes.push(Change::Admit(wanted.clone()));
        }
        let wants = |arn: &str| wanted.policies.iter().any(|policy| arn.ends_with(&format!("/{}", policy.name)));
        let extra = entry.policies.iter().filter_map(|policy| policy.policy_arn()).filter(|arn| !wants(arn));
        changes.extend(extra.map(|arn| Change::Revoke(wanted.principal.clone(), arn.to_owned())));
    }
    // EKS makes entries for nodes; those of others are not ours to remove.
    let gone = live.entries.iter().filter(|entry| entry.ours && entry.kind == "STANDARD");
    let gone = gone.filter(|entry| !eks.access.iter().any(|wanted| wanted.principal == entry.principal));
    changes.extend(gone.map(|entry| Change::Expel(entry.principal.clone())));
    changes
}

fn has(entry: &Entry, region: &str, name: &str, scope: &Scope) -> bool {
    entry.policies.iter().filter(|policy| policy.policy_arn() == Some(&names::policy(region, name))).any(|policy| {
        let Some(found) = policy.access_scope() else { return false };
        let namespaces: BTreeSet<&String> = found.namespaces().iter().collect();
        match scope {
            Scope::Cluster => found.r#type().is_some_and(|kind| kind.as_str() == "cluster"),
            Scope::Namespaces(wanted) => namespaces == wanted.iter().collect(),
        }
    })
}

pub(super) fn find_identity<'a>(
    live: &'a Live,
    identity: &Identity,
) -> Option<&'a aws_sdk_eks::types::PodIdentityAssociation> {
    live.identities.iter().find(|found| {
        found.namespace() == Some(&identity.namespace) && found.service_account() == Some(&identity.service_account)
    })
}

fn identities(eks: &Eks, live: &Live) -> Vec<Change> {
    let role = |identity: &Identity| live.roles.as_ref()?.outputs.get(&template::identity_role(identity)).cloned();
    let wanted = eks.workload_identity.iter().filter(|identity| {
        find_identity(live, identity).is_none_or(|found| found.role_arn().map(str::to_owned) != role(identity))
    });
    let mut changes: Vec<Change> = wanted.cloned().map(Change::Identify).collect();
    let ours = live.identities.iter().filter(|found| found.tags().is_some_and(|tags| tags.contains_key(names::TAG)));
    let gone = ours.filter(|found| {
        !eks.workload_identity.iter().any(|identity| {
            found.namespace() == Some(&identity.namespace) && found.service_account() == Some(&identity.service_account)
        })
    });
    changes.extend(gone.filter_map(|found| found.association_id()).map(|id| Change::Forget(id.to_owned())));
    changes
}

fn addons(eks: &Eks, live: &Live) -> Vec<Change> {
    let mut changes = Vec::new();
    for wanted in &eks.addons {
        let Some(found) = live.addons.iter().find(|found| found.addon_name() == Some(&wanted.name)) else {
            changes.push(Change::Install(wanted.clone()));
            continue;
        };
        let configuration: Value =
            serde_json::from_str(found.configuration_values().unwrap_or_default()).unwrap_or_default();
        let other = matches!(&wanted.version, AddonVersion::Exact(version) if found.addon_version() != Some(version));
        if other || wanted.configuration.as_ref().is_some_and(|wanted| *wanted != configuration) {
            changes.push(Change::Refit(wanted.clone()));
        }
    }
    let ours = live.addons.iter().filter(|found| found.tags().is_some_and(|tags| tags.contains_key(names::TAG)));
    let names = ours.filter_map(|found| found.addon_name());
    let gone = names.filter(|name| !eks.addons.iter().any(|wanted| wanted.name == *name));
    changes.extend(gone.map(|name| Change::Uninstall(name.to_owned())));
    changes
}

fn nodegroups(eks: &Eks, live: &Live) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for wanted in &eks.nodegroups {
        match live.nodegroups.iter().find(|found| found.nodegroup_name() == Some(&wanted.name)) {
            None => changes.push(Change::Group(wanted.clone(), Again::No)),
            Some(found) if found.status() == Some(&NodegroupStatus::CreateFailed) => {
                changes.push(Change::Group(wanted.clone(), Again::Yes));
            }
            Some(found) => {
                same_machines(wanted, found)?;
                if !super::groups::fits(wanted, found) {
                    changes.push(Change::Regroup(wanted.clone()));
                }
            }
        }
    }
    // Last, so that what runs on them has somewhere to go.
    let ours = live.nodegroups.iter().filter(|found| found.tags().is_some_and(|tags| tags.contains_key(names::TAG)));
    let names = ours.filter_map(|found| found.nodegroup_name());
    let gone = names.filter(|name| !eks.nodegroups.iter().any(|wanted| wanted.name == *name));
    changes.extend(gone.map(|name| Change::Disband(name.to_owned())));
    Ok(changes)
}

/// What a nodegroup is made of cannot be changed.
fn same_machines(wanted: &Nodegroup, found: &Group) -> Result<()> {
    let mut other = Vec::new();
    if found.instance_types() != wanted.instance_types.as_slice() {
        other.push("instance_types");
    }
    if found.capacity_type() != Some(&super::groups::capacity(wanted)) {
        other.push("capacity");
    }
    if found.ami_type() != Some(&super::groups::ami(wanted)) {
        other.push("ami");
    }
    if found.disk_size() != i32::try_from(wanted.disk).ok() {
        other.push("disk");
    }
    if other.is_empty() {
        return Ok(());
    }
    Err(Error::failed(format!(
        "the nodegroup {} has another {}, which cannot be changed",
        wanted.name,
        other.join(" and ")
    ))
    .hint("give it another name: new nodes come first, then the old ones are drained and removed"))
}
