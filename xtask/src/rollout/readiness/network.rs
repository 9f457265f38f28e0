//! When what leads requests to pods counts as done.

use serde_json::Value;

use super::{
    Readiness::{self, Ready, Waiting},
    condition, said,
};

pub(super) fn service(object: &Value) -> Readiness {
    let addresses = object["status"]["loadBalancer"]["ingress"].as_array();
    if object["spec"]["type"] == "LoadBalancer" && addresses.is_none_or(Vec::is_empty) {
        return Waiting("an address from the load balancer".to_owned());
    }
    Ready
}

/// Every controller that serves an Ingress writes its address into it. One that nobody serves never has one; a cluster
/// whose controller keeps it to itself needs the annotation `slipway.dev/wait: "false"`.
pub(super) fn ingress(object: &Value) -> Readiness {
    let addresses = object["status"]["loadBalancer"]["ingress"].as_array();
    if addresses.is_none_or(Vec::is_empty) {
        return Waiting("an address from an ingress controller".to_owned());
    }
    Ready
}

/// A Gateway is programmed; a route is accepted, and what it names is there, at every Gateway that it is attached to
/// (<https://gateway-api.sigs.k8s.io/guides/implementers/#status-conditions>).
pub(super) fn gateway(object: &Value, kind: &str) -> Readiness {
    match kind {
        "GatewayClass" => all(object, &["Accepted"], "a controller"),
        "Gateway" => all(object, &["Accepted", "Programmed"], "a controller"),
        kind if kind.ends_with("Route") => {
            let parents = object["status"]["parents"].as_array().map_or(&[] as &[_], Vec::as_slice);
            let wanted = object["spec"]["parentRefs"].as_array().map_or(1, Vec::len);
            if parents.len() < wanted {
                return Waiting(format!("{} of {wanted} Gateways to accept it", parents.len()));
            }
            let judge = |parent: &Value| {
                // Each parent has conditions of its own, and each condition says what it is about.
                let mut seen = object.clone();
                seen["status"] = parent.clone();
                all(&seen, &["Accepted", "ResolvedRefs"], "a Gateway")
            };
            parents.iter().map(judge).find(|readiness| *readiness != Ready).unwrap_or(Ready)
        }
        _ => super::generic(object),
    }
}

fn all(object: &Value, kinds: &[&str], who: &str) -> Readiness {
    let generation = object["metadata"]["generation"].as_u64().unwrap_or(0);
    for kind in kinds {
        let Some(found) = condition(object, kind) else { return Waiting(format!("{who} to accept it")) };
        if found["observedGeneration"].as_u64().is_some_and(|seen| seen < generation) {
            return Waiting("its controller has not looked at the change yet".to_owned());
        }
        if found["status"] != "True" {
            return Waiting(said(found));
        }
    }
    Ready
}
