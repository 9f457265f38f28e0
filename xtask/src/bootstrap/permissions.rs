//! What the pipeline asks of AWS: the one table that the policies of its roles are made from.
//!
//! It is what ships a service to a cluster that stands. Who makes or changes the cluster, with its network and roles,
//! could give themselves any right, and is not the pipeline: that is `cluster up`, and somebody who may. What a KMS key of
//! one's own is used for is that key's policy to allow.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    aws,
    config::{Aws, Cluster, Environment, Registry, SERVICE, SecretOrigin, State},
    plan::ownership,
};

/// A role of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Of `deploy`, `rollback` and whatever else changes something.
    Deploy,
    /// Of `plan`, `drift` and whatever else only looks.
    Plan,
}

/// What an action is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum On {
    /// The action knows no resources.
    Everything,
    /// The repositories of the services' images.
    Repositories,
    /// The bucket of releases.
    Bucket,
    /// The records and locks of the environment's services.
    Records,
    /// The secrets that the services are given.
    Secrets,
    /// The parameters that the services are given.
    Parameters,
    /// The cluster, and what belongs to it.
    Cluster,
    /// The stacks of its network and roles.
    Stacks,
}

/// Some actions of one step.
pub(crate) struct Permission {
    /// What takes them.
    pub(crate) step: &'static str,
    pub(crate) on: On,
    /// Who takes them: the role that looks, too, or only the one that deploys.
    pub(crate) least: Role,
    pub(crate) actions: &'static [&'static str],
}

const fn row(step: &'static str, on: On, least: Role, actions: &'static [&'static str]) -> Permission {
    Permission { step, on, least, actions }
}

/// `sts:GetCallerIdentity`, which comes first, is nobody's to allow.
pub(crate) const TABLE: &[Permission] = &[
    row("Login", On::Everything, Role::Plan, &["ecr:GetAuthorizationToken"]),
    row("Look", On::Repositories, Role::Plan, &["ecr:BatchGetImage"]),
    row(
        "Push",
        On::Repositories,
        Role::Deploy,
        &[
            "ecr:DescribeRepositories",
            "ecr:CreateRepository",
            "ecr:TagResource",
            "ecr:PutImageTagMutability",
            "ecr:PutImageScanningConfiguration",
            "ecr:GetLifecyclePolicy",
            "ecr:PutLifecyclePolicy",
            "ecr:BatchCheckLayerAvailability",
            "ecr:InitiateLayerUpload",
            "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload",
            "ecr:PutImage",
        ],
    ),
    row("Keep", On::Repositories, Role::Deploy, &["ecr:ListImages", "ecr:BatchDeleteImage"]),
    row("Releases", On::Bucket, Role::Plan, &["s3:ListBucket"]),
    row("Records", On::Records, Role::Plan, &["s3:GetObject"]),
    row("Record", On::Records, Role::Deploy, &["s3:PutObject", "s3:DeleteObject"]),
    row("Versions", On::Secrets, Role::Plan, &["secretsmanager:DescribeSecret"]),
    row("Values", On::Secrets, Role::Deploy, &["secretsmanager:GetSecretValue"]),
    row("ListParameters", On::Everything, Role::Plan, &["ssm:DescribeParameters"]),
    row("Parameters", On::Parameters, Role::Deploy, &["ssm:GetParameters"]),
    row("Stacks", On::Stacks, Role::Plan, &["cloudformation:DescribeStacks", "cloudformation:GetTemplate"]),
    row("Offers", On::Everything, Role::Plan, &["eks:DescribeAddonVersions", "eks:DescribeClusterVersions"]),
    row(
        "Cluster",
        On::Cluster,
        Role::Plan,
        &[
            "eks:DescribeCluster",
            "eks:ListNodegroups",
            "eks:DescribeNodegroup",
            "eks:ListAddons",
            "eks:DescribeAddon",
            "eks:ListAccessEntries",
            "eks:DescribeAccessEntry",
            "eks:ListAssociatedAccessPolicies",
            "eks:ListPodIdentityAssociations",
            "eks:DescribePodIdentityAssociation",
        ],
    ),
];

/// The least that a role's commands take in an environment, as an IAM policy.
pub fn policy(environment: &Environment, role: Role) -> Value {
    let resources = resources(environment);
    let may = |permission: &&Permission| role == Role::Deploy || permission.least == Role::Plan;
    let used = |permission: &&Permission| match permission.actions[0].split(':').next() {
        Some("ecr") => matches!(environment.registry, Registry::Ecr(_)),
        Some("ssm") => resources.contains_key(&On::Parameters),
        Some("eks") => matches!(environment.cluster, Cluster::Eks(_)),
        _ => true,
    };
    let statement = |permission: &Permission| {
        let resource = match permission.on {
            On::Everything => vec!["*".to_owned()],
            on => resources.get(&on)?.clone(),
        };
        let (step, actions) = (permission.step, permission.actions);
        Some(json!({"Sid": step, "Effect": "Allow", "Action": actions, "Resource": resource}))
    };
    let statements: Vec<Value> = TABLE.iter().filter(may).filter(used).filter_map(statement).collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// The ARNs of what an environment has on AWS.
fn resources(environment: &Environment) -> BTreeMap<On, Vec<String>> {
    let mut found: BTreeMap<On, Vec<String>> = BTreeMap::new();
    let Some(Aws { region, account, .. }) = &environment.aws else { return found };
    let partition = aws::partition(region);
    let arn = |service: &str, rest: &str| format!("arn:{partition}:{service}:{region}:{account}:{rest}");
    let mut add = |on, arn| found.entry(on).or_default().push(arn);
    for unit in environment.units() {
        if let Registry::Ecr(ecr) = &environment.registry {
            let name = ecr.repository.replace(SERVICE, &unit.service.name);
            add(On::Repositories, arn("ecr", &format!("repository/{name}")));
        }
        if let State::S3(state) = &environment.state {
            let (bucket, id) = (format!("arn:{partition}:s3:::{}", state.bucket), ownership::id(unit));
            add(On::Records, format!("{bucket}/releases/{id}/*"));
            add(On::Records, format!("{bucket}/{}", crate::release::lock_key(unit)));
        }
        for value in unit.service.secrets.iter().flat_map(|source| &source.values) {
            match &value.from {
                SecretOrigin::SecretsManager { secret, .. } if secret.starts_with("arn:") => {
                    add(On::Secrets, secret.clone());
                }
                // AWS adds six characters to a name.
                SecretOrigin::SecretsManager { secret, .. } => {
                    add(On::Secrets, arn("secretsmanager", &format!("secret:{secret}-??????")));
                }
                SecretOrigin::Parameter { parameter, .. } => {
                    let name = parameter.trim_start_matches('/');
                    add(On::Parameters, arn("ssm", &format!("parameter/{name}")));
                }
            }
        }
    }
    if let State::S3(state) = &environment.state {
        add(On::Bucket, format!("arn:{partition}:s3:::{}", state.bucket));
    }
    if let Cluster::Eks(eks) = &environment.cluster {
        add(On::Cluster, arn("eks", &format!("cluster/{}", eks.name)));
        for part in ["nodegroup", "addon", "access-entry", "podidentityassociation"] {
            add(On::Cluster, arn("eks", &format!("{part}/{}/*", eks.name)));
        }
        for stack in ["network", "roles"] {
            add(On::Stacks, arn("cloudformation", &format!("stack/{}-{stack}/*", eks.name)));
        }
    }
    for arns in found.values_mut() {
        arns.sort();
        arns.dedup();
    }
    found
}
