//! Add-ons: software that EKS keeps in the cluster.

use aws_sdk_eks::types::{AddonStatus, ResolveConflicts};

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
    pub(in super::super) async fn version(&self, addon: &Addon) -> Result<Option<String>> {
        match &addon.version {
            AddonVersion::Default => Ok(None),
            AddonVersion::Exact(version) => Ok(Some(version.clone())),
            AddonVersion::Latest => {
                let versions = self.clients.eks.describe_addon_versions().addon_name(&addon.name);
                let versions = versions.kubernetes_version(&self.eks.version).send().await;
                let versions = versions.map_err(|error| {
                    failed(
                        format!("ask for versions of {}", addon.name),
                        "eks:DescribeAddonVersions",
                        &self.eks.aws,
                        &error,
                    )
                })?;
                // They come newest first.
                let newest = versions.addons().first().and_then(|addon| addon.addon_versions().first());
                Ok(newest.and_then(|version| version.addon_version()).map(str::to_owned))
            }
        }
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
        let update = self.clients.eks.update_addon().cluster_name(&self.eks.name).addon_name(&addon.name);
        let update = update
            .set_addon_version(self.version(addon).await?)
            .set_configuration_values(addon.configuration.as_ref().map(ToString::to_string))
            .resolve_conflicts(conflicts(addon));
        update.send().await.map(drop).map_err(|error| {
            failed(format!("change the add-on {}", addon.name), "eks:UpdateAddon", &self.eks.aws, &error)
        })
    }

    pub(in super::super) async fn uninstall(&self, name: &str) -> Result<()> {
        let request = self.clients.eks.delete_addon().cluster_name(&self.eks.name).addon_name(name).send().await;
        request
            .map_err(|error| failed(format!("remove the add-on {name}"), "eks:DeleteAddon", &self.eks.aws, &error))?;
        self.wait(format!("add-on {name}"), 1, 15)
            .until(async || Ok(gone(live::addon(self.clients, &self.eks.name, name).await?.is_none())))
            .await
    }

    /// Waits until the add-ons run; some of them cannot before there are nodes.
    pub(in super::super) async fn installed(&self) -> Result<()> {
        for addon in &self.eks.addons {
            let name = &addon.name;
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
            .await?;
        }
        Ok(())
    }
}

fn conflicts(addon: &Addon) -> ResolveConflicts {
    match addon.conflicts {
        Conflicts::Overwrite => ResolveConflicts::Overwrite,
        Conflicts::Preserve => ResolveConflicts::Preserve,
        Conflicts::Fail => ResolveConflicts::None,
    }
}
