//! The policies of the pipeline's roles, held against what the pipeline asks of AWS.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use xtask::{
    bootstrap::permissions::{Role, policy},
    config,
};

use crate::{aws::Project, emulator::Emulator, gate::Gate};

/// The policy without an action.
fn without(policy: &Value, action: &str) -> Value {
    let mut policy = policy.clone();
    for statement in policy["Statement"].as_array_mut().expect("it has statements") {
        statement["Action"].as_array_mut().expect("it has actions").retain(|one| one != action);
    }
    policy
}

/// Run twice, it changes nothing the second time. The emulator's CloudFormation knows no identity providers: it is told
/// that there is one, and only linters have read that template.
#[test]
fn roles_are_made_for_jobs_of_a_repository() {
    let aws = Emulator::ministack();
    let project = Project::new(&aws.section());
    let arguments = ["bootstrap", "--github", "octo/app", "--org-id", "12", "--repo-id", "345", "--existing-provider"];
    let run = project.run(&arguments, 0);
    let role = |name: &str| format!("arn:aws:iam::{}:role/slipway-{name}-local", aws.account);
    assert_eq!(run.stdout, format!("{}\n{}\n", role("deploy"), role("plan")));
    let hint = format!("gh variable set AWS_ROLE_ARN --repo octo/app --env plan --body {}", role("plan"));
    assert!(run.stderr.contains(&hint), "{}", run.stderr);

    let environment = config::load(&project.repository.root, "local").expect("it is valid");
    for (kind, name, of) in [(Role::Deploy, "deploy", "local"), (Role::Plan, "plan", "plan")] {
        let name = format!("RoleName='slipway-{name}-local'");
        let made = aws.ask(&format!("iam.get_role_policy({name}, PolicyName='pipeline')['PolicyDocument']"));
        assert_eq!(made, policy(&environment, kind));
        let trust = aws.ask(&format!("iam.get_role({name})['Role']['AssumeRolePolicyDocument']['Statement'][0]"));
        let issuer = "token.actions.githubusercontent.com";
        let subject = format!("repo:octo@12/app@345:environment:{of}");
        assert_eq!(trust["Condition"]["StringEquals"][format!("{issuer}:sub")], subject);
        assert_eq!(trust["Principal"]["Federated"], format!("arn:aws:iam::{}:oidc-provider/{issuer}", aws.account));
    }

    let again = project.run(&[&arguments[..], &["--output", "json"]].concat(), 0);
    for same in [" same     state", " same     roles"] {
        assert!(again.stderr.contains(same), "{}", again.stderr);
    }
    let report: Value = serde_json::from_str(&again.stdout).expect("the report is JSON");
    assert_eq!(report["roles"], json!({"deploy": role("deploy"), "plan": role("plan")}));
    let elsewhere = project.run(&["bootstrap", "--github", "octo"], 2);
    assert!(elsewhere.stderr.contains("a repository is OWNER/NAME"), "{}", elsewhere.stderr);
}

