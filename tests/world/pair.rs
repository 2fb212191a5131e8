//! An application with two users that alternate, and an admin like the master user of Amazon RDS:
//! it has CREATEROLE and is no superuser.

use std::time::Duration;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::application::{Application, STEPS};
use super::lambda::Function;
use super::postgres::{HOST, PLAINTEXT_ROLES, admin};
use super::wire::Wire;
use super::{random_hex, unique, world};

pub struct Pair {
    pub application: Application,
    /// The admin's role.
    pub admin: String,
    admin_password: String,
    pub base: String,
    pub clone: String,
}

impl Pair {
    pub async fn new() -> Self {
        Self::edited(|_| {}).await
    }

    /// A pair with a secret that `edit` changed first.
    pub async fn edited(edit: impl FnOnce(&mut Value)) -> Self {
        Self::named(&unique("pair_"), edit).await
    }

    /// A pair whose two secrets lead through the wire. The policy has to allow plaintext.
    pub async fn through(wire: &Wire) -> Self {
        let pair = Self::create(
            &unique("pair_"),
            wire.port,
            |document| document["port"] = json!(wire.port),
            false,
        )
        .await;
        pair.superuser(&format!("GRANT {PLAINTEXT_ROLES} TO :base, :admin")).await;
        pair
    }

    /// A pair with that base user. The admin created it, and it owns a schema of its name.
    pub async fn named(base: &str, edit: impl FnOnce(&mut Value)) -> Self {
        Self::create(base, world().postgres.port, edit, true).await
    }

    async fn create(base: &str, admin_port: u16, edit: impl FnOnce(&mut Value), ssl: bool) -> Self {
        let (name, admin_password) = (unique("admin_"), random_hex());
        let verifier = |password: &str| escape_literal(&scram_sha_256(password.as_bytes()));
        let create =
            format!("CREATE ROLE {name} LOGIN CREATEROLE PASSWORD {}", verifier(&admin_password));
        admin().await.batch_execute(&create).await.expect("the admin is created");
        let mut document = json!({"username": name, "password": admin_password});
        document["host"] = json!(HOST);
        document["port"] = json!(admin_port);
        document["ssl"] = json!(ssl);
        let secret = Application::storing(
            &name,
            &admin_password,
            document.clone(),
            &document.to_string(),
            "admin/",
        )
        .await
        .secret;

        let (password, quoted) = (random_hex(), escape_identifier(base));
        let own = world().postgres.login(&name, &admin_password).await.expect("the admin logs in");
        own.batch_execute(&format!("CREATE ROLE {quoted} LOGIN PASSWORD {}", verifier(&password)))
            .await
            .expect("the user is created");
        let schema = format!("CREATE SCHEMA {quoted} AUTHORIZATION {quoted}");
        admin().await.batch_execute(&schema).await.expect("the schema is created");
        let application = Application::for_role(base, &password, |document| {
            document["masterarn"] = json!(secret);
            if !ssl {
                document["ssl"] = json!(false);
            }
            edit(document);
        })
        .await;
        Self {
            application,
            admin: name,
            admin_password,
            base: base.to_owned(),
            clone: format!("{base}_clone"),
        }
    }

    /// Leaves the pair as AWS's function does after its first turn: the clone is current, is a
    /// member of the base user, and acts as itself.
    pub async fn imitate_aws_function(&self) {
        let password = random_hex();
        let verifier = escape_literal(&scram_sha_256(password.as_bytes()));
        let sql = self.filled(&format!(
            "CREATE ROLE :clone LOGIN PASSWORD {verifier}; GRANT :base TO :clone"
        ));
        self.admin_session().await.batch_execute(&sql).await.expect("the clone is created");
        let mut document = self.application.document.clone();
        document["username"] = json!(self.clone);
        document["password"] = json!(password);
        self.application.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;
    }

    /// Rotates once, also if a rotation got stuck before; the token.
    pub async fn turn(&self, function: &Function) -> String {
        let token = self.application.abandon_and_begin().await;
        self.application.steps(function, &STEPS, &token).await;
        token
    }

    /// The username and the password in the version with that label.
    pub async fn credentials(&self, label: &str) -> (String, String) {
        let value =
            self.application.value(label).await.unwrap_or_else(|| panic!("{label} has a value"));
        let value: Value = serde_json::from_str(&value).expect("JSON");
        let text = |key: &str| value[key].as_str().expect("a string").to_owned();
        (text("username"), text("password"))
    }

    /// A session of the user in the version with that label.
    pub async fn session(&self, label: &str) -> Client {
        let (user, password) = self.credentials(label).await;
        world()
            .postgres
            .login(&user, &password)
            .await
            .unwrap_or_else(|error| panic!("{label}, {user}: {error:?}"))
    }

    /// An admin secret as RDS creates it for a master user: it has RDS's name and no host.
    pub async fn create_managed_admin_secret(&self) -> String {
        let document = json!({"username": self.admin, "password": self.admin_password});
        Application::storing(
            &self.admin,
            "",
            document.clone(),
            &document.to_string(),
            "rds!cluster-",
        )
        .await
        .secret
    }

    /// A session of the admin.
    pub async fn admin_session(&self) -> Client {
        world().postgres.login(&self.admin, &self.admin_password).await.expect("the admin logs in")
    }

    /// Runs statements as the superuser. `:base`, `:clone` and `:admin` stand for the quoted names.
    pub async fn superuser(&self, sql: &str) {
        admin()
            .await
            .batch_execute(&self.filled(sql))
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Time passes: moves the dates of both users and of the secret back.
    pub async fn pass(&self, time: Duration) {
        for user in [&self.base, &self.clone] {
            let row = admin()
                .await
                .query_opt("SELECT rolvaliduntil::text FROM pg_roles WHERE rolname = $1", &[user])
                .await
                .expect("the superuser may");
            if let Some(until) = row.and_then(|row| row.get::<_, Option<String>>(0)) {
                let sql = "SELECT format('ALTER ROLE %I VALID UNTIL %L', $1::text, $2::text::\
                           timestamptz - make_interval(secs => $3))";
                let seconds = time.as_secs_f64();
                let row = admin().await.query_one(sql, &[user, &until, &seconds]).await;
                let sql: String = row.expect("the superuser may").get(0);
                admin().await.batch_execute(&sql).await.expect("the date is moved");
            }
        }
        self.application.grow_older(time).await;
    }

    /// Creates a schema with `count` tables of the superuser; the user has two privileges on each.
    pub async fn create_tables(&self, user: &str, schema: &str, count: usize) {
        self.superuser(&format!(
            "CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {user}"
        ))
        .await;
        // Each new table is locked until the commit, and the number of locks is limited.
        self.superuser(&format!(
            "DO $$ BEGIN FOR n IN 1..{count} LOOP \
                 EXECUTE format('CREATE TABLE {schema}.t%s (id int)', n); \
                 EXECUTE format('GRANT SELECT, INSERT ON {schema}.t%s TO {user}', n); \
                 IF n % 500 = 0 THEN COMMIT; END IF; \
             END LOOP; END $$"
        ))
        .await;
    }

    pub fn filled(&self, sql: &str) -> String {
        let names = [(":base", &self.base), (":clone", &self.clone), (":admin", &self.admin)];
        names
            .iter()
            .fold(sql.to_owned(), |sql, (mark, name)| sql.replace(mark, &escape_identifier(name)))
    }
}
