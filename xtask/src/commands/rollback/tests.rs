use super::*;
use Fate::{Abandoned, Begun, Failed, Interrupted, RolledBack, Succeeded};

fn past(outcomes: &[(Fate, Option<u64>)]) -> Vec<Entry> {
    let numbered = (1..).zip(outcomes);
    numbered.map(|(number, (outcome, restored))| Entry::example(number, *outcome, *restored)).collect()
}

fn target(outcomes: &[(Fate, Option<u64>)]) -> Option<u64> {
    before(&past(outcomes)).ok().map(|entry| entry.header.number)
}

#[test]
fn a_rollback_goes_one_further_back_each_time() {
    assert_eq!(target(&[]), None);
    assert_eq!(target(&[(Succeeded, None)]), None);
    assert_eq!(target(&[(Succeeded, None), (Succeeded, None)]), Some(1));
    let three = [(Succeeded, None), (Succeeded, None), (Succeeded, None)];
    assert_eq!(target(&three), Some(2));
    let back = [&three[..], &[(Succeeded, Some(2))]].concat();
    assert_eq!(target(&back), Some(1), "not forth again to the third");
    let further = [&back[..], &[(Succeeded, Some(1))]].concat();
    assert_eq!(target(&further), None, "nothing is older than the first");
    // A record of the same objects stands for one that is not kept any more.
    let again = [(Succeeded, Some(1)), (Succeeded, None), (Succeeded, None), (Succeeded, Some(2))];
    assert_eq!(target(&again), Some(1));
}

#[test]
fn after_a_failure_it_goes_to_the_last_that_ran() {
    for outcome in [Failed, Interrupted, Abandoned, Begun] {
        assert_eq!(target(&[(Succeeded, None), (Succeeded, None), (outcome, None)]), Some(2), "{outcome:?}");
        assert_eq!(target(&[(outcome, None), (outcome, None)]), None, "{outcome:?}");
    }
    // The failed one was rolled back to the second already.
    let past = [(Succeeded, None), (Succeeded, None), (RolledBack, None), (Succeeded, Some(2))];
    assert_eq!(target(&past), Some(1));
}

#[test]
fn what_never_ran_is_refused_unless_it_is_insisted_on() {
    let past = past(&[(Succeeded, None), (RolledBack, None)]);
    assert_eq!(named(&past, 1, false).expect("it ran").header.number, 1);
    let error = named(&past, 2, false).expect_err("it never ran");
    assert_eq!(error.message, "release 2 never ran as it should: it is recorded as rolled-back");
    assert_eq!(named(&past, 2, true).expect("it is insisted on").header.number, 2);
    assert_eq!(named(&past, 3, true).expect_err("there is none").message, "there is no record of release 3");
}

#[test]
fn a_record_of_a_rollback_is_named_by_what_it_restored() {
    let entry = Entry::example(7, Succeeded, Some(3));
    assert_eq!(named_with_image(&entry), "release 3 (sha256:1a1a1a..)");
}
