//! The checks of the level `baseline`.

use serde_json::Value;

use super::{
    super::value::{has, int, is_true, items, text},
    containers, failing, host_process as is_host_process, named, plural, quoted,
};

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
const SELINUX_TYPES: [&str; 5] = ["", "container_engine_t", "container_init_t", "container_kvm_t", "container_t"];

/// `pod` and the containers whose security context breaks a rule.
fn setters(spec: &Value, wrong: impl Fn(&Value) -> bool) -> Vec<String> {
    let mut setters = Vec::new();
    if wrong(&spec["securityContext"]) {
        setters.push("pod".to_owned());
    }
    let names = failing(spec, wrong);
    if !names.is_empty() {
        setters.push(named(&names));
    }
    setters
}

pub(super) fn host_namespaces(found: &mut Vec<String>, spec: &Value) {
    let shared: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|key| is_true(spec, key))
        .map(|key| format!("{key}=true"))
        .collect();
    if !shared.is_empty() {
        found.push(format!("host namespaces ({})", shared.join(", ")));
    }
}

pub(super) fn host_ports(found: &mut Vec<String>, spec: &Value) {
    let mut names = Vec::new();
    let mut ports = std::collections::BTreeSet::new();
    for container in containers(spec) {
        let used: Vec<i64> = items(container, "ports")
            .iter()
            .filter_map(|port| int(port, "hostPort"))
            .filter(|port| *port != 0)
            .collect();
        if !used.is_empty() {
            names.push(quoted(text(container, "name")));
            ports.extend(used);
        }
    }
    if !names.is_empty() {
        let uses = plural(&names, "uses", "use");
        let word = if ports.len() == 1 { "hostPort" } else { "hostPorts" };
        let list: Vec<String> = ports.iter().map(ToString::to_string).collect();
        found.push(format!("hostPort ({} {uses} {word} {})", named(&names), list.join(", ")));
    }
}

pub(super) fn privileged(found: &mut Vec<String>, spec: &Value) {
    let names = failing(spec, |context| is_true(context, "privileged"));
    if !names.is_empty() {
        found.push(format!("privileged ({} must not set securityContext.privileged=true)", named(&names)));
    }
}

pub(super) fn selinux(found: &mut Vec<String>, spec: &Value) {
    let wrong = |context: &Value| {
        let options = &context["seLinuxOptions"];
        !SELINUX_TYPES.contains(&text(options, "type")) || has_text(options, "user") || has_text(options, "role")
    };
    let setters = setters(spec, wrong);
    if !setters.is_empty() {
        found.push(format!("seLinuxOptions ({} set forbidden securityContext.seLinuxOptions)", setters.join(" and ")));
    }
}

fn has_text(options: &Value, key: &str) -> bool {
    !text(options, key).is_empty()
}

pub(super) fn proc_mount(found: &mut Vec<String>, spec: &Value) {
    let names = failing(spec, |context| has(context, "procMount") && text(context, "procMount") != "Default");
    if !names.is_empty() && spec["hostUsers"] != false {
        let detail = "must not set securityContext.procMount to \"Unmasked\"";
        found.push(format!("procMount ({} {detail})", named(&names)));
    }
}

pub(super) fn sysctls(found: &mut Vec<String>, spec: &Value) {
    let unsafe_ones: Vec<&str> = items(&spec["securityContext"], "sysctls")
        .iter()
        .map(|one| text(one, "name"))
        .filter(|name| !SYSCTLS.contains(name))
        .collect();
    if !unsafe_ones.is_empty() {
        found.push(format!("forbidden sysctls ({})", unsafe_ones.join(", ")));
    }
}

pub(super) fn app_armor(found: &mut Vec<String>, spec: &Value) {
    let wrong = |context: &Value| text(&context["appArmorProfile"], "type") == "Unconfined";
    let setters = setters(spec, wrong);
    if !setters.is_empty() {
        let detail = "must not set AppArmor profile type to \"Unconfined\"";
        found.push(format!("forbidden AppArmor profile ({} {detail})", setters.join(" and ")));
    }
}

pub(super) fn host_process(found: &mut Vec<String>, spec: &Value) {
    let setters = setters(spec, is_host_process);
    if !setters.is_empty() {
        let detail = "must not set securityContext.windowsOptions.hostProcess=true";
        found.push(format!("hostProcess ({} {detail})", setters.join(" and ")));
    }
}

pub(super) fn capabilities(found: &mut Vec<String>, spec: &Value) {
    let mut names = Vec::new();
    let mut added = std::collections::BTreeSet::new();
    for container in containers(spec) {
        let wrong: Vec<&str> = items(&container["securityContext"]["capabilities"], "add")
            .iter()
            .filter_map(Value::as_str)
            .filter(|one| !CAPABILITIES.contains(one))
            .collect();
        if !wrong.is_empty() {
            names.push(quoted(text(container, "name")));
            added.extend(wrong.into_iter().map(quoted));
        }
    }
    if !names.is_empty() {
        let list: Vec<String> = added.into_iter().collect();
        let detail = format!("must not include {} in securityContext.capabilities.add", list.join(", "));
        found.push(format!("non-default capabilities ({} {detail})", named(&names)));
    }
}

pub(super) fn host_path(found: &mut Vec<String>, spec: &Value) {
    let names: Vec<String> = items(spec, "volumes")
        .iter()
        .filter(|volume| volume["hostPath"].is_object())
        .map(|volume| quoted(text(volume, "name")))
        .collect();
    if !names.is_empty() {
        found.push(format!("hostPath volumes ({} {})", plural(&names, "volume", "volumes"), names.join(", ")));
    }
}

pub(super) fn seccomp(found: &mut Vec<String>, spec: &Value) {
    let wrong = |context: &Value| text(&context["seccompProfile"], "type") == "Unconfined";
    let setters = setters(spec, wrong);
    if !setters.is_empty() {
        let detail = "must not set securityContext.seccompProfile.type to \"Unconfined\"";
        found.push(format!("seccompProfile ({} {detail})", setters.join(" and ")));
    }
}
