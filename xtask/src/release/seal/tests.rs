use serde_json::json;

use super::*;

fn recorded(value: Value) -> Content {
    Content::seal(&[Object::recorded(value, "a file")], Vec::new(), "salt")
}

fn open(content: &Content, live: &[Value]) -> (Value, Vec<String>, Vec<String>) {
    let known: BTreeMap<String, String> = live.iter().flat_map(|live| donations(live, "salt")).collect();
    let mut object = content.objects[0].clone();
    let opened = unseal(&mut object, &content.sealed[0], live.first(), &known);
    (object, opened.kept, opened.missing)
}

#[test]
fn values_are_sealed_and_their_places_noted() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
        "stringData": {"a/b": "hunter2"}, "data": {"c": "Y2FuYXJ5"}});
    let content = recorded(secret);
    assert_eq!(content.sealed, [["/data/a~1b", "/data/c"]]);
    let text = content.objects[0].to_string();
    assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg") && !text.contains("Y2FuYXJ5"), "{text}");
}

#[test]
fn values_come_back_from_where_they_are_live() {
    let pod = |url: &str, token: &str| {
        json!({"kind": "Deployment", "metadata": {"name": "app"}, "spec": {"containers": [{"env": [
            {"name": "STORE", "value": url}, {"name": "API_TOKEN", "value": token}]}]}})
    };
    let before = pod("redis://u:hunter2@old/0", "t0ken");
    let content = recorded(before.clone());
    // The password is in another address by now, the token in another object.
    let live = [pod("redis://u:hunter2@new/0", "another"), pod("", "t0ken")];
    let (object, kept, missing) = open(&content, &live);
    assert_eq!((object, kept.len(), missing.len()), (before, 0, 0));

    let (_, _, missing) = open(&content, &live[..1]);
    assert_eq!(missing, ["Deployment app: spec.containers.0.env.1.value"]);
}

#[test]
fn a_secret_that_has_moved_on_stays() {
    let secret = |value: &str, more: &str| {
        let data = json!({"a": value, "b": more});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": data})
    };
    let content = recorded(secret("b2xk", "c2FtZQ=="));
    let live = secret("bmV3", "c2FtZQ==");
    let (object, kept, missing) = open(&content, std::slice::from_ref(&live));
    assert_eq!((object, kept, missing.len()), (live, vec!["Secret keys".to_owned()], 0));
    // Nothing can be said for a key that is gone.
    let (_, _, missing) = open(&content, &[json!({"kind": "Secret", "metadata": {"name": "keys"}})]);
    assert_eq!(missing.len(), 2);
}
