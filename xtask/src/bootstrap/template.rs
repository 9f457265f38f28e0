//! The CloudFormation templates: GitHub as an identity provider, of which an account has one, and the roles of an
//! environment's pipeline.

use serde_json::{Value, json};

use super::{
    github::Github,
    permissions::{Role, policy},
};
use crate::config::Environment;

/// The logical ids of the roles, which are also the outputs with their ARNs.
pub(super) const DEPLOY: &str = "DeployRole";
pub(super) const PLAN: &str = "PlanRole";

/// GitHub's issuer.
const ISSUER: &str = "token.actions.githubusercontent.com";
/// Whom its tokens are for (<https://docs.github.com/en/actions/reference/security/oidc>).
const AUDIENCE: &str = "sts.amazonaws.com";

/// The provider. AWS trusts GitHub's certificates by their authority, so there is no thumbprint.
pub(super) fn provider() -> Value {
    let provider = json!({
        "Type": "AWS::IAM::OIDCProvider",
        // Roles of other environments, and other repositories, may rely on it.
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {"Url": format!("https://{ISSUER}"), "ClientIdList": [AUDIENCE]},
    });
    // Its ARN is known without an output.
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "GitHub as an identity provider",
        "Resources": {"Provider": provider},
    })
}

/// The roles: each is taken by the jobs of one environment of the repository, and may do what its commands take.
pub(super) fn roles(environment: &Environment, github: &Github) -> Value {
    let role = |role: Role, name: String, of: &str| {
        json!({
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": name,
                "Description": format!("Jobs of {} in the environment {of}", github.repository),
                "AssumeRolePolicyDocument": trust(&github.subject(of)),
                "Policies": [{"PolicyName": "pipeline", "PolicyDocument": policy(environment, role)}],
            },
        })
    };
    let name = &environment.name;
    let arn = |id: &str| json!({"Value": {"Fn::GetAtt": [id, "Arn"]}});
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("Roles of the pipeline to {name}"),
        "Resources": {
            DEPLOY: role(Role::Deploy, format!("slipway-deploy-{name}"), name),
            PLAN: role(Role::Plan, format!("slipway-plan-{name}"), "plan"),
        },
        "Outputs": {DEPLOY: arn(DEPLOY), PLAN: arn(PLAN)},
    })
}

fn trust(subject: &str) -> Value {
    let provider = format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:oidc-provider/{ISSUER}");
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Federated": {"Fn::Sub": provider}},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {format!("{ISSUER}:aud"): AUDIENCE, format!("{ISSUER}:sub"): subject}},
        }],
    })
}
