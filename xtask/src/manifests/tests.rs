use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering as Counting},
};

use super::*;
use crate::config::Environment;

/// A repository below the temporary directory; removed at the end.
struct Tree {
    root: PathBuf,
}

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("xtask-render-{}-{}", std::process::id(), COUNT.fetch_add(1, Counting::Relaxed));
        let root = std::env::temp_dir().join(unique);
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("create the directory");
            fs::write(path, text).expect("write the file");
        }
        Self { root }
    }

    fn render(&self) -> Result<Vec<Object>> {
        let environment = Environment::example("local", self.root.clone());
        render(environment.unit(None)?, Some(&IMAGE.parse().expect("it has a digest")))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

const IMAGE: &str = "127.0.0.1:5000/app@sha256:1111111111111111111111111111111111111111111111111111111111111111";
const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: app\n";
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app\nspec:\n  template:\n    \
                          spec:\n      containers:\n        - name: app\n          image: app\n";

/// A tree that is right but for the text of its kustomization.
fn kustomization(text: &str) -> Tree {
    Tree::new(&[("m/kustomization.yaml", text), ("m/service.yaml", SERVICE), ("m/deployment.yaml", DEPLOYMENT)])
}

#[track_caller]
fn refused(tree: &Tree, message: &str, causes: &[&str], hint: Option<&str>) {
    let error = tree.render().expect_err("it is refused");
    let found: Vec<&str> = error.causes.iter().map(String::as_str).collect();
    assert_eq!((error.message.as_str(), &found[..], error.hint.as_deref()), (message, causes, hint));
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn the_digest_takes_the_images_place_and_positions_stay() {
    let tree = kustomization("namespace: app\nresources: [service.yaml, deployment.yaml]\n");
    let objects = tree.render().expect("the tree is right");
    assert_eq!(objects[0].reference().to_string(), "Service app/app");
    let deployment = &objects[1];
    let container = &deployment.value()["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], IMAGE);
    assert_eq!(deployment.position(), "m/deployment.yaml:1");
    assert_eq!(deployment.field_position("spec.template.spec.containers[0].image"), "m/deployment.yaml:10:11");
    assert_eq!(deployment.field_position("spec.template.spec.containers[0].made.up"), "m/deployment.yaml:9:11");
}

#[test]
fn yaml_that_is_none_is_placed() {
    let tree =
        Tree::new(&[("m/kustomization.yaml", "resources: [a.yaml]\n"), ("m/a.yaml", "kind: A\n metadata: {}\n")]);
    refused(&tree, "m/a.yaml:2:10: mapping values are not allowed in this context", &[], None);
}

#[test]
fn an_unknown_field_is_placed_and_a_near_one_suggested() {
    let tree = kustomization("namespace: app\nresorces: []\n");
    refused(&tree, "m/kustomization.yaml:2:1: unknown field `resorces`", &[], Some("did you mean `resources`?"));
    let tree = kustomization("images:\n- name: app\n  tag: x\n");
    let hint = "the fields are name, newName, newTag, tagSuffix, digest";
    refused(&tree, "m/kustomization.yaml:3:3: unknown field `images.tag`", &[], Some(hint));
}

#[test]
fn what_is_not_rendered_is_never_ignored() {
    for (text, message) in [
        ("vars: []\n", "m/kustomization.yaml:1:1: `vars` is not supported"),
        ("resources: []\nhelmCharts: [{name: x}]\n", "m/kustomization.yaml:2:1: `helmCharts` is not supported"),
        ("crds: [x]\n", "m/kustomization.yaml:1:1: `crds` is not supported"),
        ("openapi: {path: x}\n", "m/kustomization.yaml:1:1: `openapi` is not supported"),
        ("configurations: [x]\n", "m/kustomization.yaml:1:1: `configurations` is not supported"),
        ("generators: [x]\n", "m/kustomization.yaml:1:1: `generators` is not supported"),
        ("transformers: [x]\n", "m/kustomization.yaml:1:1: `transformers` is not supported"),
        ("validators: [x]\n", "m/kustomization.yaml:1:1: `validators` is not supported"),
        (
            "buildMetadata: [transformerAnnotations]\n",
            "m/kustomization.yaml:1:17: `buildMetadata: transformerAnnotations` is not supported, only managedByLabel and \
             originAnnotations",
        ),
        (
            "replacements:\n- sourceValue: a\n  targets:\n  - select: {}\n    options: {encoding: base64}\n",
            "m/kustomization.yaml:5:15: `replacements.options.encoding` is not supported",
        ),
        (
            "resources: [https://example.com/x.yaml]\n",
            "m/kustomization.yaml:1:13: a resource from the network is not supported",
        ),
        (
            "resources: [service.yaml]\npatches:\n- target: {kind: Service}\n  patch: '{kind: S, metadata: {name: s}, spec: {$retainKeys: []}}'\n",
            "m/kustomization.yaml:4:10: `$retainKeys` is not supported: kustomize would leave it in the object",
        ),
        ("kind: Component\nnamePrefix: x\n", "m/kustomization.yaml is a component, which is not rendered by itself"),
        ("kind: Other\n", "m/kustomization.yaml:1:7: `Other` is not supported, only `Kustomization`"),
        (
            "apiVersion: kustomize.config.k8s.io/v2\nnamePrefix: x\n",
            "m/kustomization.yaml:1:13: `kustomize.config.k8s.io/v2` is not supported, only `kustomize.config.k8s.io/v1beta1`",
        ),
    ] {
        refused(&kustomization(text), message, &[], None);
    }
}

#[test]
fn a_manifest_without_identity_is_placed() {
    for (text, message) in [
        ("kind: A\nmetadata: {name: a}\n", "m/a.yaml:1:1: the manifest has no apiVersion"),
        ("---\napiVersion: v1\nmetadata: {name: a}\n", "m/a.yaml:2:1: the manifest has no kind"),
        ("apiVersion: v1\nkind: A\nmetadata: {}\n", "m/a.yaml:1:1: the manifest has no metadata.name"),
        ("- a\n", "m/a.yaml:1:1: a manifest is a mapping with apiVersion, kind and metadata"),
    ] {
        let tree = Tree::new(&[("m/kustomization.yaml", "resources: [a.yaml]\n"), ("m/a.yaml", text)]);
        refused(&tree, message, &[], None);
    }
}

#[test]
fn an_empty_set_is_refused() {
    let tree = kustomization("resources: []\n");
    let hint = "list manifests under `resources` in m/kustomization.yaml";
    refused(&tree, "m renders no objects", &[], Some(hint));
}

#[test]
fn a_set_without_the_service_or_the_deployment_is_refused() {
    let tree = kustomization("namespace: app\nresources: [deployment.yaml]\n");
    let hint = "name the Service in infra-config/local.yaml, or add it to m";
    refused(&tree, "m renders no Service app/app", &["it renders no Service at all"], Some(hint));
    let tree = kustomization("namespace: app\nnamePrefix: my-\nresources: [service.yaml, deployment.yaml]\n");
    refused(&tree, "m renders no Service app/app", &["it renders Service app/my-app"], Some(hint));
    let tree = kustomization("namespace: app\nresources: [service.yaml]\n");
    let hint = "name the Deployment in infra-config/local.yaml, or add it to m";
    refused(&tree, "m renders no Deployment app/app", &["it renders no Deployment at all"], Some(hint));
}

#[test]
fn an_image_that_nothing_uses_is_refused() {
    let tree = kustomization(
        "namespace: app\nresources: [service.yaml, deployment.yaml]\nimages: [{name: app, newName: other}]\n",
    );
    let hint = "write `image: app` in the Deployment; the digest that was pushed takes its place";
    refused(&tree, "no container in m uses the image `app`", &[], Some(hint));
}

#[test]
fn references_into_nothing_are_refused() {
    for (text, message) in [
        ("resources: [gone.yaml]\n", "m/kustomization.yaml:1:13: there is no m/gone.yaml"),
        (
            "resources: [service.yaml]\nreplicas: [{name: app, count: 2}]\n",
            "m/kustomization.yaml:2:12: no Deployment, ReplicaSet or StatefulSet is named `app`",
        ),
        (
            "resources: [service.yaml]\npatches:\n- patch: '{apiVersion: v1, kind: Secret, metadata: {name: x}}'\n",
            "m/kustomization.yaml:3:10: the patch is for Secret x, which is not among the resources",
        ),
        (
            "resources: [service.yaml]\npatches:\n- target: {name: app}\n  patch: '[{op: remove, path: /spec}]'\n",
            "m/kustomization.yaml:4:10: the patch does not fit Service app: operation '/0' failed at path '/spec': path is invalid",
        ),
        (
            "resources: [service.yaml, service.yaml]\n",
            "m/service.yaml:1: Service app is there already, from m/service.yaml:1",
        ),
        ("resources: [../m]\n", "m/kustomization.yaml:1:13: m is built on itself"),
        ("resources: [..]\n", "m/kustomization.yaml:1:13: . is around what is built on it"),
    ] {
        refused(&kustomization(text), message, &[], None);
    }
    let hint = "write m/empty/kustomization.yaml, or correct the path that leads there";
    let tree = Tree::new(&[("m/kustomization.yaml", "resources: [empty]\n"), ("m/empty/x", "")]);
    refused(&tree, "m/empty holds no kustomization.yaml", &[], Some(hint));
}

#[test]
fn a_secrets_value_is_in_no_error() {
    for text in [
        "secretGenerator: [{name: a, literals: [CANARY]}]\n",
        "secretGenerator: [{name: a, literals: [k=CANARY, k=CANARY]}]\n",
        "secretGenerator: [{name: a, literals: [k=CANARY]}, {name: a, literals: [k=CANARY]}]\n",
        "secretGenerator: [{name: a, envs: [secret.env]}]\n",
        "secretGenerator: [{name: a, literals: [k=CANARY]}]\npatches: [{target: {kind: Secret}, patch: '[CANARY]'}]\n",
        "secretGenerator: [{name: a, literals: [k=CANARY]}]\npatches: [{target: {kind: Secret}, patch: '[{op: test, path: /data/k, value: CANARY}]'}]\n",
        "secretGenerator: [{name: a, literals: [k=CANARY]}]\nreplacements: [{source: {kind: Secret, fieldPath: data.k, options: {delimiter: '-', index: 9}}, targets: [{select: {kind: Secret}, fieldPaths: [data.k]}]}]\n",
        "secretGenerator: [{name: a, literals: [k=CANARY]}]\nreplacements: [{source: {kind: Secret, fieldPath: data}, targets: [{select: {kind: Secret}, fieldPaths: [data.k.in]}]}]\n",
    ] {
        let tree = Tree::new(&[("m/kustomization.yaml", text), ("m/secret.env", "CANARY\n")]);
        let error = render_directory(&tree.root, &tree.root.join("m")).expect_err("it is refused");
        let told = format!("{error:?}");
        assert!(!told.contains("CANARY") && !told.contains("Q0FOQVJZ"), "{told}");
    }
}

#[test]
fn what_is_printed_reads_alike_in_old_and_new_yaml() {
    let value = serde_json::json!({
        "apiVersion": "v1",
        "data": {"a": "yes", "b": "n", "c": "012", "d": "1:30", "e": "two\nlines\n", "f": "", "g": "- x", "h": " \n x", "on": "~"},
        "items": [{"a": [1, null], "b": {}}, [], "x: y"],
        "kind": "ConfigMap",
        "metadata": {"name": "a-b.c/d"}
    });
    let text = to_yaml(&[Object::recorded(value.clone(), "here"), Object::recorded(value.clone(), "here")]);
    let document = "apiVersion: v1\ndata:\n  a: \"yes\"\n  b: \"n\"\n  c: \"012\"\n  d: \"1:30\"\n  e: |\n    two\n    lines\n  \
                    f: \"\"\n  g: \"- x\"\n  h: \" \\n x\"\n  \"on\": \"~\"\nitems:\n- a:\n  - 1\n  - null\n  b: {}\n- []\n- \"x: y\"\n\
                    kind: ConfigMap\nmetadata:\n  name: a-b.c/d\n";
    assert_eq!(text, format!("{document}---\n{document}"));
    let json: Value = serde_json::from_str(&to_json(&[Object::recorded(value.clone(), "here")])).expect("it is JSON");
    assert_eq!(json, serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [value]}));
}
