//! What an upgrade consists of: is the cluster ready, the change itself, and watching what it did.

use std::time::Duration;

use aws_sdk_eks::types::{Category, InsightStatusValue, InsightSummary, InsightsFilter, Update, UpdateStatus};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        live,
        wait::{Seen, typical},
    },
    Work,
};
use crate::{
    aws::failed,
    error::{Error, Result},
};

/// How often an upgraded control plane is looked at, and how long its API may not answer.
const LOOK: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);

impl Work<'_> {
    /// What AWS has found out about going to the version: its errors refuse, unless that is to be overridden.
    pub(in super::super) async fn ready(&self, category: Category, force: bool) -> Result<()> {
        let (cluster, version) = (&self.eks.name, &self.eks.version);
        let doing = || format!("ask what keeps the cluster {cluster} from Kubernetes {version}");
        let filter = InsightsFilter::builder().categories(category).kubernetes_versions(version).build();
        let list = self.clients.eks.list_insights().cluster_name(cluster).filter(filter).into_paginator().items();
        let list = list.send().collect::<Result<Vec<_>, _>>().await;
        let list = list.map_err(|error| failed(doing(), "eks:ListInsights", &self.eks.aws, &error))?;
        let mut errors = Vec::new();
        for insight in list {
            let text = format!("{}: {}", insight.name().unwrap_or_default(), reason(&insight));
            match insight.insight_status().and_then(|status| status.status()) {
                Some(InsightStatusValue::Error) => errors.push(self.explained(insight.id(), text).await?),
                Some(InsightStatusValue::Warning) => self.step.line(format!("AWS warns: {text}")),
                _ => {}
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        if force {
            errors.iter().for_each(|error| self.step.line(format!("overridden: {error}")));
            return Ok(());
        }
        let refused = Error::failed(format!("the cluster {cluster} is not ready for Kubernetes {version}"));
        let refused = errors.into_iter().fold(refused, Error::cause);
        Err(refused.hint("mend that and run it again: AWS looks anew once a day; --force goes on all the same"))
    }

    /// An insight's text with what AWS recommends, and what it found.
    async fn explained(&self, id: Option<&str>, text: String) -> Result<String> {
        let found = self.clients.eks.describe_insight().cluster_name(&self.eks.name).set_id(id.map(str::to_owned));
        let found = found.send().await.map_err(|error| {
            failed("ask what is wrong with the cluster", "eks:DescribeInsight", &self.eks.aws, &error)
        })?;
        let Some(insight) = found.insight() else { return Ok(text) };
        let things = insight.resources().iter().filter_map(|one| one.kubernetes_resource_uri().or(one.arn()));
        let lines = things.chain(insight.recommendation()).map(|line| format!("\n{line}"));
        Ok(lines.fold(text, |text, line| text + &line))
    }

    /// Has the control plane have the version.
    pub(in super::super) async fn move_control_plane(&self, force: bool) -> Result<()> {
        let (cluster, version) = (&self.eks.name, &self.eks.version);
        let update = self.clients.eks.update_cluster_version().name(cluster).version(version).force(force).send().await;
        let update = update.map_err(|error| {
            let doing = format!("bring the control plane of {cluster} to Kubernetes {version}");
            failed(doing, "eks:UpdateClusterVersion", &self.eks.aws, &error)
        })?;
        self.updated(update.update(), None).await?;
        self.settled().await
    }

    /// Waits for an update of the cluster or of one of its nodegroups.
    pub(super) async fn updated(&self, update: Option<&Update>, group: Option<&str>) -> Result<()> {
        let Some(id) = update.and_then(Update::id) else { return Ok(()) };
        let what = group.map_or(format!("cluster {}", self.eks.name), |group| format!("nodegroup {group}"));
        let wait = self.wait(format!("update of the {what}"), typical::UPDATE, 120);
        wait.until(async || {
            let found = self.clients.eks.describe_update().name(&self.eks.name).update_id(id);
            let found = found.set_nodegroup_name(group.map(str::to_owned)).send().await.map_err(|error| {
                failed(format!("look at the update of the {what}"), "eks:DescribeUpdate", &self.eks.aws, &error)
            })?;
            let errors = found.update().into_iter().flat_map(|update| update.errors());
            let errors = errors.filter_map(|error| error.error_message()).collect::<Vec<_>>().join("\n");
            match found.update().and_then(|update| update.status()) {
                Some(UpdateStatus::Successful) => Ok(Seen::Done(())),
                Some(UpdateStatus::InProgress) | None => Ok(Seen::Not("being updated".to_owned())),
                Some(status) => Err(Error::failed(format!("update the {what}"))
                    .cause(if errors.is_empty() { status.as_str() } else { &errors })
                    .hint("run the same command again when the cause is mended")),
            }
        })
        .await
    }

    /// Watches the control plane for the time that is configured, before its nodes follow.
    pub(in super::super) async fn soak(&self) -> Result<()> {
        let began = Instant::now();
        let mut answered = began;
        loop {
            self.healthy().await?;
            let state = match self.answers().await {
                Ok(()) => {
                    answered = Instant::now();
                    "it answers and nothing ails it".to_owned()
                }
                Err(error) if answered.elapsed() > PATIENCE => return Err(self.ill(error.to_string())),
                Err(error) => error.to_string(),
            };
            let (watched, all) = (began.elapsed(), self.eks.soak);
            if watched >= all && answered > began {
                return Ok(());
            }
            let (watched, all) = (watched.as_secs(), all.as_secs());
            self.step
                .update(format!("the control plane is watched before nodes follow, {watched}s of {all}s: {state}"));
            sleep(LOOK.min(self.eks.soak.saturating_sub(began.elapsed())).max(Duration::from_millis(100))).await;
        }
    }

    /// What EKS itself says of the cluster.
    async fn healthy(&self) -> Result<()> {
        let cluster = live::cluster(self.clients, &self.eks.name).await?;
        let issues = cluster.as_ref().and_then(|cluster| cluster.health()).map(|health| health.issues());
        let issues: Vec<_> = issues.unwrap_or_default().iter().filter_map(|issue| issue.message()).collect();
        if issues.is_empty() { Ok(()) } else { Err(self.ill(issues.join("\n"))) }
    }

    async fn answers(&self) -> Result<()> {
        let doing = "ask the API server whether it is ready";
        let Some(client) = super::super::find(self.eks).await? else { return Err(Error::failed(doing)) };
        let request =
            http::Request::get("/readyz").body(Vec::new()).map_err(|error| Error::failed(doing).source(&error))?;
        client.request_text(request).await.map(drop).map_err(|error| Error::failed(doing).source(&error))
    }

    fn ill(&self, why: String) -> Error {
        let cluster = &self.eks.name;
        Error::failed(format!("the control plane of {cluster} is ill after its upgrade; its nodes are as they were"))
            .cause(why)
            .hint("go back, which AWS allows for 7 days: cargo xtask cluster upgrade --to the version before")
    }
}

fn reason(insight: &InsightSummary) -> &str {
    let reason = insight.insight_status().and_then(|status| status.reason()).filter(|reason| !reason.is_empty());
    reason.or(insight.description()).unwrap_or_default()
}
