//! Plan, apply, rollout and destroy against the API server of a local environment.

use std::{fs, path::Path, time::Duration};

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use xtask::{
    apply::{self, Applied},
    cluster,
    config::{self, Environment, Unit},
    error::{Error, Kind},
    manifests::{self, Object},
    plan::{self, Options, Plan},
    rollout,
    ui::Step,
};

use crate::command::Repository;

/// An image that nobody has.
pub(crate) const IMAGE: &str =
    "127.0.0.1:9/app@sha256:1111111111111111111111111111111111111111111111111111111111111111";
const OTHER: &str = "127.0.0.1:9/app@sha256:2222222222222222222222222222222222222222222222222222222222222222";

/// A local environment with this repository's own manifests; gone at the end of the test.
pub(crate) struct Local {
    pub(crate) repository: Repository,
    pub(crate) environment: Environment,
    pub(crate) client: Client,
}

impl Local {
    pub(crate) async fn new() -> Self {
        let repository = Repository::new(&[("infra-config/local.yaml", "rollout:\n  timeout: 60s\n")]);
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
        copy(&manifests, &repository.root.join("manifests"));
        let up = repository.run(&["local", "up"]);
        assert_eq!(up.code, Some(0), "{}", up.stderr);
        let kubeconfig = repository.run(&["local", "kubeconfig"]).stdout;
        let client = cluster::from_kubeconfig(Path::new(kubeconfig.trim())).await.expect("the kubeconfig is good");
        let environment = config::load(&repository.root, "local").expect("the configuration is right");
        Self { repository, environment, client }
    }

    pub(crate) fn unit(&self) -> Unit<'_> {
        self.environment.unit(None).expect("it has one service")
    }

    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.repository.root.join(file);
        let text = fs::read_to_string(&path).expect("the manifest is there");
        assert!(text.contains(from), "{file} does not contain {from:?}");
        fs::write(&path, text.replacen(from, to, 1)).expect("write the manifest");
    }

    pub(crate) fn render(&self, image: &str) -> Vec<Object> {
        let image = image.parse().expect("it has a digest");
        manifests::render(self.unit(), Some(&image)).expect("the manifests are right")
    }

    pub(crate) async fn plan(&self, image: &str) -> Result<Plan, Error> {
        self.plan_with(image, &Options::default()).await
    }

    pub(crate) async fn plan_with(&self, image: &str, options: &Options) -> Result<Plan, Error> {
        plan::plan(&self.client, self.unit(), &self.render(image), options, &Step::silent()).await
    }

    pub(crate) async fn apply(&self, image: &str) -> Applied {
        let plan = self.plan(image).await.expect("the plan can be made");
        apply::apply(&self.client, &plan, &Step::silent()).await.expect("the plan can be applied")
    }

    async fn rollout(&self) -> Error {
        let objects: Vec<_> = self.render(IMAGE).iter().map(Object::reference).collect();
        let done = rollout::wait(&self.client, self.unit(), &objects, &Step::silent()).await;
        done.expect_err("the rollout cannot succeed")
    }

    pub(crate) fn api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        if kind == "Namespace" {
            return Api::all_with(self.client.clone(), &resource);
        }
        Api::namespaced_with(self.client.clone(), "app", &resource)
    }

    /// The service's Deployment, as the API server has it.
    pub(crate) async fn deployment(&self) -> Value {
        let live = self.api("apps", "v1", "Deployment").get("app").await.expect("it is there");
        serde_json::to_value(live).expect("an object is JSON")
    }

    pub(crate) async fn patch_as(&self, manager: &str, api: Api<DynamicObject>, object: Value) {
        let params = PatchParams { force: true, ..PatchParams::apply(manager) };
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        api.patch(&name, &params, &Patch::Apply(&object)).await.expect("the other manager may do that");
    }

    pub(crate) async fn destroy(&self) -> Vec<String> {
        let deleted = apply::destroy(&self.client, self.unit(), Duration::from_secs(60), &Step::silent()).await;
        deleted.expect("everything goes").objects.iter().map(ToString::to_string).collect()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let down = self.repository.run(&["local", "down"]);
        if !std::thread::panicking() {
            assert_eq!(down.code, Some(0), "{}", down.stderr);
        }
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("create the directory");
    for entry in fs::read_dir(from).expect("the directory is there") {
        let entry = entry.expect("an entry").path();
        let target = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(&entry, &target).expect("copy the file");
        }
    }
}

