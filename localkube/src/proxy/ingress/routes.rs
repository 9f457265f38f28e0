//! Where requests go: the rules of all Ingresses of a port, as one table. Nothing here does anything.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/ingress/#the-ingress-resource>

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressBackend};
use kube::ResourceExt;

use crate::proxy::table::{Entry, Key};

/// The rules of one port, best first.
#[derive(Debug, Default)]
pub(super) struct Table {
    rules: Vec<Rule>,
    /// For what no rule speaks of.
    default: Option<Target>,
}

#[derive(Debug)]
struct Rule {
    host: Host,
    path: Path,
    target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Exact(String),
    /// Of `*.example.com`, what is after the star.
    Wildcard(String),
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Path {
    Exact(String),
    /// Without the slash at its end.
    Prefix(String),
}

/// The endpoints behind a rule.
#[derive(Debug, Clone, Default)]
pub(super) struct Target {
    endpoints: Vec<SocketAddr>,
    turn: Arc<AtomicUsize>,
}

impl Target {
    /// All endpoints in the order they are to be tried: each request begins with the next one.
    pub(super) fn order(&self) -> Vec<SocketAddr> {
        let mut list = self.endpoints.clone();
        if !list.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % list.len();
            list.rotate_left(turn);
        }
        list
    }
}

impl Host {
    fn of(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix('*') {
            _ if text.is_empty() => Self::Any,
            Some(rest) => Self::Wildcard(rest.to_owned()),
            None => Self::Exact(text),
        }
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => host == name,
            // The star is one label.
            Self::Wildcard(rest) => {
                host.strip_suffix(rest.as_str()).is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
            Self::Any => true,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Exact(_) => 0,
            Self::Wildcard(_) => 1,
            Self::Any => 2,
        }
    }
}

impl Path {
    fn of(path: &HTTPIngressPath) -> Self {
        let text = path.path.as_deref().unwrap_or("/");
        if path.path_type == "Exact" {
            Self::Exact(text.to_owned())
        } else {
            Self::Prefix(text.trim_end_matches('/').to_owned())
        }
    }

    /// Prefixes are of whole elements: `/a` is one of `/a/b` and none of `/ab`.
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(whole) => path == whole,
            Self::Prefix(start) => {
                path.strip_prefix(start.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }

    /// Longer ones first, of equals the exact one.
    fn rank(&self) -> (std::cmp::Reverse<usize>, bool) {
        match self {
            Self::Exact(path) => (std::cmp::Reverse(path.trim_end_matches('/').len()), false),
            Self::Prefix(path) => (std::cmp::Reverse(path.len()), true),
        }
    }
}

impl Table {
    /// The rules of these Ingresses, oldest first: of two equal rules the older one's counts.
    pub(super) fn new<'a>(ingresses: impl Iterator<Item = &'a Ingress>, services: &BTreeMap<Key, &Entry>) -> Self {
        let mut table = Self::default();
        let mut ingresses: Vec<&Ingress> = ingresses.collect();
        ingresses.sort_by_key(|ingress| {
            (ingress.metadata.creation_timestamp.clone(), ingress.namespace(), ingress.name_any())
        });
        for ingress in ingresses {
            let namespace = ingress.namespace().unwrap_or_default();
            let Some(spec) = &ingress.spec else { continue };
            if let (None, Some(backend)) = (&table.default, &spec.default_backend) {
                table.default = Some(target(&namespace, backend, services));
            }
            for rule in spec.rules.iter().flatten() {
                let host = Host::of(rule.host.as_deref().unwrap_or_default());
                for path in rule.http.iter().flat_map(|http| &http.paths) {
                    let target = target(&namespace, &path.backend, services);
                    table.rules.push(Rule { host: host.clone(), path: Path::of(path), target });
                }
            }
        }
        // Stable: the older ones stay before.
        table.rules.sort_by_key(|rule| (rule.host.rank(), rule.path.rank()));
        table
    }

    /// Where a request goes. `host` may have a port.
    pub(super) fn find(&self, host: &str, path: &str) -> Option<&Target> {
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let host = name.map_or(host, |(name, _)| name).to_ascii_lowercase();
        let rule = self.rules.iter().find(|rule| rule.host.matches(&host) && rule.path.matches(path));
        rule.map(|rule| &rule.target).or(self.default.as_ref())
    }
}

fn target(namespace: &str, backend: &IngressBackend, services: &BTreeMap<Key, &Entry>) -> Target {
    let ports = || {
        let service = backend.service.as_ref()?;
        let entry = services.get(&(namespace.to_owned(), service.name.clone()))?;
        let wanted = service.port.as_ref()?;
        let is_wanted = |port: &&crate::proxy::table::Port| match (&wanted.name, wanted.number) {
            (Some(name), _) if !name.is_empty() => port.name == *name,
            (_, number) => number == Some(i32::from(port.port)),
        };
        Some(entry.ports.iter().find(is_wanted)?.endpoints.clone())
    };
    Target { endpoints: ports().unwrap_or_default(), turn: Arc::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::proxy::table::Port;

    #[test]
    fn the_most_specific_rule_is_taken() {
        let path = |path: &str, kind: &str, port: u16| json!({"path": path, "pathType": kind, "backend": {"service": {"name": "s", "port": {"number": port}}}});
        let ingress: Ingress = serde_json::from_value(json!({
            "metadata": {"name": "i", "namespace": "default"},
            "spec": {
                "defaultBackend": {"service": {"name": "s", "port": {"name": "last"}}},
                "rules": [
                    {"http": {"paths": [path("/", "Prefix", 1), path("/any", "Prefix", 2)]}},
                    {"host": "*.example.com", "http": {"paths": [path("/star", "ImplementationSpecific", 3)]}},
                    {"host": "a.example.com", "http": {"paths": [
                        path("/app/", "Prefix", 4), path("/app/deep", "Prefix", 5), path("/app", "Exact", 6)]}},
                ],
            },
        }))
        .expect("an Ingress");
        let port = |number: u16| Port {
            name: if number == 9 { "last".into() } else { String::new() },
            port: number,
            node_port: None,
            endpoints: vec![SocketAddr::from(([10, 0, 0, 1], number))],
        };
        let entry = Entry { ports: (1..=9).map(port).collect(), ..Entry::default() };
        let services = BTreeMap::from([(("default".to_owned(), "s".to_owned()), &entry)]);
        let table = Table::new([&ingress].into_iter(), &services);
        let found = |host: &str, path: &str| {
            table.find(host, path).and_then(|target| target.order().first().map(SocketAddr::port))
        };
        for (host, path, expected) in [
            ("a.example.com", "/app", 6),
            ("A.EXAMPLE.com:8080", "/app/", 4),
            ("a.example.com", "/app/other", 4),
            ("a.example.com", "/app/deep/er", 5),
            ("a.example.com", "/application", 1),
            ("a.example.com", "/star/light", 3),
            ("a.b.example.com", "/star", 1),
            ("example.com", "/any/thing", 2),
            ("", "/", 1),
        ] {
            assert_eq!(found(host, path), Some(expected), "{host}{path}");
        }
        let only_default: Ingress = serde_json::from_value(json!({"metadata": {"name": "i", "namespace": "default"},
            "spec": {"defaultBackend": {"service": {"name": "s", "port": {"name": "last"}}}}}))
        .expect("an Ingress");
        let table = Table::new([&only_default].into_iter(), &services);
        assert_eq!(table.find("x", "/").map(|target| target.order().len()), Some(1));
        assert!(Table::default().find("x", "/").is_none());
    }
}
