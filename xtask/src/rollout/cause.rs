//! Why a workload does not become ready: the kinds of it, told apart by reasons first. Texts are looked at only where
//! the reason stands for several causes, and only for words that Kubernetes or a registry's protocol defines: what
//! container runtimes write around them differs.

use serde::Serialize;

/// Kinds of failure, each with its own advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The registry has no such image, or its name is none.
    ImageMissing,
    /// The registry wants other credentials.
    RegistryRefused,
    /// The image cannot be pulled for another reason: the registry cannot be reached.
    ImagePull,
    /// A container ends again and again.
    CrashLoop,
    /// A container is killed for using too much memory.
    OutOfMemory,
    /// The command is not in the image or cannot be executed.
    WrongCommand,
    /// A container cannot be created or started.
    Start,
    /// A ConfigMap, a Secret or a key of one is not there.
    MissingConfiguration,
    /// An init container fails.
    InitFailed,
    /// A container runs and its probes fail.
    Unready,
    /// No node has room for it.
    Unschedulable,
    /// Taints keep it off the nodes.
    Tainted,
    /// No node has the labels that it asks for.
    NoSuchNode,
    /// A PersistentVolumeClaim has no volume.
    ClaimPending,
    /// A volume cannot be attached or mounted.
    VolumeMount,
    /// The namespace's quota is used up.
    QuotaExceeded,
    /// Pod Security or a webhook refuses its pods.
    AdmissionDenied,
    /// The API server refuses its pods for another reason.
    Refused,
    /// Its pod was evicted.
    Evicted,
    /// The node that it runs on does not answer.
    NodeLost,
    /// A Job's pods failed too often.
    JobFailed,
    /// A Job ran for longer than it may.
    JobDeadline,
    /// It has made no progress for too long.
    ProgressDeadline,
    /// None of these.
    Other,
}

use Cause::{
    AdmissionDenied, ClaimPending, ImageMissing, ImagePull, MissingConfiguration, NoSuchNode, QuotaExceeded, Refused,
    RegistryRefused, Tainted, Unschedulable, VolumeMount,
};

impl Cause {
    /// Whether a person would look at the pods, which a rollback removes.
    pub fn is_seen_in_pods(self) -> bool {
        [ImagePull, Self::CrashLoop, Self::Start, Self::InitFailed, Self::Unready, VolumeMount, Self::Other]
            .contains(&self)
    }

    /// Why an image cannot be pulled.
    pub(super) fn of_pull(reason: &str, message: &str) -> Self {
        let message = message.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        // Ports and digests hold the same digits.
        let has =
            |words: &[&str]| message.split(|one: char| !one.is_ascii_alphanumeric()).any(|one| words.contains(&one));
        match reason {
            "InvalidImageName" | "ErrImageNeverPull" => ImageMissing,
            "RegistryUnavailable" => ImagePull,
            // Registries say `denied` of repositories that are not there, too, and runtimes say both: so it comes first.
            _ if says(&[
                "unauthorized",
                "denied",
                "forbidden",
                "authentication required",
                "no basic auth credentials",
            ]) || has(&["401", "403"]) =>
            {
                RegistryRefused
            }
            _ if says(&["not found", "notfound", "manifest unknown", "name unknown", "no such image"]) => ImageMissing,
            _ => ImagePull,
        }
    }

    /// Why the scheduler finds no node: the reason that it gives for most of them.
    pub(super) fn of_scheduling(message: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if says(&["persistentvolumeclaim", "PersistentVolumeClaim", "volume node affinity"]) {
            return ClaimPending;
        }
        if says(&["Insufficient ", "Too many pods"]) {
            return Unschedulable;
        }
        if says(&["untolerated taint", "had taint"]) {
            return Tainted;
        }
        if says(&["node affinity", "node selector", "node(s) didn't match"]) { NoSuchNode } else { Unschedulable }
    }

    /// Why the API server refuses a pod.
    pub(super) fn of_refusal(message: &str) -> Self {
        let says = |word: &str| message.contains(word);
        if says("exceeded quota") || says("failed quota") {
            return QuotaExceeded;
        }
        if says("violates PodSecurity") || says("admission webhook") || says("ValidatingAdmissionPolicy") {
            return AdmissionDenied;
        }
        let account = says("serviceaccount") || says("service account");
        if account && says("not found") { MissingConfiguration } else { Refused }
    }

    /// Why a volume cannot be mounted.
    pub(super) fn of_mount(message: &str) -> Self {
        let names = ["configmap", "secret"].iter().any(|kind| message.contains(kind));
        let lacks = ["not found", "non-existent", "references non-existent"].iter().any(|word| message.contains(word));
        if names && lacks { MissingConfiguration } else { VolumeMount }
    }
}
