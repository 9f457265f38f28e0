//! The documentation of the API, judged by programs that are not ours: schemathesis asks the service for everything that
//! the document promises and much that it does not, and a browser without a network shows the explorer.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};

use crate::{
    client::{Client, get},
    process::{App, Directory, command},
    users::PASSWORD,
};

/// A browser starts slowly where much else runs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Without anything, and with users who prove themselves: as an admin, to whom nothing is refused.
#[test]
fn the_service_keeps_what_its_document_promises() {
    let app = App::start(&[]);
    promises(&app, 8, "40", &[]);

    let directory = Directory::new("schemathesis");
    let file = directory.file("users.db");
    let settings = [
        ("DATABASE_FILE", file.as_str()),
        ("DATABASE_MIGRATE", "true"),
        ("AUTH", "basic"),
        ("RATE_LIMIT", "1000000/s"),
    ];
    command(&["add-admin", "root@example.com", "Root"], &settings, PASSWORD).unwrap();
    keep_root(&file);
    let app = App::start(&settings);
    let given = directory.file("schemathesis.toml");
    fs::write(&given, SETTINGS).unwrap();
    promises(&app, 13, "15", &["--config-file", &given]);
}

/// Who asks, what a document can't say (how hard a password is to guess, and which version a user has), and RFC 6585's
/// 428, which the program does not know.
const SETTINGS: &str = r#"
[auth.openapi]
basic = { username = "root@example.com", password = "canary-jk4W-9qzp!Lm" }

[[operations]]
include-path = "/v1/users"
include-method = "POST"
checks.positive_data_acceptance.expected-statuses = ["2xx", 409, 422]

[[operations]]
include-path = "/v1/users/{id}"
checks.positive_data_acceptance.expected-statuses = ["2xx", 304, 404, 409, 412, 422]
checks.missing_required_header.expected-statuses = [400, 404, 422, 428]
"#;

/// Whoever asks for everything changes and removes every user, and then has no rights any more.
fn keep_root(file: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut database = SqliteConnection::connect(&format!("sqlite:{file}")).await.unwrap();
        for doing in ["UPDATE", "DELETE"] {
            let trigger = format!(
                "CREATE TRIGGER keep_from_{doing} BEFORE {doing} ON users WHEN OLD.email = 'root@example.com' \
                 BEGIN SELECT RAISE(IGNORE); END"
            );
            database.execute(AssertSqlSafe(trigger)).await.unwrap();
        }
    });
}

fn promises(app: &App, operations: usize, examples: &str, options: &[&str]) {
    let schemathesis = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/schemathesis");
    let output = Command::new(schemathesis)
        .args(options)
        .args(["run", &format!("http://{}/openapi.json", app.address), "--checks", "all", "--mode", "all"])
        .args(["--max-examples", examples, "--generation-deterministic", "--request-timeout", "30", "--no-color"])
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("`cargo xtask test` makes target/venv");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let all = format!("{operations} selected / {operations} total");
    assert!(said.contains(&all), "not every operation was tried: {said}");
}

#[test]
fn the_document_is_the_services() {
    let app = App::start(&[]);
    let answer = app.connect().ask(&get("/openapi.json")).unwrap();
    let document = answer.json();
    assert_eq!((&document["openapi"], &document["info"]["version"]), (&json!("3.1.0"), &json!("test-1")));
    assert!(document["paths"]["/v1/users"].is_null() && document["security"].is_null(), "it has neither");
    let page = app.connect().ask(&get("/docs")).unwrap();
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
}

/// A browser, driven as the W3C's WebDriver says (<https://www.w3.org/TR/webdriver2/>).
struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
}

impl Browser {
    /// It resolves no name and reaches nothing but this machine's loopback.
    fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("`cargo xtask test` installs it");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("it says its port")));
        let mut browser = Self { driver, address, session: String::new() };
        let arguments = [
            "--headless=new",
            // In containers there is neither what the sandbox needs nor a large /dev/shm.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}});
        let session = browser.ask("POST", "/session", &capabilities);
        browser.session = format!("/session/{}", session["sessionId"].as_str().expect("a session"));
        browser
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let request = format!(
            "{method} {}{path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.session,
            self.address,
            body.len()
        );
        let answer = Client::patient(self.address, PATIENCE).unwrap().ask(&request).unwrap();
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        answer.json()["value"].clone()
    }

    fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Until a script returns something that is true.
    #[track_caller]
    fn wait(&self, script: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let value = self.run(script);
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return value;
            }
            assert!(Instant::now() < end, "{script} stays false: {}", self.run("return document.body.innerText"));
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Killed, it would leave the browser behind; asked to, it takes it along.
        if let Ok(mut client) = Client::patient(self.address, PATIENCE) {
            let _ = client.ask(&get("/shutdown").replace("host: app", &format!("host: {}", self.address)));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[test]
fn the_explorer_works_without_a_network() {
    let app = App::start(&[]);
    let browser = Browser::start();
    let origin = format!("http://{}", app.address);
    browser.ask("POST", "/url", &json!({"url": format!("{origin}/docs")}));
    browser.wait("return document.querySelectorAll('.opblock').length == 8");
    // A request is tried with the example of the document.
    browser.wait(
        "const block = [...document.querySelectorAll('.opblock-post')]
            .find(block => block.querySelector('.opblock-summary-path').dataset.path == '/v1');
         if (!block) return false;
         block.id = 'tried';
         block.querySelector('.opblock-summary-control').click();
         return true;",
    );
    browser.wait(
        "const button = document.querySelector('#tried .btn.execute');
         if (!button) return false;
         button.click();
         return true;",
    );
    let answer = browser.wait(
        "const answer = document.querySelector('#tried .live-responses-table tbody');
         return answer && answer.innerText.includes('ESREVER') && answer.innerText;",
    );
    assert!(answer.as_str().unwrap().contains("\"data\": \"EM ESREVER\""), "{answer}");
    // Nothing was asked of anybody else, and the policy forbade nothing that the page needs.
    let asked = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)");
    let asked = asked.as_array().unwrap();
    assert!(asked.len() >= 4, "{asked:?}");
    let elsewhere =
        |name: &&Value| !name.as_str().unwrap().starts_with(&origin) && !name.as_str().unwrap().starts_with("data:");
    assert_eq!(asked.iter().find(elsewhere), None);
}
