//! The environment variables about services
//! (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client, api::ListParams};

use super::{environment::Variables, names};

/// Variables for the API server and, unless the pod doesn't want them, for every service of its namespace.
pub(super) async fn variables(client: &Client, pod: &Pod) -> Variables {
    let mut variables = Variables::new();
    let default: Api<Service> = Api::namespaced(client.clone(), "default");
    if let Ok(Some(service)) = default.get_opt("kubernetes").await {
        add(&mut variables, &service);
    }
    if pod.spec.as_ref().and_then(|spec| spec.enable_service_links) != Some(false) {
        let own: Api<Service> = Api::namespaced(client.clone(), names::namespace(pod));
        if let Ok(list) = own.list(&ListParams::default()).await {
            list.items.iter().for_each(|service| add(&mut variables, service));
        }
    }
    variables
}

fn add(variables: &mut Variables, service: &Service) {
    let Some(spec) = &service.spec else { return };
    let address = spec.cluster_ip.as_deref().filter(|address| !address.is_empty() && *address != "None");
    let (Some(address), Some(name)) = (address, service.metadata.name.as_deref()) else { return };
    let name = name.to_uppercase().replace('-', "_");
    let mut set = |key: String, value: String| {
        if !variables.iter().any(|(known, _)| *known == key) {
            variables.push((key, value));
        }
    };
    set(format!("{name}_SERVICE_HOST"), address.to_owned());
    for (index, port) in spec.ports.iter().flatten().enumerate() {
        let number = port.port;
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        if index == 0 {
            set(format!("{name}_SERVICE_PORT"), number.to_string());
            set(format!("{name}_PORT"), format!("{}://{address}:{number}", protocol.to_lowercase()));
        }
        if let Some(port_name) = &port.name {
            let port_name = port_name.to_uppercase().replace('-', "_");
            set(format!("{name}_SERVICE_PORT_{port_name}"), number.to_string());
        }
        let prefix = format!("{name}_PORT_{number}_{protocol}");
        set(prefix.clone(), format!("{}://{address}:{number}", protocol.to_lowercase()));
        set(format!("{prefix}_PROTO"), protocol.to_lowercase());
        set(format!("{prefix}_PORT"), number.to_string());
        set(format!("{prefix}_ADDR"), address.to_owned());
    }
}
