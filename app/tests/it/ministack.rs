//! MiniStack, which stands for S3 and Cognito and can be killed and brought back.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    process::{eventually, free_port},
};

pub(crate) struct MiniStack {
    port: u16,
    process: Child,
}

impl MiniStack {
    pub(crate) fn start() -> Self {
        let port = free_port();
        let server = Self { port, process: spawn(port) };
        server.wait();
        server
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All that it holds goes with it.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// It stays connected and answers nothing, or goes on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    pub(crate) fn bring_back(&mut self) {
        self.process = spawn(self.port);
        self.wait();
    }

    /// A request of S3, unsigned: MiniStack looks at no signature.
    pub(crate) fn s3(&self, method: &str, path: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-length: 0\r\n\r\n", self.port);
        self.connect().unwrap().ask(&request).unwrap()
    }

    /// What is at a path, and the head of the answer.
    pub(crate) fn download(&self, path: &str) -> (Vec<u8>, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\r\n", self.port);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
        (answer.split_off(end + 4), head)
    }

    /// A request of Cognito.
    pub(crate) fn cognito(&self, operation: &str, input: &Value) -> Value {
        let input = input.to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nx-amz-target: AWSCognitoIdentityProviderService.{operation}\r\n\
             content-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n{input}",
            self.port,
            input.len()
        );
        let answer = self.connect().unwrap().ask(&request).unwrap();
        assert_eq!(answer.status, 200, "{operation}: {}", answer.body);
        answer.json()
    }

    /// A pool with one app client and the users named, each in the group of its name.
    pub(crate) fn pool(&self, users: &[&str]) -> Pool<'_> {
        let pool =
            self.cognito("CreateUserPool", &json!({"PoolName": "app"}))["UserPool"]["Id"].as_str().unwrap().to_owned();
        let flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"];
        let client = json!({"UserPoolId": pool, "ClientName": "app", "ExplicitAuthFlows": flows});
        let client =
            self.cognito("CreateUserPoolClient", &client)["UserPoolClient"]["ClientId"].as_str().unwrap().to_owned();
        for user in users {
            let named = json!({"UserPoolId": pool, "Username": user, "GroupName": user, "MessageAction": "SUPPRESS",
                "Password": "Xk4W-9qzp!Lm", "Permanent": true});
            for operation in ["CreateGroup", "AdminCreateUser", "AdminSetUserPassword", "AdminAddUserToGroup"] {
                self.cognito(operation, &named);
            }
        }
        Pool { server: self, id: pool, client }
    }

    fn connect(&self) -> std::io::Result<Client> {
        Client::connect(([127, 0, 0, 1], self.port).into())
    }

    fn wait(&self) {
        let request = "GET /_ministack/health HTTP/1.1\r\nhost: localhost\r\n\r\n";
        eventually("MiniStack answers", || {
            self.connect().and_then(|mut client| client.ask(request)).is_ok_and(|answer| answer.status == 200)
        });
    }
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) struct Pool<'a> {
    server: &'a MiniStack,
    pub(crate) id: String,
    pub(crate) client: String,
}

impl Pool<'_> {
    pub(crate) fn issuer(&self) -> String {
        format!("https://cognito-idp.us-east-1.amazonaws.com/{}", self.id)
    }

    pub(crate) fn discovery(&self) -> String {
        format!("{}/{}/.well-known/openid-configuration", self.server.endpoint(), self.id)
    }

    /// The user's `AccessToken` or `IdToken`.
    pub(crate) fn token(&self, user: &str, which: &str) -> String {
        let proof = json!({"USERNAME": user, "PASSWORD": "Xk4W-9qzp!Lm"});
        let input = json!({"ClientId": self.client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": proof});
        self.server.cognito("InitiateAuth", &input)["AuthenticationResult"][which].as_str().unwrap().to_owned()
    }
}

fn spawn(port: u16) -> Child {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/ministack");
    Command::new(program)
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        .env("IOT_MTLS_ENABLED", "0")
        .env("SERVICES", "s3,cognito-idp")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("MiniStack is in the venv of cargo xtask test")
}
