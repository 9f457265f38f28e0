//! Reads `aws`, `registry.ecr`, `state`, `uploads` and `secrets`.

use super::{Aws, Ecr, EcrEncryption, S3State, SecretOrigin, SecretSource, SecretValue, State, Uploads, forms};
use crate::config::{
    SERVICE,
    fields::{Field, Section, Variant},
};

/// The section `aws`, if there is one.
pub(in crate::config) fn account(field: Field<'_>) -> Option<Aws> {
    let given = field.is_given();
    let mut keys = field.section();
    let account = keys.field("account").required_in(given, "which account? nothing is done in any other: 12 digits");
    let account = account.form(&forms::ACCOUNT);
    let region = keys.field("region").required_in(given, "which region? for example us-east-2").form(&forms::REGION);
    let profile = keys.field("profile").form(&forms::PROFILE);
    let endpoint = keys.field("endpoint_url").form(&forms::ENDPOINT);
    keys.end();
    let (account, region) = (account.unwrap_or_default(), region.unwrap_or_default());
    given.then_some(Aws { account, region, profile, endpoint })
}

/// The account that something on AWS is in; it is missed where there is none.
pub(super) fn needed(aws: Option<&Aws>, missed: impl FnOnce(&str)) -> Aws {
    aws.cloned().unwrap_or_else(|| {
        missed("it is on AWS: name the account and the region in the section `aws`");
        Aws { account: String::new(), region: String::new(), profile: None, endpoint: None }
    })
}

/// `registry.ecr`
pub(in crate::config) fn ecr(aws: Option<&Aws>, mut keys: Section<'_>, several: bool) -> Ecr {
    let aws = needed(aws, |message| keys.mistake(message));
    let repository = keys.field("repository").checked(|repository| {
        if several && !repository.contains(SERVICE) {
            return Err(format!("several services need repositories of their own: put {SERVICE} into it"));
        }
        let part = |part: &str| {
            let word = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
            part.starts_with(word)
                && part.ends_with(word)
                && part.chars().all(|character| word(character) || "-_.".contains(character))
        };
        let name = repository.replace(SERVICE, "app");
        if (2..=256).contains(&name.len()) && name.split('/').all(part) {
            return Ok(());
        }
        Err(format!("`{repository}` is not a repository: lower-case words separated by /, and {SERVICE}"))
    });
    let immutable_tags = keys.field("immutable_tags").flag().unwrap_or(true);
    let scan_on_push = keys.field("scan_on_push").flag().unwrap_or(true);
    let words = [("aes256", EcrEncryption::Aes256), ("kms", EcrEncryption::Kms(None))];
    let encryption = match keys.field("encryption").variant(&words, &["key"]) {
        None => EcrEncryption::Aes256,
        Some(Variant::Word(encryption)) => encryption,
        Some(Variant::Tag(_, mut key)) => {
            let arn = key.field("arn").required("which key?").checked(|arn| key_in(&aws, arn));
            key.end();
            EcrEncryption::Kms(arn)
        }
    };
    let keep = keys.field("keep").within(1..=1000, "a number of images").unwrap_or(30);
    keys.end();
    Ecr {
        aws,
        repository: repository.unwrap_or_else(|| SERVICE.into()),
        immutable_tags,
        scan_on_push,
        encryption,
        keep,
    }
}

/// The ARN of a key that a region's services may use.
pub(super) fn key_in(aws: &Aws, arn: &str) -> Result<(), String> {
    forms::KEY_ARN.check(arn)?;
    match arn.split(':').nth(3) {
        Some(region) if region == aws.region => Ok(()),
        _ => Err(format!("the key `{arn}` is not in {}", aws.region)),
    }
}

/// `state`: where releases are recorded and locked.
pub(in crate::config) fn state(aws: Option<&Aws>, field: Field<'_>) -> State {
    match field.variant(&[("cluster", State::Cluster)], &["s3"]) {
        None => State::Cluster,
        Some(Variant::Word(state)) => state,
        Some(Variant::Tag(_, mut keys)) => {
            let aws = needed(aws, |message| keys.mistake(message));
            let bucket = keys.field("bucket").required("which bucket?").form(&forms::BUCKET).unwrap_or_default();
            keys.end();
            State::S3(S3State { aws, bucket })
        }
    }
}

/// `uploads`: the bucket for what the service is given.
pub(in crate::config) fn uploads(aws: Option<&Aws>, state: &State, field: Field<'_>) -> Option<Uploads> {
    let given = field.is_given();
    let mut keys = field.section();
    let bucket = keys.field("bucket").required_in(given, "which bucket?");
    let name = bucket.form(&forms::BUCKET).unwrap_or_default();
    if matches!(state, State::S3(state) if !name.is_empty() && state.bucket == name) {
        bucket.mistake("the service's files and the records of its releases need buckets of their own");
    }
    let uploads = given.then(|| Uploads { aws: needed(aws, |message| keys.mistake(message)), bucket: name });
    keys.end();
    uploads
}

/// `secrets`: what comes from Secrets Manager and Parameter Store.
pub(in crate::config) fn secrets(aws: Option<&Aws>, field: Field<'_>) -> Vec<SecretSource> {
    let secret = |keys: &mut Section<'_>| {
        let aws = needed(aws, |message| keys.mistake(message));
        let name = keys.field("name").required("a Secret has a name").form(&forms::DNS_NAME).unwrap_or_default();
        let values = keys.field("values").required("which values?");
        if values.is_empty_list() {
            values.mistake("at least one value was expected");
        }
        let values = values.each(value, |value| value.key.clone());
        SecretSource { aws, name, values }
    };
    field.each(secret, |secret| secret.name.clone())
}

fn value(keys: &mut Section<'_>) -> SecretValue {
    let key = keys.field("key").required("a value has a key").form(&forms::SECRET_KEY).unwrap_or_default();
    let from = keys.field("from").required("where does it come from?");
    let from = match from.variant::<()>(&[], &["secrets_manager", "parameter_store"]) {
        Some(Variant::Tag("secrets_manager", mut keys)) => {
            let secret = keys.field("secret").required("which secret?").form(&forms::SECRET).unwrap_or_default();
            let version = keys.field("version").form(&forms::SECRET_VERSION);
            let field = keys.field("field").text().map(str::to_owned);
            keys.end();
            SecretOrigin::SecretsManager { secret, version, field }
        }
        Some(Variant::Tag(_, mut keys)) => {
            let parameter = keys.field("parameter").required("which parameter?").form(&forms::PARAMETER);
            let version = keys.field("version").within(1..=u32::MAX, "a version");
            keys.end();
            SecretOrigin::Parameter { parameter: parameter.unwrap_or_default(), version }
        }
        _ => SecretOrigin::Parameter { parameter: String::new(), version: None },
    };
    SecretValue { key, from }
}
