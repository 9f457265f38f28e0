//! What the sections of AWS become, and what their mistakes look like.

use std::path::Path;

use super::{
    AddonVersion, Ami, Architecture, Aws, Ecr, EcrEncryption, Endpoint, MaxUnavailable, Nat, Network, Scope, Size,
    State,
};
use crate::{
    config::{Cluster, Environment, Registry, fields::Findings, load::parse},
    error::Result,
};

const ACCOUNT: &str = "aws: {account: '111122223333', region: us-east-2}\n";
const CLUSTER: &str = "\
aws: {account: '111122223333', region: us-east-2}
cluster:
  eks:
    name: demo
    version: 1.35
    endpoint: {allowed_cidrs: [10.0.0.0/8]}
    network: {new: {zones: [us-east-2a, us-east-2b]}}
    nodegroups: [{name: a, instance_types: [t3.medium], size: {min: 0, max: 3}}]
    access: [{principal: 'arn:aws:iam::111122223333:role/a', policies: [{name: AmazonEKSClusterAdminPolicy}]}]
";

fn read(text: &str) -> Result<Environment> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    parse(root, "local", "f", text, &Findings::default())
}

fn mistakes(text: &str) -> Vec<String> {
    read(text).expect_err("it has mistakes").causes
}

/// The mistakes of the cluster when a line of it is another one.
fn wrong(key: &str, line: &str) -> Vec<String> {
    let line = format!("    {line}");
    let lines = CLUSTER.lines().map(|old| if old.trim_start().starts_with(key) { &line } else { old });
    mistakes(&lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_small_cluster_has_good_defaults() {
    let environment = read(CLUSTER).expect("valid");
    let Cluster::Eks(eks) = environment.cluster else { panic!("it is an EKS cluster") };
    assert_eq!(environment.aws.as_ref(), Some(&eks.aws));
    assert_eq!((eks.name.as_str(), eks.version.as_str(), eks.deletion_protection), ("demo", "1.35", true));
    assert_eq!(eks.endpoint, Endpoint::Both(vec!["10.0.0.0/8".into()]));
    let zones = vec!["us-east-2a".to_owned(), "us-east-2b".to_owned()];
    assert_eq!(eks.network, Network::New { cidr: "10.0.0.0/16".into(), zones, nat: Nat::Single });
    let group = &eks.nodegroups[0];
    assert_eq!((group.architecture, group.ami, group.disk), (Architecture::X86_64, Ami::Al2023, 20));
    assert_eq!(group.size, Size { min: 0, desired: 1, max: 3 });
    assert_eq!(group.max_unavailable, MaxUnavailable::Nodes(1));
    assert_eq!(eks.access[0].policies[0].scope, Scope::Cluster);
    assert_eq!(eks.logging.len(), 3);
}

#[test]
fn every_mistake_of_a_cluster_is_reported() {
    let text = "\
aws: {account: '1111', region: ohio, endpoint_url: 'http://example.com:80'}
cluster:
  eks:
    version: 1.3
    endpoint: {access: private, allowed_cidrs: [10.0.0.0/33]}
    network: {new: {cidr: 10.0.1.0/16, zones: [us-east-2a], nat: two}}
    nodegroups:
      - {name: a, instance_types: [t3.medium, t4g.medium, t3.medium], size: {min: 3, max: 2}, ami: al2}
      - {name: a, instance_types: [], size: {min: 1, desired: 5, max: 2}, update: {max_unavailable: 0}}
    addons: [{name: vpc-cni, version: newest}, {name: vpc-cni, configuration: x}]
    access:
      - {principal: 'arn:aws:sts::111122223333:assumed-role/a/b', groups: ['system:masters']}
    workload_identity: [{namespace: app, service_account: app}]
state: {s3: {bucket: One}}
";
    let expected = [
        "f:1:16: aws.account: `1111` is not an AWS account: 12 digits",
        "f:1:32: aws.region: `ohio` is not a region, such as us-east-2",
        "f:1:52: aws.endpoint_url: `http://example.com:80` is not the address of an emulator on this machine, such as \
         http://127.0.0.1:4566",
        "f:4:5: cluster.eks.name: a cluster has a name",
        "f:4:14: cluster.eks.version: `1.3` is not a version of Kubernetes, such as 1.35",
        "f:5:48: cluster.eks.endpoint.allowed_cidrs: a private endpoint is reached from its network only: leave it out",
        "f:5:49: cluster.eks.endpoint.allowed_cidrs[0]: `10.0.0.0/33` is not a block of IPv4 addresses, such as 10.0.0.0/16",
        "f:6:27: cluster.eks.network.new.cidr: `10.0.1.0/16` is not a block of /16 to /20 that begins where it should, \
         such as 10.0.0.0/16",
        "f:6:47: cluster.eks.network.new.zones: two or three zones were expected",
        "f:6:48: cluster.eks.network.new.zones[0]: `us-east-2a` is not in ",
        "f:6:66: cluster.eks.network.new.nat: `two` is not one of none, single, per-zone",
        "f:8:47: cluster.eks.nodegroups[0].instance_types[1]: `t4g.medium` has not the architecture of `t3.medium`: nodes \
         of a group run one image",
        "f:8:59: cluster.eks.nodegroups[0].instance_types[2]: `t3.medium` is in the list already",
        "f:8:91: cluster.eks.nodegroups[0].size.max: the most, 2, are fewer than the fewest, 3",
        "f:8:100: cluster.eks.nodegroups[0].ami: `al2` is not one of al2023, bottlerocket",
        "f:9:9: cluster.eks.nodegroups[1]: `a` is in the list already",
        "f:9:35: cluster.eks.nodegroups[1].instance_types: at least one instance type was expected",
        "f:9:63: cluster.eks.nodegroups[1].size.desired: `5` is not between the fewest, 1, and the most, 2",
        "f:9:101: cluster.eks.nodegroups[1].update.max_unavailable: `0` is not a number of nodes or a percentage, from 1 to \
         100, such as 1 or 33%",
        "f:10:39: cluster.eks.addons[0].version: `newest` is not default, latest or a version such as v1.20.1-eksbuild.3",
        "f:10:48: cluster.eks.addons[1]: `vpc-cni` is in the list already",
        "f:10:79: cluster.eks.addons[1].configuration: a mapping was expected",
        "f:12:7: cluster.eks.access: nobody may do everything: give a principal AmazonEKSClusterAdminPolicy in all of the \
         cluster",
        "f:12:9: cluster.eks.access[0]: what may it do? name `policies`, or `groups` that the cluster gives roles to",
        "f:12:21: cluster.eks.access[0].principal: `arn:aws:sts::111122223333:assumed-role/a/b` is a session of a role: name \
         the role, arn:aws:iam::ACCOUNT:role/NAME",
        "f:12:76: cluster.eks.access[0].groups[0]: `system:masters` is not a Kubernetes group that does not begin with \
         system:, eks:, aws:, amazon: or iam:",
        "f:13:25: cluster.eks.workload_identity[0]: what may its pods do? name `policies` or `statements`",
        "f:14:22: state.s3.bucket: `One` is not the name of a bucket: 3 to 63 of a-z, 0-9 and -",
    ];
    let found = mistakes(text);
    assert_eq!(found, expected);
}

#[test]
fn what_does_not_go_together_is_refused() {
    assert_eq!(
        wrong("endpoint", "endpoint: {access: public}"),
        ["f:6:15: cluster.eks.endpoint.allowed_cidrs: which addresses may reach it? 0.0.0.0/0 is all of them"]
    );
    assert_eq!(
        wrong("network", "network: {existing: {private: [subnet-12345678], public: [subnet-12345678]}}"),
        ["f:7:25: cluster.eks.network.existing: subnet-12345678 cannot be both private and public"]
    );
    assert_eq!(
        wrong("network", "network: {existing: {private: [subnet-12345678]}, new: {}}"),
        ["f:7:14: cluster.eks.network: exactly one of new, existing was expected"]
    );
    let key = "secrets_encryption: {key: {arn: 'arn:aws:kms:us-east-1:111122223333:key/a'}}";
    let key = format!("version: '1.35'\n    {key}");
    assert_eq!(
        wrong("version", &key),
        [
            "f:6:37: cluster.eks.secrets_encryption.key.arn: the key `arn:aws:kms:us-east-1:111122223333:key/a` is not in \
          us-east-2"
        ]
    );
    let scoped = "access: [{principal: 'arn:aws:iam::111122223333:role/a', policies: [{name: \
                  AmazonEKSClusterAdminPolicy, namespaces: [app]}]}]";
    assert_eq!(wrong("access", scoped).len(), 1, "an administrator of one namespace administers no cluster");
}

#[test]
fn what_is_on_aws_takes_an_account() {
    let needed = "it is on AWS: name the account and the region in the section `aws`";
    assert_eq!(mistakes("registry: {ecr: {}}\n"), [format!("f:1:17: registry.ecr: {needed}")]);
    assert_eq!(mistakes("state: {s3: {bucket: abc}}\n"), [format!("f:1:13: state.s3: {needed}")]);
    assert_eq!(mistakes("uploads: {bucket: abc}\n"), [format!("f:1:10: uploads: {needed}")]);
    assert_eq!(
        mistakes("aws: {}\n"),
        [
            "f:1:6: aws.account: which account? nothing is done in any other: 12 digits",
            "f:1:6: aws.region: which region? for example us-east-2",
        ]
    );
}

#[test]
fn a_registry_in_ecr() {
    let aws = Aws { account: "111122223333".into(), region: "us-east-2".into(), profile: None, endpoint: None };
    let expected = Ecr {
        aws,
        repository: "{service}".into(),
        immutable_tags: true,
        scan_on_push: true,
        encryption: EcrEncryption::Aes256,
        keep: 30,
    };
    assert_eq!(read(&format!("{ACCOUNT}registry: {{ecr: {{}}}}\n")).expect("valid").registry, Registry::Ecr(expected));
    assert_eq!(
        mistakes(&format!("{ACCOUNT}registry: {{ecr: {{repository: A, keep: 0, encryption: aes}}}}\n")),
        [
            "f:2:30: registry.ecr.repository: `A` is not a repository: lower-case words separated by /, and {service}",
            "f:2:39: registry.ecr.keep: `0` is not a number of images from 1 to 1000",
            "f:2:54: registry.ecr.encryption: `aes` is not one of aes256, kms, key",
        ]
    );
}

#[test]
fn buckets_are_not_shared() {
    let text = format!("{ACCOUNT}state: {{s3: {{bucket: abc}}}}\nuploads: {{bucket: abc}}\n");
    assert_eq!(
        mistakes(&text),
        ["f:3:19: uploads.bucket: the service's files and the records of its releases need buckets of their own"]
    );
    assert_eq!(read("").expect("valid").state, State::Cluster);
}

#[test]
fn secrets_have_one_origin_each() {
    let text = format!(
        "{ACCOUNT}secrets:\n  - name: a\n    values:\n      - {{key: A, from: {{parameter_store: {{parameter: /a, version: 0}}}}}}\n      - {{key: A, \
         from: {{secrets_manager: {{version: x}}}}}}\n      - {{key: b c, from: vault}}\n"
    );
    assert_eq!(
        mistakes(&text),
        [
            "f:5:67: secrets[0].values[0].from.parameter_store.version: `0` is not a version from 1 to 4294967295",
            "f:6:9: secrets[0].values[1]: `A` is in the list already",
            "f:6:42: secrets[0].values[1].from.secrets_manager.secret: which secret?",
            "f:6:52: secrets[0].values[1].from.secrets_manager.version: `x` is not the id of a secret's version, 32 to 64 \
             characters",
            "f:7:15: secrets[0].values[2].key: `b c` is not a key of a Secret: letters, digits, -, _ and .",
            "f:7:26: secrets[0].values[2].from: `vault` is not one of secrets_manager, parameter_store",
        ]
    );
}

#[test]
fn the_examples_on_aws_are_what_they_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    for name in ["staging", "production", "rehearsal"] {
        let environment = crate::config::load(root, name).unwrap_or_else(|error| panic!("{error}"));
        let Cluster::Eks(eks) = &environment.cluster else { panic!("{name} is on EKS") };
        assert!(eks.addons.iter().all(|addon| addon.version == AddonVersion::Default));
        assert!(matches!(environment.state, State::S3(_)), "{name}");
        assert_eq!(eks.aws.endpoint.is_some(), name == "rehearsal");
    }
}
