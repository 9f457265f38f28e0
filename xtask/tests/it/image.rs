//! Building and pushing, with the real Docker Engine, the real cargo, and localkube's registry in this process.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::command::Run;
use bollard::{
    Docker,
    query_parameters::{CreateImageOptionsBuilder, RemoveImageOptionsBuilder},
};
use futures::TryStreamExt as _;
use serde_json::Value;
use xtask::{
    config::{Builder, Cluster, Environment, Image, OnFailure, Registry, Release, Rollout, Service, State},
    error::{Error, Kind},
    image::{
        self, Built, engine,
        reference::{Pinned, Reference},
    },
    registry,
    ui::Step,
};

/// A repository with one small package; with it go the images that were made from it.
struct Project {
    root: PathBuf,
    name: String,
    docker: Docker,
}

const MAIN: &str = "fn main() {\n    println!(\"hello\");\n}\n";

impl Project {
    async fn new() -> Self {
        let unique = hex::encode(std::process::id().to_le_bytes());
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("slipway-image-test-{unique}-{count}");
        let root = std::env::temp_dir().join(&name);
        let _ = std::fs::remove_dir_all(&root);
        let project = Self { root, name, docker: engine::connect().await.unwrap() };
        let manifest = "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
        project.write("Cargo.toml", manifest);
        project.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"hello\"\nversion = \"0.1.0\"\n");
        project.write("src/main.rs", MAIN);
        project.write(".gitignore", "/target\n/.slipway\n");
        project.git(&["init", "--quiet"]);
        project
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.root)
            .args(["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .envs([("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z"), ("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn environment(&self, builder: Builder) -> Environment {
        Environment {
            name: "local".to_owned(),
            file: self.root.join("infra-config/local.yaml"),
            root: self.root.clone(),
            services: vec![Service {
                name: self.name.clone(),
                namespace: "app".to_owned(),
                image: Image { package: "hello".to_owned(), profile: "release".to_owned(), builder },
                manifests: self.root.join("manifests"),
                verify: Vec::new(),
                needs: Vec::new(),
                address: Default::default(),
                secrets: Vec::new(),
            }],
            registry: Registry::Local,
            cluster: Cluster::Local,
            rollout: Rollout { timeout: Duration::from_secs(60), on_failure: OnFailure::Keep },
            release: Release { namespace: "slipway".to_owned(), keep: 10, consent: false },
            state: State::Cluster,
            aws: None,
            uploads: None,
        }
    }

    async fn build(&self) -> Result<Built, Error> {
        self.build_with(&self.environment(Builder::Host)).await
    }

    async fn build_with(&self, environment: &Environment) -> Result<Built, Error> {
        let source = image::source::inspect(&self.root).await?;
        image::build(&self.docker, environment.unit(None)?, &source, &Step::silent()).await
    }

    fn xtask(&self, arguments: &[&str]) -> Run {
        Run::of(Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).current_dir(&self.root))
    }

    async fn remove_images(&self) {
        let list = self.docker.list_images(None::<bollard::query_parameters::ListImagesOptions>).await.unwrap();
        for name in list.into_iter().flat_map(|image| image.repo_tags) {
            if name.contains(&format!("{}:", self.name)) {
                let options = RemoveImageOptionsBuilder::new().force(true).build();
                let _ = self.docker.remove_image(&name, Some(options), None).await;
            }
        }
    }
}

static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

