//! Where the service is reached from outside the cluster: by its load balancer, by an Ingress that leads to it, or
//! through the API server.

use k8s_openapi::{
    api::{
        core::v1::{Pod, Service, ServicePort},
        networking::v1::{Ingress, IngressBackend},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{Api, Client, api::ListParams};

use super::route::{Forward, Route};
use crate::{
    config::{Address, Through, Unit},
    error::{Error, Result},
    plan::request,
};

/// `http://host:port` of the environment's Service for those outside the cluster.
///
/// # Errors
/// There is no such Service, or it has no address there.
pub async fn base_url(client: &Client, unit: Unit<'_>) -> Result<String> {
    let route = find(client, unit).await?;
    if route.is_forwarded() {
        return Err(Error::failed(format!("Service {} has no address outside the cluster", unit.service.name)));
    }
    Ok(route.url().to_owned())
}

/// The way to the unit's Service that its configuration asks for.
///
/// # Errors
/// There is no such Service, or that way does not lead to it.
pub(super) async fn find(client: &Client, unit: Unit<'_>) -> Result<Route> {
    let (name, namespace, address) = (&unit.service.name, &unit.service.namespace, &unit.service.address);
    if let Some(url) = &address.url {
        return Route::parse(url).map_err(|why| Error::usage(format!("`{url}` is no address")).cause(why));
    }
    let api: Api<Service> = Api::namespaced(client.clone(), namespace);
    let service =
        request::words(format!("look at Service {namespace}/{name}"), request::retry(|| api.get(name)).await)?;
    let failed = |why: String| {
        Error::failed(format!("find the address of Service {namespace}/{name}"))
            .cause(why)
            .hint(format!("kubectl describe service --namespace {namespace} {name}"))
    };
    let port = port(&service, address.port.as_deref()).map_err(failed)?;
    let balanced = || load_balancer(&service, port).and_then(|url| Route::parse(&url));
    match address.through {
        Through::LoadBalancer => balanced().map_err(failed),
        Through::Ingress => led(client, unit).await?.map_err(failed),
        Through::PortForward => forward(client, unit, &service, port).map_err(failed),
        Through::Auto => match balanced() {
            Ok(route) => Ok(route),
            // Who may not list Ingresses has none that would be found.
            Err(_) => match led(client, unit).await {
                Ok(Ok(route)) => Ok(route),
                Ok(Err(_)) | Err(_) => forward(client, unit, &service, port).map_err(failed),
            },
        },
    }
}

/// The Service's port of this name or number; otherwise the one that is named `http`, or the first.
pub(super) fn port<'a>(service: &'a Service, wanted: Option<&str>) -> Result<&'a ServicePort, String> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let named =
        |name: &str| ports.iter().find(|port| port.name.as_deref() == Some(name) || port.port.to_string() == name);
    match wanted {
        Some(wanted) => named(wanted).ok_or_else(|| format!("it has no port {wanted}")),
        None => named("http").or(ports.first()).ok_or_else(|| "it has no port".to_owned()),
    }
}

/// The address of a Service's load balancer.
pub(super) fn load_balancer(service: &Service, port: &ServicePort) -> Result<String, String> {
    let spec = service.spec.as_ref().ok_or("it has no specification")?;
    if spec.type_.as_deref() != Some("LoadBalancer") {
        let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
        return Err(format!("it is of type {kind}, which is not reachable from outside; LoadBalancer is"));
    }
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_deref()).and_then(<[_]>::first);
    let ingress = ingress.ok_or("its load balancer has no address yet")?;
    let host = ingress.hostname.as_deref().or(ingress.ip.as_deref()).ok_or("its load balancer has no address yet")?;
    let secure = port.port == 443 || port.name.as_deref() == Some("https");
    Ok(url(secure, host, u16::try_from(port.port).unwrap_or_default()))
}

async fn led(client: &Client, unit: Unit<'_>) -> Result<Result<Route, String>> {
    let namespace = &unit.service.namespace;
    let api: Api<Ingress> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default();
    let list = request::retry(|| api.list(&params)).await;
    let list = request::words(format!("list the Ingresses of {namespace}"), list)?;
    Ok(ingress(&list.items, &unit.service.name, &unit.service.address))
}

