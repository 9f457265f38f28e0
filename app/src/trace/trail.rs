//! Whose request is under way, for the log, for traces and for those who are asked on its behalf.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceState, Tracer as _},
};
use opentelemetry_sdk::trace::{SdkTracer, Span};

/// The header of a request's id, in requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

tokio::task_local! {
    static TRAIL: Trail;
}

/// The id of a request, and its place in a trace.
#[derive(Debug, Clone)]
pub struct Trail {
    id: HeaderValue,
    /// The span of this service.
    place: SpanContext,
    tracer: Option<SdkTracer>,
}

impl Trail {
    /// The trail of a request that arrives, and its span if traces are made.
    pub fn begin(
        headers: &HeaderMap,
        tracer: Option<&SdkTracer>,
        span: impl FnOnce() -> SpanBuilder,
    ) -> (Self, Option<Span>) {
        let parent = parent(headers);
        let (span, place) = match tracer {
            Some(tracer) => {
                let context = match &parent {
                    Some(parent) => Context::new().with_remote_span_context(parent.clone()),
                    None => Context::new(),
                };
                let span = tracer.build_with_context(span().with_kind(SpanKind::Server), &context);
                let place = span.span_context().clone();
                (Some(span), place)
            }
            None => (None, own(parent)),
        };
        let id = headers.get(REQUEST_ID).filter(|id| usable(id)).cloned();
        // A new trace's id is as good a name as any, and one less to look for.
        let id = id.unwrap_or_else(|| {
            HeaderValue::try_from(format!("{:032x}", place.trace_id())).expect("digits are a header's value")
        });
        (Self { id, place, tracer: tracer.cloned() }, span)
    }

    /// What the answer carries in `x-request-id`.
    pub fn header(&self) -> HeaderValue {
        self.id.clone()
    }

    /// Runs what is done on behalf of the request.
    pub async fn follow<F: Future>(self, work: F) -> F::Output {
        TRAIL.scope(self, work).await
    }

    pub(super) fn request_id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    pub(super) fn trace_id(&self) -> String {
        format!("{:032x}", self.place.trace_id())
    }

    pub(super) fn span_id(&self) -> String {
        format!("{:016x}", self.place.span_id())
    }
}

/// How a request was answered, in its span.
pub fn end(span: Option<Span>, status: StatusCode, took: Duration) {
    let Some(mut span) = span else { return };
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    span.set_attribute(KeyValue::new("app.duration_us", i64::try_from(took.as_micros()).unwrap_or(i64::MAX)));
    // What the client did wrong is no error of ours (OpenTelemetry's conventions for HTTP servers).
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
    span.end();
}

/// Does something on behalf of the request under way as a span of its own, such as asking somebody else. Where no traces
/// are made, or there is no request, it is only done.
pub async fn within<F: Future>(name: &'static str, work: F) -> F::Output {
    let tracer = with(|trail| trail.tracer.clone().map(|tracer| (tracer, trail.clone()))).flatten();
    let Some((tracer, trail)) = tracer else { return work.await };
    let context = Context::new().with_remote_span_context(trail.place.clone());
    let mut span = tracer.build_with_context(SpanBuilder::from_name(name).with_kind(SpanKind::Client), &context);
    let inner = Trail { place: span.span_context().clone(), ..trail };
    let output = TRAIL.scope(inner, work).await;
    span.end();
    output
}

/// Gives a request to somebody else the id and the place in the trace of the one under way.
pub fn propagate(headers: &mut HeaderMap) {
    with(|trail| {
        let place = &trail.place;
        let flags = place.trace_flags().to_u8();
        let traceparent = format!("00-{:032x}-{:016x}-{flags:02x}", place.trace_id(), place.span_id());
        headers.insert(TRACEPARENT, HeaderValue::try_from(traceparent).expect("digits are a header's value"));
        if let Ok(state) = HeaderValue::try_from(place.trace_state().header())
            && !state.is_empty()
        {
            headers.insert(TRACESTATE, state);
        }
        headers.insert(REQUEST_ID, trail.id.clone());
    });
}

pub(super) fn with<T>(look: impl FnOnce(&Trail) -> T) -> Option<T> {
    TRAIL.try_with(look).ok()
}

/// An id ends up in logs and in other services' headers: short, and nothing but what ids are made of.
fn usable(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(byte);
    !bytes.is_empty() && bytes.len() <= 128 && bytes.iter().all(plain)
}

/// A place in the trace for a service that makes none itself: what it logs can still be found by the trace's id.
fn own(parent: Option<SpanContext>) -> SpanContext {
    let span = SpanId::from(fastrand::u64(1..));
    match parent {
        Some(parent) => {
            let state = parent.trace_state().clone();
            SpanContext::new(parent.trace_id(), span, parent.trace_flags(), false, state)
        }
        None => {
            let trace = TraceId::from(fastrand::u128(1..));
            SpanContext::new(trace, span, TraceFlags::NOT_SAMPLED, false, TraceState::NONE)
        }
    }
}

/// <https://www.w3.org/TR/trace-context/#traceparent-header>: what is malformed is as if it were not there.
fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let text = given.next()?.to_str().ok()?;
    if given.next().is_some() || !text.is_ascii() {
        return None;
    }
    let lower = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let sizes = (version.len(), trace.len(), span.len(), flags.len()) == (2, 32, 16, 2);
    // Later versions may have more parts, this one has not.
    if !sizes || ![version, trace, span, flags].into_iter().all(lower) || version == "ff" {
        return None;
    }
    if version == "00" && parts.next().is_some() {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & 1);
    let states: Vec<_> = headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let state = states.join(",").parse().unwrap_or(TraceState::NONE);
    let context = SpanContext::new(TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?, flags, true, state);
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::try_from(*value).unwrap()))
            .collect()
    }

    fn begin(pairs: &[(&'static str, &str)]) -> Trail {
        Trail::begin(&headers(pairs), None, || SpanBuilder::from_name("request")).0
    }

    #[test]
    fn a_trace_goes_on_and_what_is_malformed_begins_a_new_one() {
        let trail = begin(&[("traceparent", GIVEN)]);
        assert_eq!(trail.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(trail.span_id(), "00f067aa0ba902b7");
        assert!(
            begin(&[("traceparent", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later")])
                .trace_id()
                .starts_with("4bf9")
        );
        for malformed in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert!(!begin(&[("traceparent", malformed)]).trace_id().starts_with("4bf"), "{malformed}");
        }
    }

    #[test]
    fn an_id_is_kept_when_it_is_one() {
        assert_eq!(begin(&[("x-request-id", "a-1_b.2")]).request_id(), "a-1_b.2");
        for bad in ["", "a b", "a\"b", "{}", &"x".repeat(129)] {
            let trail = begin(&[("x-request-id", bad)]);
            assert_eq!(trail.request_id(), trail.trace_id(), "{bad}");
        }
    }

    #[tokio::test]
    async fn others_are_told() {
        let trail = begin(&[("traceparent", GIVEN), ("tracestate", "a=1"), ("x-request-id", "mine")]);
        let expected = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", trail.span_id());
        let told = trail.follow(async {
            let mut headers = HeaderMap::new();
            within("asks", async { propagate(&mut headers) }).await;
            headers
        });
        let told = told.await;
        assert_eq!(told["traceparent"], expected);
        assert_eq!(
            (&told["tracestate"], &told["x-request-id"]),
            (&HeaderValue::from_static("a=1"), &HeaderValue::from_static("mine"))
        );
        let mut headers = HeaderMap::new();
        propagate(&mut headers);
        assert!(headers.is_empty());
    }
}
