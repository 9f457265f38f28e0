//! AWS's errors as a person needs them: what was refused, and the action to allow, the login to renew or the limit to
//! raise. Codes are those of the services' API references, "Errors" and "Common errors".

use std::{error::Error as _, fmt::Debug};

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};

use crate::{
    config::Aws,
    error::{Error, Kind},
};

/// Why AWS refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The caller may not do it.
    Denied,
    /// The credentials were good.
    Expired,
    /// The credentials are none that AWS knows.
    Unknown,
    /// Too many requests, also after patience.
    Throttled,
    /// The account has as many as it may have.
    Quota,
    /// The region has to be turned on first.
    Region,
    /// The bucket is in another region.
    Elsewhere,
    /// All of AWS shares the names of buckets.
    Taken,
    /// AWS has troubles of its own, also after patience.
    Down,
}

/// The code of an error, such as `RepositoryNotFoundException`.
pub fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> &str {
    error.code().unwrap_or_default()
}

/// The error of what was being done, which takes an IAM action: `ecr:CreateRepository`.
pub fn failed<E, R>(doing: impl Into<String>, action: &str, aws: &Aws, error: &SdkError<E, R>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: Debug,
{
    let doing = doing.into();
    match error {
        SdkError::ServiceError(answer) => {
            let answer = answer.err();
            let (code, message) = (answer.code().unwrap_or_default(), answer.message().unwrap_or_default());
            answered(doing, action, aws, code, message)
        }
        SdkError::TimeoutError(_) => Error::timed_out(doing).cause("AWS did not answer in time").hint(unreachable(aws)),
        SdkError::ResponseError(_) => {
            sources(Error::failed(doing).cause("AWS's answer was cut off or makes no sense"), error)
        }
        _ => {
            let failed = sources(Error::failed(doing), error);
            let said = failed.to_string().to_lowercase();
            let hint =
                if said.contains("credential") || said.contains("token") { log_in(aws) } else { unreachable(aws) };
            failed.hint(hint)
        }
    }
}

/// What an answer means.
pub(super) fn answered(doing: String, action: &str, aws: &Aws, code: &str, message: &str) -> Error {
    // A sentence of AWS's ends as one of ours.
    let said = match (code, message.trim_end_matches('.')) {
        ("", "") => "AWS gives no reason".to_owned(),
        (code, "") => code.to_owned(),
        ("", message) => message.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    let kind = if refusal(code) == Some(Refusal::Throttled) { Kind::TimedOut } else { Kind::Failed };
    let error = Error::new(kind, doing).cause(said);
    let region = &aws.region;
    match refusal(code) {
        None => error,
        Some(Refusal::Denied) => {
            let action = denied(message).unwrap_or(action);
            // A boundary, an organisation's policy or a key's: allowing it to the caller is not enough then.
            let where_else = match message.split_once("with an explicit deny in ") {
                Some((_, policy)) => format!("; {} denies it", policy.trim_end_matches('.')),
                None => String::new(),
            };
            error.hint(format!("the caller needs the IAM action {action}{where_else}"))
        }
        Some(Refusal::Expired) => error.cause("the credentials have expired").hint(log_in(aws)),
        Some(Refusal::Unknown) => error.cause("AWS does not know the credentials").hint(log_in(aws)),
        Some(Refusal::Throttled) => error
            .cause("AWS has too many requests of this account, also after the pauses that it asks for")
            .hint("run it again in a few minutes: it goes on where it is"),
        Some(Refusal::Quota) => {
            error.hint(format!("ask AWS for more, or remove what is not needed: Service Quotas in {region}"))
        }
        Some(Refusal::Region) => {
            error.hint(format!("turn the region {region} on for the account, or change aws.region"))
        }
        Some(Refusal::Elsewhere) => {
            error.hint(format!("the bucket is not in {region}: change aws.region, or name another bucket"))
        }
        Some(Refusal::Down) => {
            error.cause("AWS has troubles of its own").hint("run it again in a few minutes: it goes on where it is")
        }
        Some(Refusal::Taken) => error.hint("all of AWS shares the names of buckets: choose another one"),
    }
}

/// Whether AWS has too many requests of us.
pub(super) fn is_throttled(code: &str) -> bool {
    refusal(code) == Some(Refusal::Throttled)
}

fn refusal(code: &str) -> Option<Refusal> {
    // Services of the query protocol put their own name before a code, those of JSON put an ending behind it.
    let name = code.rsplit('.').next().unwrap_or(code);
    let name = name.strip_suffix("Exception").or_else(|| name.strip_suffix("Fault")).unwrap_or(name);
    Some(match name {
        "AccessDenied" | "UnauthorizedOperation" | "NotAuthorized" | "Forbidden" => Refusal::Denied,
        "ExpiredToken" | "RequestExpired" | "TokenRefreshRequired" | "Unauthorized" => Refusal::Expired,
        "InvalidClientTokenId"
        | "UnrecognizedClient"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignature"
        | "AuthFailure"
        | "InvalidToken"
        | "MissingAuthenticationToken"
        | "IncompleteSignature" => Refusal::Unknown,
        "Throttling"
        | "Throttled"
        | "ThrottledRequests"
        | "RequestThrottled"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete" => Refusal::Throttled,
        "LimitExceeded" | "ServiceQuotaExceeded" | "ResourceLimitExceeded" | "TooManyBuckets" => Refusal::Quota,
        "OptInRequired" | "RegionDisabled" => Refusal::Region,
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraint" => Refusal::Elsewhere,
        "BucketAlreadyExists" => Refusal::Taken,
        "InternalFailure" | "InternalError" | "InternalServerError" | "Server" | "ServiceUnavailable" => Refusal::Down,
        _ if name.ends_with("QuotaExceeded") || name.ends_with("LimitExceeded") => Refusal::Quota,
        _ => return None,
    })
}

/// The action in `User: ARN is not authorized to perform: ecr:CreateRepository on resource: …`.
fn denied(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    let action = rest.split([' ', ',']).next()?;
    action.contains(':').then_some(action)
}

pub(super) fn log_in(aws: &Aws) -> String {
    match &aws.profile {
        Some(profile) => {
            format!("renew the credentials of profile {profile}; of SSO: aws sso login --profile {profile}")
        }
        None => {
            "give this process credentials of the account: a profile (aws.profile), SSO, or a role of the runner".into()
        }
    }
}

fn unreachable(aws: &Aws) -> String {
    match &aws.endpoint {
        Some(endpoint) => format!("does the emulator answer at {endpoint}?"),
        None => format!("is AWS in {} reachable from here?", aws.region),
    }
}

/// Adds what led to the error: the SDK's own sentence says only that there was none.
fn sources<E, R>(error: Error, sdk: &SdkError<E, R>) -> Error
where
    E: std::error::Error + 'static,
    R: Debug,
{
    match sdk.source() {
        Some(source) => error.source(source),
        None => error.cause(sdk),
    }
}

#[cfg(test)]
pub(super) fn answer(action: &str, aws: &Aws, code: &str, message: &str) -> Error {
    answered("do it".into(), action, aws, code, message)
}
