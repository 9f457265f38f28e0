//! The CloudFormation templates: the network and the roles, each a stack of its own. Pure: the same configuration gives
//! the same text, so that what differs from the stack's own template is what would change.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use crate::config::aws::{Eks, Identity, Nat, Network};

/// Who may take the role of a service of AWS.
fn trust(service: &str, actions: Value) -> Value {
    let statement = json!({"Effect": "Allow", "Principal": {"Service": service}, "Action": actions});
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

fn template(description: &str, resources: Map<String, Value>, outputs: Map<String, Value>) -> Value {
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": description,
        // The zones are those of the configuration, which names the region, too.
        "Metadata": {"cfn-lint": {"config": {"ignore_checks": ["W3010"]}}},
        "Resources": resources,
        "Outputs": outputs,
    })
}

fn named(name: &str, more: &[(&str, &str)]) -> Value {
    let mut tags = vec![json!({"Key": "Name", "Value": name})];
    tags.extend(more.iter().map(|(key, value)| json!({"Key": key, "Value": value})));
    tags.into()
}

/// The roles: of the control plane, of the nodes, and of each workload identity.
pub(super) fn roles(eks: &Eks) -> Value {
    let managed = |names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| json!({"Fn::Sub": format!("arn:${{AWS::Partition}}:iam::aws:policy/{name}")})).collect()
    };
    let nodes = ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"];
    let mut resources = Map::new();
    let mut outputs = Map::new();
    let mut add = |id: &str, properties: Value| {
        resources.insert(id.to_owned(), json!({"Type": "AWS::IAM::Role", "Properties": properties}));
        outputs.insert(id.to_owned(), json!({"Value": {"Fn::GetAtt": [id, "Arn"]}}));
    };
    add(
        CLUSTER_ROLE,
        json!({
            "AssumeRolePolicyDocument": trust("eks.amazonaws.com", json!(["sts:AssumeRole"])),
            "ManagedPolicyArns": managed(&["AmazonEKSClusterPolicy"]),
        }),
    );
    add(
        NODE_ROLE,
        json!({
            "AssumeRolePolicyDocument": trust("ec2.amazonaws.com", json!(["sts:AssumeRole"])),
            "ManagedPolicyArns": managed(&nodes),
        }),
    );
    for identity in &eks.workload_identity {
        let mut properties = json!({
            "AssumeRolePolicyDocument": trust("pods.eks.amazonaws.com", json!(["sts:AssumeRole", "sts:TagSession"])),
        });
        if !identity.policies.is_empty() {
            properties["ManagedPolicyArns"] = json!(identity.policies);
        }
        if !identity.statements.is_empty() {
            let statement = |statement: &crate::config::aws::Statement| json!({"Effect": "Allow", "Action": statement.actions, "Resource": statement.resources});
            let statements: Vec<Value> = identity.statements.iter().map(statement).collect();
            let document = json!({"Version": "2012-10-17", "Statement": statements});
            properties["Policies"] = json!([{"PolicyName": "workload", "PolicyDocument": document}]);
        }
        add(&identity_role(identity), properties);
    }
    template(&format!("Roles of the EKS cluster {}", eks.name), resources, outputs)
}

/// The output, and the logical id, of the control plane's role.
pub(super) const CLUSTER_ROLE: &str = "ClusterRole";
/// The output, and the logical id, of the nodes' role.
pub(super) const NODE_ROLE: &str = "NodeRole";

/// The same of a workload's role. Logical ids are letters and digits: whatever else is in a name becomes `x` and its code,
/// and so does `x` itself, so that no two names become one.
pub(super) fn identity_role(identity: &Identity) -> String {
    let word = |name: &str| -> String {
        let plain = |character: &char| character.is_ascii_alphanumeric() && *character != 'x';
        let spelt = |character: char| match Some(character).filter(plain) {
            Some(character) => character.to_string(),
            None => format!("x{:02x}", u32::from(character)),
        };
        name.chars().map(spelt).collect()
    };
    format!("Pod{}N{}", word(&identity.namespace), word(&identity.service_account))
}

