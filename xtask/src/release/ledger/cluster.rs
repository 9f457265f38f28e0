//! Records as Secrets in the cluster.
//!
//! A record is one Secret, the head, and for a large content further ones. A head is only ever created under a number of
//! its own, and its last write says how the release ended and makes it immutable.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};

use super::{
    Entry, already,
    secret::{self, CONTENT, describe, entry, is_head, number},
};
use crate::{
    config::Unit,
    error::Result,
    plan::{CONCURRENCY, ownership, request},
    release::{
        Holder, make_namespace, name, params,
        record::{self, Content, Draft, Header, Outcome},
        status,
    },
};

/// Bytes of content in one Secret. Kubernetes allows 1 MiB for all values together; a head also has a diagnosis.
const CHUNK: usize = 960 << 10;
const REASON: &str = "diagnosis";

/// The Secrets of a service's records.
#[derive(Clone)]
pub(super) struct Secrets {
    client: Client,
    namespace: String,
    api: Api<Secret>,
    id: String,
    name: String,
}

impl Secrets {
    pub(super) fn new(client: &Client, unit: Unit<'_>) -> Self {
        let namespace = unit.environment.release.namespace.clone();
        let api = Api::namespaced(client.clone(), &namespace);
        Self { client: client.clone(), api, namespace, id: ownership::id(unit), name: name(unit) }
    }

    pub(super) async fn list(&self) -> Result<Vec<Entry>> {
        self.metadata().await?.iter().filter_map(entry).collect()
    }

    pub(super) async fn begin(&self, draft: &Draft, holder: &Holder) -> Result<(Header, Secret)> {
        let found = self.metadata().await?;
        let heads: BTreeSet<u64> = found.iter().filter(|metadata| is_head(metadata)).filter_map(number).collect();
        // A process that was killed before it wrote the head.
        let orphans = found.iter().filter(|found| number(found).is_none_or(|number| !heads.contains(&number)));
        self.delete(orphans.filter_map(|metadata| metadata.name.clone()).collect()).await?;
        let number = heads.last().map_or(1, |last| last + 1);
        let packed = record::pack(&draft.content)?;
        let mut chunks = packed.chunks(CHUNK);
        let first = chunks.next().unwrap_or_default();
        let header = draft.header(number, packed.len().div_ceil(CHUNK).max(1), holder);
        let doing = || format!("record release {number} in namespace {}", self.namespace);
        let writes = chunks.enumerate().map(|(index, chunk)| {
            let mut secret = secret::new(format!("{}.v{number}.{}", self.name, index + 1), &self.id, number, chunk);
            secret.immutable = Some(true);
            async move { request::words(doing(), self.create(&secret).await) }
        });
        stream::iter(writes).buffered(4).try_collect::<Vec<Secret>>().await?;
        let mut head = secret::new(self.head(number), &self.id, number, first);
        describe(&mut head, &header, Outcome::Begun)?;
        match self.create(&head).await {
            Ok(head) => Ok((header, head)),
            Err(error) if status(&error) == Some(409) => Err(already(doing())),
            Err(error) => Err(request::failed(doing(), &error)),
        }
    }

    /// Writes down how a release ended.
    pub(super) async fn end(
        &self,
        mut head: Secret,
        header: &Header,
        outcome: Outcome,
        diagnosis: Option<String>,
    ) -> Result<()> {
        if let Some(text) = diagnosis {
            head.data.get_or_insert_default().insert(REASON.to_owned(), ByteString(text.into_bytes()));
        }
        describe(&mut head, header, outcome)?;
        head.immutable = Some(true);
        // It carries the resourceVersion of the write before: what another one wrote since is not written over.
        let written =
            request::retry(|| async { self.api.replace(&head.name_any(), &params(), &head).await }).await.map(drop);
        let written = match written {
            // An attempt whose answer was lost has done it.
            Err(error) if status(&error) == Some(409) && self.is_ended(header.number, outcome).await => Ok(()),
            written => written,
        };
        request::words(format!("record how release {} ended", header.number), written)
    }

