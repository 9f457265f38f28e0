//! An EKS cluster, from its network to its nodes: looked at, compared with the configuration, and changed where it
//! differs. [`compare`] decides and does nothing, [`act`] does one thing at a time.

mod act;
mod change;
mod compare;
mod groups;
mod live;
pub(crate) mod names;
mod nodegroup;
mod prices;
pub(crate) mod stacks;
mod template;
#[cfg(test)]
mod tests;
pub mod token;
mod upgrade;
mod versions;
mod wait;

use aws_sdk_eks::{
    error::{ProvideErrorMetadata, SdkError},
    types::Cluster,
};
use kube::{
    client::ClientBuilder,
    config::{Cluster as KubeCluster, Context, Kubeconfig, NamedCluster, NamedContext},
};
use tower::{buffer::BufferLayer, filter::AsyncFilterLayer};

use self::{act::Work, change::Change, live::Live, token::Tokens, wait::Wait};
pub use self::{
    nodegroup::{Group, delete, nodegroups, renew, scale},
    prices::Price,
    upgrade::{Upgraded, upgrade},
};
use super::{client, rehearsal};
use crate::{
    aws::{self, failed},
    config::{Aws, Eks, Environment},
    error::{Error, Result},
    ui::{Outcome, Step},
};

/// How many requests may wait for the connection.
const REQUESTS: usize = 1024;

/// What speaks to AWS.
pub(crate) struct Clients {
    eks: aws_sdk_eks::Client,
    stacks: aws_sdk_cloudformation::Client,
    aws: Aws,
    credentials: aws_sdk_sts::config::SharedCredentialsProvider,
}

/// What a look and a comparison say.
pub struct Planned {
    live: Live,
    changes: Vec<Change>,
    /// What somebody should know of its version.
    pub notice: Option<String>,
    /// What it costs.
    pub price: Price,
    /// How long the changes usually take.
    pub minutes: u32,
}

impl Clients {
    /// Who we are, which must be somebody in the configured account.
    ///
    /// # Errors
    /// As of [`aws::connect`].
    pub(crate) async fn new(aws: &Aws) -> Result<Self> {
        let config = aws::connect(aws).await?;
        let credentials = config.credentials_provider().ok_or_else(|| {
            Error::failed("find credentials for AWS").hint("log in: aws sso login, or set AWS_PROFILE")
        })?;
        Ok(Self {
            eks: aws_sdk_eks::Client::new(&config),
            stacks: aws_sdk_cloudformation::Client::new(&config),
            aws: aws.clone(),
            credentials,
        })
    }
}

impl Planned {
    /// What is there, with AWS's word for what it is.
    pub fn parts(&self) -> Vec<(String, String)> {
        let Live { network, roles, cluster, nodegroups, addons, entries, identities } = &self.live;
        let word = |status: Option<&str>| status.unwrap_or("UNKNOWN").to_owned();
        let mut parts = Vec::new();
        for (name, stack) in [("network", network), ("roles", roles)] {
            parts.extend(stack.iter().map(|stack| (format!("stack of the {name}"), stack.status.as_str().to_owned())));
        }
        if let Some(cluster) = cluster {
            let version = cluster.version().unwrap_or_default();
            parts.push((format!("control plane {version}"), word(cluster.status().map(|status| status.as_str()))));
        }
        parts.extend(nodegroups.iter().map(|group| {
            let name = group.nodegroup_name().unwrap_or_default();
            (format!("nodegroup {name}"), word(group.status().map(|status| status.as_str())))
        }));
        parts.extend(addons.iter().map(|addon| {
            let (name, version) = (addon.addon_name().unwrap_or_default(), addon.addon_version().unwrap_or_default());
            (format!("add-on {name} {version}"), word(addon.status().map(|status| status.as_str())))
        }));
        let policies = |entry: &live::Entry| {
            let arns = entry.policies.iter().filter_map(|policy| policy.policy_arn());
            arns.filter_map(|arn| arn.rsplit('/').next()).collect::<Vec<_>>().join(", ")
        };
        parts.extend(entries.iter().map(|entry| (format!("access {}", entry.principal), policies(entry))));
        parts.extend(identities.iter().map(|identity| {
            let (namespace, account) =
                (identity.namespace().unwrap_or_default(), identity.service_account().unwrap_or_default());
            (format!("identity {namespace}/{account}"), identity.role_arn().unwrap_or_default().to_owned())
        }));
        parts
    }

