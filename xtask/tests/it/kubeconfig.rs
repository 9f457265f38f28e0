//! A cluster that a kubeconfig names: the local environment of another repository stands for it.

use std::{fs, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::command::{Repository, Run};

/// A repository whose local environment is a cluster to others.
pub(crate) struct Cluster(Repository);

impl Cluster {
    pub(crate) fn new() -> Self {
        let repository = Repository::new(&[("infra-config/local.yaml", "")]);
        let up = repository.run(&["local", "up"]);
        assert_eq!(up.code, Some(0), "{}", up.stderr);
        Self(repository)
    }

    /// Runs kubectl as an administrator.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(crate::kubectl::program());
        let output = command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments).output().expect("run kubectl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// A kubeconfig in the repository with a context for this ServiceAccount of the namespace `default`, and its token.
    pub(crate) fn account(&self, name: &str, repository: &Repository) -> (PathBuf, String) {
        let token = self.kubectl(&["create", "token", name, "--namespace", "default"]);
        let text = fs::read_to_string(self.kubeconfig()).expect("it is there");
        let mut kubeconfig: Value = serde_json::from_str(&text).expect("localkube writes JSON");
        kubeconfig["users"] = json!([{"name": name, "user": {"token": token}}]);
        kubeconfig["contexts"] = json!([{"name": name, "context": {"cluster": "slipway-local", "user": name}}]);
        repository.write("kubeconfig", &kubeconfig.to_string());
        (repository.root.join("kubeconfig"), token)
    }

    /// Its kubeconfig, whose only context is `slipway-local`.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.0.run(&["local", "kubeconfig"]).stdout.trim().into()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.0.run(&["local", "down"]);
    }
}

fn repository(context: &str) -> Repository {
    let configuration =
        format!("cluster: {{kubeconfig: {{context: {context}}}}}\nmanifests: manifests/overlays/local\n");
    let repository = Repository::of_the_workspace();
    repository.write("infra-config/other.yaml", &configuration);
    repository
}

#[test]
fn a_context_that_is_not_there_is_an_error_that_names_those_that_are() {
    let repository = repository("kind-knid");
    let contexts = "contexts: [{name: kind-kind, context: {cluster: a}}, {name: prod, context: {cluster: a}}]\n\
                    current-context: prod\n";
    repository.write("kubeconfig", contexts);
    let file = repository.root.join("kubeconfig");
    Run::of(repository.command(&["status", "--env", "other"]).env("KUBECONFIG", &file)).fails(
        2,
        &format!(
            "error: the kubeconfig has no context `kind-knid`\n  {} has kind-kind, prod\n\
             hint: did you mean `kind-kind`? it is cluster.kubeconfig.context\n",
            file.display()
        ),
    );
}

#[test]
fn a_cluster_of_a_kubeconfig_is_planned_against_and_not_started() {
    let cluster = Cluster::new();
    let kubeconfig = cluster.kubeconfig();
    let repository = repository("slipway-local");
    let plan = Run::of(repository.command(&["plan", "--env", "other"]).env("KUBECONFIG", &kubeconfig));
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(plan.stdout.contains("+ Deployment "), "{}", plan.stdout);
    assert!(!repository.root.join(".slipway/local").exists(), "a local environment was started");
    let version = Run::of(repository.command(&["status", "--env", "other"]).env("KUBECONFIG", &kubeconfig));
    version.fails(1, "error: there is no Deployment app/app\nhint: cargo xtask deploy --env other\n");
}

/// An account that may only look is told everything that it lacks, before anything is built.
#[test]
fn what_an_account_may_not_do_is_said_before_anything_is_done() {
    let cluster = Cluster::new();
    cluster.kubectl(&["create", "serviceaccount", "looker", "--namespace", "default"]);
    cluster.kubectl(&[
        "create",
        "clusterrolebinding",
        "looker",
        "--clusterrole=view",
        "--serviceaccount=default:looker",
    ]);
    let repository = repository("looker");
    let (file, token) = cluster.account("looker", &repository);
    let run = Run::of(repository.command(&["deploy", "--env", "other"]).env("KUBECONFIG", &file));
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    for refused in
        ["create, patch deployments.apps in namespace app", "leases.coordination.k8s.io in namespace slipway"]
    {
        assert!(run.stderr.contains(refused), "{refused} is not said:\n{}", run.stderr);
    }
    assert!(!run.stderr.contains(" build "), "{}", run.stderr);
    assert!(!run.stderr.contains(&token), "the token is shown");
}

/// An account of a namespace may list few kinds in the whole cluster and some nowhere: what it may not see it does not
/// delete, and says so.
#[test]
fn what_an_account_may_not_list_is_looked_for_where_it_may() {
    let cluster = Cluster::new();
    for namespace in ["app", "elsewhere"] {
        cluster.kubectl(&["create", "namespace", namespace]);
        let objects = ["create", "configmap", "left", "--namespace", namespace];
        cluster.kubectl(&objects);
        cluster.kubectl(&["label", "configmap", "left", "--namespace", namespace, "slipway.dev/id=app.other"]);
    }
    cluster.kubectl(&["create", "role", "left", "--namespace", "app", "--verb=get", "--resource=pods"]);
    cluster.kubectl(&["label", "role", "left", "--namespace", "app", "slipway.dev/id=app.other"]);
    let kinds = "--resource=configmaps,secrets,services,serviceaccounts,deployments.apps,\
                 horizontalpodautoscalers.autoscaling,poddisruptionbudgets.policy,networkpolicies.networking.k8s.io";
    cluster.kubectl(&["create", "serviceaccount", "shipper", "--namespace", "default"]);
    cluster.kubectl(&["create", "clusterrole", "shipper", "--verb=*", kinds]);
    cluster.kubectl(&["create", "clusterrole", "homes", "--verb=get,patch", "--resource=namespaces"]);
    let account = "--serviceaccount=default:shipper";
    cluster.kubectl(&["create", "rolebinding", "shipper", "--namespace", "app", "--clusterrole=shipper", account]);
    cluster.kubectl(&["create", "clusterrolebinding", "homes", "--clusterrole=homes", account]);
    let plan = |context: &str, file: &PathBuf, repository: &Repository| {
        let run = Run::of(repository.command(&["plan", "--env", "other", "--verbose"]).env("KUBECONFIG", file));
        assert_eq!(run.code, Some(0), "{context}: {}", run.stderr);
        let deleted = run.stdout.lines().filter(|line| line.starts_with("- "));
        let deleted: Vec<String> = deleted.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        (deleted, run.stderr)
    };

    let (mut all, words) = plan("admin", &cluster.kubeconfig(), &repository("slipway-local"));
    all.sort();
    assert_eq!(all, ["- ConfigMap app/left", "- ConfigMap elsewhere/left", "- Role app/left"], "{words}");
    let repository = repository("shipper");
    let (file, token) = cluster.account("shipper", &repository);
    let (seen, words) = plan("shipper", &file, &repository);
    assert_eq!(seen, ["- ConfigMap app/left"], "{words}");
    for said in ["roles in app may not be listed", "nodes may not be listed", "the releases are not known"] {
        assert!(words.contains(said), "{said:?} is not said:\n{words}");
    }
    assert!(!words.contains("configmaps") && !words.contains(&token), "{words}");
}
