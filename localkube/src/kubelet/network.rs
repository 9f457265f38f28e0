//! The cluster's network: which `10.N.0.0/16`, and that it is there.
//!
//! The lower half is for service addresses, the upper half for pods. N is chosen once, as service addresses are kept in
//! objects, and creating the network in the engine is what reserves it: two clusters that start together can't both
//! have it.

use std::{collections::HashMap, fs, net::Ipv4Addr, path::Path};

use bollard::{
    Docker,
    models::{Ipam, IpamConfig, NetworkCreateRequest},
    query_parameters::ListNetworksOptions,
};

use super::{Options, names, unavailable};

/// What N may be: addresses that few networks use, and that no cloud hands out by default.
const RANGE: std::ops::RangeInclusive<u8> = 96..=127;

/// A cluster's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet(u8);

impl Subnet {
    /// All of it, in CIDR notation.
    pub fn all(self) -> String {
        format!("10.{}.0.0/16", self.0)
    }

    /// Where service addresses come from, in CIDR notation.
    pub fn services(self) -> String {
        format!("10.{}.0.0/17", self.0)
    }

    /// Where pod addresses come from, in CIDR notation.
    pub fn pods(self) -> String {
        format!("10.{}.128.0/17", self.0)
    }

    /// The host, as pods see it: the node's address.
    pub fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.0, 128, 1)
    }

    /// The subnet that service addresses come from.
    pub fn of_services(cidr: &str) -> Option<Self> {
        let n = cidr.strip_prefix("10.")?.strip_suffix(".0.0/17")?.parse().ok()?;
        RANGE.contains(&n).then_some(Self(n))
    }
}

/// A subnet for a new cluster: the first that neither the host nor the engine uses, whose network is created here.
/// Without an engine it is chosen by the cluster's id, and its network follows when the engine is there.
///
/// # Errors
/// When all are in use.
pub async fn choose(docker: Option<&Docker>, cluster_id: &str, directory: &Path) -> Result<Subnet, String> {
    if let Some(docker) = docker
        && let Some(subnet) = existing(docker, cluster_id).await
    {
        return Ok(subnet);
    }
    let seed = cluster_id.bytes().fold(0u8, u8::wrapping_add);
    let mut taken = host_routes();
    for n in RANGE {
        let Some(docker) = docker else { break };
        if taken.contains(&n) {
            continue;
        }
        match create(docker, cluster_id, directory, Subnet(n)).await {
            Ok(()) => return Ok(Subnet(n)),
            Err(error) if overlaps(&error) => taken.push(n),
            Err(error) => {
                tracing::warn!(%error, "no network yet");
                break;
            }
        }
    }
    let free: Vec<u8> = RANGE.filter(|n| !taken.contains(n)).collect();
    let chosen = free.get(usize::from(seed) % free.len().max(1)).copied().map(Subnet);
    chosen.ok_or_else(|| "every network from 10.96.0.0/16 to 10.127.0.0/16 is in use on this machine".to_owned())
}

/// The subnet of the network that a start which was killed has made.
async fn existing(docker: &Docker, cluster_id: &str) -> Option<Subnet> {
    let filters = names::filter(&[(names::CLUSTER, cluster_id), (names::ROLE, names::ROLE_NETWORK)]);
    let found = docker.list_networks(Some(ListNetworksOptions { filters: Some(filters) })).await.ok()?;
    let config = found.first()?.ipam.as_ref()?.config.as_ref()?;
    let n = config.first()?.subnet.as_deref()?.strip_prefix("10.")?.strip_suffix(".0.0/16")?.parse().ok()?;
    RANGE.contains(&n).then_some(Subnet(n))
}

/// Makes sure that the cluster's network exists.
pub(super) async fn ensure(docker: &Docker, options: &Options) -> Result<(), bollard::errors::Error> {
    let filters = names::filter(&[(names::CLUSTER, &options.cluster_id), (names::ROLE, names::ROLE_NETWORK)]);
    let found = docker.list_networks(Some(ListNetworksOptions { filters: Some(filters) })).await?;
    if !found.is_empty() {
        return Ok(());
    }
    create(docker, &options.cluster_id, &options.directory, options.subnet).await
}

async fn create(
    docker: &Docker,
    cluster_id: &str,
    directory: &Path,
    subnet: Subnet,
) -> Result<(), bollard::errors::Error> {
    let config = IpamConfig {
        subnet: Some(subnet.all()),
        ip_range: Some(subnet.pods()),
        gateway: Some(subnet.host().to_string()),
        // Legal in a /16, but an address that ends in 0 looks like a network to people and to some software.
        auxiliary_addresses: Some(HashMap::from([(
            "zero".to_owned(),
            Ipv4Addr::new(10, subnet.0, 128, 0).to_string(),
        )])),
    };
    let request = NetworkCreateRequest {
        name: names::network(cluster_id),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam { config: Some(vec![config]), ..Default::default() }),
        labels: Some(names::labels(cluster_id, directory, names::ROLE_NETWORK)),
        ..Default::default()
    };
    match docker.create_network(request).await {
        Err(error) if status(&error) == Some(409) => Ok(()),
        result => result.map(drop),
    }
}

fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The engine has no code for it.
fn overlaps(error: &bollard::errors::Error) -> bool {
    !unavailable(error) && error.to_string().contains("overlap")
}

/// The Ns that routes of this host lead to; where there is no /proc the engine's refusal must do.
fn host_routes() -> Vec<u8> {
    let table = fs::read_to_string("/proc/net/route").unwrap_or_default();
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let destination = u32::from_str_radix(line.split_whitespace().nth(1)?, 16).ok()?;
            let [first, second, ..] = destination.to_le_bytes();
            (first == 10).then_some(second)
        })
        .collect()
}
