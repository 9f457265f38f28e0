//! The process's life: its directory, its ports, who may ask, what survives.

use std::{
    fs,
    future::Future,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use kube::{
    Api, Client, Config,
    api::{ObjectMeta, PostParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use localkube::serve::{Error, Options, serve};
use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle};

/// A directory that goes with the test.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        Self(std::env::temp_dir().join(format!("localkube-it-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server in this process, without controllers and without Docker.
pub(crate) struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Server {
    pub(crate) async fn start(directory: &Path) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(options(directory), async {
            let _ = stopped.await;
        }));
        let ready = directory.join("process.json");
        wait_for(async || ready.exists() || task.is_finished()).await;
        if !ready.exists() {
            panic!("it does not start: {:?}", task.await);
        }
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
    }
}

fn options(directory: &Path) -> Options {
    Options { directory: directory.to_owned(), api_only: true, ..Options::default() }
}

async fn wait_for<F: Future<Output = bool>>(mut condition: impl FnMut() -> F) {
    for _ in 0..1000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited 10 s in vain");
}

async fn client(directory: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(directory.join("kubeconfig")).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, ..ConfigMap::default() }
}

fn process(directory: &Path) -> Value {
    serde_json::from_slice(&fs::read(directory.join("process.json")).unwrap()).unwrap()
}

async fn refusal(directory: &Path) -> (String, String) {
    let error = serve(options(directory), std::future::pending()).await.unwrap_err();
    (error.to_string(), error.hint().unwrap_or_default())
}

#[tokio::test]
async fn objects_ports_and_token_survive_a_restart() {
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let first = process(&directory.0);
    let maps: Api<ConfigMap> = Api::namespaced(client(&directory.0).await, "default");
    let made = maps.create(&PostParams::default(), &config_map("kept")).await.unwrap();
    server.stop().await;
    assert!(!directory.0.join("process.json").exists(), "what has ended is not announced");

    let server = Server::start(&directory.0).await;
    let second = process(&directory.0);
    assert_eq!((&first["api"], &first["registry"]), (&second["api"], &second["registry"]));
    assert_eq!(first["clusterId"], second["clusterId"]);
    // The client of the first start: the same address, authority and token.
    let kept = maps.get("kept").await.unwrap();
    assert_eq!(kept.metadata.uid, made.metadata.uid);
    assert_eq!(kept.metadata.resource_version, made.metadata.resource_version);
    server.stop().await;
}

#[tokio::test]
async fn a_new_cluster_has_its_namespaces_and_what_is_in_each() {
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let client = client(&directory.0).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let names: Vec<_> =
        namespaces.list(&Default::default()).await.unwrap().into_iter().filter_map(|item| item.metadata.name).collect();
    assert_eq!(names, ["default", "kube-node-lease", "kube-public", "kube-system"]);
    for name in &names {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), name);
        let data = maps.get("kube-root-ca.crt").await.unwrap().data.unwrap_or_default();
        assert_eq!(data["ca.crt"], fs::read_to_string(directory.0.join("pki/ca.crt")).unwrap());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_watch_shows_what_happens_after_it_began() {
    use futures::StreamExt as _;

    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let maps: Api<ConfigMap> = Api::namespaced(client(&directory.0).await, "default");
    let list = maps.list(&Default::default()).await.unwrap();
    let from = list.metadata.resource_version.unwrap();
    let mut events = maps.watch(&WatchParams::default(), &from).await.unwrap().boxed();
    let made = maps.create(&PostParams::default(), &config_map("seen")).await.unwrap();
    maps.delete("seen", &Default::default()).await.unwrap();
    let Some(Ok(WatchEvent::Added(added))) = events.next().await else { panic!("no addition") };
    assert_eq!(added.metadata.resource_version, made.metadata.resource_version);
    let Some(Ok(WatchEvent::Deleted(deleted))) = events.next().await else { panic!("no deletion") };
    assert_eq!(deleted.metadata.uid, made.metadata.uid);
    // The watch must not hold up the end of the process.
    let began = std::time::Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(events.next().await.is_none_or(|event| event.is_err()));
}

