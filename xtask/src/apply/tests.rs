use super::*;

fn stage(api_version: &str, kind: &str) -> Stage {
    let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
    Stage::of(&ObjectRef { api_version, kind, namespace: None, name: "x".into() })
}

#[test]
fn what_others_need_comes_first() {
    let order = [
        stage("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        stage("v1", "Namespace"),
        stage("networking.k8s.io/v1", "NetworkPolicy"),
        stage("v1", "ConfigMap"),
        stage("v1", "Service"),
        stage("apps/v1", "Deployment"),
        stage("autoscaling/v2", "HorizontalPodAutoscaler"),
        stage("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ];
    assert!(order.is_sorted_by(|left, right| left < right), "{order:?}");
    for (api_version, kind, expected) in [
        ("storage.k8s.io/v1", "StorageClass", Stage::Policies),
        ("v1", "ResourceQuota", Stage::Policies),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", Stage::Configuration),
        ("v1", "Secret", Stage::Configuration),
        ("batch/v1", "CronJob", Stage::Workloads),
        ("policy/v1", "PodDisruptionBudget", Stage::Dependents),
        ("networking.k8s.io/v1", "Ingress", Stage::Dependents),
        ("example.com/v1", "Namespace", Stage::Dependents),
    ] {
        assert_eq!(stage(api_version, kind), expected, "{api_version} {kind}");
    }
}
