use super::{
    engine,
    reference::{Digest, Pinned, Repository, Tag},
};

#[tokio::test]
async fn a_docker_that_does_not_run_is_named_with_the_remedy() {
    let error = engine::connect_to("unix:///nonexistent/docker.sock").await.unwrap_err();
    assert_eq!(error.message, "Docker does not answer at unix:///nonexistent/docker.sock");
    assert_eq!(error.causes, ["Socket not found: /nonexistent/docker.sock"]);
    let hints = ["start it: sudo systemctl start docker", "start it, or unset DOCKER_HOST to use the machine's own"];
    assert!(error.hint.as_deref().is_some_and(|hint| hints.contains(&hint)), "{error:?}");

    let error = engine::connect_to("ssh://host").await.unwrap_err();
    assert_eq!(error.message, "Docker does not answer at ssh://host");
    assert_eq!(error.causes, ["only unix:// and tcp:// addresses are supported"]);
}

#[test]
fn references_are_parsed_at_the_door() {
    let hex = "a".repeat(64);
    let digest: Digest = format!("sha256:{hex}").parse().unwrap();
    assert_eq!((digest.hex(), digest.short().as_str()), (hex.as_str(), "sha256:aaaaaa.."));
    for bad in ["", "sha256:", &hex, &format!("sha256:{}", "A".repeat(64)), &format!("sha512:{hex}")] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
    for (text, host, path) in [
        ("app", None, "app"),
        ("team/app", None, "team/app"),
        ("127.0.0.1:5000/app", Some("127.0.0.1:5000"), "app"),
        ("localhost/app", Some("localhost"), "app"),
        ("1.dkr.ecr.eu-west-1.amazonaws.com/team/a_b-c.d", Some("1.dkr.ecr.eu-west-1.amazonaws.com"), "team/a_b-c.d"),
    ] {
        let repository: Repository = text.parse().unwrap();
        assert_eq!((repository.host(), repository.path(), repository.to_string().as_str()), (host, path, text));
        let pinned = Pinned { repository, digest: digest.clone() };
        assert_eq!(pinned.to_string(), format!("{text}@sha256:{hex}"));
        assert_eq!(pinned.to_string().parse::<Pinned>().unwrap(), pinned);
        assert!(format!("{text}:1").parse::<Pinned>().is_err(), "a tag can move");
        assert!(format!("{text}:1@{digest}").parse::<Pinned>().is_err(), "a tag beside a digest says nothing");
    }
    for bad in ["", "App", "a//b", "/a", "a/", "host:0/a", "host:99999/a", "-x.io/a", "a..b", "a_", "a:b", "x.io/"] {
        assert!(bad.parse::<Repository>().is_err(), "{bad}");
    }
    for bad in ["", ".a", "-a", "a b", "a/b", "a:b", &"x".repeat(129)] {
        assert!(bad.parse::<Tag>().is_err(), "{bad}");
    }
    assert_eq!("4f2c1e9-dirty-0a".parse::<Tag>().unwrap().to_string(), "4f2c1e9-dirty-0a");
}
