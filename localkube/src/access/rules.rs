//! Rules of roles: what they allow, and whether some cover others (rbac.authorization.k8s.io/v1).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
};

use serde_json::{Value, json};

/// Something that a user wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// With objects.
    On {
        /// For example `list`.
        verb: &'a str,
        /// The API group; empty for the core.
        group: &'a str,
        /// With the subresource, for example `pods/log`.
        resource: &'a str,
        /// Empty where no single object is meant.
        name: &'a str,
        /// Where; none for all of the cluster.
        namespace: Option<&'a str>,
    },
    /// With a path that is not about objects.
    Path {
        /// The HTTP method in small letters.
        verb: &'a str,
        /// For example `/metrics`.
        path: &'a str,
    },
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) urls: Vec<String>,
}

/// The rules of a Role or ClusterRole.
pub(crate) fn of(role: &Value) -> Vec<Rule> {
    role["rules"].as_array().into_iter().flatten().map(Rule::of).collect()
}

impl Rule {
    pub(crate) fn of(value: &Value) -> Self {
        let list = |name: &str| {
            let words = value[name].as_array().into_iter().flatten();
            words.filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        Self {
            verbs: list("verbs"),
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
            urls: list("nonResourceURLs"),
        }
    }

    /// The rule as objects carry it.
    pub(crate) fn value(&self) -> Value {
        let mut value = json!({"verbs": self.verbs});
        let parts = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        for (name, words) in parts.into_iter().filter(|(_, words)| !words.is_empty()) {
            value[name] = json!(words);
        }
        value
    }

    /// Whether the rule allows the action, wherever it is.
    pub(crate) fn allows(&self, action: &Action<'_>) -> bool {
        match *action {
            Action::On { verb, group, resource, name, .. } => {
                has(&self.verbs, verb)
                    && has(&self.groups, group)
                    && self.resources.iter().any(|known| resource_matches(known, resource))
                    && (self.names.is_empty() || self.names.iter().any(|known| known == name))
            }
            Action::Path { verb, path } => {
                has(&self.verbs, verb) && self.urls.iter().any(|known| url_matches(known, path))
            }
        }
    }

    /// The rule as many that say one thing each.
    fn pieces(&self) -> Vec<Self> {
        let mut pieces = Vec::new();
        for verb in &self.verbs {
            let one = |words: &[String]| words.to_vec();
            for group in &self.groups {
                for resource in &self.resources {
                    let piece = |names: Vec<String>| Self {
                        verbs: vec![verb.clone()],
                        groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        names,
                        urls: Vec::new(),
                    };
                    if self.names.is_empty() {
                        pieces.push(piece(Vec::new()));
                    }
                    pieces.extend(self.names.iter().map(|name| piece(one(std::slice::from_ref(name)))));
                }
            }
            let urls = self.urls.iter();
            pieces.extend(urls.map(|url| Self {
                verbs: vec![verb.clone()],
                urls: vec![url.clone()],
                ..Self::default()
            }));
        }
        pieces
    }

    /// Whether everything that a piece allows is allowed by this rule.
    fn covers(&self, piece: &Self) -> bool {
        let all = |held: &[String], wanted: &[String]| wanted.iter().all(|word| has(held, word));
        all(&self.verbs, &piece.verbs)
            && all(&self.groups, &piece.groups)
            && piece.resources.iter().all(|wanted| self.resources.iter().any(|held| resource_matches(held, wanted)))
            && piece.urls.iter().all(|wanted| self.urls.iter().any(|held| url_matches(held, wanted)))
            && (self.names.is_empty()
                || !piece.names.is_empty() && piece.names.iter().all(|name| self.names.contains(name)))
    }
}

/// What of the wanted rules the held ones do not cover, each resource once.
pub(crate) fn missing(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let pieces = wanted.iter().flat_map(Rule::pieces).filter(|piece| !held.iter().any(|rule| rule.covers(piece)));
    let mut compact: BTreeMap<(Vec<String>, Vec<String>), Vec<String>> = BTreeMap::new();
    let mut rest = BTreeSet::new();
    for piece in pieces {
        if piece.urls.is_empty() && piece.names.is_empty() {
            let verbs = compact.entry((piece.groups, piece.resources)).or_default();
            verbs.extend(piece.verbs.into_iter().filter(|verb| !verbs.contains(verb)).collect::<Vec<_>>());
        } else {
            rest.insert(piece);
        }
    }
    let compact =
        compact.into_iter().map(|((groups, resources), verbs)| Rule { verbs, groups, resources, ..Rule::default() });
    compact.chain(rest).collect()
}

impl Display for Rule {
    /// As the API server names a rule that is missing.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let parts = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.urls),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ];
        let shown = parts.iter().filter(|(_, words)| !words.is_empty());
        let shown: Vec<String> = shown.map(|(name, words)| format!("{name}:{}", quoted(words))).collect();
        write!(formatter, "{{{}}}", shown.join(", "))
    }
}

/// A list as Go's `%q` shows it.
pub(crate) fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| Value::from(word.as_str()).to_string()).collect();
    format!("[{}]", words.join(" "))
}

fn has(known: &[String], word: &str) -> bool {
    known.iter().any(|known| known == "*" || known == word)
}

fn resource_matches(known: &str, resource: &str) -> bool {
    let by_part = |known: &str| resource.split_once('/').is_some_and(|(_, part)| part == known);
    known == "*" || known == resource || known.strip_prefix("*/").is_some_and(by_part)
}

fn url_matches(known: &str, path: &str) -> bool {
    known == path || known.strip_suffix('*').is_some_and(|start| path.starts_with(start))
}

#[cfg(test)]
mod tests;
