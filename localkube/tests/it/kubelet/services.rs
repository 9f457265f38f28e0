//! Services: from the host, from inside pods, and while pods are replaced.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Service},
    networking::v1::Ingress,
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::cluster::{Cluster, is};

async fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}

/// One request; what went wrong if it did. The connection is kept unless the server says otherwise.
async fn request(connection: &mut Option<TcpStream>, address: SocketAddr, keep: bool) -> Result<String, String> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?,
    };
    let close = if keep { "" } else { "connection: close\r\n" };
    let text = format!("GET / HTTP/1.1\r\nhost: test\r\n{close}\r\n");
    stream.write_all(text.as_bytes()).await.map_err(|error| format!("write: {error}"))?;
    let mut answer = Vec::new();
    loop {
        let mut part = [0; 1024];
        let count = stream.read(&mut part).await.map_err(|error| format!("read: {error}"))?;
        if count == 0 {
            return Err(format!("closed after {answer:?}"));
        }
        answer.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length: usize = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        if body.len() >= length {
            if keep && !head.contains("connection: close") {
                *connection = Some(stream);
            }
            return if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(head.to_owned()) };
        }
    }
}

async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..1500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    panic!("never: {what}");
}

fn deployment(image: &str, version: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "terminationGracePeriodSeconds": 20,
                    "containers": [{
                        "name": "main", "image": image, "command": ["/test", "serve", version],
                        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
                        "lifecycle": {"preStop": {"httpGet": {"path": "/drain", "port": 8080}}},
                    }],
                },
            },
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_under_load_loses_no_request() {
    let mut cluster = Cluster::start().await;
    let port = free_port().await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), "default");
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), "default");
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": port, "targetPort": 8080}]},
    });
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    let first = serde_json::from_value(deployment(&cluster.image, "one")).unwrap();
    deployments.create(&PostParams::default(), &first).await.unwrap();
    let replaced = async || {
        let found = serde_json::to_value(deployments.get("web").await.unwrap()).unwrap();
        let status = &found["status"];
        found["metadata"]["generation"] == status["observedGeneration"]
            && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|count| status[*count] == 2)
    };
    until("two pods available", &replaced).await;
    until("the service answers", async || request(&mut None, address, false).await.is_ok()).await;
    let found = serde_json::to_value(services.get("web").await.unwrap()).unwrap();
    assert_eq!(found["status"]["loadBalancer"]["ingress"][0]["ip"], "127.0.0.1");

    let stop = Arc::new(AtomicBool::new(false));
    let (done, newer) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let (stop, done, newer) = (Arc::clone(&stop), Arc::clone(&done), Arc::clone(&newer));
            tokio::spawn(async move {
                let mut connection = None;
                while !stop.load(Ordering::Relaxed) {
                    let answer = request(&mut connection, address, number % 2 == 0).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                    newer.fetch_add(usize::from(answer == "two"), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Ok::<(), String>(())
            })
        })
        .collect();
    let second = Patch::Merge(deployment(&cluster.image, "two"));
    deployments.patch("web", &PatchParams::default(), &second).await.unwrap();
    until("both pods replaced", &replaced).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.await.unwrap(), Ok(()));
    }
    let (done, newer) = (done.load(Ordering::Relaxed), newer.load(Ordering::Relaxed));
    assert!(done > 500 && newer > 50, "{done} requests, {newer} to the new version");

    // From inside, by each of its names.
    let names = ["web", "web.default", "web.default.svc", "web.default.svc.cluster.local"];
    for name in names {
        let pod = format!("asks-{}", name.len());
        let never = json!({"spec": {"restartPolicy": "Never"}});
        cluster.run(&pod, &["/test", "get", &format!("{name}:{port}")], never, Value::Null).await;
        cluster.until(&pod, "over", |pod| pod["status"]["phase"] == "Succeeded").await;
        assert_eq!(cluster.logs(&pod, false).await, "two", "{name}");
    }

    let nothing = Patch::Merge(json!({"spec": {"replicas": 0}}));
    deployments.patch("web", &PatchParams::default(), &nothing).await.unwrap();
    let refused = async || request(&mut None, address, false).await.is_err_and(|error| error.starts_with("connect: "));
    until("connections are refused", refused).await;

    let removed = cluster.remove().await;
    assert!(removed.containers > 0 && removed.networks == 1 && removed.images > 0, "{removed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_told_and_used_when_it_is_free() {
    let cluster = Cluster::start().await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    cluster.run("web", &["/test", "serve", "x"], Value::Null, Value::Null).await;
    cluster.until("web", "ready", |pod| is(pod, "Ready")).await;
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), "default");
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": port, "targetPort": 8080}]},
    });
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), "default");
    until("an event names the port", async || {
        let all = events.list(&ListParams::default().fields("involvedObject.name=web")).await.unwrap().items;
        let message = format!("cannot listen on port {port} of 127.0.0.1: it is taken by another program");
        all.iter().any(|event| event.message.as_ref().is_some_and(|text| text.contains(&message)))
    })
    .await;
    let found = serde_json::to_value(services.get("web").await.unwrap()).unwrap();
    assert_eq!(found["status"]["loadBalancer"], json!({}), "nothing is promised before it is listened on");
    drop(taken);
    until("the service answers", async || request(&mut None, address, false).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_needs_no_node_port() {
    let cluster = Cluster::start().await;
    cluster.run("web", &["/test", "serve", "x"], Value::Null, Value::Null).await;
    cluster.until("web", "ready", |pod| is(pod, "Ready")).await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, free_node_port().await)).await.unwrap();
    let node_port = taken.local_addr().unwrap().port();
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), "default");
    let port = free_port().await;
    let service = |name: &str, kind: &str, port: Value| {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": kind, "selector": {"app": "web"}, "ports": [port]},
        });
        serde_json::from_value(service).unwrap()
    };
    let both = service("both", "LoadBalancer", json!({"port": port, "targetPort": 8080, "nodePort": node_port}));
    services.create(&PostParams::default(), &both).await.unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    until("the service answers", async || request(&mut None, address, false).await.is_ok()).await;
    until("the service is announced", async || {
        let status = services.get("both").await.unwrap().status.and_then(|status| status.load_balancer);
        status.is_some_and(|balancer| balancer.ingress.is_some())
    })
    .await;
    let complaints = async |name: &str| {
        let events: Api<Event> = Api::namespaced(cluster.client.clone(), "default");
        let about = ListParams::default().fields(&format!("involvedObject.name={name},type=Warning"));
        events.list(&about).await.unwrap().items.len()
    };
    assert_eq!(complaints("both").await, 0, "nobody asked for the node port");

    services.delete("both", &Default::default()).await.unwrap();
    let alone = service("alone", "NodePort", json!({"port": 80, "targetPort": 8080, "nodePort": node_port}));
    services.create(&PostParams::default(), &alone).await.unwrap();
    until("an event names the node port", async || complaints("alone").await == 1).await;
    drop(taken);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, node_port));
    until("the node port answers", async || request(&mut None, address, false).await.is_ok()).await;
}

