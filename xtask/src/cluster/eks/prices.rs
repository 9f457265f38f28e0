//! What a cluster costs while it only stands there: on demand, without traffic, taxes and agreements.
//!
//! The table is of us-east-2 and of the day that it names. A machine or a region that it does not have has no price
//! here: it is not guessed.

use aws_sdk_eks::types::CapacityTypes;
use serde::Serialize;
use serde_json::Value;

use super::{groups, live::Live, template};
use crate::config::aws::{Capacity, Eks};

/// When the prices were looked up: <https://aws.amazon.com/eks/pricing/>, <https://aws.amazon.com/ec2/pricing/on-demand/>,
/// <https://aws.amazon.com/vpc/pricing/>, <https://aws.amazon.com/ebs/pricing/>
const AS_OF: &str = "2026-06";
const REGION: &str = "us-east-2";
const HOURS: f64 = 730.0;

/// US dollars an hour.
const CONTROL_PLANE: f64 = 0.10;
const CONTROL_PLANE_EXTENDED: f64 = 0.60;
const NAT_GATEWAY: f64 = 0.045;
const PUBLIC_ADDRESS: f64 = 0.005;
/// US dollars a GiB and month.
const DISK: f64 = 0.08;
const MACHINES: &[(&str, f64)] = &[
    ("t3.micro", 0.0104),
    ("t3.small", 0.0208),
    ("t3.medium", 0.0416),
    ("t3.large", 0.0832),
    ("t3.xlarge", 0.1664),
    ("t3a.medium", 0.0376),
    ("t3a.large", 0.0752),
    ("t4g.small", 0.0168),
    ("t4g.medium", 0.0336),
    ("t4g.large", 0.0672),
    ("m5.large", 0.096),
    ("m5.xlarge", 0.192),
    ("m6i.large", 0.096),
    ("m6i.xlarge", 0.192),
    ("m6i.2xlarge", 0.384),
    ("m6g.large", 0.077),
    ("m7i.large", 0.1008),
    ("m7i.xlarge", 0.2016),
    ("m7g.large", 0.0816),
    ("m7g.xlarge", 0.1632),
    ("c6i.large", 0.085),
    ("c6i.xlarge", 0.17),
    ("c7g.large", 0.0725),
    ("c7g.xlarge", 0.145),
    ("r6i.large", 0.126),
    ("r6i.xlarge", 0.252),
];

/// What of a cluster is paid for.
#[derive(Debug, Default)]
struct Bill {
    /// Whether there is a control plane, and whether its version is in extended support.
    control_plane: Option<bool>,
    gateways: usize,
    nodes: Vec<Nodes>,
}

#[derive(Debug)]
struct Nodes {
    group: String,
    machines: Vec<String>,
    count: u32,
    disk: u32,
    spot: bool,
    /// Whether each has a public address.
    public: bool,
}

/// What a cluster costs a month, in US dollars.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Price {
    /// As it is configured.
    pub monthly: f64,
    /// As it is now.
    pub now: f64,
    /// Whether it may well be less: spot capacity, or one of several machines.
    pub at_most: bool,
    /// What has no price here.
    pub unknown: Vec<String>,
    /// Of when the prices are.
    pub as_of: &'static str,
    /// Where they hold.
    pub region: &'static str,
}

/// What the cluster would cost as it is configured, and what it costs as it is.
pub(super) fn of(eks: &Eks, live: &Live, extended: bool) -> Price {
    let mut price = Price { monthly: 0.0, now: 0.0, at_most: false, unknown: Vec::new(), as_of: AS_OF, region: REGION };
    if eks.aws.region != REGION {
        price.unknown.push(format!("anything in {}", eks.aws.region));
        return price;
    }
    // What is removed may have no price; that is no reason to keep silent on the rest.
    price.now = Bill::live(live, extended).sum(&mut price.clone());
    price.monthly = Bill::wanted(eks, live, extended).sum(&mut price);
    price
}

