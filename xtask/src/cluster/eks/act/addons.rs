//! Add-ons: software that EKS keeps in the cluster.

use aws_sdk_eks::types::{AddonStatus, AddonVersionInfo, ResolveConflicts};

use super::{
    super::{is, live, wait::Seen},
    Work, gone,
};
use crate::{
    aws::failed,
    config::aws::{Addon, AddonVersion, Conflicts},
    error::{Error, Result},
};

impl Work<'_> {
    /// The version to ask for; none lets EKS choose.
    async fn version(&self, addon: &Addon) -> Result<Option<String>> {
        match &addon.version {
            AddonVersion::Default => Ok(None),
            AddonVersion::Exact(version) => Ok(Some(version.clone())),
            AddonVersion::Latest => self.fitting(addon).await.map(Some),
        }
    }

    /// The version to have with the cluster's version of Kubernetes.
    pub(in super::super) async fn fitting(&self, addon: &Addon) -> Result<String> {
        let (name, cluster) = (&addon.name, &self.eks.version);
        let offered = self.clients.eks.describe_addon_versions().addon_name(name).kubernetes_version(cluster);
        let offered =
            offered.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.map_err(|error| {
                failed(format!("ask for versions of {name}"), "eks:DescribeAddonVersions", &self.eks.aws, &error)
            })?;
        // They come newest first.
        let mut versions = offered.iter().flat_map(|addon| addon.addon_versions());
        let fits = |version: &&AddonVersionInfo| match &addon.version {
            AddonVersion::Latest => true,
            AddonVersion::Exact(wanted) => version.addon_version() == Some(wanted),
            AddonVersion::Default => version.compatibilities().iter().any(|fits| fits.default_version()),
        };
        let wanted = match &addon.version {
            AddonVersion::Exact(version) => format!("{name} {version}"),
            _ => name.clone(),
        };
        let found = versions.find(fits).and_then(|version| version.addon_version()).map(str::to_owned);
        found.ok_or_else(|| {
            let newest = offered.first().and_then(|addon| addon.addon_versions().first()?.addon_version());
            let error = Error::usage(format!("there is no add-on {wanted} for Kubernetes {cluster}"));
            match newest {
                Some(newest) => {
                    error.hint(format!("the newest is {newest}; version: default leaves the choice to EKS"))
                }
                None => error.hint("take it out of cluster.eks.addons, or choose another one"),
            }
        })
    }

    pub(in super::super) async fn install(&self, addon: &Addon) -> Result<()> {
        let mut create = self.clients.eks.create_addon().cluster_name(&self.eks.name).addon_name(&addon.name);
        for (key, value) in self.tags() {
            create = create.tags(key, value);
        }
        let create = create
            .set_addon_version(self.version(addon).await?)
            .set_configuration_values(addon.configuration.as_ref().map(ToString::to_string))
            .resolve_conflicts(conflicts(addon));
        match create.send().await {
            Ok(_) => Ok(()),
            // It was there before the cluster was, which an emulator lets be.
            Err(error) if is(&error, "ResourceInUseException") => self.refit(addon).await,
            Err(error) => {
                Err(failed(format!("install the add-on {}", addon.name), "eks:CreateAddon", &self.eks.aws, &error))
            }
        }
    }

    pub(in super::super) async fn refit(&self, addon: &Addon) -> Result<()> {
        self.bring(addon, self.version(addon).await?).await
    }

    /// Has an add-on have that version, and its configuration.
    pub(in super::super) async fn bring(&self, addon: &Addon, version: Option<String>) -> Result<()> {
        let update = self.clients.eks.update_addon().cluster_name(&self.eks.name).addon_name(&addon.name);
        let update = update
            .set_addon_version(version)
            .set_configuration_values(addon.configuration.as_ref().map(ToString::to_string))
            .resolve_conflicts(conflicts(addon));
        update.send().await.map(drop).map_err(|error| {
            failed(format!("change the add-on {}", addon.name), "eks:UpdateAddon", &self.eks.aws, &error)
        })
    }

    pub(in super::super) async fn uninstall(&self, name: &str) -> Result<()> {
        match self.clients.eks.delete_addon().cluster_name(&self.eks.name).addon_name(name).send().await {
            Ok(_) => {}
            // It is on its way already, or gone.
            Err(error) if is(&error, "ResourceInUseException") || is(&error, "ResourceNotFoundException") => {}
            Err(error) => {
                return Err(failed(format!("remove the add-on {name}"), "eks:DeleteAddon", &self.eks.aws, &error));
            }
        }
        self.wait(format!("add-on {name}"), 1, 15)
            .until(async || Ok(gone(live::addon(self.clients, &self.eks.name, name).await?.is_none())))
            .await
    }

    /// Waits until the add-ons run; some of them cannot before there are nodes.
    pub(in super::super) async fn installed(&self) -> Result<()> {
        for addon in &self.eks.addons {
            self.addon_settled(&addon.name).await?;
        }
        Ok(())
    }

    pub(in super::super) async fn addon_settled(&self, name: &str) -> Result<()> {
        let wait = self.wait(format!("add-on {name}"), 2, 20);
        wait.until(async || {
            let found = live::addon(self.clients, &self.eks.name, name).await?;
            let Some(found) = found else { return Err(Error::failed(format!("the add-on {name} is gone"))) };
            match found.status() {
                Some(AddonStatus::Active) => Ok(Seen::Done(())),
                Some(AddonStatus::CreateFailed | AddonStatus::UpdateFailed) => {
                    let issues = found.health().into_iter().flat_map(|health| health.issues());
                    let issues: Vec<_> = issues.filter_map(|issue| issue.message()).collect();
                    Err(Error::failed(format!("install the add-on {name}")).cause(issues.join("\n")))
                }
                status => Ok(Seen::Not(status.map_or("unknown", AddonStatus::as_str).to_owned())),
            }
        })
        .await
    }
}

fn conflicts(addon: &Addon) -> ResolveConflicts {
    match addon.conflicts {
        Conflicts::Overwrite => ResolveConflicts::Overwrite,
        Conflicts::Preserve => ResolveConflicts::Preserve,
        Conflicts::Fail => ResolveConflicts::None,
    }
}
