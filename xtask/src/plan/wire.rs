//! Requests for objects of any kind, as JSON: no copy in a type of its own, nothing of an answer in a log.

use kube::{
    Client,
    api::{ListParams, Patch, PatchParams},
    core::{Request, metadata::PartialObjectMeta, object::ObjectList},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Served, request};

/// How many objects a page of a list holds.
const PAGE: u32 = 500;

/// The objects of one kind, in one namespace or all.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) client: &'a Client,
    pub(crate) served: &'a Served,
    pub(crate) namespace: Option<&'a str>,
}

/// What an apply needs of the server's answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Written {
    pub(crate) metadata: Identity,
}

/// Which object under a name, and which state of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

impl Identity {
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let text = |field: &str| Some(object["metadata"][field].as_str()?.to_owned());
        Some(Self { uid: text("uid")?, resource_version: text("resourceVersion")? })
    }
}

impl Place<'_> {
    fn request(&self) -> Request {
        let resource = &self.served.resource;
        let namespace = self.namespace.filter(|_| self.served.namespaced);
        Request::new(<kube::api::DynamicObject as kube::Resource>::url_path(resource, namespace))
    }

    async fn send<T: DeserializeOwned>(
        &self,
        build: impl Fn() -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> kube::Result<T> {
        // The client's own parsing writes an answer that it does not understand into the log.
        let text = request::retry(|| async {
            let request = build().map_err(kube::Error::BuildRequest)?;
            self.client.request_text(request).await
        });
        serde_json::from_str(&text.await?).map_err(kube::Error::SerdeError)
    }

    /// One object, if it is there.
    pub(crate) async fn get(&self, name: &str) -> kube::Result<Option<Value>> {
        request::found(self.send(|| self.request().get(name, &kube::api::GetParams::default())).await)
    }

    /// One page of objects, and what continues it.
    pub(crate) async fn page(&self, from: Option<&str>) -> kube::Result<(Vec<Value>, Option<String>)> {
        let mut params = ListParams::default().limit(PAGE);
        params.continue_token = from.map(str::to_owned);
        let mut list: Value = self.send(|| self.request().list(&params)).await?;
        let next = list["metadata"]["continue"].as_str().filter(|next| !next.is_empty()).map(str::to_owned);
        let Value::Array(mut items) = list["items"].take() else { return Ok((Vec::new(), None)) };
        for item in &mut items {
            item["apiVersion"] = self.served.resource.api_version.clone().into();
            item["kind"] = self.served.resource.kind.clone().into();
        }
        Ok((items, next))
    }

    /// What the metadata of all objects that are asked for says.
    pub(crate) async fn metadata(
        &self,
        params: &ListParams,
    ) -> kube::Result<Vec<PartialObjectMeta<kube::api::DynamicObject>>> {
        let list: ObjectList<PartialObjectMeta<kube::api::DynamicObject>> =
            self.send(|| self.request().list_metadata(params)).await?;
        Ok(list.items)
    }

    /// Server-side apply.
    pub(crate) async fn apply<T: DeserializeOwned>(
        &self,
        name: &str,
        params: &PatchParams,
        object: &Value,
    ) -> kube::Result<T> {
        self.send(|| self.request().patch(name, params, &Patch::Apply(object))).await
    }

    /// Any other patch.
    pub(crate) async fn patch(&self, name: &str, params: &PatchParams, patch: &Patch<()>) -> kube::Result<()> {
        let _: serde::de::IgnoredAny = self.send(|| self.request().patch(name, params, patch)).await?;
        Ok(())
    }
}
