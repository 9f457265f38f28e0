//! Releases as a person meets them: who may deploy, what is recorded, and what is there after a failure, a signal or a
//! kill.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use xtask::{
    error::Kind,
    manifests::Object,
    release::{Content, Draft, Holder, Keeper, Kind as Made, Ledger, Lock, Outcome},
    ui::Step,
};

use crate::{
    command::{Repository, Run},
    delivery::Local,
    rollout::{Pulled, push},
};

const DEPLOYMENT: &str = "manifests/base/deployment.yaml";
/// Two deploys at once.
const RACES: usize = 20;
/// Deploys killed.
const KILLS: usize = 12;

/// A local environment with a service that takes a moment to roll out, and its image.
pub(crate) struct Ground {
    pub(crate) image: String,
    pub(crate) local: Local,
    /// Another checkout for the same cluster; its file lock is not the first one's.
    other: Repository,
    /// Behind the cluster: an image that a container uses stays.
    _pulled: Pulled,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        let local = Local::new().await;
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").port();
        local.edit("manifests/overlays/local/kustomization.yaml", "value: 8080", &format!("value: {port}"));
        local.edit(DEPLOYMENT, "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 1");
        let mode = "            - name: MODE\n              value: serve\n            - name: DRAIN_DELAY";
        local.edit(DEPLOYMENT, "            - name: DRAIN_DELAY", mode);
        local.edit(DEPLOYMENT, "spec:\n", "spec:\n  minReadySeconds: 1\n");
        local.edit("manifests/base/horizontalpodautoscaler.yaml", "minReplicas: 3", "minReplicas: 1");
        let verify = "verify:\n  - request: {path: /}\n    expect: {contains: serve}\n";
        let configuration = format!("rollout:\n  timeout: 60s\n{verify}");
        local.repository.write("infra-config/local.yaml", &configuration);
        let image = push(&local);

        let other = Repository::new(&[]);
        for directory in ["infra-config", "manifests"] {
            crate::delivery::copy(&local.repository.root.join(directory), &other.root.join(directory));
        }
        fs::create_dir_all(other.root.join(".slipway")).expect("create a directory");
        std::os::unix::fs::symlink(local.repository.root.join(".slipway/local"), other.root.join(".slipway/local"))
            .expect("link the cluster");
        Self { _pulled: Pulled(image.clone()), image, local, other }
    }

    /// Makes the next deploys, of both checkouts, change something.
    pub(crate) fn change(&self, value: &str) {
        for repository in [&self.local.repository, &self.other] {
            let text = repository.read(DEPLOYMENT);
            let line = text.lines().skip_while(|line| !line.contains("name: MODE")).nth(1).expect("MODE has a value");
            repository.write(DEPLOYMENT, &text.replace(line, &format!("              value: {value}")));
        }
    }

    fn start(&self, repository: &Repository) -> Child {
        let mut command = repository.command(&["deploy", "--image", &self.image]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start a deploy")
    }

    pub(crate) fn deploy(&self) -> Run {
        self.local.repository.run(&["deploy", "--image", &self.image])
    }

    #[track_caller]
    pub(crate) fn deploys(&self) -> Run {
        let run = self.deploy();
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run
    }

    /// The releases, the newest first.
    pub(crate) fn history(&self) -> Vec<Value> {
        let run = self.local.repository.run(&["history", "--output", "json"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let report: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
        report["releases"].as_array().expect("a list").clone()
    }

    /// What the Deployment asks for now.
    pub(crate) async fn mode(&self) -> String {
        let deployment = self.local.deployment().await;
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let mut variables = container["env"].as_array().expect("it has variables").iter();
        variables
            .find(|variable| variable["name"] == "MODE")
            .and_then(|mode| mode["value"].as_str())
            .unwrap_or("")
            .into()
    }

    pub(crate) fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.local.client.clone(), "slipway")
    }
}

