//! Which addresses serve a Service, from one snapshot of its pods.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::{
        core::v1::{EndpointAddress, EndpointSubset, ObjectReference, Pod, Service, ServicePort},
        discovery::v1::{Endpoint, EndpointConditions, EndpointPort},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::controllers::{owners::Labels, pods};

/// The most endpoints in one slice (kube-controller-manager's max-endpoints-per-slice).
pub(super) const MOST_PER_SLICE: usize = 100;

/// The addresses that share their ports: pods may give one port name different numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Group {
    pub(super) ports: Vec<EndpointPort>,
    pub(super) endpoints: Vec<Endpoint>,
}

/// The pods that a Service selects. Its selector is a plain map, and an empty one selects nothing.
pub(super) fn selected(service: &Service, pods: Vec<Arc<Pod>>) -> Option<Vec<Arc<Pod>>> {
    let selector = service.spec.as_ref()?.selector.as_ref().filter(|selector| !selector.is_empty())?;
    let empty = Labels::new();
    let fits = |pod: &Pod| {
        let labels = pod.metadata.labels.as_ref().unwrap_or(&empty);
        selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    Some(pods.into_iter().filter(|pod| fits(pod) && !pods::is_terminal(pod) && address(pod).is_some()).collect())
}

fn address(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.pod_ip.as_deref().filter(|ip| !ip.is_empty())
}

fn publishes_not_ready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false)
}

/// The pod's number for a port of the Service; nothing if it has none of that name.
fn target(pod: &Pod, port: &ServicePort) -> Option<i32> {
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let spec = pod.spec.as_ref()?;
            let sidecar = |container: &&k8s_openapi::api::core::v1::Container| {
                container.restart_policy.as_deref() == Some("Always")
            };
            let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten().filter(sidecar));
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            ports
                .find(|one| one.name.as_ref() == Some(name) && one.protocol.as_deref().unwrap_or("TCP") == protocol)
                .map(|one| one.container_port)
        }
    }
}

fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

fn hostname(pod: &Pod, service: &Service) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let inside = spec.subdomain.is_some() && spec.subdomain == service.metadata.name;
    spec.hostname.clone().filter(|name| inside && !name.is_empty())
}

/// The endpoints by their ports, as slices carry them. A pod that is being deleted is not ready from that moment on.
pub(super) fn groups(service: &Service, selected: &[Arc<Pod>]) -> Vec<Group> {
    let mut groups: BTreeMap<Vec<(String, i32, String)>, Group> = BTreeMap::new();
    for pod in selected {
        let Some(address) = address(pod) else { continue };
        let ports = slice_ports(service, pod);
        let serving = pods::is_ready(pod) || publishes_not_ready(service);
        let terminating = pod.metadata.deletion_timestamp.is_some();
        let endpoint = Endpoint {
            addresses: vec![address.to_owned()],
            conditions: Some(EndpointConditions {
                ready: Some(publishes_not_ready(service) || (serving && !terminating)),
                serving: Some(serving),
                terminating: Some(terminating),
            }),
            hostname: hostname(pod, service),
            node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            target_ref: Some(reference(pod)),
            ..Endpoint::default()
        };
        let id = ports.iter().map(|port| {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            (text(&port.name), port.port.unwrap_or(0), text(&port.protocol))
        });
        let group = groups.entry(id.collect()).or_default();
        group.ports = ports;
        group.endpoints.push(endpoint);
    }
    for group in groups.values_mut() {
        group.endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
    }
    groups.into_values().collect()
}

fn slice_ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let resolved = ports.filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(target(pod, port)?),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
            app_protocol: port.app_protocol.clone(),
        })
    });
    resolved.collect()
}

/// The subsets of the legacy Endpoints object: pods that are being deleted appear in no list.
pub(super) fn subsets(service: &Service, selected: &[Arc<Pod>]) -> Vec<EndpointSubset> {
    let mut subsets: BTreeMap<Vec<(String, i32, String)>, EndpointSubset> = BTreeMap::new();
    let tolerant = publishes_not_ready(service);
    for pod in selected.iter().filter(|pod| tolerant || pod.metadata.deletion_timestamp.is_none()) {
        let Some(ip) = address(pod) else { continue };
        let address = EndpointAddress {
            ip: ip.to_owned(),
            hostname: hostname(pod, service),
            node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            target_ref: Some(reference(pod)),
        };
        let ports: Vec<_> = slice_ports(service, pod)
            .into_iter()
            .map(|port| k8s_openapi::api::core::v1::EndpointPort {
                name: port.name.filter(|name| !name.is_empty()),
                port: port.port.unwrap_or(0),
                protocol: port.protocol,
                app_protocol: port.app_protocol,
            })
            .collect();
        let id = ports
            .iter()
            .map(|port| (port.name.clone().unwrap_or_default(), port.port, port.protocol.clone().unwrap_or_default()));
        let subset = subsets.entry(id.collect()).or_default();
        subset.ports = Some(ports);
        let list =
            if tolerant || pods::is_ready(pod) { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        list.get_or_insert_default().push(address);
    }
    for subset in subsets.values_mut() {
        for list in [&mut subset.addresses, &mut subset.not_ready_addresses].into_iter().flatten() {
            list.sort_by(|a, b| a.ip.cmp(&b.ip));
        }
    }
    subsets.into_values().collect()
}
