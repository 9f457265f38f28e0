use std::{fs, path::Path};

use serde_json::Value;

use super::{
    github::Github,
    permissions::{Role, TABLE, policy},
    template,
};
use crate::config::{self, SecretOrigin, SecretSource, aws::SecretValue};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

fn github(ids: Option<(u64, u64)>) -> Github {
    Github { repository: "octo/app".parse().expect("a repository"), ids }
}

#[test]
fn tokens_are_known_by_their_subject() {
    assert_eq!(github(None).subject("staging"), "repo:octo/app:environment:staging");
    assert_eq!(github(Some((12, 345))).subject("production"), "repo:octo@12/app@345:environment:production");
    for wrong in ["octo", "octo/", "/app", "a/b/c", "a*/b"] {
        assert!(wrong.parse::<super::github::Repository>().is_err(), "{wrong}");
    }
}

/// The templates lie in the repository, so that linters can read them. Remove a file and run this to have it written anew.
#[test]
fn templates_are_those_of_the_repository() {
    let mut missing = Vec::new();
    let roles = ["staging", "production"].map(|name| {
        let environment = config::load(root(), name).unwrap_or_else(|error| panic!("{error}"));
        (format!("{name}-pipeline"), template::roles(&environment, &github(Some((12, 345)))))
    });
    for (name, template) in roles.into_iter().chain([("github".to_owned(), template::provider())]) {
        let path = root().join(format!("xtask/tests/templates/{name}.json"));
        let text = format!("{template:#}\n");
        match fs::read_to_string(&path) {
            Ok(kept) => assert_eq!(text, kept, "{}", path.display()),
            Err(_) => {
                fs::write(&path, text).expect("write the template");
                missing.push(path);
            }
        }
    }
    assert!(missing.is_empty(), "they were missing, and are there now: {missing:?}");
}

fn actions(policy: &Value) -> Vec<&str> {
    let statements = policy["Statement"].as_array().expect("it has statements");
    statements.iter().flat_map(|one| one["Action"].as_array().into_iter().flatten()).filter_map(Value::as_str).collect()
}

#[test]
fn who_looks_may_neither_change_nor_read_values() {
    let mut environment = config::load(root(), "staging").unwrap_or_else(|error| panic!("{error}"));
    let aws = environment.aws.clone().expect("it is on AWS");
    let value = |key: &str, from| SecretValue { key: key.to_owned(), from };
    let values = vec![
        value("A", SecretOrigin::SecretsManager { secret: "a".to_owned(), version: None, field: None }),
        value("B", SecretOrigin::Parameter { parameter: "/b".to_owned(), version: None }),
    ];
    environment.services[0].secrets = vec![SecretSource { aws, name: "a".to_owned(), values }];
    let plan = policy(&environment, Role::Plan);
    let looks = ["Describe", "List", "Get", "BatchGet"];
    for action in actions(&plan) {
        let (_, verb) = action.split_once(':').expect("an action of a service");
        assert!(looks.iter().any(|look| verb.starts_with(look)), "{action}");
        assert!(!["GetSecretValue", "GetParameters"].contains(&verb), "{action}");
    }
    let deploy = policy(&environment, Role::Deploy);
    assert_eq!(actions(&deploy).len(), TABLE.iter().map(|row| row.actions.len()).sum::<usize>(), "all of it is used");
    assert!(deploy.to_string().len() < 10_240, "more than a role may carry");
    let open: Vec<&Value> =
        deploy["Statement"].as_array().expect("a list").iter().filter(|one| one["Resource"][0] == "*").collect();
    assert_eq!(open.len(), 3, "only actions that know no resources may do it to all");
}

/// Errors name the action that is missing, so their words tell what the pipeline asks for.
#[test]
fn every_action_that_the_pipeline_can_miss_is_in_the_table() {
    let source = root().join("xtask/src");
    let files = ["registry/ecr.rs", "release/bucket.rs", "cluster/eks/live.rs"];
    let text: String = files.iter().map(|file| fs::read_to_string(source.join(file)).expect("read it")).collect();
    let words = text.split('"').filter(|word| {
        word.split_once(':').is_some_and(|(service, verb)| {
            ["ecr", "s3", "eks", "cloudformation"].contains(&service) && verb.chars().all(char::is_alphanumeric)
        })
    });
    let mut count = 0;
    for word in words {
        count += 1;
        assert!(TABLE.iter().any(|row| row.actions.contains(&word)), "{word} is missed by nobody's role");
    }
    assert!(count > 20, "nothing was found: {count}");
}
