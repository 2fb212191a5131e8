//! AWS: the emulator process, and a client to set up and look at secrets with.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use serde_json::Value;

use super::{project, setting};

pub const REGION: &str = "eu-central-1";

pub struct Aws {
    pub url: String,
    // It ends when its standard input does, that is with this process.
    _emulator: Child,
}

impl Aws {
    pub fn start(function_url: &str) -> Self {
        let python = setting("PYTHON").unwrap_or_else(|| project().join(".deps/venv/bin/python").display().to_string());
        let mut emulator = Command::new(&python)
            .arg(project().join("tests/world/aws_emulator.py"))
            .args(["--function-url", function_url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("{python} cannot be run ({error}): `make test` installs it"));
        let mut line = String::new();
        BufReader::new(emulator.stdout.take().expect("a pipe")).read_line(&mut line).expect("the emulator says its port");
        let port: Value = serde_json::from_str(&line).expect("the emulator says its port in JSON");
        Self { url: format!("http://127.0.0.1:{}", port["port"]), _emulator: emulator }
    }

    /// A client as a person or a platform would use it.
    pub fn client(&self) -> Client {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static(REGION))
            .credentials_provider(Credentials::new("testing", "testing", None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(&self.url)
            .build();
        Client::from_conf(config)
    }

    /// How the rotation with that token goes, as only the emulator can tell: `state` and `steps`.
    pub async fn rotation(&self, token: &str) -> Value {
        let answer = reqwest::get(format!("{}/_world/rotations/{token}", self.url)).await.expect("the emulator answers");
        serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
    }
}
