//! What was released, kept in the cluster it was released to or in a bucket: a ledger of records, and the lock that
//! lets one writer at a time change what they tell of.

mod bucket;
mod holder;
mod ledger;
mod lock;
mod record;
mod seal;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::PostParams};

pub use holder::Holder;
pub use ledger::{Begun, Entry, Ledger};
pub use lock::{Keeper, Lock, Wait, unlock};
pub use record::{Content, Draft, Header, Kind, Outcome};
pub use seal::Unsealed;

use crate::{
    config::{S3State, Unit},
    error::Result,
    plan::{FIELD_MANAGER, ownership, request},
};

/// Makes the bucket of releases what it should be; true if it was not there.
///
/// # Errors
/// AWS refuses.
pub(crate) async fn make_bucket(settings: &S3State) -> Result<bool> {
    bucket::Bucket::open(settings).await?.make().await
}

/// Where the lock of a service is in a bucket.
pub(crate) fn lock_key(unit: Unit<'_>) -> String {
    lock::key(&name(unit))
}

/// The name of the lock, and how the names of the records begin.
fn name(unit: Unit<'_>) -> String {
    format!("{FIELD_MANAGER}.{}", ownership::id(unit))
}

/// Makes the namespace of locks and records, unless it is there.
async fn make_namespace(client: &Client, name: &str) -> Result<()> {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    let labels = [(ownership::MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned())];
    namespace.metadata.labels = Some(labels.into());
    let api: Api<Namespace> = Api::all(client.clone());
    match request::retry(|| async { api.create(&params(), &namespace).await }).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => {
            let doing = format!("make the namespace {name} for releases and their lock");
            Err(request::failed(doing, &error)
                .hint("name one that is there and that you may write to: release.namespace in infra-config"))
        }
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn status(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
