//! What a plan says of replacements, deletions, drift and secrets, with the real kubectl as the other party.

use std::{fs, process::Command, time::Duration};

use serde_json::{Value, json};
use xtask::{
    apply,
    plan::{Action, Options, Plan, Saved},
    ui::Step,
};

use crate::{
    delivery::{IMAGE, Local},
    kubectl,
};

impl Local {
    /// Adds a manifest to the base.
    fn add(&self, name: &str, text: &str) {
        fs::write(self.repository.root.join("manifests/base").join(name), text).expect("write the manifest");
        self.edit("manifests/base/kustomization.yaml", "resources:\n", &format!("resources:\n  - {name}\n"));
    }

    fn remove(&self, name: &str) {
        self.edit("manifests/base/kustomization.yaml", &format!("  - {name}\n"), "");
    }

    /// Runs kubectl, which must do as it is told.
    fn kubectl(&self, arguments: &[&str]) -> String {
        let config = self.repository.run(&["local", "kubeconfig"]).stdout;
        let output = Command::new(kubectl::program())
            .args(["--kubeconfig", config.trim(), "--namespace", "app"])
            .args(arguments)
            .output()
            .expect("run kubectl");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn lines(&self, options: &Options) -> Vec<String> {
        self.plan_with(IMAGE, options).await.expect("the plan can be made").lines()
    }

    async fn carry_out(&self, options: &Options) -> Plan {
        let plan = self.plan_with(IMAGE, options).await.expect("the plan can be made");
        apply::apply(&self.client, &plan, &Step::silent()).await.expect("the plan can be applied");
        apply::prune(&self.client, &plan, Duration::from_secs(30), &Step::silent()).await.expect("it can be pruned");
        plan
    }
}

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\ndata:\n  level: info\n";

#[tokio::test]
async fn what_left_the_manifests_is_deleted_and_nothing_else() {
    let local = Local::new().await;
    local.add("extra.yaml", CONFIG);
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: data\nspec:\n  accessModes: [ReadWriteOnce]\n  \
                 resources: {requests: {storage: 1Mi}}\n";
    local.add("claim.yaml", claim);
    local.carry_out(&Options::default()).await;
    local.kubectl(&["create", "configmap", "theirs", "--from-literal=a=b"]);
    local.remove("extra.yaml");
    local.remove("claim.yaml");

    let options = Options::default();
    let expected = [
        "- ConfigMap             app/extra",
        "! PersistentVolumeClaim app/data   stays, though no manifest has it: --prune-protected PersistentVolumeClaim \
         deletes it",
    ];
    assert_eq!(local.lines(&options).await, expected);
    let plan = local.carry_out(&options).await;
    assert_eq!(plan.summary().to_string(), "0 created, 0 changed, 1 deleted, 8 unchanged");
    let left = local.kubectl(&["get", "configmaps,persistentvolumeclaims", "--output=name"]);
    assert!(!left.contains("configmap/extra") && left.contains("configmap/theirs"), "{left}");
    assert!(left.contains("persistentvolumeclaim/data"), "{left}");

    let unprotected = ["all".parse().expect("it is a kind")].into_iter().collect();
    let options = Options { unprotected, ..Options::default() };
    assert_eq!(local.lines(&options).await, ["- PersistentVolumeClaim app/data"]);

    // So many of a kind in a namespace are listed to be compared, and looked for elsewhere only.
    let many = |count: usize| {
        (0..count)
            .map(|number| format!("---\n{}", CONFIG.replace("extra", &format!("many-{number}"))))
            .collect::<String>()
    };
    local.add("many.yaml", &many(20));
    local.carry_out(&Options::default()).await;
    local.kubectl(&["create", "configmap", "far", "--namespace=default"]);
    local.kubectl(&["label", "configmap", "far", "--namespace=default", "slipway.dev/id=app.local"]);
    fs::write(local.repository.root.join("manifests/base/many.yaml"), many(18)).expect("write the manifest");
    let lines = local.lines(&Options::default()).await;
    for gone in ["app/many-18", "app/many-19", "default/far"] {
        assert!(lines.contains(&format!("- ConfigMap             {gone}")), "{lines:?}");
    }
    assert_eq!(lines.len(), 4, "{lines:?}");
    local.carry_out(&Options::default()).await;
    let left = local.kubectl(&["get", "configmaps", "--output=name", "--all-namespaces"]);
    assert!(left.contains("many-17") && left.contains("theirs"), "{left}");
    assert!(!left.contains("many-18") && !left.contains("many-19") && !left.contains("/far"), "{left}");
}

#[tokio::test]
async fn a_field_that_cannot_be_changed_needs_leave_to_replace() {
    let local = Local::new().await;
    local.add("extra.yaml", &format!("{CONFIG}immutable: true\n"));
    local.carry_out(&Options::default()).await;
    local.edit("manifests/base/extra.yaml", "level: info", "level: debug");
    let error = local.plan(IMAGE).await.expect_err("nobody allowed it");
    assert_eq!(error.message, "plan ConfigMap app/extra: it would have to be deleted and created again");
    assert_eq!(error.causes, ["manifests/base/extra.yaml:5:1: data cannot be changed"]);
    assert!(
        error.hint.as_deref().is_some_and(|hint| hint.ends_with("cargo xtask deploy --allow-replace")),
        "{error:?}"
    );

    let options = Options { allow_replace: true, ..Options::default() };
    assert_eq!(
        local.lines(&options).await,
        ["± ConfigMap app/extra   is deleted and created again", "    data.level: info -> debug"]
    );
    let before = local.kubectl(&["get", "configmap", "extra", "--output=jsonpath={.metadata.uid}"]);
    local.carry_out(&options).await;
    assert_ne!(before, local.kubectl(&["get", "configmap", "extra", "--output=jsonpath={.metadata.uid}"]));
    assert!(local.lines(&Options::default()).await.is_empty());
}

#[tokio::test]
async fn what_kubectl_applied_client_side_is_adopted() {
    let local = Local::new().await;
    local.carry_out(&Options::default()).await;
    let theirs = CONFIG.replace("  level: info\n", "  level: warn\n  gone: \"1\"\n  later: \"1\"\n");
    let file = local.repository.root.join("theirs.yaml");
    fs::write(&file, theirs).expect("write the manifest");
    local.kubectl(&["apply", "--filename", file.to_str().expect("it is text")]);

    local.add("extra.yaml", &format!("{CONFIG}  later: \"1\"\n"));
    let lines = local.lines(&Options::default()).await;
    assert!(lines.contains(&"    data.gone: - 1".to_owned()), "{lines:?}");
    assert!(lines.contains(&"    data.level: warn -> info".to_owned()), "{lines:?}");
    local.carry_out(&Options::default()).await;
    assert!(local.lines(&Options::default()).await.is_empty());
    let data = || local.kubectl(&["get", "configmap", "extra", "--output=jsonpath={.data}"]);
    assert_eq!(serde_json::from_str::<Value>(&data()).expect("JSON"), json!({"level": "info", "later": "1"}));

    local.edit("manifests/base/extra.yaml", "  later: \"1\"\n", "");
    local.carry_out(&Options::default()).await;
    assert_eq!(serde_json::from_str::<Value>(&data()).expect("JSON"), json!({"level": "info"}));
}

#[tokio::test]
async fn pods_start_anew_when_what_they_read_changes() {
    let local = Local::new().await;
    local.add("extra.yaml", CONFIG);
    local.add("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: login\nstringData:\n  pin: \"1234\"\n");
    let reads = "          image: app\n          envFrom:\n            - configMapRef: {name: extra}\n            - secretRef: \
                 {name: login}\n";
    local.edit("manifests/base/deployment.yaml", "          image: app\n", reads);
    local.carry_out(&Options::default()).await;
    assert!(local.lines(&Options::default()).await.is_empty(), "{:?}", local.lines(&Options::default()).await);
    let hash =
        || local.kubectl(&["get", "deployment", "app", "--output=jsonpath={.spec.template.metadata.annotations}"]);
    let first = hash();
    assert!(first.contains("slipway.dev/config-hash") && !first.contains("known"), "{first}");

    local.edit("manifests/base/secret.yaml", "1234", "4321");
    let lines = local.lines(&Options::default()).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with("app/login   data.pin: (hidden) -> (hidden)"), "{lines:?}");
    assert!(lines[1].contains("spec.template.metadata.annotations['slipway.dev/config-hash']: "), "{lines:?}");
    local.carry_out(&Options::default()).await;
    assert_ne!(first, hash());
    assert!(local.lines(&Options::default()).await.is_empty());
}

