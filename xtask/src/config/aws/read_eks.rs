//! Reads `cluster.eks`.

use std::time::Duration;

use super::{
    Access, AccessPolicy, Addon, AddonVersion, Aws, Conflicts, Eks, Endpoint, Identity, LogType, Nat, Network, Scope,
    SecretsEncryption, Statement, UpgradePolicy, forms, nodes,
    read::{key_in, needed},
};
use crate::config::fields::{Field, Section, Variant};

/// The policy that lets a principal do everything in a cluster.
const ADMIN: &str = "AmazonEKSClusterAdminPolicy";

/// The section.
pub(in crate::config) fn eks(aws: Option<&Aws>, mut keys: Section<'_>) -> Eks {
    let aws = needed(aws, |message| keys.mistake(message));
    let name = keys.field("name").required("a cluster has a name").form(&forms::CLUSTER).unwrap_or_default();
    let version = keys.field("version").required("which version of Kubernetes? for example 1.35");
    let version = version.form(&forms::VERSION).unwrap_or_default();
    let policies = [("standard", UpgradePolicy::Standard), ("extended", UpgradePolicy::Extended)];
    let upgrade_policy = keys.field("upgrade_policy").choice(&policies).unwrap_or(UpgradePolicy::Standard);
    let soak = keys.field("soak").duration().unwrap_or(Duration::from_secs(600));
    let endpoint = endpoint(keys.field("endpoint").required("from where is its API reached?").section());
    let logging = logging(keys.field("logging"));
    let secrets_encryption = secrets_encryption(&aws, keys.field("secrets_encryption"));
    let deletion_protection = keys.field("deletion_protection").flag().unwrap_or(true);
    let network = network(&aws, keys.field("network"));
    let nodegroups = keys.field("nodegroups").required("which nodes?");
    if nodegroups.is_empty_list() {
        nodegroups.mistake("at least one nodegroup was expected");
    }
    let nodegroups = nodegroups.each(nodes::nodegroup, |group| group.name.clone());
    let addons = keys.field("addons").each(addon, |addon| addon.name.clone());
    let entries = keys.field("access").required("who may use its API? whoever creates it gets no access by that");
    let nobody = entries.clone();
    let access = entries.each(access, |access| access.principal.clone());
    let admins =
        |access: &Access| access.policies.iter().any(|held| held.name == ADMIN && held.scope == Scope::Cluster);
    if nobody.is_given() && !access.iter().any(admins) {
        nobody.mistake(format!("nobody may do everything: give a principal {ADMIN} in all of the cluster"));
    }
    let identity_name = |identity: &Identity| match identity.service_account.as_str() {
        "" => String::new(),
        account => format!("{}/{account}", identity.namespace),
    };
    let workload_identity = keys.field("workload_identity").each(identity, identity_name);
    keys.end();
    Eks {
        aws,
        name,
        version,
        upgrade_policy,
        soak,
        endpoint,
        logging,
        secrets_encryption,
        deletion_protection,
        network,
        nodegroups,
        addons,
        access,
        workload_identity,
    }
}

fn endpoint(mut keys: Section<'_>) -> Endpoint {
    #[derive(Clone, Copy, PartialEq)]
    enum From {
        Private,
        Public,
        Both,
    }
    let ways = [("private", From::Private), ("public", From::Public), ("public-and-private", From::Both)];
    let from = keys.field("access").choice(&ways).unwrap_or(From::Both);
    let field = keys.field("allowed_cidrs");
    let (given, place) = (field.is_given() && !field.is_empty_list(), field.clone());
    let cidrs = field.forms(&forms::CIDR);
    match (from, given) {
        (From::Private, true) => place.mistake("a private endpoint is reached from its network only: leave it out"),
        (From::Public | From::Both, false) => {
            place.mistake("which addresses may reach it? 0.0.0.0/0 is all of them");
        }
        _ => {}
    }
    keys.end();
    match from {
        From::Private => Endpoint::Private,
        From::Public => Endpoint::Public(cidrs),
        From::Both => Endpoint::Both(cidrs),
    }
}

