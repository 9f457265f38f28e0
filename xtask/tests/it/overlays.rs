//! The renderer against `kubectl kustomize`, on a corpus of overlays and on random ones.
//!
//! Each file of `tests/overlays` is an overlay: its files one after the other, `-- path --` before each, beside the
//! directory `base`, which all share. The word `refused` on the first line: neither renders it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde::Deserialize as _;
use serde_json::Value;
use xtask::manifests::{render_directory, to_yaml};

/// How many random overlays are compared.
const RANDOM: u64 = 30;

struct Overlay {
    name: String,
    refused: Option<bool>,
    files: Vec<(String, String)>,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/overlays")
}

fn read(path: &Path) -> Overlay {
    let text = fs::read_to_string(path).expect("the overlay is readable");
    let mut overlay = Overlay {
        name: path.file_stem().expect("it has a name").to_string_lossy().into_owned(),
        refused: Some(text.starts_with("refused\n")),
        files: Vec::new(),
    };
    for line in text.split_inclusive('\n') {
        match line.trim_end().strip_prefix("-- ").and_then(|line| line.strip_suffix(" --")) {
            Some(file) => overlay.files.push((file.to_owned(), String::new())),
            None => overlay.files.last_mut().into_iter().for_each(|(_, text)| text.push_str(line)),
        }
    }
    overlay
}

/// Writes the overlay beside the base, renders it with both, and says what differs.
fn compare(overlay: &Overlay, root: &Path) -> Result<(), String> {
    let root = root.join(&overlay.name);
    for entry in fs::read_dir(corpus().join("base")).expect("there is a base") {
        let file = entry.expect("a file").path();
        fs::create_dir_all(root.join("base")).expect("create the base");
        fs::copy(&file, root.join("base").join(file.file_name().expect("a name"))).expect("copy the base");
    }
    for (path, text) in &overlay.files {
        let path = root.join("overlay").join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("create the directory");
        fs::write(path, text).expect("write the file");
    }
    let directory = root.join("overlay");
    let output = Command::new(crate::kubectl::program()).arg("kustomize").arg(&directory).output();
    let output = output.expect("kubectl runs");
    let ours = render_directory(&root, &directory);
    let accepted = (output.status.success(), ours.is_ok());
    if accepted.0 != accepted.1 || overlay.refused.is_some_and(|refused| refused == accepted.0) {
        let theirs = if accepted.0 { "rendered".into() } else { String::from_utf8_lossy(&output.stderr) };
        let ours = ours.map_or_else(|error| error.to_string(), |_| "rendered".into());
        return Err(format!("{}: kubectl: {theirs}\nours: {ours}", overlay.name));
    }
    let Ok(ours) = ours else { return Ok(()) };
    // Through the text, so that what is compared is what a person gets.
    let (theirs, ours) = (documents(&String::from_utf8_lossy(&output.stdout)), documents(&to_yaml(&ours)));
    if ours == theirs {
        return Ok(());
    }
    let identity = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    let names = |objects: &[Value]| objects.iter().map(identity).collect::<Vec<_>>();
    if names(&ours) != names(&theirs) {
        return Err(format!("{}: kubectl: {:?}\nours: {:?}", overlay.name, names(&theirs), names(&ours)));
    }
    let (ours, theirs) = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs).expect("something differs");
    Err(format!("{}: kubectl: {theirs:#}\nours: {ours:#}", overlay.name))
}

fn documents(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    let documents: Vec<Value> = documents.collect::<Result<_, _>>().expect("what is rendered is YAML");
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

#[track_caller]
fn all_equal(name: &str, overlays: &[Overlay]) {
    let root = std::env::temp_dir().join(format!("xtask-overlays-{name}-{}", std::process::id()));
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(overlay) = overlays.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(failure) = compare(overlay, &root) {
                        failures.lock().expect("no thread panicked").push(failure);
                    }
                }
            });
        }
    });
    fs::remove_dir_all(&root).expect("remove the overlays");
    let failures = failures.into_inner().expect("no thread panicked");
    assert!(failures.is_empty(), "{} of {} differ\n{}", failures.len(), overlays.len(), failures.join("\n\n"));
}

#[test]
fn the_corpus_of_overlays_renders_as_kubectl_renders_it() {
    let files = fs::read_dir(corpus()).expect("the corpus is there").map(|entry| entry.expect("a file").path());
    let overlays: Vec<Overlay> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| read(&path))
        .collect();
    assert!(overlays.len() >= 110, "the corpus has shrunk to {}", overlays.len());
    all_equal("corpus", &overlays);
}

#[test]
fn random_overlays_render_as_kubectl_renders_them() {
    let overlays: Vec<Overlay> = (1..=RANDOM).map(random).collect();
    all_equal("random", &overlays);
}

