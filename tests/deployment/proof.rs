//! The role suffices, each of its actions is needed, and everything else is denied.

use std::fmt::Debug;

use serde_json::{Value, json};

use crate::world::application::Application;
use crate::world::lambda::{BY_HAND, arn};
use crate::world::pair::Pair;
use crate::world::print::Print;
use crate::world::terraform::Module;
use crate::world::{random_hex, world};
use crate::{rotate, settled};

const NAME: &str = "rotation-proof";

/// What the role is for. The quickest operation comes first.
const OPERATIONS: [&str; 14] = [
    "update-function-configuration",
    "logging of status",
    "status, single user",
    "monitor, by the schedule",
    "rotate-secret, single user",
    "rotate-secret, alternating users",
    "rotate, single user",
    "rotate, alternating users",
    "rotate-secret after an abandoned rotation",
    "recover after an abandoned rotation",
    "preflight, single user",
    "preflight, alternating users",
    "retire, single user",
    "retire, alternating users",
];

struct Deployment {
    single: Application,
    pair: Pair,
    role: String,
}

/// Applies the module to secrets of both strategies, which keys of the team encrypt, and proves the
/// role.
pub(crate) async fn of_the_role(print: &Print, module: &Module) {
    let (single, pair, other) =
        (Application::new().await, Pair::new().await, Application::new().await);
    let below = Application::new().await;
    let document = below.document.clone();
    let text = document.to_string();
    let (role, password) = (below.role, below.password);
    let below = Application::storing(&role, &password, document, &text, "below-a-prefix/").await;
    let admin_secret = pair.application.document["masterarn"].as_str().unwrap().to_owned();
    let (key, admin_key) = (key().await, self::key().await);
    for (secret, key) in
        [(&single.secret, &key), (&pair.application.secret, &key), (&admin_secret, &admin_key)]
    {
        world()
            .aws
            .client()
            .update_secret()
            .secret_id(secret)
            .kms_key_id(key)
            .send()
            .await
            .unwrap();
    }
    module.write(NAME, &configuration(&single, &pair, &admin_secret, &key, &admin_key));
    module.apply(NAME, &[]).await;
    let role = world().aws.look_up("functions", NAME).await["role"].as_str().unwrap().to_owned();
    let deployment = Deployment { single, pair, role };

    for application in [&deployment.single, &deployment.pair.application] {
        settled(&application.secret).await;
    }
    crate::monitor::raises_the_alarms(print, NAME, &deployment.single, &deployment.pair).await;
    for operation in OPERATIONS {
        deployment
            .attempt(operation)
            .await
            .unwrap_or_else(|error| panic!("{operation} fails with the whole role: {error}"));
    }
    print.proof(true, &format!("the role is enough for {}", OPERATIONS.join(", ")));
    let rows = deployment.necessity().await;
    print.title(
        "Each action is needed",
        "each one removed alone: what fails first without it, and the error that names it",
    );
    for [action, statement, operation, error] in rows {
        println!("  {action:<39} {statement:<24} {operation:<42} {error}");
    }
    let denials = deployment.denials(&admin_secret, &other).await;
    print.title("Everything else is denied", "");
    for (what, said, expected) in denials {
        assert!(said.contains(expected), "{what}: {said}");
        print.proof(true, &format!("{what}: {expected}"));
    }
    let denied = operate("status", &below).await.unwrap_err();
    assert!(denied.contains("secretsmanager:DescribeSecret"), "{denied}");
    print.proof(true, "a secret below the prefix that does not name the function: DescribeSecret");
    let attached = world().aws.client().rotate_secret().secret_id(&below.secret);
    let attached = attached.rotation_lambda_arn(arn(NAME)).rotate_immediately(false);
    attached.send().await.expect("the secret names the function");
    settled(&below.secret).await;
    operate("rotate", &below).await.expect("it rotates");
    print.proof(true, "a secret below the prefix that names the function rotates");
    let detached = world().aws.client().cancel_rotate_secret().secret_id(&below.secret);
    detached.send().await.expect("its rotation is switched off");
    module.must(NAME, &["destroy", "-auto-approve", "-no-color", "-input=false"], &[]).await;
}

