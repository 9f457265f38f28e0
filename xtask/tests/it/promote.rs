//! What one environment runs goes to another one, by its digest.

use serde_json::Value;

use crate::{
    aws::{MANIFESTS, SERVICE},
    command::{Repository, Run, remove_images},
    registry::Registry,
};

/// Two environments of one service, in namespaces and repositories of their own.
struct Project {
    repository: Repository,
    name: String,
}

impl Project {
    fn new(registry: &Registry) -> Self {
        let repository = Repository::new(&[
            ("Cargo.toml", "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n"),
            ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n"),
            ("src/main.rs", SERVICE),
            (".gitignore", "/target\n/.slipway\n"),
        ]);
        let name = format!("promote-{}", repository.root.file_name().expect("it has a name").display());
        let manifests = MANIFESTS.replace("NAME", &name);
        for (environment, namespace) in [("local", "first"), ("next", "second")] {
            let host = registry.address;
            let configuration = format!(
                "service: {{name: {name}, namespace: {namespace}}}\nmanifests: {namespace}\nregistry: {{generic: {{host: '{host}', \
                 repository: '{namespace}/{{service}}'}}}}\nrollout: {{timeout: 60s, on_failure: keep}}\n\
                 verify: [{{request: {{path: /}}, expect: {{contains: served}}}}]\n"
            );
            repository.write(&format!("infra-config/{environment}.yaml"), &configuration);
            let tree = format!("namespace: {namespace}\nresources: [app.yaml]\n");
            repository.write(&format!("{namespace}/kustomization.yaml"), &tree);
            let namespaced = manifests.replace("{name: app}", &format!("{{name: {namespace}}}"));
            repository.write(&format!("{namespace}/app.yaml"), &namespaced);
        }
        repository.commit();
        Self { repository, name }
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> Run {
        let run = self.repository.run(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}\n{}{}", run.stdout, run.stderr);
        run
    }

    #[track_caller]
    fn image(&self, arguments: &[&str]) -> String {
        let run = self.run(&[arguments, &["--output", "json"]].concat(), 0);
        let report: Value = serde_json::from_str(&run.stdout).expect("the report is JSON");
        report["image"]["reference"].as_str().expect("an image").to_owned()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.repository.run(&["local", "down"]);
        remove_images(&[&self.name, &format!("*/*/{}", self.name)]);
    }
}

#[test]
fn the_same_digest_goes_on_if_its_release_succeeded() {
    let registry = Registry::start(false);
    let project = Project::new(&registry);
    let promote = ["promote", "--from", "local", "--to", "next"];
    let early = project.run(&promote, 1);
    assert!(early.stderr.contains("the cluster of local does not run"), "{}", early.stderr);

    let first = project.image(&["deploy"]);
    let promoted = project.image(&promote);
    let (host, name) = (registry.address, &project.name);
    let (_, digest) = first.split_once('@').expect("a digest");
    assert_eq!(first, format!("{host}/first/{name}@{digest}"));
    assert_eq!(promoted, format!("{host}/second/{name}@{digest}"));

    let again = project.run(&promote, 0);
    for part in [" same     copy", "nothing changed"] {
        assert!(again.stderr.contains(part), "{}", again.stderr);
    }
    assert!(!again.stderr.contains(" build "), "{}", again.stderr);

    // One that never ran is not tried elsewhere.
    let manifests = project.repository.read("first/app.yaml");
    project.repository.write("first/app.yaml", &manifests.replace("image: ", "command: [/nothing], image: "));
    project.run(&["deploy"], 1);
    let refused = project.run(&promote, 1);
    assert!(refused.stderr.contains("its last release, 2, is recorded as failed"), "{}", refused.stderr);
    assert!(project.run(&["promote", "--from", "next", "--to", "next"], 2).stderr.contains("to itself"));
    project.run(&["destroy"], 0);
    project.run(&["destroy", "--env", "next"], 0);
}
