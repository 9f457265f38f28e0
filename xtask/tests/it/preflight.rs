//! What a deploy finds before it does anything.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
};

use crate::command::{Repository, Run};

/// A port that this test listens on.
fn taken() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

/// The repository's own manifests, published at this port.
fn repository(port: u16) -> Repository {
    let repository = Repository::of_the_workspace();
    let overlay = repository.read("manifests/overlays/local/kustomization.yaml");
    let moved = overlay.replace("value: 8080", &format!("value: {port}"));
    assert_ne!(moved, overlay, "the local overlay publishes 8080");
    repository.write("manifests/overlays/local/kustomization.yaml", &moved);
    repository
}

/// A port that nobody listens on, though 8080 may be taken on this machine.
fn free() -> u16 {
    taken().1
}

fn name_of_this_process() -> String {
    std::fs::read_to_string("/proc/self/comm").expect("/proc is there").trim().to_owned()
}

#[test]
fn a_docker_that_does_not_run_is_reported_with_the_remedy() {
    let repository = repository(free());
    let run = Run::of(repository.command(&["doctor"]).env("DOCKER_HOST", "unix:///nowhere/docker.sock"));
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), "error: one thing would keep a deploy from working\n"));
    assert!(
        run.stdout.contains(
            " failed   Docker         Docker does not answer at unix:///nowhere/docker.sock\n                           \
             Socket not found: /nowhere/docker.sock\n                         \
             hint: start it, or unset DOCKER_HOST to use the machine's own\n"
        ),
        "{}",
        run.stdout
    );
}

#[test]
fn a_socket_that_nobody_serves_is_no_docker() {
    let repository = repository(free());
    let socket = repository.root.join("docker.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bind a socket"));
    let host = format!("unix://{}", socket.display());
    Run::of(repository.command(&["deploy"]).env("DOCKER_HOST", &host)).fails(
        1,
        &format!(
            " failed   preflight  {:<58}    0.0s\n\n\
             error: Docker does not answer at {host}\n  \
               Connection refused (os error 111)\n\
             hint: start it, or unset DOCKER_HOST to use the machine's own\n",
            ""
        ),
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let (_listener, port) = taken();
    let repository = repository(port);
    let run = Run::of(repository.command(&["deploy"]).env("DOCKER_HOST", "tcp://127.0.0.1:1"));
    run.fails(
        1,
        &format!(
            " failed   preflight  {:<58}    0.0s\n\n\
             error: 2 things keep this from working\n  \
               port {port} is taken by process {} ({})\n    \
                 hint: end that process, or change the port of the Service in the manifests\n  \
               Docker does not answer at tcp://127.0.0.1:1\n    \
                 Connection refused (os error 111)\n    \
                 hint: start it, or unset DOCKER_HOST to use the machine's own\n",
            "",
            std::process::id(),
            name_of_this_process()
        ),
    );
    assert!(!repository.root.join(".slipway/local").exists(), "nothing was started");
}

#[test]
fn two_commands_do_not_change_a_repository_at_once() {
    let repository = Repository::of_the_workspace();
    repository.write(".slipway/pipeline.lock", "");
    let file = std::fs::File::open(repository.root.join(".slipway/pipeline.lock")).expect("it was written");
    file.lock().expect("it is free");
    repository.run(&["deploy"]).fails(
        1,
        "error: another command is changing this repository's environments\n\
         hint: wait until it is done, then run this again\n",
    );
}

#[test]
fn a_port_of_another_is_named_with_its_holder() {
    let (_listener, port) = taken();
    let run = Run::of(repository(port).command(&["doctor"]).stdin(Stdio::null()));
    assert_eq!(run.code, Some(1));
    let process = std::process::id();
    let expected =
        format!(" failed   ports          port {port} is taken by process {process} ({})", name_of_this_process());
    assert!(run.stdout.contains(&expected), "{}", run.stdout);
}
