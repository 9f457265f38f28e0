//! Whom a container runs as, and that `runAsNonRoot` holds before it starts.

use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SecurityContext};

use super::names;

/// The user, group and further groups of a container's first process, as far as the pod says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) user: Option<i64>,
    pub(super) group: Option<i64>,
    /// `fsGroup` and `supplementalGroups`.
    pub(super) groups: Vec<i64>,
}

impl Identity {
    /// What the container's settings, then the pod's, say.
    pub(super) fn of(pod: &Pod, container: &Container) -> Self {
        let (own, all) = contexts(pod, container);
        let mut groups: Vec<i64> = all.and_then(|all| all.supplemental_groups.clone()).unwrap_or_default();
        groups.extend(all.and_then(|all| all.fs_group));
        Self {
            user: own.and_then(|own| own.run_as_user).or(all.and_then(|all| all.run_as_user)),
            group: own.and_then(|own| own.run_as_group).or(all.and_then(|all| all.run_as_group)),
            groups,
        }
    }

    /// As the engine takes it: nothing leaves it to the image.
    pub(super) fn engine_user(&self, image_user: &str) -> Option<String> {
        match (self.user, self.group) {
            (Some(user), Some(group)) => Some(format!("{user}:{group}")),
            // Without a group the engine looks the user up in the image; the group is 0 when it isn't there.
            (Some(user), None) => Some(user.to_string()),
            (None, Some(group)) => {
                let user = image_user.split(':').next().filter(|user| !user.is_empty()).unwrap_or("0");
                Some(format!("{user}:{group}"))
            }
            (None, None) => None,
        }
    }
}

fn contexts<'a>(
    pod: &'a Pod,
    container: &'a Container,
) -> (Option<&'a SecurityContext>, Option<&'a PodSecurityContext>) {
    (container.security_context.as_ref(), pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref()))
}

/// Checks `runAsNonRoot` against the pod's user and the image's.
///
/// # Errors
/// In the kubelet's words, when the container would be root or that can't be told.
pub(super) fn verify_non_root(pod: &Pod, container: &Container, image_user: &str) -> Result<(), String> {
    let (own, all) = contexts(pod, container);
    let required = own.and_then(|own| own.run_as_non_root).or(all.and_then(|all| all.run_as_non_root));
    if required != Some(true) {
        return Ok(());
    }
    let which = format!("(pod: \"{}\", container: {})", names::full(pod), container.name);
    match Identity::of(pod, container).user {
        Some(0) => return Err(format!("container's runAsUser breaks non-root policy {which}")),
        Some(_) => return Ok(()),
        None => {}
    }
    let user = image_user.split(':').next().unwrap_or_default();
    match user.parse::<u32>() {
        Ok(0) => Err(format!("container has runAsNonRoot and image will run as root {which}")),
        Ok(_) => Ok(()),
        Err(_) if user.is_empty() => Err(format!("container has runAsNonRoot and image will run as root {which}")),
        Err(_) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root {which}"
        )),
    }
}
