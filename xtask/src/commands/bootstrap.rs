//! `bootstrap`: what the pipeline needs on AWS before it can run.

use serde_json::json;

use crate::{
    bootstrap::{self, Roles, github::Github},
    cli::{Bootstrap, Output},
    config,
    error::Result,
    ui::Printer,
};

/// Makes the bucket of releases, and the roles for jobs on GitHub if a repository is named; prints the roles' ARNs.
pub(super) async fn run(options: Bootstrap, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.common.target.env)?;
    bootstrap::account(&environment)?;
    printer.step("state").run(async |_| bootstrap::bucket(&environment).await).await?;
    let mut made = None;
    if let Some(repository) = options.github {
        if !options.existing_provider {
            printer.step("provider").run(async |step| bootstrap::provider(&environment, step).await).await?;
        }
        let github = Github { repository, ids: options.org_id.zip(options.repo_id) };
        let roles = printer.step("roles").run(async |step| bootstrap::roles(&environment, &github, step).await).await?;
        tell(&environment.name, &github, &roles, printer);
        made = Some(roles);
    }
    match (options.common.report.output, made) {
        (Output::Json, roles) => printer.json(&json!({"environment": environment.name, "roles": roles})),
        (Output::Text, Some(Roles { deploy, plan })) => [deploy, plan].into_iter().for_each(|arn| printer.data(arn)),
        (Output::Text, None) => {}
    }
    Ok(())
}

/// What is left to do on GitHub, and in the cluster, which has its own say.
fn tell(environment: &str, github: &Github, roles: &Roles, printer: &Printer) {
    let Roles { deploy, plan } = roles;
    let repository = &github.repository;
    printer.words("\ntell GitHub, once its environments are made:");
    for (of, arn) in [(environment, deploy), ("plan", plan)] {
        printer.words(format!("  gh variable set AWS_ROLE_ARN --repo {repository} --env {of} --body {arn}"));
    }
    printer.words("let them into the cluster: cluster.eks.access in infra-config, then cargo xtask cluster up");
}
