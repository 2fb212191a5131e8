//! The script that makes the role of a secret an owner role. The application notices nothing, and
//! the script names what it cannot copy.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{admin, version};
use crate::world::{random_hex, unique, world};

/// A function whose policy names the base user itself as the owner role.
fn function(pair: &Pair) -> Function {
    let policy = json!({"secrets": {&pair.application.secret: {"owner_role": pair.base}}});
    Function::start(&[("ROTATION_POLICY", &policy.to_string())])
}

async fn script(pair: &Pair, function: &Function, operation: &str) -> String {
    let event = json!({"Operation": operation, "SecretId": pair.application.secret, "Fix": "sql"});
    let report = function.invoke(event).await.unwrap();
    assert_ne!(report["Ready"], false, "{report}");
    report["Script"].as_str().unwrap().to_owned()
}

/// Runs a script that stays in one database, as psql does.
async fn run(session: &Client, script: &str) {
    let sql = script.strip_prefix("\\set ON_ERROR_STOP on\n").expect("the first line");
    session.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Has the secret name the user that logs in from now on, with the password that it has.
async fn rename_user(pair: &Pair, login: &str) {
    let value = pair.application.value("AWSCURRENT").await.unwrap();
    let mut document: Value = serde_json::from_str(&value).unwrap();
    document["username"] = json!(login);
    pair.application.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;
}

/// A role with all that hangs on its name or on its login.
async fn furnish(pair: &Pair) {
    let extra = unique("extra_");
    pair.superuser(&format!(
        "CREATE SCHEMA {extra} AUTHORIZATION :base; CREATE TABLE {extra}.found (id int); ALTER \
         TABLE {extra}.found OWNER TO :base; ALTER ROLE :base SET search_path = \"$user\", \
         {extra}; ALTER ROLE :base SET statement_timeout = '12345ms'; ALTER ROLE :base IN DATABASE \
         postgres SET work_mem = '5MB'; ALTER ROLE \
         :base CONNECTION LIMIT 7 VALID UNTIL '2100-01-01'; CREATE TABLE :base.notes (owner text \
         DEFAULT current_user, note text); ALTER TABLE :base.notes OWNER TO :base; ALTER TABLE \
         :base.notes ENABLE ROW LEVEL SECURITY; ALTER TABLE :base.notes FORCE ROW LEVEL SECURITY; \
         CREATE POLICY own ON :base.notes USING (owner = current_user); CREATE VIEW :base.me AS \
         SELECT session_user AS me; ALTER VIEW :base.me OWNER TO :base"
    ))
    .await;
}

/// What the application does: tables by "$user", rows by `current_user`, and its settings.
async fn use_it(session: &Client, pair: &Pair, canary: &str, context: &str) {
    let used = session
        .batch_execute("INSERT INTO notes (note) VALUES ('more'); SELECT * FROM found; TABLE me")
        .await;
    used.unwrap_or_else(|error| panic!("{context}: {error:?}"));
    let row = session
        .query_one(
            "SELECT current_user::text, current_setting('statement_timeout'), \
             current_setting('work_mem'), COALESCE(current_setting('app.key', true), ''), (SELECT \
             count(*) FROM notes), (SELECT max(n) FROM (SELECT count(*) AS n FROM notes GROUP BY \
             owner) AS o)",
            &[],
        )
        .await
        .unwrap_or_else(|error| panic!("{context}: {error:?}"));
    let texts: Vec<String> = (0..4).map(|n| row.get(n)).collect();
    assert_eq!(texts, [pair.base.as_str(), "12345ms", "5MB", canary], "{context}");
    assert_eq!(row.get::<_, i64>(4), row.get::<_, i64>(5), "{context}: rows of one owner");
}

/// What counts for a role that logs in.
async fn attributes(role: &str) -> (bool, i32, String) {
    let sql = "SELECT rolreplication, rolconnlimit, rolvaliduntil::date::text FROM pg_roles WHERE \
        rolname = $1";
    let row = admin().await.query_one(sql, &[&role]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

#[tokio::test]
async fn a_role_becomes_the_owner_role_and_the_application_goes_on() {
    let pair = Pair::new().await;
    let (function, login) = (function(&pair), format!("{}_login", pair.base));
    let canary = random_hex();
    furnish(&pair).await;
    let may = if version().await < 160_000 {
        "ALTER ROLE :admin SUPERUSER"
    } else {
        "ALTER ROLE :admin REPLICATION; GRANT SET ON PARAMETER app.key TO :admin"
    };
    pair.superuser(&format!(
        "ALTER ROLE :base REPLICATION; {may}; ALTER ROLE :base SET app.key = \
         '{canary}'; CREATE TABLE :base.asks (a text DEFAULT session_user CONSTRAINT c CHECK (a <> \
         session_user)); CREATE POLICY p ON :base.asks USING (a = session_user); CREATE FUNCTION \
         :base.asks() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.a := SESSION_USER; RETURN \
         NEW; END'; CREATE TRIGGER t BEFORE INSERT ON :base.asks FOR EACH ROW WHEN (session_user = \
         'x') EXECUTE FUNCTION :base.asks()"
    ))
    .await;
    let open = pair.session("AWSCURRENT").await;
    use_it(&open, &pair, &canary, "before").await;

    let script = script(&pair, &function, "preflight").await;
    assert!(!script.contains(&canary) && !script.contains("SCRAM-SHA-256$4096"), "{script}");
    for expected in [
        format!(
            "-- Carried over to \"{login}\": REPLICATION, CONNECTION LIMIT 7, VALID UNTIL \
             '2100-01-01 00:00:00+00', the settings in every database.\n"
        ),
        format!("-- Not carried over: session_user becomes \"{login}\". These ask for it: "),
        pair.filled("view :base.me").replace('"', ""),
        pair.filled("default value for :base.asks.a").replace('"', ""),
        pair.filled("table constraint c on :base.asks").replace('"', ""),
        pair.filled("policy p on :base.asks").replace('"', ""),
        pair.filled("function :base.asks()").replace('"', ""),
        pair.filled("trigger t on :base.asks").replace('"', ""),
    ] {
        assert!(script.contains(&expected), "{expected}\n{script}");
    }
    run(&admin().await, &script).await;
    use_it(&open, &pair, &canary, "an open session").await;
    use_it(&pair.session("AWSCURRENT").await, &pair, &canary, "the old name").await;
    assert_eq!(attributes(&login).await, (true, 7, "2100-01-01".to_owned()));

    rename_user(&pair, &login).await;
    for turn in 0..4 {
        let session = pair.session("AWSCURRENT").await;
        use_it(&session, &pair, &canary, &format!("turn {turn}")).await;
        let me = session.query_one("SELECT session_user::text", &[]).await.unwrap();
        let expected = if turn % 2 == 0 { login.clone() } else { format!("{login}_clone") };
        assert_eq!(me.get::<_, String>(0), expected);
        assert_eq!(attributes(&expected).await, (true, 7, "2100-01-01".to_owned()));
        use_it(&pair.session("AWSPREVIOUS").await, &pair, &canary, "the former user").await;
        use_it(&open, &pair, &canary, "an open session").await;
        if turn == 1 {
            let (_, last) = script.rsplit_once("any more: ").expect("the last step");
            pair.superuser(last.trim()).await;
            let (base, password) = (&pair.base, &pair.application.password);
            assert!(world().postgres.login(base, password).await.is_err(), "it may not log in");
        }
        pair.turn(&function).await;
    }
    let nothing = self::script(&pair, &function, "status").await;
    assert_eq!(nothing, "-- Nothing has to be run.\n");
}

/// Like the master user of a service: it reads no hash, so that a person sets the password.
#[tokio::test]
async fn an_admin_that_reads_no_hash_leaves_the_password_to_a_person() {
    let pair = Pair::new().await;
    let (function, login) = (function(&pair), format!("{}_login", pair.base));
    furnish(&pair).await;
    pair.turn(&function).await;
    assert_eq!(pair.credentials("AWSCURRENT").await.0, pair.clone);
    let script = script(&pair, &function, "status").await;
    assert!(script.contains(&pair.filled("ALTER ROLE :base NOLOGIN; ALTER ROLE :clone NOLOGIN")));
    run(&pair.admin_session().await, &script).await;
    let stored = admin()
        .await
        .query_one("SELECT rolpassword FROM pg_authid WHERE rolname = $1", &[&login])
        .await
        .unwrap();
    assert_eq!(stored.get::<_, Option<String>>(0), None);
    let (_, password) = pair.credentials("AWSCURRENT").await;
    let hash = escape_literal(&scram_sha_256(password.as_bytes()));
    let set = format!("ALTER ROLE {} PASSWORD {hash}", escape_identifier(&login));
    pair.admin_session().await.batch_execute(&set).await.unwrap();
    let again = self::script(&pair, &function, "status").await;
    assert!(again.contains(&format!("Store \"{login}\" as \"username\"")), "{again}");

    rename_user(&pair, &login).await;
    for turn in 0..3 {
        use_it(&pair.session("AWSCURRENT").await, &pair, "", &format!("turn {turn}")).await;
        if turn == 1 {
            let (_, last) = script.rsplit_once("any more: ").expect("the last step");
            pair.superuser(last.trim()).await;
        }
        pair.turn(&function).await;
    }
}
