//! An application: a role with its own table, and the secret that holds its credentials.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_secretsmanager::types::RotationRulesType;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::lambda::{Answer, BY_HAND, Function, arn};
use super::postgres::{HOST, admin};
use super::{random_hex, random_token, unique, world};

pub const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

pub struct Application {
    pub role: String,
    /// The role's first password.
    pub password: String,
    /// The secret's ARN.
    pub secret: String,
    /// The secret's name.
    pub name: String,
    /// The secret's first value.
    pub document: Value,
}

/// All that a rotation may change: labels, values, and the role as the server stores it.
#[derive(Debug, PartialEq)]
pub struct Snapshot {
    labels: BTreeMap<String, Vec<String>>,
    current: Option<String>,
    pending: Option<String>,
    role: Option<(Option<String>, bool)>,
}

impl Application {
    pub async fn new() -> Self {
        Self::edited(|_| {}).await
    }

    /// An application with a secret that `edit` changed first.
    pub async fn edited(edit: impl FnOnce(&mut Value)) -> Self {
        Self::named(&unique("app_"), edit).await
    }

    /// An application with a role of that name and a secret that `edit` changed first.
    pub async fn named(role: &str, edit: impl FnOnce(&mut Value)) -> Self {
        let password = random_hex();
        let quoted = escape_identifier(role);
        let sql = format!(
            "CREATE ROLE {quoted} LOGIN PASSWORD {password}; CREATE SCHEMA {quoted} AUTHORIZATION \
             {quoted}; CREATE TABLE {quoted}.orders (id int); ALTER TABLE {quoted}.orders OWNER TO \
             {quoted}",
            // A hash, as psql's \\password sends it: the server's log shows no password.
            password = escape_literal(&scram_sha_256(password.as_bytes()))
        );
        admin().await.batch_execute(&sql).await.expect("the role is created");
        Self::for_role(role, &password, edit).await
    }

    /// An application without a table, for a role that exists or is missing on purpose.
    pub async fn for_role(role: &str, password: &str, edit: impl FnOnce(&mut Value)) -> Self {
        let mut document = json!({
            "engine": "postgres", "host": HOST, "port": world().postgres.port, "username": role,
            "password": password, "dbname": "postgres",
        });
        edit(&mut document);
        let text = document.to_string();
        Self::storing(role, password, document, &text, "app/").await
    }

    /// A secret with that value, under a name with that prefix.
    pub async fn storing(
        role: &str,
        password: &str,
        document: Value,
        text: &str,
        prefix: &str,
    ) -> Self {
        let name = unique(prefix);
        let client = world().aws.client();
        let secret = client
            .create_secret()
            .name(&name)
            .secret_string(text)
            .send()
            .await
            .expect("the secret is created");
        Self {
            role: role.to_owned(),
            password: password.to_owned(),
            secret: secret.arn.expect("an ARN"),
            name,
            document,
        }
    }

    /// Begins a rotation whose steps the test sends; the token. Its version has AWSPENDING and no
    /// value.
    pub async fn begin(&self) -> String {
        let token = random_token();
        let client = world().aws.client();
        let call = client.rotate_secret().secret_id(&self.secret).client_request_token(&token);
        call.rotation_lambda_arn(arn(BY_HAND)).send().await.expect("the rotation begins");
        self.await_end(&token).await;
        token
    }

    /// What a `finishSecret` leaves behind that is cut off between its COMMIT and its move.
    pub async fn cut_off_after_commit(&self, function: &Function) -> String {
        let token = self.begin().await;
        self.steps(function, &["createSecret"], &token).await;
        self.set_password(&self.password_in("AWSPENDING").await).await;
        token
    }

    /// Sets the schedule of the rotation, without a rotation.
    pub async fn schedule(&self, rules: RotationRulesType) {
        let client = world().aws.client();
        let call = client.rotate_secret().secret_id(&self.secret).rotate_immediately(false);
        let token = random_token();
        let call = call.client_request_token(&token).rotation_rules(rules);
        call.rotation_lambda_arn(arn(BY_HAND)).send().await.expect("the schedule is set");
        self.await_end(&token).await;
    }