    /// A line for each change.
    pub fn lines(&self, eks: &Eks) -> Vec<String> {
        self.changes.iter().map(|change| change.line(eks, &self.live)).collect()
    }
}

/// What would change. Changes nothing.
///
/// # Errors
/// AWS refuses, or something cannot be changed into what is configured.
pub async fn plan(eks: &Eks) -> Result<Planned> {
    // Where a rehearsal has not begun there is nothing, and nobody to ask.
    let (live, offers) = match rehearsal::is_missing(&eks.aws).await {
        true => (Live::default(), None),
        false => {
            let clients = Clients::new(&eks.aws).await?;
            let (live, offers) = futures::try_join!(live::look(&clients, eks), versions::offered(&clients))?;
            (live, Some(offers))
        }
    };
    let judge = |offers: &Vec<_>| versions::judge(eks, live.version(), offers, versions::today());
    let notice = offers.as_ref().map(judge).transpose()?.flatten();
    let extended = offers.is_some_and(|offers| versions::is_extended(eks, &offers));
    let changes = compare::compare(eks, &live)?;
    let (price, minutes) = (prices::of(eks, &live, extended), change::minutes(&changes));
    Ok(Planned { live, changes, notice, price, minutes })
}

/// Makes the cluster what it is configured to be.
///
/// # Errors
/// A step fails; the next run goes on from there.
pub async fn ensure(environment: &Environment, eks: &Eks, step: &Step) -> Result<Outcome> {
    let clients = Clients::new(&eks.aws).await?;
    let work = Work { clients: &clients, eks, environment: &environment.name, step };
    step.update("looking at what is there");
    let live = live::look(&clients, eks).await?;
    if let Some(cluster) = &live.cluster {
        owned(cluster, eks, &environment.name)?;
    }
    let changes = compare::compare(eks, &live)?;
    match live.cluster {
        Some(_) => work.settled().await?,
        None => {
            let offers = versions::offered(&clients).await?;
            if let Some(notice) = versions::judge(eks, None, &offers, versions::today())? {
                step.line(notice);
            }
        }
    }
    for change in &changes {
        let line = change.line(eks, &live);
        step.progress(line.clone());
        // What is removed waits for what takes its place.
        if matches!(change, Change::Disband(_)) {
            work.grouped().await?;
        }
        work.carry_out(change).await?;
        step.detail(line);
    }
    work.grouped().await?;
    work.installed().await?;
    Ok(if changes.is_empty() { Outcome::Same } else { Outcome::Changed })
}

/// Removes the cluster and what was made for it, in the order of what depends on what. Says what it removed.
///
/// # Errors
/// Something cannot be removed; the next run goes on with it.
pub async fn remove(environment: &Environment, eks: &Eks, step: &Step) -> Result<Vec<String>> {
    let clients = Clients::new(&eks.aws).await?;
    let work = Work { clients: &clients, eks, environment: &environment.name, step };
    let live = live::look(&clients, eks).await?;
    let mut removed = Vec::new();
    if let Some(cluster) = &live.cluster {
        if eks.deletion_protection {
            return Err(Error::failed(format!("the cluster {} is protected from deletion", eks.name))
                .hint("set cluster.eks.deletion_protection to false, cargo xtask cluster up, then again"));
        }
        owned(cluster, eks, &environment.name)?;
        for name in live.nodegroups.iter().filter_map(|group| group.nodegroup_name()) {
            step.progress(format!("- Nodegroup {name}"));
            work.disband(name).await?;
            removed.push(format!("- Nodegroup {name}"));
        }
        for name in live.addons.iter().filter_map(|addon| addon.addon_name()) {
            step.progress(format!("- Addon {name}"));
            work.uninstall(name).await?;
        }
        step.progress(format!("- Cluster {}", eks.name));
        match clients.eks.delete_cluster().name(&eks.name).send().await {
            Ok(_) => {}
            Err(error) if is(&error, "ResourceInUseException") || is(&error, "ResourceNotFoundException") => {}
            Err(error) => {
                return Err(failed(format!("delete the cluster {}", eks.name), "eks:DeleteCluster", &eks.aws, &error));
            }
        }
        let minute = std::time::Duration::from_secs(60);
        let wait = Wait { step, what: format!("cluster {}", eks.name), typical: minute * 5, limit: minute * 30 };
        wait.until(async || Ok(act::gone(live::cluster(&clients, &eks.name).await?.is_none()))).await?;
        removed.push(format!("- Cluster {}", eks.name));
    }
    for name in [names::roles(eks), names::network(eks)] {
        step.progress(format!("- Stack {name}"));
        if stacks::remove(&clients, &name, step).await? {
            removed.push(format!("- Stack {name}"));
        }
    }
    Ok(removed)
}