fn logging(field: Field<'_>) -> Vec<LogType> {
    if !field.is_given() {
        return vec![LogType::Api, LogType::Audit, LogType::Authenticator];
    }
    let mut logs = Vec::new();
    for item in field.items() {
        let Some(log) = item.choice(&LogType::WORDS) else { continue };
        if logs.contains(&log) {
            item.mistake("it is in the list already");
        }
        logs.push(log);
    }
    logs
}

fn secrets_encryption(aws: &Aws, field: Field<'_>) -> SecretsEncryption {
    match field.variant(&[("aws-owned", SecretsEncryption::AwsOwned)], &["key"]) {
        None => SecretsEncryption::AwsOwned,
        Some(Variant::Word(encryption)) => encryption,
        Some(Variant::Tag(_, mut key)) => {
            let arn = key.field("arn").required("which key?").checked(|arn| key_in(aws, arn));
            key.end();
            SecretsEncryption::Kms(arn.unwrap_or_default())
        }
    }
}

fn network(aws: &Aws, field: Field<'_>) -> Network {
    let field = field.required("where are its nodes? in a `new` network or an `existing` one");
    match field.variant::<()>(&[], &["new", "existing"]) {
        Some(Variant::Tag("existing", keys)) => existing_network(keys),
        Some(Variant::Tag(_, keys)) => new_network(aws, keys),
        _ => Network::Existing { private: Vec::new(), public: Vec::new() },
    }
}

fn new_network(aws: &Aws, mut keys: Section<'_>) -> Network {
    let cidr = keys.field("cidr").checked(block);
    let zones = keys.field("zones").required("which zones? two or three of the region");
    let (given, place) = (zones.is_given(), zones.clone());
    let mut names: Vec<String> = Vec::new();
    for zone in zones.items() {
        let Some(name) = zone.form(&forms::ZONE) else { continue };
        if name[..name.len() - 1] != aws.region {
            zone.mistake(format!("`{name}` is not in {}", aws.region));
        }
        if names.contains(&name) {
            zone.mistake(format!("`{name}` is in the list already"));
        }
        names.push(name);
    }
    if given && !(2..=3).contains(&names.len()) {
        place.mistake("two or three zones were expected");
    }
    let ways = [("none", Nat::None), ("single", Nat::Single), ("per-zone", Nat::PerZone)];
    let nat = keys.field("nat").choice(&ways).unwrap_or(Nat::Single);
    keys.end();
    Network::New { cidr: cidr.unwrap_or_else(|| "10.0.0.0/16".into()), zones: names, nat }
}

fn existing_network(mut keys: Section<'_>) -> Network {
    let mut subnets = |key| keys.field(key).forms(&forms::SUBNET);
    let (private, public) = (subnets("private"), subnets("public"));
    if let Some(twice) = public.iter().find(|subnet| private.contains(subnet)) {
        keys.mistake(format!("{twice} cannot be both private and public"));
    } else if private.len() + public.len() < 2 {
        keys.mistake("at least two subnets, in two zones, were expected");
    }
    keys.end();
    Network::Existing { private, public }
}

/// A VPC's block, which subnets are cut from.
fn block(text: &str) -> Result<(), String> {
    forms::CIDR.check(text)?;
    let wrong = || format!("`{text}` is not a block of /16 to /20 that begins where it should, such as 10.0.0.0/16");
    let (address, length) = text.split_once('/').ok_or_else(wrong)?;
    let address: std::net::Ipv4Addr = address.parse().map_err(|_| wrong())?;
    let length: u32 = length.parse().map_err(|_| wrong())?;
    let inside = (16..=20).contains(&length) && u32::from(address) & (u32::MAX >> length) == 0;
    if inside { Ok(()) } else { Err(wrong()) }
}

