use jiff::Timestamp;
use serde_json::{Value, json};

use super::{COLUMNS, cells, words::duration};
use crate::resource::builtin;

#[test]
fn durations_get_coarser_as_they_grow() {
    let cases = [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (5 * 3600 + 60, "5h1m"),
        (8 * 3600 + 60, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (50 * 3600, "2d2h"),
        (9 * 86400 + 3600, "9d"),
        (800 * 86400, "2y70d"),
        (3650 * 86400, "10y"),
    ];
    for (seconds, expected) in cases {
        assert_eq!(duration(seconds), expected, "{seconds} s");
    }
}

#[test]
fn every_row_has_as_many_cells_as_there_are_columns() {
    let columns: Value = serde_json::from_str(COLUMNS).unwrap();
    let object = json!({"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}});
    for resource in builtin().iter().filter(|resource| resource.stored()) {
        let row = cells::of(resource, &object, Timestamp::now());
        let expected = columns.get(&resource.storage).unwrap_or(&columns["*"]).as_array().unwrap().len();
        assert_eq!(row.as_array().unwrap().len(), expected, "{}", resource.storage);
    }
}

fn pod_status(status: Value) -> String {
    let pods = builtin().into_iter().find(|resource| resource.storage == "pods").unwrap();
    let containers = json!([{"name": "a"}, {"name": "b"}]);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": containers}, "status": status});
    let row = cells::of(&pods, &pod, "2026-01-01T01:00:00Z".parse().unwrap());
    format!("{} {} {}", row[1].as_str().unwrap(), row[2].as_str().unwrap(), row[3].as_str().unwrap())
}

#[test]
fn a_pod_is_summed_up_by_its_containers() {
    let running = json!({"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}});
    let crashing = json!({
        "name": "b",
        "ready": false,
        "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:59:00Z"}},
    });
    let done = json!({"name": "b", "ready": false, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    let killed = json!({"name": "b", "ready": false, "state": {"terminated": {"exitCode": 137, "signal": 9}}});
    let of = |statuses: Value| pod_status(json!({"phase": "Running", "containerStatuses": statuses}));
    assert_eq!(of(json!([running, crashing])), "1/2 CrashLoopBackOff 4 (60s ago)");
    assert_eq!(of(json!([running, done])), "1/2 NotReady 0");
    assert_eq!(of(json!([running, killed])), "1/2 Signal:9 0");
    assert_eq!(pod_status(json!({"phase": "Pending"})), "0/2 Pending 0");
}