#[tokio::test]
async fn services_get_distinct_addresses_of_the_range() {
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let services: Api<Service> = Api::namespaced(client(&directory.0).await, "default");
    let service = |name: &str| -> Service {
        let ports = serde_json::json!([{"port": 80}]);
        let spec = serde_json::json!({"type": "NodePort", "ports": ports, "selector": {"app": name}});
        serde_json::from_value(serde_json::json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    };
    let names: Vec<String> = (0..20).map(|index| format!("s{index}")).collect();
    let parameters = PostParams::default();
    let made = names.iter().map(|name| (service(name), services.clone(), parameters.clone()));
    let made = futures::future::join_all(
        made.map(|(service, api, parameters)| async move { api.create(&parameters, &service).await.unwrap() }),
    )
    .await;
    let specs: Vec<_> = made.into_iter().filter_map(|service| service.spec).collect();
    let distinct = |values: Vec<String>| values.into_iter().collect::<std::collections::HashSet<_>>().len();
    assert_eq!(distinct(specs.iter().filter_map(|spec| spec.cluster_ip.clone()).collect()), 20);
    let ports = specs.iter().filter_map(|spec| spec.ports.as_ref()?.first()?.node_port);
    assert_eq!(distinct(ports.map(|port| port.to_string()).collect()), 20);
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_health_is_for_everyone() {
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let mut kubeconfig = Kubeconfig::read_from(directory.0.join("kubeconfig")).unwrap();
    for named in &mut kubeconfig.auth_infos {
        named.auth_info.as_mut().unwrap().token = Some(String::from("wrong").into());
    }
    let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &KubeConfigOptions::default()).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(Client::try_from(config).unwrap(), "default");
    match maps.list(&Default::default()).await.unwrap_err() {
        kube::Error::Api(status) => assert_eq!((status.code, status.reason.as_str()), (401, "Unauthorized")),
        other => panic!("{other}"),
    }
    kubeconfig.auth_infos.clear();
    for named in &mut kubeconfig.contexts {
        named.context.as_mut().unwrap().user = None;
    }
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let anonymous = Client::try_from(config).unwrap();
    let ready = anonymous.request_text(http::Request::get("/readyz").body(Vec::new()).unwrap()).await.unwrap();
    assert_eq!(ready, "ok");
    let expected = "configmaps \"kube-root-ca.crt\" is forbidden: User \"system:anonymous\" cannot get resource \"configmaps\" \
                    in API group \"\" in the namespace \"default\"";
    match Api::<ConfigMap>::namespaced(anonymous, "default").get("kube-root-ca.crt").await.unwrap_err() {
        kube::Error::Api(status) => assert_eq!((status.code, status.message.as_str()), (403, expected)),
        other => panic!("{other}"),
    }
    server.stop().await;
}

#[tokio::test]
async fn secrets_on_disk_are_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let mode = |name: &str| fs::metadata(directory.0.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for name in ["token", "kubeconfig", "pki/ca.key", "cluster.json"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_directory_is_served_once() {
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let (message, hint) = refusal(&directory.0).await;
    assert_eq!(message, format!("{} is served by another process", directory.0.display()));
    assert_eq!(hint, "stop it: cargo xtask local down");
    server.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let directory = Directory::new();
    Server::start(&directory.0).await.stop().await;
    let cluster: Value = serde_json::from_slice(&fs::read(directory.0.join("cluster.json")).unwrap()).unwrap();
    let port = u16::try_from(cluster["apiPort"].as_u64().unwrap()).unwrap();
    let _other = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (message, hint) = refusal(&directory.0).await;
    assert_eq!(message, format!("port {port} of 127.0.0.1, kept for the API server, is taken by another program"));
    assert!(hint.contains(&format!("sport = :{port}")) && hint.contains("cargo xtask local down"), "{hint}");
}

#[tokio::test]
async fn files_that_are_not_ours_are_named_with_the_remedy() {
    let breakages: [(&str, &[u8]); 5] = [
        ("store.redb", &[b'x'; 8192]),
        ("cluster.json", b"{\"id\": \"1234\""),
        ("token", b"short"),
        ("pki/ca.key", b"-----BEGIN"),
        ("pki/ca.crt", b""),
    ];
    for (name, content) in breakages {
        let directory = Directory::new();
        Server::start(&directory.0).await.stop().await;
        fs::write(directory.0.join(name), content).unwrap();
        let (message, hint) = refusal(&directory.0).await;
        assert!(message.starts_with(&directory.0.join(name).display().to_string()), "{name}: {message}");
        assert!(hint.contains("cargo xtask local down"), "{name}: {hint}");
    }
}

#[tokio::test]
async fn a_store_without_its_identity_is_not_taken_for_a_new_cluster() {
    let directory = Directory::new();
    Server::start(&directory.0).await.stop().await;
    fs::remove_file(directory.0.join("cluster.json")).unwrap();
    let (message, _) = refusal(&directory.0).await;
    assert!(message.ends_with("it is missing, though there is a store beside it"), "{message}");
}

#[tokio::test]
async fn what_a_killed_start_has_written_is_taken_up() {
    let directory = Directory::new();
    Server::start(&directory.0).await.stop().await;
    let before = fs::read_to_string(directory.0.join("token")).unwrap();
    // Everything that comes after the identity, at whichever point the process was killed.
    for lost in [&["store.redb"][..], &["pki/ca.crt"], &["pki/ca.key", "pki/ca.crt"], &["kubeconfig"]] {
        for name in lost {
            fs::remove_file(directory.0.join(name)).unwrap();
        }
        let server = Server::start(&directory.0).await;
        let maps: Api<ConfigMap> = Api::namespaced(client(&directory.0).await, "default");
        maps.get("kube-root-ca.crt").await.unwrap();
        server.stop().await;
    }
    assert_eq!(fs::read_to_string(directory.0.join("token")).unwrap(), before);
}