/// A generator of numbers that gives the same overlay for the same seed on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        // https://en.wikipedia.org/wiki/Xorshift
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Parts of a kustomization; `#` stands for a number. They meet in every combination.
const PARTS: [&str; 34] = [
    "namespace: space#",
    "namePrefix: p#-",
    "nameSuffix: -s#",
    "commonLabels: {app: shop#, run: 'l#'}",
    "labels: [{pairs: {run: 'm#'}}]",
    "labels: [{pairs: {tier: 'm#'}, includeTemplates: true}, {pairs: {run: 'n#'}, includeSelectors: true}]",
    "labels: [{pairs: {tier: 't#'}, fields: [{path: spec/extra/labels, kind: Service, create: true}]}]",
    "commonAnnotations: {note: 'a#', config: 'b#'}",
    "images: [{name: web, newTag: v#}, {name: store, newName: mirror/store#}]",
    "images: [{name: nginx, newTag: '1.#'}, {name: web, newName: web#}]",
    "images: [{name: 'registry.example:5000/tools/prepare', digest: 'sha256:#'}]",
    "replicas: [{name: web, count: #}]",
    "replicas: [{name: store, count: #}]",
    "configMapGenerator: [{name: more#, literals: [a=#]}]",
    "configMapGenerator: [{name: settings, behavior: merge, literals: [LEVEL=#]}]",
    "configMapGenerator: [{name: settings, behavior: replace, literals: [ONLY=#], options: {labels: {made: 'x#'}}}]",
    "secretGenerator: [{name: login, behavior: merge, literals: [user=u#], type: example.org/t}]",
    "secretGenerator: [{name: key#, literals: [a=#], options: {immutable: true, disableNameSuffixHash: true}}]",
    "generatorOptions: {labels: {made: here#}, annotations: {note: made#}}",
    "generatorOptions: {disableNameSuffixHash: true}",
    "patches: [{target: {kind: Deployment}, patch: '{kind: D, metadata: {name: d}, spec: {minReadySeconds: #}}'}]",
    "patches: [{target: {kind: Service, name: w.*}, patch: '[{\"op\": \"add\", \"path\": \"/spec/type\", \"value\": \"T#\"}]'}]",
    "patches: [{patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, labels: {run: q#}}}'}]",
    "patches: [{patch: '{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: store}, spec: {template: {spec: {containers: [{name: new#, image: web}, {name: store, env: [{name: E#}]}]}}}}'}]",
    "patches: [{target: {labelSelector: 'app in (web, shop1)'}, patch: '{kind: D, metadata: {name: d, annotations: {found: f#}}}'}]",
    "patches: [{target: {kind: ServiceAccount, name: web}, options: {allowNameChange: true}, patch: '{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot#}}'}]",
    "patches: [{target: {kind: PodDisruptionBudget}, patch: '{kind: P, metadata: {name: p}, $patch: delete}'}]",
    "patchesStrategicMerge: ['{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 53, protocol: UDP, nodePort: #}, {port: 99#}]}}']",
    "patchesJson6902: [{target: {version: v1, kind: Service, name: store}, patch: '[{\"op\": \"replace\", \"path\": \"/spec/clusterIP\", \"value\": \"i#\"}]'}]",
    "replacements: [{source: {kind: Deployment, fieldPath: metadata.name}, targets: [{select: {kind: Service}, fieldPaths: [spec.selector.app]}]}]",
    "replacements: [{source: {kind: ConfigMap, name: settings, fieldPath: metadata.name}, targets: [{select: {kind: Deployment}, options: {create: true}, fieldPaths: [metadata.annotations.of, spec.template.spec.hostname]}]}]",
    "replacements: [{sourceValue: 'r#', targets: [{select: {kind: Deployment}, options: {delimiter: ':', index: 1}, fieldPaths: ['spec.template.spec.containers.[name=web].image']}]}]",
    "sortOptions: {order: fifo}",
    "sortOptions: {order: legacy, legacySortOptions: {orderFirst: [Service, Secret], orderLast: [Role]}}",
];

fn random(seed: u64) -> Overlay {
    let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    for _ in 0..8 {
        numbers.below(2);
    }
    let mut files = Vec::new();
    let depth = 1 + numbers.below(3);
    for layer in 0..depth {
        let path = if layer == 0 { String::new() } else { format!("{}/", vec!["in"; layer].join("/")) };
        let below = if layer + 1 < depth { "in".to_owned() } else { format!("{}base", "../".repeat(layer + 1)) };
        let mut text = kustomization(&mut numbers, 6);
        text.push_str(&format!("resources: [{below}]\n"));
        if numbers.below(3) == 0 {
            text.push_str("components: [component]\n");
            let head = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n";
            files.push((
                format!("{path}component/kustomization.yaml"),
                format!("{head}{}", kustomization(&mut numbers, 3)),
            ));
        }
        files.push((format!("{path}kustomization.yaml"), text));
    }
    Overlay { name: format!("random-{seed}"), refused: None, files }
}

/// Up to so many parts, each field once.
fn kustomization(numbers: &mut Numbers, most: usize) -> String {
    let mut text = String::new();
    for _ in 0..=numbers.below(most) {
        let part = numbers.one_of(&PARTS).replace('#', &(1 + numbers.below(3)).to_string());
        let field = part.split(':').next().unwrap_or_default();
        if !text.lines().any(|line| line.starts_with(&format!("{field}:"))) {
            text.push_str(&part);
            text.push('\n');
        }
    }
    text
}
