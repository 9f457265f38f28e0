//! Amazon's registry: the repository as it is configured, a login that lasts twelve hours, and tags that keep what
//! releases run from expiring.
//!
//! A lifecycle policy knows nothing of releases. So every image that a kept release runs has a tag
//! `release-ENVIRONMENT-…`, and the policy's first rule, which never expires anything, takes what is so tagged away from
//! the second: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html>.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecr::{
    Client,
    types::{
        EncryptionConfiguration, EncryptionType, ImageIdentifier, ImageScanningConfiguration, ImageTagMutability,
        Repository as Live, Tag,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::Login;
use crate::{
    aws::{self, code, failed},
    config::{Credentials, Ecr, EcrEncryption, Environment, Generic, PullSecret, SERVICE},
    error::{Error, Result},
    image::reference::{Digest, Repository},
    plan::FIELD_MANAGER,
    ui::{Secret, Step},
};

/// How the tags begin that keep images.
const KEPT: &str = "release-";
/// More than any repository has: a rule has to expire something.
const ENDLESS: u32 = 100_000;
/// Digits of a digest in a tag; all of them would leave too little for the environment's name.
const DIGITS: usize = 24;

/// The registry of an environment.
#[derive(Debug, Clone)]
pub struct Registry {
    client: Client,
    settings: Ecr,
    /// Where it is spoken to: `111122223333.dkr.ecr.us-east-2.amazonaws.com`, or an emulator's address.
    pub(super) generic: Generic,
    pub(super) login: Login,
    /// What nodes know it by, where that is another name.
    pub(super) official: Option<String>,
    environment: String,
}

/// Logs in.
///
/// # Errors
/// AWS refuses, or the account is another one.
pub(super) async fn choose(environment: &Environment, settings: &Ecr) -> Result<Registry> {
    let aws = &settings.aws;
    let client = Client::new(&aws::connect(aws).await?);
    let doing = "log in to ECR";
    let answer = client.get_authorization_token().send().await;
    let answer = answer.map_err(|error| failed(doing, "ecr:GetAuthorizationToken", aws, &error))?;
    let [data, ..] = answer.authorization_data() else {
        return Err(Error::failed(doing).cause("AWS's answer holds no login"));
    };
    let decoded = STANDARD.decode(data.authorization_token().unwrap_or_default()).ok();
    let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((username, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) else {
        return Err(Error::failed(doing).cause("AWS's answer holds no name and password"));
    };
    let login = Login::Basic { username: username.to_owned(), password: Secret::new(password) };
    let official = data.proxy_endpoint().unwrap_or_default();
    let official = official.split_once("://").map_or(official, |(_, host)| host).to_owned();
    // An emulator answers at its own address, and only the nodes that it makes know the registry by its name.
    let emulator = aws.endpoint.as_deref().and_then(|endpoint| endpoint.strip_prefix("http://"));
    let host = emulator.map_or_else(|| official.clone(), str::to_owned);
    let nodes_know = matches!(environment.cluster, crate::config::Cluster::Eks(_));
    let generic = Generic {
        host,
        repository: settings.repository.clone(),
        credentials: Credentials::Anonymous,
        insecure: None,
        // Nodes pull with their role.
        pull_secret: PullSecret::Never,
        pull_credentials: None,
    };
    let official = (emulator.is_some() && nodes_know).then_some(official);
    Ok(Registry { client, settings: settings.clone(), generic, login, official, environment: environment.name.clone() })
}

impl Registry {
    /// Makes the service's repository what the configuration says.
    ///
    /// # Errors
    /// AWS refuses, or its encryption is another one.
    pub(super) async fn ensure(&self, service: &str, step: &Step) -> Result<()> {
        let name = self.name(service);
        match self.find(&name).await? {
            None => {
                step.update(format!("making the repository {name}"));
                self.create(&name).await?;
            }
            Some(live) => self.adjust(&name, &live, step).await?,
        }
        self.expire(&name).await
    }

    /// Tags what releases of this environment run, and the image that is about to, and takes the tag from the rest.
    ///
    /// # Errors
    /// AWS refuses.
    pub async fn keep(&self, service: &str, images: &BTreeSet<Digest>) -> Result<()> {
        let (name, aws) = (self.name(service), &self.settings.aws);
        let tags: BTreeMap<String, &Digest> = images.iter().map(|digest| (self.tag(digest), digest)).collect();
        let doing = || format!("look at the images of {name}");
        let mut pages = self.client.list_images().repository_name(&name).into_paginator().items().send();
        let (mut kept, mut there) = (BTreeSet::new(), BTreeSet::new());
        while let Some(image) = pages.next().await {
            let image = image.map_err(|error| failed(doing(), "ecr:ListImages", aws, &error))?;
            there.extend(image.image_digest().map(str::to_owned));
            let tag = image.image_tag().filter(|tag| tag.starts_with(&self.prefix()));
            kept.extend(tag.map(str::to_owned));
        }
        for (tag, digest) in &tags {
            // One that is gone cannot be kept; its release can't come back from here, which a rollback will say.
            if !kept.contains(tag) && there.contains(digest.as_str()) {
                self.add_tag(&name, tag, digest).await?;
            }
        }
        for tag in kept.into_iter().filter(|tag| !tags.contains_key(tag)) {
            self.remove_tag(&name, &tag).await?;
        }
        Ok(())
    }

    /// What nodes know a repository by.
    pub(super) fn named(&self, repository: Repository) -> Result<Repository> {
        match &self.official {
            Some(host) => format!("{host}/{}", repository.path()).parse(),
            None => Ok(repository),
        }
    }

    fn name(&self, service: &str) -> String {
        self.settings.repository.replace(SERVICE, service)
    }

    fn prefix(&self) -> String {
        format!("{KEPT}{}-", self.environment)
    }

    fn tag(&self, digest: &Digest) -> String {
        let hex = digest.as_str().trim_start_matches("sha256:");
        format!("{}{}", self.prefix(), &hex[..DIGITS.min(hex.len())])
    }

    async fn find(&self, name: &str) -> Result<Option<Live>> {
        match self.client.describe_repositories().repository_names(name).send().await {
            Ok(answer) => Ok(answer.repositories().first().cloned()),
            Err(error) if code(&error) == "RepositoryNotFoundException" => Ok(None),
            Err(error) => {
                let doing = format!("look at the ECR repository {name}");
                Err(failed(doing, "ecr:DescribeRepositories", &self.settings.aws, &error))
            }
        }
    }

    async fn create(&self, name: &str) -> Result<()> {
        let doing = || format!("make the ECR repository {name}");
        let built = |error: aws_sdk_ecr::error::BuildError| Error::failed(doing()).source(&error);
        let (kind, key) = encryption(&self.settings.encryption);
        let encryption = EncryptionConfiguration::builder().encryption_type(kind).set_kms_key(key);
        let tag = Tag::builder().key("app.kubernetes.io/managed-by").value(FIELD_MANAGER).build().map_err(built)?;
        let create = self
            .client
            .create_repository()
            .repository_name(name)
            .image_tag_mutability(mutability(&self.settings))
            .image_scanning_configuration(scanning(&self.settings))
            .encryption_configuration(encryption.build().map_err(built)?)
            .tags(tag);
        match create.send().await {
            Ok(_) => Ok(()),
            // Another deploy was faster; the next one compares.
            Err(error) if code(&error) == "RepositoryAlreadyExistsException" => Ok(()),
            Err(error) => Err(failed(doing(), "ecr:CreateRepository", &self.settings.aws, &error)),
        }
    }

    /// Changes what differs, as far as it can be changed.
    async fn adjust(&self, name: &str, live: &Live, step: &Step) -> Result<()> {
        let (settings, aws) = (&self.settings, &self.settings.aws);
        let (kind, key) = encryption(&settings.encryption);
        let has = live.encryption_configuration();
        let differs = has.is_some_and(|has| {
            *has.encryption_type() != kind || key.as_deref().is_some_and(|key| has.kms_key() != Some(key))
        });
        if differs {
            return Err(Error::failed(format!("set up the ECR repository {name}: its encryption cannot be changed"))
                .hint("set registry.ecr.encryption to what it has, or name another repository"));
        }
        if live.image_tag_mutability() != Some(&mutability(settings)) {
            step.detail(format!("immutable tags of {name}: {}", settings.immutable_tags));
            let put = self.client.put_image_tag_mutability().repository_name(name);
            let doing = || format!("set whether tags of {name} may move");
            let put = put.image_tag_mutability(mutability(settings)).send().await;
            put.map_err(|error| failed(doing(), "ecr:PutImageTagMutability", aws, &error))?;
        }
        let scans = live.image_scanning_configuration().is_some_and(ImageScanningConfiguration::scan_on_push);
        if scans != settings.scan_on_push {
            step.detail(format!("scan on push of {name}: {}", settings.scan_on_push));
            let put = self.client.put_image_scanning_configuration().repository_name(name);
            let doing = || format!("set whether images of {name} are scanned");
            let put = put.image_scanning_configuration(scanning(settings)).send().await;
            put.map_err(|error| failed(doing(), "ecr:PutImageScanningConfiguration", aws, &error))?;
        }
        Ok(())
    }

    /// Sets the lifecycle policy, unless it is what it should be.
    async fn expire(&self, name: &str) -> Result<()> {
        let aws = &self.settings.aws;
        let wanted = policy(self.settings.keep);
        let found = self.client.get_lifecycle_policy().repository_name(name).send().await;
        let text = match &found {
            Ok(found) => found.lifecycle_policy_text().unwrap_or_default(),
            Err(error) if code(error) == "LifecyclePolicyNotFoundException" => "",
            Err(error) => {
                let doing = format!("look at the lifecycle policy of {name}");
                return Err(failed(doing, "ecr:GetLifecyclePolicy", aws, error));
            }
        };
        if serde_json::from_str::<Value>(text).is_ok_and(|live| live == wanted) {
            return Ok(());
        }
        let put = self.client.put_lifecycle_policy().repository_name(name);
        let put = put.lifecycle_policy_text(wanted.to_string()).send().await;
        let doing = || format!("set the lifecycle policy of {name}");
        put.map(drop).map_err(|error| failed(doing(), "ecr:PutLifecyclePolicy", aws, &error))
    }

    async fn add_tag(&self, name: &str, tag: &str, digest: &Digest) -> Result<()> {
        let aws = &self.settings.aws;
        let doing = || format!("keep {name}@{digest} from expiring");
        let id = ImageIdentifier::builder().image_digest(digest.as_str()).build();
        let got = self.client.batch_get_image().repository_name(name).image_ids(id).send().await;
        let got = got.map_err(|error| failed(doing(), "ecr:BatchGetImage", aws, &error))?;
        let Some(image) = got.images().first() else {
            return Err(Error::failed(doing()).cause("the registry does not have it"));
        };
        let put = self
            .client
            .put_image()
            .repository_name(name)
            .set_image_manifest(image.image_manifest().map(str::to_owned))
            .set_image_manifest_media_type(image.image_manifest_media_type().map(str::to_owned))
            .image_digest(digest.as_str())
            .image_tag(tag);
        match put.send().await {
            Ok(_) => Ok(()),
            // Another deploy was faster.
            Err(error) if matches!(code(&error), "ImageAlreadyExistsException" | "ImageTagAlreadyExistsException") => {
                Ok(())
            }
            Err(error) => Err(failed(doing(), "ecr:PutImage", aws, &error)),
        }
    }

    /// Takes a tag away; what has no other goes with it, and no release needs it.
    async fn remove_tag(&self, name: &str, tag: &str) -> Result<()> {
        let id = ImageIdentifier::builder().image_tag(tag).build();
        let removed = self.client.batch_delete_image().repository_name(name).image_ids(id).send().await;
        let doing = || format!("let {name}:{tag} expire");
        removed.map(drop).map_err(|error| failed(doing(), "ecr:BatchDeleteImage", &self.settings.aws, &error))
    }
}

/// The lifecycle policy: what a release runs stays, of the rest the newest do.
fn policy(keep: u32) -> Value {
    let expire = json!({"type": "expire"});
    json!({"rules": [
        {
            "rulePriority": 1,
            "description": "what releases run stays",
            "selection": {
                "tagStatus": "tagged",
                "tagPrefixList": [KEPT],
                "countType": "imageCountMoreThan",
                "countNumber": ENDLESS,
            },
            "action": expire,
        },
        {
            "rulePriority": 2,
            "description": "of the rest the newest stay",
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep},
            "action": expire,
        },
    ]})
}

fn mutability(settings: &Ecr) -> ImageTagMutability {
    if settings.immutable_tags { ImageTagMutability::Immutable } else { ImageTagMutability::Mutable }
}

fn scanning(settings: &Ecr) -> ImageScanningConfiguration {
    ImageScanningConfiguration::builder().scan_on_push(settings.scan_on_push).build()
}

fn encryption(encryption: &EcrEncryption) -> (EncryptionType, Option<String>) {
    match encryption {
        EcrEncryption::Aes256 => (EncryptionType::Aes256, None),
        EcrEncryption::Kms(key) => (EncryptionType::Kms, key.clone()),
    }
}