#[tokio::test]
async fn a_canary_is_in_nothing_that_a_plan_says() {
    const CANARY: &str = "canary-5e1f";
    let local = Local::new().await;
    let secret =
        |value: &str| format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: login\nstringData:\n  any: {value}\n");
    let config = |value: &str| {
        format!(
            "{CONFIG}  plain: {value}\n  url: https://u:{value}@host/x\n  TOKEN: {value}\n  file: |\n    a: 1\n    password: \
             {value}\n"
        )
    };
    local.add("secret.yaml", &secret("first-value"));
    local.add("extra.yaml", &config("first-value"));
    local.carry_out(&Options::default()).await;
    fs::write(local.repository.root.join("manifests/base/secret.yaml"), secret(CANARY)).expect("write it");
    fs::write(local.repository.root.join("manifests/base/extra.yaml"), config(CANARY)).expect("write it");
    let options = Options { salt: Some("salt".into()), thorough: true, ..Options::default() };
    let plan = local.plan_with(IMAGE, &options).await.expect("the plan can be made");
    let saved = Saved::new(local.unit(), IMAGE, &plan, &options, "salt");
    let shown = [
        plan.lines().join("\n"),
        plan.markdown("Plan", &[], 65_000),
        serde_json::to_string(&plan).expect("JSON"),
        serde_json::to_string(&saved).expect("JSON"),
        format!("{plan:?}"),
    ];
    for text in shown {
        assert!(text.contains("extra"), "{text}");
        assert!(!text.contains(CANARY) && !text.contains("Y2FuYXJ5LTVlMWY"), "{text}");
    }
    // The server quotes what it refuses.
    local.edit("manifests/base/service.yaml", "protocol: TCP", &format!("protocol: {CANARY}"));
    let error = local.plan(IMAGE).await.expect_err("it is no protocol");
    let text = format!("{error:?}");
    assert!(text.contains("Unsupported value: \\\"(hidden)\\\"") && !text.contains(CANARY), "{text}");
}

