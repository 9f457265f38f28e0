//! What is decided of a cluster, without AWS: the templates of the repository's environments, and what differs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aws_sdk_eks::types::{Cluster, VpcConfigResponse};

use super::{
    change::{Change, Facet},
    compare::compare,
    live::{Entry, Live},
    stacks::Stack,
    template,
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
