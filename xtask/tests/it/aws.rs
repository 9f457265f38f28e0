//! A service that is pushed to ECR and whose releases are in a bucket, on emulators of AWS.

use std::{
    collections::BTreeSet,
    io::Read as _,
    process::Command,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use xtask::{
    config::{self, Aws, S3State, State},
    release::{Content, Draft, Holder, Keeper, Kind, Ledger, Lock, Outcome},
    ui::Step,
};

use crate::{
    command::{Repository, Run, remove_images},
    emulator::Emulator,
    kubectl,
};

const BUCKET: &str = "slipway-state-test";

/// A repository with a service that answers, pushed to the emulator's registry.
pub(crate) struct Project {
    pub(crate) repository: Repository,
    pub(crate) name: String,
}

pub(crate) const SERVICE: &str = r#"use std::io::{Read, Write};

fn main() {
    let listener = std::net::TcpListener::bind("0.0.0.0:8080").expect("a free port");
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        std::thread::spawn(move || {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nserved");
        });
    }
}
"#;

pub(crate) const MANIFESTS: &str = "apiVersion: v1
kind: Namespace
metadata: {name: app}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {selector: {app: NAME}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: NAME, image: NAME, env: [{name: WORD, value: one}], ports: [{containerPort: 8080}]}]
";

