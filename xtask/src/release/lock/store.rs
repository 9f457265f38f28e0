//! Where a lock is kept: in the cluster as a Lease, or in a bucket as the same Lease, whose ETag is its version.

use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, Preconditions},
};

use crate::{
    config::{S3State, Unit},
    error::{Error, Result},
    plan::request,
    release::{
        bucket::{Bucket, Found},
        make_namespace, params, status,
    },
};

/// A place for locks. What another one has written since is never written over, nor deleted.
#[derive(Debug, Clone)]
pub(super) enum Store {
    Cluster { api: Api<Lease>, namespace: String },
    Bucket(Bucket),
}

/// Where the locks of an environment are: in its cluster, or in a bucket that is there before the cluster is.
#[derive(Clone, Copy)]
pub enum Keeper<'a> {
    /// The cluster.
    Cluster(&'a Client),
    /// The bucket.
    Bucket(&'a S3State),
}

impl Store {
    pub(super) async fn open(keeper: Keeper<'_>, unit: Unit<'_>) -> Result<Self> {
        match keeper {
            Keeper::Bucket(settings) => Ok(Self::Bucket(Bucket::open(settings).await?)),
            Keeper::Cluster(client) => {
                let namespace = unit.environment.release.namespace.clone();
                Ok(Self::Cluster { api: Api::namespaced(client.clone(), &namespace), namespace })
            }
        }
    }

    /// Writes a lock that there is not; nothing is returned when there is one.
    pub(super) async fn create(&self, lease: &Lease) -> Result<Option<Lease>> {
        match self {
            Self::Cluster { api, namespace } => {
                let create = || async { api.create(&params(), lease).await };
                let created = match request::retry(create).await {
                    Err(error) if status(&error) == Some(404) => {
                        make_namespace(&api.clone().into_client(), namespace).await?;
                        request::retry(create).await
                    }
                    answer => answer,
                };
                match created {
                    Ok(lease) => Ok(Some(lease)),
                    Err(error) if status(&error) == Some(409) => Ok(None),
                    Err(error) => Err(request::failed(format!("take the lock {}", self.named(lease)), &error)),
                }
            }
            Self::Bucket(bucket) => {
                bucket.create(&key(&lease.name_any()), write(lease)?).await?.map(|found| read(&found)).transpose()
            }
        }
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<Lease>> {
        match self {
            Self::Cluster { api, .. } => {
                let found = request::retry(|| api.get_opt(name)).await;
                request::words(format!("look at the lock {name}"), found)
            }
            Self::Bucket(bucket) => bucket.get(&key(name)).await?.map(|found| read(&found)).transpose(),
        }
    }

    /// Writes a lock over the version that it carries; nothing is returned when it is another one by now.
    pub(super) async fn replace(&self, lease: &Lease) -> Result<Option<Lease>> {
        match self {
            Self::Cluster { api, .. } => match api.replace(&lease.name_any(), &params(), lease).await {
                Ok(lease) => Ok(Some(lease)),
                Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(None),
                Err(error) => Err(request::failed(format!("write the lock {}", self.named(lease)), &error)),
            },
            Self::Bucket(bucket) => {
                let version = lease.resource_version().unwrap_or_default();
                let written = bucket.replace(&key(&lease.name_any()), write(lease)?, &version).await?;
                written.map(|found| read(&found)).transpose()
            }
        }
    }

    /// Deletes the version that it carries, and says whether there was no other.
    pub(super) async fn delete(&self, lease: &Lease) -> Result<bool> {
        let name = lease.name_any();
        match self {
            Self::Cluster { api, .. } => {
                let (uid, resource_version) = (lease.uid(), lease.resource_version());
                let only =
                    DeleteParams { preconditions: Some(Preconditions { uid, resource_version }), ..<_>::default() };
                match request::found(request::retry(|| api.delete(&name, &only)).await) {
                    Ok(_) => Ok(true),
                    Err(error) if status(&error) == Some(409) => Ok(false),
                    Err(error) => Err(request::failed(format!("release the lock {name}"), &error)),
                }
            }
            Self::Bucket(bucket) => bucket.delete(&key(&name), lease.resource_version().as_deref()).await,
        }
    }

    fn named(&self, lease: &Lease) -> String {
        match self {
            Self::Cluster { namespace, .. } => format!("{namespace}/{}", lease.name_any()),
            Self::Bucket(bucket) => bucket.url(&key(&lease.name_any())),
        }
    }
}

pub(in crate::release) fn key(name: &str) -> String {
    format!("locks/{name}.json")
}

/// Without its version, which is the bucket's to say.
fn write(lease: &Lease) -> Result<Vec<u8>> {
    let mut lease = lease.clone();
    lease.metadata.resource_version = None;
    serde_json::to_vec(&lease).map_err(|error| Error::failed("write the lock").source(&error))
}

fn read(found: &Found) -> Result<Lease> {
    let lease = serde_json::from_slice(&found.body);
    let mut lease: Lease = lease.map_err(|error| Error::failed("read the lock").source(&error))?;
    lease.metadata.resource_version = Some(found.etag.clone());
    Ok(lease)
}
