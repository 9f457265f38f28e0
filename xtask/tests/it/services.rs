//! Several services in one environment: side by side, in the order of their needs, each for itself.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    command::{Repository, Run, remove_images},
    kubectl,
};

const MAIN: &str = r#"use std::{io::{Read as _, Write as _}, net::TcpListener};

fn main() {
    let listener = TcpListener::bind("0.0.0.0:8080").expect("the port is free");
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap_or(0);
        let shown = std::env::var("SHOWN").unwrap_or_default();
        let body = format!("NAME {shown} {}", String::from_utf8_lossy(&request[..length]));
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let _ = stream.write_all((head + &body).as_bytes());
    }
}
"#;

const MANIFESTS: &str = "apiVersion: v1
kind: Namespace
metadata: {name: NAME}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {type: LoadBalancer, selector: {app: NAME}, ports: [{port: PORT, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: NAME, image: NAME}]
";

const NAMES: [&str; 3] = ["fron", "back", "side"];

/// `front` needs `back`, `side` needs nobody; each answers with the four letters of its name, a variable and the
/// request.
struct Project(Repository);

impl Project {
    fn new() -> Self {
        let repository = Repository::new(&[
            ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"fron\", \"back\", \"side\"]\n"),
            (".gitignore", "/target\n/.slipway\n"),
        ]);
        let mut lock = "version = 4\n".to_owned();
        let mut configuration = "registry: none\nrollout: {timeout: 60s}\nservices:\n".to_owned();
        for name in NAMES {
            lock.push_str(&format!("\n[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\n"));
            let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
            repository.write(&format!("{name}/Cargo.toml"), &manifest);
            repository.write(&format!("{name}/src/main.rs"), &MAIN.replace("NAME", name));
            let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
            let manifests = MANIFESTS.replace("NAME", name).replace("PORT", &port.to_string());
            repository.write(&format!("manifests/{name}/all.yaml"), &manifests);
            let kustomization = format!("namespace: {name}\nresources: [all.yaml]\n");
            repository.write(&format!("manifests/{name}/kustomization.yaml"), &kustomization);
            let needs = if name == "fron" { ", needs: [back]" } else { "" };
            configuration.push_str(&format!(
                "  - {{name: {name}, manifests: manifests/{name}, verify: [{{expect: {{contains: {name}}}}}]{needs}}}\n"
            ));
        }
        repository.write("Cargo.lock", &lock);
        repository.write("infra-config/local.yaml", &configuration);
        repository.commit();
        Self(repository)
    }

    /// What is written to stdout, with an exit code.
    #[track_caller]
    fn text(&self, arguments: &[&str], code: i32) -> String {
        let run = self.0.run(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}: {}\n{}", run.stdout, run.stderr);
        run.stdout
    }

    #[track_caller]
    fn json(&self, arguments: &[&str], code: i32) -> Value {
        let text = self.text(&[arguments, &["--output", "json"]].concat(), code);
        serde_json::from_str(&text).expect("the report is JSON")
    }

    /// Runs kubectl, which must do as it is told.
    #[track_caller]
    fn kubectl(&self, arguments: &[&str]) -> String {
        let config = self.text(&["local", "kubeconfig"], 0);
        let mut command = Command::new(kubectl::program());
        let output = command.args(["--kubeconfig", config.trim()]).args(arguments).output().expect("run kubectl");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The exit code, the report and the words of a deploy.
    fn deploy(&self, arguments: &[&str]) -> (Option<i32>, Value, String) {
        let arguments = [&["deploy", "--output", "json"], arguments].concat();
        let run = Run::of(self.0.command(&arguments).stdin(Stdio::null()));
        let report = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stderr));
        (run.code, report, run.stderr)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.0.run(&["local", "down"]);
        remove_images(&NAMES);
    }
}

