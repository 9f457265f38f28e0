//! Which versions of Kubernetes EKS offers, and for how long. AWS says it; nothing here is a table.

use aws_sdk_eks::{primitives::DateTime, types::VersionStatus};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use super::Clients;
use crate::{
    aws::failed,
    config::{Eks, aws::UpgradePolicy},
    error::{Error, Result},
};

/// How long before its end a version's standard support is spoken of.
const SOON_DAYS: i64 = 60;

/// A version that EKS offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) version: String,
    pub(super) support: Support,
    /// Whether new clusters get it when nothing is said.
    pub(super) default: bool,
}

/// What AWS does for a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    /// All, until that day, if it is known.
    Standard(Option<Date>),
    /// The same at six times the price, until that day.
    Extended(Option<Date>),
    /// Nothing any more.
    Over,
}

/// The versions, newest first.
pub(super) async fn offered(clients: &Clients) -> Result<Vec<Offer>> {
    let list = clients.eks.describe_cluster_versions().include_all(true).into_paginator().items().send();
    let list = list.collect::<Result<Vec<_>, _>>().await.map_err(|error| {
        failed("ask which versions of Kubernetes EKS offers", "eks:DescribeClusterVersions", &clients.aws, &error)
    })?;
    let mut offers: Vec<Offer> = list
        .into_iter()
        .map(|found| Offer {
            support: match found.version_status() {
                Some(VersionStatus::StandardSupport) => Support::Standard(day(found.end_of_standard_support_date())),
                Some(VersionStatus::ExtendedSupport) => Support::Extended(day(found.end_of_extended_support_date())),
                _ => Support::Over,
            },
            default: found.default_version(),
            version: found.cluster_version.unwrap_or_default(),
        })
        .collect();
    offers.sort_by_key(|offer| std::cmp::Reverse(minor(&offer.version)));
    Ok(offers)
}

fn day(moment: Option<&DateTime>) -> Option<Date> {
    Some(Timestamp::from_second(moment?.secs()).ok()?.to_zoned(TimeZone::UTC).date())
}

/// The 35 of `1.35`.
pub(super) fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_default()
}

/// The offer of a version that is still cared for.
pub(super) fn find<'a>(offers: &'a [Offer], version: &str) -> Option<&'a Offer> {
    offers.iter().find(|offer| offer.version == version && offer.support != Support::Over)
}

/// Whether the cluster is paid for as one in extended support.
pub(super) fn is_extended(eks: &Eks, offers: &[Offer]) -> bool {
    let support = find(offers, &eks.version).map(|offer| offer.support);
    eks.upgrade_policy == UpgradePolicy::Extended && matches!(support, Some(Support::Extended(_)))
}

/// What of a version somebody should know; nothing as long as all is well.
///
/// # Errors
/// EKS would make no such cluster, or none at the price that was agreed to.
pub(super) fn judge(eks: &Eks, live: Option<&str>, offers: &[Offer], today: Date) -> Result<Option<String>> {
    let (version, is_there) = (&eks.version, live == Some(&eks.version));
    let until = |day: Option<Date>| day.map(|day| format!(" until {day}")).unwrap_or_default();
    let Some(offer) = find(offers, version) else {
        return match is_there {
            true => Ok(Some(format!("Kubernetes {version} has no support any more: AWS upgrades the cluster any day"))),
            false => Err(unknown(eks, offers)),
        };
    };
    Ok(match (offer.support, eks.upgrade_policy) {
        (Support::Extended(end), UpgradePolicy::Extended) => {
            Some(format!("Kubernetes {version} is in extended support{}, at six times the price", until(end)))
        }
        (Support::Extended(_), UpgradePolicy::Standard) if is_there => Some(format!(
            "the standard support of Kubernetes {version} has ended: AWS upgrades the cluster any day, unless \
             cluster.eks.upgrade_policy is extended, at six times the price"
        )),
        (Support::Extended(_), UpgradePolicy::Standard) => {
            return Err(Error::usage(format!("Kubernetes {version} is in extended support, at six times the price"))
                .hint(format!("{}, or agree to it: cluster.eks.upgrade_policy: extended", choose(eks, offers))));
        }
        (Support::Standard(Some(end)), _) if today.saturating_add(SOON_DAYS.days()) >= end => {
            Some(format!("the standard support of Kubernetes {version} ends on {end}"))
        }
        (Support::Standard(_) | Support::Over, _) => None,
    })
}

/// What is to be said of a version that EKS does not offer.
pub(super) fn unknown(eks: &Eks, offers: &[Offer]) -> Error {
    Error::usage(format!("EKS offers no Kubernetes {} in {}", eks.version, eks.aws.region)).hint(choose(eks, offers))
}

fn choose(eks: &Eks, offers: &[Offer]) -> String {
    let standard = offers.iter().filter(|offer| matches!(offer.support, Support::Standard(_)));
    let words = standard.map(|offer| match offer.default {
        true => format!("{} (the default)", offer.version),
        false => offer.version.clone(),
    });
    format!("choose another version for the cluster {}: {}", eks.name, words.collect::<Vec<_>>().join(", "))
}

/// Today, as the days of support are counted.
pub(super) fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}
