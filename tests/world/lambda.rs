//! Lambda: processes of the real binary, and the Invoke endpoint through which Secrets Manager
//! calls them.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use super::aws::REGION;
use super::runtime_api::{Queue, Runtime};
use super::{environment_variable, eventually, serve, unique, world};

pub use super::runtime_api::{Answer, Failure};

const ACCOUNT: &str = "123456789012";
/// A function that fails whenever Secrets Manager calls it. The test then sends the steps.
pub const BY_HAND: &str = "by-hand";

const POLICY: &str = "ROTATION_POLICY";

type Functions = Arc<Mutex<HashMap<String, Queue>>>;

/// Lambda's Invoke API for all functions of this run.
pub struct Gateway {
    pub url: String,
    functions: Functions,
}

/// One function: a process of the binary. A test starts another process after a death, as Lambda
/// does.
pub struct Function {
    pub name: String,
    command: Vec<String>,
    environment: Vec<(String, String)>,
    runtime: Arc<Runtime>,
    process: Mutex<Process>,
    output: Arc<Mutex<String>>,
}

/// A process and the time of its start.
struct Process(Child, Instant);

/// What one process used since it started.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// From the start to the first request for an invocation.
    pub init: Duration,
    pub cpu: Duration,
    pub peak_memory_kib: u64,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Gateway {
    pub fn start() -> Self {
        let functions = Functions::default();
        let router = Router::new()
            .route("/2015-03-31/functions/{name}/invocations", post(invoke_by_name))
            .with_state(Arc::clone(&functions));
        Self { url: serve(router), functions }
    }
}

async fn invoke_by_name(
    State(functions): State<Functions>,
    Path(name): Path<String>,
    event: Bytes,
) -> Response {
    let function = functions.lock().expect("no test panics here").get(&name).cloned();
    let deployed = if function.is_none() && name != BY_HAND {
        world().aws.look_up("functions", &name).await
    } else {
        Value::Null
    };
    let answer = match function {
        Some(queue) => queue.invoke(event.to_vec()).await,
        None if deployed.is_object() => {
            Function::invoke_deployed(&name, &deployed, event.to_vec()).await
        }
        None => Err(Failure {
            kind: "ByHand".to_owned(),
            message: "this rotation is driven by the test".to_owned(),
        }),
    };
    match answer {
        Ok(value) => value.to_string().into_response(),
        Err(Failure { kind, message }) => {
            let body = json!({"errorType": kind, "errorMessage": message}).to_string();
            ([("x-amz-function-error", "Unhandled")], body).into_response()
        }
    }
}

