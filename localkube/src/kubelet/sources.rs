//! The ConfigMaps and Secrets that a pod refers to, read when they are needed.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{Api, Client};

/// Reads of one namespace, each object once.
pub(super) struct Sources {
    client: Client,
    namespace: String,
    config_maps: BTreeMap<String, Option<Data>>,
    secrets: BTreeMap<String, Option<Data>>,
}

/// The entries of a ConfigMap or Secret.
pub(super) type Data = BTreeMap<String, Vec<u8>>;

impl Sources {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), config_maps: BTreeMap::new(), secrets: BTreeMap::new() }
    }

    /// The namespace that names are looked up in.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A ConfigMap's entries.
    ///
    /// # Errors
    /// In the kubelet's words, when it is absent or can't be read.
    pub(super) async fn config_map(&mut self, name: &str) -> Result<&Data, String> {
        if !self.config_maps.contains_key(name) {
            let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
            let found = api.get_opt(name).await.map_err(|error| error.to_string())?;
            let data = found.map(|found| {
                let text = found.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
                text.chain(found.binary_data.unwrap_or_default().into_iter().map(bytes)).collect()
            });
            self.config_maps.insert(name.to_owned(), data);
        }
        let found = self.config_maps.get(name).and_then(Option::as_ref);
        found.ok_or_else(|| format!("configmap \"{name}\" not found"))
    }

    /// A Secret's entries.
    ///
    /// # Errors
    /// In the kubelet's words, when it is absent or can't be read.
    pub(super) async fn secret(&mut self, name: &str) -> Result<&Data, String> {
        if !self.secrets.contains_key(name) {
            let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
            let found = api.get_opt(name).await.map_err(|error| error.to_string())?;
            let data = found.map(|found| found.data.unwrap_or_default().into_iter().map(bytes).collect());
            self.secrets.insert(name.to_owned(), data);
        }
        let found = self.secrets.get(name).and_then(Option::as_ref);
        found.ok_or_else(|| format!("secret \"{name}\" not found"))
    }
}

fn bytes((key, value): (String, ByteString)) -> (String, Vec<u8>) {
    (key, value.0)
}
