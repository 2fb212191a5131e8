//! Where the application can log in, the function can too. Settings of the role and the database,
//! and a trigger on login, do not stop it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use crate::world::application::STEPS;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{admin, version};
use crate::world::proxy::{AwsProxy, Fault};
use crate::world::{unique, world};

async fn superuser_of(database: &str, sql: &str) {
    let postgres = &world().postgres;
    let session = postgres.login_to(database, "postgres", &postgres.admin_password).await.unwrap();
    session.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Longer than each time-out below.
const PAUSE: Duration = Duration::from_millis(500);

#[tokio::test]
async fn what_the_application_can_log_in_with_stops_no_rotation() {
    let (database, acts_as) = (unique("shop_"), unique("acts_as_"));
    admin().await.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
    let pair = Pair::edited(|document| document["dbname"] = json!(database)).await;
    let version = version().await;
    let mut sql = format!(
        "CREATE ROLE {acts_as}; GRANT {acts_as} TO :base; GRANT {acts_as} TO :admin WITH ADMIN \
         OPTION; ALTER ROLE :base SET role = {acts_as}; ALTER ROLE :base SET search_path = \
         app; ALTER DATABASE {database} SET search_path = app; ALTER DATABASE {database} SET \
         datestyle = german; ALTER DATABASE {database} SET quote_all_identifiers = on; ALTER \
         DATABASE {database} SET default_transaction_isolation = serializable; ALTER ROLE :admin \
         SET search_path = app; ALTER ROLE :admin SET default_transaction_read_only = on; ALTER \
         ROLE :base SET idle_in_transaction_session_timeout = '100ms'; "
    );
    if version >= 140_000 {
        sql += "ALTER ROLE :admin SET idle_session_timeout = '100ms'; ";
    }
    if version >= 170_000 {
        sql += "ALTER ROLE :base SET transaction_timeout = '250ms'; ALTER ROLE :admin SET \
                transaction_timeout = '250ms'; ";
    }
    pair.superuser(&sql).await;
    let mut objects = pair.filled(&format!(
        "CREATE SCHEMA app AUTHORIZATION {acts_as}; GRANT USAGE ON SCHEMA app TO :admin; CREATE \
         TABLE app.logins (role text); ALTER TABLE app.logins OWNER TO {acts_as}; GRANT INSERT ON \
         app.logins TO :admin"
    ));
    if version >= 170_000 {
        // It finds its table by the search_path of the role or the database.
        objects += "; CREATE FUNCTION public.note_login() RETURNS event_trigger LANGUAGE plpgsql \
                    AS $$ BEGIN IF session_user <> 'postgres' AND \
                    current_setting('transaction_read_only') = 'off' THEN INSERT INTO logins \
                    VALUES (session_user); END IF; END $$; CREATE EVENT TRIGGER note_login ON \
                    login EXECUTE FUNCTION public.note_login()";
    }
    superuser_of(&database, &objects).await;

    let proxy = AwsProxy::start();
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    for turn in 0..2 {
        let token = pair.application.begin().await;
        pair.application.steps(&function, &STEPS[..1], &token).await;
        // The labels are read while the lock is held and the admin waits.
        let (released, seen) = (Arc::new(Notify::new()), proxy.calls().len());
        proxy.fail("DescribeSecret", 1, Fault::Hold(Arc::clone(&released)));
        let hold = async {
            proxy.await_request_after(seen, "DescribeSecret").await;
            tokio::time::sleep(PAUSE).await;
            released.notify_one();
        };
        let (set, ()) = tokio::join!(pair.application.step(&function, "setSecret", &token), hold);
        set.unwrap_or_else(|failure| panic!("turn {turn}: {failure:?}"));
        pair.application.steps(&function, &STEPS[2..], &token).await;
    }
    let report =
        function.invoke(json!({"Operation": "preflight", "SecretId": pair.application.name})).await;
    let report = report.unwrap();
    assert_eq!(report["Ready"], true, "{report}");
    if version >= 170_000 {
        let postgres = &world().postgres;
        let session =
            postgres.login_to(&database, "postgres", &postgres.admin_password).await.unwrap();
        let seen = "SELECT count(DISTINCT role) FROM app.logins";
        let seen: i64 = session.query_one(seen, &[]).await.unwrap().get(0);
        assert_eq!(seen, 2, "the trigger saw both users");
    }
}
