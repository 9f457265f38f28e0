use super::*;

fn group() -> Group {
    Group { component: "c", object: "uid".into(), severity: Severity::Normal, reason: "R" }
}

fn remember(correlator: &mut Correlator, message: &str, at: Instant) -> String {
    match correlator.correlate(group(), message.into(), at) {
        Written::Dropped => "dropped".into(),
        Written::New { message, key } => {
            correlator.written.insert(key, (format!("event of {message}"), 1));
            format!("new {message}")
        }
        Written::Again { name, message, count, key } => {
            correlator.written.insert(key, (name, count));
            format!("{count} {message}")
        }
    }
}

#[test]
fn the_same_message_is_counted() {
    let (mut correlator, at) = (Correlator::default(), Instant::now());
    assert_eq!(remember(&mut correlator, "a", at), "new a");
    assert_eq!(remember(&mut correlator, "a", at), "2 a");
    assert_eq!(remember(&mut correlator, "b", at), "new b");
    assert_eq!(remember(&mut correlator, "a", at), "3 a");
}

#[test]
fn the_tenth_distinct_message_is_combined_and_a_flood_dropped() {
    let (mut correlator, at) = (Correlator::default(), Instant::now());
    for number in 1..10 {
        assert_eq!(remember(&mut correlator, &number.to_string(), at), format!("new {number}"));
    }
    assert_eq!(remember(&mut correlator, "10", at), "new (combined from similar events): 10");
    assert_eq!(remember(&mut correlator, "11", at), "2 (combined from similar events): 11");
    for number in 12..=25 {
        assert_ne!(remember(&mut correlator, &number.to_string(), at), "dropped");
    }
    assert_eq!(remember(&mut correlator, "26", at), "dropped");
    assert_ne!(remember(&mut correlator, "27", at + Duration::from_secs(301)), "dropped");
}
