//! The parts that are pure: pruning, defaults, validation, rules, definitions.

use serde_json::{Value, json};

use super::{
    columns, conditions, defaults, definition, lists::duplicates, prune, rules::Rules, validate::Patterns, versions,
};
use crate::status::FieldError;

fn words(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(|error| format!("{}: {}", error.path, error.message)).collect()
}

fn validated(schema: &Value, value: &Value, old: Option<&Value>) -> Vec<String> {
    words(&Patterns::of(schema).check(schema, value, old))
}

fn ruled(schema: &Value, value: &Value, old: Option<&Value>) -> Vec<String> {
    words(&Rules::of(schema).check(schema, value, old))
}

#[test]
fn unknown_fields_go_and_are_named() {
    let schema = json!({"type": "object", "properties": {
        "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"closed": {"type": "object", "properties": {}}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"b": {"type": "string"}}}},
        "template": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {}},
    }});
    let mut object = json!({
        "apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "gone": 1,
        "list": [{"a": "x", "b": 1}], "open": {"kept": 1, "closed": {"c": 1}}, "map": {"k": {"b": "", "c": 1}},
        "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {}},
    });
    let unknown = prune::prune(&schema, &mut object);
    assert_eq!(unknown, ["gone", "list[0].b", "map.k.c", "open.closed.c", "template.spec"]);
    assert_eq!(object["open"], json!({"kept": 1, "closed": {}}));
    assert_eq!(object["template"], json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}}));
}

#[test]
fn defaults_fill_what_is_left_out_and_nulls_that_may_be_none() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "object", "default": {}, "properties": {"b": {"type": "integer", "default": 7}}},
        "c": {"type": "string", "nullable": true, "default": "x"},
        "d": {"type": "string"},
        "e": {"type": "array", "items": {"type": "object", "properties": {"f": {"type": "integer", "default": 1}}}},
    }});
    let mut object = json!({"c": null, "d": null, "e": [{}, {"f": 2}]});
    defaults::complete(&schema, &mut object);
    assert_eq!(object, json!({"a": {"b": 7}, "c": null, "e": [{"f": 1}, {"f": 2}]}));
}

#[test]
fn what_does_not_fit_is_said_in_the_servers_words() {
    let schema = json!({"type": "object", "required": ["must"], "properties": {
        "port": {"x-kubernetes-int-or-string": true},
        "ratio": {"type": "number", "minimum": 0, "exclusiveMinimum": true, "multipleOf": 0.5},
        "name": {"type": "string", "minLength": 2},
        "many": {"type": "array", "minItems": 1, "items": {"type": "integer"}},
        "one": {"type": "object", "oneOf": [{"required": ["x"]}, {"required": ["y"]}],
            "properties": {"x": {"type": "string"}, "y": {"type": "string"}}},
    }});
    let object = json!({"port": true, "ratio": 0, "name": "a", "many": [1, "two"], "one": {"x": "", "y": ""}});
    assert_eq!(
        validated(&schema, &object, None),
        [
            "must: Required value",
            "many[1]: Invalid value: \"string\": many[1] in body must be of type integer: \"string\"",
            "name: Invalid value: \"a\": name in body should be at least 2 chars long",
            "one: Invalid value: \"\": \"one\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
            "port: Invalid value: \"boolean\": port in body must be of type integer,string: \"boolean\"",
            "ratio: Invalid value: 0: ratio in body should be greater than 0",
        ]
    );
    assert_eq!(validated(&schema, &json!({"must": 1, "port": 80, "ratio": 1.5}), None), [""; 0]);
}

#[test]
fn an_update_is_not_asked_about_what_it_leaves() {
    let schema = json!({"type": "object", "properties": {
        "old": {"type": "string", "maxLength": 1}, "new": {"type": "string", "maxLength": 1},
    }});
    let before = json!({"old": "long", "new": "x"});
    let after = json!({"old": "long", "new": "long"});
    assert_eq!(validated(&schema, &after, Some(&before)), ["new: Too long: may not be more than 1 bytes"]);
}

#[test]
fn sets_and_map_lists_have_everything_once() {
    let schema = json!({"properties": {
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"],
            "items": {"type": "object", "properties": {}}},
    }});
    let object = json!({"set": ["x", "y", "x"], "map": [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 1, "c": 3}]});
    let mut errors = Vec::new();
    duplicates(&schema, &object, None, "", &mut errors);
    assert_eq!(words(&errors), ["map[2]: Duplicate value: {\"a\":1,\"b\":1}", "set[2]: Duplicate value: \"x\""]);
}

#[test]
fn rules_see_types_escaped_names_and_the_old_value() {
    let schema = json!({"type": "object",
    "x-kubernetes-validations": [
        {"rule": "self.count < 10"},
        {"rule": "self.ratio * 2.0 <= 3.0", "message": "too much"},
        {"rule": "self.a__dash__b == 'x'", "messageExpression": "'is ' + self.a__dash__b", "reason": "FieldValueForbidden"},
        {"rule": "self.count >= oldSelf.count", "fieldPath": ".count"},
        {"rule": "self.labels.all(k, k.startsWith('a'))"},
    ],
    "properties": {
        "count": {"type": "integer"}, "ratio": {"type": "number"}, "a-b": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    }});
    let good = json!({"count": 1, "ratio": 1, "a-b": "x", "labels": {"a-1": ""}});
    assert_eq!(ruled(&schema, &good, None), [""; 0]);
    let bad = json!({"count": 10, "ratio": 2, "a-b": "y", "labels": {"b": ""}});
    assert_eq!(
        ruled(&schema, &bad, None),
        [
            "<nil>: Invalid value: failed rule: self.count < 10",
            "<nil>: Invalid value: too much",
            "<nil>: Forbidden: is y",
            "<nil>: Invalid value: failed rule: self.labels.all(k, k.startsWith('a'))",
        ]
    );
    let before = json!({"count": 2, "ratio": 1, "a-b": "x", "labels": {}});
    assert_eq!(
        ruled(&schema, &good, Some(&before)),
        ["count: Invalid value: failed rule: self.count >= oldSelf.count"]
    );
}

