//! An application with two users that alternate, and an admin like the master user of Amazon RDS:
//! it has CREATEROLE and is no superuser.

use std::time::Duration;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::application::{Application, STEPS};
use super::lambda::Function;
use super::postgres::{Cluster, HOST, PLAINTEXT_ROLES};
use super::wire::Wire;
use super::{random_hex, unique, world};

pub struct Pair {
    pub application: Application,
    /// The admin's role.
    pub admin: String,
    admin_password: String,
    pub base: String,
    pub clone: String,
    server: &'static Cluster,
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
        let edit = |document: &mut Value| document["port"] = json!(wire.port);
        let pair = Self::create(&unique("pair_"), &world().postgres, wire.port, edit, false).await;
        pair.superuser(&format!("GRANT {PLAINTEXT_ROLES} TO :base, :admin")).await;
        pair
    }

    /// A pair with that base user. The admin created it, and it owns a schema of its name.
    pub async fn named(base: &str, edit: impl FnOnce(&mut Value)) -> Self {
        let server = &world().postgres;
        Self::create(base, server, server.port, edit, true).await
    }

    /// A pair on another server than that of all tests.
    pub async fn on(server: &'static Cluster) -> Self {
        let edit = |document: &mut Value| document["port"] = json!(server.port);
        Self::create(&unique("pair_"), server, server.port, edit, true).await
    }

    async fn create(
        base: &str,
        server: &'static Cluster,
        port: u16,
        edit: impl FnOnce(&mut Value),
        ssl: bool,
    ) -> Self {
        let (name, admin_password) = (unique("admin_"), random_hex());
        let verifier = |password: &str| escape_literal(&scram_sha_256(password.as_bytes()));
        let create =
            format!("CREATE ROLE {name} LOGIN CREATEROLE PASSWORD {}", verifier(&admin_password));
        server.admin().await.batch_execute(&create).await.expect("the admin is created");
        let mut document = json!({"username": name, "password": admin_password});
        document["host"] = json!(HOST);
        document["port"] = json!(port);
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
        let own = server.login(&name, &admin_password).await.expect("the admin logs in");
        own.batch_execute(&format!("CREATE ROLE {quoted} LOGIN PASSWORD {}", verifier(&password)))
            .await
            .expect("the user is created");
        let schema = format!("CREATE SCHEMA {quoted} AUTHORIZATION {quoted}");
        server.admin().await.batch_execute(&schema).await.expect("the schema is created");
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
            server,
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
        self.server
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
        self.server.login(&self.admin, &self.admin_password).await.expect("the admin logs in")
    }

    /// Runs statements as the superuser. `:base`, `:clone` and `:admin` stand for the quoted names.
    pub async fn superuser(&self, sql: &str) {
        self.server
            .admin()
            .await
            .batch_execute(&self.filled(sql))
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Lets time pass. Moves the server's clock if it has its own, else the dates of both users
    /// back. Moves the dates of the secret, too.
    pub async fn pass(&self, time: Duration) {
        if let Some(seconds_ahead) = self.server.seconds_ahead() {
            self.server.set_clock(seconds_ahead + i64::try_from(time.as_secs()).expect("hours"));
        } else {
            self.move_dates_back(time).await;
        }
        self.application.grow_older(time).await;
    }

    async fn move_dates_back(&self, time: Duration) {
        let admin = self.server.admin().await;
        let sql = "SELECT format('ALTER ROLE %I VALID UNTIL %L', rolname, rolvaliduntil - \
                   make_interval(secs => $2)) FROM pg_roles WHERE rolname = ANY ($1) AND \
                   isfinite(rolvaliduntil)";
        let parameters: [&(dyn ToSql + Sync); 2] =
            [&vec![self.base.clone(), self.clone.clone()], &time.as_secs_f64()];
        for row in admin.query(sql, &parameters).await.expect("the superuser may") {
            admin.batch_execute(row.get(0)).await.expect("the date is moved");
        }
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