fn addon(keys: &mut Section<'_>) -> Addon {
    let name = keys.field("name").required("an add-on has a name").form(&forms::ADDON).unwrap_or_default();
    let version = match keys.field("version").form(&forms::ADDON_VERSION).as_deref() {
        None | Some("default") => AddonVersion::Default,
        Some("latest") => AddonVersion::Latest,
        Some(version) => AddonVersion::Exact(version.to_owned()),
    };
    let ways = [("overwrite", Conflicts::Overwrite), ("preserve", Conflicts::Preserve), ("fail", Conflicts::Fail)];
    let conflicts = keys.field("conflicts").choice(&ways).unwrap_or(Conflicts::Overwrite);
    let configuration = keys.field("configuration");
    if configuration.is_given() && !configuration.is_mapping() {
        configuration.mistake("a mapping was expected");
    }
    Addon { name, version, conflicts, configuration: configuration.json() }
}

fn access(keys: &mut Section<'_>) -> Access {
    let principal = keys.field("principal").required("who? the ARN of an IAM role or user");
    let principal = principal.checked(|arn| match forms::PRINCIPAL.check(arn) {
        Err(_) if arn.contains(":assumed-role/") => {
            Err(format!("`{arn}` is a session of a role: name the role, arn:aws:iam::ACCOUNT:role/NAME"))
        }
        checked => checked,
    });
    let policies = keys.field("policies").each(access_policy, |policy| policy.name.clone());
    let groups = keys.field("groups");
    let mut names = Vec::new();
    for group in groups.items() {
        let reserved = |name: &str| ["system:", "eks:", "aws:", "amazon:", "iam:"].iter().any(|r| name.starts_with(r));
        names.extend(group.checked(|name| match forms::GROUP.check(name) {
            Ok(()) if reserved(name) => Err(format!("`{name}` is not {}", forms::GROUP.what)),
            checked => checked,
        }));
    }
    if policies.is_empty() && names.is_empty() {
        keys.mistake("what may it do? name `policies`, or `groups` that the cluster gives roles to");
    }
    Access { principal: principal.unwrap_or_default(), policies, groups: names }
}

fn access_policy(keys: &mut Section<'_>) -> AccessPolicy {
    let name = keys.field("name").required("which policy? for example AmazonEKSViewPolicy");
    let name = name.form(&forms::ACCESS_POLICY).unwrap_or_default();
    let namespaces = keys.field("namespaces");
    if namespaces.is_empty_list() {
        namespaces.mistake("no namespace is left: name some, or leave it out for all of the cluster");
    }
    let given = namespaces.is_given();
    let namespaces = namespaces.forms(&forms::DNS_LABEL);
    AccessPolicy { name, scope: if given { Scope::Namespaces(namespaces) } else { Scope::Cluster } }
}

fn identity(keys: &mut Section<'_>) -> Identity {
    let namespace = keys.field("namespace").required("the namespace of the service account was expected");
    let namespace = namespace.form(&forms::DNS_LABEL).unwrap_or_default();
    let service_account = keys.field("service_account").required("which service account?");
    let service_account = service_account.form(&forms::DNS_NAME).unwrap_or_default();
    let policies = keys.field("policies").forms(&forms::POLICY_ARN);
    let statements: Vec<_> = keys.field("statements").items().into_iter().map(statement).collect();
    if policies.is_empty() && statements.is_empty() {
        keys.mistake("what may its pods do? name `policies` or `statements`");
    }
    Identity { namespace, service_account, policies, statements }
}

fn statement(field: Field<'_>) -> Statement {
    let mut keys = field.section();
    let actions = keys.field("actions").required("which actions?").forms(&forms::ACTION);
    let resources = keys.field("resources").required("on which resources?").forms(&forms::RESOURCE);
    keys.end();
    Statement { actions, resources }
}