fn output(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn outcomes(history: &[Value]) -> Vec<&str> {
    history.iter().map(|release| release["outcome"].as_str().expect("it has an outcome")).collect()
}

#[tokio::test]
async fn of_two_deploys_at_once_exactly_one_proceeds() {
    let ground = Ground::new().await;
    ground.deploys();
    for round in 0..RACES {
        ground.change(&format!("serve{round}"));
        let (first, second) = (ground.start(&ground.local.repository), ground.start(&ground.other));
        let mut ends = [output(first), output(second)];
        ends.sort();
        let [(won, _), (lost, words)] = &ends;
        assert_eq!((*won, *lost), (Some(0), Some(1)), "round {round}: {ends:?}");
        for word in
            ["another command is changing app in local", "cargo xtask deploy --env local (", "cargo xtask unlock "]
        {
            assert!(words.contains(word), "round {round}: {word:?} is not said:\n{words}");
        }
    }
    let history = ground.history();
    assert_eq!(history[0]["number"], RACES as u64 + 1, "each round made one release");
    assert!(outcomes(&history).iter().all(|outcome| *outcome == "succeeded"), "{history:#?}");
    assert_eq!(history.len(), 10, "the oldest are not kept");

    // Who waits gets it.
    ground.change("serve");
    let first = ground.start(&ground.other);
    let deadline = Instant::now() + Duration::from_secs(30);
    while ground.leases().list(&ListParams::default()).await.expect("a list").items.is_empty() {
        assert!(Instant::now() < deadline, "the first never took the lock");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let wait = ["deploy", "--image", &ground.image, "--wait-lock", "1m"];
    let second = ground.local.repository.run(&wait);
    assert_eq!((output(first).0, second.code), (Some(0), Some(0)), "{}", second.stderr);
    assert!(ground.leases().list(&ListParams::default()).await.expect("a list").items.is_empty(), "a lock was left");
}

#[tokio::test]
async fn after_a_kill_the_next_deploy_converges_and_no_success_is_claimed() {
    let ground = Ground::new().await;
    ground.deploys();
    // A fixed seed: the moments are always the same, what they meet is not.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..KILLS {
        let mode = format!("serve{round}");
        ground.change(&mode);
        let before = ground.history();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut child = ground.start(&ground.local.repository);
        std::thread::park_timeout(Duration::from_millis(seed % 1_800));
        child.kill().expect("kill the deploy");
        let (code, _) = output(child);
        let killed = ground.history();
        if code.is_none() && killed[0]["outcome"] == "succeeded" && killed[0]["number"] != before[0]["number"] {
            // Killed after its last write: then it is true.
            assert_eq!(ground.mode().await, mode, "round {round}: a success that was none");
        }
        let run = ground.deploys();
        let history = ground.history();
        assert_eq!(history[0]["outcome"], "succeeded", "round {round}: {}", run.stderr);
        assert_eq!(ground.mode().await, mode, "round {round}: it did not converge");
        assert!(!outcomes(&history).contains(&"begun"), "round {round}: {history:#?}");
        if killed[0]["outcome"] == "begun" {
            assert_eq!(history[1]["outcome"], "abandoned", "round {round}: {history:#?}");
            assert!(run.stderr.contains("it is marked as abandoned"), "{}", run.stderr);
        }
    }
    assert!(ground.leases().list(&ListParams::default()).await.expect("a list").items.is_empty(), "a lock was left");
}

#[tokio::test]
async fn what_fails_is_rolled_back_and_what_is_asked_back_comes_back() {
    let ground = Ground::new().await;
    ground.change("crash");
    // There is nothing to go back to yet.
    let first = ground.deploy();
    assert_eq!(first.code, Some(1), "{}", first.stderr);
    assert!(first.stderr.contains("there is no release before it to go back to"), "{}", first.stderr);

    ground.change("serve");
    ground.deploys();
    ground.change("crash");
    let broken = ground.deploy();
    assert_eq!(broken.code, Some(4), "{}", broken.stderr);
    for word in ["exits with code 78", "got \"crash\"", "1 old pod still serves", "rolled back to release 2 (sha256:"] {
        assert!(broken.stderr.contains(word), "{word:?} is not said:\n{}", broken.stderr);
    }
    assert_eq!(outcomes(&ground.history()), ["succeeded", "rolled-back", "succeeded", "failed"]);
    assert_eq!(ground.mode().await, "serve");
    let shown = ground.local.repository.run(&["show", "3"]);
    assert!(shown.stdout.contains("got \"crash\"") && shown.stdout.contains("value: crash"), "{}", shown.stdout);

    // One that failed is not gone back to by mistake.
    let refused = ground.local.repository.run(&["rollback", "--to", "3"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("release 3 never ran as it should: it is recorded as rolled-back"),
        "{}",
        refused.stderr
    );

    ground.change("serve2");
    ground.deploys();
    let diff = ground.local.repository.run(&["diff", "2", "5"]);
    assert_eq!(
        diff.stdout,
        "~ Deployment app/app\n    spec.template.spec.containers[app].env[MODE].value: serve -> serve2\n"
    );
    let began = Instant::now();
    let back = ground.local.repository.run(&["rollback"]);
    assert_eq!(back.code, Some(0), "{}", back.stderr);
    assert_eq!(ground.mode().await, "serve");
    assert!(!back.stderr.contains(" build "), "a rollback builds nothing: {}", back.stderr);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let diff = ground.local.repository.run(&["diff", "5", "live", "--output", "json"]);
    let diff: Value = serde_json::from_str(&diff.stdout).expect("it is JSON");
    assert_eq!(diff["differences"][0]["fields"][0]["after"], "serve", "{diff:#}");
    let forth = ground.local.repository.run(&["rollback", "--to", "5"]);
    assert_eq!(forth.code, Some(0), "{}", forth.stderr);
    assert_eq!(ground.mode().await, "serve2");
    assert_eq!(ground.history()[0]["restored"], 5);

    // What is destroyed leaves neither records nor a lock.
    let destroyed = ground.local.repository.run(&["destroy"]);
    assert_eq!(destroyed.code, Some(0), "{}", destroyed.stderr);
    assert!(ground.history().is_empty());
    assert!(ground.leases().list(&ListParams::default()).await.expect("a list").items.is_empty());
}

#[tokio::test]
async fn a_signal_marks_the_record_and_frees_the_lock() {
    let ground = Ground::new().await;
    ground.deploys();
    for (signal, value) in [("-TERM", "serve1"), ("-INT", "serve2")] {
        ground.change(value);
        let child = ground.start(&ground.local.repository);
        let number = ground.history()[0]["number"].as_u64().expect("a number");
        let deadline = Instant::now() + Duration::from_secs(20);
        // Until it is under way.
        while ground.history()[0]["number"] == number && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Command::new("kill").args([signal, &child.id().to_string()]).status().expect("run kill");
        let (code, words) = output(child);
        assert_eq!(code, Some(130), "{words}");
        assert_eq!(ground.history()[0]["outcome"], "interrupted", "{words}");
        let leases = ground.leases().list(&ListParams::default()).await.expect("a list").items;
        assert!(leases.is_empty(), "the lock was left: {words}");
    }
    let run = ground.deploys();
    assert!(!run.stderr.contains("took over"), "{}", run.stderr);
}

#[tokio::test]
async fn secrets_are_in_no_record_and_come_back_all_the_same() {
    const CANARY: &str = "canary-7c41d9e2";
    let ground = Ground::new().await;
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: keys, namespace: app}}\nstringData: {{plain: {value}}}\n"
        )
    };
    ground.local.repository.write("manifests/base/secret.yaml", &secret(CANARY));
    ground.local.edit(
        "manifests/base/kustomization.yaml",
        "  - namespace.yaml\n",
        "  - namespace.yaml\n  - secret.yaml\n",
    );
    let variables = format!(
        "            - {{name: API_TOKEN, value: {CANARY}}}\n            - {{name: STORE, value: \"redis://u:{CANARY}@h/0\"}}\n            - name: MODE\n"
    );
    ground.local.edit(DEPLOYMENT, "            - name: MODE\n", &variables);
    let mut said = ground.deploys().stderr;
    ground.local.edit(DEPLOYMENT, "value: serve", "value: serve2");
    said += &ground.deploys().stderr;
    for arguments in [&["show", "1"] as &[&str], &["diff", "1", "2"], &["diff", "1", "live"], &["history"]] {
        let run = ground.local.repository.run(arguments);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        said += &(run.stdout + &run.stderr);
    }
    let records: Api<Secret> = Api::namespaced(ground.local.client.clone(), "slipway");
    for record in records.list(&ListParams::default()).await.expect("a list") {
        let data: BTreeMap<String, Vec<u8>> =
            record.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect();
        let mut text = String::new();
        let mut content = flate2::read::GzDecoder::new(&data["content"][..]);
        std::io::Read::read_to_string(&mut content, &mut text).expect("it is compressed text");
        assert!(text.contains("API_TOKEN"), "the Deployment is in it");
        said += &text;
        said += &format!("{:?}{:?}", record.metadata, data);
    }
    assert!(!said.contains(CANARY) && !said.contains("Y2FuYXJ5"), "the secret was told");

    // From what is live: the Secret itself and the pod template of before.
    let back = ground.local.repository.run(&["rollback"]);
    assert_eq!(back.code, Some(0), "{}", back.stderr);
    let env = ground.local.deployment().await["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    assert!(env.to_string().contains(&format!("redis://u:{CANARY}@h/0")), "{env:#}");

    // Values of a name that stays have moved on: they are left, and that is said.
    ground.local.repository.write("manifests/base/secret.yaml", &secret("another"));
    said = ground.deploys().stderr;
    let back = ground.local.repository.run(&["rollback"]);
    assert_eq!(back.code, Some(0), "{said}{}", back.stderr);
    assert!(back.stderr.contains("Secret keys stays as it is"), "{}", back.stderr);
}

