//! Defaults, rules and strategies that the recordings do not reach.

use serde_json::{Value, json};

use super::{change_refusals, created, refusals};
use crate::kinds::{self, quantity::Quantity};

fn pod(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
}

fn deployment(spec: Value) -> Value {
    let mut whole = json!({
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
    });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": whole})
}

#[test]
fn amounts_compare_and_are_spelled_canonically() {
    for (given, canonical) in [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1500m", "1500m"),
        ("1e3", "1e3"),
        ("1023Ki", "1023Ki"),
        ("0.1Gi", "107374182400m"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("-5", "-5"),
        ("0", "0"),
        ("3000k", "3M"),
    ] {
        assert_eq!(Quantity::parse(given).unwrap().to_string(), canonical, "{given}");
    }
    for bad in ["", "m", "1 Gi", "12Q", "1..2", "--1", "1e", "Gi"] {
        assert!(Quantity::parse(bad).is_none(), "{bad}");
    }
    assert!(Quantity::parse("1Gi").unwrap() > Quantity::parse("1G").unwrap());
}

#[test]
fn an_image_without_tag_or_with_latest_is_always_pulled() {
    let policy = |image: &str| {
        created(&pod(json!({"containers": [{"name": "c", "image": image}]})))["spec"]["containers"][0]
            ["imagePullPolicy"]
            .clone()
    };
    assert_eq!(policy("app"), "Always");
    assert_eq!(policy("localhost:5000/app:latest"), "Always");
    assert_eq!(policy("localhost:5000/app"), "Always");
    assert_eq!(policy("localhost:5000/app:1"), "IfNotPresent");
    assert_eq!(policy("app@sha256:0000000000000000000000000000000000000000000000000000000000000000"), "IfNotPresent");
}

#[test]
fn pods_request_their_limits_and_templates_do_not() {
    let container = json!({"name": "c", "image": "i:1", "resources": {"limits": {"cpu": "1"}}});
    let object = created(&pod(json!({"containers": [container]})));
    assert_eq!(object["spec"]["containers"][0]["resources"]["requests"], json!({"cpu": "1"}));
    assert_eq!(object["spec"]["enableServiceLinks"], true);
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container]}});
    let object = created(&deployment(json!({"template": template})));
    let spec = &object["spec"]["template"]["spec"];
    assert!(spec["containers"][0]["resources"]["requests"].is_null() && spec["enableServiceLinks"].is_null());
}

#[test]
fn pods_are_refused_for_what_people_get_wrong() {
    let object = pod(json!({
        "restartPolicy": "Sometimes",
        "initContainers": [{"name": "c", "image": "i"}],
        "containers": [{
            "name": "c",
            "image": "i",
            "env": [{"name": "A=B", "value": "x"}, {"name": "C", "value": "x",
                "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, {"name": "D",
                "valueFrom": {"fieldRef": {"fieldPath": "spec.none"}}}],
            "ports": [{"containerPort": 80, "name": "a-name-that-is-too-long"}],
            "volumeMounts": [{"name": "absent", "mountPath": "/x"}, {"name": "v", "mountPath": "/x"}],
            "livenessProbe": {"httpGet": {"port": 0}, "successThreshold": 2},
            "readinessProbe": {"periodSeconds": -1},
        }],
        "volumes": [{"name": "v", "configMap": {}}, {"name": "v", "emptyDir": {}}],
    }));
    let fields = "\"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \
                  \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \
                  \"status.podIPs\"";
    assert_eq!(
        refusals(&object),
        [
            "spec.volumes[0].configMap.name: Required value".to_owned(),
            "spec.containers[0].ports[0].name: Invalid value: \"a-name-that-is-too-long\": must be no more than 15 \
             characters"
                .to_owned(),
            "spec.containers[0].env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist \
             only of printable ASCII characters other than '='"
                .to_owned(),
            "spec.containers[0].env[1].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"
                .to_owned(),
            format!(
                "spec.containers[0].env[2].valueFrom.fieldRef.fieldPath: Unsupported value: \"spec.none\": supported \
                 values: {fields}"
            ),
            "spec.containers[0].volumeMounts[0].name: Not found: \"absent\"".to_owned(),
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/x\": must be unique".to_owned(),
            "spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive"
                .to_owned(),
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1".to_owned(),
            "spec.containers[0].readinessProbe: Required value: must specify a handler type".to_owned(),
            "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0"
                .to_owned(),
            "spec.initContainers[0].name: Duplicate value: \"c\"".to_owned(),
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \
             \"OnFailure\""
                .to_owned(),
        ]
    );
}

