//! EKS, rehearsed: an emulator of AWS on loopback, its cluster in a container, and every token checked.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    command::{Repository, Run},
    kubectl,
};

/// A clone of this repository with an emulator of its own.
struct Rehearsal {
    repository: Repository,
    port: u16,
}

/// What is in the account: a client that is not ours asks. What every account has from the start is not counted.
const INVENTORY: &str = r#"
import sys, botocore.session
session = botocore.session.Session()
session.set_credentials("000000000000", "emulator")
def client(service):
    return session.create_client(service, region_name="us-east-2", endpoint_url=sys.argv[1])
ec2 = client("ec2")
for name in client("eks").list_clusters()["clusters"]:
    print("cluster", name)
for stack in client("cloudformation").list_stacks()["StackSummaries"]:
    if stack["StackStatus"] != "DELETE_COMPLETE":
        print("stack", stack["StackName"], stack["StackStatus"])
for role in client("iam").list_roles()["Roles"]:
    print("role", role["RoleName"].rsplit("-", 1)[0])
for vpc in ec2.describe_vpcs()["Vpcs"]:
    if not vpc.get("IsDefault"):
        print("vpc", vpc["CidrBlock"])
        for subnet in ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]:
            print("subnet", subnet["CidrBlock"], subnet["AvailabilityZone"])
"#;

/// A token as the AWS command line makes it (awscli/customizations/eks/get_token.py), with the secret that is given.
const TOKEN: &str = r#"
import sys, base64, botocore.session
from botocore.model import ServiceId
from botocore.signers import RequestSigner
session = botocore.session.Session()
session.set_credentials("000000000000", sys.argv[1])
signer = RequestSigner(ServiceId("STS"), "us-east-2", "sts", "v4", session.get_credentials(), session.get_component("event_emitter"))
request = {"method": "GET", "url": "https://sts.us-east-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
           "body": {}, "headers": {"x-k8s-aws-id": sys.argv[2]}, "context": {}}