impl Drop for Project {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
        // A test that fails leaves no image either.
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(self.remove_images()));
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verbs_print_what_they_made_and_local_down_removes_it() {
    let project = Project::new().await;
    let configuration = format!("service:\n  name: {}\nimage:\n  package: hello\n", project.name);
    project.write("infra-config/local.yaml", &configuration);
    project.write("manifests/overlays/local/kustomization.yaml", "");
    let images = || output("docker", &["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mut names = Vec::new();
    for round in 1..=2 {
        names.push(format!("{}:{}", project.name, &project.commit()[..12]));
        let run = project.xtask(&["build-image", "--quiet"]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        let id = output("docker", &["inspect", "--format", "{{.Id}}", names.last().unwrap()]);
        assert_eq!(run.stdout, id);
        project.write("src/main.rs", &MAIN.replace("hello", &format!("hello {round}")));
    }
    let run = project.xtask(&["build-image", "--output", "json"]);
    let built: Value = serde_json::from_str(&run.stdout).expect("stdout is JSON");
    names.push(built["name"].as_str().unwrap().to_owned());
    for name in &names {
        assert!(images().contains(name), "{name} is not in\n{}", images());
    }

    let run = project.xtask(&["push"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let (repository, digest) = run.stdout.trim_end().split_once('@').expect("it prints a reference by digest");
    assert!(repository.starts_with("127.0.0.1:") && repository.ends_with(&project.name), "{repository}");
    assert!(run.stderr.contains(" changed  push"), "{}", run.stderr);
    let run = project.xtask(&["push", "--output", "json"]);
    let pushed: Value = serde_json::from_str(&run.stdout).expect("stdout is JSON");
    assert_eq!((&pushed["reference"], &pushed["sent"]), (&Value::from(format!("{repository}@{digest}")), &0.into()));

    let run = project.xtask(&["local", "down"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!images().contains(&project.name), "{}", images());
}

async fn serve_registry(folder: &Path) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = localkube::registry::router(folder);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_runs_as_nobody_from_scratch_and_says_where_it_comes_from() {
    let project = Project::new().await;
    project.git(&["remote", "add", "origin", "https://user:secret@example.com/team/hello.git"]);
    let commit = project.commit();
    let built = project.build().await.unwrap();
    assert!(built.changed);
    assert_eq!(built.tag.as_str(), &commit[..12]);
    assert!(built.size < 10_000_000, "{} bytes", built.size);

    let image = project.docker.inspect_image(&built.name()).await.unwrap();
    assert_eq!(image.id.as_deref(), Some(built.id.as_str()));
    assert_eq!(image.created.as_deref(), Some("2026-01-02T03:04:05Z"));
    let config = image.config.unwrap();
    assert_eq!(config.user.as_deref(), Some("65532:65532"));
    assert_eq!(config.entrypoint, Some(vec!["/hello".to_owned()]));
    assert!(config.env.unwrap().contains(&format!("APP_VERSION={}", built.tag)));
    let labels = config.labels.unwrap();
    let label = |name: &str| labels.get(&format!("org.opencontainers.image.{name}")).map(String::as_str);
    assert_eq!(label("revision"), Some(commit.as_str()));
    assert_eq!(label("version"), Some(built.tag.as_str()));
    assert_eq!(label("created"), Some("2026-01-02T03:04:05Z"));
    assert_eq!(label("source"), Some("https://example.com/team/hello"));
    assert_eq!(label("title"), Some("hello"));
    assert_eq!(output("docker", &["run", "--rm", "--read-only", "--network=none", &built.name()]), "hello\n");

    let container = output("docker", &["create", &built.name()]);
    let archive = project.root.join("target/image.tar");
    output("docker", &["export", "--output", archive.to_str().unwrap(), container.trim()]);
    output("docker", &["rm", container.trim()]);
    let archive = archive.to_str().unwrap();
    let passwd = output("tar", &["--extract", "--to-stdout", "--file", archive, "etc/passwd"]);
    assert!(passwd.lines().any(|line| line.starts_with("nonroot:x:65532:65532:")), "{passwd}");
    let roots = output("tar", &["--extract", "--to-stdout", "--file", archive, "etc/ssl/certs/ca-certificates.crt"]);
    assert!(roots.matches("-----BEGIN CERTIFICATE-----").count() > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_commit_gives_the_same_image_wherever_it_is_built() {
    let (first, second) = (Project::new().await, Project::new().await);
    assert_eq!(first.commit(), second.commit());
    let (one, other) = (first.build().await.unwrap(), second.build().await.unwrap());
    assert_ne!(first.root, second.root);
    assert_eq!(one.id, other.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_input_builds_nothing() {
    let project = Project::new().await;
    let built = project.build().await.unwrap();
    assert!(built.changed && built.tag.as_str().starts_with("uncommitted-"), "{built:?}");
    let binary = project.root.join("target/image/x86_64-unknown-linux-gnu/release/hello");
    let logs = || std::fs::read_dir(project.root.join(".slipway/logs")).unwrap().count();
    std::fs::remove_file(&binary).ok();

    let began = Instant::now();
    let again = project.build().await.unwrap();
    let took = began.elapsed();
    assert_eq!(again, Built { changed: false, ..built.clone() });
    assert_eq!(logs(), 1, "cargo ran");
    assert!(took < Duration::from_millis(500), "{took:?}");

    // An image that is no longer there is made again, and is the same.
    project.remove_images().await;
    let restored = project.build().await.unwrap();
    assert!(restored.changed);
    assert_eq!(restored.id, built.id);

    // A commit without changes replaces the image of uncommitted ones: its name says what it is.
    let commit = project.commit();
    let committed = project.build().await.unwrap();
    assert_eq!((committed.changed, committed.tag.as_str()), (true, &commit[..12]));
    assert!(project.docker.inspect_image(&built.name()).await.is_err(), "the uncommitted image has kept its name");

    // Words beside the package, and words in it that the program does not show, change nothing.
    project.write("README.md", "hello");
    assert_eq!(project.build().await.unwrap(), Built { changed: false, ..committed.clone() });
    project.write("tests/some.rs", "#[test]\nfn nothing() {}\n");
    assert_eq!(project.build().await.unwrap(), Built { changed: false, ..committed.clone() });

    project.write("src/main.rs", &MAIN.replace("hello", "other"));
    let changed = project.build().await.unwrap();
    assert!(changed.changed && changed.id != committed.id);
    assert!(changed.tag.as_str().starts_with(&format!("{}-dirty-", &commit[..12])), "{}", changed.tag);
    assert_eq!(output("docker", &["run", "--rm", "--network=none", &changed.name()]), "other\n");

    // A half-written record costs a build and nothing else.
    let record = project.root.join(format!(".slipway/image-{}.json", project.name));
    let text = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, &text[..text.len() / 2]).unwrap();
    assert_eq!(project.build().await.unwrap().id, changed.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_shows_the_end_of_its_output() {
    let project = Project::new().await;
    project.write("src/main.rs", "fn main() {\n    let number: u32 = \"text\";\n}\n");
    let error = project.build().await.unwrap_err();
    assert_eq!(error.message, "compile package `hello` for the image");
    assert!(error.causes[0].contains("error[E0308]: mismatched types"), "{error:?}");
    assert!(error.causes[0].contains("--> src/main.rs:2:23"), "{error:?}");
    let hint = error.hint.unwrap();
    let log = hint.strip_prefix("the whole output is in ").unwrap();
    assert!(log.starts_with(project.root.join(".slipway/logs/build-").to_str().unwrap()), "{log}");
    assert!(std::fs::read_to_string(log).unwrap().contains("error[E0308]"));

    let mut environment = project.environment(Builder::Host);
    environment.services[0].image.package = "helo".to_owned();
    let error = project.build_with(&environment).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (Kind::Usage, &*format!("there is no package `helo` in {}", project.root.display()))
    );
    assert_eq!(error.hint.as_deref(), Some("set image.package to one of: hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_git_is_told_what_to_do() {
    let project = Project::new().await;
    std::fs::remove_dir_all(project.root.join(".git")).unwrap();
    let error = project.build().await.unwrap_err();
    assert_eq!(error.message, format!("find the git repository of {}", project.root.display()));
    assert_eq!(error.hint.as_deref(), Some("versions are named after commits: git init && git add . && git commit"));
}

fn pinned(pushed: &registry::Pushed) -> &Pinned {
    match &pushed.image {
        Reference::Pinned(pinned) => pinned,
        Reference::Unpushed(image) => panic!("{image} was not pushed"),
    }
}

/// Where there is no registry, the name says what the image is, and stays when the next one comes.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_registry_the_engine_keeps_the_image_by_its_id() {
    let project = Project::new().await;
    let built = project.build().await.unwrap();
    let push = async |built: &Built| {
        registry::push(&project.docker, &registry::Registry::None, built, &Step::silent()).await.unwrap()
    };
    let first = push(&built).await;
    let name = first.image.to_string();
    assert_eq!(name, format!("{}:id-{}", project.name, built.id.as_str().strip_prefix("sha256:").unwrap()));
    assert_eq!(name.parse::<Reference>().unwrap(), first.image);
    assert_eq!((first.sent, push(&built).await.sent), (1, 0));

    project.write("src/main.rs", &MAIN.replace("hello", "other"));
    let next = push(&project.build().await.unwrap()).await;
    assert_ne!(next.image, first.image);
    assert_eq!(output("docker", &["run", "--rm", "--network=none", &name]), "hello\n");
    output("docker", &["rmi", "--force", &name, &next.image.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_push_the_digest_is_what_every_client_sees() {
    let project = Project::new().await;
    project.commit();
    let built = project.build().await.unwrap();
    let registry_folder = project.root.join(".slipway/registry");
    let address = serve_registry(&registry_folder).await;
    let provider = registry::Registry::Local(address);
    let push = async |built: &Built| registry::push(&project.docker, &provider, built, &Step::silent()).await.unwrap();

    let pushed = push(&built).await;
    assert_eq!((pushed.sent, pushed.existing), (2, 0));
    assert_eq!(pinned(&pushed).repository.to_string(), format!("{address}/{}", project.name));
    let again = push(&built).await;
    assert_eq!(again, registry::Pushed { sent: 0, existing: 2, ..pushed.clone() });

    // The list of images has the one useful name.
    let names = output("docker", &["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let names: Vec<&str> = names.lines().filter(|name| name.contains(&project.name)).collect();
    assert_eq!(names, [built.name()]);

    let by_tag = format!("docker://{address}/{}:{}", project.name, built.tag);
    let inspected: Value =
        serde_json::from_str(&output("skopeo", &["inspect", "--tls-verify=false", &by_tag])).unwrap();
    assert_eq!(inspected["Digest"], pinned(&pushed).digest.as_str());

    // Another program: the layer below it is there already.
    project.write("src/main.rs", &MAIN.replace("hello", "other"));
    let next = push(&project.build().await.unwrap()).await;
    assert_eq!((next.sent, next.existing), (1, 1));
    assert_ne!(pinned(&next).digest, pinned(&pushed).digest);

    project.remove_images().await;
    let name = pushed.image.to_string();
    let options = CreateImageOptionsBuilder::new().from_image(&name).build();
    project.docker.create_image(Some(options), None, None).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(project.docker.inspect_image(&name).await.unwrap().id.as_deref(), Some(built.id.as_str()));
    output("docker", &["rmi", "--force", &name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_answer_is_named() {
    let project = Project::new().await;
    let built = project.build().await.unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let provider = registry::Registry::Local(free);
    let error = registry::push(&project.docker, &provider, &built, &Step::silent()).await.unwrap_err();
    let expected = format!("ask the registry for http://{free}/v2/{}/manifests/{}", project.name, built.tag);
    assert_eq!(error.message, expected);
    assert!(error.causes.iter().any(|cause| cause.contains("Connection refused")), "{error:?}");
}

/// Docker answers 200 and tells of the failure in the stream that follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_refused_says_so_and_leaves_no_name_behind() {
    let project = Project::new().await;
    let built = project.build().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refuse = async |request: axum::extract::Request| {
        let status = match (request.method().as_str(), request.uri().path()) {
            ("GET", "/v2/") => 200,
            ("GET" | "HEAD", _) => 404,
            _ => 403,
        };
        let body = r#"{"errors":[{"code":"DENIED","message":"the disk is full"}]}"#;
        http::Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(body.to_owned())
            .unwrap()
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(refuse)).await.unwrap() });

    let provider = registry::Registry::Local(address);
    let error = registry::push(&project.docker, &provider, &built, &Step::silent()).await.unwrap_err();
    assert_eq!(error.message, format!("push {address}/{}:{}", project.name, built.tag));
    assert!(error.causes.iter().any(|cause| cause.contains("the disk is full")), "{error:?}");
    let names = output("docker", &["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let names: Vec<&str> = names.lines().filter(|name| name.contains(&project.name)).collect();
    assert_eq!(names, [built.name()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerfile_is_built_by_buildkit() {
    let project = Project::new().await;
    let dockerfile = "FROM scratch AS sources\nCOPY . /all\n\nFROM scratch\nARG VERSION\nENV APP_VERSION=$VERSION\n\
                      COPY --from=sources /all/src /src\nCOPY --from=sources /all/secret.txt /src/\nUSER 65532:65532\n\
                      ENTRYPOINT [\"/src/main.rs\"]\n";
    project.write("Dockerfile", dockerfile);
    project.write(".dockerignore", "secret*\n");
    project.write("secret.txt", "hidden");
    project.write("src/main.rs", MAIN);
    project.commit();
    let environment = project.environment(Builder::Dockerfile { file: project.root.join("Dockerfile") });
    let build = async || project.build_with(&environment).await;
    // The ignored file was not sent, so it can't be copied.
    let error = build().await.unwrap_err();
    assert_eq!(
        error.message,
        format!("build {}:{} from Dockerfile", project.name, &project.git(&["rev-parse", "HEAD"])[..12])
    );
    assert!(error.causes.iter().any(|cause| cause.contains("COPY --from=sources /all/secret.txt")), "{error:?}");
    assert!(error.hint.unwrap().starts_with("the whole output is in "));

    project.write("Dockerfile", &dockerfile.replace("COPY --from=sources /all/secret.txt /src/\n", ""));
    let built = build().await.unwrap();
    assert!(built.changed);
    let image = project.docker.inspect_image(&built.name()).await.unwrap();
    let config = image.config.unwrap();
    assert!(config.env.unwrap().contains(&format!("APP_VERSION={}", built.tag)));
    let version = config.labels.unwrap().remove("org.opencontainers.image.version");
    assert_eq!(version.as_deref(), Some(built.tag.as_str()));
    assert_eq!(build().await.unwrap(), Built { changed: false, ..built.clone() });
    project.write("secret.txt", "another");
    assert!(!build().await.unwrap().changed, "an ignored file counts as input");
    project.write("src/main.rs", "");
    assert!(build().await.unwrap().changed);
}