    /// Moves all dates of the secret back, as if that much time had passed.
    pub async fn grow_older(&self, time: Duration) {
        let name = self.name.rsplit('/').next().expect("a name");
        let seconds = time.as_secs().to_string();
        let moved = world().aws.exchange("PUT", "older", name, seconds).await;
        assert_eq!(moved["secrets"], 1, "{moved}");
    }

    /// Begins another rotation after one got stuck: removes AWSPENDING first, as a person would.
    pub async fn abandon_and_begin(&self) -> String {
        self.remove_pending_label().await;
        self.begin().await
    }

    /// Removes AWSPENDING from its version.
    pub async fn remove_pending_label(&self) {
        let client = world().aws.client();
        if let Some(holder) = self.version_with("AWSPENDING").await {
            let call = client
                .update_secret_version_stage()
                .secret_id(&self.secret)
                .version_stage("AWSPENDING");
            call.remove_from_version_id(holder).send().await.expect("the label is removed");
        }
    }

    /// Has Secrets Manager rotate the secret with that function; its `state`, `steps` and `token`.
    pub async fn rotate(&self, function: &Function) -> Value {
        let token = random_token();
        let client = world().aws.client();
        let call = client.rotate_secret().secret_id(&self.secret).client_request_token(&token);
        call.rotation_lambda_arn(function.arn()).send().await.expect("the rotation begins");
        let mut rotation = self.await_end(&token).await;
        rotation["token"] = json!(token);
        rotation
    }

    /// Has Secrets Manager run the test of `RotateImmediately=false`; its `state` and `steps`.
    pub async fn test(&self, function: &Function) -> Value {
        let token = random_hex();
        let client = world().aws.client();
        let call = client
            .rotate_secret()
            .secret_id(&self.secret)
            .client_request_token(&token)
            .rotate_immediately(false);
        call.rotation_lambda_arn(function.arn()).send().await.expect("the test begins");
        self.await_end(&token).await
    }

    async fn await_end(&self, token: &str) -> Value {
        super::eventually("the end of the rotation", async || {
            let rotation = world().aws.rotation(token).await;
            (rotation["state"] != "running").then_some(rotation)
        })
        .await
    }

    pub fn event(&self, step: &str, token: &str) -> Value {
        json!({"Step": step, "SecretId": self.secret, "ClientRequestToken": token})
    }

    /// Sends a step to the function.
    pub async fn step(&self, function: &Function, step: &str, token: &str) -> Answer {
        function.invoke(self.event(step, token)).await
    }

    /// Sends steps to the function, all of which have to succeed.
    pub async fn steps(&self, function: &Function, steps: &[&str], token: &str) {
        for step in steps {
            let answer = self.step(function, step, token).await;
            assert!(answer.is_ok(), "{step}: {answer:?}");
        }
    }

    /// Sends an operation on this secret to the function. `more` has the other keys of the event.
    pub async fn operate(&self, function: &Function, operation: &str, more: Value) -> Answer {
        let mut event = json!({"Operation": operation, "SecretId": self.name});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        function.invoke(event).await
    }

    /// The value of the version with that label.
    pub async fn value(&self, label: &str) -> Option<String> {
        let client = world().aws.client();
        client
            .get_secret_value()
            .secret_id(&self.secret)
            .version_stage(label)
            .send()
            .await
            .ok()
            .and_then(|output| output.secret_string)
    }

    /// The password in the version with that label.
    pub async fn password_in(&self, label: &str) -> String {
        #[derive(serde::Deserialize)]
        struct Document {
            password: String,
        }
        let value = self.value(label).await.unwrap_or_else(|| panic!("{label} has a value"));
        serde_json::from_str::<Document>(&value).expect("JSON with a password").password
    }

    /// The id of the version with that label.
    pub async fn version_with(&self, label: &str) -> Option<String> {
        self.labels()
            .await
            .into_iter()
            .find(|(_, labels)| labels.iter().any(|other| other == label))
            .map(|(id, _)| id)
    }