url = signer.generate_presigned_url(request, region_name="us-east-2", expires_in=60, operation_name="")
print("k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("="))
"#;

/// What a presigned URL says apart from when and by what key.
const SHAPE: &str = r#"
import sys, base64, urllib.parse
token = sys.argv[1]
assert token.startswith("k8s-aws-v1.") and "=" not in token
encoded = token[len("k8s-aws-v1."):]
url = urllib.parse.urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
said = urllib.parse.parse_qs(url.query, strict_parsing=True)
for moment in ("X-Amz-Date", "X-Amz-Signature"):
    assert len(said.pop(moment)[0]) in (16, 64)
said["X-Amz-Credential"] = [part for part in said["X-Amz-Credential"][0].split("/") if len(part) != 8]
print(url.scheme, url.netloc, url.path, sorted(said.items()))
"#;

#[test]
fn a_service_is_shipped_to_eks_and_gone_again() {
    let rehearsal = Rehearsal::new();
    nothing_is_started_to_plan(&rehearsal);
    the_first_deploy_makes_everything(&rehearsal);
    the_second_changes_nothing(&rehearsal);
    tokens_are_checked(&rehearsal);
    destroy_leaves_an_empty_account(&rehearsal);
    what_docker_has_of_it_goes_with_the_emulator(&rehearsal);
}

#[test]
fn a_killed_cluster_up_and_down_go_on() {
    let rehearsal = Rehearsal::new();
    // The control plane has been begun by then, and its end; eks.rs has the other moments, without containers.
    rehearsal.kill_at(&["cluster", "up"], 4);
    let run = rehearsal.runs(&["cluster", "up"]);
    let status: Value = serde_json::from_str(&rehearsal.runs(&["cluster", "status", "--output", "json"]).stdout)
        .expect("the status is JSON");
    assert_eq!(status["changes"], Value::Array(Vec::new()), "{}", run.stderr);
    let inventory = rehearsal.inventory();
    for (what, count) in [("cluster", 1), ("stack", 2), ("role", 3), ("vpc", 1), ("subnet", 2)] {
        let found = inventory.iter().filter(|line| line.starts_with(what)).count();
        assert_eq!(found, count, "{what}: {inventory:#?}");
    }
    rehearsal.kill_at(&["cluster", "down"], 6);
    rehearsal.runs(&["cluster", "down"]);
    assert_eq!(rehearsal.inventory(), Vec::<String>::new());
}

fn nothing_is_started_to_plan(rehearsal: &Rehearsal) {
    let run = rehearsal.run(&["plan", "--exit-code"]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    for line in ["+ Cluster slipway-rehearsal", "+ Stack slipway-rehearsal-network", "+ Nodegroup general"] {
        assert!(run.stderr.contains(line), "{line} is not planned:\n{}", run.stderr);
    }
    assert!(TcpListener::bind(("127.0.0.1", rehearsal.port)).is_ok(), "an emulator was started");
}

fn the_first_deploy_makes_everything(rehearsal: &Rehearsal) {
    let run = rehearsal.runs(&["deploy", "--output", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("the report is JSON");
    assert_eq!(report["released"], true, "{report:#}");
    // The check of the configuration: POST /v1 answers EM ESREVER.
    assert!(run.stderr.contains(" ok       verify"), "{}", run.stderr);
    let nodes = rehearsal.kubectl(&["get", "nodes", "--output", "name"]);
    assert_eq!(nodes.stdout, "node/slipway\n", "{}", nodes.stderr);
}

fn the_second_changes_nothing(rehearsal: &Rehearsal) {
    let before = rehearsal.kubectl(&["get", "pods", "--namespace", "app", "--output", "name"]);
    let run = rehearsal.runs(&["deploy"]);
    for stage in ["rehearsal", "build", "push", "cluster", "plan"] {
        assert!(run.stderr.contains(&format!(" same     {stage}")), "{stage} is not unchanged:\n{}", run.stderr);
    }
    assert_eq!(rehearsal.run(&["plan", "--exit-code"]).code, Some(0));
    let after = rehearsal.kubectl(&["get", "pods", "--namespace", "app", "--output", "name"]);
    assert_eq!(after.stdout, before.stdout);
}

fn tokens_are_checked(rehearsal: &Rehearsal) {
    let printed: Value = serde_json::from_str(&rehearsal.runs(&["cluster", "token"]).stdout).expect("it is JSON");
    let token = printed["status"]["token"].as_str().expect("it has a token");
    let theirs = rehearsal.python(TOKEN, &["emulator", "slipway-rehearsal"]);
    assert_eq!(rehearsal.python(SHAPE, &[token]), rehearsal.python(SHAPE, &[theirs.trim()]));

    let whoami = |token: &str| rehearsal.kubectl(&["auth", "whoami", "--token", token]);
    assert!(whoami(token).stdout.contains("arn:aws:iam::000000000000:root"), "{}", whoami(token).stderr);
    assert!(whoami(theirs.trim()).stdout.contains("arn:aws:iam::000000000000:root"));
    for (secret, cluster) in [("wrong", "slipway-rehearsal"), ("emulator", "another")] {
        let refused = whoami(rehearsal.python(TOKEN, &[secret, cluster]).trim());
        assert_ne!(refused.code, Some(0), "a token by {secret} for {cluster} is taken: {}", refused.stdout);
    }
}

fn destroy_leaves_an_empty_account(rehearsal: &Rehearsal) {
    rehearsal.runs(&["destroy"]);
    assert_eq!(rehearsal.inventory(), Vec::<String>::new());
    let run = rehearsal.runs(&["destroy"]);
    assert!(run.stderr.contains(" same     cluster"), "{}", run.stderr);
}

fn what_docker_has_of_it_goes_with_the_emulator(rehearsal: &Rehearsal) {
    let images = || {
        let reference = format!("reference=127.0.0.1:{}/*/*", rehearsal.port);
        Run::of(Command::new("docker").args(["images", "--all", "--quiet", "--filter", &reference])).stdout
    };
    assert_ne!(images(), "", "an image was pushed");
    let run = rehearsal.repository.run(&["rehearsal", "down"]);
    assert_eq!((run.code, images().as_str()), (Some(0), ""), "{}", run.stderr);
}

impl Rehearsal {
    fn new() -> Self {
        let repository = Repository::clone_of_the_workspace();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("find a port").port();
        let configuration = repository.read("infra-config/rehearsal.yaml");
        assert!(configuration.contains(":4566"), "the rehearsal is at port 4566");
        repository.write("infra-config/rehearsal.yaml", &configuration.replace(":4566", &format!(":{port}")));
        let shared = workspace().join("target/rehearsal-venv");
        assert!(shared.is_dir(), "{} is not there: `cargo xtask test` installs it", shared.display());
        // Clones share their target directory: the first one makes the link.
        let _ = symlink(&shared, repository.root.join("target/rehearsal-venv"));
        Self { repository, port }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.repository.command(arguments);
        command.args(["--env", "rehearsal"]);
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    #[track_caller]
    fn runs(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}\n{}", run.stderr, self.log());
        run
    }

    /// Runs a command and kills it when it begins with that step; one that has fewer ends by itself.
    fn kill_at(&self, arguments: &[&str], step: usize) {
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start it");
        let words = BufReader::new(child.stderr.take().expect("it is piped"));
        let is_step = |line: &String| line.starts_with(" ...      cluster ");
        let begun = words.lines().map_while(Result::ok).filter(is_step).nth(step - 1);
        assert!(begun.is_some(), "{arguments:?} has no step {step}");
        child.kill().expect("kill it");
        child.wait().expect("reap it");
    }

    fn kubectl(&self, arguments: &[&str]) -> Run {
        let kubeconfig = self.runs(&["cluster", "kubeconfig"]).stdout;
        // From elsewhere: the entry that asks for tokens must find its way.
        Run::of(
            Command::new(kubectl::program()).args(["--kubeconfig", kubeconfig.trim()]).args(arguments).current_dir("/"),
        )
    }

    #[track_caller]
    fn python(&self, program: &str, arguments: &[&str]) -> String {
        let python = workspace().join("target/rehearsal-venv/bin/python");
        let run = Run::of(Command::new(python).args(["-c", program]).args(arguments));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stdout
    }

    fn inventory(&self) -> Vec<String> {
        self.python(INVENTORY, &[&self.endpoint()]).lines().map(str::to_owned).collect()
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.repository.root.join(".slipway/rehearsal/emulator.log")).unwrap_or_default()
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        self.repository.run(&["rehearsal", "down"]);
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
