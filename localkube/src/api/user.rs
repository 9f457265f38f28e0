//! Who makes a request.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Server, token};
use crate::access::{AUDIENCE, Claims};

/// Who makes a request.
#[derive(Debug, Clone, Default)]
pub struct User {
    /// For example `system:serviceaccount:default:default`.
    pub name: String,
    /// For example `system:masters`.
    pub groups: Vec<String>,
    /// Of a service account: the object's.
    pub(super) uid: Option<String>,
    /// What else is known, for example the pod that a token was made for.
    pub(super) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// The holder of the token in the kubeconfig.
    pub fn admin() -> Self {
        let groups = ["system:masters", "system:authenticated"].map(str::to_owned).into();
        Self { name: "kubernetes-admin".to_owned(), groups, ..Self::default() }
    }

    /// Whoever sends no token.
    pub fn anonymous() -> Self {
        let groups = vec!["system:unauthenticated".to_owned()];
        Self { name: "system:anonymous".to_owned(), groups, ..Self::default() }
    }

    /// Whose token this is; none if it is nobody's.
    pub fn of_token(server: &Server, token: &str) -> Option<Self> {
        token::recognise(server, token, &[AUDIENCE.to_owned()]).map(|(user, _)| user)
    }

    /// The user of a TokenReview's status; none if it has no name.
    pub(crate) fn of_review(user: &Value) -> Option<Self> {
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let name = user["username"].as_str().filter(|name| !name.is_empty())?.to_owned();
        let mut groups = texts(&user["groups"]);
        let everybody = "system:authenticated";
        if !groups.iter().any(|group| group == everybody) {
            groups.push(everybody.to_owned());
        }
        let extra = user["extra"].as_object().into_iter().flatten();
        let extra = extra.map(|(key, values)| (key.clone(), texts(values))).collect();
        Some(Self { name, groups, uid: user["uid"].as_str().map(str::to_owned), extra })
    }

    /// The service account that a token speaks of.
    pub(super) fn account(claims: &Claims) -> Self {
        let bound = &claims.bound;
        let mut groups = Self::account_groups(&bound.namespace);
        groups.push("system:authenticated".to_owned());
        let mut extra = BTreeMap::new();
        let mut add = |what: &str, value: String| {
            extra.insert(format!("authentication.kubernetes.io/{what}"), vec![value]);
        };
        add("credential-id", format!("JTI={}", claims.jti));
        for (kind, reference) in [("pod", &bound.pod), ("node", &bound.node)] {
            let Some(reference) = reference else { continue };
            add(&format!("{kind}-name"), reference.name.clone());
            if let Some(uid) = &reference.uid {
                add(&format!("{kind}-uid"), uid.clone());
            }
        }
        Self { name: claims.sub.clone(), groups, uid: bound.serviceaccount.uid.clone(), extra }
    }

    /// The groups of every service account of a namespace.
    pub(super) fn account_groups(namespace: &str) -> Vec<String> {
        vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
    }

    /// As reviews show the user.
    pub(super) fn value(&self) -> Value {
        let mut value = json!({"username": self.name, "groups": self.groups});
        if let Some(uid) = &self.uid {
            value["uid"] = uid.as_str().into();
        }
        if !self.extra.is_empty() {
            value["extra"] = json!(self.extra);
        }
        value
    }
}
