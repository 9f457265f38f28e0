//! Who may do what: roles, tokens of service accounts, requests on behalf of others; and leases under contention.

use std::{fs, path::Path};

use futures::future::join_all;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenReview},
    coordination::v1::Lease,
    core::v1::{ConfigMap, ServiceAccount},
    rbac::v1::{ClusterRole, Role},
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::{
    busybox::Image,
    cluster::Cluster,
    serve::{Directory, Server},
};

async fn config(directory: &Path) -> Config {
    let kubeconfig = Kubeconfig::read_from(directory.join("kubeconfig")).expect("the server wrote it");
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("it is whole")
}

/// A client with another token, or with none.
async fn bearer(directory: &Path, token: Option<String>) -> Client {
    let mut config = config(directory).await;
    config.auth_info = Default::default();
    config.auth_info.token = token.map(Into::into);
    Client::try_from(config).expect("the configuration is complete")
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("no answer: {other}"),
    }
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the test writes it right")
}

async fn token(client: &Client, account: &str, request: Value) -> Result<String, kube::Error> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let answer =
        accounts.create_token_request(account, &PostParams::default(), &object::<TokenRequest>(request)).await?;
    Ok(answer.status.and_then(|status| status.token).expect("it is issued"))
}

#[test]
fn kubectl_acts_with_tokens_roles_and_on_behalf_of_others() {
    let image = Image::new("access");
    let cluster = Cluster::start();
    cluster.says(&["create", "serviceaccount", "jane"]);
    let token = cluster.says(&["create", "token", "jane", "--duration=20m"]);
    let as_jane = format!("--token={}", token.trim());
    let said = cluster.refuses(&[&as_jane, "get", "pods"]);
    assert!(said.contains("User \"system:serviceaccount:default:jane\" cannot list resource \"pods\""), "{said}");
    assert_eq!(cluster.refuses(&[&as_jane, "auth", "can-i", "list", "pods"]), "");
    cluster.says(&["create", "rolebinding", "jane", "--clusterrole=view", "--serviceaccount=default:jane"]);
    assert_eq!(cluster.says(&[&as_jane, "auth", "can-i", "list", "pods"]), "yes\n");
    cluster.says(&[&as_jane, "get", "pods"]);
    let said = cluster.refuses(&[&as_jane, "get", "pods", "--namespace=kube-system"]);
    assert!(said.contains("in the namespace \"kube-system\""), "{said}");
    cluster.refuses(&[&as_jane, "get", "secrets"]);
    cluster.refuses(&[&as_jane, "get", "nodes"]);
    let said = cluster.says(&[&as_jane, "auth", "whoami"]);
    assert!(said.contains("system:serviceaccounts:default"), "{said}");
    let said = cluster.says(&[&as_jane, "auth", "can-i", "--list"]);
    assert!(said.contains("deployments.apps") && said.contains("selfsubjectreviews.authentication.k8s.io"), "{said}");

    // On behalf of others: the administrator may, who only looks may not.
    let as_joe = "--as=joe";
    let said = cluster.refuses(&[as_joe, "get", "configmaps"]);
    assert!(said.contains("User \"joe\" cannot list"), "{said}");
    cluster.says(&["create", "clusterrolebinding", "ops", "--clusterrole=edit", "--group=ops"]);
    cluster.says(&[as_joe, "--as-group=ops", "create", "configmap", "made-by-joe"]);
    let said = cluster.refuses(&[&as_jane, as_joe, "get", "configmaps"]);
    assert!(said.contains("cannot impersonate resource \"users\""), "{said}");
    cluster.says(&["--as=system:serviceaccount:default:jane", "get", "configmaps"]);
    let said =
        cluster.refuses(&[as_joe, "--as-group=ops", "create", "rolebinding", "x", "--clusterrole=admin", "--user=joe"]);
    assert!(said.contains("cannot create resource \"rolebindings\""), "{said}");

    // A role that is made of others follows them.
    let role = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: watch-nodes, labels: {rbac.authorization.k8s.io/aggregate-to-view: 'true'}}
rules: [{apiGroups: [''], resources: [nodes], verbs: [list, get]}]
";
    let role = cluster.file("role.yaml", role);
    cluster.says(&["apply", "-f", &role]);
    cluster.says(&[
        "wait",
        "--for=jsonpath={.rules[*].resources[?(@==\"nodes\")]}",
        "clusterrole/admin",
        "--timeout=20s",
    ]);
    cluster.says(&["create", "clusterrolebinding", "jane", "--clusterrole=view", "--serviceaccount=default:jane"]);
    cluster.says(&[&as_jane, "get", "nodes"]);

    // What a pod finds of its account.
    let pod = format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: client}}
