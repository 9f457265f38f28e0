//! Jobs that run once a release: before its workloads change, a database migration for example, or after they are
//! ready.
//!
//! A hook is a Job of the manifests with the annotation [`PHASE`]. It is no part of what a plan compares: a finished
//! Job cannot be changed, and one that ran for the release before says nothing about this one.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::{
    config::Unit,
    error::{Error, Place, Result},
    manifests::Object,
    plan::ObjectRef,
};

mod run;

pub use run::run;

/// When a hook runs: `pre-deploy` or `post-deploy`.
pub const PHASE: &str = "slipway.dev/hook";

/// A whole number; hooks of a phase run from the least to the greatest, those of the same by name. Default: 0.
pub const WEIGHT: &str = "slipway.dev/hook-weight";

/// When the Job goes away: `before` (the next run of it, the default), `succeeded` or `never`.
pub const DELETE: &str = "slipway.dev/hook-delete";

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// When configuration and Services are there, before any workload changes.
    PreDeploy,
    /// When everything is ready, before it is verified.
    PostDeploy,
}

/// When the Job of a hook is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delete {
    /// Right before the next run of it, so that its log can be read until then.
    Before,
    /// As soon as it has succeeded.
    Succeeded,
    /// By nobody: one that has succeeded does not run again under the same name.
    Never,
}

/// One Job that is a hook.
#[derive(Debug, Clone)]
struct Hook {
    object: Object,
    phase: Phase,
    weight: i64,
    delete: Delete,
}

/// The hooks of a set of objects, in the order in which they run.
#[derive(Debug, Clone, Default)]
pub struct Hooks(Vec<Hook>);

/// A hook as a plan lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The Job.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// When it runs.
    pub phase: Phase,
    /// What it is ordered by within the phase.
    pub weight: i64,
    /// When it is deleted.
    pub delete: Delete,
}

impl Hooks {
    /// Whether a phase has any.
    pub fn has(&self, phase: Phase) -> bool {
        self.0.iter().any(|hook| hook.phase == phase)
    }

    /// The hooks as a plan lists them. Nothing of it is up for pruning.
    pub fn describe(&self, unit: Unit<'_>) -> Vec<Description> {
        let describe = |hook: &Hook| Description {
            object: hook.reference(unit),
            phase: hook.phase,
            weight: hook.weight,
            delete: hook.delete,
        };
        self.0.iter().map(describe).collect()
    }
}

impl Hook {
    fn reference(&self, unit: Unit<'_>) -> ObjectRef {
        let namespace = self.object.namespace().unwrap_or(&unit.service.namespace).to_owned();
        ObjectRef { namespace: Some(namespace), ..self.object.reference() }
    }

    /// Reads what the annotations say; nothing if the object is no hook.
    fn read(object: &Object) -> Result<Option<Self>> {
        const PHASES: [(&str, Phase); 2] = [("pre-deploy", Phase::PreDeploy), ("post-deploy", Phase::PostDeploy)];
        const DELETES: [(&str, Delete); 3] =
            [("before", Delete::Before), ("succeeded", Delete::Succeeded), ("never", Delete::Never)];
        let Some(phase) = choice(object, PHASE, &PHASES)? else {
            let stray = [WEIGHT, DELETE].into_iter().find(|key| annotation(object, key).is_some());
            return match stray {
                Some(key) => Err(wrong(object, key, format!("{key} means nothing without {PHASE}"))),
                None => Ok(None),
            };
        };
        if object.kind() != "Job" || object.reference().group() != "batch" {
            let message = format!("only a Job can be a hook, this is a {}", object.kind());
            return Err(wrong(object, PHASE, message));
        }
        if object.value()["spec"]["suspend"] == true {
            return Err(wrong(object, PHASE, "a hook that is suspended would never end; take spec.suspend out"));
        }
        let weight = match annotation(object, WEIGHT) {
            None => 0,
            Some(value) => text(value)
                .parse()
                .map_err(|_| wrong(object, WEIGHT, format!("`{}` is not a whole number", text(value))))?,
        };
        let delete = choice(object, DELETE, &DELETES)?.unwrap_or(Delete::Before);
        Ok(Some(Self { object: object.clone(), phase, weight, delete }))
    }
}

/// Takes the hooks out of a set of objects.
///
/// # Errors
/// An annotation of a hook has a value that it cannot have, or is on something else than a Job; with file and line.
pub fn split(objects: &[Object]) -> Result<(Vec<Object>, Hooks)> {
    let (mut ordinary, mut hooks) = (Vec::new(), Vec::new());
    for object in objects {
        match Hook::read(object)? {
            Some(hook) => hooks.push(hook),
            None => ordinary.push(object.clone()),
        }
    }
    hooks.sort_by(|left, right| {
        let key = |hook: &Hook| (hook.phase, hook.weight, hook.object.name().to_owned());
        key(left).cmp(&key(right))
    });
    Ok((ordinary, Hooks(hooks)))
}

fn annotation<'a>(object: &'a Object, key: &str) -> Option<&'a Value> {
    object.value()["metadata"]["annotations"].get(key)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn choice<T: Copy>(object: &Object, key: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
    let Some(found) = annotation(object, key).map(text) else { return Ok(None) };
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == found) {
        return Ok(Some(*value));
    }
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    Err(wrong(object, key, format!("`{found}` is not one of {}", words.join(", "))))
}

/// A mistake at an annotation.
fn wrong(object: &Object, key: &str, message: impl fmt::Display) -> Error {
    let message = format!("metadata.annotations.{key}: {message}");
    let position = object.field_position(&format!("metadata.annotations.{key}"));
    let error = Error::usage(format!("{} is no hook that can be run", object.reference()));
    let mut parts = position.rsplitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
    match (number(), number()) {
        (Some(column), Some(line)) => {
            let file = parts.next().unwrap_or_default().to_owned();
            error.place(Place { file, line, column, message })
        }
        _ => error.cause(format!("{position}: {message}")),
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PreDeploy => "pre-deploy",
            Self::PostDeploy => "post-deploy",
        })
    }
}

impl fmt::Display for Description {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "hook {} {}", self.phase, self.object)
    }
}

#[cfg(test)]
mod tests;