#[tokio::test]
async fn hooks_run_once_a_release_and_a_failing_one_stops_it() {
    let ground = Ground::new().await;
    let job = |phase: &str, mode: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {phase}\n  namespace: app\n  annotations: \
             {{slipway.dev/hook: {phase}}}\nspec:\n  backoffLimit: 0\n  template:\n    spec:\n      restartPolicy: Never\n      \
             securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}\n      \
             containers:\n        - name: hook\n          image: app\n          env: [{{name: MODE, value: {mode}}}]\n          \
             securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}\n"
        )
    };
    let base = |name: &str| format!("manifests/base/{name}.yaml");
    ground.local.repository.write(&base("pre"), &job("pre-deploy", "done"));
    ground.local.repository.write(&base("post"), &job("post-deploy", "done"));
    ground.local.edit(
        &base("kustomization"),
        "  - namespace.yaml\n",
        "  - namespace.yaml\n  - pre.yaml\n  - post.yaml\n",
    );
    let run = ground.deploys();
    let row =
        |stage: &str| run.stderr.find(&format!(" {stage} ")).unwrap_or_else(|| panic!("no {stage}: {}", run.stderr));
    let order = ["prepare", "pre-deploy", "apply", "rollout", "post-deploy", "verify"].map(row);
    assert!(order.is_sorted(), "{}", run.stderr);
    let again = ground.deploys();
    assert!(again.stderr.contains("release 1 stands"), "hooks are no change: {}", again.stderr);

    ground.change("serve2");
    ground.local.repository.write(&base("pre"), &job("pre-deploy", "crash"));
    let run = ground.deploy();
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(
        run.stderr.contains("pre-deploy hook Job app/pre-deploy") && run.stderr.contains("got \"crash\""),
        "{}",
        run.stderr
    );
    assert_eq!(ground.mode().await, "serve", "the workload changed although the hook failed");
}

