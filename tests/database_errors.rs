//! Every way in which the database or the network can fail. Each test has the real cause, and
//! expects its own kind and advice.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::world::application::{Application, STEPS};
use crate::world::impostor::{Impostor, Trick};
use crate::world::lambda::Function;
use crate::world::postgres::{Cluster, HOST, REFUSED_ROLES, Settings, Standby, admin, free_port};
use crate::world::wire::{Fault, Wire};
use crate::world::{eventually, unique, world};

/// `setSecret` fails with that kind and these texts, and changes nothing. Returns the error's text.
pub(crate) async fn assert_set_secret_fails(
    application: &Application,
    function: &Function,
    kind: &str,
    texts: &[&str],
) -> String {
    let token = application.begin().await;
    application.steps(function, &["createSecret"], &token).await;
    let before = application.snapshot().await;
    let failed = application.step(function, "setSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, kind, "{}", failed.message);
    for text in texts.iter().copied().chain([application.role.as_str()]) {
        assert!(failed.message.contains(text), "{text:?} is missing: {}", failed.message);
    }
    assert_eq!(application.snapshot().await, before);
    failed.message
}

/// The statement that an error ends with.
fn advised(text: &str) -> &str {
    let (_, rest) = text.rsplit_once(" Run ").unwrap_or_else(|| panic!("no statement: {text}"));
    rest.split_once(". [").unwrap_or_else(|| panic!("{text}")).0
}

/// Runs the statement that the error ends with, after which the step passes.
async fn follow(application: &Application, function: &Function, text: &str) {
    admin().await.batch_execute(advised(text)).await.unwrap_or_else(|error| panic!("{error:?}"));
    let token = application.version_with("AWSPENDING").await.unwrap();
    application.step(function, "setSecret", &token).await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_the_role_is_reported() {
    let function = Function::start(&[]);
    for (sql, kind, texts) in [
        (
            "ALTER ROLE {} VALID UNTIL '2000-01-01'",
            "NoCredentialAccepted",
            &["VALID UNTIL", "localhost:"][..],
        ),
        ("ALTER ROLE {} PASSWORD NULL", "NoCredentialAccepted", &["has no password"]),
        ("ALTER ROLE {} NOLOGIN", "LoginNotPermitted", &["Run ALTER ROLE", "28000"]),
        ("ALTER ROLE {} CONNECTION LIMIT 0", "TooManyConnections", &["CONNECTION LIMIT", "53300"]),
        ("GRANT refused_roles TO {}", "HostNotPermitted", &["pg_hba.conf", "28000"]),
    ] {
        let application = Application::new().await;
        admin().await.batch_execute(&sql.replace("{}", &application.role)).await.unwrap();
        let text = assert_set_secret_fails(&application, &function, kind, texts).await;
        if texts[0].starts_with("Run ") {
            follow(&application, &function, &text).await;
        }
    }
    assert_eq!(REFUSED_ROLES, "refused_roles");
    let missing = Application::for_role(&unique("missing_"), "password", |_| {}).await;
    assert_set_secret_fails(&missing, &function, "NoCredentialAccepted", &["does not exist"]).await;
}

#[tokio::test]
async fn what_is_wrong_with_the_database_is_reported() {
    let function = Function::start(&[]);
    let edit = |dbname: &str| {
        let dbname = dbname.to_owned();
        move |document: &mut Value| document["dbname"] = json!(dbname)
    };
    let application = Application::edited(edit("no_such_database")).await;
    assert_set_secret_fails(&application, &function, "DatabaseMissing", &["dbname", "3D000"]).await;

    let closed = unique("closed_");
    admin().await.batch_execute(&format!("CREATE DATABASE {closed}")).await.unwrap();
    admin()
        .await
        .batch_execute(&format!("REVOKE CONNECT ON DATABASE {closed} FROM PUBLIC"))
        .await
        .unwrap();
    let application = Application::edited(edit(&closed)).await;
    let texts = ["GRANT CONNECT", "42501"];
    let text =
        assert_set_secret_fails(&application, &function, "ConnectNotPermitted", &texts).await;
    follow(&application, &function, &text).await;
    admin()
        .await
        .batch_execute(&format!("ALTER DATABASE {closed} ALLOW_CONNECTIONS false"))
        .await
        .unwrap();
    let texts = ["ALLOW_CONNECTIONS", "55000"];
    let application = Application::edited(edit(&closed)).await;
    let text = assert_set_secret_fails(&application, &function, "DatabaseClosed", &texts).await;
    let grant = format!("GRANT CONNECT ON DATABASE {closed} TO {}", application.role);
    admin().await.batch_execute(&grant).await.unwrap();
    follow(&application, &function, &text).await;
}

#[tokio::test]
async fn what_is_wrong_with_the_connection_is_reported() {
    let function = Function::start(&[]);
    let with = |key: &'static str, value: Value| {
        Application::edited(move |document| document[key] = value)
    };
    assert_set_secret_fails(
        &with("host", json!("no-such-host.invalid")).await,
        &function,
        "NameNotResolved",
        &["VPC's DNS"],
    )
    .await;
    assert_set_secret_fails(
        &with("port", json!(free_port())).await,
        &function,
        "DatabaseUnreachable",
        &["security groups"],
    )
    .await;
    assert_set_secret_fails(
        &with("host", json!("127.0.0.1")).await,
        &function,
        "TlsNameMismatch",
        &["tls_server_name"],
    )
    .await;

    let unencrypted = Cluster::start(&Settings { ssl: false, ..Settings::default() });
    assert_set_secret_fails(
        &with("port", json!(unencrypted.port)).await,
        &function,
        "TlsNotOffered",
        &["does not offer TLS"],
    )
    .await;

    let rds = Function::start(&[("CA_BUNDLE_FILE", "")]);
    assert_set_secret_fails(
        &Application::new().await,
        &rds,
        "TlsUntrusted",
        &["CA_BUNDLE_FILE", "Amazon RDS"],
    )
    .await;
    let host = "shop.abc.xx-nowhere-9.rds.amazonaws.com";
    assert_set_secret_fails(
        &with("host", json!(host)).await,
        &rds,
        "TlsRootsMissing",
        &["CA_BUNDLE_FILE", "xx-nowhere-9"],
    )
    .await;
}

#[tokio::test]
async fn the_roots_of_the_system_are_not_trusted() {
    let system = world().postgres.ca_file.display().to_string();
    let function = Function::start(&[("CA_BUNDLE_FILE", ""), ("SSL_CERT_FILE", &system)]);
    assert_set_secret_fails(&Application::new().await, &function, "TlsUntrusted", &["Amazon RDS"])
        .await;
}

#[tokio::test]
async fn a_statement_that_is_never_answered_is_given_up_before_lambda_kills_the_function() {
    let wire = Wire::start("ALTER ROLE", Fault::Hang);
    let application = wire.application(|_| {}).await;
    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    function.set_timeout(Duration::from_secs(3));
    let started = Instant::now();
    assert_set_secret_fails(&application, &function, "DatabaseTimedOut", &["setting the password"])
        .await;
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_before_lambda_kills_the_function() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let application = Application::edited(|document| document["port"] = json!(port)).await;
    let function = Function::start(&[]);
    function.set_timeout(Duration::from_secs(3));
    let started = Instant::now();
    assert_set_secret_fails(
        &application,
        &function,
        "DatabaseTimedOut",
        &["no answer in time", &port.to_string(), "at least 30 s"],
    )
    .await;
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

/// A server with the role of an application, which its secret names.
async fn standby(of: Standby) -> (Cluster, Function, Application) {
    let role = unique("app_");
    let prepare = format!("CREATE ROLE {role} LOGIN PASSWORD 'on the standby'");
    let server = Cluster::start(&Settings { standby: Some(of), prepare, ..Settings::default() });
    let function = Function::start(&[("CA_BUNDLE_FILE", &server.ca_file.display().to_string())]);
    let application = Application::for_role(&role, "on the standby", |document| {
        document["port"] = json!(server.port);
    })
    .await;
    (server, function, application)
}

#[tokio::test]
async fn a_standby_is_told_apart() {
    let (_server, function, application) = standby(Standby::Readable).await;
    assert_set_secret_fails(&application, &function, "DatabaseReadOnly", &["standby"]).await;
}

#[tokio::test]
async fn a_server_that_is_starting_up_is_waited_for() {
    let (server, function, application) = standby(Standby::Closed).await;
    function.set_timeout(Duration::from_secs(3));
    let texts = ["is starting up", "57P03", "and was asked for 2."];
    assert_set_secret_fails(&application, &function, "DatabaseNotAccepting", &texts).await;

    function.set_timeout(Duration::from_secs(30));
    let token = application.version_with("AWSPENDING").await.unwrap();
    let refusals = || server.log().matches("FATAL:").count();
    let before = refusals();
    let came_up = async {
        eventually("two more attempts", async || (refusals() > before + 1).then_some(())).await;
        server.promote();
    };
    let (report, ()) = tokio::join!(application.step(&function, "setSecret", &token), came_up);
    assert_eq!(report.unwrap()["Outcome"], "Rehearsed");
}

#[tokio::test]
async fn a_database_that_wakes_up_is_waited_for_and_the_wait_is_said() {
    let (wire, awake) = (Wire::idle(), Arc::new(Notify::new()));
    let application = wire.application(|_| {}).await;
    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    function.set_timeout(Duration::from_mins(1));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    wire.arm_login(1, Fault::Hold(Arc::clone(&awake)));
    let wake_up = async {
        eventually("a login", async || (wire.hits() > 0).then_some(())).await;
        tokio::time::sleep(Duration::from_millis(3_100)).await;
        awake.notify_one();
    };
    let (report, ()) = tokio::join!(application.step(&function, "setSecret", &token), wake_up);
    let warning = report.unwrap()["Warnings"][0].as_str().unwrap().to_owned();
    let took = format!("login with AWSCURRENT to {HOST}:{} took 3.", wire.port);
    assert!(warning.contains(&took) && warning.contains("pauses when idle"), "{warning}");

    wire.arm_login(1, Fault::Hold(Arc::clone(&awake)));
    let event = json!({"Operation": "preflight", "SecretId": application.name});
    function.set_timeout(Duration::from_secs(2));
    let report = function.invoke(event).await.unwrap().to_string();
    for text in ["accepted the connection, and then no answer within 1.", "75 s"] {
        assert!(report.contains(text), "{text}: {report}");
    }
}

#[tokio::test]
async fn what_the_server_says_about_the_change_is_reported() {
    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    for (code, kind, text) in [
        ("22023", "PasswordRefused", "password policy"),
        ("28000", "PasswordRefused", "password policy"),
        ("P0001", "PasswordRefused", "password policy"),
        ("42501", "PermissionDenied", "admin_secret"),
        ("57014", "StatementTimedOut", "cancelled"),
        ("25006", "DatabaseReadOnly", "writer"),
        ("XX000", "DatabaseError", "XX000"),
    ] {
        let wire = Wire::start("ALTER ROLE", Fault::Refuse(code));
        let application = wire.application(|_| {}).await;
        let function = Function::start(&[("ROTATION_POLICY", &policy)]);
        assert_set_secret_fails(&application, &function, kind, &[text, "setting the password"])
            .await;
        assert_eq!(wire.hits(), 1);
        // The server quoted the whole statement, and the function must not.
        assert!(!function.output().contains("SCRAM-SHA-256$"), "{}", function.output());
    }
}

#[tokio::test]
async fn cleartext_is_sent_only_where_the_policy_says_so_and_kept_out_of_errors() {
    let fields = |storage: &str| {
        json!({"defaults": {"allow_plaintext": true, "password_storage": storage}}).to_string()
    };
    let wire = Wire::start("ALTER ROLE", Fault::Refuse("22023"));
    let application = wire.application(|_| {}).await;
    let function = Function::start(&[
        ("ROTATION_POLICY", &fields("cleartext")),
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
    ]);
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let pending = application.password_in("AWSPENDING").await;
    let failed = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "PasswordRefused");
    assert!(
        !failed.message.contains(&pending),
        "the server quoted the statement, and the error does not"
    );
    let report = application.step(&function, "setSecret", &token).await.unwrap();
    assert!(report["Warnings"][0].as_str().unwrap().contains("in clear"), "{report}");
    assert!(!world().postgres.log().contains(&pending), "the rehearsal does not use it");
    application.steps(&function, &STEPS, &token).await;
    assert!(!function.output().contains(&pending));
    assert!(
        world().postgres.log().contains(&pending),
        "the server's log holds it, as the warning says"
    );
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_failure_is_logged_with_its_fields() {
    let function = Function::start(&[]);
    let application = Application::edited(|document| document["port"] = json!(free_port())).await;
    assert_set_secret_fails(&application, &function, "DatabaseUnreachable", &[]).await;
    let event = function
        .await_log_event("the failure", |event| event["error.kind"] == "DatabaseUnreachable")
        .await;
    assert_eq!(event["level"], "ERROR");
    assert_eq!(event["secret.arn"], application.secret.as_str());
    assert_eq!(event["secret.name"], application.name.as_str());
    assert_eq!((&event["rotation.step"], event.get("operation")), (&json!("setSecret"), None));
    assert_eq!(event["db.role"], application.role.as_str());
    assert!(event["db.host"].as_str().unwrap().starts_with(HOST), "{event}");
    assert_eq!(event["error.retryable"], true);
    let metric = function
        .await_log_event("the metric", |event| event["ErrorKind"] == "DatabaseUnreachable")
        .await;
    assert_eq!(metric["Failures"], 1);
    assert_eq!(metric["_aws"]["CloudWatchMetrics"][0]["Namespace"], "PostgresSecretRotation");
}

/// What these servers and extensions answer is the same in all of the server's languages, but for
/// the message.
#[tokio::test]
async fn a_login_that_no_password_decides_has_a_kind_of_its_own_in_every_language() {
    let admin = admin().await;
    for (code, routine, message, kind, advice) in [
        (
            "28000",
            "auth_failed",
            "PAM authentication failed for user \"app\"",
            "IamLoginRequired",
            "Run REVOKE rds_iam FROM",
        ),
        (
            "28000",
            "auth_failed",
            "PAM-Authentifizierung für Benutzer »app« fehlgeschlagen",
            "IamLoginRequired",
            "Run REVOKE rds_iam FROM",
        ),
        (
            "28000",
            "auth_failed",
            "LDAP-Authentifizierung für Benutzer »app« fehlgeschlagen",
            "PasswordNotUsed",
            "scram-sha-256",
        ),
        (
            "28000",
            "ClientAuthentication",
            "Verbindung erfordert ein gültiges Client-Zertifikat",
            "ClientCertificateRequired",
            "without clientcert",
        ),
        (
            "28000",
            "ClientAuthentication",
            "kein pg_hba.conf-Eintrag für Host »10.0.0.1«, Benutzer »app«",
            "HostNotPermitted",
            "hostssl",
        ),
        (
            "XX000",
            "credcheck_max_auth_failure",
            "rejecting connection, user 'app' has been banned",
            "RoleBanned",
            "Run SELECT pg_banned_role_reset(",
        ),
        ("P0001", "exec_stmt_raise", "nicht nachts", "SessionRefused", "event trigger"),
        ("53200", "", "Speicher aufgebraucht", "DatabaseOutOfResources", "A retry"),
        ("XX001", "", "Invalid page", "DatabaseError", "server's log"),
    ] {
        let impostor = Impostor::start(Trick::Refuse { code, routine, message });
        let port = json!(impostor.port);
        let role = unique("app_");
        let application =
            Application::for_role(&role, "right", |document| document["port"] = port).await;
        let roots = impostor.ca_file.display().to_string();
        let function = Function::start(&[("CA_BUNDLE_FILE", &roots)]);
        let shown = [advice, code, message];
        let text = assert_set_secret_fails(&application, &function, kind, &shown).await;
        if advice.starts_with("Run ") {
            // What a service or an extension has, for as long as the statement needs it.
            let prepare = format!(
                "BEGIN; DO $$ BEGIN CREATE ROLE rds_iam; EXCEPTION WHEN duplicate_object OR \
                 unique_violation THEN NULL; END $$; CREATE ROLE {role}; GRANT rds_iam TO {role}; \
                 CREATE FUNCTION pg_banned_role_reset(name) RETURNS void LANGUAGE sql AS ''"
            );
            admin.batch_execute(&prepare).await.unwrap();
            admin.batch_execute(advised(&text)).await.unwrap();
            admin.batch_execute("ROLLBACK").await.unwrap();
        }
    }
}
