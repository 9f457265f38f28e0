//! Addresses and ports of Services.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, TcpListener},
};

use rand::Rng as _;
use serde_json::{Value, json};
use tokio::sync::MutexGuard;

use super::request::Call;
use crate::status::{FieldError, FieldErrorKind, Status};

/// The API server's default range of node ports.
const NODE_PORTS: std::ops::RangeInclusive<u64> = 30000..=32767;
/// The first addresses of the range stay free for Services that ask for one (KEP-3070) and for the gateway.
const FIRST_ADDRESS: u32 = 16;

/// Gives a Service what it needs and lacks. Nobody else gets the same while the guard is held: until it is stored.
pub(super) async fn allocate<'a>(
    call: &'a Call,
    object: &mut Value,
    live: Option<&Value>,
) -> Result<Option<MutexGuard<'a, ()>>, Status> {
    if call.resource.kind != "Service" || !call.resource.group.is_empty() || call.subresource.is_some() {
        return Ok(None);
    }
    let guard = call.server.addresses.lock().await;
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let others: Vec<Value> = call
        .server
        .store
        .list(&call.resource.storage, None)
        .objects
        .iter()
        .filter(|other| (Some(other.key.namespace.as_str()), &other.key.name) != (call.namespace.as_deref(), &name))
        .map(|other| other.value())
        .collect();
    address(call, object, live, &others, &name)?;
    ports(call, object, live, &others, &name)?;
    Ok(Some(guard))
}

fn address(call: &Call, object: &mut Value, live: Option<&Value>, others: &[Value], name: &str) -> Result<(), Status> {
    let spec = &mut object["spec"];
    if spec["type"] == "ExternalName" {
        return Ok(());
    }
    if spec["clusterIP"].as_str().is_none_or(str::is_empty)
        && let Some(kept) = live.and_then(|live| live["spec"]["clusterIP"].as_str()).filter(|kept| !kept.is_empty())
    {
        spec["clusterIP"] = kept.into();
    }
    let asked = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
    let unchanged = live.is_some_and(|live| live["spec"]["clusterIP"] == spec["clusterIP"]);
    if asked != "None" && (asked.is_empty() || !unchanged) {
        let cidr = call.server.service_cidr.get().map(String::as_str).unwrap_or_default();
        let used: HashSet<&str> = others.iter().filter_map(|other| other["spec"]["clusterIP"].as_str()).collect();
        let (network, size) = range(cidr)?;
        if asked.is_empty() {
            let free = (FIRST_ADDRESS..size - 1)
                .map(|offset| Ipv4Addr::from(network + offset).to_string())
                .find(|candidate| !used.contains(candidate.as_str()));
            let free = free.ok_or_else(|| Status::internal("failed to allocate a serviceIP: range is full"))?;
            spec["clusterIP"] = free.into();
        } else if let Some(why) = refusal(&asked, &used, network, size, cidr) {
            let message = format!("Invalid value: [\"{asked}\"]: failed to allocate IP {asked}: {why}");
            return Err(invalid(call, name, "spec.clusterIPs", message));
        }
    }
    let spec = &mut object["spec"];
    spec["clusterIPs"] = json!([spec["clusterIP"]]);
    if spec["ipFamilies"].is_null() {
        spec["ipFamilies"] = json!(["IPv4"]);
    }
    if spec["ipFamilyPolicy"].is_null() {
        spec["ipFamilyPolicy"] = "SingleStack".into();
    }
    Ok(())
}

fn refusal(asked: &str, used: &HashSet<&str>, network: u32, size: u32, cidr: &str) -> Option<String> {
    let inside = asked.parse::<Ipv4Addr>().is_ok_and(|address| {
        u32::from(address).checked_sub(network).is_some_and(|offset| (1..size - 1).contains(&offset))
    });
    if !inside {
        return Some(format!("the provided IP ({asked}) is not in the valid range. The range of valid IPs is {cidr}"));
    }
    used.contains(asked).then(|| "provided IP is already allocated".to_owned())
}

fn range(cidr: &str) -> Result<(u32, u32), Status> {
    let parts = cidr.split_once('/').and_then(|(address, prefix)| {
        let prefix: u32 = prefix.parse().ok().filter(|prefix| (1..=28).contains(prefix))?;
        Some((u32::from(address.parse::<Ipv4Addr>().ok()?), prefix))
    });
    let (address, prefix) = parts.ok_or_else(|| Status::internal(format!("the service range {cidr:?} is not one")))?;
    let size = 1u32 << (32 - prefix);
    Ok((address & !(size - 1), size))
}

fn ports(call: &Call, object: &mut Value, live: Option<&Value>, others: &[Value], name: &str) -> Result<(), Status> {
    let kind = object["spec"]["type"].as_str().unwrap_or_default().to_owned();
    let wanted = match kind.as_str() {
        "NodePort" => true,
        "LoadBalancer" => object["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    };
    let node_ports = |service: &Value| -> Vec<u64> {
        let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
        ports.iter().filter_map(|port| port["nodePort"].as_u64()).filter(|port| *port != 0).collect()
    };
    let mut used: HashSet<u64> = others.iter().flat_map(node_ports).collect();
    let kept = live.map(|live| live["spec"]["ports"].as_array().cloned().unwrap_or_default()).unwrap_or_default();
    let Some(ports) = object["spec"]["ports"].as_array_mut() else { return Ok(()) };
    for (index, port) in ports.iter_mut().enumerate() {
        let asked = port["nodePort"].as_u64().unwrap_or(0);
        if asked != 0 {
            if used.contains(&asked) && !kept.iter().any(|kept| kept["nodePort"] == asked) {
                let message = format!("Invalid value: {asked}: provided port is already allocated");
                return Err(invalid(call, name, &format!("spec.ports[{index}].nodePort"), message));
            }
            used.insert(asked);
        } else if wanted {
            let same = kept.iter().find(|kept| kept["port"] == port["port"] && kept["protocol"] == port["protocol"]);
            let same = same.and_then(|kept| kept["nodePort"].as_u64()).filter(|kept| !used.contains(kept));
            let free = same.or_else(|| free_node_port(&used));
            let free = free.ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))?;
            port["nodePort"] = free.into();
            used.insert(free);
        }
    }
    Ok(())
}

/// One that no Service has, from a random place on as the API server does it; so clusters of one machine rarely meet. What
/// another program listens on would not reach anybody.
fn free_node_port(used: &HashSet<u64>) -> Option<u64> {
    let count = NODE_PORTS.end() - NODE_PORTS.start() + 1;
    let first = rand::rng().random_range(0..count);
    (0..count).map(|step| NODE_PORTS.start() + (first + step) % count).find(|candidate| {
        let port = u16::try_from(*candidate).unwrap_or_default();
        !used.contains(candidate) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
    })
}

fn invalid(call: &Call, name: &str, path: &str, message: String) -> Status {
    let error = FieldError { path: path.to_owned(), kind: FieldErrorKind::Invalid, message };
    Status::invalid(&call.resource.group, &call.resource.kind, name, &[error])
}
