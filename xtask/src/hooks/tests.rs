use serde_json::json;

use super::*;
use crate::manifests::render_directory;

/// A folder with one manifest, removed at the end.
fn render(manifest: &str) -> Vec<Object> {
    let root = std::env::temp_dir().join(format!("slipway-hooks-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&root).expect("create the folder");
    std::fs::write(root.join("kustomization.yaml"), "resources: [hooks.yaml]\n").expect("write");
    std::fs::write(root.join("hooks.yaml"), manifest).expect("write");
    let objects = render_directory(&root, &root).expect("the manifests are right");
    std::fs::remove_dir_all(&root).expect("remove the folder");
    objects
}

fn job(name: &str, annotations: &str) -> String {
    format!("apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations:\n{annotations}")
}

#[test]
fn hooks_are_taken_out_and_run_by_phase_weight_and_name() {
    let manifests = [
        job("after", "    slipway.dev/hook: post-deploy\n"),
        job("late", "    slipway.dev/hook: pre-deploy\n    slipway.dev/hook-weight: \"5\"\n"),
        job("b", "    slipway.dev/hook: pre-deploy\n"),
        job("a", "    slipway.dev/hook: pre-deploy\n    slipway.dev/hook-delete: succeeded\n"),
        job("early", "    slipway.dev/hook: pre-deploy\n    slipway.dev/hook-weight: \"-1\"\n"),
        job("plain", "    other: note\n"),
    ];
    let (ordinary, hooks) = split(&render(&manifests.join("---\n"))).expect("they are right");
    assert_eq!(ordinary.iter().map(Object::name).collect::<Vec<_>>(), ["plain"]);
    let environment = crate::config::Environment::example("local", std::path::PathBuf::new());
    let described = hooks.describe(environment.unit(None).expect("it has one service"));
    let lines: Vec<String> = described.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "hook pre-deploy Job app/early",
            "hook pre-deploy Job app/a",
            "hook pre-deploy Job app/b",
            "hook pre-deploy Job app/late",
            "hook post-deploy Job app/after",
        ]
    );
    assert_eq!(
        serde_json::to_value(&described[1]).expect("it is JSON"),
        json!({"apiVersion": "batch/v1", "kind": "Job", "namespace": "app", "name": "a", "phase": "pre-deploy",
            "weight": 0, "delete": "succeeded"})
    );
    assert!(hooks.has(Phase::PostDeploy) && !Hooks::default().has(Phase::PostDeploy));
}

#[test]
fn what_no_hook_can_be_is_said_with_its_line() {
    for (manifest, line, expected) in [
        (job("a", "    slipway.dev/hook: pre-delpoy\n"), 6, "`pre-delpoy` is not one of pre-deploy, post-deploy"),
        (
            job("a", "    slipway.dev/hook: pre-deploy\n    slipway.dev/hook-weight: first\n"),
            7,
            "`first` is not a whole number",
        ),
        (
            job("a", "    slipway.dev/hook: pre-deploy\n    slipway.dev/hook-delete: always\n"),
            7,
            "`always` is not one of before, succeeded, never",
        ),
        (job("a", "    slipway.dev/hook-weight: \"1\"\n"), 6, "means nothing without slipway.dev/hook"),
        (
            job("a", "    slipway.dev/hook: pre-deploy\n").replace("batch/v1\nkind: Job", "v1\nkind: Pod"),
            6,
            "only a Job can be a hook, this is a Pod",
        ),
        (job("a", "    slipway.dev/hook: pre-deploy\nspec: {suspend: true}\n"), 6, "would never end"),
    ] {
        let error = split(&render(&manifest)).expect_err("it is wrong");
        assert_eq!(error.exit_code(), 2, "{error:?}");
        assert_eq!((error.places[0].line, error.places[0].column), (line, 5), "{error:?}");
        assert!(error.places[0].message.contains(expected), "{error:?}");
    }
}
