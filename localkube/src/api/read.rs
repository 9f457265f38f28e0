//! Get and list.

use std::sync::Arc;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    convert,
    negotiate::{Encoding, View, accept},
    options::{self, Version},
    request::Call,
    respond,
    selector::Selection,
    table,
};
use crate::{
    status::Status,
    store::{ReadError, Snapshot, Stored},
};

/// One object.
pub(super) fn get(call: &Call) -> Result<Response, Status> {
    accept(&call.headers, false)?;
    if let Some(text) = call.query.get("resourceVersion") {
        let revision =
            options::revision(text).map_err(|why| Status::bad_request(format!("invalid resource version: {why}")))?;
        not_in_the_future(call, revision)?;
    }
    respond::stored(call, 200, &*found(call)?)
}

/// The object that the path names.
pub(super) fn found(call: &Call) -> Result<Arc<Stored>, Status> {
    let name = call.name.as_deref().unwrap_or_default();
    call.server.store.get(&call.key()).ok_or_else(|| Status::not_found(&call.resource, name))
}

/// The objects of a kind.
pub(super) fn list(call: &Call) -> Result<Response, Status> {
    accept(&call.headers, true)?;
    let selection = Selection::of(call)?;
    let limit = options::limit(&call.query)?;
    let page = Page::parse(call)?;
    let snapshot = snapshot(call, page.as_ref())?;
    let revision = snapshot.revision;
    let after = |object: &Arc<Stored>| match &page {
        None => true,
        Some(page) => (object.key.namespace.as_str(), object.key.name.as_str()) > (&page.namespace, &page.name),
    };
    let mut rest = snapshot.objects.into_iter().filter(after);
    let mut objects = Vec::new();
    let mut more = None;
    while let Some(object) = rest.next() {
        // As the API server does, a full page ends before it is known whether what follows matches.
        if limit.is_some_and(|limit| objects.len() == limit) {
            more = Some(1 + rest.by_ref().count());
            break;
        }
        if selection.matches(&object) {
            objects.push(object);
        }
    }
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    let objects_only = accept(&call.headers, true)?.view == View::Object;
    if call.resource.custom.is_some() && objects_only {
        // Lists of custom objects are maps, not Go structs that leave it out.
        metadata["continue"] = "".into();
    }
    if let (Some(remaining), Some(last)) = (more, objects.last()) {
        metadata["continue"] = Page::token(revision, last).into();
        if selection.is_empty() {
            metadata["remainingItemCount"] = remaining.into();
        }
    }
    shown(call, &objects, metadata)
}

/// The response of a list.
pub(super) fn shown(call: &Call, objects: &[Arc<Stored>], metadata: Value) -> Result<Response, Status> {
    let representation = accept(&call.headers, true)?;
    let resource = &call.resource;
    let values = || objects.iter().map(|object| convert::shown(resource, object)).collect::<Vec<_>>();
    let body = match representation.view {
        View::Table => table::of_objects(call, &values(), metadata)?,
        View::Partial => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "items": values().iter().map(respond::partial).collect::<Vec<_>>(),
        }),
        View::Object if representation.encoding == Encoding::Json && !convert::needed(resource) => {
            let head = json!({"kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(), "metadata": metadata});
            return Ok(respond::json(200, joined(&head.to_string(), objects)));
        }
        View::Object => {
            let mut items = values();
            // Items of a list carry neither; the list says what they are. Those of custom kinds do.
            let plain = items.iter_mut().filter(|_| resource.custom.is_none());
            for fields in plain.filter_map(Value::as_object_mut) {
                fields.remove("kind");
                fields.remove("apiVersion");
            }
            let custom = resource.custom.as_ref().map(|custom| custom.list_kind.clone());
            json!({
                "kind": custom.unwrap_or_else(|| format!("{}List", resource.kind)),
                "apiVersion": resource.api_version(),
                "metadata": metadata,
                "items": items,
            })
        }
    };
    Ok(respond::encoded(200, representation.encoding, &body))
}

/// The list without parsing its items: the head's closing brace makes place for them.
fn joined(head: &str, objects: &[Arc<Stored>]) -> Vec<u8> {
    let size: usize = objects.iter().map(|object| object.json.len() + 1).sum();
    let mut text = Vec::with_capacity(head.len() + size + 16);
    text.extend_from_slice(&head.as_bytes()[..head.len() - 1]);
    text.extend_from_slice(b",\"items\":[");
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&object.json);
    }
    text.extend_from_slice(b"]}");
    text
}

fn snapshot(call: &Call, page: Option<&Page>) -> Result<Snapshot, Status> {
    let store = &call.server.store;
    let namespace = call.namespace.as_deref();
    let exact = |revision: u64| {
        store.list_at(&call.resource.storage, namespace, revision).map_err(|error| match error {
            ReadError::Future(newest) => options::too_large_version(revision, newest),
            ReadError::Expired(_) if page.is_some() => Status::new(
                410,
                "Expired",
                "The provided continue parameter is too old to display a consistent list result. You can start a new \
                 list without the continue parameter.",
            ),
            ReadError::Expired(_) => {
                Status::new(410, "Expired", "The resourceVersion for the provided list is too old.")
            }
        })
    };
    let version = options::list_version(&call.query)?;
    match (page, version) {
        (Some(page), _) => exact(page.revision),
        (None, Version::Exact(revision)) => exact(revision),
        (None, Version::AtLeast(revision)) => {
            not_in_the_future(call, revision)?;
            Ok(store.list(&call.resource.storage, namespace))
        }
        (None, Version::Newest) => Ok(store.list(&call.resource.storage, namespace)),
    }
}

fn not_in_the_future(call: &Call, revision: u64) -> Result<(), Status> {
    let newest = call.server.store.revision();
    if revision > newest { Err(options::too_large_version(revision, newest)) } else { Ok(()) }
}

/// Where a list goes on: after an object, as of the first page's resourceVersion.
struct Page {
    revision: u64,
    namespace: String,
    name: String,
}

impl Page {
    /// The token is what the API server's is: base64url of JSON, opaque to clients.
    fn token(revision: u64, last: &Stored) -> String {
        let start = format!("{}/{}", last.key.namespace, last.key.name);
        let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn parse(call: &Call) -> Result<Option<Self>, Status> {
        const LENIENT: GeneralPurpose = GeneralPurpose::new(
            &base64::alphabet::URL_SAFE,
            base64::engine::GeneralPurposeConfig::new()
                .with_decode_allow_trailing_bits(true)
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
        );
        let Some(token) = call.query.get("continue") else { return Ok(None) };
        let bad =
            |why: String| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = LENIENT.decode(token).map_err(|error| bad(error.to_string()))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|error| bad(go_syntax_error(&bytes, &error)))?;
        let start = token["start"].as_str().and_then(|start| start.split_once('/'));
        let (Some(revision), Some((namespace, name))) = (token["rv"].as_u64(), start) else {
            return Err(bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned()));
        };
        Ok(Some(Self { revision, namespace: namespace.to_owned(), name: name.to_owned() }))
    }
}

/// Go's decoder names the first byte that cannot begin a value.
fn go_syntax_error(bytes: &[u8], error: &serde_json::Error) -> String {
    match bytes.first() {
        None => "unexpected end of JSON input".to_owned(),
        Some(byte) if !b"{[\"tfn-0123456789 \t\r\n".contains(byte) => {
            let shown = if byte.is_ascii_graphic() { char::from(*byte).to_string() } else { format!("\\u{byte:04x}") };
            format!("invalid character '{shown}' looking for beginning of value")
        }
        Some(_) => error.to_string(),
    }
}