#[tokio::test]
async fn a_saved_plan_holds_until_something_moves() {
    let local = Local::new().await;
    local.add("extra.yaml", CONFIG);
    local.carry_out(&Options::default()).await;
    local.edit("manifests/base/extra.yaml", "info", "debug");
    let options = Options { salt: Some("salt".into()), thorough: true, ..Options::default() };
    let plan = local.plan_with(IMAGE, &options).await.expect("the plan can be made");
    let path = local.repository.root.join("plan.json");
    Saved::new(local.unit(), IMAGE, &plan, &options, "salt").write(&path).expect("write it");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let saved = Saved::read(&path).expect("read it");
    let again = async || {
        let plan = local.plan_with(IMAGE, &saved.options()).await.expect("the plan can be made");
        saved.check(&plan).map_err(|error| error.causes)
    };
    again().await.expect("nothing moved");
    local.kubectl(&["scale", "deployment", "app", "--replicas", "4"]);
    again().await.expect("how many pods there are is the autoscaler's");

    local.kubectl(&["annotate", "configmap", "extra", "note=1"]);
    let moved = again().await.expect_err("somebody wrote it");
    assert_eq!(moved.len(), 1, "{moved:?}");
    assert!(moved[0].starts_with("ConfigMap app/extra was changed, last by kubectl-annotate at 20"), "{moved:?}");
    local.kubectl(&["annotate", "configmap", "extra", "note-"]);
    again().await.expect("it is what it was");

    local.edit("manifests/base/extra.yaml", "debug", "trace");
    assert_eq!(again().await.expect_err("the input moved"), ["ConfigMap app/extra is rendered otherwise now"]);
}

