//! What an environment's pipeline on GitHub needs before it can run: an identity provider, roles and the bucket of
//! releases. Who makes it may make roles.

pub(crate) mod github;
pub mod permissions;
mod template;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::Value;

use self::github::Github;
use crate::{
    cluster::eks::{Clients, names, stacks},
    config::{Aws, Environment, State},
    error::{Error, Result},
    release,
    ui::{Done, Outcome, Step},
};

/// The stack of the provider, which an account has once.
const PROVIDER: &str = "slipway-github";

/// The ARNs of the roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Roles {
    pub(crate) deploy: String,
    pub(crate) plan: String,
}

/// The account of an environment.
pub(crate) fn account(environment: &Environment) -> Result<&Aws> {
    environment.aws.as_ref().ok_or_else(|| {
        Error::usage(format!("{} is not on AWS: there is nothing to make for it", environment.name))
            .hint("name the account and the region in the section `aws`")
    })
}

/// Makes the bucket of releases what it should be, if there is one.
pub(crate) async fn bucket(environment: &Environment) -> Result<Done<()>> {
    match &environment.state {
        State::Cluster => Ok(Done::new(Outcome::Same, "releases are recorded in the cluster", ())),
        State::S3(state) => {
            let made = Box::pin(release::make_bucket(state)).await?;
            let outcome = if made { Outcome::Changed } else { Outcome::Same };
            Ok(Done::new(outcome, format!("s3://{}", state.bucket), ()))
        }
    }
}

/// Makes GitHub an identity provider of the account.
pub(crate) async fn provider(environment: &Environment, step: &Step) -> Result<Done<()>> {
    let clients = Clients::new(account(environment)?).await?;
    let outcome = put(&clients, PROVIDER, &template::provider(), &[], step).await.map_err(|error| {
        let taken =
            error.causes.iter().any(|cause| cause.contains("already exists") || cause.contains("AlreadyExists"));
        if taken { error.hint("the account has it already: say so with --existing-provider") } else { error }
    })?;
    Ok(Done::new(outcome, PROVIDER, ()))
}

/// Makes the roles that jobs of the repository take.
pub(crate) async fn roles(environment: &Environment, github: &Github, step: &Step) -> Result<Done<Roles>> {
    let clients = Clients::new(account(environment)?).await?;
    let name = format!("slipway-{}-pipeline", environment.name);
    let tags = [(names::TAG, environment.name.clone())];
    let outcome = put(&clients, &name, &template::roles(environment, github), &tags, step).await?;
    let stack = stacks::find(&clients, &name).await?;
    let output = |id: &str| stack.as_ref().and_then(|stack| stack.outputs.get(id).cloned()).unwrap_or_default();
    let roles = Roles { deploy: output(template::DEPLOY), plan: output(template::PLAN) };
    Ok(Done::new(outcome, name, roles))
}

/// Makes a stack what the template says, if it is not.
async fn put(clients: &Clients, name: &str, template: &Value, tags: &[(&str, String)], step: &Step) -> Result<Outcome> {
    let there = stacks::find(clients, name).await?;
    if there.is_some_and(|stack| !stack.is_half_made() && stack.template == *template && stack.protected) {
        return Ok(Outcome::Same);
    }
    stacks::put(clients, name, template, tags, true, step).await?;
    Ok(Outcome::Changed)
}
