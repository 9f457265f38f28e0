//! Where the service is reached from outside the cluster.

use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};

use crate::{
    config::Environment,
    error::{Error, Result},
    plan::request,
};

/// `http://host:port` of the environment's Service, as its load balancer publishes it.
///
/// # Errors
/// There is no such Service, it is not published, or has no address.
pub async fn base_url(client: &Client, environment: &Environment) -> Result<String> {
    let (name, namespace) = (&environment.service.name, &environment.service.namespace);
    let api: Api<Service> = Api::namespaced(client.clone(), namespace);
    let service =
        request::words(format!("look at Service {namespace}/{name}"), request::retry(|| api.get(name)).await)?;
    of(&service).map_err(|why| {
        Error::failed(format!("find the address of Service {namespace}/{name}"))
            .cause(why)
            .hint(format!("kubectl describe service --namespace {namespace} {name}"))
    })
}

/// The address of a Service: that of its load balancer, at the port named `http`, or the first one.
pub(super) fn of(service: &Service) -> Result<String, String> {
    let spec = service.spec.as_ref().ok_or("it has no specification")?;
    if spec.type_.as_deref() != Some("LoadBalancer") {
        let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
        return Err(format!("it is of type {kind}, which is not reachable from outside; LoadBalancer is"));
    }
    let ports = spec.ports.as_deref().unwrap_or_default();
    let named = |name: &str| ports.iter().find(|port| port.name.as_deref() == Some(name));
    let port = named("http").or(ports.first()).ok_or("it has no port")?.port;
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_deref()).and_then(<[_]>::first);
    let ingress = ingress.ok_or("its load balancer has no address yet")?;
    let host = ingress.hostname.as_deref().or(ingress.ip.as_deref()).ok_or("its load balancer has no address yet")?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Ok(match port {
        80 => format!("http://{host}"),
        port => format!("http://{host}:{port}"),
    })
}