#[test]
fn services_go_side_by_side_in_the_order_of_their_needs() {
    let project = Project::new();
    let (code, report, words) = project.deploy(&[]);
    assert_eq!(code, Some(0), "{words}");
    for name in NAMES {
        let service = &report["services"][name];
        assert_eq!(service["released"], true, "{report:#}");
        assert!(service["image"]["reference"].as_str().is_some_and(|image| image.starts_with(name)), "{service:#}");
    }
    let at = |text: &str| words.find(text).unwrap_or_else(|| panic!("{text:?} is not said:\n{words}"));
    assert!(at(" verify     back: ") < at(" build      fron: "), "{words}");
    assert_eq!(words.matches(" cluster ").count(), 1, "{words}");
    each_is_looked_at(&project);
    an_image_is_foreseen_as_far_as_it_can_be(&project);

    // One that cannot start stops the one that needs it, and not the other.
    let manifest = project.0.read("manifests/back/all.yaml");
    project.0.write("manifests/back/all.yaml", &manifest.replace("image: back}", "image: back, command: [/absent]}"));
    let manifest = project.0.read("manifests/side/all.yaml");
    project.0.write(
        "manifests/side/all.yaml",
        &manifest.replace("image: side}", "image: side, env: [{name: A, value: b}]}"),
    );
    let (code, report, words) = project.deploy(&[]);
    assert_ne!(code, Some(0), "{words}");
    let released = |name: &str| report["services"][name]["released"] == true;
    assert_eq!((released("fron"), released("back"), released("side")), (false, false, true), "{words}");
    assert!(words.contains("2 of 3 services were not released"), "{words}");
    assert!(words.contains("fron: it needs back, which was not released"), "{words}");

    let (code, report, words) = project.deploy(&["--service", "side"]);
    assert_eq!(code, Some(0), "{words}");
    assert!(report["services"].is_null(), "one service has the report that one service has: {report:#}");
    assert_eq!(report["released"], true);
    all_go_back(&project);
    a_wrong_answer_gives_nothing_away(&project);
    for arguments in [&["logs"] as &[&str], &["show", "1"], &["plan", "--out", "plan.json"], &["rollback", "--to", "1"]]
    {
        let run = project.0.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(run.stderr.contains("name it with --service"), "{arguments:?}: {}", run.stderr);
    }
    let destroyed = project.0.run(&["destroy"]);
    assert_eq!(destroyed.code, Some(0), "{}", destroyed.stderr);
}

