//! Nodegroups in the words of EKS.

use aws_sdk_eks::types::{
    AmiTypes, CapacityTypes, NodeRepairConfig, Nodegroup as Group, NodegroupScalingConfig, NodegroupUpdateConfig,
    NodegroupUpdateStrategies, Taint, TaintEffect,
};

use crate::config::aws::{Ami, Architecture, Capacity, Effect, MaxUnavailable, Nodegroup, UpdateStrategy};

/// A number of nodes; the configuration holds none that does not fit.
fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(super) fn capacity(group: &Nodegroup) -> CapacityTypes {
    match group.capacity {
        Capacity::OnDemand => CapacityTypes::OnDemand,
        Capacity::Spot => CapacityTypes::Spot,
    }
}

pub(super) fn ami(group: &Nodegroup) -> AmiTypes {
    match (group.ami, group.architecture) {
        (Ami::Al2023, Architecture::X86_64) => AmiTypes::Al2023X8664Standard,
        (Ami::Al2023, Architecture::Arm64) => AmiTypes::Al2023Arm64Standard,
        (Ami::Bottlerocket, Architecture::X86_64) => AmiTypes::BottlerocketX8664,
        (Ami::Bottlerocket, Architecture::Arm64) => AmiTypes::BottlerocketArm64,
    }
}

/// The limits; how many there are is the autoscaler's and `nodegroup scale`'s to say, as long as it is within them.
pub(super) fn scaling(group: &Nodegroup, now: Option<i32>) -> NodegroupScalingConfig {
    let (min, max) = (count(group.size.min), count(group.size.max));
    let desired = now.unwrap_or(count(group.size.desired)).clamp(min, max);
    NodegroupScalingConfig::builder().min_size(min).max_size(max).desired_size(desired).build()
}

pub(super) fn update(group: &Nodegroup) -> NodegroupUpdateConfig {
    let builder = NodegroupUpdateConfig::builder().update_strategy(match group.strategy {
        UpdateStrategy::Default => NodegroupUpdateStrategies::Default,
        UpdateStrategy::Minimal => NodegroupUpdateStrategies::Minimal,
    });
    match group.max_unavailable {
        MaxUnavailable::Nodes(nodes) => builder.max_unavailable(count(nodes)).build(),
        MaxUnavailable::Percent(percent) => builder.max_unavailable_percentage(count(percent)).build(),
    }
}

pub(super) fn repair(group: &Nodegroup) -> NodeRepairConfig {
    NodeRepairConfig::builder().enabled(group.repair).build()
}

pub(super) fn taints(group: &Nodegroup) -> Vec<Taint> {
    let effect = |effect| match effect {
        Effect::NoSchedule => TaintEffect::NoSchedule,
        Effect::PreferNoSchedule => TaintEffect::PreferNoSchedule,
        Effect::NoExecute => TaintEffect::NoExecute,
    };
    let taint = |taint: &crate::config::aws::Taint| {
        Taint::builder().key(&taint.key).set_value(taint.value.clone()).effect(effect(taint.effect)).build()
    };
    group.taints.iter().map(taint).collect()
}

/// Whether what can be changed of a nodegroup is as configured.
pub(super) fn fits(group: &Nodegroup, found: &Group) -> bool {
    let size = found.scaling_config();
    let sized = size.is_some_and(|size| *size == scaling(group, size.desired_size()));
    let labels = found.labels().map(|labels| labels.iter().collect()).unwrap_or_default();
    let same_update = found.update_config().is_none_or(|config| {
        let wanted = update(group);
        config.max_unavailable() == wanted.max_unavailable()
            && config.max_unavailable_percentage() == wanted.max_unavailable_percentage()
    });
    let same_repair = found.node_repair_config().is_none_or(|config| config.enabled() == Some(group.repair));
    sized
        && group.labels.iter().collect::<std::collections::BTreeMap<_, _>>() == labels
        && found.taints() == taints(group).as_slice()
        && same_update
        && same_repair
}
