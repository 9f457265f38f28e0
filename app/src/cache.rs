//! What the other service has answered, remembered in the process and in a Redis that processes share.

mod shared;

use std::sync::Arc;

use moka::future::Cache;

use crate::{config, metrics::Metrics, upcase::Failure};
use shared::Shared;

/// What an entry takes beside its texts, about.
const OVERHEAD: usize = 128;

/// Both caches.
#[derive(Debug)]
pub struct Cached {
    local: Cache<String, Arc<str>>,
    shared: Option<Shared>,
    metrics: Metrics,
}

impl Cached {
    /// As configured. Redis is connected to when it is needed first.
    pub fn new(config: &config::Cache, metrics: Metrics) -> Self {
        let local = Cache::builder()
            .weigher(|key: &String, value: &Arc<str>| {
                u32::try_from(key.len() + value.len() + OVERHEAD).unwrap_or(u32::MAX)
            })
            .max_capacity(config.size as u64)
            .time_to_live(config.ttl)
            .build();
        Self { local, shared: config.redis.as_ref().map(|url| Shared::new(url, config)), metrics }
    }

    /// What is remembered for a text, or what is found out. Whoever asks the same meanwhile waits for the same answer.
    ///
    /// # Errors
    /// When it can't be found out; that is not remembered.
    pub async fn get<F: Future<Output = Result<String, Failure>>>(
        &self,
        text: &str,
        find: impl FnOnce() -> F,
    ) -> Result<Arc<str>, Failure> {
        let mut known_here = true;
        let found = async {
            known_here = false;
            let Some(shared) = &self.shared else { return find().await.map(Arc::from) };
            let known = shared.get(text).await;
            self.metrics.cache("redis", if known.is_some() { "hit" } else { "miss" });
            if let Some(known) = known {
                return Ok(Arc::from(known));
            }
            let found: Arc<str> = find().await?.into();
            shared.put(text, found.clone());
            Ok(found)
        };
        let found = self.local.try_get_with_by_ref(text, found).await;
        // Who waits for the answer that another waits for asks nobody either.
        self.metrics.cache("memory", if known_here { "hit" } else { "miss" });
        found.map_err(|failure: Arc<Failure>| (*failure).clone())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use futures::future::join_all;

    use super::*;

    fn cached(settings: &[(&str, &str)]) -> Cached {
        let get = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Cached::new(&config::Config::parse(get).unwrap().cache, Metrics::new("test"))
    }

    #[tokio::test]
    async fn a_crowd_asks_once_and_a_failure_is_forgotten() {
        let (cached, asked) = (cached(&[]), AtomicU32::new(0));
        let find = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok("A".to_owned())
        };
        let answers = join_all((0..100).map(|_| cached.get("a", find))).await;
        assert!(answers.iter().all(|answer| answer.as_deref().unwrap() == "A"));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert!(cached.get("b", || async { Err(Failure::Slow) }).await.is_err());
        assert_eq!(&*cached.get("b", || async { Ok("B".to_owned()) }).await.unwrap(), "B");
    }

    #[tokio::test]
    async fn it_is_bounded_by_bytes() {
        let cached = cached(&[("CACHE_SIZE", "64KiB")]);
        for number in 0..1000 {
            cached.get(&format!("{number:01000}"), || async { Ok("x".repeat(1000)) }).await.unwrap();
        }
        cached.local.run_pending_tasks().await;
        assert!(cached.local.weighted_size() <= 65536);
        assert!(cached.local.entry_count() > 10);
    }
}
