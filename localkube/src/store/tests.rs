use serde_json::{Value, json};

use super::{EventKind, Key, OpenError, ReadError, Store, WriteError};

fn key(name: &str) -> Key {
    Key { resource: "configmaps".to_owned(), namespace: "default".to_owned(), name: name.to_owned() }
}

fn object(name: &str, value: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"v": value}}, "data": {"v": value}})
}

fn directory() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("localkube-store-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[tokio::test]
async fn a_write_that_changes_nothing_keeps_the_resource_version() {
    let directory = directory();
    let store = Store::open(&directory.join("store.redb")).unwrap();
    let created = store.create(key("a"), object("a", "1")).await.unwrap();
    let same = store.update(key("a"), created.revision, object("a", "1")).await.unwrap();
    assert_eq!(same.revision, created.revision);
    let changed = store.update(key("a"), created.revision, object("a", "2")).await.unwrap();
    assert_eq!(changed.revision, created.revision + 1);
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn writes_check_what_they_expect() {
    let directory = directory();
    let store = Store::open(&directory.join("store.redb")).unwrap();
    let created = store.create(key("a"), object("a", "1")).await.unwrap();
    assert_eq!(store.create(key("a"), object("a", "1")).await.unwrap_err(), WriteError::Exists);
    store.update(key("a"), created.revision, object("a", "2")).await.unwrap();
    let stale = store.update(key("a"), created.revision, object("a", "3")).await;
    assert_eq!(stale.unwrap_err(), WriteError::Modified);
    assert_eq!(store.delete(key("b"), 1).await.unwrap_err(), WriteError::Absent);
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn writers_at_once_get_distinct_versions_in_order() {
    let directory = directory();
    let store = Store::open(&directory.join("store.redb")).unwrap();
    let start = store.revision();
    let tasks: Vec<_> = (0..200)
        .map(|index| {
            let store = store.clone();
            tokio::spawn(async move {
                let name = format!("n{index}");
                store.create(key(&name), object(&name, "1")).await.unwrap().revision
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for task in tasks {
        revisions.push(task.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (start + 1..=start + 200).collect::<Vec<_>>());
    let (events, newest) = store.events_after("configmaps", start).unwrap();
    assert_eq!(newest, start + 200);
    assert!(events.windows(2).all(|pair| pair[0].object.revision < pair[1].object.revision));
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn the_past_can_be_listed_until_it_is_forgotten() {
    let directory = directory();
    let path = directory.join("store.redb");
    let store = Store::open(&path).unwrap();
    let a = store.create(key("a"), object("a", "1")).await.unwrap();
    let b = store.create(key("b"), object("b", "1")).await.unwrap();
    store.update(key("a"), a.revision, object("a", "2")).await.unwrap();
    let gone = store.delete(key("b"), b.revision).await.unwrap();
    assert_eq!(gone.value()["metadata"]["resourceVersion"], gone.revision.to_string());
    let then = store.list_at("configmaps", Some("default"), b.revision).unwrap();
    let names: Vec<_> = then.objects.iter().map(|object| (object.key.name.clone(), object.revision)).collect();
    assert_eq!(names, [("a".to_owned(), a.revision), ("b".to_owned(), b.revision)]);
    let (events, _) = store.events_after("configmaps", a.revision).unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Added, EventKind::Modified, EventKind::Deleted]);
    for round in 0..3000 {
        let current = store.get(&key("a")).unwrap();
        let changed = object("a", &format!("round {round}"));
        store.update(key("a"), current.revision, changed).await.unwrap();
    }
    assert!(matches!(store.list_at("configmaps", None, b.revision), Err(ReadError::Expired(_))));
    assert!(matches!(store.list_at("configmaps", None, u64::MAX), Err(ReadError::Future(_))));
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn objects_and_the_sequence_survive_reopening() {
    let directory = directory();
    let path = directory.join("store.redb");
    let store = Store::open(&path).unwrap();
    store.create(key("a"), object("a", "1")).await.unwrap();
    let b = store.create(key("b"), object("b", "1")).await.unwrap();
    let gone = store.delete(key("b"), b.revision).await.unwrap();
    assert!(matches!(Store::open(&path), Err(OpenError::InUse(_))));
    drop(store);
    let store = reopen(&path).await;
    assert_eq!(store.revision(), gone.revision);
    let names: Vec<_> = store.list("configmaps", None).objects.iter().map(|object| object.key.name.clone()).collect();
    assert_eq!(names, ["a"]);
    assert_eq!(store.get(&key("a")).unwrap().labels, [("v".to_owned(), "1".to_owned())]);
    assert_eq!(store.events_after("configmaps", 1).unwrap_err(), ReadError::Expired(gone.revision));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_file_of_something_else_is_refused_by_name() {
    let directory = directory();
    let path = directory.join("store.redb");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains("store.redb"), "{error}");
    std::fs::remove_dir_all(directory).unwrap();
}

/// The writer's thread lets go of the file a moment after the last handle.
async fn reopen(path: &std::path::Path) -> Store {
    for _ in 0..200 {
        match Store::open(path) {
            Err(OpenError::InUse(_)) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            other => return other.unwrap(),
        }
    }
    panic!("the store is still in use");
}
