//! An image FROM scratch as an archive that the Engine loads, made byte for byte the same from the same input.
//!
//! Docker's own builder stamps the time of the build into every image; here the time is that of the commit, entries are
//! sorted and belong to root, and files have no time at all, so that a layer depends on nothing but its content.

use std::io;

use base64::Engine as _;
use serde_json::{Value, json};

use super::{
    reference::{Digest, Repository, Tag},
    source::Source,
};

/// The user of the process in the image: `nonroot` in the images of many others too. Numeric, since Kubernetes can tell
/// of a number only that it isn't root.
const USER: u32 = 65532;

/// An image, ready to be loaded.
#[derive(Debug)]
pub(super) struct Archive {
    /// What is loaded.
    pub(super) bytes: Vec<u8>,
    /// The size of the layers, in bytes, uncompressed.
    pub(super) size: u64,
}

/// What goes into an image.
#[derive(Debug)]
pub(super) struct Content<'a> {
    pub(super) repository: &'a Repository,
    pub(super) tag: &'a Tag,
    pub(super) source: &'a Source,
    /// The name of the binary, which is its path below the root too.
    pub(super) name: &'a str,
    pub(super) binary: &'a [u8],
    /// In the words of the OCI: amd64, arm64.
    pub(super) architecture: &'a str,
}

/// Packs the image.
pub(super) fn pack(content: &Content<'_>) -> io::Result<Archive> {
    // What changes rarely lies below what changes always, so that a push sends the binary alone.
    let layers = [base_layer()?, layer(&[Entry::file(content.name, 0o755, content.binary)])?];
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let config = config(content, &diff_ids).to_string();
    let config_name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let names: Vec<String> = diff_ids.iter().map(|id| format!("{}.tar", &id["sha256:".len()..])).collect();
    let name = format!("{}:{}", content.repository, content.tag);
    let manifest = json!([{ "Config": config_name, "RepoTags": [name], "Layers": names }]).to_string();

    let mut entries = vec![Entry::file(&config_name, 0o644, config.as_bytes())];
    entries.extend(names.iter().zip(&layers).map(|(name, layer)| Entry::file(name, 0o644, layer)));
    entries.push(Entry::file("manifest.json", 0o644, manifest.as_bytes()));
    let size = layers.iter().map(|layer| layer.len() as u64).sum();
    Ok(Archive { bytes: layer(&entries)?, size })
}

/// Who may be connected to, and who the process is.
pub(super) fn base_layer() -> io::Result<Vec<u8>> {
    let passwd = format!("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/:/sbin/nologin\n");
    let group = format!("root:x:0:\nnonroot:x:{USER}:\n");
    layer(&[
        Entry::folder("etc"),
        Entry::file("etc/group", 0o644, group.as_bytes()),
        Entry::file("etc/passwd", 0o644, passwd.as_bytes()),
        Entry::folder("etc/ssl"),
        Entry::folder("etc/ssl/certs"),
        Entry::file("etc/ssl/certs/ca-certificates.crt", 0o644, certificates().as_bytes()),
    ])
}

/// Mozilla's roots, as PEM (RFC 7468).
fn certificates() -> String {
    let mut pem = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = base64::engine::general_purpose::STANDARD.encode(certificate);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

/// The image-spec's configuration, whose digest is the image's id.
fn config(content: &Content<'_>, diff_ids: &[String]) -> Value {
    let created = content.source.created.to_string();
    let history = |text: &str| json!({ "created": created, "created_by": text });
    json!({
        "created": created,
        "architecture": content.architecture,
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Env": ["PATH=/", format!("APP_VERSION={}", content.tag)],
            "Entrypoint": [format!("/{}", content.name)],
            "WorkingDir": "/",
            "Labels": labels(content.name, content.tag, content.source),
        },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": [history("certificate authorities and users"), history("binary")],
    })
}

/// The image-spec's annotations that tell where an image comes from.
pub(super) fn labels(title: &str, tag: &Tag, source: &Source) -> Value {
    let mut labels = json!({
        "org.opencontainers.image.title": title,
        "org.opencontainers.image.version": tag.as_str(),
        "org.opencontainers.image.created": source.created.to_string(),
    });
    let optional = [("revision", &source.commit), ("source", &source.url)];
    for (key, value) in optional.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
        labels[format!("org.opencontainers.image.{key}")] = value.as_str().into();
    }
    labels
}

struct Entry<'a> {
    path: &'a str,
    mode: u32,
    content: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    fn file(path: &'a str, mode: u32, content: &'a [u8]) -> Self {
        Self { path, mode, content: Some(content) }
    }

    fn folder(path: &'a str) -> Self {
        Self { path, mode: 0o755, content: None }
    }
}

/// Entries in the order given, which the callers keep sorted.
fn layer(entries: &[Entry<'_>]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(if entry.content.is_some() {
            tar::EntryType::Regular
        } else {
            tar::EntryType::Directory
        });
        let content = entry.content.unwrap_or_default();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, entry.path, content)?;
    }
    builder.into_inner()
}
