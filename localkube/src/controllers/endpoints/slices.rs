//! How the slices of a Service are to change to hold its endpoints.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::{
    core::v1::Service,
    discovery::v1::{Endpoint, EndpointPort, EndpointSlice},
};
use kube::{ResourceExt, api::ObjectMeta};

use super::build::{Group, MOST_PER_SLICE};
use crate::controllers::owners::{Labels, controller_reference};

pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpointslice-controller.k8s.io";
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const HEADLESS: &str = "service.kubernetes.io/headless";

/// One write.
#[derive(Debug, PartialEq)]
pub(super) enum Write {
    Create(EndpointSlice),
    Update(EndpointSlice),
    Delete(EndpointSlice),
}

/// Whether the Service has no address of its own.
pub(super) fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// The Service's labels, which its endpoints carry too, without those that mean something on endpoints.
pub(super) fn labels_of(service: &Service) -> Labels {
    let mut labels = service.labels().clone();
    for reserved in [MANAGED_BY, SERVICE_NAME, HEADLESS] {
        labels.remove(reserved);
    }
    if is_headless(service) {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels
}

/// What one slice holds: ports and endpoints.
type Part = (Option<Vec<EndpointPort>>, Option<Vec<Endpoint>>);

/// Compares the slices there are with the groups there must be. A Service without endpoints keeps one empty slice.
pub(super) fn reconcile(service: &Service, groups: Vec<Group>, present: &[EndpointSlice]) -> Vec<Write> {
    let mut labels = labels_of(service);
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    labels.insert(SERVICE_NAME.into(), service.name_any());
    let mut parts: Vec<Part> = Vec::new();
    for group in groups {
        for chunk in group.endpoints.chunks(MOST_PER_SLICE) {
            parts.push((Some(group.ports.clone()), Some(chunk.to_vec())));
        }
    }
    if parts.is_empty() {
        parts.push((None, None));
    }
    let mut free: BTreeMap<usize, &EndpointSlice> = present.iter().enumerate().collect();
    // A slice whose ports stay is changed before one is given new ports, so that watchers see the least change.
    let same_ports = parts.iter().map(|(ports, _)| {
        let index = free.iter().find(|(_, slice)| list(&slice.ports) == list(ports)).map(|(index, _)| *index);
        index.and_then(|index| free.remove(&index))
    });
    let kept: Vec<Option<&EndpointSlice>> = same_ports.collect();
    let mut names: HashSet<String> = present.iter().map(ResourceExt::name_any).collect();
    let mut writes = Vec::new();
    for ((ports, endpoints), kept) in parts.into_iter().zip(kept) {
        match kept.or_else(|| free.pop_first().map(|(_, slice)| slice)) {
            Some(slice) => {
                let same = list(&slice.endpoints) == list(&endpoints)
                    && list(&slice.ports) == list(&ports)
                    && slice.labels() == &labels;
                if !same {
                    let mut slice = slice.clone();
                    slice.metadata.labels = Some(labels.clone());
                    (slice.ports, slice.endpoints) = (ports, endpoints);
                    writes.push(Write::Update(slice));
                }
            }
            None => {
                let name = free_name(service, &names);
                names.insert(name.clone());
                writes.push(Write::Create(EndpointSlice {
                    address_type: "IPv4".into(),
                    metadata: ObjectMeta {
                        name: Some(name),
                        generate_name: Some(format!("{}-", service.name_any())),
                        namespace: service.namespace(),
                        labels: Some(labels.clone()),
                        owner_references: Some(vec![controller_reference(service)]),
                        ..ObjectMeta::default()
                    },
                    ports,
                    endpoints,
                }));
            }
        }
    }
    writes.extend(free.into_values().cloned().map(Write::Delete));
    writes
}

fn list<T>(list: &Option<Vec<T>>) -> &[T] {
    list.as_deref().unwrap_or_default()
}

/// A name that looks generated and is not: the same decision taken twice, after a crash or from a stale cache, meets
/// its own slice instead of doubling it.
fn free_name(service: &Service, taken: &HashSet<String>) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let uid = service.uid().unwrap_or_default();
    let mut number: u64 = 0;
    loop {
        // FNV-1a, 64 bits.
        let mut state: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in uid.bytes().chain(number.to_le_bytes()) {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut name = format!("{}-", service.name_any());
        for _ in 0..5 {
            name.push(char::from(ALPHABET[usize::try_from(state % 27).expect("below 27")]));
            state /= 27;
        }
        if !taken.contains(&name) {
            return name;
        }
        number += 1;
    }
}
