//! The command line: clap types only, their doc comments are the help.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::image::reference::Pinned;

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
        Exit codes: 0 done, 1 failed, 2 usage or configuration, 70 timed out, 130 interrupted"
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
    /// Build the service's image; its digest goes to stdout
    BuildImage(Reporting),
    /// Build the service's image and push it; its reference by digest goes to stdout
    Push(Reporting),
    /// Print the manifests of an environment
    #[command(after_help = "Examples:\n  cargo xtask render | kubectl diff -f -")]
    Render(Render),
    /// Show what a deploy would change, without changing anything
    ///
    /// The manifests are compared with what the cluster holds, by the image that runs there now: nothing is built. Where
    /// there is no local environment, everything would be created; nothing is started to find out.
    Plan(Deploy),
    /// Show what runs in an environment
    Status(Reporting),
    /// Print the logs of the service's pods
    #[command(after_help = "Examples:\n  cargo xtask logs -f --tail 10\n  cargo xtask logs --previous")]
    Logs(Logs),
    /// Delete what a deploy made in an environment
    Destroy(Reporting),
    /// Look for what would keep a deploy from working, and say how to mend it
    Doctor(Reporting),
    /// The local environment: an embedded Kubernetes whose pods are containers
    Local(Local),
    /// Check formatting, lints and the repository's own rules
    Check,
    /// Set up what the tests need and run them
    #[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test -- --test-threads 1 name_of_a_test")]
    Test(Test),
    /// Measure the figures of the README in a clone of its own, as a table in Markdown; takes minutes
    Bench(Bench),
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

/// Options of `deploy` and `plan`.
#[derive(Debug, Args)]
pub struct Deploy {
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// The format.
    #[command(flatten)]
    pub report: Report,
    /// Take over fields that another manager owns, instead of refusing
    #[arg(long)]
    pub force_conflicts: bool,
}

/// Options of `render`.
#[derive(Debug, Args)]
pub struct Render {
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// The image to put into the manifests instead of its name: REPOSITORY@sha256:DIGEST, as `push` prints it
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<Pinned>,
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

/// Options of `local`.
#[derive(Debug, Args)]
pub struct Local {
    /// What to do with it.
    #[command(subcommand)]
    pub command: LocalCommand,
}

/// The verbs of `local`.
#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Start it, unless it runs
    Up(Report),
    /// Stop it and remove its containers, networks, volumes, images and files, also the images built here
    Down,
    /// Say whether it runs, and where
    Status(Report),
    /// Print the path of its kubeconfig
    #[command(after_help = "Examples:\n  export KUBECONFIG=$(cargo xtask local kubeconfig)")]
    Kubeconfig,
    /// Be its process
    #[command(hide = true)]
    Serve(Serve),
}

/// Options of `local serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where its state is kept
    #[arg(long)]
    pub directory: std::path::PathBuf,
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
    /// The format.
    #[command(flatten)]
    pub report: Report,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

impl Command {
    /// Whether it ends by itself when a signal asks it to.
    pub fn handles_signals(&self) -> bool {
        matches!(self, Self::Local(Local { command: LocalCommand::Serve(_) }))
    }

    /// Whether it leaves something behind when it is interrupted.
    pub fn changes_something(&self) -> bool {
        matches!(
            self,
            Self::Deploy(_) | Self::BuildImage(_) | Self::Push(_) | Self::Destroy(_) | Self::Local(_) | Self::Bench(_)
        )
    }
}
