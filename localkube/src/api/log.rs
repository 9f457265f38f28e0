//! The output of a pod's containers.

use axum::{body::Body, response::Response};
use futures::StreamExt as _;
use http::{HeaderValue, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{options, read, request::Call, respond};
use crate::{
    kubelet::{self, Missing, Wanted},
    status::{FieldErrorKind, Status},
};

/// GET of `pods/NAME/log`.
pub(super) async fn serve(call: &Call) -> Result<Response, Status> {
    let pod = read::found(call)?.value();
    let wanted = wanted(call)?;
    let container = container(call, &pod)?;
    if pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
        // Not on any node yet, so there is nobody to ask: the API server answers with nothing.
        return Ok(respond::text(200, ""));
    }
    let Some(node) = call.server.node.get() else {
        return Err(Status::internal("the node's container engine does not answer: is Docker running?"));
    };
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let lines = kubelet::logs(&node.docker, &node.cluster_id, uid, &container, &wanted).await;
    let lines = lines.map_err(|missing| refusal(&pod, &container, missing))?;
    // A log that is followed goes on as long as its container, which must not hold up the end of this process.
    let stopping = call.server.stopping.clone();
    let lines = lines.take_until(async move { stopping.cancelled().await });
    let mut response = Response::new(Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>)));
    let text = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Ok(response)
}

fn wanted(call: &Call) -> Result<Wanted, Status> {
    let query = &call.query;
    let number = |name: &str, least: i64| -> Result<Option<i64>, Status> {
        let value = options::integer(query, name)?;
        match value.filter(|value| *value < least) {
            None => Ok(value),
            Some(value) => {
                let message = format!("Invalid value: {value}: must be greater than or equal to {least}");
                let error = crate::status::FieldError { path: name.to_owned(), kind: FieldErrorKind::Invalid, message };
                Err(Status::invalid("", "PodLogOptions", "", &[error]))
            }
        }
    };
    let since_seconds = number("sinceSeconds", 1)?.map(|seconds| Timestamp::now() - SignedDuration::from_secs(seconds));
    let since_time = query.get("sinceTime").map(str::parse::<Timestamp>).transpose();
    let since_time = since_time.map_err(|error| Status::bad_request(format!("sinceTime: {error}")))?;
    Ok(Wanted {
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        since: since_seconds.or(since_time),
        tail: number("tailLines", 0)?,
        limit: number("limitBytes", 1)?,
    })
}

/// Which container is meant: the one named, or the only one.
pub(super) fn container(call: &Call, pod: &Value) -> Result<String, Status> {
    let name = call.name.as_deref().unwrap_or_default();
    let names = |field: &str| -> Vec<String> {
        let containers = pod["spec"][field].as_array().into_iter().flatten();
        containers.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
    };
    let (main, init, ephemeral) = (names("containers"), names("initContainers"), names("ephemeralContainers"));
    if let Some(asked) = call.query.get("container") {
        let known = [&main, &init, &ephemeral].iter().any(|names| names.iter().any(|name| name == asked));
        if !known {
            return Err(Status::bad_request(format!("container {asked} is not valid for pod {name}")));
        }
        return Ok(asked.to_owned());
    }
    if let ([only], []) = (main.as_slice(), init.as_slice()) {
        return Ok(only.clone());
    }
    let mut message = format!("a container name must be specified for pod {name}, choose one of: [{}]", main.join(" "));
    if !init.is_empty() {
        message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
    }
    Err(Status::bad_request(message))
}

/// Why there is nothing, as a kubelet words it.
fn refusal(pod: &Value, container: &str, missing: Missing) -> Status {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let statuses = ["containerStatuses", "initContainerStatuses"]
        .into_iter()
        .filter_map(|field| pod["status"][field].as_array()?.iter().find(|status| status["name"] == container));
    let reason = statuses.map(|status| &status["state"]["waiting"]["reason"]).find_map(Value::as_str);
    match missing {
        Missing::NotStarted => {
            let why = match reason {
                Some("ErrImagePull" | "ImagePullBackOff") => "trying and failing to pull image",
                Some(reason) => reason,
                None => "ContainerCreating",
            };
            Status::bad_request(format!("container \"{container}\" in pod \"{name}\" is waiting to start: {why}"))
        }
        Missing::NoPrevious => {
            Status::bad_request(format!("previous terminated container \"{container}\" in pod \"{name}\" not found"))
        }
        Missing::Engine(why) => Status::internal(why),
    }
}
