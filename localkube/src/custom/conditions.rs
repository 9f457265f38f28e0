//! What a definition's status says: which names it got, and whether its objects can be made.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Whether a condition is true.
pub(super) fn holds(definition: &Value, kind: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// The status of a definition beside the other ones: it gets the names that none of those has got already.
pub(crate) fn conditions(definition: &Value, others: &[Value], now: Timestamp) -> Value {
    let spec = &definition["spec"];
    let mut status = definition["status"].clone();
    let rivals = || others.iter().filter(|other| other["spec"]["group"] == spec["group"]);
    let taken = |name: &Value| {
        rivals().any(|other| {
            let names = &other["status"]["acceptedNames"];
            let short = names["shortNames"].as_array().is_some_and(|short| short.contains(name));
            short || names["plural"] == *name || names["singular"] == *name
        })
    };
    let kind_taken = |kind: &Value| {
        rivals().any(|other| {
            let names = &other["status"]["acceptedNames"];
            names["kind"] == *kind || names["listKind"] == *kind
        })
    };
    let mut accepted = definition["status"]["acceptedNames"].clone();
    let mut conflict: Option<(&str, String)> = None;
    for (field, reason) in [
        ("plural", "PluralConflict"),
        ("singular", "SingularConflict"),
        ("kind", "KindConflict"),
        ("listKind", "ListKindConflict"),
    ] {
        let name = &spec["names"][field];
        if accepted[field] == *name {
            continue;
        }
        let refused = if field.ends_with("ind") { kind_taken(name) } else { taken(name) };
        if refused {
            conflict.get_or_insert((reason, format!("{name} is already in use")));
        } else {
            accepted[field] = name.clone();
        }
    }
    let short = spec["names"]["shortNames"].as_array().cloned().unwrap_or_default();
    match short
        .iter()
        .find(|name| accepted["shortNames"].as_array().is_none_or(|had| !had.contains(name)) && taken(name))
    {
        Some(name) => {
            conflict.get_or_insert(("ShortNamesConflict", format!("{name} is already in use")));
        }
        None => set(&mut accepted, "shortNames", &spec["names"]["shortNames"]),
    }
    set(&mut accepted, "categories", &spec["names"]["categories"]);
    status["acceptedNames"] = accepted;
    let (truth, reason, message) = match &conflict {
        None => ("True", "NoConflicts", "no conflicts found".to_owned()),
        Some((reason, message)) => ("False", *reason, message.clone()),
    };
    put(&mut status, "NamesAccepted", (truth, reason, &message), now);
    if conflict.is_none() {
        put(&mut status, "Established", ("True", "InitialNamesAccepted", "the initial names have been accepted"), now);
    } else if !holds(definition, "Established") {
        let why = ("False", "NotAccepted", "not all names are accepted");
        put(&mut status, "Established", why, now);
    }
    status
}

/// The status of a definition that is being deleted.
pub(crate) fn terminating(definition: &Value, now: Timestamp) -> Value {
    let mut status = definition["status"].clone();
    let why = (
        "True",
        "InstanceDeletionPending",
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    );
    put(&mut status, "Terminating", why, now);
    status
}

fn set(names: &mut Value, field: &str, value: &Value) {
    match value {
        Value::Null => {
            if let Some(names) = names.as_object_mut() {
                names.remove(field);
            }
        }
        value => names[field] = value.clone(),
    }
}

fn put(status: &mut Value, kind: &str, (truth, reason, message): (&str, &str, &str), now: Timestamp) {
    let mut condition = json!({"type": kind, "status": truth, "reason": reason, "message": message});
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(list) = status["conditions"].as_array_mut() else { return };
    let before = list.iter().position(|one| one["type"] == kind);
    let since =
        before.map(|at| &list[at]).filter(|one| one["status"] == truth).map(|one| one["lastTransitionTime"].clone());
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    condition["lastTransitionTime"] = since.unwrap_or_else(|| now.into());
    match before {
        Some(at) => list[at] = condition,
        None => list.push(condition),
    }
}