/// A deploy passes with exactly its role's policy, and each action that is taken from it is missed by name.
///
/// Not every action is missed by a whole deploy: each is taken from the shortest command that needs it, at the moment
/// when it does. Actions of EKS and CloudFormation are not among them, since the emulator's clusters take minutes: that
/// their names are in the policy is a test of the table. And it is a proxy of ours that reads policies, not IAM.
#[test]
fn the_deploy_role_may_do_what_a_deploy_takes_and_nothing_else() {
    let aws = Emulator::ministack();
    let gate = Gate::before(&aws);
    let project = Project::new(&gate.section());
    aws.ask(
        "[secretsmanager.create_secret(Name='test/one', SecretString='value'), \
             ssm.put_parameter(Name='/test/two', Value='value', Type='SecureString')]",
    );
    let configuration = project.repository.read("infra-config/local.yaml");
    let section = "secrets: [{name: fetched, values: [{key: ONE, from: {secrets_manager: {secret: test/one}}}, {key: TWO, \
                   from: {parameter_store: {parameter: /test/two}}}]}]\n";
    project.repository.write("infra-config/local.yaml", &format!("{configuration}{section}"));
    let environment = config::load(&project.repository.root, "local").expect("it is valid");
    let allowed = policy(&environment, Role::Deploy);

    // By somebody who may, and again: nothing changes.
    assert!(project.run(&["bootstrap"], 0).stderr.contains(" changed  state"));
    assert!(project.run(&["bootstrap"], 0).stderr.contains(" same     state"));
    gate.allow(Some(allowed.clone()));
    let (mut asked, mut unnoticed) = (BTreeSet::new(), Vec::new());
    let mut missed = |command: &str, code: i32, actions: &[&str]| {
        for action in actions {
            asked.extend(gate.allow(Some(without(&allowed, action))));
            let run = project.repository.run(&[command]);
            if run.code != Some(code) || !run.stderr.contains(action) {
                unnoticed.push(format!("{command} without {action} ends with {:?}:\n{}", run.code, run.stderr));
            }
        }
        asked.extend(gate.allow(Some(allowed.clone())));
    };

    // Each in the order in which a push to a repository that is not there yet comes to it.
    let push = [
        "ecr:GetAuthorizationToken",
        "ecr:DescribeRepositories",
        "ecr:CreateRepository",
        "ecr:TagResource",
        "ecr:GetLifecyclePolicy",
        "ecr:PutLifecyclePolicy",
        // Docker goes on without an answer to "ecr:BatchCheckLayerAvailability", which `promote` and AWS insist on.
        "ecr:InitiateLayerUpload",
        "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload",
        "ecr:PutImage",
        "ecr:BatchGetImage",
    ];
    gate.ask_for_login(true);
    missed("push", 1, &push);
    project.run(&["push"], 0);
    gate.ask_for_login(false);
    let deploy = [
        "s3:PutObject",
        "secretsmanager:DescribeSecret",
        "ssm:DescribeParameters",
        "ecr:ListImages",
        "secretsmanager:GetSecretValue",
        "ssm:GetParameters",
    ];
    missed("deploy", 1, &deploy);
    project.run(&["deploy"], 0);
    missed("history", 1, &["s3:ListBucket", "s3:GetObject"]);
    // What was done is done: that the lock is left is said, and it ends by itself.
    missed("deploy", 0, &["s3:DeleteObject"]);

    // Settings that somebody else changed, and a tag of a release that is gone.
    let repository = format!("repositoryName='slipway/{}'", project.name);
    let image = format!("ecr.batch_get_image({repository}, imageIds=ecr.list_images({repository})['imageIds'][:1])");
    aws.ask(&format!(
        "[ecr.put_image_tag_mutability({repository}, imageTagMutability='MUTABLE'), \
         ecr.put_image_scanning_configuration({repository}, imageScanningConfiguration={{'scanOnPush': False}}), \
         ecr.put_image({repository}, imageManifest={image}['images'][0]['imageManifest'], imageTag='release-local-0')]"
    ));
    missed("push", 1, &["ecr:PutImageTagMutability", "ecr:PutImageScanningConfiguration"]);
    let manifests = project.repository.read("m/app.yaml");
    project.repository.write("m/app.yaml", &manifests.replace("value: one", "value: two"));
    missed("deploy", 1, &["ecr:BatchDeleteImage"]);
    project.run(&["deploy"], 0);

    // Who only looks does it with less, and changes nothing.
    asked.extend(gate.allow(Some(policy(&environment, Role::Plan))));
    for command in ["plan", "drift", "history"] {
        project.run(&[command], 0);
    }
    assert!(project.run(&["deploy"], 1).stderr.contains("s3:PutObject"));
    gate.allow(Some(allowed.clone()));
    project.run(&["destroy"], 0);
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
    asked.extend(gate.allow(None));

    let statements = allowed["Statement"].as_array().expect("it has statements");
    let actions = statements.iter().flat_map(|one| one["Action"].as_array().into_iter().flatten());
    let granted: BTreeSet<String> = actions.filter_map(|one| one.as_str().map(str::to_owned)).collect();
    assert_eq!(json!(granted), json!(asked), "granted, and asked for");
}
