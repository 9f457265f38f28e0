//! `cluster`: the EKS cluster of an environment.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode, Kubeconfig, NamedAuthInfo};
use serde_json::json;

use super::{interrupt::Interrupt, lock, rehearsal, session::Session};
use crate::{
    cli::{Cluster, ClusterCommand, Output, Report, Reporting, Target, Token, Upgrade},
    cluster::{self, Purpose, eks},
    config::{self, Eks, Environment, Unit},
    error::{Error, Result},
    ui::{Done, Outcome, Printer, Step},
};

/// Runs a verb of `cluster`.
pub(super) async fn run(options: Cluster, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    match options.command {
        ClusterCommand::Up(options) => up(&options, printer, interrupt).await,
        ClusterCommand::Status(options) => status(&options, printer).await,
        ClusterCommand::Upgrade(options) => upgrade(&options, printer, interrupt).await,
        ClusterCommand::Kubeconfig(target) => kubeconfig(&target, printer).await,
        ClusterCommand::Token(options) => token(&options, printer).await,
        ClusterCommand::Down(options) => down(&options, printer, interrupt).await,
    }
}

pub(super) fn load(root: &Path, target: &Target) -> Result<Environment> {
    config::load(root, &target.env)
}

/// The EKS cluster of an environment.
pub(super) fn eks_of(environment: &Environment) -> Result<&Eks> {
    match &environment.cluster {
        config::Cluster::Eks(eks) => Ok(eks),
        _ => Err(Error::usage(format!("the cluster of {} is not on EKS", environment.name))
            .hint("name an environment whose configuration has cluster.eks: --env NAME")),
    }
}

/// Does some work with the locks of all services, where they can be had without the cluster.
pub(super) async fn holding<T>(
    environment: &Environment,
    command: &str,
    printer: &Printer,
    interrupt: &Interrupt,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let units: Vec<Unit<'_>> = environment.units().collect();
    let session = Session::new(printer, environment, units.clone(), interrupt, command, None).await;
    let result = match interrupt.guard(session.early()).await {
        Ok(()) => session.guard(units[0], work).await,
        Err(error) => Err(error),
    };
    session.close().await;
    result
}

async fn up(options: &Reporting, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    let root = super::root()?;
    let _lock = lock::share(&root, "cluster up")?;
    let environment = load(&root, &options.target)?;
    eks_of(&environment)?;
    rehearsal::begin(&root, &environment.name, printer).await?;
    let make = async |step: &Step| {
        let connection = cluster::connect(&environment, Purpose::Make, step).await?;
        Ok(Done::new(connection.outcome, connection.description.clone(), connection))
    };
    let connection = holding(&environment, "cluster up", printer, interrupt, printer.step("cluster").run(make)).await?;
    if options.report.output == Output::Json {
        printer.json(&json!({"cluster": connection.description, "changed": connection.outcome != Outcome::Same}));
    }
    Ok(())
}

async fn upgrade(options: &Upgrade, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    let root = super::root()?;
    let _lock = lock::share(&root, "cluster upgrade")?;
    let environment = load(&root, &options.reporting.target)?;
    let eks = eks_of(&environment)?;
    let upgrade = async |step: &Step| {
        let done = Box::pin(eks::upgrade(&environment, eks, options.to.as_deref(), options.force, step)).await?;
        Ok(Done::new(done.outcome, format!("EKS {}, Kubernetes {}", eks.name, done.version), done))
    };
    let work = printer.step("upgrade").run(upgrade);
    let done = holding(&environment, "cluster upgrade", printer, interrupt, work).await?;
    if done.version != eks.version {
        let file = format!("infra-config/{}.yaml", environment.name);
        printer.words(format!("\nnow set cluster.eks.version to \"{}\" in {file}", done.version));
    }
    if options.reporting.report.output == Output::Json {
        printer.json(&json!({"cluster": eks.name, "version": done.version, "changes": done.changes}));
    }
    Ok(())
}

