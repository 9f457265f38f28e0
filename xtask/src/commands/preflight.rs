//! What must be true before anything is done, looked at all at once, each failure with its remedy.

use std::path::Path;

use tokio::process::Command;

use crate::{
    cluster,
    config::{self, Builder, Environment},
    error::{Error, Result},
    image::{
        engine,
        source::{self, Source},
    },
    manifests::{self, Object},
    ui::{Done, Outcome, Printer, Step},
};

/// Less than this and a build or a container is likely to fail halfway.
const DISK_SPACE: u64 = 2 << 30;

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) name: &'static str,
    /// What was found, or what is wrong.
    pub(super) result: Result<String>,
}

/// Everything that was looked at; the environment if its file is right, and what git says if it says something.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) environment: Option<Environment>,
    source: Option<Source>,
    pub(super) list: Vec<Finding>,
}

/// Looks at everything that a deploy to the environment needs.
pub(super) async fn look(root: &Path, name: &str) -> Findings {
    let environment = config::load(root, name);
    let host = environment
        .as_ref()
        .is_ok_and(|environment| environment.services.iter().any(|service| service.image.builder == Builder::Host));
    let objects = environment.as_ref().map(objects).unwrap_or_default();
    let access = async {
        match &environment {
            Ok(environment) => cluster::check_access(environment, &objects).await,
            Err(_) => Ok(None),
        }
    };
    // It blocks, while the programs that the others started work.
    let ports = async { environment.as_ref().map(|environment| ports(environment, &objects)).unwrap_or_default() };
    let (docker, git, linker, access, ports) =
        tokio::join!(docker(), source::inspect(root), linker(host), access, ports);
    let mut list = Vec::new();
    let mut add = |name, result| list.push(Finding { name, result });
    let environment = match environment {
        Ok(environment) => {
            add("configuration", Ok(format!("{}/{name}.yaml", config::DIRECTORY)));
            ports.into_iter().for_each(|result| add("ports", result));
            match access {
                Ok(found) => found.into_iter().for_each(|found| add("cluster", Ok(found))),
                Err(errors) => errors.into_iter().for_each(|error| add("cluster", Err(error))),
            }
            Some(environment)
        }
        Err(error) => {
            add("configuration", Err(error));
            None
        }
    };
    add("Docker", docker);
    add("disk", disk(root));
    let (git, source) = match git {
        Ok(source) => (Ok(format!("commit {}", source.tag())), Some(source)),
        Err(error) => (Err(error), None),
    };
    add("git", git);
    if host {
        add("linker", linker);
    }
    Findings { environment, source, list }
}

/// Looks at everything and goes on only when nothing is wrong.
pub(super) async fn pass(root: &Path, name: &str, printer: &Printer) -> Result<(Environment, Source)> {
    let look = async |_: &Step| {
        let (checked, summary) = look(root, name).await.check()?;
        Ok(Done::new(Outcome::Ok, summary, checked))
    };
    printer.step("preflight").run(look).await
}

impl Findings {
    /// What the stages go on with, when nothing is wrong.
    ///
    /// # Errors
    /// Everything that is wrong, in one error.
    fn check(self) -> Result<((Environment, Source), String)> {
        let said = |name: &str| {
            let finding = self.list.iter().find(|finding| finding.name == name);
            finding.and_then(|finding| finding.result.as_ref().ok()).cloned().unwrap_or_default()
        };
        let summary = format!("{}, {}", said("git"), said("Docker"));
        let failed: Vec<Error> = self.list.into_iter().filter_map(|finding| finding.result.err()).collect();
        let headline = format!("{} things keep this from working", failed.len());
        match (Error::gathered(headline, failed), self.environment.zip(self.source)) {
            (Some(error), _) => Err(error),
            (None, Some(checked)) => Ok((checked, summary)),
            (None, None) => Err(Error::usage("the environment cannot be read")),
        }
    }
}

async fn docker() -> Result<String> {
    let docker = engine::connect().await?;
    let version = docker.version().await.map_err(|error| Error::failed("ask Docker for its version").source(&error))?;
    Ok(format!("Docker {}", version.version.unwrap_or_default()))
}

/// Manifests that cannot be rendered are reported by the stage that renders them, with their own places.
fn objects(environment: &Environment) -> Vec<Object> {
    environment.units().filter_map(|unit| manifests::render(unit, None).ok()).flatten().collect()
}

fn ports(environment: &Environment, objects: &[Object]) -> Vec<Result<String>> {
    let ports = cluster::published(objects.iter().map(Object::value));
    match cluster::check_ports(environment, &ports) {
        None => Vec::new(),
        Some(_) if ports.is_empty() => Vec::new(),
        Some(taken) if taken.is_empty() => {
            let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
            vec![Ok(format!("{} free or ours", ports.join(", ")))]
        }
        Some(taken) => taken.into_iter().map(Err).collect(),
    }
}

fn disk(root: &Path) -> Result<String> {
    let space = rustix::fs::statvfs(root)
        .map_err(|error| Error::failed(format!("ask how much space {} has", root.display())).source(&error))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free < DISK_SPACE {
        return Err(Error::failed(format!(
            "{} MB are free in {}, {} MB are needed",
            free >> 20,
            root.display(),
            DISK_SPACE >> 20
        ))
        .hint("make room, for example with `docker image prune` or by removing target/"));
    }
    Ok(format!("{} GB free", free >> 30))
}

/// The host builder links statically, which needs the C library as an archive.
async fn linker(needed: bool) -> Result<String> {
    if !needed {
        return Ok(String::new());
    }
    let hint = "install a C compiler with the static C library (Debian: build-essential; Fedora: gcc glibc-static), \
                or set image.builder to dockerfile";
    let output = Command::new("cc")
        .arg("-print-file-name=libc.a")
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| Error::failed("run the C compiler `cc`, which links").source(&error).hint(hint))?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    // The compiler repeats the bare name when it has no such file.
    if Path::new(&path).is_absolute() {
        Ok(format!("static libc {path}"))
    } else {
        Err(Error::failed("the linker has no static C library (libc.a)").hint(hint))
    }
}
