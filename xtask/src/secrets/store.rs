//! Secrets Manager and Parameter Store: which version is current, and what a version is. Only the second reads values.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    aws::json::{Client, Service},
    config::{Aws, SecretOrigin},
    error::{Error, Result},
    ui::Secret,
};

/// How many parameters may be asked about at once
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeParameters.html>).
const PAGE: usize = 50;

/// What AWS keeps in an account.
pub(super) struct Store(Client);

/// The versions that were current when they were looked at.
pub(super) struct Current {
    secrets: BTreeMap<String, String>,
    parameters: BTreeMap<String, u32>,
}

impl Current {
    /// The origin with a version.
    pub(super) fn of(&self, origin: &SecretOrigin) -> SecretOrigin {
        let mut origin = origin.clone();
        match &mut origin {
            SecretOrigin::SecretsManager { secret, version, .. } if version.is_none() => {
                *version = self.secrets.get(secret).cloned();
            }
            SecretOrigin::Parameter { parameter, version } if version.is_none() => {
                *version = self.parameters.get(parameter).copied();
            }
            _ => {}
        }
        origin
    }
}

impl Store {
    pub(super) async fn connect(aws: &Aws) -> Result<Self> {
        Client::connect(aws).await.map(Self)
    }

    /// The current versions of those origins that name none.
    pub(super) async fn current<'a>(&self, origins: impl Iterator<Item = &'a SecretOrigin>) -> Result<Current> {
        let (mut names, mut parameters) = (BTreeSet::new(), BTreeSet::new());
        for origin in origins {
            match origin {
                SecretOrigin::SecretsManager { secret, version: None, .. } => drop(names.insert(secret.as_str())),
                SecretOrigin::Parameter { parameter, version: None } => drop(parameters.insert(parameter.as_str())),
                _ => {}
            }
        }
        let mut secrets = BTreeMap::new();
        for name in names {
            secrets.insert(name.to_owned(), self.current_secret(name).await?);
        }
        Ok(Current { secrets, parameters: self.current_parameters(&parameters).await? })
    }

    async fn current_secret(&self, name: &str) -> Result<String> {
        let doing = format!("look at the secret {name} in Secrets Manager");
        let found = self.0.call(&doing, Service::SecretsManager, "DescribeSecret", &json!({"SecretId": name})).await?;
        let is_current =
            |stages: &Value| stages.as_array().is_some_and(|all| all.iter().any(|one| one == "AWSCURRENT"));
        let versions = found["VersionIdsToStages"].as_object().into_iter().flatten();
        let current = versions.filter(|(_, stages)| is_current(stages)).map(|(version, _)| version.clone()).next();
        current.filter(|_| found["DeletedDate"].is_null()).ok_or_else(|| {
            Error::failed(doing).cause("it has no current version").hint("put a value into it, or restore it")
        })
    }

    /// AWS tells the version of a parameter with its value, or with a list: the list has no values.
    async fn current_parameters(&self, names: &BTreeSet<&str>) -> Result<BTreeMap<String, u32>> {
        let doing = "look for parameters in Parameter Store";
        let names: Vec<&str> = names.iter().copied().collect();
        let mut found = BTreeMap::new();
        for some in names.chunks(PAGE) {
            let filter = json!([{"Key": "Name", "Option": "Equals", "Values": some}]);
            let mut input = json!({"ParameterFilters": filter, "MaxResults": PAGE});
            loop {
                let page = self.0.call(doing, Service::Systems, "DescribeParameters", &input).await?;
                for one in page["Parameters"].as_array().into_iter().flatten() {
                    let version = one["Version"].as_u64().and_then(|version| u32::try_from(version).ok());
                    found.extend(one["Name"].as_str().map(str::to_owned).zip(version));
                }
                match page["NextToken"].as_str().filter(|next| !next.is_empty()) {
                    Some(next) => input["NextToken"] = next.into(),
                    None => break,
                }
            }
        }
        let absent: Vec<&str> = names.into_iter().filter(|name| !found.contains_key(*name)).collect();
        match absent[..] {
            [] => Ok(found),
            _ => Err(Error::failed(doing)
                .cause(format!("there is no {}", absent.join(", ")))
                .hint("make it, or correct its name in `secrets`")),
        }
    }

    /// A value, as `data` of a Secret has it.
    pub(super) async fn value(&self, origin: &SecretOrigin) -> Result<Secret> {
        match origin {
            SecretOrigin::SecretsManager { secret, version, field } => {
                let version = version.as_deref().unwrap_or_default();
                let doing = format!("fetch version {version} of the secret {secret} from Secrets Manager");
                let input = json!({"SecretId": secret, "VersionId": version});
                let found = self.0.call(&doing, Service::SecretsManager, "GetSecretValue", &input).await?;
                let failed = |cause: &str| Error::failed(&doing).cause(cause);
                let text = match (found["SecretString"].as_str(), found["SecretBinary"].as_str(), field) {
                    (Some(text), _, None) => text.to_owned(),
                    (Some(text), _, Some(field)) => part(text, field).map_err(|cause| failed(&cause))?,
                    (None, Some(binary), None) => return Ok(Secret::new(binary)),
                    (None, Some(_), Some(_)) => return Err(failed("it is binary and has no fields")),
                    (None, None, _) => return Err(failed("it has no value")),
                };
                Ok(Secret::new(BASE64_STANDARD.encode(text)))
            }
            SecretOrigin::Parameter { parameter, version } => {
                let version = version.unwrap_or_default();
                let doing = format!("fetch version {version} of {parameter} from Parameter Store");
                let input = json!({"Names": [format!("{parameter}:{version}")], "WithDecryption": true});
                let found = self.0.call(&doing, Service::Systems, "GetParameters", &input).await?;
                match found["Parameters"][0]["Value"].as_str() {
                    Some(text) => Ok(Secret::new(BASE64_STANDARD.encode(text))),
                    None => Err(Error::failed(doing)
                        .cause("there is no such version")
                        .hint("AWS keeps the last hundred versions: deploy with one that is there")),
                }
            }
        }
    }
}

/// A field of a secret that is a JSON object. What it says of one that is none has nothing of its text.
fn part(text: &str, field: &str) -> Result<String, String> {
    let object: Option<Value> = serde_json::from_str(text).ok().filter(Value::is_object);
    match object.ok_or("it is no JSON object, so it has no fields")?.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => Err(format!("it has no field `{field}`")),
    }
}
