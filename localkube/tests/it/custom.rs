//! Kinds of the user's own, as kubectl meets them.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::serve::{Directory, Server};

const BOTH: &str = r#"apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, shortNames: [gd], categories: [all]}
  versions:
    - name: v1
      served: true
      storage: true
      additionalPrinterColumns:
        - {name: Colour, type: string, jsonPath: .spec.colour}
        - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
        - {name: Owner, type: string, jsonPath: '.metadata.labels.shop\.example\.com/owner', priority: 1}
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          description: A thing that the shop sells.
          type: object
          properties:
            spec:
              type: object
              properties:
                colour: {description: "What it looks like.", type: string, enum: [red, green]}
                weight: {type: number}
                count: {type: integer, default: 3}
              x-kubernetes-validations:
                - {rule: "!has(self.weight) || self.weight < 10.0", message: too heavy}
            status:
              type: object
              x-kubernetes-preserve-unknown-fields: true
---
apiVersion: shop.example.com/v1
kind: Gadget
metadata: {name: one, labels: {shop.example.com/owner: me}}
spec: {colour: red}
"#;

/// kubectl on a server without pods.
struct Kubectl<'a>(&'a Path);

impl Kubectl<'_> {
    async fn run(&self, arguments: &str) -> Output {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/kubectl");
        assert!(program.is_file(), "{} is not there: `cargo xtask test` installs it", program.display());
        let mut command = Command::new(program);
        command.env("KUBECONFIG", self.0.join("kubeconfig")).env("HOME", self.0).current_dir(self.0);
        command.args(arguments.split(' '));
        tokio::task::spawn_blocking(move || command.output()).await.expect("it does not panic").expect("run kubectl")
    }

    async fn says(&self, arguments: &str) -> String {
        let output = self.run(arguments).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn refuses(&self, arguments: &str) -> String {
        let output = self.run(arguments).await;
        assert!(!output.status.success(), "kubectl {arguments} works");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_works_with_kinds_of_ones_own() {
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let kubectl = Kubectl(&directory.0);
    std::fs::write(directory.0.join("both.yaml"), BOTH).expect("write the file");

    // kubectl looks the kinds up before it applies anything, so that it takes two runs on every cluster.
    let missing = kubectl.refuses("apply -f both.yaml").await;
    assert!(missing.contains("no matches for kind \"Gadget\" in version \"shop.example.com/v1\""), "{missing}");
    let met = kubectl.says("wait --for=condition=Established crd/gadgets.shop.example.com --timeout=10s").await;
    assert_eq!(met, "customresourcedefinition.apiextensions.k8s.io/gadgets.shop.example.com condition met\n");
    let applied = kubectl.says("apply -f both.yaml").await;
    assert!(applied.ends_with("gadget.shop.example.com/one created\n"), "{applied}");
    let again = kubectl.says("apply -f both.yaml").await;
    assert_eq!(again.matches("unchanged").count(), 2, "{again}");
    kubectl.says("apply --server-side -f both.yaml").await;

    let status = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    kubectl.says(&format!("patch gd one --subresource=status --type=merge -p {status}")).await;
    let table = kubectl.says("get gd -o wide").await;
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words, [vec!["NAME", "COLOUR", "READY", "OWNER"], vec!["one", "red", "True", "me"]]);
    assert!(kubectl.says("get all").await.contains("gadget.shop.example.com/one"));
    assert_eq!(kubectl.says("get gd one -o jsonpath={.spec.count}").await, "3");
    let explained = kubectl.says("explain gadget.spec.colour").await;
    assert!(explained.contains("What it looks like.") && explained.contains("green"), "{explained}");
    refuses_mistakes(&kubectl).await;

    server.stop().await;
    let server = Server::start(&directory.0).await;
    assert_eq!(kubectl.says("get gadgets one -o jsonpath={.spec.colour}").await, "red");

    kubectl.says("delete crd gadgets.shop.example.com").await;
    let gone = kubectl.refuses("get gadgets.shop.example.com").await;
    assert!(gone.contains("the server doesn't have a resource type") || gone.contains("NotFound"), "{gone}");
    server.stop().await;
}

async fn refuses_mistakes(kubectl: &Kubectl<'_>) {
    let heavy = kubectl.refuses(r#"patch gd one --type=merge -p {"spec":{"weight":11}}"#).await;
    assert_eq!(heavy, "The Gadget \"one\" is invalid: spec: Invalid value: too heavy\n");
    let blue = kubectl.refuses(r#"patch gd one --type=merge -p {"spec":{"colour":"blue"}}"#).await;
    assert!(blue.contains("spec.colour: Unsupported value: \"blue\": supported values: \"red\", \"green\""), "{blue}");
    let strategic = kubectl.refuses(r#"patch gd one -p {"spec":{"colour":"red"}}"#).await;
    assert!(strategic.contains("strategic-merge-patch+json is not supported"), "{strategic}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_with_finalizers_keep_their_definition() {
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let kubectl = Kubectl(&directory.0);
    std::fs::write(directory.0.join("both.yaml"), BOTH).expect("write the file");
    kubectl.run("apply -f both.yaml").await;
    kubectl.says("apply -f both.yaml").await;
    kubectl.says(r#"patch gd one --type=merge -p {"metadata":{"finalizers":["example.com/wait"]}}"#).await;

    kubectl.says("delete crd gadgets.shop.example.com --wait=false").await;
    let marked = kubectl.says("get gd one -o jsonpath={.metadata.deletionTimestamp}").await;
    assert!(!marked.is_empty(), "the object is asked to go");
    kubectl.says("wait --for=condition=Terminating crd/gadgets.shop.example.com --timeout=10s").await;
    let late = kubectl.refuses("create -f both.yaml").await;
    assert!(late.contains("create not allowed while custom resource definition is terminating"), "{late}");

    kubectl.says(r#"patch gd one --type=merge -p {"metadata":{"finalizers":null}}"#).await;
    let gone = kubectl.refuses("get crd gadgets.shop.example.com").await;
    assert!(gone.contains("NotFound"), "{gone}");
    server.stop().await;
}
