//! `address`: how those outside the cluster reach the service.

use super::{Address, Through, fields::Section};

/// Reads the section.
pub(super) fn address(mut keys: Section<'_>) -> Address {
    const WAYS: [(&str, Through); 4] = [
        ("auto", Through::Auto),
        ("load-balancer", Through::LoadBalancer),
        ("ingress", Through::Ingress),
        ("port-forward", Through::PortForward),
    ];
    let address = Address {
        through: keys.field("through").choice(&WAYS).unwrap_or(Through::Auto),
        port: keys.field("port").text().map(str::to_owned),
        host: keys.field("host").checked(host),
        url: keys.field("url").checked(url),
    };
    keys.end();
    address
}

fn host(text: &str) -> Result<(), String> {
    let fits = !text.is_empty() && !text.contains(['/', ':', '*', ' ']);
    if fits { Ok(()) } else { Err(format!("`{text}` is not the name of a host")) }
}

fn url(text: &str) -> Result<(), String> {
    let uri: http::Uri = text.parse().map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    let bare = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
    match uri.scheme_str() {
        Some("http" | "https") if bare && !text.contains('@') => Ok(()),
        _ => Err(format!("`{text}` is not a URL like https://example.com, without a path")),
    }
}
