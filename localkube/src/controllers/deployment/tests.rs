//! The decisions, alone and in long random runs against a model of the ReplicaSets and their pods.

use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::{
    api::apps::v1::{Deployment, ReplicaSet},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    annotations,
    decide::{self, Resize, Sets},
    status, template,
};
use crate::controllers::pods;

fn deployment(replicas: i32, strategy: Value, version: u32) -> Deployment {
    let value = json!({
        "metadata": {"name": "web", "namespace": "n", "uid": "d", "generation": 1},
        "spec": {
            "replicas": replicas, "strategy": strategy, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": format!("image:{version}")}]},
            },
        },
    });
    serde_json::from_value(value).unwrap()
}

fn rolling(surge: Value, unavailable: Value) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

fn set_version(deployment: &mut Deployment, version: u32) {
    let template = &mut deployment.spec.as_mut().unwrap().template;
    template.spec.as_mut().unwrap().containers[0].image = Some(format!("image:{version}"));
}

/// A ReplicaSet of the Deployment's template at this moment.
fn set_of(deployment: &Deployment, age: i64, replicas: i32, available: i32) -> Arc<ReplicaSet> {
    let mut set = template::replica_set(deployment);
    set.metadata.uid = set.metadata.name.clone();
    set.metadata.generation = Some(1);
    set.metadata.creation_timestamp = Some(Time(pods::now().0 - SignedDuration::from_secs(age)));
    set.spec.as_mut().unwrap().replicas = Some(replicas);
    set.status = serde_json::from_value(json!({
        "replicas": replicas, "availableReplicas": available, "readyReplicas": available, "observedGeneration": 1,
    }))
    .unwrap();
    Arc::new(set)
}

fn sizes(steps: &[Resize]) -> Vec<i32> {
    steps.iter().map(|step| step.to).collect()
}

#[test]
fn surge_rounds_up_and_unavailable_down_and_one_of_them_is_never_zero() {
    let limits = |replicas, surge, unavailable| {
        let deployment = deployment(replicas, rolling(surge, unavailable), 1);
        (decide::max_surge(&deployment), decide::max_unavailable(&deployment))
    };
    assert_eq!(limits(3, json!("25%"), json!("25%")), (1, 0));
    assert_eq!(limits(10, json!("25%"), json!("25%")), (3, 2));
    assert_eq!(limits(3, json!("0%"), json!("25%")), (0, 1));
    assert_eq!(limits(2, json!(1), json!(5)), (1, 2));
    assert_eq!(limits(0, json!(1), json!(1)), (1, 0));
    let recreate = deployment(3, json!({"type": "Recreate"}), 1);
    assert_eq!((decide::max_surge(&recreate), decide::max_unavailable(&recreate)), (0, 0));
}

#[test]
fn a_rollout_alternates_as_the_recorded_one_does() {
    let mut deployment = deployment(3, rolling(json!(1), json!(0)), 1);
    let first = deployment.clone();
    set_version(&mut deployment, 2);
    let second = deployment.clone();
    // (old, new, new available) and what the next step resizes.
    for (old, new, available, expected) in [
        (3, 1, 0, vec![]),
        (3, 1, 1, vec![2]),
        (2, 1, 1, vec![2]),
        (2, 2, 2, vec![1]),
        (1, 3, 3, vec![0]),
        (0, 3, 3, vec![]),
    ] {
        let sets = Sets::of(&deployment, vec![set_of(&first, 9, old, old), set_of(&second, 1, new, available)]);
        assert_eq!(sizes(&decide::roll(&deployment, &sets)), expected, "{old} {new} {available}");
    }
}

#[test]
fn broken_old_pods_go_first_so_that_a_repair_is_not_blocked() {
    let mut deployment = deployment(2, rolling(json!(1), json!(0)), 1);
    let healthy = set_of(&deployment, 20, 2, 2);
    set_version(&mut deployment, 2);
    let broken = set_of(&deployment, 10, 1, 0);
    set_version(&mut deployment, 3);
    let repaired = set_of(&deployment, 1, 0, 0);
    let sets = Sets::of(&deployment, vec![healthy, broken.clone(), repaired]);
    let steps = decide::roll(&deployment, &sets);
    assert_eq!(steps, vec![Resize { set: broken, to: 0 }]);
}