impl Function {
    /// Starts the binary with these variables, in addition to those that Lambda sets. Its policy
    /// trusts a secret's `masterarn`, as one that replaces AWS's functions does, unless it says
    /// otherwise.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let given = environment.iter().find(|(name, _)| *name == POLICY).map(|(_, policy)| *policy);
        let policy = with_default(given.unwrap_or("{}"), "trust_masterarn", json!(true));
        let others = environment.iter().copied().filter(|(name, _)| *name != POLICY);
        let environment: Vec<_> = others.chain([(POLICY, policy.as_str())]).collect();
        Self::start_exactly(&environment)
    }

    /// Starts the binary with these variables, in addition to those that Lambda sets.
    pub fn start_exactly(environment: &[(&str, &str)]) -> Self {
        let policy = without_overlap(environment);
        let environment = [environment, &[(POLICY, policy.as_str())]].concat();
        Self::running(&[binary().display().to_string()], &environment)
    }

    /// The same for any program that answers Lambda's events, named with its arguments.
    pub fn running(command: &[String], environment: &[(&str, &str)]) -> Self {
        let function = Self::launch(unique("rotation-"), command, environment);
        let queue = function.runtime.queue.clone();
        world()
            .gateway
            .functions
            .lock()
            .expect("no test panics here")
            .insert(function.name.clone(), queue);
        function
    }

    /// Invokes a deployed function in a process of its own, with its present variables and
    /// credentials.
    async fn invoke_deployed(name: &str, configuration: &Value, event: Vec<u8>) -> Answer {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let variables = ["variables", "credentials"]
            .into_iter()
            .filter_map(|key| configuration[key].as_object())
            .flatten();
        let mut environment: Vec<_> =
            variables.map(|(name, value)| (name.clone(), text(value))).collect();
        // The module sets this to an endpoint that does not exist here.
        environment.push(("SECRETS_MANAGER_ENDPOINT".to_owned(), String::new()));
        let owned = name.to_owned();
        let launch = move || {
            let mut environment: Vec<_> =
                environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let policy = without_overlap(&environment);
            environment.push((POLICY, &policy));
            Self::launch(owned, &[binary().display().to_string()], &environment)
        };
        let function = tokio::task::spawn_blocking(launch).await.expect("the function starts");
        function.set_timeout(Duration::from_secs(configuration["timeout"].as_u64().unwrap_or(3)));
        let answer = function.runtime.queue.invoke(event).await;
        let output =
            tokio::task::spawn_blocking(move || function.stop()).await.expect("the function ends");
        world().aws.exchange("POST", "functions", name, output).await;
        answer
    }

    fn launch(name: String, command: &[String], environment: &[(&str, &str)]) -> Self {
        let (runtime, address) = Runtime::start(&name);
        let environment = [
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", &name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_ENDPOINT_URL", &world().aws.url),
            ("CA_BUNDLE_FILE", &world().postgres.ca_file.display().to_string()),
        ]
        .into_iter()
        .chain(environment.iter().copied())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect::<Vec<_>>();
        let output = Arc::new(Mutex::new(String::new()));
        let command = command.to_vec();
        let process = Mutex::new(spawn(&command, &environment, &output));
        Self { name, command, environment, runtime, process, output }
    }

    pub fn arn(&self) -> String {
        arn(&self.name)
    }

    /// Sends an event, as `aws lambda invoke` does, and waits for the answer.
    pub async fn invoke(&self, event: Value) -> Answer {
        self.runtime.queue.invoke(event.to_string().into_bytes()).await
    }

    /// Sets the time that the following invocations get.
    pub fn set_timeout(&self, timeout: Duration) {
        self.runtime.set_timeout(timeout);
    }

    /// Kills the process and starts another one: the next invocation is a cold start.
    pub fn restart(&self) {
        self.kill();
        let process = spawn(&self.command, &self.environment, &self.output);
        *self.process.lock().expect("no test panics here") = process;
    }

    /// Kills the process: its invocation fails, as it would on Lambda.
    pub fn kill(&self) {
        let process = &mut self.process.lock().expect("no test panics here").0;
        let _ = process.kill();
        let _ = process.wait();
        self.runtime.forget_process();
    }

    /// What the present process used, as the kernel accounts it.
    pub async fn usage(&self) -> Usage {
        let (id, started) = {
            let process = self.process.lock().expect("no test panics here");
            (process.0.id(), process.1)
        };
        let ready =
            eventually("the first request", async || self.runtime.first_request(started)).await;
        let tasks = std::fs::read_dir(format!("/proc/{id}/task")).expect("the process runs");
        let nanoseconds = tasks
            .filter_map(|task| {
                std::fs::read_to_string(task.ok()?.path().join("schedstat"))
                    .ok()?
                    .split(' ')
                    .next()?
                    .parse::<u64>()
                    .ok()
            })
            .sum();
        let status =
            std::fs::read_to_string(format!("/proc/{id}/status")).expect("the process runs");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        Usage {
            init: ready - started,
            cpu: Duration::from_nanos(nanoseconds),
            peak_memory_kib: peak.expect("VmHWM"),
        }
    }

    /// Ends the process and returns all that it wrote.
    fn stop(self) -> String {
        drop(self.process);
        while Arc::strong_count(&self.output) > 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.output.lock().expect("no test panics here").clone()
    }

    /// Lets the process end as a signal asks it to, and returns all that it wrote.
    pub fn terminate(self) -> String {
        {
            let process = &mut self.process.lock().expect("no test panics here").0;
            let signalled = Command::new("kill").arg(process.id().to_string()).status();
            assert!(signalled.expect("kill runs").success(), "the process runs");
            process.wait().expect("the process ends");
        }
        self.stop()
    }

    /// All that the processes wrote to standard output and standard error.
    pub fn output(&self) -> String {
        self.output.lock().expect("no test panics here").clone()
    }

    /// The log events of the function: its lines of JSON.
    pub fn log(&self) -> Vec<Value> {
        self.output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for the first log event that `wanted` accepts: the pipe may deliver it late.
    pub async fn await_log_event(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || self.log().into_iter().find(|event| wanted(event))).await
    }
}

/// The policy with a default for a key that its own defaults leave out; one that is invalid stays.
/// The policy of that environment, in which no turn has to wait for the overlap, unless it sets
/// one.
fn without_overlap(environment: &[(&str, &str)]) -> String {
    let given = environment.iter().rev().find(|(name, _)| *name == POLICY);
    with_default(given.map_or("{}", |(_, policy)| policy), "overlap", json!("0s"))
}

fn with_default(policy: &str, key: &str, value: Value) -> String {
    let Ok(Value::Object(mut members)) = serde_json::from_str(policy) else {
        return policy.to_owned();
    };
    if let Value::Object(defaults) = members.entry("defaults").or_insert_with(|| json!({})) {
        defaults.entry(key).or_insert(value);
    }
    Value::Object(members).to_string()
}

pub fn arn(function: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}")
}

/// The binary under test: the packaged one if `make` names it, else this build's.
pub fn binary() -> PathBuf {
    environment_variable("BOOTSTRAP").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_postgres-secret-rotation")),
        PathBuf::from,
    )
}

fn spawn(
    command: &[String],
    environment: &[(String, String)],
    output: &Arc<Mutex<String>>,
) -> Process {
    let started = Instant::now();
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    collect(child.stdout.take().expect("a pipe"), Arc::clone(output));
    collect(child.stderr.take().expect("a pipe"), Arc::clone(output));
    Process(child, started)
}

fn collect(mut pipe: impl Read + Send + 'static, output: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            output
                .lock()
                .expect("no test panics here")
                .push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    });
}
