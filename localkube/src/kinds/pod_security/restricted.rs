//! The checks that the level `restricted` adds or sharpens.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::value::{int, items, part_names, text},
    containers, failing, named, plural, quoted, windows,
};

const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

pub(super) fn privilege_escalation(found: &mut Vec<String>, spec: &Value) {
    let names = failing(spec, |context| context["allowPrivilegeEscalation"] != false);
    if !names.is_empty() && !windows(spec) {
        let detail = "must set securityContext.allowPrivilegeEscalation=false";
        found.push(format!("allowPrivilegeEscalation != false ({} {detail})", named(&names)));
    }
}

pub(super) fn capabilities(found: &mut Vec<String>, spec: &Value) {
    if windows(spec) {
        return;
    }
    let keeping = failing(spec, |context| !items(&context["capabilities"], "drop").iter().any(|one| one == "ALL"));
    let mut adding = Vec::new();
    let mut added = BTreeSet::new();
    for container in containers(spec) {
        let wrong: Vec<&str> = items(&container["securityContext"]["capabilities"], "add")
            .iter()
            .filter_map(Value::as_str)
            .filter(|one| *one != "NET_BIND_SERVICE")
            .collect();
        if !wrong.is_empty() {
            adding.push(quoted(text(container, "name")));
            added.extend(wrong.into_iter().map(quoted));
        }
    }
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named(&keeping)));
    }
    if !adding.is_empty() {
        let list: Vec<String> = added.into_iter().collect();
        let detail = format!("must not include {} in securityContext.capabilities.add", list.join(", "));
        details.push(format!("{} {detail}", named(&adding)));
    }
    if !details.is_empty() {
        found.push(format!("unrestricted capabilities ({})", details.join("; ")));
    }
}

pub(super) fn volume_types(found: &mut Vec<String>, spec: &Value) {
    let mut names = Vec::new();
    let mut kinds = BTreeSet::new();
    for volume in items(spec, "volumes") {
        if let Some(kind) = part_names(volume).find(|kind| !VOLUMES.contains(kind)) {
            names.push(quoted(text(volume, "name")));
            kinds.insert(quoted(kind));
        }
    }
    if !names.is_empty() {
        let list: Vec<String> = kinds.into_iter().collect();
        let (volume, uses) = (plural(&names, "volume", "volumes"), plural(&names, "uses", "use"));
        let kind = plural(&list, "restricted volume type", "restricted volume types");
        let names = names.join(", ");
        found.push(format!("restricted volume types ({volume} {names} {uses} {kind} {})", list.join(", ")));
    }
}

pub(super) fn run_as_non_root(found: &mut Vec<String>, spec: &Value) {
    let pod = &spec["securityContext"]["runAsNonRoot"];
    let explicit = failing(spec, |context| context["runAsNonRoot"] == false);
    let mut wrong = Vec::new();
    if *pod == false {
        wrong.push("pod".to_owned());
    }
    if !explicit.is_empty() {
        wrong.push(named(&explicit));
    }
    if !wrong.is_empty() {
        let detail = "must not set securityContext.runAsNonRoot=false";
        found.push(format!("runAsNonRoot != true ({} {detail})", wrong.join(" and ")));
        return;
    }
    let silent = failing(spec, |context| context["runAsNonRoot"].is_null());
    if *pod != true && !silent.is_empty() {
        let detail = "must set securityContext.runAsNonRoot=true";
        found.push(format!("runAsNonRoot != true (pod or {} {detail})", named(&silent)));
    }
}

pub(super) fn run_as_user(found: &mut Vec<String>, spec: &Value) {
    let mut wrong = Vec::new();
    if int(&spec["securityContext"], "runAsUser") == Some(0) {
        wrong.push("pod".to_owned());
    }
    let names = failing(spec, |context| int(context, "runAsUser") == Some(0));
    if !names.is_empty() {
        wrong.push(named(&names));
    }
    if !wrong.is_empty() {
        found.push(format!("runAsUser=0 ({} must not set runAsUser=0)", wrong.join(" and ")));
    }
}

pub(super) fn seccomp(found: &mut Vec<String>, spec: &Value) {
    if windows(spec) {
        return;
    }
    let confined = |kind: &str| ["RuntimeDefault", "Localhost"].contains(&kind);
    let pod = text(&spec["securityContext"]["seccompProfile"], "type");
    let explicit = failing(spec, |context| {
        let kind = text(&context["seccompProfile"], "type");
        !kind.is_empty() && !confined(kind)
    });
    let mut wrong = Vec::new();
    if !pod.is_empty() && !confined(pod) {
        wrong.push("pod".to_owned());
    }
    if !explicit.is_empty() {
        wrong.push(named(&explicit));
    }
    if !wrong.is_empty() {
        let detail = "must not set securityContext.seccompProfile.type to \"Unconfined\"";
        found.push(format!("seccompProfile ({} {detail})", wrong.join(" and ")));
        return;
    }
    let silent = failing(spec, |context| text(&context["seccompProfile"], "type").is_empty());
    if !confined(pod) && !silent.is_empty() {
        let detail = "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
        found.push(format!("seccompProfile (pod or {} {detail})", named(&silent)));
    }
}