#[test]
fn scaling_in_mid_rollout_is_proportional() {
    // The example of the Kubernetes documentation: 10 replicas, maxSurge 3, maxUnavailable 2, scaled to 15.
    let mut deployment = deployment(10, rolling(json!(3), json!(2)), 1);
    let mark = |set: Arc<ReplicaSet>| {
        let mut set = (*set).clone();
        annotations::resize(set.annotations_mut(), 10, 13);
        Arc::new(set)
    };
    let old = mark(set_of(&deployment, 10, 8, 8));
    set_version(&mut deployment, 2);
    let new = mark(set_of(&deployment, 1, 5, 0));
    deployment.spec.as_mut().unwrap().replicas = Some(15);
    let sets = Sets::of(&deployment, vec![old, new]);
    assert!(decide::is_scaling(&deployment, &sets));
    assert_eq!(sizes(&decide::scale(&deployment, &sets)), vec![11, 7]);
    deployment.spec.as_mut().unwrap().replicas = Some(0);
    assert_eq!(sizes(&decide::scale(&deployment, &sets)), vec![0, 0]);
}

#[test]
fn revisions_move_on_and_are_remembered() {
    let mut deployment = deployment(1, rolling(json!(1), json!(0)), 1);
    deployment.annotations_mut().insert("note".into(), "kept".into());
    deployment.annotations_mut().insert("kubectl.kubernetes.io/last-applied-configuration".into(), "{}".into());
    let mut notes = Default::default();
    assert!(annotations::refresh(&mut notes, &deployment, 1, Some((1, 2))));
    assert!(!annotations::refresh(&mut notes, &deployment, 1, None));
    for revision in [3, 5] {
        assert!(annotations::refresh(&mut notes, &deployment, revision, None));
    }
    let expected = json!({
        "note": "kept",
        "deployment.kubernetes.io/revision": "5",
        "deployment.kubernetes.io/revision-history": "1,3",
        "deployment.kubernetes.io/desired-replicas": "1",
        "deployment.kubernetes.io/max-replicas": "2",
    });
    assert_eq!(json!(notes), expected);
}

#[test]
fn old_revisions_beyond_the_limit_are_forgotten_if_nothing_runs_of_them() {
    let mut deployment = deployment(1, rolling(json!(1), json!(0)), 1);
    let mut all = Vec::new();
    for version in 1..=6 {
        set_version(&mut deployment, version);
        let mut set = (*set_of(&deployment, i64::from(20 - version), i32::from(version == 2), 0)).clone();
        set.annotations_mut().insert(annotations::REVISION.into(), version.to_string());
        all.push(Arc::new(set));
    }
    let sets = Sets::of(&deployment, all.clone());
    let forgotten: Vec<_> = decide::forgettable(&deployment, &sets).iter().map(|set| set.name_any()).collect();
    // Five are old, two stay, and the second is in use.
    assert_eq!(forgotten, vec![all[0].name_any(), all[2].name_any()]);
}

#[test]
fn the_hash_is_short_pronounceable_by_nobody_and_moved_by_a_collision() {
    let deployment = deployment(1, json!({}), 1);
    let template = &deployment.spec.as_ref().unwrap().template;
    let hash = crate::controllers::hash::hash(template, None);
    assert!(hash.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)) && (6..=10).contains(&hash.len()));
    assert_ne!(hash, crate::controllers::hash::hash(template, Some(1)));
    assert!(template::matches(&deployment, &template::replica_set(&deployment)));
}

fn progressing(status: &k8s_openapi::api::apps::v1::DeploymentStatus) -> (String, String) {
    let found = status.conditions.iter().flatten().find(|one| one.type_ == status::PROGRESSING).unwrap();
    (found.status.clone(), found.reason.clone().unwrap())
}

#[test]
fn the_deadline_counts_from_the_last_progress() {
    let mut deployment = deployment(2, rolling(json!(1), json!(0)), 1);
    let now = pods::now();
    let later = |seconds| Time(now.0 + SignedDuration::from_secs(seconds));
    status::note(&mut deployment, status::Progress::Created, "made".into(), &now);
    let at = |available| Sets::of(&deployment, vec![set_of(&deployment, 5, 2, available)]);
    let (none, one, two) = (at(0), at(1), at(2));
    deployment.status.as_mut().unwrap().updated_replicas = Some(2);
    assert_eq!(progressing(&status::rollout(&deployment, &none, &later(600))).1, "NewReplicaSetCreated");
    deployment.status = Some(status::rollout(&deployment, &one, &later(599)));
    assert_eq!(progressing(deployment.status.as_ref().unwrap()).1, "ReplicaSetUpdated");
    assert_eq!(status::seconds_to_deadline(&deployment, deployment.status.as_ref().unwrap(), &later(599)), Some(601));
    let late = status::rollout(&deployment, &one, &later(1200));
    assert_eq!(progressing(&late), ("False".into(), "ProgressDeadlineExceeded".into()));
    deployment.status = Some(late);
    let complete = status::rollout(&deployment, &two, &later(1300));
    assert_eq!(progressing(&complete), ("True".into(), "NewReplicaSetAvailable".into()));
    // Nothing more to say, so that no write wakes the controller again.
    deployment.status = Some(complete.clone());
    assert_eq!(status::rollout(&deployment, &two, &later(1400)), complete);
}

