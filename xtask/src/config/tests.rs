//! What the configuration's mistakes look like, and that the reference names every key.

use std::{path::Path, time::Duration};

use super::{
    Builder, Cluster, Credentials, Environment, Kubeconfig, PullSecret, Registry, duration,
    fields::{Findings, closest},
    load,
    load::parse,
};
use crate::error::{Kind, Result};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

fn read(text: &str) -> Result<Environment> {
    parse(root(), "local", "infra-config/local.yaml", text, &Findings::default())
}

fn mistakes(text: &str) -> Vec<String> {
    let error = read(text).expect_err("it has mistakes");
    assert_eq!(error.kind, Kind::Usage);
    assert_eq!(error.places.len(), error.causes.len(), "every mistake has a place");
    error.causes
}

#[test]
fn the_references_name_every_key() {
    let findings = Findings::default();
    for name in ["reference", "reference-services", "reference-aws", "reference-subnets"] {
        let file = format!("infra-config/{name}.yaml");
        let text = std::fs::read_to_string(root().join(&file)).expect("the reference exists");
        parse(root(), name, &file, &text, &findings).unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(findings.absent(), Vec::<String>::new(), "keys that infra-config/reference.yaml lacks");
}

#[test]
fn services_are_judged_beside_each_other() {
    let text = "\
services:
  - {name: a, manifests: manifests/base, needs: [b]}
  - {name: b, manifests: manifests/overlays/local, needs: [c, absent]}
  - {name: c, manifests: manifests/overlays/local, needs: [a]}
  - {name: a, manifests: manifests/overlays, nmae: x}
  - {manifests: xtask}
service: {name: app}
registry: {generic: {host: ghcr.io, repository: one}}
";
    assert_eq!(
        mistakes(text),
        [
            "infra-config/local.yaml:2:50: services[0].needs[0]: the services wait for each other: a -> b -> c -> a",
            "infra-config/local.yaml:3:63: services[1].needs[1]: there is no service `absent`",
            "infra-config/local.yaml:4:26: services[2].manifests: service `b` has the same manifests: each object belongs \
             to one",
            "infra-config/local.yaml:5:12: services[3].name: there is another service `a`",
            "infra-config/local.yaml:5:46: services[3].nmae: unknown key, did you mean `name`?",
            "infra-config/local.yaml:6:5: services[4].name: a service has a name",
            "infra-config/local.yaml:7:10: service: it belongs to one service: write it in the items of `services`",
            "infra-config/local.yaml:8:49: registry.generic.repository: several services need repositories of their own: \
             put {service} into it",
        ]
    );
    let text = "services: [{name: a, manifests: manifests/base, needs: [b]}, {name: b, manifests: xtask}]\n";
    let environment = read(text).expect("valid");
    let names = |names: &[&str]| -> Result<Vec<String>> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        Ok(environment.select(&names)?.iter().map(|unit| unit.service.name.clone()).collect())
    };
    assert_eq!(names(&[]).expect("all"), ["a", "b"]);
    assert_eq!(names(&["b", "b"]).expect("one"), ["b"]);
    assert_eq!(names(&["c"]).expect_err("none").message, "there is no service c in local");
    assert_eq!(
        (environment.services[1].namespace.as_str(), environment.services[1].image.package.as_str()),
        ("b", "b")
    );
    assert_eq!(environment.services[0].needs, ["b"]);
}