fn configuration(
    single: &Application,
    pair: &Pair,
    admin_secret: &str,
    key: &str,
    admin_key: &str,
) -> Value {
    let group = "${data.aws_security_group.this.id}";
    json!({
        "data": {
            "aws_vpc": {"this": {"default": true}},
            "aws_subnets": {"this": {"filter": {"name": "vpc-id",
            "values": ["${data.aws_vpc.this.id}"]}}},
            "aws_security_group": {"this": {"name": "default",
            "vpc_id": "${data.aws_vpc.this.id}"}},
        },
        "module": {"rotation": {
            "source": "../..", "name": NAME, "subnet_ids": "${data.aws_subnets.this.ids}",
            "package": "../../../target/lambda/postgres-secret-rotation/bootstrap.zip",
            "secret_prefixes": ["below-a-prefix/"],
            "alarms": crate::monitor::ALARMS,
            "databases": {"shop": {"security_group_id": group}},
            "endpoint": {"security_group_ids": [group]},
            "secrets": {
                "single": {"secret_arn": single.secret, "kms_key_arn": key},
                "pair": {"secret_arn": pair.application.secret, "kms_key_arn": key,
                "admin_secret_arn": admin_secret, "admin_kms_key_arn": admin_key,
                         "policy": {"retire_after": "0s"}},
            },
        }},
    })
}

/// A customer managed key.
async fn key() -> String {
    let (_, answer) =
        world().aws.call("kms", "testing", "POST", "/?Action=CreateKey", "{}".to_owned()).await;
    serde_json::from_str::<Value>(&answer)
        .ok()
        .and_then(|key| Some(key["KeyMetadata"]["Arn"].as_str()?.to_owned()))
        .expect(&answer)
}

impl Deployment {
    /// Runs the operation. An error says how it failed.
    async fn attempt(&self, operation: &str) -> Result<(), String> {
        let (single, pair) = (&self.single, &self.pair.application);
        match operation {
            "update-function-configuration" => self.update().await,
            "logging of status" => {
                let before = world().aws.look_up("logs", NAME).await;
                let _ = operate("status", single).await;
                let after = world().aws.look_up("logs", NAME).await;
                if before == after {
                    Err("nothing arrives in the log group".to_owned())
                } else {
                    Ok(())
                }
            }
            "monitor, by the schedule" => crate::monitor::look(NAME).await.map(drop),
            "status, single user" => operate("status", single).await,
            "rotate-secret, single user" => outcome(&rotate(&single.secret).await),
            "rotate-secret, alternating users" => outcome(&rotate(&pair.secret).await),
            "preflight, single user" => operate("preflight", single).await,
            "preflight, alternating users" => operate("preflight", pair).await,
            "retire, single user" => operate("retire", single).await,
            "retire, alternating users" => operate("retire", pair).await,
            "rotate, single user" => operate("rotate", single).await,
            "rotate, alternating users" => operate("rotate", pair).await,
            "rotate-secret after an abandoned rotation" => {
                self.abandon().await;
                outcome(&rotate(&single.secret).await)
            }
            "recover after an abandoned rotation" => {
                self.abandon().await;
                operate("recover", single).await
            }
            _ => unreachable!("{operation}"),
        }
    }

    /// Leaves the database with a password that no label leads to, like a rotation that is
    /// abandoned after `setSecret`.
    async fn abandon(&self) {
        let (token, password) = (random_hex(), random_hex());
        self.single.put(&token, &self.single.document_with(&password), &["AWSPENDING"]).await;
        let client = world().aws.client();
        let call = client
            .update_secret_version_stage()
            .secret_id(&self.single.secret)
            .version_stage("AWSPENDING");
        call.remove_from_version_id(token).send().await.unwrap();
        self.single.set_password(&password).await;
    }