#[test]
fn a_pause_shows_and_ends() {
    let mut deployment = deployment(1, rolling(json!(1), json!(0)), 1);
    deployment.spec.as_mut().unwrap().paused = Some(true);
    status::note_pause(&mut deployment, &pods::now());
    assert_eq!(progressing(deployment.status.as_ref().unwrap()), ("Unknown".into(), "DeploymentPaused".into()));
    deployment.spec.as_mut().unwrap().paused = None;
    status::note_pause(&mut deployment, &pods::now());
    assert_eq!(progressing(deployment.status.as_ref().unwrap()), ("Unknown".into(), "DeploymentResumed".into()));
}

/// ReplicaSets and their pods, with statuses that lag behind.
struct World {
    random: StdRng,
    deployment: Deployment,
    sets: Vec<Model>,
    clock: i64,
}

struct Model {
    set: ReplicaSet,
    version: u32,
    /// Whether each pod is ready.
    pods: Vec<bool>,
}

impl Model {
    fn size(&self) -> usize {
        usize::try_from(decide::wanted(&self.set)).unwrap()
    }
}

impl World {
    /// A Deployment whose first version is complete.
    fn new(seed: u64, replicas: i32, surge: i32, unavailable: i32) -> Self {
        let deployment = deployment(replicas, rolling(json!(surge), json!(unavailable)), 1);
        let mut world = Self { random: StdRng::seed_from_u64(seed), deployment, sets: Vec::new(), clock: 0 };
        world.settle(1);
        world
    }

    fn available(&self) -> usize {
        self.sets.iter().map(|model| model.pods.iter().filter(|ready| **ready).count()).sum()
    }

    fn asked_for(&self) -> usize {
        self.sets.iter().map(Model::size).sum()
    }

    fn wanted(&self) -> usize {
        usize::try_from(decide::replicas(&self.deployment)).unwrap()
    }

    fn write(&mut self, name: &str, size: i32) {
        let (desired, max) = (decide::replicas(&self.deployment), decide::max_surge(&self.deployment));
        let model = self.sets.iter_mut().find(|model| model.set.name_any() == name).unwrap();
        annotations::resize(model.set.annotations_mut(), desired, desired + max);
        if decide::wanted(&model.set) != size {
            model.set.spec.as_mut().unwrap().replicas = Some(size);
            *model.set.metadata.generation.as_mut().unwrap() += 1;
        }
    }

    /// The controller's next step, of which only some writes may happen before it is killed.
    fn control(&mut self, version: u32) {
        let sets = self.sets.iter().map(|model| Arc::new(model.set.clone())).collect();
        let sets = Sets::of(&self.deployment, sets);
        let mut steps = if decide::is_scaling(&self.deployment, &sets) {
            decide::scale(&self.deployment, &sets)
        } else if sets.new.is_none() {
            let mut set = template::replica_set(&self.deployment);
            let size = decide::new_size(&self.deployment, 0, sets.wanted());
            self.clock += 1;
            set.metadata.generation = Some(1);
            set.metadata.creation_timestamp = Some(Time(pods::now().0 + SignedDuration::from_secs(self.clock)));
            set.spec.as_mut().unwrap().replicas = Some(size);
            let desired = decide::replicas(&self.deployment);
            annotations::resize(set.annotations_mut(), desired, desired + decide::max_surge(&self.deployment));
            assert!(self.sets.iter().all(|model| model.set.name_any() != set.name_any()), "one set a template");
            self.sets.push(Model { set, version, pods: Vec::new() });
            return;
        } else {
            decide::roll(&self.deployment, &sets)
        };
        steps.truncate(self.random.random_range(0..=steps.len()));
        for step in steps {
            self.write(&step.set.name_any(), step.to);
        }
    }