/// The way through an Ingress that leads to a Service: to the address that its controller published, asking for the
/// host of its rule.
pub(super) fn ingress(list: &[Ingress], service: &str, address: &Address) -> Result<Route, String> {
    let leads = |backend: Option<&IngressBackend>| {
        backend.and_then(|backend| backend.service.as_ref()).is_some_and(|found| found.name == service)
    };
    let mut why =
        format!("no Ingress leads to it{}", address.host.iter().map(|host| format!(" by {host}")).collect::<String>());
    for ingress in list {
        let Some(spec) = &ingress.spec else { continue };
        let rules = spec.rules.iter().flatten().filter(|rule| {
            let mut paths = rule.http.iter().flat_map(|http| &http.paths);
            paths.any(|path| leads(Some(&path.backend)))
        });
        let mut hosts: Vec<Option<&str>> = rules.map(|rule| rule.host.as_deref()).collect();
        hosts.extend(leads(spec.default_backend.as_ref()).then_some(None));
        let wanted = address.host.as_deref();
        let fits = |host: &&Option<&str>| wanted.is_none_or(|wanted| host.is_none_or(|host| matches(host, wanted)));
        let Some(host) = hosts.iter().find(fits) else { continue };
        let host = wanted.or(*host);
        let name = ingress.metadata.name.as_deref().unwrap_or_default();
        if host.is_some_and(|host| host.starts_with('*')) {
            why = format!("Ingress {name} is for any host of a domain: which one? set address.host");
            continue;
        }
        let status = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let Some(published) = status.and_then(|status| status.ingress.as_deref()).and_then(<[_]>::first) else {
            why = format!("Ingress {name} has no address yet");
            continue;
        };
        let Some(to) = published.hostname.as_deref().or(published.ip.as_deref()) else { continue };
        let secure = spec.tls.iter().flatten().any(|tls| {
            let hosts = tls.hosts.as_deref().unwrap_or_default();
            hosts.is_empty() || host.is_some_and(|host| hosts.iter().any(|pattern| matches(pattern, host)))
        });
        let standard = if secure { 443 } else { 80 };
        // Some controllers say at which ports they listen.
        let ports = published.ports.as_deref().unwrap_or_default();
        let port = ports.iter().map(|port| port.port).find(|port| *port == i32::from(standard));
        let port = port.or_else(|| ports.first().map(|port| port.port));
        let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(standard);
        return Route::parse(&url(secure, host.unwrap_or(to), port)).map(|route| route.by_way_of(to));
    }
    Err(why)
}

/// Whether a host is the one of a rule, which may be `*.example.com`.
fn matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(domain) => host.split_once('.').is_some_and(|(_, rest)| domain.strip_prefix('.') == Some(rest)),
        None => pattern == host,
    }
}

/// The way through the API server to one of the Service's pods.
fn forward(client: &Client, unit: Unit<'_>, service: &Service, port: &ServicePort) -> Result<Route, String> {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).ok_or("it selects no pods")?;
    let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let (name, namespace) = (&unit.service.name, &unit.service.namespace);
    let number = u16::try_from(port.port).map_err(|_| "its port is none".to_owned())?;
    let forward = Forward {
        pods: Api::namespaced(client.clone(), namespace),
        selector: selector.join(","),
        port: port.target_port.clone().unwrap_or(IntOrString::Int(port.port)),
    };
    Ok(Route::forwarded(url(false, &format!("{name}.{namespace}"), number), forward))
}

/// The number of a pod's port, which the Service may only name.
pub(super) fn container_port(pod: &Pod, port: &IntOrString) -> Option<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            ports.find(|port| port.name.as_deref() == Some(name))?.container_port
        }
    };
    u16::try_from(number).ok()
}

fn url(secure: bool, host: &str, port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match (secure, port) {
        (false, 80) => format!("http://{host}"),
        (true, 443) => format!("https://{host}"),
        (false, port) => format!("http://{host}:{port}"),
        (true, port) => format!("https://{host}:{port}"),
    }
}