    /// Sets the function's VPC again, for which Lambda tries the role.
    async fn update(&self) -> Result<(), String> {
        let path = format!("/2015-03-31/functions/{NAME}/configuration");
        let (_, now) = world().aws.call("lambda", "testing", "GET", &path, String::new()).await;
        let now: Value = serde_json::from_str(&now).expect("JSON");
        let network = json!({"VpcConfig": {"SubnetIds": now["VpcConfig"]["SubnetIds"],
            "SecurityGroupIds": now["VpcConfig"]["SecurityGroupIds"]}});
        let (status, answer) =
            world().aws.call("lambda", "testing", "PUT", &path, network.to_string()).await;
        if status == 200 { Ok(()) } else { Err(answer) }
    }

    /// Removes each action alone: the action, its statement, what fails first without it, and the
    /// error.
    async fn necessity(&self) -> Vec<[String; 4]> {
        let whole = world().aws.look_up("policies", &self.role).await;
        let mut rows = Vec::new();
        for (policy, document) in whole.as_object().unwrap() {
            for (n, statement) in document["Statement"]
                .as_array()
                .unwrap()
                .iter()
                .enumerate()
                .filter(|(_, each)| each["Effect"] == "Allow")
            {
                let actions = statement["Action"].as_array().unwrap();
                for action in actions {
                    let mut cut = whole.clone();
                    // A statement needs an action, so one that does not exist stays in it.
                    let rest: Vec<_> = actions
                        .iter()
                        .filter(|each| *each != action)
                        .cloned()
                        .chain([json!("none:None")])
                        .collect();
                    cut[policy]["Statement"][n]["Action"] = json!(rest);
                    world().aws.exchange("PUT", "policies", &self.role, cut.to_string()).await;
                    let failed = self.first_failure().await;
                    world().aws.exchange("PUT", "policies", &self.role, whole.to_string()).await;
                    let action = action.as_str().unwrap();
                    let (operation, error) = failed.unwrap_or_else(|| {
                        panic!("{action} of {} is not needed", statement["Sid"])
                    });
                    let statement = statement["Sid"].as_str().unwrap().to_owned();
                    rows.push([
                        action.to_owned(),
                        statement,
                        operation.to_owned(),
                        named(action, &error),
                    ]);
                    for application in [&self.single, &self.pair.application] {
                        operate("recover", application).await.expect("it is recovered");
                    }
                }
            }
        }
        rows
    }

    async fn first_failure(&self) -> Option<(&'static str, String)> {
        for operation in OPERATIONS {
            if let Err(error) = self.attempt(operation).await {
                return Some((operation, error));
            }
        }
        None
    }

