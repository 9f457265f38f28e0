//! A MariaDB server of its own, which can be killed and brought back.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Directory, eventually, free_port};

pub(crate) const PASSWORD: &str = "canary-db-p%40ss";

pub(crate) struct MariaDb {
    directory: Directory,
    port: u16,
    process: Child,
}

impl MariaDb {
    pub(crate) fn start() -> Self {
        let directory = Directory::new("mariadb");
        let data = directory.file("data");
        let installed = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"])
            .arg(format!("--datadir={data}"))
            .args(user())
            .output()
            .expect("mariadb-server is installed by cargo xtask test");
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        // A statement a line.
        let user = "CREATE DATABASE IF NOT EXISTS app;\n\
                    CREATE USER IF NOT EXISTS 'app'@'localhost' IDENTIFIED BY 'canary-db-p@ss';\n\
                    GRANT ALL ON app.* TO 'app'@'localhost';\n";
        fs::write(directory.file("init.sql"), user).unwrap();
        let port = free_port();
        let process = spawn(&directory, port);
        let server = Self { directory, port, process };
        server.wait();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("mysql://app:{PASSWORD}@127.0.0.1:{}/app", self.port)
    }

    /// As a power cut would end it.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn bring_back(&mut self) {
        self.process = spawn(&self.directory, self.port);
        self.wait();
    }

    /// It stays connected and answers nothing, or goes on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Asked by its own client, which is none of ours.
    pub(crate) fn query(&self, statement: &str) -> Result<String, String> {
        let output = Command::new("mariadb")
            .args(["--no-defaults", "--batch", "--skip-column-names", "--host=127.0.0.1", "--user=app"])
            .arg(format!("--port={}", self.port))
            .env("MYSQL_PWD", "canary-db-p@ss")
            .args(["app", "--execute", statement])
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn wait(&self) {
        eventually("MariaDB answers", || self.query("SELECT 1").is_ok());
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(directory: &Directory, port: u16) -> Child {
    let log = fs::File::create(directory.file("log")).unwrap();
    Command::new("/usr/sbin/mariadbd")
        .arg("--no-defaults")
        .arg(format!("--datadir={}", directory.file("data")))
        .arg(format!("--socket={}", directory.file("socket")))
        .arg(format!("--pid-file={}", directory.file("pid")))
        .arg(format!("--init-file={}", directory.file("init.sql")))
        .arg(format!("--port={port}"))
        .args(["--bind-address=127.0.0.1", "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=1"])
        .args(user())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// It refuses to run as root without being told.
fn user() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() { &["--user=root"] } else { &[] }
}
