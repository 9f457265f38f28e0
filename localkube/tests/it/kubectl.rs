//! What a person does with kubectl, against a cluster with real pods.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use crate::{busybox::Image, cluster::Cluster};

/// A Deployment whose pods say their version every tenth of a second.
fn deployment(image: &str, version: &str, extra: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: talker, labels: {{app: talker}}}}
spec:
{extra}  selector: {{matchLabels: {{app: talker}}}}
  template:
    metadata: {{labels: {{app: talker}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: talker
          image: {image}
          command: [/bin/busybox, sh, -c, 'while true; do echo \"version $VERSION\"; /bin/busybox sleep 0.1; done']
          env: [{{name: VERSION, value: {version:?}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: talker}}
spec:
  selector: {{app: talker}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
"
    )
}

#[test]
fn kubectl_works_as_on_any_cluster() {
    let image = Image::new("kubectl");
    let cluster = Cluster::start();
    let one = cluster.file("one.yaml", &deployment(&image.name, "1", "  replicas: 2\n"));
    let two = cluster.file("two.yaml", &deployment(&image.name, "2", "  replicas: 2\n"));

    applies_and_waits(&cluster, &one);
    shows(&cluster);
    follows_logs(&cluster);
    shows_differences(&cluster, &one, &two);
    rolls_forward_and_back(&cluster, &two);
    scales(&cluster);
    reports_conflicts(&cluster, &image, &one);
    refuses_mistakes(&cluster);
    deletes(&cluster, &one);
}

fn applies_and_waits(cluster: &Cluster, one: &str) {
    let said = cluster.says(&["apply", "--server-side", "-f", one]);
    assert_eq!(said, "deployment.apps/talker serverside-applied\nservice/talker serverside-applied\n");
    let said = cluster.says(&["rollout", "status", "deployment/talker", "--timeout=60s"]);
    assert!(said.ends_with("deployment \"talker\" successfully rolled out\n"), "{said}");
    let said = cluster.says(&["wait", "--for=condition=Available", "deployment/talker", "--timeout=10s"]);
    assert_eq!(said, "deployment.apps/talker condition met\n");
}

fn shows(cluster: &Cluster) {
    let table = cluster.says(&["get", "deployment,pods,service,endpointslices", "--no-headers=false"]);
    for words in ["READY", "UP-TO-DATE", "AVAILABLE", "RESTARTS", "CLUSTER-IP", "2/2", "1/1", "Running", "ADDRESSTYPE"]
    {
        assert!(table.contains(words), "no {words} in\n{table}");
    }
    let wide = cluster.says(&["get", "pods", "-o", "wide"]);
    assert!(wide.contains("NODE") && wide.contains("10."), "{wide}");
    let nodes = cluster.says(&["get", "nodes"]);
    assert!(nodes.contains("Ready") && nodes.contains("v1.36"), "{nodes}");
    let yaml = cluster.says(&["get", "deployment", "talker", "-o", "yaml"]);
    for words in ["progressDeadlineSeconds: 600", "deployment.kubernetes.io/revision: \"1\"", "availableReplicas: 2"] {
        assert!(yaml.contains(words), "no {words} in\n{yaml}");
    }
    let managers = cluster.says(&["get", "deployment", "talker", "-o", "yaml", "--show-managed-fields"]);
    assert!(
        managers.contains("manager: kubectl") && managers.contains("manager: kube-controller-manager"),
        "{managers}"
    );
    let described = squeeze(&cluster.says(&["describe", "deployment", "talker"]));
    for words in
        ["RollingUpdateStrategy: 25% max unavailable, 25% max surge", "MinimumReplicasAvailable", "ScalingReplicaSet"]
    {
        assert!(described.contains(words), "no {words} in\n{described}");
    }
    let described = squeeze(&cluster.says(&["describe", "pods", "-l", "app=talker"]));
    for words in ["Started", "Container ID: docker://", "State: Running", "Ready True"] {
        assert!(described.contains(words), "no {words} in\n{described}");
    }
    let events = cluster.says(&["events", "--for", "deployment/talker"]);
    assert!(events.contains("ScalingReplicaSet"), "{events}");
    let kinds = cluster.says(&["api-resources"]);
    assert!(kinds.contains("deployments") && kinds.contains("horizontalpodautoscalers"), "{kinds}");
    let explained = cluster.says(&["explain", "deployment.spec.strategy"]);
    assert!(explained.contains("rollingUpdate"), "{explained}");
}

/// Once the pods of before are gone, all that are left say this.
#[track_caller]
fn every_pod_says(cluster: &Cluster, version: &str) {
    for _ in 0..100 {
        let pods =
            cluster.says(&["get", "pods", "-l", "app=talker", "-o", "jsonpath={.items[*].metadata.deletionTimestamp}"]);
        if pods.is_empty() {
            break;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    let said = cluster.says(&["logs", "-l", "app=talker", "--tail=1"]);
    assert!(!said.is_empty() && said.lines().all(|line| line == version), "{said}");
}

/// Columns without their padding.
fn squeeze(text: &str) -> String {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

fn follows_logs(cluster: &Cluster) {
    let tail = cluster.says(&["logs", "deployment/talker", "--tail=2"]);
    assert_eq!(tail, "version 1\nversion 1\n");
    let mut follow = cluster
        .kubectl_command(&["logs", "-f", "deployment/talker", "--tail=0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("run kubectl logs");
    let lines = BufReader::new(follow.stdout.take().expect("its output is a pipe")).lines();
    let said: Vec<String> = lines.take(3).collect::<Result<_, _>>().expect("the lines are UTF-8");
    follow.kill().expect("end kubectl logs");
    follow.wait().expect("reap kubectl logs");
    assert_eq!(said, ["version 1", "version 1", "version 1"]);
}

fn shows_differences(cluster: &Cluster, one: &str, two: &str) {
    assert_eq!(cluster.says(&["diff", "--server-side", "-f", one]), "");
    let output = cluster.kubectl(&["diff", "--server-side", "-f", two]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("-          value: \"1\"") && text.contains("+          value: \"2\""), "{text}");
}

fn rolls_forward_and_back(cluster: &Cluster, two: &str) {
    cluster.says(&["apply", "--server-side", "-f", two]);
    cluster.says(&["rollout", "status", "deployment/talker", "--timeout=60s"]);
    every_pod_says(cluster, "version 2");
    let history = cluster.says(&["rollout", "history", "deployment/talker"]);
    assert!(history.contains("\n1 ") && history.contains("\n2 "), "{history}");
    assert_eq!(cluster.says(&["rollout", "undo", "deployment/talker"]), "deployment.apps/talker rolled back\n");
    cluster.says(&["rollout", "status", "deployment/talker", "--timeout=60s"]);
    every_pod_says(cluster, "version 1");
    cluster.says(&["rollout", "restart", "deployment/talker"]);
    cluster.says(&["rollout", "status", "deployment/talker", "--timeout=60s"]);
    every_pod_says(cluster, "version 1");
}

fn scales(cluster: &Cluster) {
    assert_eq!(cluster.says(&["scale", "deployment/talker", "--replicas=3"]), "deployment.apps/talker scaled\n");
    cluster.says(&["rollout", "status", "deployment/talker", "--timeout=60s"]);
    assert_eq!(cluster.says(&["get", "deployment", "talker", "-o", "jsonpath={.status.readyReplicas}"]), "3");
    cluster.says(&["wait", "pods", "-l", "app=talker", "--for=condition=Ready", "--timeout=20s"]);
}

fn reports_conflicts(cluster: &Cluster, image: &Image, one: &str) {
    // kubectl scale took the replicas, so the applier of old no longer owns them alone.
    let complaint = cluster.refuses(&["apply", "--server-side", "-f", one]);
    assert!(complaint.contains("conflict with \"kubectl\"") && complaint.contains(".spec.replicas"), "{complaint}");
    let other = cluster.file("other.yaml", &deployment(&image.name, "3", ""));
    let complaint = cluster.refuses(&["apply", "--server-side", "--field-manager=another", "-f", &other]);
    assert!(complaint.contains("Apply failed with 1 conflict: conflict with \"kubectl\""), "{complaint}");
    assert!(
        complaint.contains(".spec.template.spec.containers[name=\"talker\"].env[name=\"VERSION\"].value"),
        "{complaint}"
    );
    cluster.says(&["apply", "--server-side", "--field-manager=another", "--force-conflicts", "-f", &other]);
    cluster.says(&["rollout", "status", "deployment/talker", "--timeout=60s"]);
    every_pod_says(cluster, "version 3");
}

fn refuses_mistakes(cluster: &Cluster) {
    let file = cluster.file("mistake.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, lables: {a: b}}\n");
    let complaint = cluster.refuses(&["create", "-f", &file]);
    assert!(complaint.contains("strict decoding error: unknown field \"metadata.lables\""), "{complaint}");
    let complaint = cluster.refuses(&["get", "pods", "absent"]);
    assert_eq!(complaint, "Error from server (NotFound): pods \"absent\" not found\n");
    let complaint = cluster.refuses(&["--token=wrong", "get", "pods"]);
    assert!(complaint.contains("You must be logged in to the server"), "{complaint}");
}

fn deletes(cluster: &Cluster, one: &str) {
    cluster.says(&["delete", "-f", one, "--wait", "--timeout=60s"]);
    cluster.says(&["wait", "pods", "-l", "app=talker", "--for=delete", "--timeout=60s"]);
    assert_eq!(cluster.says(&["get", "replicasets,pods,endpointslices", "-l", "app=talker"]), "");
    let short = cluster.file(
        "short.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: short}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: short}\n",
    );
    cluster.says(&["create", "-f", &short]);
    cluster.says(&["delete", "namespace", "short", "--timeout=30s"]);
    assert!(cluster.refuses(&["get", "namespace", "short"]).contains("not found"));
}

/// Commands that make objects themselves send them as protobuf, where those that read files send JSON.
#[test]
fn kubectl_makes_objects() {
    let cluster = Cluster::start();
    for (arguments, answer) in [
        ("create namespace made", "namespace/made created"),
        ("create configmap settings --from-literal=mode=fast --from-literal=level=", "configmap/settings created"),
        ("create secret generic login --from-literal=user=ada", "secret/login created"),
        ("create serviceaccount robot", "serviceaccount/robot created"),
        (
            "create role reader --verb=get,list --resource=pods,configmaps",
            "role.rbac.authorization.k8s.io/reader created",
        ),
        (
            "create rolebinding readers --role=reader --serviceaccount=made:robot",
            "rolebinding.rbac.authorization.k8s.io/readers created",
        ),
        ("create service clusterip web --tcp=80:8080", "service/web created"),
        ("create quota few --hard=pods=2,requests.cpu=500m", "resourcequota/few created"),
        ("create job once --image=none.invalid/app -- /app --now", "job.batch/once created"),
        ("create deployment web --image=none.invalid/app --replicas=0 --port=8080", "deployment.apps/web created"),
        ("create ingress web --rule=example.test/*=web:80", "ingress.networking.k8s.io/web created"),
        (
            "create poddisruptionbudget web --selector=app=web --min-available=50%",
            "poddisruptionbudget.policy/web created",
        ),
        ("delete job once", "job.batch \"once\" deleted from made namespace"),
        ("auth can-i create pods", "yes"),
    ] {
        let arguments: Vec<&str> = ["--namespace=made"].into_iter().chain(arguments.split(' ')).collect();
        assert_eq!(cluster.says(&arguments), format!("{answer}\n"), "{arguments:?}");
    }
    for (object, path, value) in [
        ("configmap/settings", "{.data}", r#"{"level":"","mode":"fast"}"#),
        ("secret/login", "{.type} {.data}", r#"Opaque {"user":"YWRh"}"#),
        ("role/reader", "{.rules}", r#"[{"apiGroups":[""],"resources":["pods","configmaps"],"verbs":["get","list"]}]"#),
        ("service/web", "{.spec.ports}", r#"[{"name":"80-8080","port":80,"protocol":"TCP","targetPort":8080}]"#),
        ("resourcequota/few", "{.spec}", r#"{"hard":{"pods":"2","requests.cpu":"500m"}}"#),
        (
            "deployment/web",
            "{.spec.replicas} {.spec.template.spec.containers[0].ports}",
            r#"0 [{"containerPort":8080,"protocol":"TCP"}]"#,
        ),
        ("ingress/web", "{.spec.rules[0].http.paths[0].backend}", r#"{"service":{"name":"web","port":{"number":80}}}"#),
        ("poddisruptionbudget/web", "{.spec}", r#"{"minAvailable":"50%","selector":{"matchLabels":{"app":"web"}}}"#),
    ] {
        let output = format!("jsonpath={path}");
        assert_eq!(cluster.says(&["--namespace=made", "get", object, "-o", &output]), value, "{object}");
    }
    let complaint = cluster.refuses(&["create", "namespace", "made"]);
    assert_eq!(complaint, "Error from server (AlreadyExists): namespaces \"made\" already exists\n");
    let complaint = cluster.refuses(&["create", "configmap", "Settings"]);
    assert!(
        complaint.starts_with("error: failed to create configmap: ConfigMap \"Settings\" is invalid: metadata.name: "),
        "{complaint}"
    );
}
