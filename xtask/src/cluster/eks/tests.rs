//! What is decided of a cluster, without AWS: the templates of the repository's environments, and what differs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aws_sdk_eks::types::{Cluster, VpcConfigResponse};

use jiff::civil::date;

use super::{
    change::{self, Change, Facet},
    compare::compare,
    live::{Entry, Live},
    stacks::Stack,
    template,
    upgrade::Way,
    versions::{Offer, Support},
};
use crate::config::{self, Eks};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn eks(environment: &str) -> Eks {
    match config::load(&root(), environment).expect("the environment is valid").cluster {
        config::Cluster::Eks(eks) => *eks,
        other => panic!("{environment} is on {other:?}"),
    }
}

/// The templates lie in the repository, so that a change of them is seen in review and linters can read them. Remove a
/// file and run this to have it written anew.
#[test]
fn templates_are_those_of_the_repository() {
    let mut missing = Vec::new();
    for environment in ["staging", "production", "rehearsal"] {
        let eks = eks(environment);
        let network = template::network(&eks).expect("it has a network of its own");
        for (name, template) in [("network", network), ("roles", template::roles(&eks))] {
            let path = root().join(format!("xtask/tests/templates/{environment}-{name}.json"));
            let text = format!("{template:#}\n");
            let Ok(kept) = fs::read_to_string(&path) else {
                fs::write(&path, text).expect("write the template");
                missing.push(path);
                continue;
            };
            assert_eq!(text, kept, "{}", path.display());
        }
    }
    assert!(missing.is_empty(), "they were missing, and are there now: {missing:?}");
}

#[test]
fn roles_of_accounts_that_differ_in_dashes_alone_differ() {
    let mut identity = eks("rehearsal").workload_identity.remove(0);
    let mut names = Vec::new();
    for (namespace, account) in [("a-b", "c"), ("ab", "c"), ("a", "b-c"), ("a", "bc"), ("ax2db", "c")] {
        (identity.namespace, identity.service_account) = (namespace.to_owned(), account.to_owned());
        names.push(template::identity_role(&identity));
    }
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "{names:?}");
    assert!(names.iter().all(|name| name.chars().all(char::is_alphanumeric)), "{names:?}");
}

/// A cluster as the configuration wants it, without nodes and add-ons.
fn live(eks: &Eks) -> Live {
    let stack = |template| Stack {
        status: aws_sdk_cloudformation::types::StackStatus::CreateComplete,
        outputs: [].into(),
        template,
        protected: eks.deletion_protection,
    };
    let vpc = VpcConfigResponse::builder().endpoint_public_access(true).endpoint_private_access(true);
    let (public, private, cidrs) = super::compare::endpoint(&eks.endpoint);
    let vpc = vpc
        .endpoint_public_access(public)
        .endpoint_private_access(private)
        .set_public_access_cidrs(Some(cidrs.to_vec()));
    Live {
        network: template::network(eks).map(stack),
        roles: Some(stack(template::roles(eks))),
        cluster: Some(Cluster::builder().version(&eks.version).resources_vpc_config(vpc.build()).build()),
        ..Live::default()
    }
}

fn rehearsal() -> Eks {
    let mut eks = eks("rehearsal");
    eks.nodegroups.clear();
    eks.addons.clear();
    eks.access.clear();
    eks.workload_identity.clear();
    eks.logging.clear();
    eks
}

#[test]
fn nothing_differs_from_itself() {
    let eks = rehearsal();
    assert_eq!(compare(&eks, &live(&eks)).unwrap(), []);
}

#[test]
fn what_differs_is_changed_and_nothing_else() {
    let mut eks = rehearsal();
    let live = live(&eks);
    eks.logging = vec![config::aws::LogType::Audit];
    assert_eq!(compare(&eks, &live).unwrap(), [Change::Configure(Facet::Logging)]);
    eks.version = "1.99".to_owned();
    assert!(compare(&eks, &live).is_err(), "an upgrade must not be a side effect");
}

#[test]
fn a_stack_that_was_never_whole_is_put_again() {
    let eks = rehearsal();
    let mut live = live(&eks);
    let roles = live.roles.as_mut().unwrap();
    roles.status = aws_sdk_cloudformation::types::StackStatus::RollbackComplete;
    assert_eq!(compare(&eks, &live).unwrap(), [Change::Roles(template::roles(&eks))]);
}

