//! The registry, judged by clients and by a registry that are not ours.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use bollard::{
    Docker, body_full,
    query_parameters::{
        CreateImageOptionsBuilder, ImportImageOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptionsBuilder,
        TagImageOptionsBuilder,
    },
};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A directory that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("localkube-registry-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Server {
    address: SocketAddr,
    folder: Folder,
    task: tokio::task::JoinHandle<()>,
}

async fn serve(folder: &Path) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = localkube::registry::router(folder);
    (address, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

impl Server {
    async fn start() -> Self {
        let folder = Folder::new();
        let (address, task) = serve(&folder.0).await;
        Self { address, folder, task }
    }

    fn base(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn code(&self) -> String {
        self.json().pointer("/errors/0/code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = http::Request::builder().method(method.parse::<Method>().unwrap()).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    // docker-registry announces the blob's length with its 416 and sends less.
    let body = body.collect().await.map(|body| body.to_bytes());
    let body = if parts.status.is_success() { body.unwrap() } else { body.unwrap_or_default() };
    Answer { status: parts.status, headers: parts.headers, body }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

async fn push_blob(base: &str, name: &str, bytes: &[u8]) -> String {
    let digest = digest(bytes);
    let start = send("POST", &format!("{base}/v2/{name}/blobs/uploads/"), &[], "").await;
    assert_eq!(start.status, StatusCode::ACCEPTED);
    let end = send("PUT", &with_digest(base, &start, &digest), &[], bytes.to_vec()).await;
    assert_eq!(end.status, StatusCode::CREATED, "{end:?}");
    digest
}

/// Where an upload goes on, which may be relative, may have a query, and is opaque to clients.
fn location(base: &str, answer: &Answer) -> String {
    let location = answer.header("location");
    if location.starts_with("http") { location.to_owned() } else { format!("{base}{location}") }
}

fn with_digest(base: &str, answer: &Answer, digest: &str) -> String {
    let location = location(base, answer);
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

fn manifest(config: &str, size: usize, more: Value) -> String {
    let descriptor = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": size });
    let mut manifest =
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": [descriptor] });
    for (key, value) in more.as_object().into_iter().flatten() {
        manifest[key] = value.clone();
    }
    manifest.to_string()
}

/// The requests that clients make and those that they should not, as (what, status, code, headers that matter).
async fn conversation(base: &str) -> Vec<(String, u16, String, Vec<String>)> {
    let mut seen = Vec::new();
    let mut note = |what: &str, answer: &Answer| {
        let headers =
            ["docker-content-digest", "content-range", "range", "content-type", "docker-distribution-api-version"];
        let mut values: Vec<String> = headers.iter().map(|name| answer.header(name).to_owned()).collect();
        // The reference implementation writes the text of Go's http.Error for some, and has no body for others.
        if answer.status.is_client_error() || answer.body.is_empty() {
            values.remove(3);
        }
        seen.push((what.to_owned(), answer.status.as_u16(), answer.code(), values));
    };
    let zero = format!("sha256:{}", "0".repeat(64));
    let uploads = format!("{base}/v2/team/app/blobs/uploads/");

    note("base", &send("GET", &format!("{base}/v2/"), &[], "").await);
    note("unknown blob", &send("HEAD", &format!("{base}/v2/team/app/blobs/{zero}"), &[], "").await);
    note("unknown blob, read", &send("GET", &format!("{base}/v2/team/app/blobs/{zero}"), &[], "").await);
    note("bad digest", &send("GET", &format!("{base}/v2/team/app/manifests/sha256:12"), &[], "").await);
    note("unknown tag", &send("GET", &format!("{base}/v2/team/app/manifests/none"), &[], "").await);
    note("unknown repository", &send("GET", &format!("{base}/v2/team/app/tags/list"), &[], "").await);

    let start = send("POST", &uploads, &[], "").await;
    note("start", &start);
    note("standing", &send("GET", &location(base, &start), &[], "").await);
    let octets = ("content-type", "application/octet-stream");
    let first = send("PATCH", &location(base, &start), &[octets, ("content-range", "0-4")], "hello").await;
    note("first chunk", &first);
    let second = send("PATCH", &location(base, &first), &[octets, ("content-range", "5-9")], "world").await;
    note("second chunk", &second);
    note("standing again", &send("GET", &location(base, &second), &[], "").await);
    let hello = digest(b"helloworld!");
    note("last chunk", &send("PUT", &with_digest(base, &second, &hello), &[octets], "!").await);
    note("ended upload", &send("GET", &location(base, &second), &[], "").await);

    let blob = format!("{base}/v2/team/app/blobs/{hello}");
    note("blob", &send("HEAD", &blob, &[], "").await);
    let read = send("GET", &blob, &[], "").await;
    assert_eq!(read.body, "helloworld!");
    note("blob, read", &read);
    let part = send("GET", &blob, &[("range", "bytes=5-9")], "").await;
    assert_eq!(part.body, "world");
    note("part of a blob", &part);
    note("part beyond the end", &send("GET", &blob, &[("range", "bytes=50-")], "").await);
    note("unchanged blob", &send("GET", &blob, &[("if-none-match", &format!("\"{hello}\""))], "").await);

    let start = send("POST", &uploads, &[], "").await;
    note("wrong digest", &send("PUT", &with_digest(base, &start, &zero), &[octets], "x").await);
    let start = send("POST", &uploads, &[], "").await;
    note("no digest", &send("PUT", &location(base, &start), &[octets], "x").await);
    let start = send("POST", &uploads, &[], "").await;
    note("cancel", &send("DELETE", &location(base, &start), &[], "").await);
    note("cancelled", &send("PATCH", &location(base, &start), &[octets], "x").await);

    let mount = format!("{base}/v2/team/other/blobs/uploads/?mount={hello}&from=team/app");
    note("mount", &send("POST", &mount, &[], "").await);
    let mount = format!("{base}/v2/team/other/blobs/uploads/?mount={zero}&from=team/app");
    note("mount of nothing", &send("POST", &mount, &[], "").await);

    let content = [("content-type", MANIFEST)];
    let put = |reference: &str| format!("{base}/v2/team/app/manifests/{reference}");
    let image = manifest(&hello, 11, json!({}));
    note("manifest", &send("PUT", &put("v1"), &content, image.clone()).await);
    note("manifest by digest", &send("PUT", &put(&digest(image.as_bytes())), &content, image.clone()).await);
    note("manifest by another digest", &send("PUT", &put(&zero), &content, image.clone()).await);
    note("manifest that is no JSON", &send("PUT", &put("v2"), &content, "{").await);
    let hollow = manifest(&zero, 11, json!({}));
    note("manifest with a missing blob", &send("PUT", &put("v2"), &content, hollow).await);
    for reference in ["v1", &digest(image.as_bytes())] {
        let accept = [("accept", MANIFEST)];
        note("manifest, head", &send("HEAD", &put(reference), &accept, "").await);
        let read = send("GET", &put(reference), &accept, "").await;
        assert_eq!(read.body, image);
        note("manifest, read", &read);
    }
    let item = json!({ "mediaType": MANIFEST, "digest": digest(image.as_bytes()), "size": image.len() });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [item] }).to_string();
    note("index", &send("PUT", &put("multi"), &[("content-type", INDEX)], index).await);

    let tags = send("GET", &format!("{base}/v2/team/app/tags/list"), &[], "").await;
    assert_eq!(tags.json()["tags"].as_array().map(Vec::len), Some(2));
    let catalog = send("GET", &format!("{base}/v2/_catalog"), &[], "").await;
    assert_eq!(catalog.json()["repositories"][0], "team/app");

    note("delete a manifest", &send("DELETE", &put(&digest(image.as_bytes())), &[], "").await);
    note("deleted manifest", &send("GET", &put(&digest(image.as_bytes())), &[], "").await);
    note("its tag", &send("GET", &put("v1"), &[], "").await);
    note("delete it again", &send("DELETE", &put(&digest(image.as_bytes())), &[], "").await);
    note("delete a blob", &send("DELETE", &blob, &[], "").await);
    note("deleted blob", &send("GET", &blob, &[], "").await);
    seen
}

/// Debian's docker-registry on a port of its own.
struct Reference {
    process: std::process::Child,
    base: String,
    _folder: Folder,
}

impl Reference {
    async fn start() -> Self {
        let folder = Folder::new();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = json!({
            "version": 0.1,
            "log": { "level": "error" },
            "storage": { "filesystem": { "rootdirectory": folder.0 }, "delete": { "enabled": true } },
            "http": { "addr": format!("127.0.0.1:{port}") },
        });
        let file = folder.0.join("config.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry (Debian package) is installed");
        for _ in 0..100 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self { process, base: format!("http://127.0.0.1:{port}"), _folder: folder }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn answers_as_docker_registry_does() {
    let (ours, theirs) = (Server::start().await, Reference::start().await);
    let (ours, theirs) = (conversation(&ours.base()).await, conversation(&theirs.base).await);
    assert_eq!(ours.len(), theirs.len());
    // Where it departs from the specification: a malformed digest is answered with 500, a 416 has no error code.
    let departs = |what: &str| matches!(what, "bad digest" | "part beyond the end");
    let differences = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs && !departs(&ours.0));
    let differences: Vec<_> = differences.collect();
    assert!(differences.is_empty(), "ours, theirs: {differences:#?}");
}

/// As the distribution-spec has it; docker-registry 2.8 appends such a chunk all the same.
#[tokio::test]
async fn a_chunk_out_of_order_is_refused_and_the_upload_goes_on() {
    let server = Server::start().await;
    let base = server.base();
    let start = send("POST", &format!("{base}/v2/app/blobs/uploads/"), &[], "").await;
    let url = location(&base, &start);
    assert_eq!(send("PATCH", &url, &[("content-range", "0-4")], "hello").await.header("range"), "0-4");
    let early = send("PATCH", &url, &[("content-range", "9-13")], "world").await;
    assert_eq!((early.status, early.header("range")), (StatusCode::RANGE_NOT_SATISFIABLE, "0-4"));
    let short = send("PATCH", &url, &[("content-range", "5-20")], "world").await;
    assert_eq!((short.status, short.code().as_str()), (StatusCode::BAD_REQUEST, "SIZE_INVALID"));
    assert_eq!(send("PATCH", &url, &[("content-range", "5-9")], "world").await.header("range"), "0-9");
    let end = send("PUT", &with_digest(&base, &start, &digest(b"helloworld")), &[], "").await;
    assert_eq!(end.status, StatusCode::CREATED);
}

#[tokio::test]
async fn pages_of_tags_follow_each_other() {
    let server = Server::start().await;
    let base = server.base();
    let blob = push_blob(&base, "app", b"{}").await;
    for tag in ["c", "a", "d", "b", "A"] {
        let url = format!("{base}/v2/app/manifests/{tag}");
        let put = send("PUT", &url, &[("content-type", MANIFEST)], manifest(&blob, 2, json!({}))).await;
        assert_eq!(put.status, StatusCode::CREATED);
    }
    let (mut path, mut pages) = ("/v2/app/tags/list?n=2".to_owned(), Vec::new());
    loop {
        let page = send("GET", &format!("{base}{path}"), &[], "").await;
        pages.push(page.json()["tags"].clone());
        let Some(next) = page.header("link").strip_prefix('<').and_then(|link| link.split_once(">; rel=\"next\""))
        else {
            break;
        };
        path = next.0.to_owned();
    }
    assert_eq!(pages, [json!(["A", "a"]), json!(["b", "c"]), json!(["d"])]);
    let none = send("GET", &format!("{base}/v2/app/tags/list?n=0"), &[], "").await;
    assert_eq!(none.json()["tags"], json!([]));
    let bad = send("GET", &format!("{base}/v2/app/tags/list?n=-1"), &[], "").await;
    assert_eq!((bad.status, bad.code().as_str()), (StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"));
}

#[tokio::test]
async fn referrers_are_listed_and_filtered_and_leave_with_their_manifest() {
    let server = Server::start().await;
    let base = server.base();
    let blob = push_blob(&base, "app", b"{}").await;
    let image = manifest(&blob, 2, json!({}));
    let subject = json!({ "mediaType": MANIFEST, "digest": digest(image.as_bytes()), "size": image.len() });
    let list = |query: &str| format!("{base}/v2/app/referrers/{}{query}", digest(image.as_bytes()));

    let before = send("GET", &list(""), &[], "").await;
    assert_eq!((before.status, before.header("content-type")), (StatusCode::OK, INDEX));
    assert_eq!(before.json()["manifests"], json!([]));

    let mut pushed = Vec::new();
    for kind in ["application/vnd.example.sbom", "application/vnd.example.signature"] {
        let more = json!({ "subject": subject, "artifactType": kind, "annotations": { "kind": kind } });
        let referrer = manifest(&blob, 2, more);
        let url = format!("{base}/v2/app/manifests/{}", digest(referrer.as_bytes()));
        let put = send("PUT", &url, &[("content-type", MANIFEST)], referrer.clone()).await;
        assert_eq!(put.status, StatusCode::CREATED);
        assert_eq!(put.header("oci-subject"), digest(image.as_bytes()));
        pushed.push((url, kind, referrer));
    }
    assert_eq!(send("GET", &list(""), &[], "").await.json()["manifests"].as_array().unwrap().len(), 2);
    let filtered = send("GET", &list("?artifactType=application/vnd.example.sbom"), &[], "").await;
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    let (url, kind, referrer) = &pushed[0];
    let descriptor = json!({
        "mediaType": MANIFEST,
        "digest": digest(referrer.as_bytes()),
        "size": referrer.len(),
        "artifactType": kind,
        "annotations": { "kind": kind },
    });
    assert_eq!(filtered.json()["manifests"], json!([descriptor]));

    assert_eq!(send("DELETE", url, &[], "").await.status, StatusCode::ACCEPTED);
    assert_eq!(send("GET", &list(""), &[], "").await.json()["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn no_path_leads_out_of_the_directory() {
    let server = Server::start().await;
    let secret = server.folder.0.join("secret");
    std::fs::write(&secret, "top").unwrap();
    let base = server.base();
    for path in [
        "/v2/../secret",
        "/v2/a/../../manifests/secret",
        "/v2/a/manifests/..%2f..%2f..%2fsecret",
        "/v2/a/manifests/../../../secret",
        "/v2/a/blobs/sha256:..%2f..%2fsecret",
        "/v2/%2e%2e/manifests/latest",
        "/v2/a/blobs/uploads/..%2f..%2fsecret",
        "/v2/_blobs/manifests/latest",
    ] {
        for method in ["GET", "DELETE", "PUT", "PATCH"] {
            let answer = send(method, &format!("{base}{path}"), &[("content-type", MANIFEST)], "{}").await;
            assert!(answer.status.is_client_error(), "{method} {path}: {answer:?}");
            assert!(!answer.body.windows(3).any(|window| window == b"top"), "{method} {path}");
        }
    }
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "top");
}

#[tokio::test]
async fn a_manifest_whose_header_and_document_disagree_is_refused() {
    let server = Server::start().await;
    let base = server.base();
    let blob = push_blob(&base, "app", b"{}").await;
    let both = manifest(&blob, 2, json!({ "manifests": [] }));
    for (content_type, body) in [
        (INDEX, manifest(&blob, 2, json!({}))),
        (MANIFEST, both),
        (MANIFEST, manifest(&blob, 3, json!({}))),
        ("text/plain", manifest(&blob, 2, json!({ "mediaType": "text/plain" }))),
        (MANIFEST, manifest(&blob, 2, json!({ "schemaVersion": 1 }))),
    ] {
        let put = send("PUT", &format!("{base}/v2/app/manifests/x"), &[("content-type", content_type)], body).await;
        assert_eq!((put.status, put.code().as_str()), (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"));
    }
    let huge = vec![b' '; 5 * 1024 * 1024];
    let put = send("PUT", &format!("{base}/v2/app/manifests/x"), &[("content-type", MANIFEST)], huge).await;
    assert_eq!(put.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_same_blob_may_be_pushed_by_many_at_once() {
    let server = Server::start().await;
    let base = server.base();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let pushes = (0..16).map(|number| {
        let (base, bytes) = (base.clone(), bytes.clone());
        async move { push_blob(&base, &format!("team/app{}", number % 4), &bytes).await }
    });
    futures::future::join_all(pushes).await;
    for number in 0..4 {
        let url = format!("{base}/v2/team/app{number}/blobs/{}", digest(&bytes));
        assert_eq!(send("GET", &url, &[], "").await.body, bytes);
    }
    assert_eq!(std::fs::read_dir(server.folder.0.join("uploads")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_upload_cut_off_by_a_kill_leaves_nothing_to_see() {
    let server = Server::start().await;
    let base = server.base();
    let whole = push_blob(&base, "app", b"{}").await;
    let start = send("POST", &format!("{base}/v2/app/blobs/uploads/"), &[], "").await;
    send("PATCH", &location(&base, &start), &[], "half of").await;
    // A kill leaves the directory as it is at any moment; this is one copied in the middle of an upload.
    let copy = Folder::new();
    let status = Command::new("cp").arg("-r").arg(server.folder.0.join(".")).arg(&copy.0).status().unwrap();
    assert!(status.success());
    assert_eq!(std::fs::read_dir(copy.0.join("uploads")).unwrap().count(), 1);

    let (address, task) = serve(&copy.0).await;
    let after = format!("http://{address}");
    assert_eq!(send("HEAD", &format!("{after}/v2/app/blobs/{whole}"), &[], "").await.status, StatusCode::OK);
    let half = digest(b"half of");
    assert_eq!(send("HEAD", &format!("{after}/v2/app/blobs/{half}"), &[], "").await.status, StatusCode::NOT_FOUND);
    let resumed = send("PATCH", &location(&after, &start), &[], "x").await;
    assert_eq!((resumed.status, resumed.code().as_str()), (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"));
    assert!(!copy.0.join("uploads").exists());
    push_blob(&after, "app", b"half of").await;
    task.abort();
}

/// A `docker load` archive of an image FROM scratch with one file, which nothing else has.
fn archive(repository: &str, unique: &str) -> Vec<u8> {
    let entry = |builder: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, bytes).unwrap();
    };
    let mut layer = tar::Builder::new(Vec::new());
    entry(&mut layer, "content", &unique.repeat(10_000).into_bytes());
    let layer = layer.into_inner().unwrap();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Cmd": ["/content"] },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
    })
    .to_string();
    let name = format!("{}.json", hex::encode(Sha256::digest(&config)));
    let manifest = json!([{ "Config": name, "RepoTags": [format!("{repository}:v1")], "Layers": ["layer.tar"] }]);
    let mut image = tar::Builder::new(Vec::new());
    entry(&mut image, &name, config.as_bytes());
    entry(&mut image, "layer.tar", &layer);
    entry(&mut image, "manifest.json", manifest.to_string().as_bytes());
    image.into_inner().unwrap()
}

fn skopeo(arguments: &[&str]) -> Output {
    let output = Command::new("skopeo").args(arguments).output().expect("skopeo (Debian package) is installed");
    assert!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pushes_and_pulls_and_skopeo_sees_the_same_digest() {
    let server = Server::start().await;
    let docker = Docker::connect_with_defaults().unwrap().negotiate_version().await.unwrap();
    let unique = uuid::Uuid::new_v4().to_string();
    let (local, remote) = (format!("localkube-registry-test-{unique}"), format!("{}/team/app", server.address));
    let load = ImportImageOptionsBuilder::new().quiet(true).build();
    let loaded = docker.import_image(load, body_full(archive(&local, &unique).into()), None);
    loaded.try_collect::<Vec<_>>().await.unwrap();
    let id = docker.inspect_image(&format!("{local}:v1")).await.unwrap().id.unwrap();

    let push = async || {
        let options = TagImageOptionsBuilder::new().repo(&remote).tag("v1").build();
        docker.tag_image(&format!("{local}:v1"), Some(options)).await.unwrap();
        let options = PushImageOptionsBuilder::new().tag("v1").build();
        let pushed: Vec<_> = docker.push_image(&remote, Some(options), None).collect().await;
        pushed.into_iter().map(|line| line.unwrap().status.unwrap_or_default()).collect::<Vec<_>>()
    };
    assert!(push().await.iter().any(|status| status == "Pushed"));
    assert!(push().await.iter().any(|status| status == "Layer already exists"));

    let source = format!("docker://{remote}:v1");
    let inspected = skopeo(&["inspect", "--tls-verify=false", &source]).stdout;
    let inspected: Value = serde_json::from_slice(&inspected).unwrap();
    let head = send("HEAD", &format!("{}/v2/team/app/manifests/v1", server.base()), &[], "").await;
    assert_eq!(inspected["Digest"], head.header("docker-content-digest"));

    // Out and in again through skopeo: to a directory, from there to another repository, converted to OCI.
    let folder = Folder::new();
    let directory = format!("dir:{}", folder.0.display());
    skopeo(&["copy", "--src-tls-verify=false", &source, &directory]);
    let other = format!("docker://{}/other/deep/name:v2", server.address);
    skopeo(&["copy", "--dest-tls-verify=false", "--format=oci", &directory, &other]);
    skopeo(&["inspect", "--tls-verify=false", &other]);
    // Between repositories of one registry, where it mounts.
    let mounted = format!("docker://{}/mounted:v1", server.address);
    skopeo(&["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests", &source, &mounted]);

    // With every name of it gone, Docker has to fetch it by digest, and gets the same image.
    let remove = RemoveImageOptionsBuilder::new().force(true).build();
    docker.remove_image(&id, Some(remove), None).await.unwrap();
    let by_digest = format!("{remote}@{}", head.header("docker-content-digest"));
    let options = CreateImageOptionsBuilder::new().from_image(&by_digest).build();
    let pulled: Vec<_> = docker.create_image(Some(options), None, None).collect().await;
    assert!(pulled.iter().all(Result::is_ok), "{pulled:?}");
    assert_eq!(docker.inspect_image(&by_digest).await.unwrap().id.unwrap(), id);
    let remove = RemoveImageOptionsBuilder::new().force(true).build();
    docker.remove_image(&id, Some(remove), None).await.unwrap();

    skopeo(&["delete", "--tls-verify=false", &source]);
    let gone = send("GET", &format!("{}/v2/team/app/manifests/v1", server.base()), &[], "").await;
    assert_eq!((gone.status, gone.code().as_str()), (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"));
    assert_eq!(
        send("GET", &location(&server.base(), &head), &[(header::ACCEPT.as_str(), "*/*")], "").await.status,
        404
    );
}
