//! What Services and EndpointSlices add up to. Nothing here does anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
};

use k8s_openapi::api::{
    core::v1::{Service, ServicePort},
    discovery::v1::EndpointSlice,
};

/// Namespace and name.
pub(super) type Key = (String, String);

/// A service as the proxy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entry {
    pub(super) uid: String,
    pub(super) load_balancer: bool,
    /// Its address for pods; nothing for headless services and names of other hosts.
    pub(super) address: Option<Ipv4Addr>,
    pub(super) ports: Vec<Port>,
    /// Whether it has endpoints at all, ready or not.
    pub(super) populated: bool,
}

/// One port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) node_port: Option<u16>,
    /// The ready ones, in a fixed order.
    pub(super) endpoints: Vec<SocketAddr>,
}

/// One service with its slices.
pub(super) fn entry(service: &Service, slices: &[&EndpointSlice]) -> Entry {
    let spec = service.spec.clone().unwrap_or_default();
    let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
    if kind == "ExternalName" {
        return Entry { uid: service.metadata.uid.clone().unwrap_or_default(), ..Default::default() };
    }
    let number = |number: i32| u16::try_from(number).ok().filter(|number| *number != 0);
    // Only connections can be passed on.
    let tcp = |port: &&ServicePort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
    let ports = spec.ports.iter().flatten().filter(tcp).filter_map(|port| {
        Some(Port {
            name: port.name.clone().unwrap_or_default(),
            port: number(port.port)?,
            node_port: port.node_port.and_then(number),
            endpoints: ready(slices, port.name.as_deref().unwrap_or_default()).into_iter().collect(),
        })
    });
    Entry {
        uid: service.metadata.uid.clone().unwrap_or_default(),
        load_balancer: kind == "LoadBalancer",
        address: spec.cluster_ip.as_deref().and_then(|address| address.parse().ok()),
        ports: ports.collect(),
        populated: slices.iter().any(|slice| slice.endpoints.as_ref().is_some_and(|all| !all.is_empty())),
    }
}

/// The ready endpoints of a named port.
fn ready(slices: &[&EndpointSlice], name: &str) -> BTreeSet<SocketAddr> {
    let mut result = BTreeSet::new();
    for slice in slices {
        let ports = slice.ports.iter().flatten().filter(|port| port.name.as_deref().unwrap_or_default() == name);
        for port in ports.filter_map(|port| port.port.and_then(|port| u16::try_from(port).ok())) {
            for endpoint in slice.endpoints.iter().flatten() {
                // Unknown counts as ready (discovery/v1).
                if endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(false) {
                    continue;
                }
                let addresses = endpoint.addresses.iter().filter_map(|address| address.parse::<Ipv4Addr>().ok());
                result.extend(addresses.map(|address| SocketAddr::V4(SocketAddrV4::new(address, port))));
            }
        }
    }
    result
}

/// The slices of a service.
pub(super) fn slices_of<'a>(
    slices: &'a BTreeMap<Key, EndpointSlice>,
    (namespace, name): &Key,
) -> Vec<&'a EndpointSlice> {
    let of = |slice: &EndpointSlice| {
        slice.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/service-name")) == Some(name)
    };
    slices.iter().filter(|((of_namespace, _), slice)| of_namespace == namespace && of(slice)).map(|(_, s)| s).collect()
}

/// The file that the container in front of a service reads: `node/service.rs` says how.
pub(super) fn file(entry: &Entry) -> String {
    let mut text = String::new();
    for port in &entry.ports {
        text.push_str(&port.port.to_string());
        for endpoint in &port.endpoints {
            text.push(' ');
            text.push_str(&endpoint.to_string());
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn takes_ready_endpoints_of_the_port_of_that_name() {
        let service: Service = from(serde_json::json!({
            "metadata": {"uid": "u"},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.9", "ports": [
                {"name": "http", "port": 80, "nodePort": 30080},
                {"name": "dns", "port": 53, "protocol": "UDP"},
            ]},
        }));
        let slice: EndpointSlice = from(serde_json::json!({
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}, {"name": "other", "port": 1}],
            "endpoints": [
                {"addresses": ["10.96.128.3"], "conditions": {"ready": true}},
                {"addresses": ["10.96.128.2"]},
                {"addresses": ["10.96.128.4"], "conditions": {"ready": false, "serving": true, "terminating": true}},
            ],
        }));
        let entry = entry(&service, &[&slice]);
        assert!(entry.load_balancer && entry.populated);
        assert_eq!(file(&entry), "80 10.96.128.2:8080 10.96.128.3:8080\n");
        assert_eq!(entry.ports[0].node_port, Some(30080));
    }

    #[test]
    fn headless_and_external_services_have_no_address() {
        for spec in [serde_json::json!({"clusterIP": "None"}), serde_json::json!({"type": "ExternalName"})] {
            let service: Service = from(serde_json::json!({"metadata": {}, "spec": spec}));
            assert_eq!(entry(&service, &[]).address, None);
        }
    }
}