#[tokio::test]
async fn a_first_deploy_creates_a_second_changes_nothing_a_third_changes_the_image() {
    let local = Local::new().await;
    let first = local.plan(IMAGE).await.expect("the plan can be made");
    assert_eq!(first.summary().to_string(), "8 created, 0 changed, 0 deleted, 0 unchanged");
    assert_eq!(first.lines()[0], "+ Namespace               app");
    let applied = apply::apply(&local.client, &first, &Step::silent()).await.expect("the plan can be applied");
    assert_eq!((applied.changed.len(), applied.summary.created), (8, 8));

    let again = local.plan(IMAGE).await.expect("the plan can be made");
    assert!(again.is_empty(), "{:?}", again.lines());
    let applied = apply::apply(&local.client, &again, &Step::silent()).await.expect("nothing can be applied");
    assert_eq!((applied.changed.len(), applied.summary.unchanged), (0, 8));

    let changed = local.plan(OTHER).await.expect("the plan can be made");
    assert_eq!(
        changed.lines(),
        ["~ Deployment app/app   spec.template.spec.containers[app].image: 127.0.0.1:9/app@sha256:111111.. -> \
          127.0.0.1:9/app@sha256:222222.."]
    );
    let json = serde_json::to_value(&changed).expect("a plan is JSON");
    let update = json["changes"].as_array().expect("a list").iter().find(|change| change["action"] == "update");
    assert_eq!(update.expect("one update")["fields"][0]["after"], OTHER);
    local.apply(OTHER).await;
    assert!(local.plan(OTHER).await.expect("the plan can be made").is_empty());
}

#[tokio::test]
async fn what_goes_from_the_manifest_goes_from_the_cluster() {
    let local = Local::new().await;
    local.apply(IMAGE).await;
    local.edit("manifests/base/service.yaml", "  name: app\n", "  name: app\n  annotations:\n    note: \"1\"\n");
    local.apply(IMAGE).await;
    local.edit("manifests/base/service.yaml", "  annotations:\n    note: \"1\"\n", "");
    let plan = local.plan(IMAGE).await.expect("the plan can be made");
    assert_eq!(plan.lines(), ["~ Service app/app   metadata.annotations: - {\"note\":\"1\"}"]);
}

#[tokio::test]
async fn the_autoscalers_replicas_are_left_alone() {
    let local = Local::new().await;
    local.apply(IMAGE).await;
    let scale =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"}, "spec": {"replicas": 7}});
    local.patch_as("autoscaler", local.api("apps", "v1", "Deployment"), scale).await;
    assert!(local.plan(IMAGE).await.expect("the plan can be made").is_empty());
}

#[tokio::test]
async fn a_field_of_another_manager_is_named_and_taken_only_by_force() {
    let local = Local::new().await;
    local.apply(IMAGE).await;
    let theirs = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"},
        "spec": {"progressDeadlineSeconds": 300}});
    local.patch_as("somebody", local.api("apps", "v1", "Deployment"), theirs).await;
    let error = local.plan(IMAGE).await.expect_err("the field is theirs");
    assert_eq!(error.message, "plan Deployment app/app: 1 of its fields belongs to another manager");
    let line = "manifests/base/deployment.yaml:10:3: .spec.progressDeadlineSeconds belongs to somebody";
    assert_eq!(error.causes, [line]);
    let hint = "leave it to somebody by taking it out of the manifest, or take it over: cargo xtask deploy \
                --take-ownership";
    assert_eq!((error.hint.as_deref(), error.places[0].line), (Some(hint), 10));

    let plan =
        local.plan_with(IMAGE, &Options { take_ownership: true, ..Options::default() }).await.expect("force takes it");
    assert_eq!(plan.lines(), ["~ Deployment app/app   spec.progressDeadlineSeconds: 300 -> 120"]);
    apply::apply(&local.client, &plan, &Step::silent()).await.expect("force takes it");
    assert!(local.plan(IMAGE).await.expect("the plan can be made").is_empty());
}

