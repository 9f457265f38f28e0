use super::{
    blobs::{Range, range},
    name::{Algorithm, Digest, Name, Reference, Tag},
};

#[test]
fn names_follow_the_grammar_of_the_specification() {
    for good in ["a", "app", "a/b/c", "a.b", "a_b", "a__b", "a-b", "a---b", "0/tags", "blobs/manifests", "a1.2-3_4"] {
        assert!(Name::parse(good).is_ok(), "{good}");
    }
    for bad in ["", "/", "a/", "/a", "a//b", "A", ".", "..", "a/../b", "a..b", "a___b", "_a", "a_", "a.-b", "-a", "é"]
    {
        assert!(Name::parse(bad).is_err(), "{bad}");
    }
    assert!(Name::parse(&"a".repeat(255)).is_ok());
    assert!(Name::parse(&"a".repeat(256)).is_err());
}

#[test]
fn tags_and_digests_are_told_apart_and_safe_as_file_names() {
    for good in ["latest", "_x", "1.0", "a-b.c_D", "4f2c1e9-dirty-0a1b2c"] {
        assert!(Tag::parse(good).is_ok(), "{good}");
    }
    for bad in ["", ".", "..", "-a", ".hidden", "a/b", "a:b", &"x".repeat(129)] {
        assert!(Tag::parse(bad).is_err(), "{bad}");
    }
    let digest = Digest::of(Algorithm::Sha256, b"").to_string();
    assert_eq!(digest, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert!(matches!(Reference::parse(&digest), Ok(Reference::Digest(_))));
    assert!(matches!(Reference::parse("latest"), Ok(Reference::Tag(_))));
    for bad in
        ["sha256:", "sha256:../../x", &digest.to_uppercase(), &digest[..70], "md5:d41d8cd98f00b204e9800998ecf8427e"]
    {
        assert!(Digest::parse(bad).is_err(), "{bad}");
    }
    assert!(Digest::parse(&Digest::of(Algorithm::Sha512, b"").to_string()).is_ok());
}

#[test]
fn ranges_follow_rfc_9110() {
    assert_eq!(range("bytes=0-0", 10), Range::Part(0, 0));
    assert_eq!(range("bytes=2-", 10), Range::Part(2, 9));
    assert_eq!(range("bytes=2-99", 10), Range::Part(2, 9));
    assert_eq!(range("bytes=-3", 10), Range::Part(7, 9));
    assert_eq!(range("bytes=-99", 10), Range::Part(0, 9));
    assert_eq!(range("bytes=10-", 10), Range::Outside);
    assert_eq!(range("bytes=-0", 10), Range::Outside);
    assert_eq!(range("bytes=0-", 0), Range::Outside);
    assert_eq!(range("bytes=5-2", 10), Range::Whole);
    assert_eq!(range("bytes=0-1,3-4", 10), Range::Whole);
    assert_eq!(range("items=0-1", 10), Range::Whole);
}
