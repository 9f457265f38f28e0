//! Rows of Services and of what leads to them.

use serde_json::{Value, json};

use super::words::{NONE, each, first_of, items, labels, number, text_or_none};

pub(super) fn service(service: &Value, age: String) -> Value {
    let spec = &service["spec"];
    let kind = spec["type"].as_str().unwrap_or_default();
    let own: Vec<String> = items(&spec["externalIPs"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let external = match kind {
        "ExternalName" => text_or_none(&spec["externalName"]),
        "LoadBalancer" => {
            let mut addresses = ingress_addresses(&service["status"]["loadBalancer"]);
            addresses.extend(own);
            if addresses.is_empty() { "<pending>".to_owned() } else { addresses.join(",") }
        }
        _ if own.is_empty() => NONE.to_owned(),
        _ => own.join(","),
    };
    let address = items(&spec["clusterIPs"]).first().map_or_else(|| NONE.to_owned(), text_or_none);
    let port = |port: &Value| {
        let node_port = number(&port["nodePort"]);
        let node_port = if node_port > 0 { format!(":{node_port}") } else { String::new() };
        format!("{}{node_port}/{}", port["port"], port["protocol"].as_str().unwrap_or("TCP"))
    };
    let ports: Vec<String> = items(&spec["ports"]).iter().map(port).collect();
    let ports = if ports.is_empty() { NONE.to_owned() } else { ports.join(",") };
    json!([service["metadata"]["name"], kind, address, external, ports, age, labels(&spec["selector"])])
}

fn ingress_addresses(balancer: &Value) -> Vec<String> {
    let ingresses = items(&balancer["ingress"]).iter();
    let address = |ingress: &Value| ingress["ip"].as_str().or(ingress["hostname"].as_str()).map(str::to_owned);
    ingresses.filter_map(address).collect()
}

pub(super) fn endpoints(object: &Value) -> String {
    let mut all = Vec::new();
    for subset in items(&object["subsets"]) {
        for port in items(&subset["ports"]) {
            all.extend(each(&subset["addresses"], "ip").iter().map(|ip| format!("{ip}:{}", port["port"])));
        }
        if items(&subset["ports"]).is_empty() {
            all.extend(each(&subset["addresses"], "ip"));
        }
    }
    if all.is_empty() { NONE.to_owned() } else { first_of(&all, 3) }
}

pub(super) fn ingress(ingress: &Value, age: String) -> Value {
    let spec = &ingress["spec"];
    let mut hosts = each(&spec["rules"], "host");
    hosts.retain(|host| !host.is_empty());
    let hosts = if hosts.is_empty() { "*".to_owned() } else { first_of(&hosts, 3) };
    let ports = if items(&spec["tls"]).is_empty() { "80" } else { "80, 443" };
    let addresses = ingress_addresses(&ingress["status"]["loadBalancer"]).join(",");
    json!([ingress["metadata"]["name"], text_or_none(&spec["ingressClassName"]), hosts, addresses, ports, age])
}