fn draft(objects: &[Object]) -> Draft {
    Draft {
        kind: Made::Deploy,
        restored: None,
        commit: None,
        dirty: false,
        image: None,
        plan: "1 created".into(),
        salt: "salt".into(),
        content: Content::seal(objects, vec!["+ ConfigMap app/a".into()], "salt"),
    }
}

#[tokio::test]
async fn records_are_whole_final_and_kept_as_long_as_they_are_needed() {
    let mut local = Local::new().await;
    local.environment.release.keep = 3;
    let ledger = Ledger::open(&local.client, local.unit()).await.expect("it is in the cluster");
    assert_eq!(ledger.list().await.expect("no namespace is no error"), []);
    let holder = Holder::new(&local.repository.root, "cargo xtask deploy".into()).await;

    // What hardly compresses, and is more than one Secret takes.
    let mut objects = local.render(&format!("r/app@sha256:{}", "1a".repeat(32)));
    let noise: String = (0..120_000_u64)
        .map(|number| {
            format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ (number * number))
        })
        .collect();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"noise": noise}});
    local.repository.write("many/map.yaml", &map.to_string());
    local.repository.write("many/kustomization.yaml", "resources: [map.yaml]\n");
    let many = local.repository.root.join("many");
    objects.extend(xtask::manifests::render_directory(&local.repository.root, &many).expect("it is right"));
    let large = draft(&objects);

    let begun = ledger.begin(&large, &holder).await.expect("it is recorded");
    let entries = ledger.list().await.expect("a list");
    assert_eq!((entries.len(), entries[0].outcome, entries[0].header.chunks), (1, Outcome::Begun, 2));
    ledger.end(begun, Outcome::Succeeded, 1.0, None).await.expect("it is recorded");
    let (content, _) = ledger.read(&entries[0].header).await.expect("it is whole");
    assert_eq!(content, large.content);
    let secrets: Api<Secret> = Api::namespaced(local.client.clone(), "slipway");
    for secret in secrets.list(&ListParams::default()).await.expect("a list") {
        assert_eq!(secret.immutable, Some(true), "{}", secret.name_any());
        let size: usize = secret.data.iter().flatten().map(|(_, bytes)| bytes.0.len()).sum();
        assert!(size <= 1 << 20, "{} has {size} bytes", secret.name_any());
    }
    let change = Patch::Merge(json!({"data": {"content": "AAAA"}}));
    let name = "slipway.app.local.v1";
    secrets.patch(name, &PatchParams::default(), &change).await.expect_err("a final record cannot be changed");

    // A process that was killed before it wrote the head leaves no record, and what it left goes.
    let mut orphan = secrets.get("slipway.app.local.v1.1").await.expect("the second part");
    orphan.metadata = kube::core::ObjectMeta { labels: orphan.metadata.labels, ..<_>::default() };
    orphan.labels_mut().insert("slipway.dev/number".into(), "2".into());
    orphan.metadata.name = Some("slipway.app.local.v2.1".into());
    secrets.create(&Default::default(), &orphan).await.expect("create it");
    assert_eq!(ledger.list().await.expect("a list").len(), 1);
    let begun = ledger.begin(&draft(&[]), &holder).await.expect("it is recorded");
    assert_eq!(begun.number, 2);
    assert!(secrets.get_opt("slipway.app.local.v2.1").await.expect("an answer").is_none(), "the orphan is still there");

    // Whoever was declared abandoned cannot claim a success.
    let mut entries = ledger.list().await.expect("a list");
    assert_eq!(ledger.recover(&mut entries).await.expect("it is marked"), [2]);
    let error = ledger.end(begun, Outcome::Succeeded, 1.0, None).await.expect_err("it is abandoned");
    assert!(error.message.contains("record how release 2 ended"), "{error:?}");
    assert_eq!(ledger.list().await.expect("a list")[1].outcome, Outcome::Abandoned);

    for _ in 3..=6 {
        let begun = ledger.begin(&draft(&[]), &holder).await.expect("it is recorded");
        ledger
            .end(begun, Outcome::Failed, 1.0, Some(&xtask::error::Error::failed("no")))
            .await
            .expect("it is recorded");
        ledger.prune().await.expect("old ones go");
    }
    let numbers =
        |entries: Vec<xtask::release::Entry>| -> Vec<u64> { entries.iter().map(|entry| entry.header.number).collect() };
    assert_eq!(numbers(ledger.list().await.expect("a list")), [1, 4, 5, 6], "the last that succeeded stays");
    assert_eq!(ledger.remove().await.expect("all go"), 4);
    assert!(secrets.list(&ListParams::default()).await.expect("a list").items.is_empty());
}

