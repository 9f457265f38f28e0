//! The command line: clap types only, their doc comments are the help.

mod bootstrap;
mod cluster;
mod local;
mod rehearsal;
mod releases;

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{config::parse_duration, image::reference::Reference, plan::Protected};

pub use bootstrap::Bootstrap;
pub use cluster::{Cluster, ClusterCommand, Disband, Nodegroup, NodegroupCommand, Renew, Scale, Token, Upgrade};
pub use local::{Local, LocalCommand, Node, Serve};
pub use rehearsal::{Rehearsal, RehearsalCommand};
pub use releases::{Diff, Promote, Rollback, Show, Side, Unlock};

/// From source to a verified release on Kubernetes.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
        cargo xtask deploy                 build, push, apply and check the service on this machine\n  \
        cargo xtask logs -f                follow what it says\n  \
        cargo xtask local down             remove every trace of it\n\n\
        Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 --exit-code found changes, 4 failed and rolled back, \
        70 timed out, 130 interrupted"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Say nothing but errors
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Say more: what each stage does
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub verbose: bool,
    /// When to use colour; it never carries a meaning of its own
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    pub color: Color,
}

/// When words are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The environment to work on.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The environment: the name of a file in infra-config/
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub env: String,
    /// The service, where an environment has several: otherwise a command means all of them; may be repeated
    #[arg(long = "service", value_name = "NAME")]
    pub services: Vec<String>,
}

/// What is run for development.
#[derive(Debug, Args)]
pub struct Dev {
    /// The cargo package that is the service
    #[arg(long, value_name = "NAME", default_value = "app")]
    pub package: String,
}

/// How a result is written to stdout.
#[derive(Debug, Clone, Copy, Args)]
pub struct Report {
    /// How the result is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build, push, apply, wait for the rollout and check the service
    #[command(after_help = "Examples:\n  cargo xtask deploy\n  cargo xtask deploy --output json | jq -r .url")]
    Deploy(Deploy),
    /// Ship what one environment runs to another one, by the same digest; nothing is built
    #[command(after_help = "Examples:\n  cargo xtask promote --from staging --to production")]
    Promote(Promote),
    /// Build the service's image; its digest goes to stdout
    BuildImage(Reporting),
    /// Build the service's image and push it; its reference by digest goes to stdout
    Push(Reporting),
    /// Print the manifests of an environment
    #[command(after_help = "Examples:\n  cargo xtask render | kubectl diff -f -")]
    Render(Render),
    /// Show what a deploy would change, without changing anything
    ///
    /// The manifests are compared with what the cluster holds. Nothing is built or started: the image is the one that was
    /// pushed for this source, and as long as there is none, the one that runs. Where there is no local environment,
    /// everything would be created.
    #[command(
        after_help = "Examples:\n  cargo xtask plan --exit-code\n  cargo xtask plan --out plan.json && cargo xtask apply plan.json"
    )]
    Plan(Plan),
    /// Apply a plan that `plan --out` wrote, exactly as it was shown or not at all
    Apply(Apply),
    /// Show what differs between the release that should run and what is there, and who changed it
    Drift(Drift),
    /// Apply the objects of an earlier release again, without a build
    ///
    /// Without --to it is the release before the one that runs; each time one further back. Of several services each goes
    /// back to its own, those that need others first.
    #[command(after_help = "Examples:\n  cargo xtask rollback\n  cargo xtask rollback --to 41 --env staging")]
    Rollback(Rollback),
    /// List the releases of an environment
    History(Reporting),
    /// Show one release: who, when, what, and the objects that it applied
    #[command(after_help = "Examples:\n  cargo xtask show 42")]
    Show(Show),
    /// Show what differs between two releases, or between one and what runs
    #[command(after_help = "Examples:\n  cargo xtask diff 41 42\n  cargo xtask diff 42 live")]
    Diff(Diff),
    /// Take the lock away from a command that is gone
    Unlock(Unlock),
    /// Show what runs in an environment
    Status(Reporting),
    /// Print the logs of the service's pods
    #[command(after_help = "Examples:\n  cargo xtask logs -f --tail 10\n  cargo xtask logs --previous")]
    Logs(Logs),
    /// Delete what a deploy made in an environment
    Destroy(Reporting),
    /// Look for what would keep a deploy from working, and say how to mend it
    Doctor(Reporting),
    /// Run the service as a process of this machine, built and started anew whenever its source changes
    ///
    /// It listens on 127.0.0.1, or where ADDRESS and PORT say. `compose.yaml` has what it can depend on.
    #[command(
        after_help = "Examples:\n  cargo xtask dev\n  docker compose up --detach && DATABASE_URL=mysql://app:development@127.0.0.1/app cargo xtask dev"
    )]
    Dev(Dev),
    /// The local environment: an embedded Kubernetes whose pods are containers
    Local(Local),
    /// Make what the pipeline needs on AWS before it can run: the bucket of releases, and roles for jobs on GitHub
    #[command(after_help = bootstrap::EXAMPLES)]
    Bootstrap(Bootstrap),
    /// The EKS cluster of an environment
    Cluster(Cluster),
    /// The nodes of the EKS cluster of an environment
    Nodegroup(Nodegroup),
    /// The emulator of AWS that an environment with an endpoint is rehearsed on
    Rehearsal(Rehearsal),
    /// Check formatting, lints and the repository's own rules
    Check,
    /// Set up what the tests need and run them
    #[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test -- --test-threads 1 name_of_a_test")]
    Test(Test),
    /// Measure the figures of the README, as a table in Markdown; takes minutes
    Bench(Bench),
    /// Print the JSON Schema of infra-config/*.yaml, for editors
    #[command(after_help = "Examples:\n  cargo xtask schema > infra-config/schema.json")]
    Schema,
    /// Print completions for a shell
    #[command(
        after_help = "Examples:\n  cargo xtask completions bash > ~/.local/share/bash-completion/completions/xtask"
    )]
    Completions(Completions),
}