#[test]
fn every_environment_of_the_repository_is_valid() {
    for name in super::environments(root()).expect("infra-config/ can be read") {
        load(root(), &name).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn an_empty_file_has_defaults() {
    let environment = read("").expect("nothing is required");
    assert_eq!(environment.services[0].name, "app");
    assert_eq!(environment.rollout.timeout, Duration::from_secs(300));
    assert_eq!(environment.services[0].manifests, root().join("manifests/overlays/local"));
    assert!(environment.services[0].verify.is_empty());
    if cfg!(target_os = "linux") {
        assert_eq!(environment.services[0].image.builder, Builder::Host);
    }
}

#[test]
fn every_mistake_is_reported_with_its_place_and_its_key() {
    let text = "\
service:
  nmae: app
rollout:
  timeout: soon
verify:
  - request: {path: v1, method: PSOT}
    expect:
      status: 700
      body: x
image: host
";
    assert_eq!(
        mistakes(text),
        [
            "infra-config/local.yaml:2:3: service.nmae: unknown key, did you mean `name`?",
            "infra-config/local.yaml:4:12: rollout.timeout: `soon` is not a duration; write it like 90s, 5m or 1h30m",
            "infra-config/local.yaml:6:21: verify[0].request.path: `v1` does not begin with /",
            "infra-config/local.yaml:6:33: verify[0].request.method: `PSOT` is not one of GET, HEAD, POST, PUT, PATCH, \
             DELETE; did you mean `POST`?",
            "infra-config/local.yaml:8:15: verify[0].expect.status: `700` is not an HTTP status from 100 to 599",
            "infra-config/local.yaml:9:7: verify[0].expect.body: unknown key, the keys here are contains, json, status",
            "infra-config/local.yaml:10:8: image: a mapping was expected, this is a single value",
        ]
    );
}

#[test]
fn names_that_kubernetes_refuses_are_refused_here() {
    assert_eq!(
        mistakes("service:\n  name: 1App\n"),
        ["infra-config/local.yaml:2:9: service.name: `1App` is not a DNS label: at most 63 of a-z, 0-9 and -, \
          beginning with a letter, not ending in -"]
    );
    assert!(read("service:\n  namespace: 1app\n").is_ok(), "a namespace may begin with a digit");
}

#[test]
fn a_cluster_and_a_registry_are_words_or_have_one_tag() {
    let cluster = |text: &str| read(text).expect("valid").cluster;
    assert_eq!(cluster("cluster: local\n"), Cluster::Local);
    assert_eq!(
        cluster("cluster: {kubeconfig: {context: kind-kind, file: a/config}}\n"),
        Cluster::Kubeconfig(Kubeconfig { context: "kind-kind".into(), file: Some(root().join("a/config")) })
    );
    assert_eq!(read("registry: none\n").expect("valid").registry, Registry::None);
    let place = |column: usize| format!("infra-config/local.yaml:1:{column}: cluster");
    for (text, mistake) in [
        (
            "cluster: kubeconfig\n",
            format!("{}: `kubeconfig` has keys of its own: write them below `kubeconfig:`", place(10)),
        ),
        (
            "cluster: loacl\n",
            format!("{}: `loacl` is not one of local, kubeconfig, eks; did you mean `local`?", place(10)),
        ),
        (
            "cluster: {kubconfig: {}}\n",
            format!("{}: `kubconfig` is not one of local, kubeconfig, eks; did you mean `kubeconfig`?", place(11)),
        ),
        ("cluster: {}\n", format!("{}: exactly one of local, kubeconfig, eks was expected", place(10))),
        (
            "cluster: {kubeconfig: {}}\n",
            format!(
                "{}.kubeconfig.context: which context of the kubeconfig? the current one is never used: `kubectl config get-contexts`",
                place(23)
            ),
        ),
        (
            "cluster: {kubeconfig: {context: a, contxt: b}}\n",
            format!("{}.kubeconfig.contxt: unknown key, did you mean `context`?", place(36)),
        ),
        ("cluster: [local]\n", format!("{}: a single value was expected, this is a list", place(10))),
    ] {
        assert_eq!(mistakes(text), [mistake], "{text}");
    }
}

#[test]
fn a_registry_has_a_host_and_never_a_password() {
    let read = |keys: &str| match read(&format!("registry:\n  generic: {keys}\n")).expect("valid").registry {
        Registry::Generic(generic) => generic,
        other => panic!("{other:?}"),
    };
    let generic = read("{host: ghcr.io}");
    assert_eq!(generic.repository("app").expect("it is one").to_string(), "ghcr.io/app");
    assert_eq!((generic.credentials, generic.pull_secret), (Credentials::Docker, PullSecret::WhenRefused));
    let generic =
        read("{host: 'localhost:5000', repository: 'a/{service}-x', credentials: anonymous, pull_secret: none}");
    assert_eq!(generic.repository("app").expect("it is one").to_string(), "localhost:5000/a/app-x");
    assert_eq!((generic.credentials, generic.pull_secret), (Credentials::Anonymous, PullSecret::Never));
    let generic = "registry:\n  generic: {host: a b, repository: A, credentials: {username: ME, password: pa$$}}\n";
    assert_eq!(
        mistakes(generic),
        [
            "infra-config/local.yaml:2:19: registry.generic.host: `a b` is not the host[:port] of a registry, such as \
             ghcr.io or localhost:5000",
            "infra-config/local.yaml:2:36: registry.generic.repository: `A` is not a repository: lower-case words \
             separated by /, and {service}",
            "infra-config/local.yaml:2:77: registry.generic.credentials.password: the name of an environment variable \
             was expected, never its value",
        ]
    );
}

#[test]
fn a_directory_or_file_that_is_missing_is_named() {
    assert_eq!(
        mistakes("manifests: manifests/overlays/nowhere\n"),
        ["infra-config/local.yaml:1:12: manifests: there is no directory manifests/overlays/nowhere"]
    );
}

#[test]
fn yaml_that_is_none_is_placed() {
    let error = read("service:\n  name: \"app\n").expect_err("the quote is not closed");
    assert_eq!(error.message, "infra-config/local.yaml is not valid YAML");
    assert_eq!(error.places.len(), 1);
    assert_eq!(mistakes("a: 1\na: 2\n"), ["infra-config/local.yaml:2:1: key `a` was given before, on line 1"]);
    assert_eq!(
        mistakes("service: &x {}\nimage: *x\n"),
        ["infra-config/local.yaml:2:8: anchors and aliases are not supported"]
    );
}

#[test]
fn a_missing_environment_names_those_that_exist() {
    let error = load(root(), "locla").expect_err("there is none of that name");
    assert_eq!(error.message, "there is no environment `locla`: infra-config/locla.yaml does not exist");
    assert!(error.hint.expect("it helps").starts_with("did you mean `local`? the environments are: "));
    assert!(load(root(), "../infra-config/local").is_err(), "a name is no path");
    assert!(load(root(), "reference").is_err(), "the reference is no environment");
}

#[test]
fn a_check_keeps_types_of_json() {
    let text = "verify: [{request: {path: /v1}, expect: {json: {a: 1, b: '1', c: true, d: null, e: [x, 1.5]}}}]\n";
    let check = read(text).expect("valid").services.remove(0).verify.remove(0);
    assert_eq!(check.json, Some(serde_json::json!({"a": 1, "b": "1", "c": true, "d": null, "e": ["x", 1.5]})));
    assert_eq!((check.name.as_str(), check.status), ("GET /v1", 200));
}

#[test]
fn durations() {
    assert_eq!(duration::parse("90s"), Ok(Duration::from_secs(90)));
    assert_eq!(duration::parse("1h30m"), Ok(Duration::from_secs(5400)));
    assert_eq!(duration::parse("250ms"), Ok(Duration::from_millis(250)));
    assert_eq!(duration::parse("0s"), Err("`0s` leaves no time at all".into()));
    for wrong in ["", "5", "5 minutes", "-1s", "1d", "99999999999999999999h", "s"] {
        assert!(duration::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn suggestions_are_near_or_none() {
    assert_eq!(closest("timeot", ["timeout", "name"]), Some("timeout"));
    assert_eq!(closest("replicas", ["timeout", "name"]), None);
}

#[test]
fn the_schema_for_editors_is_the_one_that_the_reader_makes() {
    let written = std::fs::read_to_string(root().join("infra-config/schema.json")).unwrap_or_default();
    let made = super::schema(root()).expect("the references can be read");
    assert!(written == made, "it is stale: cargo xtask schema > infra-config/schema.json");
}

#[test]
fn a_key_of_the_schema_has_words_in_a_reference() {
    let schema: serde_json::Value = serde_json::from_str(&super::schema(root()).expect("it is made")).expect("JSON");
    let mut without = Vec::new();
    undocumented(&schema, "", &mut without);
    assert_eq!(without, Vec::<String>::new(), "no reference has them");
}

/// The keys that no file named reference*.yaml has.
fn undocumented(schema: &serde_json::Value, path: &str, without: &mut Vec<String>) {
    use std::sync::LazyLock;
    static KNOWN: LazyLock<String> = LazyLock::new(|| {
        let names = ["reference", "reference-services", "reference-aws", "reference-subnets"];
        let read = |name| std::fs::read_to_string(root().join(format!("infra-config/{name}.yaml"))).unwrap_or_default();
        names.map(read).concat()
    });
    if let Some(properties) = schema["properties"].as_object() {
        for (key, schema) in properties {
            let path = format!("{path}.{key}");
            if !KNOWN.contains(&format!("{key}:")) {
                without.push(path.clone());
            }
            undocumented(schema, &path, without);
        }
    }
    undocumented_in(&schema["items"], path, without);
    for one in schema["anyOf"].as_array().into_iter().flatten() {
        undocumented(one, path, without);
    }
}

fn undocumented_in(items: &serde_json::Value, path: &str, without: &mut Vec<String>) {
    if items.is_object() {
        undocumented(items, path, without);
    }
}
