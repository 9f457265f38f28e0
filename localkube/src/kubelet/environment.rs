//! A container's environment and command line: references resolved, `$(NAME)` expanded.

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, Pod};

use super::{
    downward::{self, Facts},
    sources::Sources,
};

/// Names and values, in the order they are set.
pub(super) type Variables = Vec<(String, String)>;

/// Everything in `env` and `envFrom`; `services` are the variables about services, which come first and may be
/// overridden.
///
/// # Errors
/// In the kubelet's words, for the first reference that leads nowhere and is not optional.
pub(super) async fn resolve(
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    sources: &mut Sources,
    services: Variables,
) -> Result<Variables, String> {
    let mut variables = Vec::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let (data, optional) = if let Some(of) = &from.config_map_ref {
            (sources.config_map(&of.name).await, of.optional)
        } else if let Some(of) = &from.secret_ref {
            (sources.secret(&of.name).await, of.optional)
        } else {
            continue;
        };
        match data {
            Ok(data) => {
                for (key, value) in data {
                    set(&mut variables, format!("{prefix}{key}"), String::from_utf8_lossy(value).into_owned());
                }
            }
            Err(_) if optional == Some(true) => {}
            Err(error) => return Err(error),
        }
    }
    for EnvVar { name, value, value_from } in container.env.iter().flatten() {
        let value = match (value, value_from) {
            (_, Some(from)) => reference(pod, container, facts, sources, from).await?,
            (Some(text), None) => Some(expand(text, |name| find(&variables, name).or_else(|| find(&services, name)))),
            (None, None) => Some(String::new()),
        };
        if let Some(value) = value {
            set(&mut variables, name.clone(), value);
        }
    }
    for (name, value) in services {
        if find(&variables, &name).is_none() {
            variables.push((name, value));
        }
    }
    Ok(variables)
}

/// Nothing when the reference is optional and leads nowhere: then the variable isn't set.
async fn reference(
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    sources: &mut Sources,
    from: &EnvVarSource,
) -> Result<Option<String>, String> {
    if let Some(of) = &from.field_ref {
        return downward::field(pod, facts, &of.field_path).map(Some);
    }
    if let Some(of) = &from.resource_field_ref {
        return downward::resource(pod, container, facts, of).map(Some);
    }
    let namespace = sources.namespace().to_owned();
    let (data, kind, name, key, optional) = if let Some(of) = &from.config_map_key_ref {
        (sources.config_map(&of.name).await, "ConfigMap", &of.name, &of.key, of.optional)
    } else if let Some(of) = &from.secret_key_ref {
        (sources.secret(&of.name).await, "Secret", &of.name, &of.key, of.optional)
    } else {
        return Ok(None);
    };
    let value = data
        .and_then(|data| data.get(key).ok_or_else(|| format!("couldn't find key {key} in {kind} {namespace}/{name}")));
    match value {
        Ok(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        Err(_) if optional == Some(true) => Ok(None),
        Err(error) => Err(error),
    }
}

fn set(variables: &mut Variables, name: String, value: String) {
    match variables.iter_mut().find(|(known, _)| *known == name) {
        Some(known) => known.1 = value,
        None => variables.push((name, value)),
    }
}

fn find<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
    variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// `$(NAME)` becomes the value, `$$` a dollar sign; an unknown name stays as it is written.
fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            result.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|after| after.split_once(')')) {
            match lookup(name) {
                Some(value) => result.push_str(value),
                None => result.extend(["$(", name, ")"]),
            }
            rest = tail;
        } else {
            result.push('$');
            rest = after;
        }
    }
    result + rest
}

/// A command line's words with the container's variables in place.
pub(super) fn command(words: Option<&Vec<String>>, variables: &Variables) -> Option<Vec<String>> {
    let words = words.filter(|words| !words.is_empty())?;
    Some(words.iter().map(|word| expand(word, |name| find(variables, name))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_as_the_documentation_says() {
        let variables = vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())];
        let expand = |text: &str| expand(text, |name| find(&variables, name));
        assert_eq!(expand("x$(A)y"), "x1y");
        assert_eq!(expand("$$(A)"), "$(A)", "escaped");
        assert_eq!(expand("$(NONE) $A $"), "$(NONE) $A $", "unknown, not a reference, at the end");
        assert_eq!(expand("$(B)"), "$(A)", "once, not again");
        assert_eq!(expand("$(A"), "$(A", "never closed");
    }
}
