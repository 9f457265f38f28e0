//! `replacements`: values of some fields are put into others.

use serde_json::Value;

use super::{
    files::Scope,
    kustomization::{FieldOptions, Replacement, ReplacementTarget, Replacements, Source, Target, replacements},
    object::Object,
    path::{get, scalar, split, visit},
    reader::Text,
    selector::Selector,
    yaml::{Position, resolve, wrong},
};
use crate::error::Result;

/// Applies all of them, in their order.
///
/// # Errors
/// The source is not there or not the only one, a field of a target is not there, or is not what it should be.
pub(super) fn apply(objects: &mut [Object], entries: &[Replacements], file: &str, scope: &Scope<'_>) -> Result<()> {
    for entry in entries {
        match entry {
            Replacements::Inline(replacement) => replace(objects, replacement, file)?,
            Replacements::Path(path) => {
                let text = scope.text(&path.text).map_err(|what| wrong(file, path.at, what))?;
                let file = scope.show(&path.text);
                for replacement in replacements(&file, &text)? {
                    replace(objects, &replacement, &file)?;
                }
            }
        }
    }
    Ok(())
}

fn replace(objects: &mut [Object], replacement: &Replacement, file: &str) -> Result<()> {
    let value = match &replacement.source {
        Source::Value(text) => Value::String(text.clone()),
        Source::Field { select, path, options } => source(objects, select, path, options, (file, replacement.at))?,
    };
    for target in &replacement.targets {
        let select = Selector::new(&target.select, file)?;
        let reject: Vec<Selector> =
            target.reject.iter().map(|target| Selector::new(target, file)).collect::<Result<_>>()?;
        for object in objects.iter_mut() {
            let identities: Vec<_> = object.identities().collect();
            let is_rejected = reject.iter().any(|reject| {
                (reject.has_identity() && identities.iter().any(|identity| reject.fits(identity)))
                    || (reject.has_metadata() && reject.fits_metadata(object))
            });
            let is_selected = select.fits_metadata(object) && identities.iter().any(|identity| select.fits(identity));
            if is_selected && !is_rejected {
                fill(object, target, &value, file)?;
            }
        }
    }
    Ok(())
}

/// The value of the one object that a source selects.
fn source(
    objects: &[Object],
    select: &Target,
    path: &str,
    options: &FieldOptions,
    (file, at): (&str, Position),
) -> Result<Value> {
    let fits = |wanted: &Option<Text>, found: &str| wanted.as_ref().is_none_or(|text| text.text == found);
    let selected = objects.iter().filter(|object| {
        object.identities().any(|identity| {
            fits(&select.namespace, &identity.namespace)
                && fits(&select.name, &identity.name)
                && fits(&select.kind, &identity.kind)
                && fits(&select.group, identity.group())
                && fits(&select.version, identity.version())
        })
    });
    let object = match &selected.collect::<Vec<_>>()[..] {
        [object] => *object,
        [] => return Err(wrong(file, at, "the source of the replacement selects nothing")),
        [first, second, ..] => {
            let (first, second) = (first.reference(), second.reference());
            return Err(wrong(file, at, format_args!("the source of the replacement selects {first} and {second}")));
        }
    };
    let found = split(path).iter().try_fold(&object.value, |value, part| get(value, part));
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    let Some(value) = found.filter(|value| !is_empty(value)) else {
        return Err(wrong(file, at, format_args!("{} has no field `{path}`", object.reference())));
    };
    if options.delimiter.is_empty() {
        return Ok(value.clone());
    }
    let text =
        scalar(value).ok_or_else(|| wrong(file, at, format_args!("a delimiter is for text, and `{path}` is none")))?;
    // The value stays out of the message: it may be a secret's.
    let parts: Vec<&str> = text.split(options.delimiter.as_str()).collect();
    let part = usize::try_from(options.index).ok().and_then(|index| parts.get(index));
    let part = part.ok_or_else(|| {
        wrong(file, at, format_args!("`{path}` has {} parts, there is no index {}", parts.len(), options.index))
    })?;
    Ok(like(value, part))
}

fn fill(object: &mut Object, target: &ReplacementTarget, value: &Value, file: &str) -> Result<()> {
    let reference = object.reference();
    for path in &target.paths {
        let parts = split(&path.text);
        let wrong = |what: String| wrong(file, path.at, format!("`{}` of {reference}: {what}", path.text));
        if target.options.create && parts.iter().any(|part| part == "*") {
            return Err(wrong("`create` and `*` do not go together".to_owned()));
        }
        let text_only = parts.len() == 3 && parts[0] == "metadata" && parts[1] == "annotations";
        let mut put = |found: &mut Value, fresh: bool| put(found, fresh && !text_only, value, &target.options);
        let kind = target.options.create.then_some(value);
        if visit(&mut object.value, &parts, kind, false, &mut put).map_err(wrong)? == 0 {
            return Err(wrong("there is no such field".to_owned()));
        }
        object.settle();
    }
    Ok(())
}

fn put(found: &mut Value, fresh: bool, value: &Value, options: &FieldOptions) -> Result<(), String> {
    let Some(old) = scalar(found) else {
        if !options.delimiter.is_empty() {
            return Err("a delimiter is for text".to_owned());
        }
        *found = value.clone();
        return Ok(());
    };
    if found.is_null() && (value.is_object() || value.is_array()) {
        *found = value.clone();
        return Ok(());
    }
    let mut new = scalar(value).unwrap_or_default();
    if !options.delimiter.is_empty() {
        let mut parts: Vec<&str> = old.split(options.delimiter.as_str()).collect();
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, &new),
            Ok(index) if index >= parts.len() => parts.push(&new),
            Ok(index) => parts[index] = &new,
        }
        new = parts.join(&options.delimiter);
    }
    // A field keeps its type; one that was just made takes the type that the text has in YAML.
    *found = if fresh { resolve(&new).unwrap_or(Value::String(new)) } else { like(found, &new) };
    Ok(())
}

/// The text as a value of the same type, if it can be one.
fn like(example: &Value, text: &str) -> Value {
    let resolved = || resolve(text).unwrap_or_else(|| text.into());
    if example.is_string() || example.is_null() { text.into() } else { resolved() }
}