#[tokio::test]
async fn drift_names_who_changed_what() {
    let local = Local::new().await;
    local.carry_out(&Options::default()).await;
    local.kubectl(&["patch", "deployment", "app", "--patch", r#"{"spec": {"progressDeadlineSeconds": 300}}"#]);
    let options = Options { blame: true, ..Options::looking() };
    let plan = local.plan_with(IMAGE, &options).await.expect("the plan can be made");
    let Some(Action::Update { fields }) =
        plan.changes.iter().map(|change| &change.action).find(|action| **action != Action::Unchanged)
    else {
        panic!("nothing drifted")
    };
    assert_eq!(fields[0].path, "spec.progressDeadlineSeconds");
    assert_eq!(fields[0].by.as_ref().map(|by| by.manager.as_str()), Some("kubectl-patch"));
}

#[tokio::test]
async fn hundreds_of_objects_are_planned_as_truly_as_few() {
    let local = Local::new().await;
    let objects = |value: &str| -> String {
        (0..150)
            .map(|number| format!("---\n{}", CONFIG.replace("extra", &format!("many-{number}")).replace("info", value)))
            .collect()
    };
    local.add("many.yaml", &objects("info"));
    let plan = local.carry_out(&Options::default()).await;
    assert_eq!(plan.summary().created, 158);
    assert!(local.lines(&Options::default()).await.is_empty());
    fs::write(local.repository.root.join("manifests/base/many.yaml"), objects("debug")).expect("write it");
    let lines = local.lines(&Options::default()).await;
    assert_eq!(lines, local.lines(&Options { thorough: true, ..Options::default() }).await);
    assert_eq!(lines.len(), 150);
    local.carry_out(&Options::default()).await;
    assert!(local.lines(&Options::default()).await.is_empty());
}

/// Objects of which a field cannot be changed, and that field before and after.
const FIXED: [(&str, &str, &str, &str); 9] = [
    (
        "Deployment",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: fixed}\nspec:\n  replicas: 0\n  selector: {matchLabels: \
      {a: one}}\n  template:\n    metadata: {labels: {a: one}}\n    spec: {containers: [{name: a, image: a}]}\n",
        "a: one",
        "a: two",
    ),
    (
        "StatefulSet",
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: fixed}\nspec:\n  replicas: 0\n  serviceName: one\n  \
      selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec: {containers: [{name: a, image: \
      a}]}\n",
        "serviceName: one",
        "serviceName: two",
    ),
    (
        "Job",
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: fixed}\nspec:\n  parallelism: 0\n  template:\n    spec: {restartPolicy: \
      Never, containers: [{name: a, image: one}]}\n",
        "image: one",
        "image: two",
    ),
    (
        "PersistentVolumeClaim",
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: fixed}\nspec: {storageClassName: \
      of-nobody, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n",
        "ReadWriteOnce",
        "ReadWriteMany",
    ),
    (
        "ConfigMap",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fixed}\nimmutable: true\ndata: {a: one}\n",
        "one",
        "two",
    ),
    (
        "Secret",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: fixed}\nimmutable: true\nstringData: {a: one}\n",
        "one",
        "two",
    ),
    (
        "RoleBinding",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: fixed}\nroleRef: {apiGroup: \
      rbac.authorization.k8s.io, kind: ClusterRole, name: view}\nsubjects: []\n",
        "name: view",
        "name: edit",
    ),
    (
        "Widget",
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: fixed}\nspec: {fixed: one}\n",
        "fixed: one",
        "fixed: two",
    ),
    (
        "Service",
        "apiVersion: v1\nkind: Service\nmetadata: {name: fixed}\nspec: {clusterIP: None, ports: [{port: 1}]}\n",
        "clusterIP: None",
        "type: NodePort",
    ),
];

/// A kind whose own rule keeps a field from changing, in words of its own.
const WIDGETS: &str = r#"{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
    "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
    "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "properties":
    {"spec": {"type": "object", "properties": {"fixed": {"type": "string"}}, "x-kubernetes-validations":
    [{"rule": "self.fixed == oldSelf.fixed", "message": "a widget stays what it is"}]}}}}}]}}"#;

#[tokio::test]
async fn what_cannot_be_changed_is_known_for_each_kind() {
    let local = Local::new().await;
    let file = local.repository.root.join("widgets.json");
    fs::write(&file, WIDGETS).expect("write it");
    local.kubectl(&["apply", "--filename", file.to_str().expect("text")]);
    local.kubectl(&[
        "wait",
        "--for=condition=Established",
        "customresourcedefinition/widgets.example.com",
        "--timeout=60s",
    ]);
    for (kind, manifest, ..) in FIXED {
        local.add(&format!("{kind}.yaml"), manifest);
    }
    local.carry_out(&Options::default()).await;
    for (kind, manifest, before, after) in FIXED {
        let path = format!("manifests/base/{kind}.yaml");
        fs::write(local.repository.root.join(&path), manifest.replace(before, after)).expect("write it");
        let error = local.plan(IMAGE).await.expect_err("nobody allowed it");
        assert_eq!(
            error.message,
            format!("plan {kind} app/fixed: it would have to be deleted and created again"),
            "{error:?}"
        );
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("--allow-replace")), "{error:?}");
        if kind == "Widget" {
            assert!(error.causes[0].ends_with("a widget stays what it is"), "{error:?}");
        }
        fs::write(local.repository.root.join(&path), manifest).expect("write it");
    }
    // What is plainly wrong stays an error, whatever is allowed.
    local.edit("manifests/base/Deployment.yaml", "replicas: 0", "replicas: -1");
    let options = Options { allow_replace: true, ..Options::default() };
    let error = local.plan_with(IMAGE, &options).await.expect_err("it is no number of replicas");
    assert_eq!(error.message, "plan Deployment app/fixed: the API server refuses it", "{error:?}");
}
