//! What names, numbers and ARNs of AWS look like, each by the page of AWS that defines it.

use crate::config::fields::Form;

macro_rules! forms {
    ($($(#[$doc:meta])* $name:ident: $what:literal, $pattern:literal;)*) => {
        $($(#[$doc])* pub(super) const $name: Form = Form { what: $what, pattern: $pattern };)*
    };
}

forms! {
    ACCOUNT: "an AWS account: 12 digits", r"^[0-9]{12}$";
    REGION: "a region, such as us-east-2", r"^[a-z]{2}(-[a-z]+)+-[0-9]$";
    PROFILE: "the name of a profile in ~/.aws/config", r"^[^ \t\]\[]+$";
    /// Whatever else it may hold, no credentials leave this machine by it.
    ENDPOINT: "the address of an emulator on this machine, such as http://127.0.0.1:4566",
        r"^http://(127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}$";
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>, and without dots, which TLS does not take
    BUCKET: "the name of a bucket: 3 to 63 of a-z, 0-9 and -", r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$";
    KEY_ARN: "the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID",
        r"^arn:aws(-[a-z]+)*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9A-Za-z-]+$";
    /// <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html>
    CLUSTER: "the name of a cluster: at most 100 letters, digits, - and _", r"^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$";
    NODEGROUP: "the name of a nodegroup: at most 63 letters, digits, - and _", r"^[0-9A-Za-z][0-9A-Za-z_-]{0,62}$";
    VERSION: "a version of Kubernetes, such as 1.35", r"^1\.[1-9][0-9]$";
    CIDR: "a block of IPv4 addresses, such as 10.0.0.0/16",
        r"^((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])/(3[0-2]|[12]?[0-9])$";
    ZONE: "a zone of a region, such as us-east-2a", r"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$";
    SUBNET: "the id of a subnet, such as subnet-0123456789abcdef0", r"^subnet-[0-9a-f]{8,17}$";
    INSTANCE_TYPE: "an instance type, such as t3.medium", r"^[a-z][a-z0-9-]*[0-9][a-z0-9-]*\.[a-z0-9-]+$";
    MAX_UNAVAILABLE: "a number of nodes or a percentage, from 1 to 100, such as 1 or 33%", r"^(100|[1-9][0-9]?)%?$";
    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>
    LABEL_KEY: "the key of a label", r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[0-9A-Za-z]([0-9A-Za-z_.-]{0,61}[0-9A-Za-z])?$";
    LABEL_VALUE: "the value of a label", r"^([0-9A-Za-z]([0-9A-Za-z_.-]{0,61}[0-9A-Za-z])?)?$";
    ADDON: "the name of an add-on, such as vpc-cni", r"^[a-z0-9]([a-z0-9_-]{0,98}[a-z0-9])?$";
    ADDON_VERSION: "default, latest or a version such as v1.20.1-eksbuild.3", r"^(default|latest|v[0-9]+\.[0-9]+\.[0-9]+-[a-z0-9.]+)$";
    /// A session of a role is not one: an access entry names the role itself.
    PRINCIPAL: "the ARN of an IAM role or user, arn:aws:iam::ACCOUNT:role/NAME",
        r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(root|(role|user)/[0-9A-Za-z+=,.@_/-]+)$";
    ACCESS_POLICY: "the name of an EKS access policy, such as AmazonEKSViewPolicy", r"^Amazon[0-9A-Za-z]+Policy(V[0-9]+)?$";
    GROUP: "a Kubernetes group that does not begin with system:, eks:, aws:, amazon: or iam:", r"^[0-9A-Za-z_.-]+(:[0-9A-Za-z_.-]+)*$";
    POLICY_ARN: "the ARN of an IAM policy, arn:aws:iam::aws:policy/NAME",
        r"^arn:aws(-[a-z]+)*:iam::(aws|[0-9]{12}):policy/[0-9A-Za-z+=,.@_/-]+$";
    ACTION: "an IAM action of one service, such as s3:GetObject", r"^[a-z0-9-]+:[0-9A-Za-z*]+$";
    RESOURCE: "an ARN", r"^(\*|arn:aws(-[a-z]+)*:[a-z0-9-]+:[a-z0-9-]*:([0-9]{12}|aws)?:.+)$";
    DNS_LABEL: "a DNS label: at most 63 of a-z, 0-9 and -", r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
    DNS_NAME: "a DNS name: a-z, 0-9, - and .", r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$";
    SECRET_KEY: "a key of a Secret: letters, digits, -, _ and .", r"^[0-9A-Za-z._-]{1,253}$";
    SECRET: "the name or ARN of a secret", r"^[0-9A-Za-z/_+=.@:-]{1,2048}$";
    SECRET_VERSION: "the id of a secret's version, 32 to 64 characters", r"^[0-9A-Za-z-]{32,64}$";
    PARAMETER: "the name of a parameter, such as /demo/staging/key", r"^[0-9A-Za-z_./-]{1,1011}$";
}
