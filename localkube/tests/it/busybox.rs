//! An image with Debian's static busybox, FROM scratch, under a name of this process.

use std::process::{Command, Stdio};

/// The image; removed when it is dropped.
pub(crate) struct Image {
    pub(crate) name: String,
}

impl Image {
    /// Makes it. Its one program is /bin/busybox.
    pub(crate) fn new(purpose: &str) -> Self {
        let name = format!("localkube-test-{}-{purpose}:1", std::process::id());
        let mut tar = Command::new("tar")
            .args(["--create", "--dereference", "--directory=/", "--transform=s,^usr/,,", "bin/busybox"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("run tar");
        let import = Command::new("docker")
            .args(["import", "-", &name])
            .stdin(tar.stdout.take().expect("its output is a pipe"))
            .output()
            .expect("run docker import");
        assert!(tar.wait().expect("tar ends").success());
        assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
        Self { name }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "--force", &self.name]).output();
    }
}
