//! Conflicts between an applier and the other owners of its fields.

use serde_json::{Value, json};

use super::{
    managed::Id,
    set::{Element, Set, display},
};
use crate::status::Status;

/// Fields that an applier would change though others own them, by owner.
#[derive(Debug, Default)]
pub(super) struct Conflicts(pub(super) Vec<(Id, Set)>);

impl Conflicts {
    fn paths(&self) -> Vec<(&Id, Vec<Element>)> {
        self.0.iter().flat_map(|(id, set)| set.paths().into_iter().map(move |path| (id, path))).collect()
    }

    /// Without the fields of a set, whoever owns them.
    pub(super) fn without(&self, set: &Set) -> Self {
        let rest = self.0.iter().map(|(id, conflict)| (id.clone(), conflict.difference(set)));
        Self(rest.filter(|(_, conflict)| !conflict.is_empty()).collect())
    }

    /// 409 with every field and its owner.
    pub(super) fn status(&self) -> Status {
        let paths = self.paths();
        let causes: Vec<Value> = paths
            .iter()
            .map(|(id, path)| {
                json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with {}", id.display()),
                    "field": display(path),
                })
            })
            .collect();
        let message = match &paths[..] {
            [(id, path)] => {
                format!("Apply failed with 1 conflict: conflict with {}: {}", id.display(), display(path))
            }
            _ => {
                let mut lines = Vec::new();
                for (id, set) in &self.0 {
                    lines.push(format!("conflicts with {}:", id.display()));
                    lines.extend(set.paths().iter().map(|path| format!("- {}", display(path))));
                }
                format!("Apply failed with {} conflicts: {}", paths.len(), lines.join("\n"))
            }
        };
        Status::new(409, "Conflict", message).with_details(json!({"causes": causes}))
    }
}