/// The network, if the cluster has one of its own.
pub(super) fn network(eks: &Eks) -> Option<Value> {
    let Network::New { cidr, zones, nat } = &eks.network else { return None };
    let mut stack = Stack { resources: Map::new(), cluster: &eks.name };
    stack.add(
        "Vpc",
        "AWS::EC2::VPC",
        json!({
            "CidrBlock": cidr, "EnableDnsHostnames": true, "EnableDnsSupport": true, "Tags": named(&eks.name, &[]),
        }),
    );
    stack.add("Gateway", "AWS::EC2::InternetGateway", json!({"Tags": named(&eks.name, &[])}));
    stack.add(
        "GatewayAttachment",
        "AWS::EC2::VPCGatewayAttachment",
        json!({
            "VpcId": {"Ref": "Vpc"}, "InternetGatewayId": {"Ref": "Gateway"},
        }),
    );
    stack.table("Public");
    stack.add("PublicRoute", "AWS::EC2::Route", json!({
        "RouteTableId": {"Ref": "PublicTable"}, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": {"Ref": "Gateway"},
    }));
    stack.after("PublicRoute", "GatewayAttachment");
    let (mut public, mut private) = (Vec::new(), Vec::new());
    for (index, zone) in zones.iter().enumerate() {
        let number = index + 1;
        let subnet = format!("Public{number}");
        // Public load balancers look for the first, internal ones for the second of these tags.
        stack.subnet(&subnet, zone, &block(cidr, index), *nat == Nat::None, "kubernetes.io/role/elb");
        stack.associate(&subnet, "PublicTable");
        public.push(json!({"Ref": subnet}));
        if *nat == Nat::None {
            continue;
        }
        let own = *nat == Nat::PerZone || index == 0;
        if own {
            stack.nat(number);
        }
        let subnet = format!("Private{number}");
        stack.subnet(&subnet, zone, &block(cidr, index + 4), false, "kubernetes.io/role/internal-elb");
        stack.table(&subnet);
        let gateway = format!("Nat{}", if own { number } else { 1 });
        stack.add(
            &format!("{subnet}Route"),
            "AWS::EC2::Route",
            json!({
                "RouteTableId": {"Ref": format!("{subnet}Table")}, "DestinationCidrBlock": "0.0.0.0/0",
                "NatGatewayId": {"Ref": gateway},
            }),
        );
        stack.associate(&subnet, &format!("{subnet}Table"));
        private.push(json!({"Ref": subnet}));
    }
    let mut outputs = Map::new();
    let joined = |list: &[Value]| json!({"Value": {"Fn::Join": [",", list]}});
    outputs.insert("Vpc".into(), json!({"Value": {"Ref": "Vpc"}}));
    outputs.insert(PUBLIC.into(), joined(&public));
    if !private.is_empty() {
        outputs.insert(PRIVATE.into(), joined(&private));
    }
    Some(template(&format!("Network of the EKS cluster {}", eks.name), stack.resources, outputs))
}

/// The output with the public subnets, by commas.
pub(super) const PUBLIC: &str = "PublicSubnets";
/// The output with the private ones.
pub(super) const PRIVATE: &str = "PrivateSubnets";

/// An eighth of the network: four for public subnets, four for private ones. The configuration holds no block that is
/// none.
fn block(cidr: &str, index: usize) -> String {
    let (address, prefix) = cidr.split_once('/').unwrap_or((cidr, "16"));
    let address: Ipv4Addr = address.parse().unwrap_or(Ipv4Addr::new(10, 0, 0, 0));
    let prefix = prefix.parse().unwrap_or(16) + 3;
    let offset = u32::try_from(index).unwrap_or_default() << (32 - prefix);
    format!("{}/{prefix}", Ipv4Addr::from_bits(address.to_bits() + offset))
}

struct Stack<'a> {
    resources: Map<String, Value>,
    cluster: &'a str,
}

impl Stack<'_> {
    fn add(&mut self, id: &str, kind: &str, properties: Value) {
        self.resources.insert(id.to_owned(), json!({"Type": kind, "Properties": properties}));
    }

    fn after(&mut self, id: &str, other: &str) {
        self.resources[id]["DependsOn"] = other.into();
    }

    fn subnet(&mut self, id: &str, zone: &str, block: &str, addresses: bool, role: &str) {
        let name = format!("{}-{}-{zone}", self.cluster, id.trim_end_matches(char::is_numeric).to_lowercase());
        self.add(
            id,
            "AWS::EC2::Subnet",
            json!({
                "VpcId": {"Ref": "Vpc"}, "AvailabilityZone": zone, "CidrBlock": block,
                "MapPublicIpOnLaunch": addresses, "Tags": named(&name, &[(role, "1")]),
            }),
        );
    }

    fn table(&mut self, id: &str) {
        let name = format!("{}-{}", self.cluster, id.to_lowercase());
        self.add(
            &format!("{id}Table"),
            "AWS::EC2::RouteTable",
            json!({
                "VpcId": {"Ref": "Vpc"}, "Tags": named(&name, &[]),
            }),
        );
    }

    fn associate(&mut self, subnet: &str, table: &str) {
        self.add(
            &format!("{subnet}Association"),
            "AWS::EC2::SubnetRouteTableAssociation",
            json!({
                "SubnetId": {"Ref": subnet}, "RouteTableId": {"Ref": table},
            }),
        );
    }

    fn nat(&mut self, number: usize) {
        let (address, gateway) = (format!("Nat{number}Address"), format!("Nat{number}"));
        let name = named(&format!("{}-nat-{number}", self.cluster), &[]);
        self.add(&address, "AWS::EC2::EIP", json!({"Domain": "vpc", "Tags": name}));
        self.after(&address, "GatewayAttachment");
        self.add(
            &gateway,
            "AWS::EC2::NatGateway",
            json!({
                "AllocationId": {"Fn::GetAtt": [address, "AllocationId"]},
                "SubnetId": {"Ref": format!("Public{number}")}, "Tags": name,
            }),
        );
    }
}
