//! Who a client is: the address that connects, or the one that a trusted proxy speaks for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The client's address. Each proxy adds whom it speaks for on the right of `x-forwarded-for`; what is left of the last
/// trusted one could have been written by anybody.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let mut client = plain(peer);
    let trusted = |address: IpAddr| proxies.iter().any(|network| network.contains(&address));
    // Several headers are one list (RFC 9110 section 5.3).
    let values = headers.get_all("x-forwarded-for").into_iter().rev();
    let mut hops = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    while trusted(client) {
        let Some(hop) = hops.next().and_then(parse) else { break };
        client = hop;
    }
    client
}

/// What counts as one client: whoever has an address of IPv6 has all of its network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// An address, which some proxies write with its port.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())).map(plain)
}

/// A socket of both kinds shows the older addresses in the form of the newer ones.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        address(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(seen("192.0.2.1", &["198.51.100.7"]), "192.0.2.1", "a stranger says it");
        assert_eq!(seen("10.1.2.3", &[]), "10.1.2.3");
        assert_eq!(seen("10.1.2.3", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("10.1.2.3", &["6.6.6.6, 198.51.100.7"]), "198.51.100.7", "the client made the left one up");
        assert_eq!(seen("10.1.2.3", &["6.6.6.6, 198.51.100.7,10.9.9.9"]), "198.51.100.7", "two proxies");
        assert_eq!(seen("10.1.2.3", &["6.6.6.6", "198.51.100.7", "10.9.9.9"]), "198.51.100.7", "in several headers");
        assert_eq!(seen("10.1.2.3", &["6.6.6.6, nonsense"]), "10.1.2.3", "up to what can't be read");
        assert_eq!(seen("10.1.2.3", &["10.0.0.1, 10.0.0.2"]), "10.0.0.1", "all of them proxies");
        assert_eq!(seen("::ffff:10.1.2.3", &["198.51.100.7:4711"]), "198.51.100.7", "both written otherwise");
        assert_eq!(seen("2001:db8::1", &["[2001:4860::8]:80"]), "2001:4860::8");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
    }
}
