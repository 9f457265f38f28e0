//! Managed nodegroups: what they are and how they are read.

use std::collections::BTreeMap;

use super::forms;
use crate::config::fields::{Field, Section};

/// Nodes that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodegroup {
    /// Its name in the cluster.
    pub name: String,
    /// What its nodes may be, all of one architecture; spot capacity is easier to get with several.
    pub instance_types: Vec<String>,
    /// What those types run.
    pub architecture: Architecture,
    /// How many nodes.
    pub size: Size,
    /// How they are paid for.
    pub capacity: Capacity,
    /// What they run.
    pub ami: Ami,
    /// The root disk, in GiB.
    pub disk: u32,
    /// Labels of the nodes.
    pub labels: BTreeMap<String, String>,
    /// Taints of the nodes.
    pub taints: Vec<Taint>,
    /// How many nodes may be missing during an update.
    pub max_unavailable: MaxUnavailable,
    /// How an update makes room.
    pub strategy: UpdateStrategy,
    /// Whether EKS replaces nodes that are ill.
    pub repair: bool,
}

/// How many nodes; `min` is at most `desired`, and that at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The fewest.
    pub min: u32,
    /// How many at first.
    pub desired: u32,
    /// The most, at least 1.
    pub max: u32,
}

/// What a processor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// amd64
    X86_64,
    /// arm64, Graviton
    Arm64,
}

/// How nodes are paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// By the second.
    OnDemand,
    /// Cheaper, and taken away at two minutes' notice.
    Spot,
}

/// What nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ami {
    /// Amazon Linux 2023
    Al2023,
    /// Bottlerocket
    Bottlerocket,
}

/// Keeps pods away that do not tolerate it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// `dedicated`
    pub key: String,
    /// `builds`
    pub value: Option<String>,
    /// What happens to such pods.
    pub effect: Effect,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// They are not put here.
    NoSchedule,
    /// They are put here last.
    PreferNoSchedule,
    /// They are put away from here.
    NoExecute,
}

/// How many nodes may be missing during an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxUnavailable {
    /// That many, from 1 to 100.
    Nodes(u32),
    /// That part of the group, from 1 to 100 percent.
    Percent(u32),
}

/// How an update makes room: <https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateStrategy {
    /// New nodes come before old ones go.
    Default,
    /// Old ones go first: it needs no more nodes than there are.
    Minimal,
}

pub(super) fn nodegroup(keys: &mut Section<'_>) -> Nodegroup {
    let name = keys.field("name").required("a nodegroup has a name").form(&forms::NODEGROUP).unwrap_or_default();
    let (instance_types, architecture) = instance_types(keys.field("instance_types"));
    let size = size(keys.field("size"));
    let capacity = [("on-demand", Capacity::OnDemand), ("spot", Capacity::Spot)];
    let capacity = keys.field("capacity").choice(&capacity).unwrap_or(Capacity::OnDemand);
    let ami = [("al2023", Ami::Al2023), ("bottlerocket", Ami::Bottlerocket)];
    let ami = keys.field("ami").choice(&ami).unwrap_or(Ami::Al2023);
    let disk = keys.field("disk").within(8..=16384, "a number of GiB").unwrap_or(20);
    let labels = keys.field("labels");
    let pairs = labels.texts();
    for (key, value) in &pairs {
        for wrong in [forms::LABEL_KEY.check(key), forms::LABEL_VALUE.check(value)].into_iter().filter_map(Result::err)
        {
            labels.mistake(wrong);
        }
    }
    let taints = keys.field("taints").each(taint, |taint| format!("{} {:?}", taint.key, taint.effect));
    let mut update = keys.field("update").section();
    let max_unavailable = update.field("max_unavailable").form(&forms::MAX_UNAVAILABLE);
    let strategy = [("default", UpdateStrategy::Default), ("minimal", UpdateStrategy::Minimal)];
    let strategy = update.field("strategy").choice(&strategy).unwrap_or(UpdateStrategy::Default);
    update.end();
    let repair = keys.field("repair").flag().unwrap_or(true);
    let max_unavailable = max_unavailable.as_deref().map_or(MaxUnavailable::Nodes(1), share);
    Nodegroup {
        name,
        instance_types,
        architecture,
        size,
        capacity,
        ami,
        disk,
        labels: pairs,
        taints,
        max_unavailable,
        strategy,
        repair,
    }
}

/// The types, and what they have in common.
fn instance_types(field: Field<'_>) -> (Vec<String>, Architecture) {
    let mut types: Vec<String> = Vec::new();
    let field = field.required("which instance types? for example [t3.medium, t3a.medium]");
    if field.is_empty_list() {
        field.mistake("at least one instance type was expected");
    }
    for item in field.items() {
        let Some(text) = item.form(&forms::INSTANCE_TYPE) else { continue };
        if let Some(first) = types.first().filter(|first| architecture(first) != architecture(&text)) {
            item.mistake(format!("`{text}` has not the architecture of `{first}`: nodes of a group run one image"));
        }
        if types.contains(&text) {
            item.mistake(format!("`{text}` is in the list already"));
        }
        types.push(text);
    }
    let architecture = types.first().map_or(Architecture::X86_64, |first| architecture(first));
    (types, architecture)
}

/// Graviton types have a g behind the number of their generation: <https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html>
fn architecture(instance_type: &str) -> Architecture {
    let family = instance_type.split('.').next().unwrap_or_default();
    let options = family.trim_start_matches(|character: char| !character.is_ascii_digit());
    let options = options.trim_start_matches(|character: char| character.is_ascii_digit());
    if options.starts_with('g') || family == "a1" { Architecture::Arm64 } else { Architecture::X86_64 }
}

fn size(field: Field<'_>) -> Size {
    const WHAT: &str = "a number of nodes";
    let mut keys = field.required("how many nodes? for example {min: 2, max: 4}").section();
    let min = keys.field("min").within(0..=450, WHAT);
    let desired = keys.field("desired");
    let wanted = desired.within(0..=450, WHAT);
    let max = keys.field("max");
    let most = max.within(1..=450, WHAT);
    keys.end();
    let min = min.unwrap_or(1);
    let most = most.unwrap_or_else(|| min.max(wanted.unwrap_or(1)).max(1));
    if most < min {
        max.mistake(format!("the most, {most}, are fewer than the fewest, {min}"));
    } else if let Some(wanted) = wanted.filter(|wanted| !(min..=most).contains(wanted)) {
        desired.mistake(format!("`{wanted}` is not between the fewest, {min}, and the most, {most}"));
    }
    Size { min, desired: wanted.unwrap_or_else(|| min.max(1)), max: most }
}

fn taint(keys: &mut Section<'_>) -> Taint {
    const EFFECTS: [(&str, Effect); 3] = [
        ("NoSchedule", Effect::NoSchedule),
        ("PreferNoSchedule", Effect::PreferNoSchedule),
        ("NoExecute", Effect::NoExecute),
    ];
    let key = keys.field("key").required("a taint has a key").form(&forms::LABEL_KEY).unwrap_or_default();
    let value = keys.field("value").form(&forms::LABEL_VALUE);
    let effect = keys.field("effect").required("what does the taint do?").choice(&EFFECTS);
    Taint { key, value, effect: effect.unwrap_or(Effect::NoSchedule) }
}

/// `2` or `33%`, already known to have that form.
fn share(text: &str) -> MaxUnavailable {
    match text.strip_suffix('%') {
        Some(percent) => MaxUnavailable::Percent(percent.parse().unwrap_or(1)),
        None => MaxUnavailable::Nodes(text.parse().unwrap_or(1)),
    }
}
