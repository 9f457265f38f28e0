//! How often one client may ask.

use std::time::Duration;

use ipnet::IpNet;

use super::Reader;

/// Its limit for each client; none while `RATE_LIMIT` is not set.
#[derive(Debug, Clone)]
pub struct Rate {
    /// `RATE_LIMIT`: how often in the long run, as in `50/s` or `600/m`: the time between two requests.
    pub interval: Option<Duration>,
    /// `RATE_BURST`: how many at once, by default 100.
    pub burst: u32,
    /// `TRUSTED_PROXIES`: addresses and networks separated by commas, whose `x-forwarded-for` is believed; by default
    /// none, and the client is who connects.
    pub proxies: Vec<IpNet>,
}

impl Rate {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let what = "a number of requests from 1 to 1000000 for each second or minute, such as 50/s or 600/m";
        Self {
            interval: read.optional("RATE_LIMIT", what, interval),
            burst: read.number("RATE_BURST", "100", 1, 1_000_000),
            proxies: read
                .optional("TRUSTED_PROXIES", "addresses or networks such as 10.0.0.0/8, separated by commas", |text| {
                    text.split(',').map(|network| self::network(network.trim())).collect()
                })
                .unwrap_or_default(),
        }
    }
}

fn interval(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_once('/')?;
    let number: u32 = number.parse().ok().filter(|number| (1..=1_000_000).contains(number))?;
    let unit = Duration::from_secs(match unit {
        "s" => 1,
        "m" => 60,
        _ => return None,
    });
    Some(unit / number)
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?)))
}