async fn free_node_port() -> u16 {
    for port in (30000..=32767).rev() {
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return port;
        }
    }
    panic!("every node port is taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_serves_by_host_and_path_while_pods_are_replaced() {
    let cluster = Cluster::start().await;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), "default");
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), "default");
    let ingresses: Api<Ingress> = Api::namespaced(cluster.client.clone(), "default");
    let service = json!({"metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    let path = |path: &str, service: &str, port: Value| json!({"path": path, "pathType": "Prefix", "backend": {"service": {"name": service, "port": port}}});
    let paths = [path("/", "web", json!({"name": "http"})), path("/none", "nothing", json!({"number": 80}))];
    let ingress = json!({"metadata": {"name": "web"}, "spec": {"rules": [{"host": "test", "http": {"paths": paths}}]}});
    ingresses.create(&PostParams::default(), &serde_json::from_value(ingress).unwrap()).await.unwrap();
    let first = serde_json::from_value(deployment(&cluster.image, "one")).unwrap();
    deployments.create(&PostParams::default(), &first).await.unwrap();
    let port = async || {
        let found = serde_json::to_value(ingresses.get("web").await.unwrap()).unwrap();
        let address = &found["status"]["loadBalancer"]["ingress"][0];
        (address["ip"] == "127.0.0.1").then(|| address["ports"][0]["port"].as_u64().unwrap())
    };
    until("the ingress has an address", async || port().await.is_some()).await;
    let port = u16::try_from(port().await.unwrap()).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    until("the ingress answers", async || request(&mut None, address, false).await.is_ok()).await;
    for (host, path, status) in [("other", "/", 404), ("test", "/none", 503), ("test", "/more", 200)] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}{path}: {answer}");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let (mut connection, mut newer) = (None, 0);
                while !stop.load(Ordering::Relaxed) {
                    newer += usize::from(request(&mut connection, address, number % 2 == 0).await? == "two");
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Ok::<usize, String>(newer)
            })
        })
        .collect();
    deployments.patch("web", &PatchParams::default(), &Patch::Merge(deployment(&cluster.image, "two"))).await.unwrap();
    let replaced = async || {
        let status = serde_json::to_value(deployments.get("web").await.unwrap()).unwrap()["status"].clone();
        status["observedGeneration"] == 2
            && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|count| status[*count] == 2)
    };
    until("both pods replaced", &replaced).await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.unwrap().expect("no request is lost") > 10);
    }
}
