//! Which addresses connections are being sent to: a pod that leaves waits until its own is not among them, so that
//! nothing is sent to a process that has been told to stop.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use tokio::sync::watch;

/// The addresses that connections are sent to now. Clones share the record.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    addresses: Arc<watch::Sender<HashSet<IpAddr>>>,
}

impl Traffic {
    /// Replaces the record, once the change is in effect.
    pub(super) fn set(&self, addresses: HashSet<IpAddr>) {
        self.addresses.send_if_modified(|known| {
            let changed = *known != addresses;
            *known = addresses;
            changed
        });
    }

    /// Adds to the record.
    pub(super) fn add(&self, addresses: HashSet<IpAddr>) {
        self.addresses.send_modify(|known| known.extend(addresses));
    }

    /// Waits until no connection is sent to the address.
    pub(crate) async fn left(&self, address: IpAddr) {
        // The sender lives as long as self.
        let _ = self.addresses.subscribe().wait_for(|addresses| !addresses.contains(&address)).await;
    }
}
