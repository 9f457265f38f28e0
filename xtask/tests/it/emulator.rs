//! Emulators of AWS on free ports: MiniStack, which also has a registry, and moto as a second opinion. boto3 is the
//! client that says what is there.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A running emulator; gone at the end of the test.
pub(crate) struct Emulator {
    child: Child,
    address: SocketAddr,
    /// The account that it takes callers for.
    pub(crate) account: &'static str,
}

/// A program of the environment that `cargo xtask test` prepares.
pub(crate) fn program(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin").join(name);
    assert!(program.exists(), "{} is not there: `cargo xtask test` installs it", program.display());
    program
}

impl Emulator {
    pub(crate) fn ministack() -> Self {
        let port = free();
        let mut command = Command::new(program("ministack"));
        command
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("IOT_MTLS_ENABLED", "0")
            .env("MINISTACK_REGION", "us-east-2")
            .env("SERVICES", "sts,iam,cloudformation,ecr,s3,secretsmanager,ssm");
        // Docker names no account to the registry, so it is the default one.
        Self::start(command, port, "000000000000")
    }

    pub(crate) fn moto() -> Self {
        let port = free();
        let mut command = Command::new(program("moto_server"));
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        Self::start(command, port, "123456789012")
    }

    /// One whose clusters are records, with faults on demand: `emulator.py` says which.
    pub(crate) fn faulty() -> Self {
        Self::stood_in_for("ministack", "000000000000")
    }

    /// moto with the calls of EKS that it lacks.
    pub(crate) fn second_opinion() -> Self {
        Self::stood_in_for("moto", "123456789012")
    }

    fn stood_in_for(emulator: &str, account: &'static str) -> Self {
        let (port, here) = (free(), Path::new(env!("CARGO_MANIFEST_DIR")));
        let mut command = Command::new(program("python"));
        command
            .arg(here.join("tests/it/emulator.py"))
            .arg(here.join("src/cluster/rehearsal"))
            .arg(emulator)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("GATEWAY_PORT", port.to_string())
            .env("IOT_MTLS_ENABLED", "0")
            .env("MINISTACK_REGION", "us-east-2")
            .env("SERVICES", "cloudformation,ec2,eks,iam,sts");
        Self::start(command, port, account)
    }

    fn start(mut command: Command, port: u16, account: &'static str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let emulator = Self { child: child.expect("start the emulator"), address, account };
        // Python takes its time, and other tests have the processor meanwhile.
        let deadline = Instant::now() + Duration::from_secs(180);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the emulator does not start");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        emulator
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// The section `aws` of an environment on it.
    pub(crate) fn section(&self) -> String {
        let (account, host) = (self.account, self.host());
        format!("aws: {{account: '{account}', region: us-east-2, endpoint_url: 'http://{host}'}}\n")
    }

    /// Has these rules hold for an account from now on.
    pub(crate) fn rules(&self, account: &str, rules: &Value) {
        self.control("rules", account, &rules.to_string());
    }

    /// What the account has asked for since then, and the request that is held: `{"seen": […], "held": …}`.
    pub(crate) fn seen(&self, account: &str) -> Value {
        self.control("seen", account, "")
    }

    fn control(&self, what: &str, account: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(self.address).expect("the emulator listens");
        let head = format!("POST /_test/{what}/{account} HTTP/1.1\r\nhost: test\r\nconnection: close");
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("send it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("it speaks HTTP");
        // Of unknown length, it comes in chunks: one.
        let body = &body[body.find('{').expect("an object")..=body.rfind('}').expect("an object")];
        serde_json::from_str(body).expect("it answers JSON")
    }

    /// What a Python expression is, with clients of boto3 by their names: `s3.list_buckets()["Buckets"]`.
    pub(crate) fn ask(&self, expression: &str) -> Value {
        self.ask_as(self.account, expression)
    }

    /// The same, in another account.
    pub(crate) fn ask_as(&self, account: &str, expression: &str) -> Value {
        let script = "
import boto3, json, sys
session = boto3.Session(aws_access_key_id=sys.argv[2], aws_secret_access_key='x', region_name='us-east-2')
class Clients(dict):
    def __missing__(self, name):
        if name in dir(__builtins__): raise KeyError(name)
        return self.setdefault(name, session.client(name, endpoint_url=sys.argv[1]))
print(json.dumps(eval(sys.argv[3], Clients(json=json)), default=lambda it: it.decode() if isinstance(it, bytes) else str(it)))
";
        let mut command = Command::new(program("python"));
        command.args(["-c", script, &format!("http://{}", self.host()), account, expression]);
        let output = command.output().expect("run python");
        assert!(output.status.success(), "{expression}:\n{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("it prints JSON")
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port()
}