#[tokio::test]
async fn a_lock_is_lost_by_unlock_and_taken_over_only_from_the_dead() {
    let local = Local::new().await;
    let (client, unit, step) = (&local.client, local.unit(), &Step::silent());
    let first = Holder::new(&local.repository.root, "first".into()).await;
    let second = Holder::new(&local.repository.root, "second".into()).await;
    let lock = Lock::take(Keeper::Cluster(client), unit, &first, None, step).await.expect("it is free");
    lock.check().await.expect("it is ours");
    let error = Lock::take(Keeper::Cluster(client), unit, &second, None, step).await.expect_err("it is held");
    assert_eq!(error.message, "another command is changing app in local");
    assert!(error.causes[0].starts_with(&format!("first ({})", first.who)), "{error:?}");
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains(&first.id[..8])), "{error:?}");

    // The wrong id removes nothing.
    let error = xtask::release::unlock(Keeper::Cluster(client), std::iter::once(unit), "00000000")
        .await
        .expect_err("no such lock");
    assert!(error.causes[0].contains(&first.id[..8]), "{error:?}");
    xtask::release::unlock(Keeper::Cluster(client), std::iter::once(unit), &first.id[..8])
        .await
        .expect("it is removed");
    let error = lock.check().await.expect_err("it is lost");
    assert_eq!((error.kind, error.causes[0].as_str()), (Kind::Failed, "somebody has unlocked it"));
    let other = Lock::take(Keeper::Cluster(client), unit, &second, None, step).await.expect("it is free");
    assert!(lock.check().await.is_err());
    // Letting go of what was lost leaves the other's alone.
    lock.release().await.expect("there is nothing to do");
    other.check().await.expect("it is still theirs");
    other.release().await.expect("it is removed");

    // Of another machine, whose clock is an hour behind: it renews, so it lives.
    let leases: Api<Lease> = Api::namespaced(client.clone(), "slipway");
    let theirs = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "slipway.app.local"},
        "spec": {"holderIdentity": "far away", "leaseDurationSeconds": 2, "renewTime": "2020-01-01T00:00:00.000000Z"}});
    let far = serde_json::from_value(theirs).expect("it is a Lease");
    leases.create(&Default::default(), &far).await.expect("create it");
    let renew = async {
        for second in 1..4 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            let renewed = json!({"spec": {"renewTime": format!("2020-01-01T00:00:0{second}.000000Z")}});
            leases
                .patch("slipway.app.local", &PatchParams::default(), &Patch::Merge(renewed))
                .await
                .expect("it renews");
        }
    };
    let (taken, ()) = tokio::join!(Lock::take(Keeper::Cluster(client), unit, &first, None, step), renew);
    assert_eq!(taken.expect_err("it lives").causes[0].split(',').next(), Some("far away"));
    // It renews no more.
    let began = Instant::now();
    let lock = Lock::take(Keeper::Cluster(client), unit, &first, None, step).await.expect("it is taken over");
    assert!(began.elapsed() >= Duration::from_secs(2), "it was not watched: {:?}", began.elapsed());
    lock.release().await.expect("it is removed");
}