spec:
  serviceAccountName: jane
  terminationGracePeriodSeconds: 0
  containers: [{{name: main, image: '{}', command: [sleep, '3600']}}]
",
        image.name
    );
    let pod = cluster.file("pod.yaml", &pod);
    cluster.says(&["apply", "-f", &pod]);
    cluster.says(&["wait", "--for=condition=Ready", "pod/client", "--timeout=60s"]);
    let file = |name: &str| {
        let path = format!("/var/run/secrets/kubernetes.io/serviceaccount/{name}");
        cluster.says(&["exec", "client", "--", "cat", &path])
    };
    assert_eq!(file("namespace"), "default");
    assert_eq!(file("ca.crt"), fs::read_to_string(cluster.directory.join("pki/ca.crt")).expect("it is there"));
    let as_pod = format!("--token={}", file("token"));
    let said = cluster.says(&[&as_pod, "auth", "whoami"]);
    assert!(said.contains("pod-name") && said.contains("client"), "{said}");
    cluster.says(&[&as_pod, "get", "pods"]);
    // The token ends with the pod.
    cluster.says(&["delete", "pod", "client"]);
    let said = cluster.refuses(&[&as_pod, "get", "pods"]);
    assert!(said.contains("Unauthorized") || said.contains("must be logged in"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_for_whom_and_as_long_as_they_say() {
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let admin = Client::try_from(config(&directory.0).await).expect("the configuration is complete");
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "default");
    let account = object(json!({"metadata": {"name": "robot"}}));
    accounts.create(&PostParams::default(), &account).await.expect("it is created");
    let ours = token(&admin, "robot", json!({"spec": {}})).await.expect("it is issued");
    let theirs = token(&admin, "robot", json!({"spec": {"audiences": ["vault"]}})).await.expect("it is issued");
    let error = token(&admin, "nobody", json!({"spec": {}})).await.expect_err("there is no such account");
    assert_eq!(code(&error), 404);
    let bound = json!({"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "gone"}}});
    assert_eq!(code(&token(&admin, "robot", bound).await.expect_err("there is no such pod")), 404);

    // A token for somebody else opens nothing here, but who it is for can have it examined.
    let maps = |client: Client| Api::<ConfigMap>::namespaced(client, "default");
    let with = async |token: &str| {
        let maps = maps(bearer(&directory.0, Some(token.to_owned())).await);
        maps.get("kube-root-ca.crt").await.map(drop).map_err(|error| code(&error))
    };
    assert_eq!(with(&ours).await, Err(403), "it is known, and may nothing");
    assert_eq!(with(&theirs).await, Err(401), "it is for another");
    assert_eq!(with(&format!("{ours}x")).await, Err(401), "it is not signed");
    let reviews: Api<TokenReview> = Api::all(admin.clone());
    let review = object(json!({"metadata": {}, "spec": {"token": theirs, "audiences": ["vault", "other"]}}));
    let answer = reviews.create(&PostParams::default(), &review).await.expect("it is answered").status;
    let answer = answer.expect("it says what");
    assert_eq!((answer.authenticated, answer.audiences), (Some(true), Some(vec!["vault".to_owned()])));

    // The keys are public, to accounts of the cluster.
    let fetch = async |client: &Client, path: &str| {
        let request = http::Request::get(path).body(Vec::new()).expect("it is a request");
        client.request::<Value>(request).await.map_err(|error| code(&error))
    };
    let robot = bearer(&directory.0, Some(ours.clone())).await;
    let found = fetch(&robot, "/.well-known/openid-configuration").await.expect("it is allowed");
    assert_eq!(found["id_token_signing_alg_values_supported"], json!(["ES256"]));
    let uri = found["jwks_uri"].as_str().expect("it says where").to_owned();
    let keys = fetch(
        &robot,
        uri.split_once("127.0.0.1").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).expect("it is here"),
    )
    .await
    .expect("it is allowed");
    assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["crv"]), (&json!("EC"), &json!("P-256")));
    let nobody = bearer(&directory.0, None).await;
    assert_eq!(fetch(&nobody, "/openid/v1/jwks").await, Err(403));
    assert!(fetch(&nobody, "/version").await.is_ok());

    // The key outlives the process; the token does not outlive the account, not even in one of the same name.
    server.stop().await;
    let server = Server::start(&directory.0).await;
    assert_eq!(with(&ours).await, Err(403));
    let accounts: Api<ServiceAccount> =
        Api::namespaced(Client::try_from(config(&directory.0).await).expect("it is complete"), "default");
    accounts.delete("robot", &DeleteParams::default()).await.expect("it is deleted");
    assert_eq!(with(&ours).await, Err(401));
    accounts.create(&PostParams::default(), &account).await.expect("it is created");
    assert_eq!(with(&ours).await, Err(401));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_not_given_by_who_lacks_them() {
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let admin = Client::try_from(config(&directory.0).await).expect("the configuration is complete");
    let give = async |kind: &str, value: Value| {
        let path = match kind {
            "Role" => "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
            "ClusterRole" => "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            _ => "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
        };
        let request = http::Request::post(path).body(value.to_string().into_bytes()).expect("it is a request");
        admin.request::<Value>(request).await.expect("the administrator may")
    };
    let account = object(json!({"metadata": {"name": "lead"}}));
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "default");
    accounts.create(&PostParams::default(), &account).await.expect("it is created");
    let subject = json!([{"kind": "ServiceAccount", "name": "lead", "namespace": "default"}]);
    let binding = |name: &str, kind: &str, role: &str| {
        json!({"metadata": {"name": name}, "subjects": subject.clone(),
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}})
    };
    // An administrator of the namespace: may make roles, of what they hold themselves.
    give("RoleBinding", binding("lead", "ClusterRole", "admin")).await;
    let lead =
        bearer(&directory.0, Some(token(&admin, "lead", json!({"spec": {}})).await.expect("it is issued"))).await;
    let roles: Api<Role> = Api::namespaced(lead.clone(), "default");
    let role = |name: &str, resource: &str, verbs: &[&str]| -> Role {
        object(
            json!({"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": verbs}]}),
        )
    };
    let make = async |wanted: &Role| {
        roles.create(&PostParams::default(), wanted).await.map(drop).map_err(|error| code(&error))
    };
    assert_eq!(make(&role("less", "pods", &["get", "delete"])).await, Ok(()));
    assert_eq!(make(&role("more", "nodes", &["get"])).await, Err(403));
    assert_eq!(make(&role("other", "pods", &["get", "fly"])).await, Err(403));
    // Neither by a change of what is there.
    let patch = json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    let patched = roles.patch("less", &PatchParams::default(), &Patch::Merge(&patch)).await;
    assert_eq!(code(&patched.expect_err("that is more")), 403);
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    roles.patch("less", &PatchParams::default(), &Patch::Merge(&label)).await.expect("that gives nothing");
    let cluster: Api<ClusterRole> = Api::all(lead);
    let made = cluster.create(&PostParams::default(), &object(json!({"metadata": {"name": "x"}, "rules": []}))).await;
    assert_eq!(code(&made.expect_err("only in the namespace")), 403);
    // `escalate` is the right to do it all the same.
    let rules = json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"]}]);
    give("Role", json!({"metadata": {"name": "escalate"}, "rules": rules})).await;
    give("RoleBinding", binding("escalate", "Role", "escalate")).await;
    assert_eq!(make(&role("more", "nodes", &["get"])).await, Ok(()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_takes_a_lease() {
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let admin = Client::try_from(config(&directory.0).await).expect("the configuration is complete");
    let leases: Api<Lease> = Api::namespaced(admin, "default");
    let made = object(json!({"metadata": {"name": "lock"}, "spec": {"leaseDurationSeconds": 30}}));
    // Made by one of many, too.
    let tries = (0..50).map(|_| async { leases.create(&PostParams::default(), &made).await });
    let made: Vec<_> = join_all(tries).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    assert!(made.iter().filter_map(|made| made.as_ref().err()).all(|error| code(error) == 409));
    for round in 0..5 {
        let seen = leases.get("lock").await.expect("it is there");
        let takes = (0..50).map(|number| {
            let mut lease = seen.clone();
            lease.spec.as_mut().expect("it has one").holder_identity = Some(format!("{round}-{number}"));
            let leases = leases.clone();
            async move {
                // Both ways of a conditional write.
                if number % 2 == 0 {
                    leases.replace("lock", &PostParams::default(), &lease).await
                } else {
                    let version = lease.metadata.resource_version.clone();
                    let patch = json!({"metadata": {"resourceVersion": version}, "spec": lease.spec});
                    leases.patch("lock", &PatchParams::default(), &Patch::Merge(&patch)).await
                }
            }
        });
        let taken: Vec<_> = join_all(takes).await;
        let winners: Vec<&Lease> = taken.iter().filter_map(|taken| taken.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1, "round {round}");
        assert!(taken.iter().filter_map(|taken| taken.as_ref().err()).all(|error| code(error) == 409), "round {round}");
        let now = leases.get("lock").await.expect("it is there");
        assert_eq!(now, *winners[0]);
    }
    server.stop().await;
}