#[tokio::test]
async fn a_field_that_does_not_exist_is_placed_and_a_near_one_suggested() {
    let local = Local::new().await;
    local.edit("manifests/base/deployment.yaml", "readOnlyRootFilesystem", "readOnlyRootFileSystem");
    let error = local.plan(IMAGE).await.expect_err("there is no such field");
    assert_eq!(error.message, "plan Deployment app/app: Deployment has no such field");
    assert_eq!(
        error.causes,
        ["manifests/base/deployment.yaml:76:13: unknown field \
          .spec.template.spec.containers[name=\"app\"].securityContext.readOnlyRootFileSystem, did you mean \
          `readOnlyRootFilesystem`?"]
    );
    assert_eq!(error.kind, Kind::Usage);
}

#[tokio::test]
async fn a_value_that_the_api_server_refuses_is_placed() {
    let local = Local::new().await;
    local.apply(IMAGE).await;
    local.edit("manifests/base/service.yaml", "protocol: TCP", "protocol: HTTP");
    let error = local.plan(IMAGE).await.expect_err("there is no such protocol");
    assert_eq!(error.message, "plan Service app/app: the API server refuses it");
    let cause = "manifests/base/service.yaml:14:7: spec.ports[0].protocol: Unsupported value: \"HTTP\": supported \
                 values: \"SCTP\", \"TCP\", \"UDP\"";
    assert_eq!(error.causes, [cause]);
}

#[tokio::test]
async fn destroy_takes_what_is_ours_and_only_that() {
    let local = Local::new().await;
    // The namespace is there before, and not in the manifests: it is not ours.
    local.edit("manifests/base/kustomization.yaml", "  - namespace.yaml\n", "");
    let missing = local.plan(IMAGE).await.expect_err("there is no namespace");
    assert_eq!(missing.hint.as_deref(), Some("add a Namespace to the manifests, or: kubectl create namespace app"));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "app"}});
    local.patch_as("somebody", local.api("", "v1", "Namespace"), namespace).await;
    local.apply(IMAGE).await;
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}});
    local.patch_as("somebody", local.api("", "v1", "ConfigMap"), theirs).await;

    let deleted = local.destroy().await;
    assert_eq!(deleted.len(), 7, "{deleted:?}");
    assert!(!deleted.contains(&"Namespace app".to_owned()), "{deleted:?}");
    let position = |name: &str| deleted.iter().position(|object| object == name).expect("it was deleted");
    assert!(position("HorizontalPodAutoscaler app/app") < position("Deployment app/app"));
    assert!(position("Deployment app/app") < position("ServiceAccount app/app"));
    assert!(local.api("", "v1", "ConfigMap").get("theirs").await.is_ok());
    assert!(local.destroy().await.is_empty(), "there is nothing left to delete");
}

#[tokio::test]
async fn a_namespace_that_a_deploy_made_goes_and_comes_back() {
    let local = Local::new().await;
    local.apply(IMAGE).await;
    let deleted = local.destroy().await;
    assert_eq!(deleted.last().map(String::as_str), Some("Namespace app"), "{deleted:?}");
    assert!(local.api("", "v1", "Namespace").get_opt("app").await.expect("the server answers").is_none());
    assert_eq!(local.apply(IMAGE).await.summary.created, 8);
}

#[tokio::test]
async fn an_image_that_does_not_exist_fails_the_rollout_early() {
    let local = Local::new().await;
    local.apply(IMAGE).await;
    let error = local.rollout().await;
    assert!(error.message.starts_with("rollout of Deployment app/app: container `app` in pod app-"), "{error:?}");
    assert!(error.message.contains(&format!("cannot pull {IMAGE} (")), "{error:?}");
    assert_eq!(error.kind, Kind::Failed, "it fails before the deadline: {error:?}");
    assert!(error.causes.iter().any(|cause| cause.starts_with("its events:\n  ")), "{error:?}");
    assert_eq!(error.causes.last().map(String::as_str), Some("no old pod serves"));
    // Nobody listens at its registry.
    let hint = error.hint.as_deref().unwrap_or_default();
    assert!(
        hint.starts_with("can the nodes reach the registry? kubectl describe pod --namespace app app-"),
        "{error:?}"
    );
    let diagnosis = error.diagnosis.expect("it is diagnosed");
    assert_eq!((diagnosis.cause, diagnosis.container.as_deref()), (rollout::Cause::ImagePull, Some("app")));
}
