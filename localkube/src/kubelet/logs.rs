//! A container's output, as `GET …/pods/NAME/log` serves it.

use bollard::{
    Docker,
    query_parameters::{ListContainersOptions, LogsOptions},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, future, stream};
use jiff::Timestamp;

use super::{images, names};

/// What of a log is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Go on as long as the container runs.
    pub follow: bool,
    /// Of the container before the last restart.
    pub previous: bool,
    /// Each line with its time.
    pub timestamps: bool,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// This many lines from the end.
    pub tail: Option<i64>,
    /// This many bytes.
    pub limit: Option<i64>,
}

/// Why there is no log, in the kubelet's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The container hasn't been started: 400, the container is waiting.
    NotStarted,
    /// There was no container before this one: 400.
    NoPrevious,
    /// The engine failed: 500, its words.
    Engine(String),
}

/// The output of a pod's container, both streams in the order they were written.
///
/// # Errors
/// [`Missing`] says why there is none.
pub async fn logs(
    docker: &Docker,
    cluster_id: &str,
    pod_uid: &str,
    container: &str,
    wanted: &Wanted,
) -> Result<impl Stream<Item = Bytes> + Send + 'static, Missing> {
    let id = find(docker, cluster_id, pod_uid, container, wanted.previous).await?;
    let since = wanted.since.map_or(0, |since| i32::try_from(since.as_second()).unwrap_or(i32::MAX));
    let options = LogsOptions {
        follow: wanted.follow && !wanted.previous,
        stdout: true,
        stderr: true,
        since,
        // Lines are cut by time here, as the engine takes whole seconds.
        timestamps: wanted.timestamps || wanted.since.is_some(),
        tail: wanted.tail.map_or_else(|| "all".to_owned(), |lines| lines.max(0).to_string()),
        ..Default::default()
    };
    let (since, shown) = (wanted.since, wanted.timestamps);
    let lines =
        docker.logs(&id, Some(options)).take_while(|part| future::ready(part.is_ok())).filter_map(move |part| {
            let line = part.ok().map(bollard::container::LogOutput::into_bytes);
            future::ready(line.and_then(|line| cut(line, since, shown)))
        });
    Ok(limit(lines, wanted.limit))
}

async fn find(
    docker: &Docker,
    cluster_id: &str,
    uid: &str,
    container: &str,
    previous: bool,
) -> Result<String, Missing> {
    let filters = names::filter(&[(names::CLUSTER, cluster_id), (names::POD_UID, uid), (names::CONTAINER, container)]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let list = docker.list_containers(Some(options)).await.map_err(|error| Missing::Engine(images::words(&error)))?;
    let mut attempts: Vec<(i32, String)> = list
        .into_iter()
        .filter_map(|summary| {
            let attempt = summary.labels.as_ref()?.get(names::ATTEMPT)?.parse().ok()?;
            let made_only = summary.state.is_some_and(|state| state.to_string() == "created");
            (!made_only).then_some((attempt, summary.id?))
        })
        .collect();
    attempts.sort_unstable();
    let newest = attempts.pop();
    match (newest, previous) {
        (None, _) => Err(Missing::NotStarted),
        (Some((_, id)), false) => Ok(id),
        (Some(_), true) => attempts.pop().map(|(_, id)| id).ok_or(Missing::NoPrevious),
    }
}

/// A line if it is late enough, with its time if that is wanted.
fn cut(line: Bytes, since: Option<Timestamp>, shown: bool) -> Option<Bytes> {
    let Some(since) = since else { return Some(line) };
    let space = line.iter().position(|byte| *byte == b' ')?;
    let time: Option<Timestamp> = std::str::from_utf8(&line[..space]).ok().and_then(|text| text.parse().ok());
    if time.is_some_and(|time| time < since) {
        return None;
    }
    Some(if shown { line } else { line.slice(space + 1..) })
}

/// The first bytes of a stream.
fn limit<S>(lines: S, limit: Option<i64>) -> impl Stream<Item = Bytes> + Send + 'static
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    let left = limit.map(|limit| usize::try_from(limit.max(0)).unwrap_or(usize::MAX));
    stream::unfold((Box::pin(lines), left), |(mut lines, left)| async move {
        if left == Some(0) {
            return None;
        }
        let mut line = lines.next().await?;
        let left = left.map(|left| {
            line.truncate(left);
            left - line.len()
        });
        Some((line, (lines, left)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn limits_bytes_in_the_middle_of_a_line() {
        let lines = stream::iter(["one\n", "two\n", "three\n"].map(|line| Bytes::from_static(line.as_bytes())));
        let got: Vec<Bytes> = limit(lines, Some(6)).collect().await;
        assert_eq!(got.concat(), b"one\ntw");
    }

    #[test]
    fn cuts_by_time_to_the_nanosecond() {
        let line = Bytes::from_static(b"2026-01-02T03:04:05.000000002Z hello world\n");
        let at = |nanos: i64| {
            Some("2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_nanos(nanos))
        };
        assert_eq!(cut(line.clone(), at(3), false), None);
        assert_eq!(cut(line.clone(), at(2), false).unwrap(), "hello world\n");
        assert_eq!(cut(line.clone(), at(1), true).unwrap(), line);
    }
}