#[test]
fn items_of_map_lists_are_compared_with_what_they_were() {
    let schema = json!({"properties": {"list": {"type": "array", "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object",
            "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.size >= oldSelf.size", "message": "shrinks"}]}}}});
    let before = json!({"list": [{"name": "a", "size": 1}, {"name": "b", "size": 5}]});
    let after = json!({"list": [{"name": "b", "size": 4}, {"name": "c", "size": 0}, {"name": "a", "size": 1}]});
    assert_eq!(ruled(&schema, &after, Some(&before)), ["list[0]: Invalid value: shrinks"]);
}

fn gadgets() -> Value {
    json!({
        "metadata": {"name": "gadgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"kind": "Gadget", "plural": "gadgets"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {}}}}],
        },
    })
}

fn refused(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut definition = gadgets();
    change(&mut definition);
    definition::complete(&mut definition);
    definition::create(&mut definition);
    words(&definition::validate(&definition, None))
}

#[test]
fn definitions_have_to_be_structural() {
    assert_eq!(refused(|_| {}), [""; 0]);
    let schema = "spec.versions[0].schema.openAPIV3Schema";
    let with = |name: &str, property: Value| {
        refused(|definition| {
            definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][name] = property;
        })
    };
    assert_eq!(
        with("a", json!({"description": "no type"})),
        [format!("{schema}.properties[a].type: Required value: must not be empty for specified object fields")]
    );
    assert_eq!(
        with("a", json!({"type": "array"})),
        [format!("{schema}.properties[a].items: Required value: must be specified")]
    );
    let keyed = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "properties": {"name": {"type": "string"}}}});
    assert_eq!(
        with("a", keyed),
        [format!(
            "{schema}.properties[a].items.properties[name].default: Required value: this property is in \
             x-kubernetes-list-map-keys, so it must have a default or be a required property"
        )]
    );
    let wrong = with("a", json!({"type": "integer", "default": "seven"}));
    assert!(wrong[0].starts_with(&format!("{schema}.properties[a].default: Invalid value")), "{wrong:?}");
    let unreadable = with("a", json!({"type": "string", "x-kubernetes-validations": [{"rule": "self =="}]}));
    assert!(unreadable[0].contains("x-kubernetes-validations[0].rule: Invalid value: \"self ==\": compilation failed"));
}

#[test]
fn stored_versions_and_names_stay() {
    let mut old = gadgets();
    definition::complete(&mut old);
    definition::create(&mut old);
    old["status"] = conditions(&old, &[], jiff::Timestamp::UNIX_EPOCH);
    let mut new = old.clone();
    new["spec"]["scope"] = "Cluster".into();
    new["spec"]["versions"][0]["name"] = "v2".into();
    definition::update(&mut new);
    let errors = words(&definition::validate(&new, Some(&old)));
    assert_eq!(errors[0], "spec.scope: Invalid value: \"Cluster\": field is immutable");
    assert!(errors[1].starts_with("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions;"));
    assert_eq!(new["status"]["storedVersions"], json!(["v1", "v2"]));
}

#[test]
fn a_name_belongs_to_who_got_it_first() {
    let mut first = gadgets();
    definition::complete(&mut first);
    first["status"] = conditions(&first, &[], jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(first["status"]["acceptedNames"]["listKind"], "GadgetList");
    let mut second = gadgets();
    second["spec"]["names"] = json!({"kind": "Gadget", "plural": "others", "singular": "other", "listKind": "Others"});
    let status = conditions(&second, &[first], jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(status["conditions"][0]["reason"], "KindConflict");
    assert_eq!(status["conditions"][0]["message"], "\"Gadget\" is already in use");
    assert_eq!(status["conditions"][1]["status"], "False");
}

#[test]
fn the_preferred_version_is_the_most_stable_and_newest() {
    let names = ["v1beta1", "foo", "v10", "v2alpha1", "v2", "v1beta2"];
    let spec = json!({"versions": names.map(|name| json!({"name": name}))});
    let sorted: Vec<&str> =
        versions::by_priority(&spec).iter().map(|version| version["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(sorted, ["v10", "v2", "v1beta2", "v1beta1", "v2alpha1", "foo"]);
}

#[test]
fn columns_follow_paths_in_kubectls_dialect() {
    let version = json!({"additionalPrinterColumns": [
        {"name": "A", "type": "string", "jsonPath": ".spec.list[*].name"},
        {"name": "B", "type": "string", "jsonPath": ".metadata.labels.example\\.com/owner"},
        {"name": "C", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
        {"name": "D", "type": "integer", "jsonPath": ".spec.absent"},
        {"name": "E", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]});
    let object = json!({
        "metadata": {"labels": {"example.com/owner": "me"}, "creationTimestamp": "now"},
        "spec": {"list": [{"name": "x"}, {"name": "y"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    let cells: Vec<Value> =
        columns::of(&version).iter().map(|column| column.cell(&object, |_| "1s".to_owned())).collect();
    assert_eq!(cells, [json!("x y"), json!("me"), json!("True"), Value::Null, json!("1s")]);
}
