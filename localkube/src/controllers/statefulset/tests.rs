use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{
    decide::{self, Step},
    identity,
};

fn set(more: Value) -> StatefulSet {
    let mut set = json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "set"},
        "spec": {
            "replicas": 3, "serviceName": "peers", "selector": {"matchLabels": {"app": "web"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
        },
    });
    for (key, value) in more.as_object().expect("an object") {
        set["spec"][key] = value.clone();
    }
    serde_json::from_value(set).expect("a StatefulSet")
}

/// `Old`, `new` and what is ready: `o` `n` not ready, `O` `N` ready, `x` leaving, `f` failed, `-` not there.
fn pods(states: &str) -> Vec<Arc<Pod>> {
    let pod = |(ordinal, state): (usize, char)| {
        let revision = if state.eq_ignore_ascii_case(&'o') { "old" } else { "new" };
        let ready = if state.is_ascii_uppercase() { "True" } else { "False" };
        let mut pod = json!({
            "metadata": {"name": format!("web-{ordinal}"), "labels": {"controller-revision-hash": revision}},
            "status": {
                "phase": if state == 'f' { "Failed" } else { "Running" },
                "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            },
        });
        if state == 'x' {
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        Arc::new(serde_json::from_value(pod).expect("a Pod"))
    };
    states.chars().enumerate().filter(|(_, state)| *state != '-').map(pod).collect()
}

/// What is done: `+1` made from the update, `*1` made from the current revision, `-1` deleted.
fn done(set: &StatefulSet, states: &str) -> String {
    let spec = set.spec.as_ref().expect("it has one");
    let members = decide::members(set, spec, &pods(states));
    let steps = decide::steps(spec, &members, "new", "2026-01-01T00:00:05Z".parse::<Timestamp>().expect("a time"));
    let word = |step: &Step| match step {
        Step::Create { ordinal, current } => format!("{}{ordinal}", if *current { '*' } else { '+' }),
        Step::Delete(pod) => format!("-{}", pod.name_any().trim_start_matches("web-")),
    };
    steps.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn an_ordered_set_goes_one_by_one() {
    let set = set(json!({}));
    for (states, expected) in [
        ("", "+0"),
        ("n", ""),
        ("N", "+1"),
        ("N-N", "+1"),
        ("NNN", ""),
        // Surplus goes from the top, when all that stays is there.
        ("NNNNN", "-4"),
        ("NNNNx", ""),
        ("NNNnN", "-4"),
        ("NNNn", "-3"),
        ("-NNN", "+0"),
        // An update goes from the top, and waits for each.
        ("OOO", "-2"),
        ("OOx", ""),
        ("OO-", "+2"),
        ("OOn", ""),
        ("OON", "-1"),
        ("ONN", "-0"),
        // A broken pod is in the way of its own replacement: the known forced rollback.
        ("OOo", ""),
        ("Nf", "-1"),
    ] {
        assert_eq!(done(&set, states), expected, "{states}");
    }
}

#[test]
fn a_parallel_set_does_all_at_once() {
    let set = set(json!({"podManagementPolicy": "Parallel"}));
    for (states, expected) in [
        ("", "+0 +1 +2"),
        ("n-n", "+1"),
        ("NNNnNN", "-5 -4 -3"),
        ("OOO", "-2"),
        ("OOn", ""),
        ("OOo", "-2"),
        ("OON", "-1"),
    ] {
        assert_eq!(done(&set, states), expected, "{states}");
    }
}

#[test]
fn strategies_bound_the_update() {
    let partition = set(json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}));
    assert_eq!(done(&partition, "OOO"), "-2");
    assert_eq!(done(&partition, "OON"), "");
    assert_eq!(done(&partition, "O-N"), "*1", "below the partition the old revision comes again");
    let by_hand = set(json!({"updateStrategy": {"type": "OnDelete"}}));
    assert_eq!(done(&by_hand, "OOO"), "");
    assert_eq!(done(&by_hand, "OO-"), "+2");
    let two = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 2}});
    let two = set(json!({"updateStrategy": two, "podManagementPolicy": "Parallel"}));
    assert_eq!(done(&two, "OOO"), "-2 -1");
    assert_eq!(done(&two, "OOn"), "-1");
    let patient = set(json!({"minReadySeconds": 60}));
    assert_eq!(done(&patient, "N"), "", "ready for five seconds of sixty");
    let shifted = set(json!({"ordinals": {"start": 1}, "replicas": 2}));
    assert_eq!(done(&shifted, "NNN"), "-0");
}

#[test]
fn the_status_ends_an_update_when_all_are_ready() {
    let set = set(json!({}));
    let status = |states: &str| {
        let now = "2026-01-01T00:00:05Z".parse().expect("a time");
        let status = decide::status(&set, &pods(states), "old", "new", None, now);
        (status.replicas, status.ready_replicas, status.updated_replicas, status.current_revision.expect("it is told"))
    };
    assert_eq!(status("OON"), (3, Some(3), Some(1), "old".to_owned()));
    assert_eq!(status("NNn"), (3, Some(2), Some(3), "old".to_owned()));
    assert_eq!(status("NNN"), (3, Some(3), Some(3), "new".to_owned()));
}

#[test]
fn pods_have_their_names_and_claims() {
    let set = set(json!({}));
    let template = set.spec.as_ref().expect("it has one").template.clone();
    let pod = serde_json::to_value(identity::pod(&set, template, "web-abc", 2)).expect("it is JSON");
    assert_eq!(pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"], "web-2");
    assert_eq!((&pod["spec"]["hostname"], &pod["spec"]["subdomain"]), (&json!("web-2"), &json!("peers")));
    assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "data-web-2");
    let named = |name: &str| Pod {
        metadata: kube::api::ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        ..Pod::default()
    };
    let ordinals = ["web-0", "web-10", "web-01", "web-", "web-x", "web", "other-1", "web-a-1"];
    let ordinals: Vec<_> = ordinals.map(|name| identity::ordinal(&set, &named(name))).into();
    assert_eq!(ordinals, [Some(0), Some(10), None, None, None, None, None, None]);
}

#[test]
fn claims_go_with_whom_the_policy_says() {
    let policy = |deleted: &str, scaled: &str| {
        set(json!({"persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled}}))
    };
    let owner = |set: &StatefulSet, condemned: bool| {
        let pod = pods("N").remove(0);
        identity::owner_of_claim(set, Some(&pod), condemned).map(|owner| owner.kind)
    };
    let both = policy("Delete", "Delete");
    assert_eq!(owner(&both, false).as_deref(), Some("StatefulSet"));
    assert_eq!(owner(&both, true).as_deref(), Some("Pod"));
    assert_eq!(owner(&policy("Retain", "Delete"), false), None);
    assert_eq!(owner(&policy("Delete", "Retain"), true).as_deref(), Some("StatefulSet"));
    assert_eq!(owner(&policy("Retain", "Retain"), true), None);
}
