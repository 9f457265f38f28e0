use super::builtin;

#[test]
fn names_are_unique_within_a_version() {
    let resources = builtin();
    for (index, resource) in resources.iter().enumerate() {
        let same = |other: &super::Resource| {
            (&other.group, &other.version, &other.plural) == (&resource.group, &resource.version, &resource.plural)
        };
        assert!(!resources[index + 1..].iter().any(same), "{} twice", resource.group_resource());
    }
}

#[test]
fn both_event_groups_share_their_objects() {
    let events: Vec<_> = builtin().into_iter().filter(|resource| resource.kind == "Event").collect();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|resource| resource.storage == "events"));
}

#[test]
fn reviews_are_not_stored() {
    let stored =
        |kind: &str| builtin().iter().find(|resource| resource.kind == kind).is_some_and(super::Resource::stored);
    assert!(!stored("SelfSubjectAccessReview"));
    assert!(stored("Lease"));
}
