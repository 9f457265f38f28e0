//! EKS without containers: upgrades, faults between us and AWS, and kills at each request, on an emulator whose clusters
//! are records. What stands in for its missing calls is checked by boto3 against AWS's own service model.

use std::process::Stdio;

use serde_json::{Value, json};
use xtask::{
    cluster::eks,
    config::{
        self, Eks,
        aws::{Nat, Network},
    },
    ui::{Outcome, Step},
};

use crate::{
    command::{Repository, Run},
    emulator::Emulator,
};

/// Every call that is answered in the emulator's place, and what boto3 makes of it: each key of an answer must be one of
/// the model's, each word one of its enumerations.
const STAND_IN: &str = r#"exec('''
import time, botocore
def check(shape, value, path):
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members), (path, set(value) - set(shape.members))
        for key, one in value.items(): check(shape.members[key], one, path + "." + key)
    elif shape.type_name == "list":
        for one in value: check(shape.member, one, path + "[]")
    elif shape.type_name == "map":
        for one in value.values(): check(shape.value, one, path + "{}")
    else:
        types = {"string": str, "boolean": bool, "integer": int, "timestamp": (int, float)}
        assert isinstance(value, types[shape.type_name]), (path, value)
        assert value in (getattr(shape, "enum", None) or [value]), (path, value)
def strict(http_response, parsed, model, **_):
    if http_response.status_code == 200 and model.name in ours:
        check(model.output_shape, json.loads(http_response.content), model.name)
        seen.add(model.name)
def refused(code, call, **arguments):
    try: call(**arguments)
    except botocore.exceptions.ClientError as error: assert error.response["Error"]["Code"] == code, error
    else: raise AssertionError(code)
def until(call, **arguments):
    while call(**arguments)["update"]["status"] == "InProgress": time.sleep(0.05)
ours = {"DescribeClusterVersions", "ListInsights", "DescribeInsight", "UpdateClusterVersion", "UpdateNodegroupVersion",
        "DescribeAddonVersions", "UpdateNodegroupConfig", "UpdateClusterConfig", "DescribeUpdate"}
seen = set()
eks.meta.events.register("after-call.eks.*", strict)
versions = eks.describe_cluster_versions()["clusterVersions"]
assert [one["clusterVersion"] for one in versions if one["defaultVersion"]] == ["1.36"]
assert len(eks.describe_cluster_versions(clusterVersions=["1.34", "1.35"])["clusterVersions"]) == 2
addons = eks.describe_addon_versions(addonName="coredns", kubernetesVersion="1.35")["addons"]
assert sum(fit["defaultVersion"] for one in addons[0]["addonVersions"] for fit in one["compatibilities"]) == 1
refused("ResourceNotFoundException", eks.list_insights, clusterName="demo")
eks.create_cluster(name="demo", version="1.35", roleArn="arn:aws:iam::000000000000:role/r", resourcesVpcConfig={})
eks.create_nodegroup(clusterName="demo", nodegroupName="a", subnets=[], nodeRole="r")
insights = eks.list_insights(clusterName="demo", filter={"categories": ["UPGRADE_READINESS"]})["insights"]
assert eks.describe_insight(clusterName="demo", id=insights[0]["id"])["insight"]["kubernetesVersion"] == "1.36"
refused("InvalidParameterException", eks.update_cluster_version, name="demo", version="1.37")
update = eks.update_cluster_version(name="demo", version="1.36")["update"]
assert eks.describe_cluster(name="demo")["cluster"]["status"] == "UPDATING"
refused("ResourceInUseException", eks.update_cluster_config, name="demo", deletionProtection=True)
until(eks.describe_update, name="demo", updateId=update["id"])
cluster = eks.describe_cluster(name="demo")["cluster"]
assert (cluster["status"], cluster["version"]) == ("ACTIVE", "1.36")
insights = eks.list_insights(clusterName="demo", filter={"kubernetesVersions": ["1.37"]})["insights"]
assert insights[0]["insightStatus"]["status"] == "ERROR"
update = eks.update_nodegroup_version(clusterName="demo", nodegroupName="a")["update"]
until(eks.describe_update, name="demo", nodegroupName="a", updateId=update["id"])
assert eks.describe_nodegroup(clusterName="demo", nodegroupName="a")["nodegroup"]["version"] == "1.36"
update = eks.update_nodegroup_config(
    clusterName="demo", nodegroupName="a", labels={"addOrUpdateLabels": {"a": "b"}},
    taints={"addOrUpdateTaints": [{"key": "k", "effect": "NO_SCHEDULE"}]}, updateConfig={"maxUnavailable": 2},
    scalingConfig={"minSize": 0, "maxSize": 3, "desiredSize": 2})["update"]