    pub(super) async fn mark(&self, number: u64, outcome: Outcome) -> Result<()> {
        let patch = serde_json::json!({
            "metadata": {"labels": {record::OUTCOME: outcome.word()}},
            "immutable": true,
        });
        let (name, params) =
            (self.head(number), PatchParams { field_manager: params().field_manager, ..<_>::default() });
        let marked =
            request::retry(|| async { self.api.patch(&name, &params, &Patch::Merge(&patch)).await }).await.map(drop);
        request::words(format!("mark release {number} as {}", outcome.word()), marked)
    }

    pub(super) async fn read(&self, header: &Header) -> Result<(Content, Option<String>)> {
        let names = (0..header.chunks).map(|chunk| match chunk {
            0 => self.head(header.number),
            chunk => format!("{}.{chunk}", self.head(header.number)),
        });
        let read = names.map(|name| async move {
            let found = request::retry(|| self.api.get(&name)).await;
            request::words(format!("read release {}", header.number), found)
        });
        let parts: Vec<Secret> = stream::iter(read).buffered(4).try_collect().await?;
        let part = |secret: &Secret, key: &str| secret.data.as_ref()?.get(key).map(|bytes| bytes.0.clone());
        let packed: Vec<u8> = parts.iter().filter_map(|secret| part(secret, CONTENT)).flatten().collect();
        let diagnosis = parts.first().and_then(|head| String::from_utf8(part(head, REASON)?).ok());
        Ok((record::unpack(&packed)?, diagnosis))
    }

    /// Removes the records of these numbers.
    pub(super) async fn prune(&self, old: &BTreeSet<u64>) -> Result<()> {
        let found = self.metadata().await?;
        // Heads first: nobody shall find one whose content is gone.
        for heads in [true, false] {
            let names = found.iter().filter(|metadata| is_head(metadata) == heads);
            let names = names.filter(|metadata| number(metadata).is_some_and(|number| old.contains(&number)));
            self.delete(names.filter_map(|metadata| metadata.name.clone()).collect()).await?;
        }
        Ok(())
    }

    /// Removes all of them, and says how many there were.
    pub(super) async fn remove(&self) -> Result<usize> {
        let found = self.metadata().await?;
        self.delete(found.iter().filter_map(|metadata| metadata.name.clone()).collect()).await?;
        Ok(found.iter().filter(|metadata| is_head(metadata)).count())
    }

    async fn metadata(&self) -> Result<Vec<ObjectMeta>> {
        let ours = ListParams::default().labels(&format!("{}={}", record::RELEASE, self.id));
        let found = request::retry(|| self.api.list_metadata(&ours)).await;
        let found = request::words(format!("list the releases in namespace {}", self.namespace), found)?;
        Ok(found.items.into_iter().map(|item| item.metadata).collect())
    }

    async fn is_ended(&self, number: u64, outcome: Outcome) -> bool {
        let found = self.api.get_metadata(&self.head(number)).await;
        found.is_ok_and(|found| found.labels().get(record::OUTCOME).is_some_and(|word| word == outcome.word()))
    }

    async fn create(&self, secret: &Secret) -> kube::Result<Secret> {
        let create = || async { self.api.create(&params(), secret).await };
        match request::retry(create).await {
            // Somebody has removed the namespace that the lock was in.
            Err(error) if status(&error) == Some(404) => match make_namespace(&self.client, &self.namespace).await {
                Ok(()) => create().await,
                Err(_) => Err(error),
            },
            Err(error) if status(&error) == Some(409) => {
                // Of an attempt whose answer was lost; what another one wrote is not the same.
                let live = self.api.get(&secret.name_any()).await?;
                let same = (&live.data, live.annotations()) == (&secret.data, secret.annotations());
                if same { Ok(live) } else { Err(error) }
            }
            answer => answer,
        }
    }

    async fn delete(&self, names: Vec<String>) -> Result<()> {
        let deletes = names.into_iter().map(|name| async move {
            let gone = request::retry(|| async { self.api.delete(&name, &DeleteParams::default()).await }).await;
            request::words(format!("remove the record {name}"), request::found(gone)).map(drop)
        });
        stream::iter(deletes).buffer_unordered(CONCURRENCY).try_collect().await
    }

    fn head(&self, number: u64) -> String {
        format!("{}.v{number}", self.name)
    }
}
