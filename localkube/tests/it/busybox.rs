//! Images with Debian's static busybox, FROM scratch.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
};

const PROGRAM: &str = "/bin/busybox";
/// What the recordings' pods run. They were made with the image that Docker Hub has under this name.
const RECORDED: &str = "docker.io/library/busybox:1.38";

/// The image; removed when it is dropped.
pub(crate) struct Image {
    pub(crate) name: String,
    made: bool,
}

impl Image {
    /// Makes it, under a name of this process. All of busybox's commands are in /bin.
    pub(crate) fn new(purpose: &str) -> Self {
        Self::import(format!("localkube-test-{}-{purpose}:1", std::process::id()), &filesystem())
    }

    /// An image with these files, as a tar archive.
    pub(crate) fn import(name: String, archive: &[u8]) -> Self {
        let mut import = Command::new("docker")
            .args(["import", "-", &name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("run docker import");
        import.stdin.take().expect("its input is a pipe").write_all(archive).expect("docker reads the archive");
        assert!(import.wait().expect("docker import ends").success());
        Self { name, made: true }
    }

    /// The image of the recordings: that of the machine if it has it, which stays, or ours for as long as a test uses it.
    pub(crate) fn recorded() -> Arc<Self> {
        static SHARED: Mutex<Weak<Image>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = shared.upgrade() {
            return image;
        }
        let present = Command::new("docker").args(["image", "inspect", RECORDED]).output().expect("run docker");
        let name = RECORDED.to_owned();
        let image = Arc::new(if present.status.success() {
            Self { name, made: false }
        } else {
            Self::import(name, &filesystem())
        });
        *shared = Arc::downgrade(&image);
        image
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.made {
            let _ = Command::new("docker").args(["rmi", "--force", &self.name]).output();
        }
    }
}

fn filesystem() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let program = fs::read(PROGRAM).expect("the Debian package busybox-static is installed");
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    archive.append_data(&mut header, "bin/busybox", program.as_slice()).expect("an archive in memory grows");
    let list = Command::new(PROGRAM).arg("--list").output().expect("run busybox");
    let list = String::from_utf8(list.stdout).expect("the names of commands are ASCII");
    for command in list.lines().filter(|command| *command != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        archive.append_link(&mut header, format!("bin/{command}"), PROGRAM).expect("an archive in memory grows");
    }
    archive.into_inner().expect("an archive in memory ends")
}
