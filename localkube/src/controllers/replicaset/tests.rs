//! Which pods go first, what the status says, and that nothing is done twice.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{apps::v1::ReplicaSet, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};

use super::decide::{self, Failure, Scale};
use crate::controllers::{expectations::Expectations, pods};

fn ago(now: Timestamp, seconds: i64) -> Time {
    Time(now - SignedDuration::from_secs(seconds))
}

/// A running, ready pod on node `a`, an hour old, changed by `with`.
fn pod(name: &str, now: Timestamp, with: Value) -> Arc<Pod> {
    let mut value = json!({
        "metadata": {"name": name, "uid": name, "creationTimestamp": ago(now, 3600), "labels": {"app": "web"}},
        "spec": {"containers": [], "nodeName": "a"},
        "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": ago(now, 3500)}]},
    });
    for (key, part) in with.as_object().unwrap() {
        for (field, content) in part.as_object().unwrap() {
            value[key][field] = content.clone();
        }
    }
    Arc::new(serde_json::from_value(value).unwrap())
}

fn set(replicas: i32) -> ReplicaSet {
    let value = json!({
        "metadata": {"name": "web-1", "namespace": "n", "uid": "s", "generation": 3},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}}, "spec": {"containers": []}}},
    });
    serde_json::from_value(value).unwrap()
}

