//! Jobs in random runs, and their ends.

use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobStatus},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::decide::{self, FINALIZER, Plan};
use crate::controllers::pods;

fn job(spec: Value) -> Job {
    let mut value = json!({
        "metadata": {"name": "j", "namespace": "n", "uid": "u"},
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 2,
            "template": {"metadata": {"labels": {"job-name": "j"}}, "spec": {"containers": []}}},
    });
    for (key, part) in spec.as_object().unwrap() {
        value["spec"][key] = part.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn pod(number: u32, phase: &str) -> Arc<Pod> {
    let value = json!({"metadata": {"name": format!("p{number}"), "uid": format!("p{number}"), "finalizers": [FINALIZER]},
        "status": {"phase": phase}});
    Arc::new(serde_json::from_value(value).unwrap())
}

fn conditions(status: &JobStatus) -> Vec<(&str, &str)> {
    let all = status.conditions.iter().flatten();
    all.map(|one| (one.type_.as_str(), one.reason.as_deref().unwrap_or_default())).collect()
}

/// Takes the finalizer off, as the controller does after the status is written.
fn release(pods: &mut [Arc<Pod>], plan: &Plan) {
    for released in &plan.release {
        let pod = pods.iter_mut().find(|pod| pod.metadata.uid == released.metadata.uid).unwrap();
        Arc::make_mut(pod).metadata.finalizers = None;
    }
}

#[test]
fn every_end_is_counted_once_whenever_the_controller_is_killed() {
    for seed in 0..300 {
        let mut random = StdRng::seed_from_u64(seed);
        let completions = random.random_range(1..6);
        let mut job =
            job(json!({"completions": completions, "parallelism": random.random_range(1..4), "backoffLimit": 99}));
        let mut all: Vec<Arc<Pod>> = Vec::new();
        let mut failures = 0;
        // Time passes, so that no wait after a failure holds the run up.
        let mut now = pods::now();
        for _ in 0..2000 {
            now = Time(now.0 + SignedDuration::from_secs(700));
            if random.random_bool(0.5) {
                let running: Vec<usize> = (0..all.len()).filter(|number| pods::is_active(&all[*number])).collect();
                if let Some(number) = running.first() {
                    let fails = failures < 5 && random.random_bool(0.3);
                    failures += i32::from(fails);
                    let phase = if fails { "Failed" } else { "Succeeded" };
                    Arc::make_mut(&mut all[*number]).status.as_mut().unwrap().phase = Some(phase.into());
                }
                continue;
            }
            let plan = decide::plan(&job, &all, &now);
            // Killed before each of the writes, or not at all.
            let writes = random.random_range(0..4);
            if writes > 0 {
                job.status = Some(plan.status.clone());
            }
            if writes > 1 {
                release(&mut all, &plan);
            }
            if writes > 2 {
                assert!(plan.delete.is_empty(), "no pod of this Job is ever too many");
                for _ in 0..plan.create {
                    all.push(pod(all.len() as u32, "Running"));
                }
            }
            if decide::is_finished(&plan.status) && writes > 0 {
                break;
            }
        }
        let status = job.status.unwrap();
        assert_eq!(conditions(&status).last(), Some(&("Complete", "CompletionsReached")), "seed {seed}");
        assert_eq!(status.succeeded, Some(completions), "seed {seed}");
        assert_eq!(status.failed.unwrap_or(0), failures, "seed {seed}");
        assert_eq!(all.len() as i32, completions + failures, "seed {seed}");
        assert!(all.iter().all(|pod| pod.metadata.finalizers.is_none()), "seed {seed}");
    }
}

#[test]
fn too_many_failures_end_a_job_and_each_one_makes_the_next_wait() {
    let mut job = job(json!({"backoffLimit": 1}));
    let now = pods::now();
    let mut failed = (*pod(0, "Failed")).clone();
    failed.metadata.creation_timestamp = Some(Time(now.0 - SignedDuration::from_secs(4)));
    let mut all = vec![Arc::new(failed)];
    let plan = decide::plan(&job, &all, &now);
    assert_eq!((plan.create, plan.again), (0, Some(6)));
    all.extend([pod(1, "Failed"), pod(2, "Running")]);
    let plan = decide::plan(&job, &all, &now);
    assert_eq!(conditions(&plan.status), [("FailureTarget", "BackoffLimitExceeded")]);
    assert_eq!((plan.delete, plan.create), (vec![all[2].clone()], 0));
    job.status = Some(plan.status);
    all.remove(2);
    for _ in 0..2 {
        let plan = decide::plan(&job, &all, &now);
        release(&mut all, &plan);
        job.status = Some(plan.status);
    }
    let status = job.status.unwrap();
    assert_eq!(conditions(&status).last(), Some(&("Failed", "BackoffLimitExceeded")));
    assert_eq!((status.failed, status.completion_time), (Some(2), None));
}

#[test]
fn deadlines_and_suspension_stop_the_pods() {
    let now = pods::now();
    let mut late = job(json!({"activeDeadlineSeconds": 30}));
    late.status = Some(JobStatus { start_time: Some(now.clone()), ..JobStatus::default() });
    let all = [pod(0, "Running")];
    assert_eq!(decide::plan(&late, &all, &now).again, Some(30));
    let plan = decide::plan(&late, &all, &Time(now.0 + SignedDuration::from_secs(30)));
    assert_eq!(conditions(&plan.status), [("FailureTarget", "DeadlineExceeded")]);
    let paused = job(json!({"suspend": true}));
    let plan = decide::plan(&paused, &all, &now);
    assert_eq!((plan.delete.len(), plan.create, &plan.status.start_time), (1, 0, &None));
    assert_eq!(conditions(&plan.status), [("Suspended", "JobSuspended")]);
    let mut resumed = job(json!({"suspend": false}));
    resumed.status = Some(plan.status);
    let plan = decide::plan(&resumed, &[], &now);
    assert_eq!((plan.create, plan.status.start_time.as_ref()), (1, Some(&now)));
    assert_eq!(conditions(&plan.status), [("Suspended", "JobResumed")]);
}

#[test]
fn a_work_queue_without_completions_ends_with_its_last_pod() {
    let queue = job(json!({"completions": null, "parallelism": 3}));
    let now = pods::now();
    assert_eq!(decide::plan(&queue, &[], &now).create, 3);
    let all = [pod(0, "Succeeded"), pod(1, "Running")];
    let plan = decide::plan(&queue, &all, &now);
    assert_eq!((plan.create, plan.delete.len(), conditions(&plan.status).len()), (0, 0, 0));
    let all = [pod(0, "Succeeded"), pod(1, "Succeeded")];
    assert_eq!(conditions(&decide::plan(&queue, &all, &now).status), [("SuccessCriteriaMet", "CompletionsReached")]);
}
