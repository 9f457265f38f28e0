//! What refusals of AWS become.

use super::refusal::answer;
use crate::{config::Aws, error::Kind};

fn aws() -> Aws {
    Aws { account: "111122223333".into(), region: "us-east-2".into(), profile: None, endpoint: None }
}

#[test]
fn a_refusal_names_the_action() {
    let said = "User: arn:aws:sts::111122223333:assumed-role/ci/x is not authorized to perform: ecr:TagResource on \
                resource: arn:aws:ecr:us-east-2:111122223333:repository/app because no identity-based policy allows \
                the ecr:TagResource action";
    let error = answer("ecr:CreateRepository", &aws(), "AccessDeniedException", said);
    assert_eq!(error.hint.as_deref(), Some("the caller needs the IAM action ecr:TagResource"));
    let error = answer("s3:PutObject", &aws(), "AccessDenied", "Access Denied");
    assert_eq!(error.causes, ["AccessDenied: Access Denied"]);
    assert_eq!(error.hint.as_deref(), Some("the caller needs the IAM action s3:PutObject"));
    let said = "User: a is not authorized to perform: eks:CreateCluster on resource: b with an explicit deny in a \
                service control policy";
    let hint = answer("eks:CreateCluster", &aws(), "AccessDeniedException", said).hint.expect("it helps");
    assert_eq!(hint, "the caller needs the IAM action eks:CreateCluster; a service control policy denies it");
}

#[test]
fn each_kind_of_refusal_has_its_remedy() {
    let hint = |code: &str| answer("a:B", &aws(), code, "m").hint.unwrap_or_default();
    for (code, part) in [
        ("ExpiredToken", "credentials of the account"),
        ("ExpiredTokenException", "credentials of the account"),
        ("InvalidClientTokenId", "credentials of the account"),
        ("UnrecognizedClientException", "credentials of the account"),
        ("ThrottlingException", "again in a few minutes"),
        ("SlowDown", "again in a few minutes"),
        ("InternalFailure", "again in a few minutes"),
        ("ServerException", "again in a few minutes"),
        ("LimitExceededException", "Service Quotas in us-east-2"),
        ("ServiceQuotaExceededException", "Service Quotas in us-east-2"),
        ("OptInRequired", "turn the region us-east-2 on"),
        ("PermanentRedirect", "not in us-east-2"),
        ("BucketAlreadyExists", "choose another one"),
    ] {
        assert!(hint(code).contains(part), "{code}: {}", hint(code));
    }
    assert_eq!(hint("ResourceNotFoundException"), "");
    let throttled = answer("a:B", &aws(), "ThrottlingException", "Rate exceeded");
    assert_eq!((throttled.kind, throttled.exit_code()), (Kind::TimedOut, 70));
    let profile = Aws { profile: Some("staging".into()), ..aws() };
    let hint = answer("a:B", &profile, "ExpiredToken", "m").hint.expect("it helps");
    assert!(hint.ends_with("aws sso login --profile staging"), "{hint}");
}
