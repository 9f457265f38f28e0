//! Mistakes on the command line and in the configuration.

use crate::command::{Repository, Run};

#[test]
fn a_missing_environment_is_named_with_those_that_exist() {
    let repository = Repository::new(&[("infra-config/local.yaml", ""), ("infra-config/staging.yaml", "")]);
    repository.run(&["render", "--env", "stagin"]).fails(
        2,
        "error: there is no environment `stagin`: infra-config/stagin.yaml does not exist\n\
         hint: did you mean `staging`? the environments are: local, staging\n",
    );
}

#[test]
fn an_unknown_key_is_placed_and_a_near_one_suggested() {
    let text = "rollout:\n  timeot: 5m\n";
    let repository = Repository::new(&[("infra-config/local.yaml", text), ("manifests/overlays/local/x", "")]);
    repository.run(&["render"]).fails(
        2,
        "error: infra-config/local.yaml has a mistake\n  \
           infra-config/local.yaml:2:3: rollout.timeot: unknown key, did you mean `timeout`?\n\
         hint: infra-config/reference.yaml documents every key\n",
    );
}

#[test]
fn yaml_that_is_none_is_placed_and_annotated() {
    let repository = Repository::new(&[("infra-config/local.yaml", "service:\n  name: app\n namespace: app\n")]);
    let run = Run::of(repository.command(&["render"]).env("GITHUB_ACTIONS", "true"));
    run.fails(
        2,
        "error: infra-config/local.yaml is not valid YAML\n  \
           infra-config/local.yaml:3:2: while parsing a block mapping, did not find expected key\n\
         ::error file=infra-config/local.yaml,line=3,col=2::while parsing a block mapping, did not find expected key\n",
    );
}

#[test]
fn outside_a_repository_it_says_so() {
    let repository = Repository::new(&[]);
    std::fs::remove_dir(repository.root.join("infra-config")).expect("it is empty");
    // The copy lies inside this repository, whose own infra-config/ would be found: so ask from the root.
    let run = Run::of(repository.command(&["status"]).current_dir("/"));
    run.fails(2, "error: find the repository: no infra-config/ in / or above it\nhint: change into the repository\n");
}

#[test]
fn an_unknown_command_is_refused_by_exit_2() {
    let run = Repository::new(&[]).run(&["deplo"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.contains("a similar subcommand exists: 'deploy'"), "{}", run.stderr);
}

#[test]
fn an_image_is_rendered_by_digest_only() {
    let repository = Repository::of_the_workspace();
    let pinned = format!("127.0.0.1:5000/app@sha256:{}", "1a".repeat(32));
    let run = repository.run(&["render", "--image", &pinned]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.contains(&format!("image: {pinned}\n")), "{}", run.stdout);
    let run = repository.run(&["render", "--image", "127.0.0.1:5000/app:1"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.contains("it has no digest"), "{}", run.stderr);
}

#[test]
fn a_plan_starts_nothing() {
    let repository = Repository::of_the_workspace();
    let run = repository.run(&["plan"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.starts_with(" changed  plan       a cluster and 8 objects created "), "{}", run.stderr);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("image    not built yet for "), "{}", run.stdout);
    assert_eq!((lines[1], lines.len()), ("release  1; none before it succeeded", 10));
    assert!(lines[2].starts_with("+ Namespace  "), "{}", run.stdout);
    assert!(!repository.root.join(".slipway").exists(), "it only looks");

    // A stopped environment holds something, so nothing can be said.
    repository.write(".slipway/local/store.redb", "");
    repository.run(&["plan"]).fails(
        1,
        "error: the cluster of local does not run\n  \
           it keeps what was deployed before, which cannot be compared while it is stopped\n\
         hint: start it: cargo xtask local up\n",
    );
}

#[test]
fn completions_are_data() {
    let run = Repository::new(&[]).run(&["completions", "bash"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.contains("complete -F _xtask") || run.stdout.contains("xtask"), "{}", run.stdout);
}
