//! StatefulSets with volumes that stay, through kubectl.

use std::time::{Duration, Instant};

use crate::{busybox::Image, cluster::Cluster};

const DATABASE: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 12345, runAsGroup: 12345, runAsNonRoot: true, fsGroup: 2345}
      containers:
        - name: main
          image: IMAGE
          command: [sh, -c, 'mkdir -p /data/mine && chmod 700 /data/mine && echo $HOSTNAME >> /data/mine/starts; exec sleep 1000']
          volumeMounts: [{name: data, mountPath: /data}, {name: data, mountPath: /part, subPath: part}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"#;

/// Waits until kubectl says what is expected.
fn until(cluster: &Cluster, arguments: &[&str], expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let output = cluster.kubectl(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if text.contains(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "kubectl {arguments:?} never said {expected}: {text}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

#[test]
fn a_stateful_set_keeps_its_data_and_its_names() {
    let image = Image::new("claims");
    let cluster = Cluster::start();
    let file = cluster.file("db.yaml", &DATABASE.replace("IMAGE", &image.name));
    cluster.says(&["apply", "-f", &file]);
    cluster.says(&["rollout", "status", "statefulset/db", "--timeout=60s"]);
    assert!(cluster.says(&["get", "pvc", "-o", "jsonpath={.items[*].metadata.name}"]).contains("data-db-0 data-db-1"));
    assert_eq!(cluster.says(&["exec", "db-0", "--", "stat", "-c", "%g", "/data"]).trim(), "2345");
    // Files made by the container's user are there again after a new pod, with their modes.
    cluster.says(&["delete", "pod", "db-1"]);
    cluster.says(&["rollout", "status", "statefulset/db", "--timeout=60s"]);
    until(&cluster, &["exec", "db-1", "--", "cat", "/data/mine/starts"], "db-1\ndb-1\n");
    assert_eq!(cluster.says(&["exec", "db-1", "--", "stat", "-c", "%a", "/data/mine"]).trim(), "700");
    cluster.says(&["exec", "db-0", "--", "nslookup", "db-1.db.default.svc.cluster.local"]);
    // Only root may ping; the name is resolved before that is known.
    assert!(
        cluster.says(&["exec", "db-0", "--", "sh", "-c", "ping -c1 db-1.db 2>&1 | head -1"]).contains("db-1.db (10.")
    );
    // A change and the way back.
    cluster.says(&["set", "env", "statefulset/db", "V=2"]);
    cluster.says(&["rollout", "status", "statefulset/db", "--timeout=60s"]);
    assert!(cluster.says(&["rollout", "history", "statefulset/db"]).contains('2'));
    cluster.says(&["rollout", "undo", "statefulset/db"]);
    cluster.says(&["rollout", "status", "statefulset/db", "--timeout=60s"]);
    assert!(!cluster.says(&["get", "statefulset", "db", "-o", "yaml"]).contains("name: V"));
    // A claim in use stays; the surplus pod's goes with it, and its folder with the claim.
    cluster.says(&["scale", "statefulset/db", "--replicas=1"]);
    let volumes = cluster.directory.join("volumes");
    until(&cluster, &["get", "pvc", "data-db-1"], "NotFound");
    until(&cluster, &["get", "pv", "-o", "jsonpath={.items[*].spec.claimRef.name}end"], "data-db-0end");
    assert_eq!(std::fs::read_dir(&volumes).expect("it is there").count(), 1);
    cluster.says(&["delete", "pvc", "data-db-0", "--wait=false"]);
    assert!(cluster.says(&["get", "pvc", "data-db-0"]).contains("Terminating"));
    cluster.says(&["delete", "statefulset", "db"]);
    until(&cluster, &["get", "pvc", "data-db-0"], "NotFound");
    until(&cluster, &["get", "pv"], "No resources found");
}

#[test]
fn what_a_claim_waits_for_is_said() {
    let image = Image::new("waits");
    let cluster = Cluster::start();
    let claim = |name: &str, class: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec: {{accessModes: \
             [ReadWriteOnce], {class} resources: {{requests: {{storage: 1Gi}}}}}}\n---\n"
        )
    };
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers: [{{name: main, image: {}, command: \
         [sleep, '1000'], volumeMounts: [{{name: v, mountPath: /v}}]}}]\n  volumes: [{{name: v, \
         persistentVolumeClaim: {{claimName: unknown}}}}]\n---\n",
        image.name
    );
    let kept = cluster.directory.join("static");
    let volume = format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: static}}\nspec: {{accessModes: [ReadWriteOnce], \
         capacity: {{storage: 2Gi}}, storageClassName: manual, hostPath: {{path: {}, type: DirectoryOrCreate}}}}\n---\n",
        kept.display()
    );
    let objects = claim("unknown", "storageClassName: nothing,")
        + &claim("later", "")
        + &claim("manual", "storageClassName: manual,")
        + &volume
        + &pod;
    let file = cluster.file("objects.yaml", &objects);
    cluster.says(&["apply", "-f", &file]);
    let expected = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.";
    until(&cluster, &["get", "pod", "p", "-o", "jsonpath={.status.conditions[*].message}"], expected);
    until(&cluster, &["describe", "pvc", "unknown"], "storageclass.storage.k8s.io \"nothing\" not found");
    until(&cluster, &["describe", "pvc", "later"], "waiting for first consumer to be created before binding");
    until(&cluster, &["get", "pvc", "manual"], "Bound");
    assert!(cluster.says(&["get", "storageclass"]).contains("local (default)"));
}

#[test]
fn pods_leave_a_node_that_is_lost() {
    let image = Image::new("lost");
    let cluster = Cluster::start();
    let pod = |name: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{terminationGracePeriodSeconds: 1, {more} \
             containers: [{{name: main, image: {}, command: [sleep, '1000']}}]}}\n---\n",
            image.name
        )
    };
    let tolerations = |seconds: &str| {
        format!("tolerations: [{{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute{seconds}}}],")
    };
    let file = cluster
        .file("pods.yaml", &(pod("leaves", &tolerations(", tolerationSeconds: 1")) + &pod("stays", &tolerations(""))));
    cluster.says(&["apply", "-f", &file]);
    cluster.says(&["wait", "--for=condition=Ready", "pod/leaves", "pod/stays", "--timeout=60s"]);
    cluster.says(&["cordon", "slipway"]);
    until(&cluster, &["get", "node", "slipway", "-o", "jsonpath={.spec.taints}"], "node.kubernetes.io/unschedulable");
    let lost = r#"{"status":{"conditions":[{"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown"}]}}"#;
    cluster.says(&["patch", "node", "slipway", "--subresource=status", "--type=strategic", "-p", lost]);
    until(&cluster, &["get", "pod", "leaves"], "NotFound");
    assert!(cluster.says(&["get", "pod", "stays"]).contains("Running"));
    until(&cluster, &["get", "events"], "Marking for deletion Pod default/leaves");
    // Nothing else is put there.
    let file = cluster.file("late.yaml", &pod("late", ""));
    cluster.says(&["apply", "-f", &file]);
    until(&cluster, &["get", "pod", "late", "-o", "jsonpath={.status.conditions}"], "1 node(s) were unschedulable");
}
