//! A database in `SQL_ASCII`, and names that are not UTF-8. Only what depends on such a name stops,
//! and the name is shown with its bytes.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::{Answer, Function};
use crate::world::pair::Pair;
use crate::world::postgres::{admin, version};
use crate::world::{eventually, unique, world};

/// A database in `SQL_ASCII`, and a superuser's session in it.
async fn ascii_database() -> (String, Client) {
    let dbname = unique("ascii_");
    let create = format!(
        "CREATE DATABASE {dbname} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE \
         template0"
    );
    admin().await.batch_execute(&create).await.unwrap();
    let postgres = &world().postgres;
    let session = postgres.login_to(&dbname, "postgres", &postgres.admin_password).await.unwrap();
    (dbname, session)
}

/// From 18 on, a server reports `search_path` at the login, in the client's encoding. A path that
/// is not UTF-8 then forbids the login of every client that wants UTF-8.
async fn reports_search_path() -> bool {
    version().await >= 180_000
}

/// Runs a statement with a name of that prefix, the byte E4 and a letter in place of `%I`.
async fn with_odd_name(session: &Client, prefix: &str, statement: &str) {
    let sql =
        format!("DO $$ BEGIN EXECUTE format('{statement}', '{prefix}' || chr(228) || 'z'); END $$");
    session.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

#[tokio::test]
async fn a_single_user_of_an_ascii_database_is_rotated() {
    let (dbname, session) = ascii_database().await;
    let application = Application::edited(|document| document["dbname"] = json!(dbname)).await;
    let role = &application.role;
    with_odd_name(&session, "s", "CREATE SCHEMA %I").await;
    with_odd_name(&session, "s", &format!("GRANT USAGE ON SCHEMA %I TO {role}")).await;
    let path = format!("ALTER ROLE {role} SET search_path = %I, public");
    with_odd_name(&session, "s", &path).await;
    let function = Function::start(&[]);
    let preflight = json!({"Operation": "preflight", "SecretId": application.secret});
    if reports_search_path().await {
        let report = function.invoke(preflight.clone()).await.unwrap();
        let text = report["Message"].as_str().unwrap();
        assert!(text.contains("login with AWSCURRENT") && text.contains("is not UTF-8"), "{text}");
        session.batch_execute(&format!("ALTER ROLE {role} RESET search_path")).await.unwrap();
    }
    let report = function.invoke(preflight).await.unwrap();
    assert_eq!(report["Ready"], true, "{report}");
    let rotation = application.rotate(&function).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
}

async fn begin(pair: &Pair, function: &Function, steps: usize) -> Answer {
    let token = pair.application.abandon_and_begin().await;
    pair.application.steps(function, &STEPS[..steps], &token).await;
    pair.application.step(function, STEPS[steps], &token).await
}

fn refused(answer: Answer, kind: &str, texts: &[&str]) {
    let refused = answer.unwrap_err();
    assert_eq!(refused.kind, kind, "{}", refused.message);
    for text in texts {
        assert!(refused.message.contains(text), "{text}: {}", refused.message);
    }
}

/// A membership cannot be granted by a name that cannot be sent.
async fn refuses_a_member_of_an_odd_name(session: &Client, pair: &Pair, function: &Function) {
    let member = unique("member_");
    with_odd_name(session, &member, "CREATE ROLE %I").await;
    with_odd_name(session, &member, &format!("GRANT %I TO {}", pair.clone)).await;
    let to_admin = format!("GRANT %I TO {} WITH ADMIN OPTION", pair.admin);
    with_odd_name(session, &member, &to_admin).await;
    let answer = begin(pair, function, 1).await;
    let shown = format!(r"{member}\xe4");
    refused(answer, "NameNotUtf8", &[&shown, "psql", "SQL_ASCII"]);
    with_odd_name(session, &member, "DROP ROLE %I").await;
}

#[tokio::test]
async fn the_two_users_of_an_ascii_database_are_compared() {
    let (dbname, session) = ascii_database().await;
    let pair = Pair::edited(|document: &mut Value| document["dbname"] = json!(dbname)).await;
    let function = Function::start(&[]);
    // Names that the two users share stop no turn.
    with_odd_name(&session, "t", "CREATE TABLE %I ()").await;
    with_odd_name(&session, "t", &format!("ALTER TABLE %I OWNER TO {}", pair.base)).await;
    let path = format!("ALTER ROLE {} SET search_path = %I", pair.base);
    let has_path = !reports_search_path().await;
    if has_path {
        with_odd_name(&session, "x", &path).await;
    }
    pair.turn(&function).await;
    let copied: i64 = session
        .query_one(
            "SELECT count(DISTINCT setconfig[array_position(setconfig, s)]) FROM \
             pg_db_role_setting, unnest(setconfig) AS s WHERE s LIKE 'search_path=%' AND setrole \
             IN ($1::text::regrole, $2::text::regrole)",
            &[&pair.base, &pair.clone],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(copied, i64::from(has_path), "the clone has the same bytes");

    // A right that only the current user has, which acts as itself.
    let reset = format!("ALTER ROLE {} RESET role", pair.clone);
    session.batch_execute(&reset).await.unwrap();
    with_odd_name(&session, "g", "CREATE TABLE %I ()").await;
    with_odd_name(&session, "g", &format!("GRANT SELECT ON %I TO {}", pair.clone)).await;
    let answer = begin(&pair, &function, 2).await;
    refused(answer, "PrivilegesMissing", &["SELECT on table", r"g\xe4"]);
    with_odd_name(&session, "g", "DROP TABLE %I").await;

    refuses_a_member_of_an_odd_name(&session, &pair, &function).await;

    // Nor can a session be opened in a database of such a name.
    let other = unique("other_");
    let odd = "format('%I', '{other}' || chr(228) || 'z')".replace("{other}", &other);
    let row = session.query_one(&format!("SELECT {odd}::bytea::text"), &[]).await.unwrap();
    let bytes: String = row.get(0);
    session.batch_execute(&format!("CREATE DATABASE {other}")).await.unwrap();
    let postgres = &world().postgres;
    let inside = postgres.login_to(&other, "postgres", &postgres.admin_password).await.unwrap();
    let owned = format!("CREATE TABLE t (); ALTER TABLE t OWNER TO {}", pair.clone);
    inside.batch_execute(&owned).await.unwrap();
    drop(inside);
    let rename = format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RENAME TO %s', '{other}', \
         convert_from('{bytes}', 'SQL_ASCII')); END $$"
    );
    eventually("the end of the session in it", async || session.batch_execute(&rename).await.ok())
        .await;
    let answer = begin(&pair, &function, 2).await;
    let shown = format!(r"{other}\xe4");
    let texts = [shown.as_str(), "databases in ROTATION_POLICY"];
    let drop = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %s RENAME TO %I', \
                convert_from('{bytes}', 'SQL_ASCII'), '{other}'); END $$";
    let drop = drop.replace("{bytes}", &bytes).replace("{other}", &other);
    session.batch_execute(&drop).await.unwrap();
    refused(answer, "DatabaseNotCompared", &texts);
}

/// Roles, databases and settings belong to the whole cluster: a session of another encoding leaves
/// bytes there that are no text in a UTF-8 database.
#[tokio::test]
async fn a_utf8_database_compares_what_another_encoding_left_behind() {
    let (_, session) = ascii_database().await;
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    // The byte E4 begins a character of three bytes, and only one more follows.
    let cut_off = format!("ALTER ROLE {} SET application_name = %I", pair.base);
    with_odd_name(&session, "n", &cut_off).await;
    pair.turn(&function).await;
    let same = "SELECT count(*) = 2 AND count(DISTINCT s) = 1 FROM pg_db_role_setting, \
                unnest(setconfig) AS s WHERE s LIKE 'application_name=%' AND setrole IN \
                ($1::text::regrole, $2::text::regrole)";
    let copied = session.query_one(same, &[&pair.base, &pair.clone]).await.unwrap();
    assert!(copied.get::<_, bool>(0), "the clone has the same bytes");

    refuses_a_member_of_an_odd_name(&session, &pair, &function).await;
    pair.turn(&function).await;
}
