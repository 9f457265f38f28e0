//! The state directory: who has it, what is kept in it, and how others learn where the cluster answers.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Error;

const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// A directory that this process alone serves.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Released by the operating system however the process ends.
    _lock: File,
}

/// What stays the same over restarts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Cluster {
    /// Tells this cluster's containers from those of another.
    pub(super) id: String,
    /// Image references carry the registry's port and kubeconfigs the API server's, so both are kept.
    pub(super) api_port: Option<u16>,
    pub(super) registry_port: Option<u16>,
    /// Where addresses of Services come from, once it is chosen.
    pub(super) service_cidr: Option<String>,
}

impl Directory {
    /// Takes the directory, made if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        fs::DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(path).map_err(|source| Error::Io {
            doing: "create",
            path: path.to_owned(),
            source,
        })?;
        fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE_DIRECTORY)).map_err(|source| Error::Io {
            doing: "protect",
            path: path.to_owned(),
            source,
        })?;
        let file = path.join("lock");
        let failed = |source| Error::Io { doing: "lock", path: file.clone(), source };
        let lock = OpenOptions::new().create(true).append(true).mode(PRIVATE_FILE).open(&file).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// A file of the directory.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The identity of the cluster, made up at the first start.
    pub(super) fn cluster(&self) -> Result<Cluster, Error> {
        let path = self.file("cluster.json");
        match self.read("cluster.json")? {
            Some(text) => serde_json::from_str(&text).map_err(|error| Error::State { path, reason: error.to_string() }),
            // Objects without the identity they belong to: somebody removed a part of the directory.
            None if self.file("store.redb").exists() => {
                Err(Error::State { path, reason: "it is missing, though there is a store beside it".to_owned() })
            }
            None => Ok(Cluster {
                id: hex::encode(rand::rng().random::<[u8; 4]>()),
                api_port: None,
                registry_port: None,
                service_cidr: None,
            }),
        }
    }

    /// Keeps the identity for the next start.
    pub(super) fn keep(&self, cluster: &Cluster) -> Result<(), Error> {
        self.write("cluster.json", &format!("{:#}\n", json!(cluster)))
    }

    /// The administrator's token, made up at the first start.
    pub(super) fn token(&self) -> Result<String, Error> {
        if let Some(text) = self.read("token")? {
            let token = text.trim();
            if token.len() < 32 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Error::State { path: self.file("token"), reason: "it holds no token".to_owned() });
            }
            return Ok(token.to_owned());
        }
        let token = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>());
        self.write("token", &token)?;
        Ok(token)
    }

    /// Says where the cluster answers; `process.json` last, as it means that all is there.
    pub(super) fn announce(&self, cluster: &Cluster, ca_certificate: &str, token: &str) -> Result<(), Error> {
        let api = format!("https://127.0.0.1:{}", cluster.api_port.unwrap_or_default());
        // JSON is YAML; kubectl reads and rewrites either.
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "slipway-local",
                "cluster": {"server": api, "certificate-authority-data": STANDARD.encode(ca_certificate)},
            }],
            "users": [{"name": "slipway-local", "user": {"token": token}}],
            "contexts": [{"name": "slipway-local", "context": {"cluster": "slipway-local", "user": "slipway-local"}}],
            "current-context": "slipway-local",
        });
        self.write("kubeconfig", &format!("{kubeconfig:#}\n"))?;
        let process = json!({
            "pid": std::process::id(),
            "api": api,
            "registry": format!("127.0.0.1:{}", cluster.registry_port.unwrap_or_default()),
            "version": env!("CARGO_PKG_VERSION"),
            "clusterId": cluster.id,
        });
        self.write("process.json", &format!("{process:#}\n"))
    }

    /// Takes the announcement back.
    pub(super) fn withdraw(&self) {
        match fs::remove_file(self.file("process.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "cannot remove process.json");
            }
            _ => {}
        }
    }

    /// A file's text; none if there is no such file.
    pub(super) fn read(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(Error::State { path, reason: "it is not text".to_owned() })
            }
            Err(source) => Err(Error::Io { doing: "read", path, source }),
        }
    }

    /// Writes a file for this user alone, whole or not at all: whoever is killed in the middle leaves the old one.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.file(name);
        let new = self.file(&format!("{name}.new"));
        let failed = |source| Error::Io { doing: "write", path: path.clone(), source };
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(parent).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options.create(true).write(true).truncate(true).mode(PRIVATE_FILE).open(&new).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)
    }
}
