//! One line of the log.

use std::{fmt, io};

use serde::{Serializer as _, ser::SerializeMap as _};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

use super::trail;

/// Time, level, what the event says, and the request that it is about. tracing-subscriber's own JSON has that of spans
/// only, which cost every request, whether it logs anything or not.
pub(super) struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Vec::with_capacity(512);
        write(&mut line, event).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", String::from_utf8_lossy(&line))
    }
}

fn write(line: &mut Vec<u8>, event: &Event<'_>) -> io::Result<()> {
    let mut now = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut now));
    let mut serializer = serde_json::Serializer::new(line);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("timestamp", &now)?;
    map.serialize_entry("level", event.metadata().level().as_str())?;
    let mut visitor = tracing_serde::SerdeMapVisitor::new(map);
    event.record(&mut visitor);
    let mut map = visitor.take_serializer()?;
    trail::with(|trail| {
        map.serialize_entry("request_id", trail.request_id())?;
        map.serialize_entry("trace_id", &trail.trace_id())?;
        map.serialize_entry("span_id", &trail.span_id())
    })
    .transpose()?;
    map.serialize_entry("target", event.metadata().target())?;
    map.end()?;
    Ok(())
}
