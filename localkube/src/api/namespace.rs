//! The admission of namespaces: nothing comes into one that is not there or is being deleted.

use serde_json::json;

use super::request::Call;
use crate::{status::Status, store::Key};

/// These are always there.
pub(super) const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Whether an object may be created in the request's namespace.
pub(super) fn admit(call: &Call, name: &str) -> Result<(), Status> {
    let Some(namespace) = call.namespace.as_deref() else { return Ok(()) };
    let Some(found) = call.server.store.get(&key(namespace)) else {
        return Err(not_found(namespace));
    };
    if found.value()["status"]["phase"] == "Terminating" {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut status = Status::forbidden(&call.resource, name, &why);
        if let Some(details) = &mut status.details {
            details["causes"] = json!([{
                "reason": "NamespaceTerminating",
                "message": format!("namespace {namespace} is being terminated"),
                "field": "metadata.namespace",
            }]);
        }
        return Err(status);
    }
    Ok(())
}

/// Where a Namespace is stored.
pub(super) fn key(name: &str) -> Key {
    Key { resource: "namespaces".to_owned(), namespace: String::new(), name: name.to_owned() }
}

fn not_found(namespace: &str) -> Status {
    Status::new(404, "NotFound", format!("namespaces \"{namespace}\" not found"))
        .with_details(json!({"name": namespace, "kind": "namespaces"}))
}
