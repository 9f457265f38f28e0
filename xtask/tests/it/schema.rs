//! The JSON Schema for editors, judged by Python's jsonschema: it takes what the pipeline takes, and refuses the mistakes
//! that can be seen without the repository.

use std::{path::Path, process::Command};

use crate::{command::Repository, emulator::program};

const JUDGE: &str = "
import json, sys, yaml, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
judge = jsonschema.Draft202012Validator(schema)
for file in sys.argv[2:]:
    errors = sorted(judge.iter_errors(yaml.safe_load(open(file)) or {}), key=str)
    print('good' if not errors else 'bad: ' + errors[0].message[:200].replace(chr(10), ' '))
";

/// `good` or `bad: …` for each file.
fn judge(files: &[std::path::PathBuf]) -> Vec<String> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra-config/schema.json");
    let output = Command::new(program("python")).args(["-c", JUDGE]).arg(schema).args(files).output();
    let output = output.expect("run python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn every_file_that_is_taken_here_is_taken_by_the_schema() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra-config");
    let files = std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it can be read").path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect();
    assert!(files.len() >= 10, "{files:?}");
    for (file, verdict) in files.iter().zip(judge(&files)) {
        assert_eq!(verdict, "good", "{}", file.display());
    }
}

#[test]
fn what_is_refused_by_both() {
    let repository = Repository::of_the_workspace();
    let staging = repository.read("infra-config/staging.yaml");
    let mistakes = [
        ("account: \"111122223333\"", "account: \"1111\""),
        ("  region: us-east-2\n", ""),
        ("repository: slipway/{service}", "repo: slipway/{service}"),
        ("version: \"1.35\"", "version: latest"),
        ("name: slipway-staging", "name: a b"),
        ("capacity: spot", "capacity: spots"),
        ("nat: single", "nat: double"),
        ("      new:\n", "      fresh:\n"),
        ("min: 2", "min: many"),
        ("instance_types: [t3.medium, t3a.medium]", "instance_types: t3.medium"),
        ("[0.0.0.0/0]", "[everywhere]"),
        ("- principal: arn:aws:iam::111122223333:role/slipway-deploy-staging\n        policies", "- policies"),
        ("[s3:GetObject, s3:PutObject]", "[everything]"),
        ("bucket: slipway-state-111122223333", "bucket: Slipway"),
        ("timeout: 10m", "timeout: soon"),
        ("method: POST", "method: PSOT"),
    ];
    let mut files = Vec::new();
    for (index, (right, wrong)) in mistakes.iter().enumerate() {
        let text = staging.replacen(right, wrong, 1);
        assert_ne!(text, staging, "{right} is not there");
        let name = format!("mistake{index}");
        repository.write(&format!("infra-config/{name}.yaml"), &text);
        files.push(repository.root.join(format!("infra-config/{name}.yaml")));
        let error = xtask::config::load(&repository.root, &name).expect_err(wrong);
        let places: Vec<_> = error.causes.iter().filter(|cause| !cause.contains("manifests")).collect();
        assert!(!places.is_empty(), "only the schema would refuse {wrong}");
    }
    for ((_, wrong), verdict) in mistakes.iter().zip(judge(&files)) {
        assert!(verdict.starts_with("bad: "), "the schema takes {wrong}");
    }
}
