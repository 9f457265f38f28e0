//! Watches: a stream of events, one JSON object a line.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use rand::Rng as _;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};

use super::{
    convert,
    negotiate::{View, accept},
    options,
    request::Call,
    respond,
    selector::Selection,
    table,
};
use crate::{
    status::{FieldErrorKind, Status},
    store::{Event, EventKind, ReadError, Stored},
};

/// How often a quiet watch says how far it is.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How many lines may wait for a slow reader before the watch waits for it.
const LINES: usize = 64;

struct Watch {
    call: Call,
    selection: Selection,
    view: View,
    bookmarks: bool,
    /// Events up to this resourceVersion are behind.
    revision: u64,
    /// Before the first event: the objects there are.
    initial: Option<Vec<Arc<Stored>>>,
    announce_initial_end: bool,
    /// The column definitions went out with the first table.
    columns_sent: bool,
    end: Instant,
    lines: mpsc::Sender<Bytes>,
}

/// Why a watch ends.
struct Ended;

/// Starts a watch.
pub(super) fn serve(call: &Call) -> Result<Response, Status> {
    let representation = accept(&call.headers, false)?;
    let selection = Selection::of(call)?;
    let initial_events = initial_events(call)?;
    let timeout = options::integer(&call.query, "timeoutSeconds")?.filter(|seconds| *seconds > 0);
    // The API server spreads its default timeout so that watches don't all return at once.
    let timeout = timeout.unwrap_or_else(|| rand::rng().random_range(1800..3600));
    let asked = call.query.get("resourceVersion").map(options::revision).transpose();
    let asked = asked.map_err(|message| Status::new(500, "", message))?;
    let (revision, initial) = match asked {
        Some(revision) if revision > 0 && !initial_events => (revision, None),
        _ => {
            let snapshot = call.server.store.list(&call.resource.storage, call.namespace.as_deref());
            if let Some(asked) = asked.filter(|asked| *asked > snapshot.revision) {
                return Err(options::too_large_version(asked, snapshot.revision));
            }
            (snapshot.revision, Some(snapshot.objects))
        }
    };
    let (lines, mut received) = mpsc::channel(LINES);
    let watch = Watch {
        selection,
        view: representation.view,
        bookmarks: call.query.flag("allowWatchBookmarks"),
        revision,
        initial,
        announce_initial_end: initial_events,
        columns_sent: false,
        end: Instant::now() + Duration::from_secs(timeout.unsigned_abs()),
        lines,
        call: call.detached(),
    };
    tokio::spawn(watch.run());
    let stream = futures::stream::poll_fn(move |context| {
        received.poll_recv(context).map(|line| line.map(Ok::<_, std::convert::Infallible>))
    });
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Ok(response)
}