/// An environment and a format.
#[derive(Debug, Args)]
pub struct Reporting {
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// The format.
    #[command(flatten)]
    pub report: Report,
}

/// What a command may do to objects beyond the ordinary.
#[derive(Debug, Clone, Default, Args)]
pub struct Changes {
    /// Take over fields that another manager owns, instead of refusing
    #[arg(long)]
    pub take_ownership: bool,
    /// Delete objects and create them again where a field cannot be changed, instead of refusing
    #[arg(long)]
    pub allow_replace: bool,
    /// Also delete objects of this kind: Namespace, PersistentVolumeClaim, PersistentVolume, CustomResourceDefinition or
    /// all; without it they stay when they leave the manifests
    #[arg(long, value_name = "KIND")]
    pub prune_protected: Vec<Protected>,
}

/// How a plan is written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanOutput {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// A comment of a pull request
    Markdown,
}

/// Options of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The plan, as `plan --out` wrote it
    #[arg(value_name = "FILE")]
    pub file: std::path::PathBuf,
    /// The format.
    #[command(flatten)]
    pub report: Report,
    /// Agree to what is planned, where release.consent is required
    #[arg(long)]
    pub yes: bool,
    /// Wait that long for another command that holds the lock, 5m for example, instead of failing at once
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub wait_lock: Option<Duration>,
}

/// Options of `drift`.
#[derive(Debug, Args)]
pub struct Drift {
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// How the result is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: PlanOutput,
    /// Exit with 3 if anything drifted
    #[arg(long)]
    pub exit_code: bool,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// How the result is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: PlanOutput,
    /// Exit with 3 if anything would change
    #[arg(long)]
    pub exit_code: bool,
    /// Also write the plan to a file, for `apply`; builds and pushes the image first, unless --image names one
    #[arg(long, value_name = "FILE")]
    pub out: Option<std::path::PathBuf>,
    /// Plan with this image: REPOSITORY@sha256:DIGEST, as `push` prints it
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<Reference>,
    /// What may be changed.
    #[command(flatten)]
    pub changes: Changes,
}

/// Options of `deploy`.
#[derive(Debug, Args)]
pub struct Deploy {
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// The format.
    #[command(flatten)]
    pub report: Report,
    /// What may be changed.
    #[command(flatten)]
    pub changes: Changes,
    /// Agree to what is planned, where release.consent is required
    #[arg(long)]
    pub yes: bool,
    /// Deploy this image instead of building one: REPOSITORY@sha256:DIGEST, as `push` prints it
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<Reference>,
    /// Wait that long for another command that holds the lock, 5m for example, instead of failing at once
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub wait_lock: Option<Duration>,
}

/// Options of `render`.
#[derive(Debug, Args)]
pub struct Render {
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// The image to put into the manifests instead of its name: REPOSITORY@sha256:DIGEST, as `push` prints it
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<Reference>,
    /// How they are written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Manifests,
}

/// How manifests are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Manifests {
    /// A YAML stream, as `kubectl kustomize` writes it
    #[default]
    Yaml,
    /// One JSON `List`, as `kubectl get -o json` writes it
    Json,
}

/// Options of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// Go on as new lines come
    #[arg(long, short)]
    pub follow: bool,
    /// Begin with that many last lines of each container
    #[arg(long, value_name = "LINES")]
    pub tail: Option<u32>,
    /// The logs of the containers before the last restart
    #[arg(long, conflicts_with = "follow")]
    pub previous: bool,
}

/// Options of `test`.
#[derive(Debug, Args)]
pub struct Test {
    /// Handed on to cargo test and, after another `--`, to the test binaries
    #[arg(last = true)]
    pub arguments: Vec<String>,
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// What is measured
    #[arg(default_value = "delivery")]
    pub measured: Measured,
    /// The format.
    #[command(flatten)]
    pub report: Report,
}

/// What `bench` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measured {
    /// What a deploy and the local environment take, in a clone of the repository
    Delivery,
    /// Fifty deploys of two at once and a hundred that are killed, in a clone: whether the releases stay true
    Releases,
    /// A thousand objects planned and applied beside a bare loop of the same requests, in the local environment
    Objects,
    /// The service under wrk's load beside a bare axum handler and Flask, its memory, its start, and texts; downloads Flask
    Service,
    /// A deploy that changes nothing beside a script of docker, aws and kubectl and beside Ansible; downloads both
    Tools,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}
