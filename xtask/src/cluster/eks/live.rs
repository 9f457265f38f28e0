//! What is there of a cluster: one look at everything that belongs to it.

use aws_sdk_eks::types::{Addon, AssociatedAccessPolicy, Cluster, Nodegroup, PodIdentityAssociation};

use super::{Clients, is, names, stacks, stacks::Stack};
use crate::{aws::failed, config::Eks, error::Result};

const NOT_FOUND: &str = "ResourceNotFoundException";

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    pub(super) network: Option<Stack>,
    pub(super) roles: Option<Stack>,
    pub(super) cluster: Option<Cluster>,
    pub(super) nodegroups: Vec<Nodegroup>,
    pub(super) addons: Vec<Addon>,
    pub(super) entries: Vec<Entry>,
    pub(super) identities: Vec<PodIdentityAssociation>,
}

/// An access entry with its policies.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) principal: String,
    /// `STANDARD`, or the kind of node that EKS made it for.
    pub(super) kind: String,
    pub(super) groups: Vec<String>,
    pub(super) policies: Vec<AssociatedAccessPolicy>,
    /// Whether we made it.
    pub(super) ours: bool,
}

impl Live {
    /// The version of Kubernetes that the control plane has.
    pub(super) fn version(&self) -> Option<&str> {
        self.cluster.as_ref().and_then(|cluster| cluster.version())
    }
}

/// Looks at everything.
pub(super) async fn look(clients: &Clients, eks: &Eks) -> Result<Live> {
    let (network, roles) = (names::network(eks), names::roles(eks));
    let (network, roles, cluster) = futures::try_join!(
        stacks::find(clients, &network),
        stacks::find(clients, &roles),
        cluster(clients, &eks.name),
    )?;
    if cluster.is_none() {
        return Ok(Live { network, roles, ..Live::default() });
    }
    let (nodegroups, addons, entries, identities) = futures::try_join!(
        nodegroups(clients, &eks.name),
        addons(clients, &eks.name),
        entries(clients, &eks.name),
        identities(clients, &eks.name),
    )?;
    Ok(Live { network, roles, cluster, nodegroups, addons, entries, identities })
}

pub(super) async fn cluster(clients: &Clients, name: &str) -> Result<Option<Cluster>> {
    match clients.eks.describe_cluster().name(name).send().await {
        Ok(found) => Ok(found.cluster),
        Err(error) if is(&error, NOT_FOUND) => Ok(None),
        Err(error) => Err(failed(format!("look at the cluster {name}"), "eks:DescribeCluster", &clients.aws, &error)),
    }
}

pub(super) async fn nodegroup(clients: &Clients, cluster: &str, name: &str) -> Result<Option<Nodegroup>> {
    match clients.eks.describe_nodegroup().cluster_name(cluster).nodegroup_name(name).send().await {
        Ok(found) => Ok(found.nodegroup),
        Err(error) if is(&error, NOT_FOUND) => Ok(None),
        Err(error) => {
            Err(failed(format!("look at the nodegroup {name}"), "eks:DescribeNodegroup", &clients.aws, &error))
        }
    }
}

pub(super) async fn addon(clients: &Clients, cluster: &str, name: &str) -> Result<Option<Addon>> {
    match clients.eks.describe_addon().cluster_name(cluster).addon_name(name).send().await {
        Ok(found) => Ok(found.addon),
        Err(error) if is(&error, NOT_FOUND) => Ok(None),
        Err(error) => Err(failed(format!("look at the add-on {name}"), "eks:DescribeAddon", &clients.aws, &error)),
    }
}

pub(super) async fn nodegroups(clients: &Clients, cluster: &str) -> Result<Vec<Nodegroup>> {
    let names = clients.eks.list_nodegroups().cluster_name(cluster).into_paginator().items().send();
    let names = names.collect::<Result<Vec<_>, _>>().await;
    let names = names.map_err(|error| {
        failed(format!("list the nodegroups of {cluster}"), "eks:ListNodegroups", &clients.aws, &error)
    })?;
    let look = names.iter().map(|name| nodegroup(clients, cluster, name));
    Ok(futures::future::try_join_all(look).await?.into_iter().flatten().collect())
}

async fn addons(clients: &Clients, cluster: &str) -> Result<Vec<Addon>> {
    let names = clients.eks.list_addons().cluster_name(cluster).into_paginator().items().send();
    let names = names.collect::<Result<Vec<_>, _>>().await;
    let names = names
        .map_err(|error| failed(format!("list the add-ons of {cluster}"), "eks:ListAddons", &clients.aws, &error))?;
    let look = names.iter().map(|name| addon(clients, cluster, name));
    Ok(futures::future::try_join_all(look).await?.into_iter().flatten().collect())
}

async fn entries(clients: &Clients, cluster: &str) -> Result<Vec<Entry>> {
    let principals = clients.eks.list_access_entries().cluster_name(cluster).into_paginator().items().send();
    let principals = principals.collect::<Result<Vec<_>, _>>().await;
    let principals = principals.map_err(|error| {
        failed(format!("list the access entries of {cluster}"), "eks:ListAccessEntries", &clients.aws, &error)
    })?;
    let look = principals.iter().map(|principal| entry(clients, cluster, principal));
    futures::future::try_join_all(look).await
}

async fn entry(clients: &Clients, cluster: &str, principal: &str) -> Result<Entry> {
    let doing = || format!("look at the access entry of {principal}");
    let entry = clients.eks.describe_access_entry().cluster_name(cluster).principal_arn(principal).send().await;
    let entry = entry.map_err(|error| failed(doing(), "eks:DescribeAccessEntry", &clients.aws, &error))?.access_entry;
    let policies = clients.eks.list_associated_access_policies().cluster_name(cluster).principal_arn(principal);
    let policies = policies.into_paginator().send().collect::<Result<Vec<_>, _>>().await;
    let policies =
        policies.map_err(|error| failed(doing(), "eks:ListAssociatedAccessPolicies", &clients.aws, &error))?;
    let ours = entry.as_ref().and_then(|entry| entry.tags()).is_some_and(|tags| tags.contains_key(names::TAG));
    Ok(Entry {
        principal: principal.to_owned(),
        kind: entry.as_ref().and_then(|entry| entry.r#type()).unwrap_or("STANDARD").to_owned(),
        groups: entry.map(|entry| entry.kubernetes_groups().to_vec()).unwrap_or_default(),
        policies: policies.into_iter().flat_map(|page| page.associated_access_policies.unwrap_or_default()).collect(),
        ours,
    })
}

async fn identities(clients: &Clients, cluster: &str) -> Result<Vec<PodIdentityAssociation>> {
    let doing = || format!("list the pod identities of {cluster}");
    let list = clients.eks.list_pod_identity_associations().cluster_name(cluster).into_paginator().items().send();
    let list = list
        .collect::<Result<Vec<_>, _>>()
        .await
        .map_err(|error| failed(doing(), "eks:ListPodIdentityAssociations", &clients.aws, &error))?;
    let ids = list.iter().filter_map(|summary| summary.association_id());
    let look = ids.map(async |id| {
        let found = clients.eks.describe_pod_identity_association().cluster_name(cluster).association_id(id).send();
        found
            .await
            .map(|found| found.association)
            .map_err(|error| failed(doing(), "eks:DescribePodIdentityAssociation", &clients.aws, &error))
    });
    Ok(futures::future::try_join_all(look).await?.into_iter().flatten().collect())
}
