//! How long a pod may be active.

use std::{future::pending, time::Duration};

use jiff::Timestamp;
use tokio::time::sleep;

use super::pod::PodContext;

/// The end of the pod's `activeDeadlineSeconds`, which may be set or shortened while it runs.
pub(super) async fn passed(context: &PodContext) {
    let mut changes = context.latest.clone();
    loop {
        changes.mark_unchanged();
        let seconds = context.pod().spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
        let limit = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let end = async {
            let Some(limit) = limit else { return pending().await };
            let start = context.view.borrow().start.unwrap_or_else(Timestamp::now);
            sleep(limit.saturating_sub(Timestamp::now().duration_since(start).unsigned_abs())).await;
        };
        tokio::select! {
            () = end => return,
            Ok(()) = changes.changed() => {}
            else => return pending().await,
        }
    }
}
