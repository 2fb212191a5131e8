//! AWS: the emulator process, and clients that set up and read secrets.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use serde_json::Value;

use super::{environment_variable, project};

pub const REGION: &str = "eu-central-1";

pub struct Aws {
    pub url: String,
    // Its standard input closes when this process ends. It then ends too.
    _emulator: Child,
}

impl Aws {
    pub fn start(function_url: &str) -> Self {
        let python = environment_variable("PYTHON")
            .unwrap_or_else(|| project().join(".deps/venv/bin/python").display().to_string());
        let mut emulator = Command::new(&python)
            .arg(project().join("tests/world/aws_emulator.py"))
            .args(["--function-url", function_url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{python} cannot be run ({error}); `make test` installs it")
            });
        let mut line = String::new();
        BufReader::new(emulator.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("the emulator prints its port");
        let port: Value =
            serde_json::from_str(&line).expect("the emulator prints its port in JSON");
        Self { url: format!("http://127.0.0.1:{}", port["port"]), _emulator: emulator }
    }

    /// A client that may do everything.
    pub fn client(&self) -> Client {
        self.client_with(&Value::Null)
    }

    /// A client with a role's credentials, under the names that a function's environment has.
    pub fn client_with(&self, credentials: &Value) -> Client {
        let text = |name: &str| credentials[name].as_str().map(ToOwned::to_owned);
        let key = |name: &str| text(name).unwrap_or_else(|| "testing".to_owned());
        let credentials = Credentials::new(
            key("AWS_ACCESS_KEY_ID"),
            key("AWS_SECRET_ACCESS_KEY"),
            text("AWS_SESSION_TOKEN"),
            None,
            "tests",
        );
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static(REGION))
            .credentials_provider(credentials)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(&self.url)
            .build();
        Client::from_conf(config)
    }

    /// The `state` and the `steps` of the rotation with that token.
    pub async fn rotation(&self, token: &str) -> Value {
        self.look_up("rotations", token).await
    }

    /// What the emulator knows and AWS does not tell; null if nothing has that kind and name.
    pub async fn look_up(&self, kind: &str, name: &str) -> Value {
        self.exchange("GET", kind, name, String::new()).await
    }

    /// Sends the emulator a request that AWS does not have.
    pub async fn exchange(&self, method: &str, kind: &str, name: &str, body: String) -> Value {
        let (status, answer) =
            self.send(method, &format!("/_world/{kind}/{name}"), &[], body).await;
        if status == 200 { serde_json::from_str(&answer).expect("JSON") } else { Value::Null }
    }

    /// Calls a service of AWS that has no client here, with that access key; the status and the
    /// answer.
    pub async fn call(
        &self,
        service: &str,
        key: &str,
        method: &str,
        path: &str,
        body: String,
    ) -> (u16, String) {
        let credential = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/{REGION}/{service}/aws4_request, \
             SignedHeaders=host, Signature=0"
        );
        let kind = if body.starts_with("Action=") {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        self.send(method, path, &[("authorization", &credential), ("content-type", kind)], body)
            .await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> (u16, String) {
        let method = method.parse().expect("a method");
        let mut request =
            reqwest::Client::new().request(method, format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("the emulator answers");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }
}
