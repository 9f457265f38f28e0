use serde_json::json;

use super::*;

/// An object with the canary in every place that is known to hold secrets.
fn everywhere(canary: &str) -> Vec<Value> {
    let encoded = BASE64_STANDARD.encode(canary);
    vec![
        json!({"kind": "Secret", "data": {"a": encoded, ".dockerconfigjson": encoded}, "stringData": {"b": canary},
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": canary}}}),
        json!({"kind": "ConfigMap", "data": {"url": format!("postgres://u:{canary}@h/d"), "API_TOKEN": canary,
            "app.yaml": format!("a: 1\npassword: {canary}\n"), "app.json": format!(r#"{{"secret":"{canary}"}}"#)},
            "binaryData": {"f": BASE64_STANDARD.encode(format!("token={canary}"))}}),
        json!({"kind": "Deployment", "metadata": {"annotations": {"x.y/api-token": canary}},
            "spec": {"template": {"spec": {"containers": [{
            "name": "app", "image": "r/token:1",
            "env": [{"name": "DB_PASSWORD", "value": canary}, {"name": "URL", "value": format!("http://{canary}@h")}],
            "args": ["--password", canary, format!("--token={canary}"), "sh -c", format!("x --secret {canary} y")],
            "readinessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": canary}]}}
        }]}}}}),
        json!({"kind": "Thing", "spec": {"clientSecret": canary, "list": [{"name": "token", "value": canary}]}}),
    ]
}

#[test]
fn a_canary_is_hidden_and_sealed_in_every_place() {
    let canary = "canary-8f2c";
    for mut object in everywhere(canary) {
        let before = object.clone();
        for encoded in [canary.to_owned(), BASE64_STANDARD.encode(canary)] {
            let mut hidden = object.clone();
            hide(&mut hidden);
            assert!(!hidden.to_string().contains(&encoded), "{hidden}");
            let mut sealed = object.clone();
            seal(&mut sealed, "salt");
            assert!(!sealed.to_string().contains(&encoded), "{sealed}");
        }
        seal(&mut object, "salt");
        let once = object.clone();
        seal(&mut object, "salt");
        assert_eq!(object, once, "sealing twice changes nothing");
        assert_ne!(object, before);
    }
}

#[test]
fn what_is_no_secret_stays() {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "token-service"},
        "spec": {"template": {"spec": {"volumes": [{"name": "s", "secret": {"secretName": "db-password"}}],
        "topologySpreadConstraints": [{"topologyKey": "kubernetes.io/hostname"}],
        "containers": [{"name": "app", "image": "r/token:1", "env": [{"name": "PASSWORD_FILE", "value": "/x"},
            {"name": "PASSWORD", "value": "$(OTHER)"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}],
            "args": ["--level=debug", "--", "http://host:80/x"]}]}}}});
    let mut hidden = object.clone();
    hide(&mut hidden);
    assert_eq!(hidden, object);
}

#[test]
fn seals_tell_values_apart_and_are_shown_as_hidden() {
    let (one, two) = (fingerprint("a", "salt"), fingerprint("b", "salt"));
    assert_ne!(one, two);
    assert_ne!(one, fingerprint("a", "pepper"));
    assert!(is_sealed(&format!("x{one}y")) && !is_sealed("sealed- by hand"));
    assert_eq!(conceal(&format!("x{one}y{two}sealed-z")), "x(hidden)y(hidden)sealed-z");
}

#[test]
fn known_values_leave_texts_of_others() {
    let mut known = Known::default();
    everywhere("can\"ary-8f2c").iter().for_each(|object| known.add(object));
    let encoded = BASE64_STANDARD.encode("can\"ary-8f2c");
    let text = format!("Invalid value: \"can\\\"ary-8f2c\": not can\"ary-8f2c, {encoded}");
    assert_eq!(known.scrub(&text), "Invalid value: \"(hidden)\": not (hidden), (hidden)");
    for number in 0..200 {
        known.add(&json!({"kind": "Secret", "stringData": {"a": format!("value-{number}")}}));
    }
    assert_eq!(known.scrub("value-7 (value-8), \"value-9\" x"), "(hidden) ((hidden)), \"(hidden)\" x");
}