/// Refuses to lay hands on what was made for somebody else, or by hand.
fn owned(cluster: &Cluster, eks: &Eks, environment: &str) -> Result<()> {
    match cluster.tags().and_then(|tags| tags.get(names::TAG)) {
        Some(whose) if whose == environment => Ok(()),
        whose => {
            let whose = whose.map_or("it carries no tag".to_owned(), |whose| format!("its tag says {whose}"));
            let tag = names::TAG;
            Err(Error::failed(format!("the cluster {} was not made for {environment}", eks.name))
                .cause(format!("{whose}; ours is {tag}={environment}"))
                .hint("choose another name: cluster.eks.name; or tag it, if it is to be taken over, or to go"))
        }
    }
}

/// A client for the cluster's API, if there is a cluster that answers.
///
/// # Errors
/// AWS refuses, or there are no credentials.
pub async fn find(eks: &Eks) -> Result<Option<kube::Client>> {
    let clients = Clients::new(&eks.aws).await?;
    let Some(kubeconfig) = kubeconfig_of(&clients, eks).await? else { return Ok(None) };
    let doing = format!("connect to the cluster {}", eks.name);
    let config = client::config(kubeconfig, None, &doing).await?;
    let bearer = token::Bearer::new(Tokens::new(clients.credentials, eks));
    let layer = AsyncFilterLayer::new(move |request| bearer.clone().sign(request));
    let builder = ClientBuilder::try_from(config).map_err(|error| Error::failed(&doing).source(&error))?;
    // The connection is one; whoever waits for a token must not keep others from it.
    Ok(Some(builder.with_layer(&BufferLayer::new(REQUESTS)).with_layer(&layer).build()))
}

/// Makes tokens for the cluster.
///
/// # Errors
/// There are no credentials.
pub async fn tokens(eks: &Eks) -> Result<Tokens> {
    Ok(Tokens::new(Clients::new(&eks.aws).await?.credentials, eks))
}

/// Where the cluster is, without who we are.
///
/// # Errors
/// AWS refuses.
pub async fn kubeconfig(eks: &Eks) -> Result<Option<Kubeconfig>> {
    kubeconfig_of(&Clients::new(&eks.aws).await?, eks).await
}

async fn kubeconfig_of(clients: &Clients, eks: &Eks) -> Result<Option<Kubeconfig>> {
    let Some(cluster) = live::cluster(clients, &eks.name).await? else { return Ok(None) };
    let (Some(server), Some(authority)) =
        (cluster.endpoint(), cluster.certificate_authority().and_then(|ca| ca.data()))
    else {
        return Ok(None);
    };
    let name = || eks.name.clone();
    let there = KubeCluster {
        server: Some(server.to_owned()),
        certificate_authority_data: Some(authority.to_owned()),
        ..KubeCluster::default()
    };
    let context = Context { cluster: name(), user: None, ..Context::default() };
    Ok(Some(Kubeconfig {
        clusters: vec![NamedCluster { name: name(), cluster: Some(there), ..NamedCluster::default() }],
        contexts: vec![NamedContext { name: name(), context: Some(context), ..NamedContext::default() }],
        current_context: Some(name()),
        ..Kubeconfig::default()
    }))
}

/// Whether AWS answers with this code.
fn is<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    aws::code(error) == code
}
