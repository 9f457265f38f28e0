use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    let documents = parse("file.yaml", text).expect("it is YAML");
    assert_eq!(documents.len(), 1, "one document");
    documents[0].to_value()
}

fn failure(text: &str) -> String {
    parse("file.yaml", text).expect_err("it is refused").message
}

#[test]
fn scalars_mean_what_they_mean_to_kubernetes() {
    let text = "a: 0644\nb: 0x1F\nc: 1_000\nd: -3\ne: +4\nf: 1e3\ng: 2.5\nh: 18446744073709551615\ni: 0o17\nj: 0b11\n\
                k: true\nl: ~\nm:\nn: 'true'\no: \"1\"\np: 1.10.0\nq: 08\nr: .5\ns: inf\nt: 10m\nu: !!str 5\nv: |\n  1\n";
    let expected = json!({
        "a": 420, "b": 31, "c": 1000, "d": -3, "e": 4, "f": 1000, "g": 2.5, "h": 18_446_744_073_709_551_615_u64,
        "i": 15, "j": 3, "k": true, "l": null, "m": null, "n": "true", "o": "1", "p": "1.10.0", "q": 8, "r": 0.5,
        "s": "inf", "t": "10m", "u": "5", "v": "1\n"
    });
    assert_eq!(value(text), expected);
}

#[test]
fn what_yaml_1_1_and_1_2_read_differently_is_refused() {
    assert_eq!(
        failure("a: 1\nb:\n  - yes\n"),
        "file.yaml:3:5: `yes` is a boolean in YAML 1.1 and a string in YAML 1.2: quote it, or write true or false"
    );
    assert_eq!(failure("day: 2026-01-31\n"), "file.yaml:1:6: `2026-01-31` is a date in YAML 1.1: quote it");
    assert_eq!(value("a: 'yes'\nb: \"2026-01-31\"\nc: yEs\nd: 10-20-30\ne: once\n")["c"], "yEs");
}

#[test]
fn a_syntax_error_carries_file_line_and_column() {
    assert_eq!(failure("a: 1\nb: [1,\nc: 2\n").split(": ").next(), Some("file.yaml:2:4"));
    assert_eq!(failure("a: 1\n b: 2\n"), "file.yaml:2:3: mapping values are not allowed in this context");
    assert_eq!(failure("a: 1\nb: 2\na: 3\n"), "file.yaml:3:1: duplicate key `a`, first on line 1");
    let error = parse("file.yaml", "a: 1\na: 3\n").expect_err("a duplicate");
    assert_eq!((error.places[0].line, error.places[0].message.as_str()), (2, "duplicate key `a`, first on line 1"));
}

#[test]
fn anchors_merges_and_documents() {
    let text = "base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\nboth:\n  <<: [*base, {c: 4}]\ncopy: *base\n";
    assert_eq!(
        value(text),
        json!({"base": {"a": 1, "b": 2}, "own": {"a": 1, "b": 3}, "both": {"a": 1, "b": 2, "c": 4}, "copy": {"a": 1, "b": 2}})
    );
    assert_eq!(parse("file.yaml", "---\na: 1\n---\n# nothing\n---\nb: 2\n...\n").expect("it is YAML").len(), 2);
    assert_eq!(failure("a: &a [*a]\n"), "file.yaml:1:8: an alias refers to the node that contains it");
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n".to_owned();
    for level in 1..9 {
        let inner = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    assert!(failure(&text).ends_with("the aliases of this file expand to too many nodes"), "{}", failure(&text));
}

#[test]
fn positions_are_found_by_the_api_servers_paths() {
    let documents = parse("file.yaml", "spec:\n  containers:\n    - name: a\n      image: b\n").expect("it is YAML");
    let positions = documents[0].positions();
    assert_eq!(positions["spec.containers[0].image"], Position { line: 4, column: 7 });
    assert_eq!(positions["spec.containers[0]"], Position { line: 3, column: 7 });
}