/// Commands that look show all services, each for itself.
fn each_is_looked_at(project: &Project) {
    let plan = project.json(&["plan", "--exit-code"], 0);
    for name in NAMES {
        let found = &plan["services"][name];
        assert_eq!(found["release"], json!({"number": null, "live": 1}), "{plan:#}");
        assert_eq!((&found["image"]["state"], &found["image"]["live"]), (&json!("pushed"), &found["image"]["new"]));
    }
    let text = project.text(&["plan"], 0);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("image    fron sha256:") && lines[1].ends_with(".., as it is"), "{text}");
    assert_eq!([lines[0], lines[2], lines[3], lines[4], lines[8]], ["fron", "release  1 stays", "", "back", "side"]);
    let comment = project.text(&["plan", "--output", "markdown"], 0);
    assert_eq!(comment.matches("### Plan for ").count(), 3, "{comment}");

    let history = project.json(&["history"], 0);
    assert_eq!(history["services"]["back"]["releases"][0]["number"], 1, "{history:#}");
    assert_eq!(project.text(&["history"], 0).matches("NUMBER  OUTCOME").count(), 3);
    let status = project.text(&["status"], 0);
    for name in NAMES {
        assert!(status.contains(&format!("{name}\nDeployment {name}  1 of 1 available")), "{status}");
    }
    let one = project.json(&["status", "--service", "side"], 0);
    assert_eq!(one["deployment"]["name"], "side", "one service has the report that one service has: {one:#}");

    project.text(&["drift", "--exit-code"], 0);
    let port = |port: u16| {
        let patch = format!(r#"[{{"op":"replace","path":"/spec/ports/0/targetPort","value":{port}}}]"#);
        project.kubectl(&["patch", "service/side", "--namespace", "side", "--type=json", "--patch", &patch]);
    };
    port(8081);
    let drift = project.json(&["drift", "--exit-code"], 3);
    let drifted = |name: &str| {
        let changes = drift["services"][name]["changes"].as_array().expect("a list of changes");
        changes.iter().filter(|change| change["action"] != "unchanged").count()
    };
    assert_eq!((drifted("fron"), drifted("back"), drifted("side")), (0, 0, 1), "{drift:#}");
    assert_eq!(drift["services"]["side"]["since"], 1);
    port(8080);

    // One that cannot be looked at keeps nobody from the others.
    let record = |rest: &[&str]| {
        let name = ["secret", "slipway.side.local.v1", "--namespace", "slipway"];
        project.kubectl(&[&rest[..1], &name, &rest[1..]].concat())
    };
    let header = record(&["get", "--output=jsonpath={.metadata.annotations.slipway\\.dev/header}"]);
    record(&["annotate", "--overwrite", "slipway.dev/header={"]);
    let run = project.0.run(&["history"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert_eq!(run.stdout.matches("NUMBER  OUTCOME").count(), 2, "{}", run.stdout);
    assert!(run.stderr.contains("error: side: "), "{}", run.stderr);
    record(&["annotate", "--overwrite", &format!("slipway.dev/header={header}")]);
}

/// A plan says which image a deploy would run, and that it cannot be known where it cannot.
fn an_image_is_foreseen_as_far_as_it_can_be(project: &Project) {
    let text = project.0.read("back/src/main.rs");
    project.0.write("back/src/main.rs", &text.replace("[0; 1024]", "[0; 2048]"));
    let of_back = |document: Value| document["services"]["back"].clone();
    let unbuilt = of_back(project.json(&["plan", "--exit-code"], 3));
    assert_eq!(
        (&unbuilt["image"]["state"], &unbuilt["image"]["new"]),
        (&json!("unbuilt"), &Value::Null),
        "{unbuilt:#}"
    );
    assert_eq!(unbuilt["release"], json!({"number": 2, "live": 1}));
    let text = project.text(&["plan", "--service", "back"], 0);
    assert!(text.lines().next().is_some_and(|line| line.contains(".. -> not built yet for ")), "{text}");
    assert!(text.contains("\nrelease  2 replaces 1, unless the image turns out to be the same\n"), "{text}");

    project.text(&["push", "--service", "back"], 0);
    let pushed = of_back(project.json(&["plan", "--exit-code"], 3));
    assert_eq!(pushed["image"]["state"], "pushed", "{pushed:#}");
    let changes = pushed["changes"].as_array().expect("changes");
    let deployment = changes.iter().find(|change| change["object"]["kind"] == "Deployment").expect("the Deployment");
    assert_eq!(deployment["fields"][0]["after"], pushed["image"]["new"], "{pushed:#}");
    let text = project.text(&["plan", "--service", "back"], 0);
    assert!(text.contains("\nrelease  2 replaces 1\n") && text.contains("\n~ Deployment back/back   "), "{text}");
}

/// Each service goes back to its own release before, what needs another one first; nothing changes if one has none.
fn all_go_back(project: &Project) {
    let run = project.0.run(&["rollback"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
    assert!(run.stderr.contains("error: fron: there is no earlier release that succeeded"), "{}", run.stderr);

    for name in NAMES {
        let file = format!("manifests/{name}/all.yaml");
        let manifest =
            project.0.read(&file).replace(", command: [/absent]", "").replace(", env: [{name: A, value: b}]", "");
        project.0.write(
            &file,
            &manifest.replace(&format!("image: {name}}}"), &format!("image: {name}, env: [{{name: A, value: c}}]}}")),
        );
    }
    let (code, _, words) = project.deploy(&[]);
    assert_eq!(code, Some(0), "{words}");
    let before = project.json(&["history"], 0);
    let last = |history: &Value, name: &str| history["services"][name]["releases"][0].clone();
    let run = project.0.run(&["rollback", "--output", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let at = |text: &str| run.stderr.find(text).unwrap_or_else(|| panic!("{text:?} is not said:\n{}", run.stderr));
    assert!(at(" verify     fron: ") < at(" plan       back: "), "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).expect("the report is JSON");
    let after = project.json(&["history"], 0);
    for name in NAMES {
        assert_eq!(report["services"][name]["released"], true, "{report:#}");
        let (before, after) = (last(&before, name), last(&after, name));
        assert_eq!(after["number"].as_u64(), before["number"].as_u64().map(|number| number + 1), "{after:#}");
        assert!(after["restored"].as_u64() < before["number"].as_u64(), "{after:#}");
    }
    assert!(!project.kubectl(&["get", "deployments", "--all-namespaces", "--output=yaml"]).contains("value: c"));
}

/// The answer of a check that fails is shown without what the pods know and without what identifies the one who asks.
fn a_wrong_answer_gives_nothing_away(project: &Project) {
    let manifest = project.0.read("manifests/side/all.yaml");
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {any: canary-of-pods}\n";
    let variable = "{name: SHOWN, valueFrom: {secretKeyRef: {name: login, key: any}}}";
    let manifest = manifest.replace("env: [", &format!("env: [{variable}, "));
    assert!(manifest.contains("SHOWN"), "{manifest}");
    project.0.write("manifests/side/all.yaml", &format!("{manifest}{secret}"));
    let file = "infra-config/local.yaml";
    let headers = "request: {headers: {authorization: Bearer canary-of-header}}, ";
    let wrong = format!("verify: [{{{headers}expect: {{contains: absent}}}}]");
    project.0.write(file, &project.0.read(file).replace("verify: [{expect: {contains: side}}]", &wrong));
    let (code, report, words) = project.deploy(&["--service", "side", "--verbose"]);
    assert_ne!(code, Some(0), "{words}");
    let said = format!("{words}{report}{}", project.text(&["show", "4", "--service", "side", "--output", "json"], 0));
    assert!(words.contains("side (hidden) GET / HTTP/1.1") && words.contains("authorization: (hidden)"), "{words}");
    assert!(!said.contains("canary") && !said.contains("Y2FuYXJ5"), "{said}");
}