until(eks.describe_update, name="demo", nodegroupName="a", updateId=update["id"])
update = eks.update_nodegroup_config(
    clusterName="demo", nodegroupName="a", labels={"removeLabels": ["a"]},
    taints={"removeTaints": [{"key": "k", "effect": "NO_SCHEDULE"}]})["update"]
until(eks.describe_update, name="demo", nodegroupName="a", updateId=update["id"])
group = eks.describe_nodegroup(clusterName="demo", nodegroupName="a")["nodegroup"]
assert (group["labels"], group["taints"], group["scalingConfig"]["desiredSize"]) == ({}, [], 2), group
update = eks.update_cluster_config(name="demo", upgradePolicy={"supportType": "EXTENDED"})["update"]
until(eks.describe_update, name="demo", updateId=update["id"])
assert eks.describe_cluster(name="demo")["cluster"]["upgradePolicy"] == {"supportType": "EXTENDED"}
assert seen == ours, ours - seen
''', {"eks": eks, "json": json})"#;

#[test]
fn what_stands_in_for_missing_calls_speaks_as_aws_does() {
    Emulator::faulty().ask(STAND_IN);
}

/// An environment with a cluster, in an account of its own.
struct Project<'a> {
    emulator: &'a Emulator,
    repository: Repository,
    account: String,
}

const CLUSTER: &str = "\
manifests: m
aws: {account: 'ACCOUNT', region: us-east-2, endpoint_url: 'http://HOST'}
cluster:
  eks:
    name: demo
    version: '1.35'
    endpoint: {allowed_cidrs: [127.0.0.1/32]}
    deletion_protection: false
    soak: 1s
    network: {new: {zones: [us-east-2a, us-east-2b], nat: none}}
    nodegroups: [{name: general, instance_types: [t3.medium], size: {min: 1, desired: 2, max: 3}}]
    addons: [{name: vpc-cni}, {name: coredns}]
    access: [{principal: 'arn:aws:iam::ACCOUNT:root', policies: [{name: AmazonEKSClusterAdminPolicy}]}]
    workload_identity:
      - {namespace: app, service_account: app, statements: [{actions: ['s3:GetObject'], resources: ['*']}]}
";

const MANIFESTS: &str = "\
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template: {metadata: {labels: {app: app}}, spec: {containers: [{name: app, image: app}]}}
";

/// A repository that configures such a cluster.
fn repository(emulator: &Emulator, account: &str) -> Repository {
    let text = CLUSTER.replace("ACCOUNT", account).replace("HOST", &emulator.host());
    Repository::new(&[
        ("infra-config/local.yaml", &text),
        ("m/kustomization.yaml", "namespace: app\nresources: [app.yaml]\n"),
        ("m/app.yaml", MANIFESTS),
    ])
}

impl<'a> Project<'a> {
    fn new(emulator: &'a Emulator, account: u32) -> Self {
        let account = format!("{account:012}");
        let repository = repository(emulator, &account);
        emulator.rules(&account, &json!([]));
        Self { emulator, repository, account }
    }

    fn set(&self, from: &str, to: &str) {
        let text = self.repository.read("infra-config/local.yaml");
        assert!(text.contains(from), "{from} is in the configuration");
        self.repository.write("infra-config/local.yaml", &text.replace(from, to));
    }

    fn rules(&self, rules: &Value) {
        self.emulator.rules(&self.account, rules);
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> Run {
        let run = self.repository.run(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}\n{}{}", run.stdout, run.stderr);
        run
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let run = self.run(&[arguments, &["--output", "json"]].concat(), 0);
        serde_json::from_str(&run.stdout).expect("the report is JSON")
    }

    /// A command that fails in one way, says so once, and reports nothing.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let run = self.run(arguments, code);
        let count = |word: &str| run.stderr.lines().filter(|line| line.starts_with(word)).count();
        assert_eq!(
            (count("error: "), count("hint: "), run.stdout.as_str()),
            (1, 1, ""),
            "{arguments:?}\n{}",
            run.stderr
        );
        run.stderr
    }

    /// What the account has asked for, each action once.
    fn actions(&self) -> Vec<String> {
        let mut actions: Vec<String> =
            serde_json::from_value(self.emulator.seen(&self.account)["seen"].clone()).expect("a list");
        actions.sort();
        actions.dedup();
        actions
    }

    fn versions(&self) -> Value {
        let parts = self.json(&["cluster", "status"])["parts"].clone();
        let parts = parts.as_array().cloned().unwrap_or_default();
        parts
            .into_iter()
            .map(|part| part[0].clone())
            .filter(|name| !name.as_str().unwrap_or_default().starts_with("stack"))
            .collect()
    }
}

#[test]
fn a_cluster_goes_from_one_version_to_the_next() {
    let emulator = Emulator::faulty();
    let project = Project::new(&emulator, 1);
    prices_and_support_are_part_of_a_plan(&project);
    project.run(&["cluster", "up"], 0);

    // What AWS knows against it refuses, with its words; nothing has changed.
    let insight = json!({"id": "i", "name": "Deprecated APIs", "category": "UPGRADE_READINESS", "kubernetesVersion": "1.36",
                         "insightStatus": {"status": "ERROR", "reason": "Deprecated API usage detected."},
                         "recommendation": "Update manifests to the newer API."});
    project.rules(&json!([
        {"action": "eks:ListInsights", "what": "say", "document": {"insights": [insight]}},
        {"action": "eks:DescribeInsight", "what": "say", "document": {"insight": insight}},
    ]));
    let refused = project.refused(&["cluster", "upgrade", "--to", "1.36"], 1);
    for words in ["not ready for Kubernetes 1.36", "Deprecated API usage detected.", "Update manifests", "--force"] {
        assert!(refused.contains(words), "{words}:\n{refused}");
    }
    assert!(!project.actions().contains(&"eks:UpdateClusterVersion".to_owned()));
    let refused = project.refused(&["cluster", "upgrade", "--to", "1.31"], 2);
    assert!(refused.contains("EKS offers no Kubernetes 1.31 in us-east-2"), "{refused}");
    let refused = project.refused(&["cluster", "upgrade", "--to", "1.33"], 2);
    assert!(refused.contains("more than one version back"), "{refused}");

    // Killed while the control plane is being changed, ill while it is watched, killed when the first add-on has been
    // changed: it goes on.
    let upgrade = ["cluster", "upgrade", "--to", "1.36"];
    assert!(project.killed(&upgrade, &json!([{"action": "eks:UpdateClusterVersion", "what": "hold after"}])));
    let ill = json!({"name": "demo", "status": "ACTIVE", "version": "1.36", "tags": {"slipway.dev/environment": "local"},
                     "health": {"issues": [{"code": "ClusterUnreachable", "message": "It cannot be reached."}]}});
    let ill = json!({"action": "eks:DescribeCluster", "what": "say", "times": 99, "document": {"cluster": ill}});
    project.rules(&json!([ill]));
    let refused = project.refused(&upgrade, 1);
    for words in ["its nodes are as they were", "It cannot be reached.", "hint: go back"] {
        assert!(refused.contains(words), "{words}:\n{refused}");
    }
    assert!(project.killed(&upgrade, &json!([{"action": "eks:UpdateAddon", "what": "hold after"}])));
    let done = project.json(&upgrade);
    let expected = json!(["~ Addon coredns  -> v1.12.36-eksbuild.2", "~ Nodegroup general: Kubernetes 1.35 -> 1.36"]);
    assert_eq!((&done["version"], &done["changes"]), (&json!("1.36"), &expected));
    project.set("version: '1.35'", "version: '1.36'");
    let run = project.run(&["cluster", "upgrade"], 0);
    assert!(run.stderr.contains(" same     upgrade"), "{}", run.stderr);
    let parts = project.versions().to_string();
    for part in ["control plane 1.36", "add-on vpc-cni v1.20.36-eksbuild.2"] {
        assert!(parts.contains(part), "{parts}");
    }

    // Back, nodes first.
    let done = project.json(&["cluster", "upgrade", "--to", "1.35"]);
    assert_eq!(done["changes"][0], "~ Nodegroup general: Kubernetes 1.36 -> 1.35");
    assert_eq!(done["changes"][1], "~ Cluster demo: Kubernetes 1.36 -> 1.35");
    project.set("version: '1.36'", "version: '1.35'");

    // Nodes alone.
    let run = project.run(&["nodegroup", "upgrade", "general", "--image", "1.35.9-20261130"], 0);
    assert!(run.stderr.contains(" changed  nodegroup  general: image 1.35.9-20261130"), "{}", run.stderr);
    project.run(&["nodegroup", "scale", "general", "3"], 0);
    let refused = project.refused(&["nodegroup", "upgrade", "other"], 2);
    assert!(refused.contains("the cluster has general"), "{refused}");
    assert!(project.refused(&["nodegroup", "delete", "general"], 2).contains("the configuration of local has"));
    project.run(&["nodegroup", "delete", "general", "--force"], 0);
    assert_eq!(project.json(&["cluster", "status"])["changes"], json!(["+ Nodegroup general (2 nodes, t3.medium)"]));
}

fn prices_and_support_are_part_of_a_plan(project: &Project<'_>) {
    project.set("version: '1.35'", "version: '1.33'");
    let refused = project.refused(&["cluster", "status"], 2);
    assert!(refused.contains("Kubernetes 1.33 is in extended support, at six times the price"), "{refused}");
    project.set("version: '1.33'", "version: '1.33'\n    upgrade_policy: extended");
    let status = project.json(&["cluster", "status"]);
    assert!(
        status["notice"].as_str().is_some_and(|notice| notice.contains("extended support until 2027-07-29")),
        "{status}"
    );
    project.set("version: '1.33'\n    upgrade_policy: extended", "version: '1.35'");
    let text = project.run(&["plan"], 0).stdout;
    let price = "$144.24 a month (prices of us-east-2, 2026-06; without traffic)";
    assert!(
        text.starts_with(&format!("cost     {price}\ntakes    about 20 minutes\n+ Stack demo-network\n")),
        "{text}"
    );
    let text = project.run(&["plan", "--output", "markdown"], 0).stdout;
    assert!(text.starts_with(&format!("### The cluster demo\n\ncost: {price}<br>\n")), "{text}");
}

#[test]
fn faults_between_us_and_aws_have_a_clear_end() {
    let emulator = Emulator::faulty();
    let project = Project::new(&emulator, 1);
    let fault = |action: &str, code: &str, status: u16, times: u32| json!({"action": action, "what": "answer", "code": code, "status": status, "times": times, "message": "said"});

    // What passes is waited out.
    project.rules(&json!([
        fault("sts:GetCallerIdentity", "Throttling", 400, 1),
        fault("cloudformation:DescribeStacks", "InternalFailure", 500, 1),
        fault("cloudformation:CreateChangeSet", "ServiceUnavailable", 503, 1),
        fault("eks:CreateCluster", "ThrottlingException", 429, 1),
        fault("eks:DescribeNodegroup", "ServerException", 500, 1),
        {"action": "eks:DescribeCluster", "what": "cut"},
        {"action": "eks:ListAccessEntries", "what": "cut"},
        {"action": "cloudformation:ExecuteChangeSet", "what": "lose"},
        {"action": "eks:CreateAddon", "what": "lose"},
        {"action": "eks:CreateNodegroup", "what": "lose"},
    ]));
    project.run(&["cluster", "up"], 0);

    // What one may not do has a name. Each account is a new one, so that every step is come to.
    let plain = Project::new(&emulator, 3);
    plain.run(&["cluster", "up"], 0);
    let used = plain.actions();
    let denied: Vec<(u32, &String)> = (100..).zip(&used).collect();
    side_by_side(&denied, |(account, action)| {
        let project = Project::new(&emulator, *account);
        project.rules(&json!([fault(action, "AccessDeniedException", 403, 99)]));
        // The second run looks at what the first has made.
        let run = project.repository.run(&["cluster", "up"]);
        if run.code == Some(0) {
            project.rules(&json!([fault(action, "AccessDeniedException", 403, 99)]));
        }
        let refused = match run.code {
            Some(0) => project.refused(&["cluster", "up"], 1),
            _ => run.stderr,
        };
        assert!(refused.contains(&format!("hint: the caller needs the IAM action {action}\n")), "{action}:\n{refused}");
    });
    for action in ["eks:DeleteNodegroup", "eks:DeleteAddon", "eks:DeleteCluster", "cloudformation:DeleteStack"] {
        project.rules(&json!([fault(action, "AccessDeniedException", 403, 99)]));
        let refused = project.refused(&["cluster", "down"], 1);
        assert!(refused.contains(&format!("hint: the caller needs the IAM action {action}\n")), "{refused}");
    }
    project.rules(&json!([]));
    project.run(&["cluster", "down"], 0);

    // The others have a remedy.
    for (action, code, said) in [
        ("sts:GetCallerIdentity", "ExpiredToken", "the credentials have expired"),
        ("sts:GetCallerIdentity", "InvalidClientTokenId", "AWS does not know the credentials"),
        ("cloudformation:DescribeStacks", "OptInRequired", "turn the region us-east-2 on"),
        ("eks:CreateCluster", "ResourceLimitExceededException", "Service Quotas in us-east-2"),
        ("eks:CreateNodegroup", "ExpiredTokenException", "the credentials have expired"),
    ] {
        project.rules(&json!([fault(action, code, 403, 99)]));
        let refused = project.refused(&["cluster", "up"], 1);
        assert!(refused.contains(said), "{code}:\n{refused}");
    }
    project.rules(&json!([]));
    project.run(&["cluster", "up"], 0);

    // The name is another's.
    let project = Project::new(&emulator, 2);
    emulator.ask_as(
        &project.account,
        "eks.create_cluster(name='demo', roleArn='arn:aws:iam::000000000002:role/r', resourcesVpcConfig={})",
    );
    for command in ["up", "upgrade", "down"] {
        let refused = project.refused(&["cluster", command], 1);
        assert!(refused.contains("error: the cluster demo was not made for local\n"), "{refused}");
    }
}

/// Does some work with each, a few at a time: most of it is waiting.
fn side_by_side<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        for share in 0..8 {
            let work = &work;
            scope.spawn(move || all.iter().skip(share).step_by(8).for_each(work));
        }
    });
}

impl Project<'_> {
    /// Runs a command and kills it when a rule holds a request; false if it ends before.
    fn killed(&self, arguments: &[&str], rules: &Value) -> bool {
        self.rules(rules);
        let mut command = self.repository.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start it");
        loop {
            if child.try_wait().expect("ask for it").is_some() {
                self.rules(&json!([]));
                return false;
            }
            if !self.emulator.seen(&self.account)["held"].is_null() {
                child.kill().expect("kill it");
                child.wait().expect("reap it");
                self.rules(&json!([]));
                return true;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }
}

/// What is left in an account.
const LEFT: &str = "[*eks.list_clusters()['clusters'], \
    *[s['StackName'] for s in cloudformation.list_stacks()['StackSummaries'] if s['StackStatus'] != 'DELETE_COMPLETE'], \
    *[r['RoleName'] for r in iam.list_roles()['Roles'] if 'demo' in r['RoleName']], \
    *[v['VpcId'] for v in ec2.describe_vpcs()['Vpcs'] if not v.get('IsDefault')]]";

#[tokio::test]
async fn another_emulator_makes_the_same_of_our_calls() {
    let emulator = Emulator::second_opinion();
    let repository = repository(&emulator, emulator.account);
    let environment = config::load(&repository.root, "local").expect("it is valid");
    let config::Cluster::Eks(eks) = &environment.cluster else { panic!("it is on EKS") };
    let mut wanted = Eks { addons: Vec::new(), access: Vec::new(), workload_identity: Vec::new(), ..(**eks).clone() };
    if let Network::New { nat, .. } = &mut wanted.network {
        *nat = Nat::PerZone;
    }
    let (ensure, step) = (async || eks::ensure(&environment, &wanted, &Step::silent()).await, Step::silent());
    assert_eq!(ensure().await.unwrap_or_else(|error| panic!("{error}")), Outcome::Changed);
    assert_eq!(
        emulator.ask("[g['State'] for g in ec2.describe_nat_gateways()['NatGateways']]"),
        json!(["available", "available"])
    );
    let group = emulator.ask("eks.describe_nodegroup(clusterName='demo', nodegroupName='general')['nodegroup']");
    assert_eq!(group["scalingConfig"], json!({"minSize": 1, "maxSize": 3, "desiredSize": 2}));
    assert_eq!(group["subnets"].as_array().map(Vec::len), Some(2));
    assert_eq!(ensure().await.unwrap_or_else(|error| panic!("{error}")), Outcome::Same);
    // It deletes what a stack holds in an order that it then refuses, where AWS goes by what needs what.
    let error = eks::remove(&environment, &wanted, &step).await.expect_err("its gateways are in the way");
    assert_eq!(error.message, "delete the stack demo-network");
    assert!(error.causes[0].starts_with("DependencyViolation: The vpc "), "{error}");
    assert_eq!(emulator.ask("eks.list_clusters()['clusters']"), json!([]));
}

/// How many requests of the way up change something, and of the way down.
const WAY_UP: u32 = 11;
const WAY_DOWN: u32 = 6;

#[test]
fn killed_at_any_request_that_changes_something_the_next_run_goes_on() {
    let emulator = Emulator::faulty();
    let requests: Vec<u32> = (0..WAY_UP).collect();
    side_by_side(&requests, |request| {
        let project = Project::new(&emulator, 1000 + request);
        for what in ["hold before", "hold after"] {
            let at = |request: u32| json!([{"action": "mutating", "skip": request, "what": what}]);
            assert!(project.killed(&["cluster", "up"], &at(*request)), "there are fewer requests than {request}");
            project.run(&["cluster", "up"], 0);
            let status = project.json(&["cluster", "status"]);
            assert_eq!(status["changes"], json!([]), "after a kill at request {request}, {what}");
            project.killed(&["cluster", "down"], &at(request % WAY_DOWN));
            project.run(&["cluster", "down"], 0);
        }
        let left = emulator.ask_as(&project.account, LEFT);
        assert_eq!(left, json!([]), "after kills at request {request}");
    });
}