async fn status(options: &Reporting, printer: &Printer) -> Result<()> {
    let environment = load(&super::root()?, &options.target)?;
    let eks = eks_of(&environment)?;
    let planned = Box::pin(eks::plan(eks)).await?;
    let changes = planned.lines(eks);
    if options.report.output == Output::Json {
        let notice = &planned.notice;
        printer.json(&json!({"cluster": eks.name, "parts": planned.parts(), "changes": changes, "notice": notice}));
        return Ok(());
    }
    planned.notice.iter().for_each(|notice| printer.warning(notice));
    planned.parts().iter().for_each(|(name, status)| printer.data(format!("{name:<40} {status}")));
    match changes.is_empty() {
        true => printer.words("\nas configured"),
        false => printer.words(format!("\ndiffers:\n  {}", changes.join("\n  "))),
    }
    Ok(())
}

/// The user's entry holds no secret: kubectl asks this program for a token, and again when one ends.
async fn kubeconfig(target: &Target, printer: &Printer) -> Result<()> {
    let root = super::root()?;
    let environment = load(&root, target)?;
    let eks = eks_of(&environment)?;
    let mut kubeconfig: Kubeconfig = Box::pin(eks::kubeconfig(eks)).await?.ok_or_else(|| {
        Error::failed(format!("there is no cluster {}", eks.name))
            .hint(format!("make it: cargo xtask cluster up --env {}", environment.name))
    })?;
    let program =
        std::env::current_exe().map_err(|error| Error::failed("find this program's own file").source(&error))?;
    let root_text = root.display().to_string();
    let arguments = ["cluster", "token", "--env", &environment.name, "--root", &root_text];
    let exec = ExecConfig {
        api_version: Some(EXEC_API.to_owned()),
        command: Some(program.display().to_string()),
        args: Some(arguments.map(str::to_owned).into()),
        interactive_mode: Some(ExecInteractiveMode::IfAvailable),
        ..ExecConfig::default()
    };
    let auth_info = AuthInfo { exec: Some(exec), ..AuthInfo::default() };
    kubeconfig.auth_infos =
        vec![NamedAuthInfo { name: eks.name.clone(), auth_info: Some(auth_info), ..NamedAuthInfo::default() }];
    for context in kubeconfig.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
        context.user = Some(eks.name.clone());
    }
    let path = root.join(".slipway").join(format!("kubeconfig-{}", environment.name));
    let written = serde_json::to_string_pretty(&kubeconfig).map_err(std::io::Error::other).and_then(|text| {
        fs::create_dir_all(root.join(".slipway"))?;
        let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())
    });
    written.map_err(|error| Error::failed(format!("write {}", path.display())).source(&error))?;
    printer.data(path.display().to_string());
    Ok(())
}

/// The version of the protocol between kubectl and its credential plugins.
const EXEC_API: &str = "client.authentication.k8s.io/v1";

async fn token(options: &Token, printer: &Printer) -> Result<()> {
    let root = options.root.clone().map_or_else(super::root, Ok)?;
    let environment = load(&root, &options.target)?;
    let token = Box::pin(eks::tokens(eks_of(&environment)?)).await?.make().await?;
    let until = Timestamp::now() + eks::token::LIFETIME;
    let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
    printer.json(&json!({
        "apiVersion": EXEC_API,
        "kind": "ExecCredential",
        "spec": {"interactive": false},
        "status": {"expirationTimestamp": until, "token": token.reveal()},
    }));
    Ok(())
}

async fn down(options: &Reporting, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    let root = super::root()?;
    let _lock = lock::share(&root, "cluster down")?;
    let environment = load(&root, &options.target)?;
    let remove = remove(&environment, eks_of(&environment)?, printer);
    let removed = holding(&environment, "cluster down", printer, interrupt, remove).await?;
    report(&environment, &removed, options.report, printer);
    Ok(())
}

/// Removes the cluster, and with it the rehearsal that it was part of.
pub(super) async fn remove(environment: &Environment, eks: &Eks, printer: &Printer) -> Result<Vec<String>> {
    let removed = if cluster::rehearsal::is_missing(&eks.aws).await {
        Vec::new()
    } else {
        let remove = async |step: &Step| {
            let removed = Box::pin(eks::remove(environment, eks, step)).await?;
            removed.iter().for_each(|line| step.detail(line));
            let outcome = if removed.is_empty() { Outcome::Same } else { Outcome::Changed };
            Ok(Done::new(outcome, format!("{} parts removed", removed.len()), removed))
        };
        printer.step("cluster").run(remove).await?
    };
    Ok(removed)
}

fn report(environment: &Environment, removed: &[String], report: Report, printer: &Printer) {
    if report.output == Output::Json {
        printer.json(&json!({"environment": environment.name, "removed": removed}));
    }
}
