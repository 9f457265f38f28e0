//! Another version of Kubernetes: one minor version on, or the one back that AWS allows. Each step looks first, so that
//! a command killed in between is gone on with by the next.

use std::cmp::Ordering;

use aws_sdk_eks::types::{Category, Nodegroup};

use super::{
    Clients,
    act::Work,
    live::{self, Live},
    owned,
    versions::{self, Offer},
};
use crate::{
    config::{Environment, aws::Eks},
    error::{Error, Result},
    ui::{Outcome, Step},
};

/// What has to be done with the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing: an earlier run may have left the rest undone.
    Stay,
    Up,
    Back,
}

/// What became of it.
#[derive(Debug)]
pub struct Upgraded {
    /// Whether anything was to be done.
    pub outcome: Outcome,
    /// The version that the cluster has.
    pub version: String,
    /// A line for each thing that changed.
    pub changes: Vec<String>,
}

/// Brings the cluster to a version, that of the configuration unless another is wanted.
///
/// # Errors
/// There is no cluster, the version is out of reach, AWS knows a reason against it, or a step fails; the next run goes
/// on from there.
pub async fn upgrade(
    environment: &Environment,
    eks: &Eks,
    wanted: Option<&str>,
    force: bool,
    step: &Step,
) -> Result<Upgraded> {
    let clients = Clients::new(&eks.aws).await?;
    let mut eks = eks.clone();
    if let Some(wanted) = wanted {
        wanted.clone_into(&mut eks.version);
    }
    let work = Work { clients: &clients, eks: &eks, environment: &environment.name, step };
    step.update("looking at what is there");
    let (now, live) = look(&work).await?;
    let way = way(&now, &eks, &versions::offered(&clients).await?)?;
    let mut addons = Vec::new();
    for addon in &eks.addons {
        addons.push((addon, work.fitting(addon).await?));
    }
    let (version, mut changes) = (&eks.version, Vec::new());
    let mut say = |line: String| {
        step.progress(line.clone());
        step.detail(line.clone());
        changes.push(line);
    };
    let control_plane = format!("~ Cluster {}: Kubernetes {now} -> {version}", eks.name);
    match way {
        Way::Stay => {}
        Way::Up => {
            // Those that an earlier upgrade did not get to: AWS wants all to be alike.
            nodes(&work, &live.nodegroups, &now, &mut say).await?;
            work.ready(Category::UpgradeReadiness, force).await?;
            say(control_plane);
            work.move_control_plane(force).await?;
        }
        Way::Back => {
            // No node may be newer than its control plane.
            nodes(&work, &live.nodegroups, version, &mut say).await?;
            work.ready(Category::RollbackReadiness, force).await?;
            say(control_plane);
            work.move_control_plane(force).await?;
        }
    }
    let (_, live) = look(&work).await?;
    if live.nodegroups.iter().any(|group| group.version() != Some(version)) {
        work.soak().await?;
    }
    for (addon, wanted) in addons {
        let found = live.addons.iter().find(|found| found.addon_name() == Some(&addon.name));
        let Some(found) = found.filter(|found| found.addon_version() != Some(&wanted)) else { continue };
        say(format!("~ Addon {} {} -> {wanted}", addon.name, found.addon_version().unwrap_or_default()));
        work.bring(addon, Some(wanted)).await?;
        work.addon_settled(&addon.name).await?;
    }
    nodes(&work, &live.nodegroups, version, &mut say).await?;
    let outcome = if changes.is_empty() { Outcome::Same } else { Outcome::Changed };
    Ok(Upgraded { outcome, version: version.clone(), changes })
}

/// The cluster's version and all of it, when nothing happens to it any more.
async fn look(work: &Work<'_>) -> Result<(String, Live)> {
    let eks = work.eks;
    let Some(cluster) = live::cluster(work.clients, &eks.name).await? else {
        return Err(Error::failed(format!("there is no cluster {}", eks.name))
            .hint(format!("make it: cargo xtask cluster up --env {}", work.environment)));
    };
    owned(&cluster, eks, work.environment)?;
    work.settled().await?;
    for group in live::nodegroups(work.clients, &eks.name).await? {
        work.group_settled(group.nodegroup_name().unwrap_or_default()).await?;
    }
    let live = live::look(work.clients, eks).await?;
    Ok((live.version().unwrap_or_default().to_owned(), live))
}

/// Brings nodes to a version, one group after the other.
async fn nodes(work: &Work<'_>, groups: &[Nodegroup], version: &str, say: &mut impl FnMut(String)) -> Result<()> {
    for group in groups.iter().filter(|group| group.version() != Some(version)) {
        let (name, now) = (group.nodegroup_name().unwrap_or_default(), group.version().unwrap_or_default());
        say(format!("~ Nodegroup {name}: Kubernetes {now} -> {version}"));
        work.renew(name, version, None, false).await?;
    }
    Ok(())
}

/// Which way leads from the version that is there to the one that is wanted.
///
/// # Errors
/// None does.
pub(super) fn way(now: &str, eks: &Eks, offers: &[Offer]) -> Result<Way> {
    let (name, version) = (&eks.name, &eks.version);
    let (from, to) = (versions::minor(now), versions::minor(version));
    if from != to && versions::find(offers, version).is_none() {
        return Err(versions::unknown(eks, offers));
    }
    match to.cmp(&from) {
        Ordering::Equal => Ok(Way::Stay),
        Ordering::Greater if to == from + 1 => Ok(Way::Up),
        Ordering::Less if to + 1 == from => Ok(Way::Back),
        Ordering::Greater => {
            Err(Error::usage(format!("the cluster {name} has Kubernetes {now}: {version} is more than one version on"))
                .hint(format!("go step by step: cargo xtask cluster upgrade --to 1.{}", from + 1)))
        }
        Ordering::Less => Err(Error::usage(format!(
            "the cluster {name} has Kubernetes {now}: {version} is more than one version back"
        ))
        .hint("AWS goes back one version, within 7 days of an upgrade")),
    }
}
