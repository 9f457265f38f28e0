use serde_json::json;

use super::*;

#[test]
fn paths_of_server_side_apply_become_paths_of_the_manifest() {
    let object = json!({"spec": {"containers": [
        {"name": "a"},
        {"name": "b", "ports": [{"containerPort": 1}, {"containerPort": 2}]}
    ]}, "metadata": {"annotations": {"a.b/c": "d"}}});
    for (path, expected) in [
        (".spec.containers[name=\"b\"].image", "spec.containers[1].image"),
        (".spec.containers[name=\"b\"].ports[containerPort=2,protocol=\"TCP\"].x", "spec.containers[1].ports[1].x"),
        ("spec.containers[1].ports[0].x", "spec.containers[1].ports[0].x"),
        (".metadata.annotations.a.b/c", "metadata.annotations.a.b/c"),
        (".spec.containers[name=\"gone\"].image", "spec.containers"),
        (".nope", "nope"),
    ] {
        assert_eq!(index_path(&object, path), expected, "{path}");
    }
}

#[test]
fn unknown_fields_are_found_in_every_wording() {
    let one = "failed to create typed patch object (app/app; apps/v1, Kind=Deployment): .spec.nope: field not declared \
               in schema";
    assert_eq!(unknown_fields(one), [".spec.nope"]);
    let several = "failed to create typed patch object (/conf; /v1, Kind=ConfigMap): errors:\n  .a: field not declared \
                   in schema\n  .b: field not declared in schema";
    assert_eq!(unknown_fields(several), [".a", ".b"]);
    let strict = "strict decoding error: unknown field \"spec.x\", unknown field \"spec.y\"";
    assert_eq!(unknown_fields(strict), ["spec.x", "spec.y"]);
    assert!(unknown_fields("conflict").is_empty());
}

#[test]
fn a_near_field_is_found_in_the_clusters_description() {
    let description = json!({"components": {"schemas": {
        "io.k8s.api.apps.v1.Deployment": {
            "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}],
            "properties": {"spec": {"allOf": [{"$ref": "#/components/schemas/Spec"}]}}},
        "Spec": {"properties": {"containers": {"items": {"$ref": "#/components/schemas/Container"}}}},
        "Container": {"properties": {"image": {}, "imagePullPolicy": {}, "name": {}}}
    }}});
    let object =
        ObjectRef { api_version: "apps/v1".into(), kind: "Deployment".into(), namespace: None, name: "a".into() };
    let suggestion = |path| fields::suggestion(&description, &object, path);
    assert_eq!(suggestion("spec.containers[0].imagePulPolicy").as_deref(), Some("imagePullPolicy"));
    assert_eq!(suggestion("spec.contianers").as_deref(), Some("containers"));
    assert_eq!(suggestion("spec.containers[0].nonsense"), None);
    assert_eq!(suggestion("made.up.path"), None);
}

/// Every update that a real API server refused as invalid, in the recordings: which of them were about changing what
/// cannot be changed.
#[test]
fn what_cannot_be_changed_is_told_from_what_is_wrong() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../localkube/tests/golden/recordings");
    let (mut worded, mut possible, mut others) = (Vec::new(), Vec::new(), 0);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the recordings").map(|file| file.expect("one").path()).collect();
    files.sort();
    for line in files
        .iter()
        .flat_map(|file| std::fs::read_to_string(file).expect("text").lines().map(str::to_owned).collect::<Vec<_>>())
    {
        let recorded: Value = serde_json::from_str(&line).expect("JSON");
        let request = recorded["step"]["request"].as_str().unwrap_or_default();
        if recorded["answer"]["status"] != 422 || !(request.starts_with("PUT") || request.starts_with("PATCH")) {
            continue;
        }
        let status: Status = serde_json::from_value(recorded["answer"]["body"].clone()).expect("a status");
        let error = kube::Error::Api(Box::new(status));
        let name = recorded["step"]["name"].as_str().expect("a name").to_owned();
        match (is_immutable(&error), may_be_immutable(&error)) {
            (true, _) => worded.push(name),
            (false, true) => possible.push(name),
            (false, false) => others += 1,
        }
    }
    assert_eq!(
        worded,
        [
            "secret-type-immutable",
            "service-cluster-ip-immutable",
            "immutable-selector-put",
            "crd-immutable-scope",
            "role-ref-immutable"
        ]
    );
    // Of these only the server knows, asked for a new object: one with a selector that does not fit its template, and one
    // that a rule of its kind keeps from changing.
    for name in ["immutable-selector", "cr-cel-transition"] {
        assert!(possible.iter().any(|found| found == name), "{possible:?}");
    }
    assert!(others > 10, "{others}");
}
