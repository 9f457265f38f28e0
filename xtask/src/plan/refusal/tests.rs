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