    /// The ReplicaSet controller's step, which may be killed among its creates too.
    fn replicate(&mut self) {
        let index = self.random.random_range(0..self.sets.len());
        let model = &mut self.sets[index];
        let size = model.size();
        model.pods.sort_unstable();
        while model.pods.len() > size {
            model.pods.remove(0);
        }
        let missing = size - model.pods.len();
        if missing > 0 {
            let made = self.random.random_range(1..=missing);
            model.pods.extend(vec![false; made]);
        }
        let ready = model.pods.iter().filter(|ready| **ready).count();
        model.set.status = serde_json::from_value(json!({
            "replicas": model.pods.len(), "availableReplicas": ready, "readyReplicas": ready,
            "observedGeneration": model.set.metadata.generation,
        }))
        .unwrap();
    }

    /// Some pod gets ready, except of a broken version.
    fn run_pods(&mut self, broken: Option<u32>) {
        let index = self.random.random_range(0..self.sets.len());
        let model = &mut self.sets[index];
        if Some(model.version) != broken && !model.pods.is_empty() {
            let pod = self.random.random_range(0..model.pods.len());
            model.pods[pod] = true;
        }
    }

    fn step(&mut self, version: u32, broken: Option<u32>) {
        match self.random.random_range(0..3) {
            0 => self.control(version),
            1 if !self.sets.is_empty() => self.replicate(),
            2 if !self.sets.is_empty() => self.run_pods(broken),
            _ => {}
        }
    }

    fn is_settled(&self, version: u32) -> bool {
        self.available() == self.wanted()
            && self.sets.iter().all(|model| {
                model.pods.len() == if model.version == version { self.wanted() } else { 0 }
                    && model.set.status.as_ref().is_some_and(|status| status.replicas as usize == model.pods.len())
            })
    }

    fn settle(&mut self, version: u32) {
        for _ in 0..100_000 {
            self.step(version, None);
            if self.is_settled(version) {
                return;
            }
        }
        panic!("does not converge on version {version}");
    }

    /// Steps under which the available pods may never become fewer than promised, nor all pods more than allowed.
    fn watch(&mut self, steps: u32, version: u32, broken: Option<u32>) {
        for _ in 0..steps {
            self.step(version, broken);
            let least = self.wanted() - decide::max_unavailable(&self.deployment) as usize;
            assert!(self.available() >= least, "{} of {least} available", self.available());
            let most = self.wanted() + decide::max_surge(&self.deployment) as usize;
            assert!(self.asked_for() <= most, "{} pods, {most} allowed", self.asked_for());
        }
    }
}

#[test]
fn a_rollout_never_drops_below_what_is_promised_in_any_order_of_events() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let replicas = random.random_range(1..12);
        let (surge, unavailable) = if seed % 2 == 0 { (random.random_range(1..5), 0) } else { (1, 1) };
        let mut world = World::new(seed, replicas, surge, unavailable);
        set_version(&mut world.deployment, 2);
        world.watch(1500, 2, None);
        world.settle(2);
    }
}

#[test]
fn a_broken_version_and_the_rollback_from_it_in_mid_rollout_lose_nothing() {
    for seed in 0..30 {
        let mut world = World::new(seed, 1 + (seed % 7) as i32, 1 + (seed % 3) as i32, 0);
        set_version(&mut world.deployment, 2);
        let steps = world.random.random_range(0..300);
        world.watch(steps, 2, Some(2));
        set_version(&mut world.deployment, 1);
        world.watch(300, 1, Some(2));
        set_version(&mut world.deployment, 3);
        world.watch(700, 3, Some(2));
        world.settle(3);
    }
}

#[test]
fn scaling_in_mid_rollout_converges_on_the_new_size() {
    for seed in 0..30 {
        let mut world = World::new(seed, 1 + (seed % 10) as i32, 1 + (seed % 4) as i32, 0);
        set_version(&mut world.deployment, 2);
        for _ in 0..world.random.random_range(0..200) {
            world.step(2, None);
        }
        let before = world.asked_for();
        let replicas = world.random.random_range(0..15);
        world.deployment.spec.as_mut().unwrap().replicas = Some(replicas);
        let most = before.max(world.wanted() + decide::max_surge(&world.deployment) as usize);
        for _ in 0..300 {
            world.step(2, None);
            assert!(world.asked_for() <= most, "seed {seed}: {} of {most}", world.asked_for());
        }
        world.settle(2);
        // From then on every promise is kept again.
        set_version(&mut world.deployment, 3);
        world.watch(300, 3, None);
        world.settle(3);
    }
}
