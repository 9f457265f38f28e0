//! A pod's view of names, and the names that others know it by.

use k8s_openapi::api::core::v1::{Pod, PodDNSConfig, Service};
use kube::Api;

use super::{Kubelet, names};

/// What resolv.conf says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dns {
    pub(super) servers: Vec<String>,
    pub(super) search: Vec<String>,
    pub(super) options: Vec<String>,
}

impl Dns {
    /// By the pod's `dnsPolicy` and `dnsConfig`
    /// (<https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>).
    pub(super) fn of(pod: &Pod) -> Self {
        let spec = pod.spec.as_ref();
        let policy = spec.and_then(|spec| spec.dns_policy.as_deref()).unwrap_or("ClusterFirst");
        let host_network = spec.and_then(|spec| spec.host_network) == Some(true);
        let mut dns = Self::default();
        if policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !host_network) {
            let namespace = names::namespace(pod);
            dns.search =
                vec![format!("{namespace}.svc.cluster.local"), "svc.cluster.local".into(), "cluster.local".into()];
            dns.options = vec!["ndots:5".to_owned()];
        }
        if let Some(PodDNSConfig { nameservers, options, searches }) = spec.and_then(|spec| spec.dns_config.as_ref()) {
            dns.servers.extend(nameservers.iter().flatten().cloned());
            dns.search.extend(searches.iter().flatten().cloned());
            for option in options.iter().flatten() {
                let Some(name) = &option.name else { continue };
                dns.options.retain(|known| known.split(':').next() != Some(name));
                dns.options.push(option.value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}:{value}")));
            }
        }
        dns
    }
}

/// The names in the engine's DNS of a pod that has a `subdomain`: its own, and, with the others', that of the headless
/// Service it speaks of. The engine answers with them from the pod's start on, whether it is ready or not.
pub(super) async fn aliases(kubelet: &Kubelet, pod: &Pod, hostname: Option<&str>) -> Vec<String> {
    let subdomain = pod.spec.as_ref().and_then(|spec| spec.subdomain.as_deref()).filter(|name| !name.is_empty());
    let (Some(subdomain), Some(hostname)) = (subdomain, hostname) else { return Vec::new() };
    let namespace = names::namespace(pod);
    let services: Api<Service> = Api::namespaced(kubelet.client.clone(), namespace);
    let service = services.get_opt(subdomain).await.ok().flatten().and_then(|service| service.spec);
    let headless = service.is_some_and(|spec| spec.cluster_ip.as_deref() == Some("None"));
    let mut hosts = vec![format!("{hostname}.{subdomain}.{namespace}")];
    hosts.extend(headless.then(|| format!("{subdomain}.{namespace}")));
    let full = |host: &String| ["", ".svc", ".svc.cluster.local"].map(|suffix| format!("{host}{suffix}"));
    hosts.iter().flat_map(full).collect()
}
