//! The service's own image in the containers that use it.

use serde_json::{Value, json};

use super::{Object, order, transform::split_image};
use crate::image::reference::{Pinned, Reference};

/// Puts the image into every container that names it.
///
/// One that no registry has must not be looked for in any: a stranger may have an image of its name there.
pub(super) fn put(value: &mut Value, name: &str, image: &Reference) {
    containers(value, &mut |container| {
        if container["image"].as_str().is_none_or(|found| split_image(found).0 != name) {
            return;
        }
        container["image"] = image.to_string().into();
        if matches!(image, Reference::Unpushed(_)) {
            container["imagePullPolicy"] = "Never".into();
        }
    });
}

/// Adds the Secret to the set and to every pod that has a container of the image.
pub fn pull_with(objects: &mut Vec<Object>, image: &Pinned, secret: Value) {
    let (name, image) = (secret["metadata"]["name"].clone(), image.to_string());
    objects.iter_mut().for_each(|object| refer(&mut object.value, &image, &name));
    // One of this name in the manifests is what somebody wrote on purpose.
    let theirs = |object: &Object| object.kind() == "Secret" && Some(object.name()) == name.as_str();
    if !objects.iter().any(theirs) {
        order::insert(objects, Object::recorded(secret, "registry.generic.pull_secret"));
    }
}

/// Adds the name to `imagePullSecrets` of each pod specification with a container of the image.
fn refer(value: &mut Value, image: &str, name: &Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, image, name)),
        Value::Object(fields) => {
            let uses = ["containers", "initContainers"].iter().any(|key| {
                let containers = fields.get(*key).and_then(Value::as_array);
                containers.is_some_and(|containers| containers.iter().any(|container| container["image"] == image))
            });
            if uses {
                let secrets = fields.entry("imagePullSecrets").or_insert_with(|| Value::Array(Vec::new()));
                if let Some(secrets) = secrets.as_array_mut()
                    && !secrets.iter().any(|secret| secret["name"] == *name)
                {
                    secrets.push(json!({"name": name}));
                }
                return;
            }
            fields.values_mut().for_each(|field| refer(field, image, name));
        }
        _ => {}
    }
}

fn containers(value: &mut Value, visitor: &mut dyn FnMut(&mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| containers(item, visitor)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::Array(items) if key == "containers" || key == "initContainers" => {
                        items.iter_mut().filter(|item| item.is_object()).for_each(&mut *visitor);
                    }
                    _ => containers(field, visitor),
                }
            }
        }
        _ => {}
    }
}