    /// What was tried, what AWS said, and what AWS must say.
    async fn denials(
        &self,
        admin_secret: &str,
        other: &Application,
    ) -> Vec<(&'static str, String, &'static str)> {
        let credentials = world().aws.look_up("functions", NAME).await["credentials"].clone();
        let (theirs, ours) = (world().aws.client(), world().aws.client_with(&credentials));
        let key = credentials["AWS_ACCESS_KEY_ID"].as_str().unwrap();
        let interface =
            "Action=CreateNetworkInterface&Version=2016-11-15&SubnetId=subnet-1".to_owned();
        let assume = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=x&RoleArn=\
             arn:aws:iam::123456789012:role/of-another-service"
            .to_owned();
        let with = |secret: &str, function: &str| {
            theirs.rotate_secret().secret_id(secret).rotation_lambda_arn(arn(function)).send()
        };
        let mut tried = vec![
            (
                "status of a secret that is not listed",
                operate("status", other).await.unwrap_err(),
                "secretsmanager:DescribeSecret",
            ),
            (
                "its value, with the role's credentials",
                said(ours.get_secret_value().secret_id(&other.secret).send().await),
                "no identity-based policy allows the secretsmanager:GetSecretValue action",
            ),
            (
                "a new value for the admin secret",
                said(
                    ours.put_secret_value().secret_id(admin_secret).secret_string("x").send().await,
                ),
                "no identity-based policy allows the secretsmanager:PutSecretValue action",
            ),
            (
                "a network interface, by the function's own code",
                world().aws.call("ec2", key, "POST", "/", interface).await.1,
                "with an explicit deny in an identity-based policy",
            ),
            (
                "another role, by the function's own code",
                world().aws.call("sts", key, "POST", "/", assume).await.1,
                "sts:AssumeRole",
            ),
            (
                "this function for a secret that is not listed",
                said(with(&other.secret, NAME).await),
                "Secrets Manager cannot invoke the specified Lambda function",
            ),
        ];
        // Secrets Manager may call the function for a secret that the role does not name.
        let grant = json!({"StatementId": "other", "Action": "lambda:InvokeFunction",
            "Principal": "secretsmanager.amazonaws.com"});
        world()
            .aws
            .call(
                "lambda",
                "testing",
                "POST",
                &format!("/2015-03-31/functions/{NAME}/policy"),
                grant.to_string(),
            )
            .await;
        with(&other.secret, NAME).await.expect("the rotation begins");
        let value = ours.get_secret_value().secret_id(&other.secret).send().await;
        tried.push((
            "the value of that secret, once the function is let in for it",
            said(value),
            "secretsmanager:GetSecretValue action",
        ));
        theirs
            .cancel_rotate_secret()
            .secret_id(&other.secret)
            .send()
            .await
            .expect("it is called off");
        // From here on another function rotates the secret.
        let _ = with(&self.single.secret, BY_HAND).await;
        let taken = ours.get_secret_value().secret_id(&self.single.secret).send().await;
        tried.push((
            "a listed secret that was given to another function",
            said(taken),
            "secretsmanager:GetSecretValue action",
        ));
        tried
    }
}

fn said<T, E: Debug>(result: Result<T, E>) -> String {
    result.err().map_or_else(|| "nothing".to_owned(), |error| format!("{error:?}"))
}

/// Invokes an operation, like `aws lambda invoke`, and returns its error.
pub(crate) async fn operate(operation: &str, application: &Application) -> Result<(), String> {
    let path = format!("/2015-03-31/functions/{NAME}/invocations");
    let event = json!({"Operation": operation, "SecretId": application.secret}).to_string();
    let (_, answer) = world().aws.call("lambda", "testing", "POST", &path, event).await;
    let answer: Value = serde_json::from_str(&answer).expect(&answer);
    match (answer["errorMessage"].as_str(), &answer["Ready"], &answer["Retired"]) {
        (None, Value::Null | Value::Bool(true), Value::Null | Value::Bool(true)) => Ok(()),
        (message, ..) => Err(message.or(answer["Message"].as_str()).unwrap_or_default().to_owned()),
    }
}

fn outcome(rotation: &Value) -> Result<(), String> {
    let error = rotation["steps"].as_array().and_then(|steps| steps.last()?["error"].as_str());
    if rotation["state"] == "succeeded" {
        Ok(())
    } else {
        Err(error.unwrap_or("no step was taken").to_owned())
    }
}

/// The part of the error that names the action.
fn named(action: &str, error: &str) -> String {
    let name = match action.split_once(':').unwrap() {
        ("ec2", name) => format!("permissions to call {name} on EC2"),
        ("logs", _) => "nothing arrives in the log group".to_owned(),
        _ => action.to_owned(),
    };
    let at = error
        .find(&name)
        .unwrap_or_else(|| panic!("the error without {action} does not name it: {error}"));
    let start = error[..at]
        .rfind([',', ';', '"', '['])
        .max(error[..at].rfind(". "))
        .map_or(0, |mark| mark + 1);
    let end = error[at..].find([',', ';', ')', '[', '"']).map_or(error.len(), |length| at + length);
    error[start..end].trim().trim_end_matches('.').to_owned()
}