#[test]
fn only_our_own_access_entries_are_removed() {
    let eks = rehearsal();
    let mut live = live(&eks);
    let entry = |principal: &str, kind: &str, ours| Entry {
        principal: principal.to_owned(),
        kind: kind.to_owned(),
        groups: Vec::new(),
        policies: Vec::new(),
        ours,
    };
    live.entries =
        vec![entry("theirs", "STANDARD", false), entry("nodes", "EC2_LINUX", true), entry("ours", "STANDARD", true)];
    assert_eq!(compare(&eks, &live).unwrap(), [Change::Expel("ours".to_owned())]);
}

fn offers() -> Vec<Offer> {
    let offer = |version: &str, support, default| Offer { version: version.to_owned(), support, default };
    vec![
        offer("1.36", Support::Standard(Some(date(2027, 8, 2))), true),
        offer("1.35", Support::Standard(Some(date(2027, 3, 27))), false),
        offer("1.34", Support::Extended(Some(date(2027, 12, 2))), false),
        offer("1.33", Support::Over, false),
    ]
}

#[test]
fn a_version_is_judged_by_what_aws_says_of_it() {
    let mut eks = rehearsal();
    let mut judge = |version: &str, live: Option<&str>, policy| {
        (eks.version, eks.upgrade_policy) = (version.to_owned(), policy);
        super::versions::judge(&eks, live, &offers(), date(2026, 12, 1))
    };
    use config::aws::UpgradePolicy::{Extended, Standard};
    assert_eq!(judge("1.36", None, Standard).unwrap(), None);
    let error = judge("1.31", None, Standard).unwrap_err();
    assert_eq!((error.message.as_str(), error.exit_code()), ("EKS offers no Kubernetes 1.31 in us-east-2", 2));
    assert!(error.hint.unwrap().ends_with("1.36 (the default), 1.35"));
    assert!(judge("1.33", None, Extended).is_err(), "its support is over");
    assert!(judge("1.33", Some("1.33"), Extended).unwrap().unwrap().contains("any day"), "it runs, which is warned of");
    assert!(judge("1.34", None, Standard).is_err(), "nobody has agreed to the price");
    assert!(judge("1.34", Some("1.34"), Standard).unwrap().unwrap().contains("any day"));
    assert!(judge("1.34", Some("1.34"), Extended).unwrap().unwrap().contains("until 2027-12-02, at six times"));
    eks.version = "1.35".to_owned();
    let notice = super::versions::judge(&eks, None, &offers(), date(2027, 2, 1)).unwrap();
    assert_eq!(notice.as_deref(), Some("the standard support of Kubernetes 1.35 ends on 2027-03-27"));
}

#[test]
fn versions_are_one_step_apart() {
    let mut eks = rehearsal();
    let mut way = |from: &str, to: &str| {
        eks.version = to.to_owned();
        super::upgrade::way(from, &eks, &offers())
    };
    assert_eq!(way("1.35", "1.36").unwrap(), Way::Up);
    assert_eq!(way("1.36", "1.35").unwrap(), Way::Back);
    assert_eq!(way("1.33", "1.33").unwrap(), Way::Stay, "also where its support is over");
    let error = way("1.34", "1.36").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("go step by step: cargo xtask cluster upgrade --to 1.35"));
    for (from, to) in [("1.36", "1.34"), ("1.36", "1.37"), ("1.34", "1.33")] {
        assert!(way(from, to).is_err(), "{from} -> {to}");
    }
}

#[test]
fn what_has_a_price_is_summed_and_nothing_is_guessed() {
    let mut staging = eks("staging");
    let price = super::prices::of(&staging, &Live::default(), false);
    // Control plane 73.00, a gateway with its address 36.50, two t3.medium 60.74 and their disks 3.20.
    assert_eq!(
        price.line(),
        "at most $173.44 a month (prices of us-east-2, 2026-06; without traffic)",
        "spot, and one of two types"
    );
    assert_eq!(change::minutes(&compare(&staging, &Live::default()).unwrap()), 23);
    staging.nodegroups[0].capacity = config::aws::Capacity::OnDemand;
    staging.nodegroups[0].instance_types = vec!["t3.large".to_owned()];
    let live = live(&staging);
    let price = super::prices::of(&staging, &live, true);
    // Extended support 438.00, now without nodes.
    assert_eq!(price.line(), "$599.17 a month, $124.67 more than now (prices of us-east-2, 2026-06; without traffic)");
    staging.nodegroups[0].instance_types = vec!["x9.huge".to_owned()];
    let line = super::prices::of(&staging, &live, false).line();
    assert!(line.contains("the price of x9.huge of the nodegroup general is not known"), "{line}");
    staging.aws.region = "eu-north-1".to_owned();
    let line = super::prices::of(&staging, &live, false).line();
    assert!(line.contains("the price of anything in eu-north-1 is not known"), "{line}");
}
