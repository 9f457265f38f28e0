//! The verbs of `nodegroup`: one group of nodes, by its name.

use super::{Clients, act::Work, live, names};
use crate::{
    config::{Environment, aws::Eks},
    error::{Error, Result},
    ui::{Outcome, Step},
};

/// A nodegroup, for people and programs.
#[derive(Debug, serde::Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// EKS's word for what it is.
    pub status: String,
    /// How many nodes there should be.
    pub desired: i32,
    /// The fewest.
    pub min: i32,
    /// The most.
    pub max: i32,
    /// What its nodes may be.
    pub instance_types: Vec<String>,
    /// What ails it.
    pub issues: Vec<String>,
}

/// The nodegroups of the cluster.
///
/// # Errors
/// AWS refuses.
pub async fn nodegroups(eks: &Eks) -> Result<Vec<Group>> {
    let live = live::look(&Clients::new(&eks.aws).await?, eks).await?;
    let group = |group: &aws_sdk_eks::types::Nodegroup| {
        let size = group.scaling_config();
        let issues = group.health().into_iter().flat_map(|health| health.issues());
        Group {
            name: group.nodegroup_name().unwrap_or_default().to_owned(),
            status: group.status().map_or("UNKNOWN", |status| status.as_str()).to_owned(),
            desired: size.and_then(|size| size.desired_size()).unwrap_or_default(),
            min: size.and_then(|size| size.min_size()).unwrap_or_default(),
            max: size.and_then(|size| size.max_size()).unwrap_or_default(),
            instance_types: group.instance_types().to_vec(),
            issues: issues.filter_map(|issue| issue.message()).map(str::to_owned).collect(),
        }
    };
    Ok(live.nodegroups.iter().map(group).collect())
}

/// Has a nodegroup have that many nodes.
///
/// # Errors
/// There is no such nodegroup, the number is beyond its limits, or AWS refuses.
pub async fn scale(environment: &Environment, eks: &Eks, name: &str, nodes: u32, step: &Step) -> Result<Outcome> {
    let group = eks.nodegroups.iter().find(|group| group.name == name).ok_or_else(|| {
        let names: Vec<&str> = eks.nodegroups.iter().map(|group| group.name.as_str()).collect();
        Error::usage(format!("there is no nodegroup {name} in {}", environment.name))
            .hint(format!("it has {}", names.join(", ")))
    })?;
    if !(group.size.min..=group.size.max).contains(&nodes) {
        return Err(Error::usage(format!("{nodes} nodes are beyond the limits of the nodegroup {name}"))
            .cause(format!("it has from {} to {}", group.size.min, group.size.max))
            .hint("change its size in the configuration, then cargo xtask cluster up"));
    }
    let clients = Clients::new(&eks.aws).await?;
    let found = live::nodegroup(&clients, &eks.name, name).await?;
    let nodes = i32::try_from(nodes).unwrap_or(i32::MAX);
    let now = found.as_ref().and_then(|found| found.scaling_config()?.desired_size());
    if now == Some(nodes) {
        return Ok(Outcome::Same);
    }
    let work = Work { clients: &clients, eks, environment: &environment.name, step };
    work.resize(group, nodes).await?;
    Ok(Outcome::Changed)
}

/// Has the nodes of a group run the newest image of the cluster's version of Kubernetes, or the one that is named. Says
/// which image they run then.
///
/// # Errors
/// There is no such nodegroup, nodes cannot be drained, or AWS refuses.
pub async fn renew(
    environment: &Environment,
    eks: &Eks,
    name: &str,
    image: Option<&str>,
    force: bool,
    step: &Step,
) -> Result<(Outcome, String)> {
    let clients = Clients::new(&eks.aws).await?;
    let work = Work { clients: &clients, eks, environment: &environment.name, step };
    let running = async || {
        let found = live::nodegroup(&clients, &eks.name, name).await?;
        Ok::<_, Error>(found.map(|group| group.release_version.unwrap_or_default()))
    };
    let cluster = live::cluster(&clients, &eks.name).await?;
    let version = cluster.as_ref().and_then(|cluster| cluster.version());
    let (Some(version), Some(before)) = (version, running().await?) else {
        return Err(missing(&clients, eks, name).await?);
    };
    if image == Some(&before) {
        return Ok((Outcome::Same, before));
    }
    work.group_settled(name).await?;
    step.progress(format!("~ Nodegroup {name}"));
    work.renew(name, version, image, force).await?;
    let after = running().await?.unwrap_or_default();
    Ok((if after == before { Outcome::Same } else { Outcome::Changed }, after))
}

/// Drains a group's nodes and removes it.
///
/// # Errors
/// The configuration has it, as long as that is not to be overridden; it is not ours; or it cannot be removed.
pub async fn delete(environment: &Environment, eks: &Eks, name: &str, force: bool, step: &Step) -> Result<Outcome> {
    if !force && eks.nodegroups.iter().any(|group| group.name == name) {
        return Err(Error::usage(format!("the configuration of {} has the nodegroup {name}", environment.name))
            .hint("take it out there first; --force deletes it all the same, and cluster up makes it again"));
    }
    let clients = Clients::new(&eks.aws).await?;
    let Some(found) = live::nodegroup(&clients, &eks.name, name).await? else { return Ok(Outcome::Same) };
    if found.tags().and_then(|tags| tags.get(names::TAG)) != Some(&environment.name) {
        return Err(Error::failed(format!("the nodegroup {name} was not made for {}", environment.name))
            .hint(format!("it carries no tag {}={}: delete it by hand if it must go", names::TAG, environment.name)));
    }
    step.progress(format!("- Nodegroup {name}"));
    Work { clients: &clients, eks, environment: &environment.name, step }.disband(name).await?;
    Ok(Outcome::Changed)
}

/// The error of a nodegroup that is not there.
async fn missing(clients: &Clients, eks: &Eks, name: &str) -> Result<Error> {
    if live::cluster(clients, &eks.name).await?.is_none() {
        return Ok(Error::failed(format!("there is no cluster {}", eks.name)));
    }
    let groups = live::nodegroups(clients, &eks.name).await?;
    let names: Vec<&str> = groups.iter().filter_map(|group| group.nodegroup_name()).collect();
    Ok(Error::usage(format!("there is no nodegroup {name}")).hint(format!("the cluster has {}", names.join(", "))))
}