#[test]
fn the_least_missed_pods_go_first() {
    let now = pods::now().0;
    let unready = json!([{"type": "Ready", "status": "False"}]);
    let order = vec![
        pod("unassigned", now, json!({"spec": {"nodeName": null}, "status": {"phase": "Pending", "conditions": []}})),
        pod("pending", now, json!({"status": {"phase": "Pending", "conditions": []}})),
        pod("unready", now, json!({"status": {"conditions": unready}})),
        pod("cheap", now, json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5"}}})),
        pod("crowded", now, json!({"spec": {"nodeName": "b"}})),
        pod(
            "fresh",
            now,
            json!({"status": {"conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": ago(now, 2)}]}}),
        ),
        pod(
            "restarted",
            now,
            json!({"status": {"containerStatuses": [
            {"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 4}]}}),
        ),
        pod("young", now, json!({"metadata": {"creationTimestamp": ago(now, 4)}})),
        pod("old", now, json!({})),
    ];
    let mut related = order.clone();
    related.extend((0..9).map(|number| pod(&format!("b{number}"), now, json!({"spec": {"nodeName": "b"}}))));
    let mut shuffled = order.clone();
    shuffled.shuffle(&mut StdRng::seed_from_u64(1));
    for wanted in 0..order.len() {
        let Scale::Delete(surplus) = decide::scale(wanted as i32, &shuffled, &related, now) else { panic!("too many") };
        let names: Vec<_> = surplus.iter().map(|pod| pod.name_any()).collect();
        let expected: Vec<_> = order[..order.len() - wanted].iter().map(|pod| pod.name_any()).collect();
        assert_eq!(names, expected);
    }
    assert_eq!(decide::scale(9, &order, &related, now), Scale::Right);
    assert_eq!(decide::scale(2000, &order, &related, now), Scale::Create(500));
}

#[test]
fn a_pod_is_made_of_the_template() {
    let pod = serde_json::to_value(decide::pod_of(&set(1))).unwrap();
    let expected = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": {"containers": []},
        "metadata": {
            "generateName": "web-1-", "namespace": "n", "labels": {"app": "web"}, "annotations": {"a": "b"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "s",
                "controller": true, "blockOwnerDeletion": true}],
        },
    });
    assert_eq!(pod, expected);
}

#[test]
fn the_status_counts_and_leaves_zeros_out() {
    let now = pods::now();
    let unready = json!({"status": {"conditions": []}});
    let active = [pod("a", now.0, json!({})), pod("b", now.0, unready)];
    let status = |set: &ReplicaSet, active: &[Arc<Pod>], failure| {
        serde_json::to_value(decide::status(set, active, 1, failure, &now)).unwrap()
    };
    let expected = json!({"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 1, "availableReplicas": 1,
        "terminatingReplicas": 1, "observedGeneration": 3});
    assert_eq!(status(&set(2), &active, None), expected);
    let failure = Failure { reason: "FailedCreate", message: "quota" };
    let failed = status(&set(2), &[], Some(failure));
    assert_eq!(failed["conditions"][0]["message"], "quota");
    let mut told = set(2);
    told.status = serde_json::from_value(failed.clone()).unwrap();
    let other = Failure { reason: "FailedCreate", message: "another name in the words" };
    assert_eq!(status(&told, &[], Some(other)), failed);
    assert_eq!(status(&told, &[], None)["conditions"], Value::Null);
}

#[test]
fn min_ready_seconds_delays_availability() {
    let now = pods::now();
    let mut slow = set(1);
    slow.spec.as_mut().unwrap().min_ready_seconds = Some(10);
    let at = |seconds| {
        let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": ago(now.0, seconds)}]);
        [pod("a", now.0, json!({"status": {"conditions": ready}}))]
    };
    assert_eq!(decide::status(&slow, &at(4), 0, None, &now).available_replicas, None);
    assert_eq!(decide::next_available(&at(4), 10, now.0), Some(6));
    assert_eq!(decide::status(&slow, &at(10), 0, None, &now).available_replicas, Some(1));
    assert_eq!(decide::next_available(&at(10), 10, now.0), None);
}

/// The server's pods and a cache of them that lags; the controller is killed at random, and what it expected with it.
#[test]
fn a_stale_cache_and_kills_at_any_moment_never_double_a_pod() {
    for seed in 0..500 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut server: BTreeSet<u32> = BTreeSet::new();
        // What the watch has yet to bring: a pod and whether it is there.
        let mut stream: Vec<(u32, bool)> = Vec::new();
        let mut cache: BTreeSet<u32> = BTreeSet::new();
        let mut expectations = Expectations::default();
        let mut next = 0;
        let mut wanted: usize = 4;
        for step in 0..400 {
            match random.random_range(0..10) {
                0..6 if !stream.is_empty() => {
                    let (pod, there) = stream.remove(0);
                    if there {
                        cache.insert(pod)
                    } else {
                        cache.remove(&pod)
                    };
                    expectations.observe("s", &pod.to_string(), !there);
                }
                6 => {
                    // Killed: the next process lists before it acts.
                    expectations = Expectations::default();
                    stream.clear();
                    cache = server.clone();
                }
                7 if step < 300 => wanted = random.random_range(0..8),
                _ if expectations.met("s") => {
                    let killed_after = random.random_range(0..20);
                    let surplus: Vec<u32> = cache.iter().copied().take(cache.len().saturating_sub(wanted)).collect();
                    for pod in surplus.into_iter().take(killed_after) {
                        expectations.deleting("s", &pod.to_string());
                        server.remove(&pod);
                        stream.push((pod, false));
                    }
                    for _ in 0..wanted.saturating_sub(cache.len()).min(killed_after) {
                        next += 1;
                        server.insert(next);
                        assert!(server.len() <= wanted, "seed {seed}: a pod too many");
                        stream.push((next, true));
                        if random.random_bool(0.3) {
                            // The watch is faster than the answer.
                            stream.drain(..).for_each(|(pod, there)| {
                                if there {
                                    cache.insert(pod)
                                } else {
                                    cache.remove(&pod)
                                };
                                expectations.observe("s", &pod.to_string(), !there);
                            });
                        }
                        expectations.created("s", &next.to_string());
                    }
                }
                _ => {}
            }
        }
        // Whatever happened, the quiet end is exact.
        for _ in 0..10 {
            stream.drain(..).for_each(|(pod, there)| {
                if there {
                    cache.insert(pod)
                } else {
                    cache.remove(&pod)
                };
                expectations.observe("s", &pod.to_string(), !there);
            });
            assert!(expectations.met("s"), "seed {seed}: everything was shown");
            assert_eq!(cache, server, "seed {seed}");
            while server.len() < wanted {
                next += 1;
                server.insert(next);
                stream.push((next, true));
                expectations.created("s", &next.to_string());
            }
            while server.len() > wanted {
                let pod = *server.first().unwrap();
                expectations.deleting("s", &pod.to_string());
                server.remove(&pod);
                stream.push((pod, false));
            }
        }
        assert_eq!(server.len(), wanted);
    }
}

#[test]
fn a_creation_is_waited_for_and_a_new_list_only_answers_older_ones() {
    let expectations = Expectations::default();
    expectations.created("s", "a");
    assert!(!expectations.met("s") && expectations.met("another"));
    expectations.relisted();
    assert!(!expectations.met("s"), "the list may be older than the pod");
    expectations.observe("s", "a", false);
    assert!(expectations.met("s"));
    expectations.deleting("s", "a");
    expectations.observe("s", "a", false);
    assert!(!expectations.met("s") && expectations.is_leaving("s", "a"));
    expectations.observe("s", "a", true);
    assert!(expectations.met("s"));
}
