//! Carrying out one change. Each is begun only after a look has shown that it is needed, and waited for, so that a
//! command killed in between is gone on with by the next.

mod addons;
mod nodegroups;
mod versions;

use std::time::Duration;

use aws_sdk_eks::{
    error::{ProvideErrorMetadata, SdkError},
    types::{
        AccessScope, AccessScopeType, AuthenticationMode, ClusterStatus, CreateAccessConfigRequest, EncryptionConfig,
        LogSetup, Logging, Provider, UpgradePolicyRequest, VpcConfigRequest,
    },
};

use super::{
    Clients,
    change::{Change, Facet},
    compare, is, live, names,
    stacks::{self, Stack},
    template,
    wait::{Seen, Wait, typical},
};
use crate::{
    aws::failed,
    config::aws::{Access, Eks, Identity, LogType, Network, Scope, SecretsEncryption},
    error::{Error, Result},
    ui::Step,
};

/// What all changes of one run share.
pub(super) struct Work<'a> {
    pub(super) clients: &'a Clients,
    pub(super) eks: &'a Eks,
    pub(super) environment: &'a str,
    pub(super) step: &'a Step,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Work<'_> {
    pub(super) async fn carry_out(&self, change: &Change) -> Result<()> {
        match change {
            Change::Network(template) => self.stack(&names::network(self.eks), template).await,
            Change::Roles(template) => self.stack(&names::roles(self.eks), template).await,
            Change::Cluster => self.cluster().await,
            Change::Configure(facet) => self.configure(*facet).await,
            Change::Admit(access) => self.admit(access).await,
            Change::Expel(principal) => self.expel(principal).await,
            Change::Revoke(principal, policy) => self.revoke(principal, policy).await,
            Change::Identify(identity) => self.identify(identity).await,
            Change::Forget(id) => self.forget(id).await,
            Change::Install(addon) => self.install(addon).await,
            Change::Refit(addon) => self.refit(addon).await,
            Change::Uninstall(name) => self.uninstall(name).await,
            Change::Group(group, again) => self.group(group, *again).await,
            Change::Regroup(group) => self.regroup(group).await,
            Change::Disband(name) => self.disband(name).await,
        }
    }

    fn tags(&self) -> [(&'static str, String); 2] {
        [(names::TAG, self.environment.to_owned()), ("slipway.dev/cluster", self.eks.name.clone())]
    }

    fn wait(&self, what: String, typical: u32, limit: u32) -> Wait<'_> {
        Wait { step: self.step, what, typical: MINUTE * typical, limit: MINUTE * limit }
    }

    async fn stack(&self, name: &str, template: &serde_json::Value) -> Result<()> {
        let protected = self.eks.deletion_protection;
        stacks::put(self.clients, name, template, &self.tags(), protected, self.step).await
    }

    /// A value that a stack hands on.
    async fn output(&self, name: &str, key: &str) -> Result<String> {
        let stack: Option<Stack> = stacks::find(self.clients, name).await?;
        let value = stack.and_then(|stack| stack.outputs.get(key).cloned());
        value.ok_or_else(|| Error::failed(format!("the stack {name} has no output {key}")))
    }

    async fn role(&self, key: &str) -> Result<String> {
        self.output(&names::roles(self.eks), key).await
    }

    /// The subnets: all of them for the control plane, and those of the nodes.
    async fn subnets(&self) -> Result<(Vec<String>, Vec<String>)> {
        let (public, private) = match &self.eks.network {
            Network::Existing { private, public } => (public.clone(), private.clone()),
            Network::New { nat, .. } => {
                let name = names::network(self.eks);
                let list = |text: String| text.split(',').map(str::to_owned).collect::<Vec<_>>();
                let public = list(self.output(&name, template::PUBLIC).await?);
                match nat {
                    crate::config::aws::Nat::None => (public, Vec::new()),
                    _ => (public, list(self.output(&name, template::PRIVATE).await?)),
                }
            }
        };
        let nodes = if private.is_empty() { public.clone() } else { private.clone() };
        Ok(([public, private].concat(), nodes))
    }

    async fn cluster(&self) -> Result<()> {
        let eks = self.eks;
        let (subnets, _) = self.subnets().await?;
        let (public, private, cidrs) = compare::endpoint(&eks.endpoint);
        let access = CreateAccessConfigRequest::builder()
            .authentication_mode(AuthenticationMode::Api)
            .bootstrap_cluster_creator_admin_permissions(false);
        let vpc = VpcConfigRequest::builder()
            .set_subnet_ids(Some(subnets))
            .endpoint_public_access(public)
            .endpoint_private_access(private)
            .set_public_access_cidrs(public.then(|| cidrs.to_vec()));
        let encryption = match &eks.secrets_encryption {
            SecretsEncryption::AwsOwned => None,
            SecretsEncryption::Kms(arn) => {
                let provider = Provider::builder().key_arn(arn).build();
                Some(vec![EncryptionConfig::builder().provider(provider).build()])
            }
        };
        let tags = self.tags().map(|(key, value)| (key.to_owned(), value)).into();
        let create = self
            .clients
            .eks
            .create_cluster()
            .name(&eks.name)
            .version(&eks.version)
            .role_arn(self.role(template::CLUSTER_ROLE).await?)
            .resources_vpc_config(vpc.build())
            .access_config(access.build())
            .upgrade_policy(UpgradePolicyRequest::builder().support_type(compare::support(eks.upgrade_policy)).build())
            .logging(self.logging())
            .set_encryption_config(encryption)
            .deletion_protection(eks.deletion_protection)
            // Those of the configuration are EKS's to keep, and no others are.
            .bootstrap_self_managed_addons(false)
            .set_tags(Some(tags));
        let doing = || format!("create the cluster {}", eks.name);
        unless_there(create.send().await)
            .map_err(|error| failed(doing(), "eks:CreateCluster", &self.eks.aws, &error))?;
        self.settled().await
    }

    /// Waits until nothing happens to the control plane any more, which a killed command may have begun.
    pub(super) async fn settled(&self) -> Result<()> {
        let name = &self.eks.name;
        self.wait(format!("cluster {name}"), typical::CLUSTER, 40)
            .until(async || {
                let Some(cluster) = live::cluster(self.clients, name).await? else {
                    return Err(Error::failed(format!("the cluster {name} is gone")));
                };
                match cluster.status() {
                    Some(ClusterStatus::Active) => Ok(Seen::Done(())),
                    Some(ClusterStatus::Failed) => {
                        let issues = cluster.health().into_iter().flat_map(|health| health.issues());
                        let issues = issues.filter_map(|issue| issue.message()).collect::<Vec<_>>().join("\n");
                        Err(Error::failed(format!("create the cluster {name}"))
                            .cause(if issues.is_empty() { "EKS gives no reason" } else { &issues })
                            .hint("remove it: cargo xtask cluster down, then run the same command again"))
                    }
                    status => Ok(Seen::Not(status.map_or("unknown", ClusterStatus::as_str).to_owned())),
                }
            })
            .await
    }

    fn logging(&self) -> Logging {
        let all = LogType::WORDS.map(|(_, kind)| kind);
        let setup = |on: bool| {
            let kinds = all.iter().filter(|kind| self.eks.logging.contains(kind) == on);
            let kinds: Vec<_> = kinds.map(|kind| compare::log_type(*kind)).collect();
            (!kinds.is_empty()).then(|| LogSetup::builder().enabled(on).set_types(Some(kinds)).build())
        };
        let setups = [setup(true), setup(false)].into_iter().flatten().collect();
        Logging::builder().set_cluster_logging(Some(setups)).build()
    }

    async fn configure(&self, facet: Facet) -> Result<()> {
        let eks = self.eks;
        let request = self.clients.eks.update_cluster_config().name(&eks.name);
        let request = match facet {
            Facet::Endpoint => {
                let (public, private, cidrs) = compare::endpoint(&eks.endpoint);
                let vpc = VpcConfigRequest::builder()
                    .endpoint_public_access(public)
                    .endpoint_private_access(private)
                    .set_public_access_cidrs(public.then(|| cidrs.to_vec()));
                request.resources_vpc_config(vpc.build())
            }
            Facet::Logging => request.logging(self.logging()),
            Facet::UpgradePolicy => {
                let policy = UpgradePolicyRequest::builder().support_type(compare::support(eks.upgrade_policy));
                request.upgrade_policy(policy.build())
            }
            Facet::DeletionProtection => request.deletion_protection(eks.deletion_protection),
        };
        let doing = format!("change {} of the cluster {}", facet.word(), eks.name);
        request.send().await.map_err(|error| failed(doing, "eks:UpdateClusterConfig", &self.eks.aws, &error))?;
        self.settled().await
    }

    async fn admit(&self, access: &Access) -> Result<()> {
        let (eks, cluster) = (&self.clients.eks, &self.eks.name);
        let doing = || format!("let {} into the cluster {cluster}", access.principal);
        let mut create = eks.create_access_entry().cluster_name(cluster).principal_arn(&access.principal);
        for (key, value) in self.tags() {
            create = create.tags(key, value);
        }
        match create.set_kubernetes_groups(Some(access.groups.clone())).send().await {
            Ok(_) => {}
            Err(error) if is(&error, "ResourceInUseException") => {
                let update = eks.update_access_entry().cluster_name(cluster).principal_arn(&access.principal);
                let update = update.set_kubernetes_groups(Some(access.groups.clone())).send().await;
                update.map_err(|error| failed(doing(), "eks:UpdateAccessEntry", &self.eks.aws, &error))?;
            }
            Err(error) => return Err(failed(doing(), "eks:CreateAccessEntry", &self.eks.aws, &error)),
        }
        for policy in &access.policies {
            let scope = match &policy.scope {
                Scope::Cluster => AccessScope::builder().r#type(AccessScopeType::Cluster),
                Scope::Namespaces(names) => {
                    AccessScope::builder().r#type(AccessScopeType::Namespace).set_namespaces(Some(names.clone()))
                }
            };
            eks.associate_access_policy()
                .cluster_name(cluster)
                .principal_arn(&access.principal)
                .policy_arn(names::policy(&self.eks.aws.region, &policy.name))
                .access_scope(scope.build())
                .send()
                .await
                .map_err(|error| failed(doing(), "eks:AssociateAccessPolicy", &self.eks.aws, &error))?;
        }
        Ok(())
    }

    async fn expel(&self, principal: &str) -> Result<()> {
        let request = self.clients.eks.delete_access_entry().cluster_name(&self.eks.name).principal_arn(principal);
        request.send().await.map(drop).map_err(|error| {
            failed(format!("remove the access entry of {principal}"), "eks:DeleteAccessEntry", &self.eks.aws, &error)
        })
    }

    async fn revoke(&self, principal: &str, policy: &str) -> Result<()> {
        let request = self.clients.eks.disassociate_access_policy().cluster_name(&self.eks.name);
        let request = request.principal_arn(principal).policy_arn(policy).send().await;
        request.map(drop).map_err(|error| {
            failed(format!("take {policy} from {principal}"), "eks:DisassociateAccessPolicy", &self.eks.aws, &error)
        })
    }

    async fn identify(&self, identity: &Identity) -> Result<()> {
        let (eks, cluster) = (&self.clients.eks, &self.eks.name);
        let doing = || format!("let {}/{} use AWS", identity.namespace, identity.service_account);
        let role = self.role(&template::identity_role(identity)).await?;
        let live = live::look(self.clients, self.eks).await?;
        let Some(found) = compare::find_identity(&live, identity) else {
            let mut create = eks.create_pod_identity_association().cluster_name(cluster).role_arn(role);
            for (key, value) in self.tags() {
                create = create.tags(key, value);
            }
            let create = create.namespace(&identity.namespace).service_account(&identity.service_account);
            return unless_there(create.send().await)
                .map_err(|error| failed(doing(), "eks:CreatePodIdentityAssociation", &self.eks.aws, &error));
        };
        let update = eks.update_pod_identity_association().cluster_name(cluster).role_arn(role);
        let update = update.set_association_id(found.association_id().map(str::to_owned)).send().await;
        update.map(drop).map_err(|error| failed(doing(), "eks:UpdatePodIdentityAssociation", &self.eks.aws, &error))
    }

    async fn forget(&self, id: &str) -> Result<()> {
        let request = self.clients.eks.delete_pod_identity_association().cluster_name(&self.eks.name);
        let request = request.association_id(id).send().await;
        request.map(drop).map_err(|error| {
            failed(format!("remove the pod identity {id}"), "eks:DeletePodIdentityAssociation", &self.eks.aws, &error)
        })
    }
}

/// What there is already was made by the same request, whose answer was lost: a look had shown that it was missing.
fn unless_there<T, E: ProvideErrorMetadata, R>(made: Result<T, SdkError<E, R>>) -> Result<(), SdkError<E, R>> {
    match made {
        Err(error) if !is(&error, "ResourceInUseException") => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn gone(gone: bool) -> Seen<()> {
    if gone { Seen::Done(()) } else { Seen::Not("being deleted".to_owned()) }
}