impl Project {
    pub(crate) fn new(section: &str) -> Self {
        let repository = Repository::new(&[
            ("Cargo.toml", "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n"),
            ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n"),
            ("src/main.rs", SERVICE),
            (".gitignore", "/target\n/.slipway\n"),
            ("m/kustomization.yaml", "namespace: app\nresources: [app.yaml]\n"),
        ]);
        let name = format!("aws-{}", repository.root.file_name().expect("it has a name").display());
        repository.write("m/app.yaml", &MANIFESTS.replace("NAME", &name));
        let configuration = format!(
            "{section}service: {{name: {name}}}\nmanifests: m\nregistry: {{ecr: {{repository: 'slipway/{{service}}'}}}}\n\
             state: {{s3: {{bucket: {BUCKET}}}}}\nrollout: {{timeout: 60s}}\n\
             verify: [{{request: {{path: /}}, expect: {{contains: served}}}}]\n"
        );
        repository.write("infra-config/local.yaml", &configuration);
        repository.commit();
        Self { repository, name }
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> Run {
        let run = self.repository.run(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}\n{}{}", run.stdout, run.stderr);
        run
    }

    #[track_caller]
    fn json(&self, arguments: &[&str], code: i32) -> Value {
        let run = self.run(&[arguments, &["--output", "json"]].concat(), code);
        serde_json::from_str(&run.stdout).expect("the report is JSON")
    }

    fn outcomes(&self) -> Vec<String> {
        let history = self.json(&["history"], 0);
        let releases = history["releases"].as_array().cloned().unwrap_or_default();
        let word = |release: &Value| release["outcome"].as_str().unwrap_or_default().to_owned();
        releases.iter().rev().map(word).collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.repository.run(&["local", "down"]);
        remove_images(&[&self.name, &format!("*/*/{}", self.name)]);
    }
}

#[test]
fn a_service_is_shipped_by_ecr_and_recorded_in_a_bucket() {
    let aws = Emulator::ministack();
    let project = Project::new(&aws.section());
    let report = project.json(&["deploy"], 0);
    let reference = report["image"]["reference"].as_str().expect("it was pushed").to_owned();
    let repository = format!("slipway/{}", project.name);
    let digest = reference.strip_prefix(&format!("{}/{repository}@", aws.host())).expect("it is in ECR").to_owned();

    // The repository, as boto3 sees it.
    let live = aws.ask(&format!("ecr.describe_repositories(repositoryNames=['{repository}'])['repositories'][0]"));
    assert_eq!(live["imageTagMutability"], "IMMUTABLE");
    assert_eq!(live["imageScanningConfiguration"]["scanOnPush"], true);
    let policy = format!("json.loads(ecr.get_lifecycle_policy(repositoryName='{repository}')['lifecyclePolicyText'])");
    let rules = aws.ask(&policy)["rules"].clone();
    assert_eq!(rules[0]["selection"]["tagPrefixList"], json!(["release-"]));
    assert_eq!(rules[1]["selection"]["countNumber"], 30);
    let tags = || -> BTreeSet<String> {
        let images = aws.ask(&format!("ecr.describe_images(repositoryName='{repository}')['imageDetails']"));
        let tags = |image: &Value| image["imageTags"].as_array().cloned().unwrap_or_default();
        images
            .as_array()
            .expect("a list")
            .iter()
            .flat_map(tags)
            .map(|tag| tag.as_str().expect("text").to_owned())
            .collect()
    };
    let kept = format!("release-local-{}", &digest["sha256:".len()..][..24]);
    assert!(tags().contains(&kept), "{:?} lacks {kept}", tags());

    // The bucket and what is in it.
    assert_eq!(aws.ask(&format!("s3.get_bucket_versioning(Bucket='{BUCKET}')['Status']")), "Enabled");
    let open = aws.ask(&format!("s3.get_public_access_block(Bucket='{BUCKET}')['PublicAccessBlockConfiguration']"));
    assert_eq!(open["RestrictPublicBuckets"], true);
    let keys = || aws.ask(&format!("[o['Key'] for o in s3.list_objects_v2(Bucket='{BUCKET}').get('Contents', [])]"));
    let prefix = format!("releases/{}.local/00000001", project.name);
    assert_eq!(keys(), json!([format!("{prefix}/content"), format!("{prefix}/head.json")]), "and no lock is left");
    let head =
        aws.ask(&format!("json.loads(s3.get_object(Bucket='{BUCKET}', Key='{prefix}/head.json')['Body'].read())"));
    assert_eq!((&head["outcome"], &head["header"]["image"]), (&json!("succeeded"), &json!(reference)));

    // Again: nothing is uploaded, nothing is recorded.
    let again = project.run(&["deploy"], 0);
    for same in [" same     build", " same     push"] {
        assert!(again.stderr.contains(same), "{}", again.stderr);
    }
    assert_eq!(project.outcomes(), ["succeeded"]);

    // Another release, back to the first, and what they say of each other.
    let manifests = project.repository.read("m/app.yaml");
    project.repository.write("m/app.yaml", &manifests.replace("value: one", "value: two"));
    project.run(&["deploy"], 0);
    let diff = project.run(&["diff", "1", "2"], 0);
    assert!(diff.stdout.contains("two"), "{}", diff.stdout);
    project.run(&["rollback"], 0);
    assert_eq!(project.outcomes(), ["succeeded"; 3]);
    assert!(tags().contains(&kept));

    // Drift of the repository's settings is mended by the next push.
    aws.ask(&format!("ecr.put_image_tag_mutability(repositoryName='{repository}', imageTagMutability='MUTABLE')"));
    project.run(&["push"], 0);
    let live = aws.ask(&format!("ecr.describe_repositories(repositoryNames=['{repository}'])['repositories'][0]"));
    assert_eq!(live["imageTagMutability"], "IMMUTABLE");

    secrets_follow_their_versions(&aws, &project);

    project.run(&["destroy"], 0);
    assert_eq!(keys(), json!([]), "records are left");
}

/// Values that AWS keeps get into the cluster by their versions, and nowhere else.
fn secrets_follow_their_versions(aws: &Emulator, project: &Project) {
    let canary = |number: u32| format!("canary-{number}-e5a1");
    let put = |call: &str, number: u32| {
        aws.ask(&format!("{call}, SecretString=json.dumps({{'url': '{}'}}))['VersionId']", canary(number)))
    };
    let parameter = |number: u32| {
        let call = format!("Name='/test/key', Value='{}', Type='SecureString', Overwrite=True", canary(number));
        aws.ask(&format!("ssm.put_parameter({call})['Version']"))
    };
    let first = put("secretsmanager.create_secret(Name='test/database'", 1);
    parameter(2);
    let configuration = project.repository.read("infra-config/local.yaml");
    let section = "secrets: [{name: fetched, values: [{key: DATABASE_PASSWORD, from: {secrets_manager: {secret: \
                   test/database, field: url}}}, {key: KEY, from: {parameter_store: {parameter: /test/key}}}]}]\n";
    project.repository.write("infra-config/local.yaml", &format!("{configuration}{section}"));
    let manifests = project.repository.read("m/app.yaml");
    let reads = "envFrom: [{secretRef: {name: fetched}}], env:";
    project.repository.write("m/app.yaml", &manifests.replace("env:", reads));

    let mut said = String::new();
    let mut run = |arguments: &[&str], code: i32| {
        let run = project.run(arguments, code);
        said.extend([run.stdout.as_str(), &run.stderr]);
        run
    };
    let kubeconfig = run(&["local", "kubeconfig"], 0).stdout;
    let live = || {
        let mut kubectl = Command::new(kubectl::program());
        kubectl.args([
            "--kubeconfig",
            kubeconfig.trim(),
            "--namespace",
            "app",
            "get",
            "--output=json",
            "secret/fetched",
        ]);
        let secret: Value =
            serde_json::from_slice(&kubectl.output().expect("run kubectl").stdout).expect("it is there");
        ["DATABASE_PASSWORD", "KEY"].map(|key| {
            let value = BASE64_STANDARD.decode(secret["data"][key].as_str().expect("a value")).expect("it is base64");
            String::from_utf8(value).expect("it is text")
        })
    };
    run(&["plan", "--out", ".slipway/plan.json"], 0);
    assert!(run(&["apply", ".slipway/plan.json"], 0).stderr.contains("2 values fetched from AWS"));
    assert_eq!(live(), [canary(1), canary(2)]);
    let again = run(&["deploy"], 0);
    assert!(!again.stderr.contains("fetched"), "{}", again.stderr);

    // New versions are changes, which roll the pods that read them.
    let second = put("secretsmanager.put_secret_value(SecretId='test/database'", 3);
    assert_eq!(parameter(4), 2);
    let plan = run(&["plan", "--exit-code"], 3);
    let text = |version: &Value| version.as_str().expect("an id").to_owned();
    let versions = format!("DATABASE_PASSWORD.secrets_manager.version: {} -> {}\n", text(&first), text(&second));
    for change in [versions.as_str(), "KEY.parameter_store.version: 1 -> 2\n", "slipway.dev/config-hash"] {
        assert!(plan.stdout.contains(change), "{}", plan.stdout);
    }
    run(&["plan", "--output", "json"], 0);
    run(&["deploy"], 0);
    assert_eq!(live(), [canary(3), canary(4)]);

    // What somebody wrote over a value does not stay, and a release before comes with the values that it had.
    run(&["drift", "--exit-code"], 0);
    let mut patch = Command::new(kubectl::program());
    patch.args(["--kubeconfig", kubeconfig.trim(), "--namespace", "app", "patch", "secret/fetched", "--patch"]);
    patch.arg(r#"{"stringData": {"KEY": "overwritten"}}"#);
    assert!(patch.output().expect("run kubectl").status.success());
    run(&["drift", "--exit-code"], 3);
    run(&["deploy", "--take-ownership"], 0);
    assert_eq!(live(), [canary(3), canary(4)]);
    run(&["rollback", "--to", "4"], 0);
    assert_eq!(live(), [canary(1), canary(2)]);

    // One that is missing is said before anything is done.
    let missing = configuration + &section.replace("/test/key", "/test/nothing");
    project.repository.write("infra-config/local.yaml", &missing);
    assert!(run(&["deploy"], 1).stderr.contains("there is no /test/nothing"));

    run(&["history"], 0);
    for number in ["4", "5", "6", "7"] {
        run(&["show", number, "--output", "json"], 0);
    }
    run(&["diff", "4", "live"], 0);
    said.push_str(&project.repository.read(".slipway/plan.json"));
    let bodies = format!(
        "[s3.get_object(Bucket='{BUCKET}', Key=o['Key'])['Body'].read().hex() for o in s3.list_objects_v2(Bucket='{BUCKET}')['Contents']]"
    );
    for body in aws.ask(&bodies).as_array().expect("a list") {
        let bytes = hex::decode(body.as_str().expect("hex")).expect("it is hex");
        let mut text = String::new();
        match flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text) {
            Ok(_) => said.push_str(&text),
            Err(_) => said.push_str(&String::from_utf8_lossy(&bytes)),
        }
    }
    assert!(said.contains("/test/key"), "nothing was looked through");
    for number in 1..=4 {
        for value in [canary(number), BASE64_STANDARD.encode(canary(number))] {
            assert!(!said.contains(&value), "{value} is told");
        }
    }
}

#[test]
fn credentials_of_another_account_are_refused_before_anything_is_done() {
    let aws = Emulator::moto();
    let section = aws.section().replace(aws.account, "111122223333");
    let project = Project::new(&section);
    let run = project.run(&["push"], 2);
    assert!(
        run.stderr.contains("error: the credentials are of account 123456789012, the environment is in 111122223333\n"),
        "{}",
        run.stderr
    );
    assert_eq!(aws.ask("ecr.describe_repositories()['repositories']"), json!([]));
}

/// An environment whose releases are in the emulator's bucket; its cluster is asked for nothing.
fn shared(aws: &Emulator, repository: &Repository) -> config::Environment {
    repository.write("infra-config/local.yaml", "manifests: infra-config\n");
    let mut environment = config::load(&repository.root, "local").expect("it is valid");
    let endpoint = Some(format!("http://{}", aws.host()));
    let aws = Aws { account: aws.account.into(), region: "us-east-2".into(), profile: None, endpoint };
    environment.state = State::S3(S3State { aws, bucket: BUCKET.into() });
    environment.release.keep = 3;
    environment
}

fn nowhere() -> kube::Client {
    let url = "http://127.0.0.1:9".parse().expect("a URL");
    kube::Client::try_from(kube::Config::new(url)).expect("a client")
}

async fn locks_and_records(aws: &Emulator) {
    let repository = Repository::new(&[]);
    let environment = shared(aws, &repository);
    let unit = environment.unit(None).expect("there is one service");
    let client = nowhere();
    let State::S3(bucket) = &environment.state else { panic!("its state is in a bucket") };
    let keeper = Keeper::Bucket(bucket);
    let step = Step::silent();

    // Twelve at once, with no bucket yet: one gets it.
    let holders = futures::future::join_all((0..12).map(|_| Holder::new(&repository.root, "deploy".into()))).await;
    let tries = holders.iter().map(|holder| Lock::take(keeper, unit, holder, None, &step));
    let (held, refused): (Vec<_>, Vec<_>) = futures::future::join_all(tries).await.into_iter().partition(Result::is_ok);
    assert_eq!((held.len(), refused.len()), (1, 11));
    for error in refused.into_iter().filter_map(Result::err) {
        assert!(error.message.starts_with("another command is changing app in local"), "{error}");
    }
    let lock = held.into_iter().next().and_then(Result::ok).expect("one has it");
    lock.check().await.expect("it is ours");

    // Somebody unlocks it: its holder hears that before it changes anything, and leaves the next one's alone.
    let key = aws.ask(&format!("s3.list_objects_v2(Bucket='{BUCKET}')['Contents'][0]['Key']"));
    let key = key.as_str().expect("a key").to_owned();
    aws.ask(&format!("s3.delete_object(Bucket='{BUCKET}', Key='{key}')"));
    assert_eq!(lock.check().await.expect_err("it is gone").causes, ["somebody has unlocked it"]);
    let another = Holder::new(&repository.root, "deploy".into()).await;
    let next = Lock::take(keeper, unit, &another, None, &step).await.expect("it is free");
    lock.release().await.expect("there is nothing to do");
    next.check().await.expect("it is still held");
    next.release().await.expect("it is ours to release");
    assert_eq!(aws.ask(&format!("s3.list_objects_v2(Bucket='{BUCKET}').get('KeyCount', 0)")), 0);

    // One that has not been renewed is taken over, but only after it was watched.
    let stale = "json.dumps({'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease', 'metadata': {'name': 'slipway.app.local'}, \
                 'spec': {'holderIdentity': 'somebody', 'leaseDurationSeconds': 2, 'renewTime': '2026-01-01T00:00:00.000000Z'}})";
    aws.ask(&format!("s3.put_object(Bucket='{BUCKET}', Key='{key}', Body={stale})['ETag']"));
    let began = Instant::now();
    let taken = Lock::take(keeper, unit, &holders[0], None, &step).await.expect("its holder is gone");
    assert!(began.elapsed() >= Duration::from_secs(2), "it was not watched");

    // Records: begun, ended once, and no more of them than are kept.
    let ledger = Ledger::open(&client, unit).await.expect("the bucket is there");
    let draft = Draft {
        kind: Kind::Deploy,
        restored: None,
        commit: None,
        dirty: false,
        image: None,
        plan: "1 created".into(),
        salt: "salt".into(),
        content: Content { changes: vec!["+ ConfigMap app/a".into()], ..Content::default() },
    };
    for number in 1..=5 {
        let begun = ledger.begin(&draft, &holders[0]).await.expect("it is recorded");
        assert_eq!(begun.number, number);
        let outcome = if number == 1 { Outcome::Succeeded } else { Outcome::Failed };
        ledger.end(begun, outcome, 1.5, None).await.expect("it has ended");
    }
    ledger.prune().await.expect("old ones go");
    let numbers = |entries: &[xtask::release::Entry]| entries.iter().map(|e| e.header.number).collect::<Vec<_>>();
    let mut entries = ledger.list().await.expect("they are there");
    assert_eq!(numbers(&entries), [1, 3, 4, 5], "the last that succeeded stays");
    assert_eq!(ledger.read(&entries[0].header).await.expect("it is whole").0, draft.content);

    // A process that was taken for dead may not say that it has succeeded.
    let begun = ledger.begin(&draft, &holders[0]).await.expect("it is recorded");
    entries = ledger.list().await.expect("they are there");
    assert_eq!(ledger.recover(&mut entries).await.expect("it is marked"), [6]);
    let error = ledger.end(begun, Outcome::Succeeded, 1.0, None).await.expect_err("it is abandoned");
    assert!(error.causes[0].contains("taken for abandoned"), "{error}");
    assert_eq!(ledger.list().await.expect("it is there").last().expect("it is").outcome, Outcome::Abandoned);
    assert_eq!(ledger.remove().await.expect("all go"), 5);
    taken.release().await.expect("it is ours");
}

#[tokio::test]
async fn one_at_a_time_holds_the_lock_in_a_bucket() {
    locks_and_records(&Emulator::ministack()).await;
}

#[tokio::test]
async fn another_emulator_sees_the_same_calls_alike() {
    locks_and_records(&Emulator::moto()).await;
}