impl Bill {
    fn wanted(eks: &Eks, live: &Live, extended: bool) -> Self {
        let network = template::network(eks);
        let (gateways, public) = ways_out(network.as_ref());
        let nodes = eks.nodegroups.iter().map(|group| {
            let found = live.nodegroups.iter().find(|found| found.nodegroup_name() == Some(&group.name));
            let now = found.and_then(|found| found.scaling_config()?.desired_size());
            let count = groups::scaling(group, now).desired_size().unwrap_or_default();
            Nodes {
                group: group.name.clone(),
                machines: group.instance_types.clone(),
                count: u32::try_from(count).unwrap_or_default(),
                disk: group.disk,
                spot: group.capacity == Capacity::Spot,
                public,
            }
        });
        Self { control_plane: Some(extended), gateways, nodes: nodes.collect() }
    }

    fn live(live: &Live, extended: bool) -> Self {
        let (gateways, public) = ways_out(live.network.as_ref().map(|stack| &stack.template));
        let number = |number: Option<i32>| u32::try_from(number.unwrap_or_default()).unwrap_or_default();
        let nodes = live.nodegroups.iter().map(|group| Nodes {
            group: group.nodegroup_name().unwrap_or_default().to_owned(),
            machines: group.instance_types().to_vec(),
            count: number(group.scaling_config().and_then(|size| size.desired_size())),
            disk: number(group.disk_size()),
            spot: group.capacity_type() == Some(&CapacityTypes::Spot),
            public,
        });
        let control_plane = live.cluster.as_ref().map(|_| extended);
        Self { control_plane, gateways, nodes: nodes.collect() }
    }

    /// The sum; what is to be said of it goes into the price.
    fn sum(&self, price: &mut Price) -> f64 {
        let gateways = u32::try_from(self.gateways).map_or(0.0, f64::from);
        let control_plane = match self.control_plane {
            None => 0.0,
            Some(false) => CONTROL_PLANE,
            Some(true) => CONTROL_PLANE_EXTENDED,
        };
        // Each gateway has an address of its own.
        let hourly = control_plane + gateways * (NAT_GATEWAY + PUBLIC_ADDRESS);
        HOURS * hourly + self.nodes.iter().map(|nodes| nodes.sum(price)).sum::<f64>()
    }
}

impl Nodes {
    fn sum(&self, price: &mut Price) -> f64 {
        let mut known = Vec::new();
        for machine in &self.machines {
            match MACHINES.iter().find(|(name, _)| name == machine) {
                Some((_, hourly)) => known.push(*hourly),
                None => price.unknown.push(format!("{machine} of the nodegroup {}", self.group)),
            }
        }
        // One of them has no price, so that the nodes of the group have none.
        let dearest = if known.len() < self.machines.len() { 0.0 } else { known.iter().copied().fold(0.0, f64::max) };
        price.at_most |= self.count > 0 && (self.spot || known.iter().any(|one| *one < dearest));
        let address = if self.public { PUBLIC_ADDRESS } else { 0.0 };
        f64::from(self.count) * (HOURS * (dearest + address) + f64::from(self.disk) * DISK)
    }
}

/// How many gateways the network has, and whether its nodes have public addresses instead.
fn ways_out(network: Option<&Value>) -> (usize, bool) {
    let Some(resources) = network.and_then(|template| template["Resources"].as_object()) else { return (0, false) };
    let gateways = resources.values().filter(|one| one["Type"] == "AWS::EC2::NatGateway").count();
    (gateways, gateways == 0)
}

impl Price {
    /// `at most $171.32 a month, $30.37 more than now (prices of us-east-2, 2026-06; without traffic)`
    pub fn line(&self) -> String {
        let Self { monthly, now, as_of, region, .. } = self;
        // Nothing of it has a price.
        if *monthly == 0.0 {
            return format!("the price of {} is not known", self.unknown.join(", "));
        }
        let unknown = match &self.unknown[..] {
            [] => String::new(),
            unknown => format!("; the price of {} is not known", unknown.join(", ")),
        };
        let most = if self.at_most { "at most " } else { "" };
        let more = match monthly - now {
            _ if *now == 0.0 => String::new(),
            more if more >= 0.005 => format!(", ${more:.2} more than now"),
            less if less <= -0.005 => format!(", ${:.2} less than now", -less),
            _ => ", as now".to_owned(),
        };
        format!("{most}${monthly:.2} a month{more}{unknown} (prices of {region}, {as_of}; without traffic)")
    }
}