    pub async fn labels(&self) -> BTreeMap<String, Vec<String>> {
        let client = world().aws.client();
        let output = client
            .describe_secret()
            .secret_id(&self.secret)
            .send()
            .await
            .expect("the secret is there");
        output.version_ids_to_stages.unwrap_or_default().into_iter().collect()
    }

    /// Moves a date of the secret, such as `last_changed_date`, to so many seconds from now.
    pub async fn set_date(&self, date: &str, seconds_from_now: i64) {
        self.set(json!({date: seconds_after_1970(seconds_from_now)})).await;
    }

    /// Names the function that rotates the secret, and begins no rotation.
    pub async fn name_function(&self, arn: &str) {
        self.set(json!({"rotation_lambda_arn": arn})).await;
    }

    /// Leaves the secret as one that the function rotated an hour ago.
    pub async fn pretend_rotated(&self, arn: &str) {
        let hour_ago = seconds_after_1970(-3600);
        self.set(json!({"rotation_lambda_arn": arn, "rotation_requested": true,
            "rotation_enabled": true, "last_rotation_date": hour_ago}))
            .await;
    }

    /// Sets what the emulator keeps of the secret.
    async fn set(&self, mut attributes: Value) {
        let expected = attributes.clone();
        attributes["secret"] = json!(self.secret);
        let set = world().aws.exchange("PUT", "secrets", "now", attributes.to_string()).await;
        assert_eq!(set, expected);
    }

    /// Stores a value with these labels, as a person may.
    pub async fn put(&self, token: &str, value: &str, labels: &[&str]) {
        let client = world().aws.client();
        let mut call = client
            .put_secret_value()
            .secret_id(&self.secret)
            .client_request_token(token)
            .secret_string(value);
        for label in labels {
            call = call.version_stages(*label);
        }
        call.send().await.expect("the value is stored");
    }

    /// The secret's first value with another password.
    pub fn document_with(&self, password: &str) -> String {
        let mut document = self.document.clone();
        document["password"] = json!(password);
        document.to_string()
    }

    /// Whether the database accepts the password.
    pub async fn accepts(&self, password: &str) -> bool {
        world().postgres.login(&self.role, password).await.is_ok()
    }

    pub async fn login(&self, password: &str) -> Client {
        world().postgres.login(&self.role, password).await.expect("the password is accepted")
    }

    /// Sets the role's password behind the secret's back.
    pub async fn set_password(&self, password: &str) {
        let verifier = scram_sha_256(password.as_bytes());
        let sql = format!(
            "ALTER ROLE {} PASSWORD {}",
            escape_identifier(&self.role),
            escape_literal(&verifier)
        );
        admin().await.batch_execute(&sql).await.expect("the password is set");
    }

    /// The hash that the server stores in place of the password.
    pub async fn stored_hash(&self) -> Option<String> {
        let row = admin()
            .await
            .query_opt("SELECT rolpassword FROM pg_authid WHERE rolname = $1", &[&self.role])
            .await
            .expect("pg_authid");
        row.and_then(|row| row.get(0))
    }

    /// AWSCURRENT is the token's version, AWSPREVIOUS holds the password `before`, and the database
    /// accepts only the new one.
    pub async fn assert_rotated(&self, token: &str, before: &str) {
        assert_eq!(self.version_with("AWSCURRENT").await.as_deref(), Some(token));
        assert_eq!(self.password_in("AWSPREVIOUS").await, before);
        let now = self.password_in("AWSCURRENT").await;
        assert_ne!(now, before);
        assert!(self.accepts(&now).await, "the database accepts AWSCURRENT");
        assert!(!self.accepts(before).await, "the database refuses the old password");
    }

    pub async fn snapshot(&self) -> Snapshot {
        let sql = "SELECT rolpassword, rolcanlogin FROM pg_authid WHERE rolname = $1";
        let role = admin().await.query_opt(sql, &[&self.role]).await.expect("pg_authid");
        Snapshot {
            labels: self.labels().await,
            current: self.value("AWSCURRENT").await,
            pending: self.value("AWSPENDING").await,
            role: role.map(|row| (row.get(0), row.get(1))),
        }
    }
}

fn seconds_after_1970(from_now: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    i64::try_from(now).expect("a date") + from_now
}