/// KEP-3157: whether the watch begins with the objects there are and says where they end.
fn initial_events(call: &Call) -> Result<bool, Status> {
    let forbidden =
        |field: &str, message: &str| options::invalid("ListOptions", field, FieldErrorKind::Forbidden, message);
    let matching = call.query.get("resourceVersionMatch");
    if call.query.get("sendInitialEvents").is_none() {
        return match matching {
            Some(_) => Err(forbidden(
                "resourceVersionMatch",
                "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )),
            None => Ok(false),
        };
    }
    match matching {
        Some("NotOlderThan") => Ok(call.query.flag("sendInitialEvents")),
        Some(other) => {
            Err(options::not_supported("ListOptions", "resourceVersionMatch", &format!("{other:?}"), &["NotOlderThan"]))
        }
        None => Err(forbidden(
            "resourceVersionMatch",
            "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )),
    }
}

impl Watch {
    async fn run(mut self) {
        // The receiver first, then the look at the history: what comes between is seen by both, never by neither.
        let mut changes = self.call.server.store.changes(&self.call.resource.storage);
        if self.begin().await.is_err() {
            return;
        }
        let stopping = self.call.server.stopping.clone();
        let mut bookmark = Instant::now() + BOOKMARK_INTERVAL;
        loop {
            if self.send_news().await.is_err() {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(bookmark), if self.bookmarks => {
                    bookmark = Instant::now() + BOOKMARK_INTERVAL;
                    if self.send_bookmark(false).await.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep_until(self.end) => return,
                () = self.lines.closed() => return,
                () = stopping.cancelled() => return,
            }
        }
    }

    async fn begin(&mut self) -> Result<(), Ended> {
        for object in self.initial.take().unwrap_or_default() {
            if self.selection.matches(&object) {
                self.send("ADDED", &object).await?;
            }
        }
        if self.announce_initial_end { self.send_bookmark(true).await } else { Ok(()) }
    }

    async fn send_news(&mut self) -> Result<(), Ended> {
        let events = self.call.server.store.events_after(&self.call.resource.storage, self.revision);
        let (events, newest) = match events {
            Ok(news) => news,
            // A watch from the future waits until it is there.
            Err(ReadError::Future(_)) => return Ok(()),
            Err(ReadError::Expired(oldest)) => {
                let message = format!("too old resource version: {} ({oldest})", self.revision);
                self.send_value("ERROR", &Status::new(410, "Expired", message).to_value()).await?;
                return Err(Ended);
            }
        };
        for event in events {
            self.send_event(&event).await?;
        }
        self.revision = newest;
        Ok(())
    }

    async fn send_event(&mut self, event: &Event) -> Result<(), Ended> {
        let object = &event.object;
        let inside = |object: &Stored| match &self.call.namespace {
            Some(namespace) => object.key.namespace == *namespace,
            None => true,
        };
        if !inside(object) {
            return Ok(());
        }
        let now = event.kind != EventKind::Deleted && self.selection.matches(object);
        let before = event.previous.as_ref().filter(|previous| self.selection.matches(previous));
        match (before, now) {
            (None, false) => Ok(()),
            (None, true) => self.send("ADDED", object).await,
            (Some(_), true) => self.send("MODIFIED", object).await,
            (Some(_), false) if event.kind == EventKind::Deleted => self.send("DELETED", object).await,
            (Some(before), false) => {
                // It left the selection: shown as it last was in it, at the resourceVersion at which it left.
                let mut value = convert::shown(&self.call.resource, before);
                value["metadata"]["resourceVersion"] = object.revision.to_string().into();
                self.send_object("DELETED", value).await
            }
        }
    }

    async fn send(&mut self, kind: &str, object: &Stored) -> Result<(), Ended> {
        if self.view != View::Object {
            return self.send_object(kind, convert::shown(&self.call.resource, object)).await;
        }
        let object = respond::enveloped(&self.call.resource, object);
        let mut line = Vec::with_capacity(object.len() + 40);
        line.extend_from_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
        line.extend_from_slice(&object);
        line.extend_from_slice(b"}\n");
        self.send_line(line.into()).await
    }

    async fn send_object(&mut self, kind: &str, object: Value) -> Result<(), Ended> {
        let shown = match self.view {
            View::Object => object,
            View::Partial => respond::partial(&object),
            View::Table => {
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let mut table = match table::of_objects(&self.call, std::slice::from_ref(&object), metadata) {
                    Ok(table) => table,
                    Err(status) => {
                        self.send_value("ERROR", &status.to_value()).await?;
                        return Err(Ended);
                    }
                };
                if self.columns_sent {
                    table["columnDefinitions"] = Value::Null;
                }
                self.columns_sent = true;
                table
            }
        };
        self.send_value(kind, &shown).await
    }

    async fn send_bookmark(&mut self, initial_end: bool) -> Result<(), Ended> {
        let mut metadata = json!({"resourceVersion": self.revision.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let resource = &self.call.resource;
        let object = json!({"kind": resource.kind, "apiVersion": resource.api_version(), "metadata": metadata});
        self.send_value("BOOKMARK", &object).await
    }

    async fn send_value(&mut self, kind: &str, object: &Value) -> Result<(), Ended> {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.send_line(line.into()).await
    }

    async fn send_line(&mut self, line: Bytes) -> Result<(), Ended> {
        let stopping = self.call.server.stopping.clone();
        // A reader that has stalled must not keep the watch beyond its end.
        tokio::select! {
            sent = self.lines.send(line) => sent.map_err(|_| Ended),
            () = tokio::time::sleep_until(self.end) => Err(Ended),
            () = stopping.cancelled() => Err(Ended),
        }
    }
}
