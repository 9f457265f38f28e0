//! Nodegroups.

use aws_sdk_eks::types::{Issue, NodegroupStatus, UpdateLabelsPayload, UpdateTaintsPayload};

use super::{
    super::{
        change::Again,
        groups, is, live, template,
        wait::{Seen, typical},
    },
    Work, gone, unless_there,
};
use crate::{
    aws::failed,
    config::aws::Nodegroup,
    error::{Error, Result},
};

impl Work<'_> {
    pub(in super::super) async fn group(&self, group: &Nodegroup, again: Again) -> Result<()> {
        if again == Again::Yes {
            self.step.line(format!("the nodegroup {} failed before: it is removed and made again", group.name));
            self.disband(&group.name).await?;
        }
        let (_, subnets) = self.subnets().await?;
        let mut create = self.clients.eks.create_nodegroup().cluster_name(&self.eks.name).nodegroup_name(&group.name);
        for (key, value) in self.tags() {
            create = create.tags(key, value);
        }
        let create = create
            .set_subnets(Some(subnets))
            .node_role(self.role(template::NODE_ROLE).await?)
            .set_instance_types(Some(group.instance_types.clone()))
            .scaling_config(groups::scaling(group, None))
            .capacity_type(groups::capacity(group))
            .ami_type(groups::ami(group))
            .disk_size(i32::try_from(group.disk).unwrap_or(i32::MAX))
            .set_labels(Some(group.labels.clone().into_iter().collect()))
            .set_taints(Some(groups::taints(group)))
            .update_config(groups::update(group))
            .node_repair_config(groups::repair(group));
        unless_there(create.send().await).map_err(|error| {
            failed(format!("create the nodegroup {}", group.name), "eks:CreateNodegroup", &self.eks.aws, &error)
        })
    }

    /// Waits until every nodegroup has its nodes: they are made side by side.
    pub(in super::super) async fn grouped(&self) -> Result<()> {
        for group in &self.eks.nodegroups {
            self.group_settled(&group.name).await?;
        }
        Ok(())
    }

    pub(in super::super) async fn group_settled(&self, name: &str) -> Result<()> {
        let wait = self.wait(format!("nodegroup {name}"), typical::NODES, 40);
        wait.until(async || {
            let Some(found) = live::nodegroup(self.clients, &self.eks.name, name).await? else {
                return Err(Error::failed(format!("the nodegroup {name} is gone")));
            };
            match found.status() {
                Some(NodegroupStatus::Active) => Ok(Seen::Done(())),
                Some(NodegroupStatus::CreateFailed | NodegroupStatus::Degraded) => {
                    let issues = found.health().into_iter().flat_map(|health| health.issues());
                    let issue = |issue: &Issue| {
                        let code = issue.code().map_or("", |code| code.as_str());
                        format!("{code}: {}", issue.message().unwrap_or_default())
                    };
                    let issues: Vec<_> = issues.map(issue).collect();
                    Err(Error::failed(format!("the nodegroup {name} has no healthy nodes")).cause(issues.join("\n")))
                }
                status => Ok(Seen::Not(status.map_or("unknown", NodegroupStatus::as_str).to_owned())),
            }
        })
        .await
    }

    pub(in super::super) async fn regroup(&self, group: &Nodegroup) -> Result<()> {
        let found = live::nodegroup(self.clients, &self.eks.name, &group.name).await?;
        let (labels, taints) =
            found.as_ref().map(|found| (found.labels().cloned(), found.taints().to_vec())).unwrap_or_default();
        let gone = labels.unwrap_or_default().into_keys().filter(|key| !group.labels.contains_key(key)).collect();
        let labels = UpdateLabelsPayload::builder()
            .set_add_or_update_labels(Some(group.labels.clone().into_iter().collect()))
            .set_remove_labels(Some(gone));
        let wanted = groups::taints(group);
        let gone = taints.into_iter().filter(|taint| !wanted.contains(taint)).collect();
        let taints =
            UpdateTaintsPayload::builder().set_add_or_update_taints(Some(wanted)).set_remove_taints(Some(gone));
        let now = found.and_then(|found| found.scaling_config()?.desired_size());
        self.clients
            .eks
            .update_nodegroup_config()
            .cluster_name(&self.eks.name)
            .nodegroup_name(&group.name)
            .labels(labels.build())
            .taints(taints.build())
            .scaling_config(groups::scaling(group, now))
            .update_config(groups::update(group))
            .node_repair_config(groups::repair(group))
            .send()
            .await
            .map_err(|error| {
                failed(
                    format!("change the nodegroup {}", group.name),
                    "eks:UpdateNodegroupConfig",
                    &self.eks.aws,
                    &error,
                )
            })?;
        self.group_settled(&group.name).await
    }

    /// Has a nodegroup have that many nodes.
    pub(in super::super) async fn resize(&self, group: &Nodegroup, nodes: i32) -> Result<()> {
        let request = self.clients.eks.update_nodegroup_config().cluster_name(&self.eks.name);
        let request = request.nodegroup_name(&group.name).scaling_config(groups::scaling(group, Some(nodes)));
        request.send().await.map_err(|error| {
            failed(format!("scale the nodegroup {}", group.name), "eks:UpdateNodegroupConfig", &self.eks.aws, &error)
        })?;
        self.group_settled(&group.name).await
    }

    /// Has the nodes of a group run a version of Kubernetes, by that image or the newest of it. EKS drains the old ones.
    pub(in super::super) async fn renew(
        &self,
        name: &str,
        version: &str,
        image: Option<&str>,
        force: bool,
    ) -> Result<()> {
        let request = self.clients.eks.update_nodegroup_version().cluster_name(&self.eks.name).nodegroup_name(name);
        // An image is of one version: both may not be named.
        let request = request.set_version(image.is_none().then(|| version.to_owned()));
        let update =
            request.set_release_version(image.map(str::to_owned)).force(force).send().await.map_err(|error| {
                failed(format!("upgrade the nodegroup {name}"), "eks:UpdateNodegroupVersion", &self.eks.aws, &error)
            })?;
        self.updated(update.update(), Some(name)).await?;
        self.group_settled(name).await
    }

    /// EKS drains the nodes before it ends them.
    pub(in super::super) async fn disband(&self, name: &str) -> Result<()> {
        match self.clients.eks.delete_nodegroup().cluster_name(&self.eks.name).nodegroup_name(name).send().await {
            Ok(_) => {}
            // It is on its way already, or gone.
            Err(error) if is(&error, "ResourceInUseException") || is(&error, "ResourceNotFoundException") => {}
            Err(error) => {
                return Err(failed(
                    format!("delete the nodegroup {name}"),
                    "eks:DeleteNodegroup",
                    &self.eks.aws,
                    &error,
                ));
            }
        }
        self.wait(format!("nodegroup {name}"), typical::DRAIN, 40)
            .until(async || match live::nodegroup(self.clients, &self.eks.name, name).await? {
                Some(found) if found.status() == Some(&NodegroupStatus::DeleteFailed) => {
                    let issues = found.health().into_iter().flat_map(|health| health.issues());
                    let issues: Vec<_> = issues.filter_map(|issue| issue.message()).collect();
                    Err(Error::failed(format!("delete the nodegroup {name}")).cause(issues.join("\n")))
                }
                found => Ok(gone(found.is_none())),
            })
            .await
    }
}
