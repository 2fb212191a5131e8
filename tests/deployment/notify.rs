//! The way of the news that a secret has rotated: from finishSecret over Secrets Manager's own
//! event to each kind of target.

use serde_json::{Value, json};

use crate::world::application::Application;
use crate::world::postgres::{HOST, admin};
use crate::world::print::Print;
use crate::world::terraform::Module;
use crate::world::{eventually, random_hex, world};
use crate::{make_roles, rotate, settled};

const NAME: &str = "rotation-notify";
const EXAMPLE: &str = "notify-ecs";

pub(crate) async fn reaches_its_targets(print: &Print, module: &Module) {
    tokio::join!(each_kind(print, module), the_example(print, module));
}

/// A queue, a topic, a function, and a queue without a policy.
async fn each_kind(print: &Print, module: &Module) {
    let (watched, other) = (Application::new().await, Application::new().await);
    module.write(NAME, &configuration(&watched, &other));
    module.apply(NAME, &[]).await;
    for application in [&watched, &other] {
        settled(&application.secret).await;
    }
    let rotation = rotate(&watched.secret).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    let version = watched.version_with("AWSCURRENT").await;
    for target in ["notify-queue", "notify-topic", "notify-function", "rotation-notify-undelivered"]
    {
        let [event] = &sent(target, 1).await[..] else { panic!("{target}: more than one event") };
        assert_eq!(event["detail"]["versionId"].as_str(), version.as_deref(), "{target}: {event}");
        assert_eq!(event["detail"]["labelUpdated"], "AWSCURRENT", "{target}: {event}");
        assert_eq!(event["resources"], json!([watched.secret]), "{target}: {event}");
        assert!(!event.to_string().contains(&watched.password_in("AWSCURRENT").await));
    }
    rotate(&other.secret).await;
    sent("notify-topic", 2).await;
    assert_eq!(sent("notify-queue", 1).await.len(), 1, "the queue is for one secret");
    assert_eq!(world().aws.look_up("events", "notify-fenced").await, Value::Null);
    module.must(NAME, &["destroy", "-auto-approve", "-no-color", "-input=false"], &[]).await;
    print.proof(
        true,
        "notify: finishSecret moves AWSCURRENT, and a queue, a topic and a function are told, of \
         their secrets alone; what a target does not let in is in the dead-letter queue",
    );
}

/// The example that restarts an ECS service starts its state machine.
async fn the_example(print: &Print, module: &Module) {
    let seed = random_hex();
    let port = world().postgres.port.to_string();
    let variables = [
        ("host", HOST),
        ("port", &port),
        ("dbname", "postgres"),
        ("username", "app_notify"),
        ("password", &seed),
    ];
    make_roles(&admin().await, &["app_notify"], &seed).await;
    module.apply(EXAMPLE, &variables).await;
    let secret = module.output(EXAMPLE, "secret_arn").await;
    let machine = module.output(EXAMPLE, "state_machine_name").await;
    let (secret, machine) = (secret.as_str().unwrap(), machine.as_str().unwrap());
    settled(secret).await;
    let rotation = rotate(secret).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    let events = sent(machine, 1).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["resources"], json!([secret]));
    let (code, plan) = module
        .run(EXAMPLE, &["plan", "-detailed-exitcode", "-no-color", "-input=false"], &variables)
        .await;
    assert!(code == Some(0), "{EXAMPLE}: a second plan would change something:\n{plan}");
    module
        .must(EXAMPLE, &["destroy", "-auto-approve", "-no-color", "-input=false"], &variables)
        .await;
    print.proof(
        true,
        "notify-ecs: a rotation starts the state machine that restarts the service; second plan: \
         no changes",
    );
}

/// What the target of that name was sent, once that much has come.
async fn sent(target: &str, count: usize) -> Vec<Value> {
    eventually(&format!("event {count} at {target}"), async || {
        let events = world().aws.look_up("events", target).await;
        events.as_array().filter(|events| events.len() >= count).cloned()
    })
    .await
}

fn configuration(watched: &Application, other: &Application) -> Value {
    let group = "${data.aws_security_group.this.id}";
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": "lambda.amazonaws.com"},
    }]});
    json!({
        "data": {
            "aws_vpc": {"this": {"default": true}},
            "aws_subnets": {"this": {"filter": {"name": "vpc-id",
            "values": ["${data.aws_vpc.this.id}"]}}},
            "aws_security_group": {"this": {"name": "default",
            "vpc_id": "${data.aws_vpc.this.id}"}},
        },
        "resource": {
            "aws_sqs_queue": {
                "told": {"name": "notify-queue"}, "fenced": {"name": "notify-fenced"},
            },
            "aws_sns_topic": {"told": {"name": "notify-topic"}},
            "aws_iam_role": {"told": {"name": "notify-function",
            "assume_role_policy": trust.to_string()}},
            "aws_lambda_function": {"told": {
                "function_name": "notify-function", "role": "${aws_iam_role.told.arn}",
                "runtime": "provided.al2023", "handler": "bootstrap",
                "filename": "../../../target/lambda/postgres-secret-rotation/bootstrap.zip",
            }},
        },
        "module": {"rotation": {
            "source": "../..", "name": NAME, "subnet_ids": "${data.aws_subnets.this.ids}",
            "package": "../../../target/lambda/postgres-secret-rotation/bootstrap.zip",
            "databases": {"shop": {"security_group_id": group}},
            "endpoint": {"security_group_ids": [group]},
            "secrets": {
                "watched": {"secret_arn": watched.secret}, "other": {"secret_arn": other.secret},
            },
            "notify": {
                "queue": {"type": "sqs", "arn": "${aws_sqs_queue.told.arn}",
                "write_policy": true, "secrets": ["watched"]},
                "topic": {"type": "sns", "arn": "${aws_sns_topic.told.arn}", "write_policy": true},
                "function": {"type": "lambda", "arn": "${aws_lambda_function.told.arn}"},
                "fenced": {"type": "sqs", "arn": "${aws_sqs_queue.fenced.arn}",
                "write_policy": false, "secrets": ["watched"]},
            },
        }},
    })
}