#[test]
fn a_pod_changes_only_its_images() {
    let old = pod(json!({"containers": [{"name": "c", "image": "i:1"}]}));
    let new = pod(json!({"containers": [{"name": "c", "image": "i:2"}]}));
    assert_eq!(change_refusals(&old, &new), Vec::<String>::new());
    let new = pod(json!({"containers": [{"name": "c", "image": "i:1", "args": ["x"]}]}));
    let refused = change_refusals(&old, &new);
    assert!(refused[0].starts_with(
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
         `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations`"
    ));
    assert!(refused[0].contains("+ spec.containers[0].args: [\"x\"]"), "{refused:?}");
    let new = pod(json!({"containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "i"}]}));
    assert_eq!(
        change_refusals(&old, &new),
        ["spec.containers: Forbidden: pod updates may not add or remove containers"]
    );
}

#[test]
fn the_generation_counts_changes_of_the_specification() {
    let resource = super::resource("apps", "v1", "deployments").unwrap();
    let old = created(&deployment(json!({"replicas": 1})));
    let generation = |change: &dyn Fn(&mut Value), subresource: Option<&str>| {
        let mut object = old.clone();
        change(&mut object);
        kinds::prepare_update(&resource, subresource, &mut object, &old);
        object
    };
    let scaled = generation(&|object| object["spec"]["replicas"] = 2.into(), None);
    assert_eq!(scaled["metadata"]["generation"], 2);
    let labelled = generation(&|object| object["metadata"]["labels"] = json!({"a": "b"}), None);
    assert_eq!(labelled["metadata"]["generation"], 1);
    let noted = generation(&|object| object["metadata"]["annotations"] = json!({"a": "b"}), None);
    assert_eq!(noted["metadata"]["generation"], 2);
    // Neither side reaches into the other's part, and a generation cannot be written.
    let status = |object: &mut Value| {
        object["status"]["replicas"] = 5.into();
        object["spec"]["replicas"] = 9.into();
        object["metadata"]["generation"] = 70.into();
    };
    let main = generation(&status, None);
    assert_eq!((&main["status"], &main["metadata"]["generation"]), (&json!({}), &json!(2)));
    let reported = generation(&status, Some("status"));
    assert_eq!(reported["spec"], old["spec"]);
    assert_eq!((&reported["status"]["replicas"], &reported["metadata"]["generation"]), (&json!(5), &json!(1)));
}

#[test]
fn a_service_keeps_what_was_allocated() {
    let service = |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec});
    let ports = json!([{"port": 80}]);
    let mut old = created(&service(json!({"type": "NodePort", "ports": ports})));
    old["spec"]["clusterIP"] = "10.96.0.9".into();
    old["spec"]["clusterIPs"] = json!(["10.96.0.9"]);
    old["spec"]["ports"][0]["nodePort"] = 30080.into();
    let resource = super::resource("", "v1", "services").unwrap();
    let update = |body: Value| {
        let mut object = super::decode(&resource, &service(body));
        object["metadata"]["namespace"] = "ns".into();
        kinds::set_defaults(&resource, &mut object);
        kinds::prepare_update(&resource, None, &mut object, &old);
        object
    };
    let same = update(json!({"type": "NodePort", "ports": ports}));
    assert_eq!(same["spec"], old["spec"]);
    // A client that sends everything back with another type does not mean the node port.
    let mut inside = old["spec"].clone();
    inside["type"] = "ClusterIP".into();
    let inside = update(inside);
    assert_eq!(
        (&inside["spec"]["ports"][0]["nodePort"], &inside["spec"]["externalTrafficPolicy"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(kinds::validate(&resource, None, &inside, Some(&old)), []);
    let other = update(json!({"type": "NodePort", "ports": ports, "clusterIP": "10.96.0.10"}));
    let errors = kinds::validate(&resource, None, &other, Some(&old));
    assert_eq!(super::lines(&errors), ["spec.clusterIPs[0]: Invalid value: [\"10.96.0.10\"]: may not change once set"]);
}

#[test]
fn other_kinds_are_refused_for_what_people_get_wrong() {
    let cases = [
        (
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {"spec":
                {"containers": [{"name": "c", "image": "i"}]}}}}),
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
        ),
        (
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "n"}, "spec":
                {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]}]}}),
            "spec.ingress[0].from[0].ipBlock.cidr: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. \
             10.9.8.0/24 or 2001:db8::/64)",
        ),
        (
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": {"rules":
                [{"http": {"paths": [{"path": "/", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}}),
            "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
        ),
        (
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "p"}, "spec": {
                "accessModes": ["ReadWriteOnce"]}}),
            "spec.resources[storage]: Required value",
        ),
        (
            deployment(json!({"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}})),
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or \
             'NotIn'",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "kubernetes.io/tls",
                "data": {"tls.crt": "eA=="}}),
            "data[tls.key]: Required value",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a.b"}}),
            "metadata.name: Invalid value: \"a.b\": a lowercase RFC 1123 label must consist of lower case alphanumeric \
             characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
             '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ),
    ];
    for (body, wanted) in cases {
        let found = refusals(&body);
        assert_eq!(found.first().map(String::as_str), Some(wanted), "{found:?}");
    }
}

#[test]
fn immutable_configuration_stays_as_it_is() {
    let map = |value: &str, immutable: Value| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": value},
            "immutable": immutable})
    };
    let detail = "Forbidden: field is immutable when `immutable` is set";
    let locked = map("1", true.into());
    assert_eq!(change_refusals(&locked, &map("2", true.into())), [format!("data: {detail}")]);
    assert_eq!(change_refusals(&locked, &map("1", Value::Null)), [format!("immutable: {detail}")]);
    assert_eq!(change_refusals(&map("1", false.into()), &map("2", true.into())), Vec::<String>::new());
}

#[test]
fn a_job_selects_its_own_pods_by_its_uid() {
    let mut body = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template":
        {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
    body["metadata"]["uid"] = "u-1".into();
    let object = created(&body);
    assert_eq!(object["spec"]["selector"]["matchLabels"], json!({"batch.kubernetes.io/controller-uid": "u-1"}));
    let labels = &object["spec"]["template"]["metadata"]["labels"];
    assert_eq!((&labels["job-name"], &labels["controller-uid"]), (&json!("j"), &json!("u-1")));
    let spec = &object["spec"];
    assert_eq!(
        (&spec["completions"], &spec["parallelism"], &spec["backoffLimit"], &spec["completionMode"]),
        (&json!(1), &json!(1), &json!(6), &json!("NonIndexed"))
    );
}
