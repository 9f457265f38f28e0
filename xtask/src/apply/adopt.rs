//! What client-side `kubectl apply` owned becomes ours, so that a field that leaves the manifests leaves the object.
//!
//! kubectl itself does the same when somebody goes over to `--server-side`
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#migration-between-client-side-and-server-side-apply>).

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    error::{Error, Result},
    plan::{ObjectRef, managers, request, wire::Place},
};

/// How often the owners are written when somebody else writes meanwhile.
const ATTEMPTS: usize = 5;

/// Writes the owners anew; the values stay.
pub(super) async fn adopt(place: Place<'_>, object: &ObjectRef) -> Result<()> {
    let doing = || format!("take {object} over from kubectl apply");
    for _ in 0..ATTEMPTS {
        let live = place.get(&object.name).await.map_err(|error| request::failed(doing(), &error))?;
        let Some(live) = live else { return Ok(()) };
        let metadata = &live["metadata"];
        let Some(entries) = metadata["managedFields"].as_array() else { return Ok(()) };
        if !entries.iter().any(managers::is_client_side) {
            return Ok(());
        }
        let operations: Value = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": managers::adopted(entries)},
        ]);
        let patch = serde_json::from_value(operations).map_err(|error| Error::failed(doing()).source(&error))?;
        let patch = Patch::<()>::Json(patch);
        match place.patch(&object.name, &PatchParams::default(), &patch).await {
            Ok(()) => return Ok(()),
            // The test failed: it was written between our two requests.
            Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => {}
            Err(error) => return Err(request::failed(doing(), &error)),
        }
    }
    Err(Error::failed(doing()).cause("it changes faster than it can be written").hint("run the same command again"))
}
