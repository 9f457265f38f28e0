//! What the configuration's mistakes look like, and that the reference names every key.

use std::{path::Path, time::Duration};

use super::{
    Builder, Environment, duration,
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
fn the_reference_names_every_key() {
    let text = std::fs::read_to_string(root().join("infra-config/reference.yaml")).expect("the reference exists");
    let findings = Findings::default();
    parse(root(), "reference", "infra-config/reference.yaml", &text, &findings).expect("the reference is valid");
    assert_eq!(findings.absent(), Vec::<String>::new(), "keys that infra-config/reference.yaml lacks");
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
    assert_eq!(environment.service.name, "app");
    assert_eq!(environment.rollout.timeout, Duration::from_secs(300));
    assert_eq!(environment.manifests, root().join("manifests/overlays/local"));
    assert!(environment.verify.is_empty());
    if cfg!(target_os = "linux") {
        assert_eq!(environment.image.builder, Builder::Host);
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
    let check = read(text).expect("valid").verify.remove(0);
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
