//! The roles that every cluster has, their bindings, and roles that are made of others.

use serde_json::{Value, json};

use super::rules::Rule;

const TABLE: &str = include_str!("roles.txt");
const GROUP: &str = "rbac.authorization.k8s.io";
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

/// The ClusterRoles and the ClusterRoleBindings.
pub(crate) fn builtin() -> (Vec<Value>, Vec<Value>) {
    let (mut roles, mut bindings): (Vec<Value>, Vec<Value>) = Default::default();
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        if let Some(text) = line.strip_prefix("  ") {
            let rules = roles.last_mut().and_then(|role| role["rules"].as_array_mut());
            rules.expect("a role comes before its rules").push(rule(text).value());
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let name = words[0];
        let mut role = json!({"metadata": metadata(name), "rules": []});
        for (what, value) in words.iter().skip(1).step_by(2).zip(words.iter().skip(2).step_by(2)) {
            let label = format!("{GROUP}/aggregate-to-{value}");
            match *what {
                "in" => role["metadata"]["labels"][label] = "true".into(),
                "of" => role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}),
                _ => bindings.push(binding(name, value)),
            }
        }
        roles.push(role);
    }
    // From the last to the first: what is made of others comes before those, and may be part of another.
    for index in (0..roles.len()).rev() {
        if let Some(rules) = aggregated(&roles[index], &roles) {
            roles[index]["rules"] = rules;
        }
    }
    (roles, bindings)
}

/// The rules of a role that is made of others; none if it is not.
pub(crate) fn aggregated(role: &Value, all: &[Value]) -> Option<Value> {
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array()?;
    let selected = |other: &&Value| {
        let labels = other["metadata"]["labels"].as_object().into_iter().flatten();
        let labels: Vec<(String, String)> =
            labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        other["metadata"]["name"] != role["metadata"]["name"]
            && selectors.iter().any(|selector| crate::api::matches_selector(selector, &labels))
    };
    let mut others: Vec<&Value> = all.iter().filter(selected).collect();
    others.sort_by_key(|other| other["metadata"]["name"].as_str());
    let mut rules: Vec<Value> = Vec::new();
    for rule in others.iter().filter_map(|other| other["rules"].as_array()).flatten() {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    Some(rules.into())
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    })
}

fn binding(name: &str, groups: &str) -> Value {
    let subject = |group: &str| json!({"kind": "Group", "apiGroup": GROUP, "name": group});
    json!({
        "metadata": metadata(name),
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
        "subjects": groups.split(',').map(subject).collect::<Vec<_>>(),
    })
}

fn rule(text: &str) -> Rule {
    let words: Vec<Vec<String>> = text.split(' ').map(|words| words.split(',').map(word).collect()).collect();
    let verbs = |words: &[String]| {
        let mut verbs: Vec<String> = Vec::new();
        for word in words {
            match word.as_str() {
                "read" => verbs.extend(READ.map(str::to_owned)),
                "write" => verbs.extend(WRITE.map(str::to_owned)),
                other => verbs.push(other.to_owned()),
            }
        }
        verbs.sort();
        verbs
    };
    match words.as_slice() {
        [urls, last] => {
            let urls = urls.iter().map(|url| if url == "/*" { "*".to_owned() } else { url.clone() }).collect();
            Rule { urls, verbs: verbs(last), ..Rule::default() }
        }
        [groups, resources, last] => {
            Rule { groups: groups.clone(), resources: resources.clone(), verbs: verbs(last), ..Rule::default() }
        }
        _ => Rule::default(),
    }
}

/// A word of the table as rules have it.
fn word(word: &str) -> String {
    if word == "core" { String::new() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::rules::{self, Action};

    #[test]
    fn every_role_has_rules_and_every_rule_is_whole() {
        let (roles, bindings) = builtin();
        for role in &roles {
            let rules = rules::of(role);
            assert!(!rules.is_empty(), "{}", role["metadata"]["name"]);
            for rule in rules {
                let things = rule.urls.is_empty() == (!rule.groups.is_empty() && !rule.resources.is_empty());
                assert!(things && !rule.verbs.is_empty(), "{}: {rule}", role["metadata"]["name"]);
            }
        }
        assert!(
            bindings
                .iter()
                .all(|binding| roles.iter().any(|role| role["metadata"]["name"] == binding["roleRef"]["name"]))
        );
    }

    #[test]
    fn each_role_of_people_may_do_what_the_lesser_may() {
        let (roles, _) = builtin();
        let may = |name: &str, verb: &str, group: &str, resource: &str| {
            let role = roles.iter().find(|role| role["metadata"]["name"] == name).expect("there is one");
            let action = Action::On { verb, group, resource, name: "", namespace: Some("any") };
            rules::of(role).iter().any(|rule| rule.allows(&action))
        };
        let table = [
            ("list", "apps", "deployments", [true, true, true]),
            ("get", "", "pods/log", [true, true, true]),
            ("get", "", "secrets", [false, true, true]),
            ("create", "", "pods/exec", [false, true, true]),
            ("patch", "apps", "deployments", [false, true, true]),
            ("create", GROUP, "rolebindings", [false, false, true]),
            ("create", "", "namespaces", [false, false, false]),
            ("update", "", "resourcequotas", [false, false, false]),
        ];
        for (verb, group, resource, expected) in table {
            let got = ["view", "edit", "admin"].map(|name| may(name, verb, group, resource));
            assert_eq!(got, expected, "{verb} {resource}");
        }
    }
}
