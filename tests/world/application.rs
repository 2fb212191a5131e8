//! An application: a role with a table of its own, and the secret that holds its credentials.

use std::collections::BTreeMap;

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
    /// The password that the role was made with.
    pub password: String,
    /// The secret's ARN.
    pub secret: String,
    pub name: String,
    pub document: Value,
}

/// All that a rotation may change, as somebody outside sees it: labels, values, and what the server
/// stores of the role.
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

    /// An application whose secret was changed by `edit` before it was stored.
    pub async fn edited(edit: impl FnOnce(&mut Value)) -> Self {
        Self::with(&unique("app_"), edit).await
    }

    /// An application whose role has that name, and whose secret was changed by `edit` before it
    /// was stored.
    pub async fn with(role: &str, edit: impl FnOnce(&mut Value)) -> Self {
        let password = random_hex();
        let quoted = escape_identifier(role);
        let sql = format!(
            "CREATE ROLE {quoted} LOGIN PASSWORD {password}; CREATE SCHEMA {quoted} AUTHORIZATION \
             {quoted}; CREATE TABLE {quoted}.orders (id int); ALTER TABLE {quoted}.orders OWNER TO \
             {quoted}",
            // As psql's \\password sends it, so that the server's log holds no password of a test.
            password = escape_literal(&scram_sha_256(password.as_bytes()))
        );
        admin().await.batch_execute(&sql).await.expect("the role is made");
        Self::over(role, &password, edit).await
    }

    /// A secret for a role that is there already, or on purpose is not.
    pub async fn over(role: &str, password: &str, edit: impl FnOnce(&mut Value)) -> Self {
        let mut document = json!({
            "engine": "postgres", "host": HOST, "port": world().postgres.port, "username": role,
            "password": password, "dbname": "postgres",
        });
        edit(&mut document);
        let text = document.to_string();
        Self::storing(role, password, document, &text, "app/").await
    }

    /// A secret whose value is that text, under a name with that prefix.
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
            .expect("the secret is made");
        Self {
            role: role.to_owned(),
            password: password.to_owned(),
            secret: secret.arn.expect("an ARN"),
            name,
            document,
        }
    }

    /// Starts a rotation that no function carries out: the version is registered, labelled
    /// AWSPENDING, and has no value.
    pub async fn begin(&self) -> String {
        let token = random_token();
        let client = world().aws.client();
        let call = client.rotate_secret().secret_id(&self.secret).client_request_token(&token);
        call.rotation_lambda_arn(arn(BY_HAND)).send().await.expect("the rotation begins");
        self.ended(&token).await;
        token
    }

    /// Starts another rotation where one got stuck, as a person does: by taking AWSPENDING away
    /// first.
    pub async fn begin_again(&self) -> String {
        self.take_off_pending().await;
        self.begin().await
    }

    /// Takes AWSPENDING off whichever version has it.
    pub async fn take_off_pending(&self) {
        let client = world().aws.client();
        if let Some(holder) = self.holder("AWSPENDING").await {
            let call = client
                .update_secret_version_stage()
                .secret_id(&self.secret)
                .version_stage("AWSPENDING");
            call.remove_from_version_id(holder).send().await.expect("the label is taken away");
        }
    }

    /// Has Secrets Manager rotate the secret with that function, and waits for the end of it: its
    /// `state`, `steps` and `token`.
    pub async fn rotate(&self, function: &Function) -> Value {
        let token = random_token();
        let client = world().aws.client();
        let call = client.rotate_secret().secret_id(&self.secret).client_request_token(&token);
        call.rotation_lambda_arn(function.arn()).send().await.expect("the rotation begins");
        let mut rotation = self.ended(&token).await;
        rotation["token"] = json!(token);
        rotation
    }

    /// Has Secrets Manager set the rotation up without a rotation, which tests what there is, and
    /// waits for the end of it.
    pub async fn test(&self, function: &Function) -> Value {
        let token = random_hex();
        let client = world().aws.client();
        let call = client
            .rotate_secret()
            .secret_id(&self.secret)
            .client_request_token(&token)
            .rotate_immediately(false);
        call.rotation_lambda_arn(function.arn()).send().await.expect("the test begins");
        self.ended(&token).await
    }

    async fn ended(&self, token: &str) -> Value {
        super::eventually("the end of the rotation", async || {
            let rotation = world().aws.rotation(token).await;
            (rotation["state"] != "running").then_some(rotation)
        })
        .await
    }

    pub fn event(&self, step: &str, token: &str) -> Value {
        json!({"Step": step, "SecretId": self.secret, "ClientRequestToken": token})
    }

    /// Sends one step to the function.
    pub async fn step(&self, function: &Function, step: &str, token: &str) -> Answer {
        function.invoke(self.event(step, token)).await
    }

    /// Sends steps one after the other, each of which has to succeed.
    pub async fn steps(&self, function: &Function, steps: &[&str], token: &str) {
        for step in steps {
            let answer = self.step(function, step, token).await;
            assert!(answer.is_ok(), "{step}: {answer:?}");
        }
    }

    /// The value of the version with that label, if there is one.
    pub async fn value(&self, stage: &str) -> Option<String> {
        let client = world().aws.client();
        client
            .get_secret_value()
            .secret_id(&self.secret)
            .version_stage(stage)
            .send()
            .await
            .ok()
            .and_then(|output| output.secret_string)
    }

    pub async fn password_in(&self, stage: &str) -> String {
        #[derive(serde::Deserialize)]
        struct Document {
            password: String,
        }
        let value = self.value(stage).await.unwrap_or_else(|| panic!("{stage} has a value"));
        serde_json::from_str::<Document>(&value).expect("JSON with a password").password
    }

    /// The id of the version that has the label, if one has.
    pub async fn holder(&self, stage: &str) -> Option<String> {
        self.labels()
            .await
            .into_iter()
            .find(|(_, labels)| labels.iter().any(|label| label == stage))
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

    /// Stores a value with these labels, as a person may.
    pub async fn put(&self, token: &str, value: &str, stages: &[&str]) {
        let client = world().aws.client();
        let mut call = client
            .put_secret_value()
            .secret_id(&self.secret)
            .client_request_token(token)
            .secret_string(value);
        for stage in stages {
            call = call.version_stages(*stage);
        }
        call.send().await.expect("the value is stored");
    }

    /// The document of the secret with another password.
    pub fn document_with(&self, password: &str) -> String {
        let mut document = self.document.clone();
        document["password"] = json!(password);
        document.to_string()
    }

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

    /// What the server stores in place of the password.
    pub async fn stored(&self) -> Option<String> {
        let row = admin()
            .await
            .query_opt("SELECT rolpassword FROM pg_authid WHERE rolname = $1", &[&self.role])
            .await
            .expect("pg_authid");
        row.and_then(|row| row.get(0))
    }

    /// AWSCURRENT is the token's version and the database accepts its password alone; what came
    /// before is AWSPREVIOUS.
    pub async fn assert_rotated(&self, token: &str, before: &str) {
        assert_eq!(self.holder("AWSCURRENT").await.as_deref(), Some(token));
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
