//! Two users that take turns: what the admin must not do. The refusal names the reason, and nothing
//! changes.

mod lacking;

use postgres_protocol::escape::escape_identifier;
use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::{Failure, Function};
use crate::world::pair::Pair;
use crate::world::postgres::{Cluster, HOST, Settings, admin, version};
use crate::world::{random_hex, unique, world};

/// The policy of the pair's secret alone.
fn policy(pair: &Pair, fields: &Value) -> String {
    json!({"secrets": {&pair.application.secret: fields}}).to_string()
}

/// All that a turn may change in the database.
async fn roles(pair: &Pair) -> Vec<String> {
    let sql = "SELECT a::text || ARRAY(SELECT m::text FROM pg_auth_members AS m WHERE m.member = \
        a.oid)::text || ARRAY(SELECT s::text FROM pg_db_role_setting AS s WHERE s.setrole = \
        a.oid)::text FROM pg_authid AS a WHERE rolname = ANY($1) ORDER BY 1";
    let names = vec![pair.base.clone(), pair.clone.clone(), pair.admin.clone()];
    admin().await.query(sql, &[&names]).await.unwrap().into_iter().map(|row| row.get(0)).collect()
}

/// Sends `setSecret`, which has to be refused and to change nothing; then what is left goes on
/// where it was.
async fn refused(pair: &Pair, function: &Function) -> Failure {
    let token = pair.application.abandon_and_begin().await;
    pair.application.steps(function, &["createSecret"], &token).await;
    let before = (roles(pair).await, pair.application.snapshot().await);
    let refused = pair.application.step(function, "setSecret", &token).await.unwrap_err();
    assert_eq!((roles(pair).await, pair.application.snapshot().await), before, "{refused:?}");
    pair.session("AWSCURRENT").await;
    refused
}

/// The statements that an error asks a person to run.
fn statements<'a>(failure: &'a Failure, after: &str) -> &'a str {
    let (_, rest) =
        failure.message.split_once(after).unwrap_or_else(|| panic!("{}", failure.message));
    let consequences = [". Nothing was changed.", ". AWSCURRENT was not moved."];
    consequences.iter().find_map(|end| rest.split_once(end)).unwrap_or((rest, "")).0
}

#[tokio::test]
async fn a_name_that_does_not_fit_is_refused_before_anything_is_touched() {
    let function = Function::start(&[]);
    for name in ["a".repeat(58), "é".repeat(29)] {
        let pair = Pair::named(&name, |_| {}).await;
        let before = pair.application.snapshot().await;
        let token = pair.application.begin().await;
        for step in STEPS {
            let refused = pair.application.step(&function, step, &token).await.unwrap_err();
            assert_eq!(refused.kind, "InvalidSecret");
            assert!(
                refused.message.contains("58 bytes")
                    && refused.message.contains("Nothing was changed"),
                "{}",
                refused.message
            );
        }
        let client = world().aws.client();
        let call = client
            .update_secret_version_stage()
            .secret_id(&pair.application.secret)
            .version_stage("AWSPENDING");
        call.remove_from_version_id(&token).send().await.unwrap();
        assert_eq!(pair.application.snapshot().await, before);
    }
}

#[tokio::test]
async fn a_pair_without_an_admin_secret_is_refused_before_anything_is_touched() {
    let application = Application::edited(|document| {
        document["rotation"] = json!({"strategy": "alternating-users"});
    })
    .await;
    let function = Function::start(&[]);
    let token = application.begin().await;
    let refused = application.step(&function, "createSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "InvalidSecret");
    assert!(refused.message.contains("admin_secret in ROTATION_POLICY"), "{}", refused.message);
    assert_eq!(application.value("AWSPENDING").await, None);
}

#[tokio::test]
async fn roles_that_the_admin_must_not_touch() {
    let function = Function::start(&[]);
    for (prepare, expected) in [
        ("CREATE ROLE :clone SUPERUSER; GRANT :base TO :clone", "lacks: SUPERUSER"),
        ("CREATE ROLE :clone CREATEROLE; GRANT :base TO :clone", "lacks: CREATEROLE"),
        ("CREATE ROLE :clone REPLICATION; GRANT :base TO :clone", "lacks: REPLICATION"),
        ("CREATE ROLE :clone BYPASSRLS; GRANT :base TO :clone", "lacks: BYPASSRLS"),
        (
            "CREATE ROLE :clone; GRANT :base, pg_execute_server_program TO :clone",
            "lacks: pg_execute_server_program",
        ),
        ("CREATE ROLE :clone; GRANT :base TO :clone; GRANT :admin TO :clone", "lacks: SUPERUSER"),
        ("ALTER ROLE :base SUPERUSER", "it is a superuser"),
        ("GRANT postgres TO :base", "is a superuser or may act as one"),
    ] {
        let pair = Pair::new().await;
        pair.superuser(&format!("{prepare}; ALTER ROLE :admin SUPERUSER")).await;
        let refused = refused(&pair, &function).await;
        assert_eq!(refused.kind, "AdminRefused", "{}", refused.message);
        assert!(
            refused.message.contains(expected) && refused.message.contains("Nothing was changed"),
            "{}",
            refused.message
        );
    }
}

#[tokio::test]
async fn the_admin_itself_takes_no_turn() {
    let function = Function::start(&[]);
    let (base, password) = (unique("pair_"), random_hex());
    // The admin's name is what the second user would be called, or the first one is the admin.
    for (admin_role, current) in [(format!("{base}_clone"), base.clone()), (base.clone(), base)] {
        let (role, current_role) = (escape_identifier(&admin_role), escape_identifier(&current));
        let make = format!(
            "DROP ROLE IF EXISTS {role}, {current_role}; CREATE ROLE {current_role} LOGIN PASSWORD \
             '{password}'"
        );
        admin().await.batch_execute(&make).await.unwrap();
        if admin_role != current {
            admin()
                .await
                .batch_execute(&format!(
                    "CREATE ROLE {role} LOGIN CREATEROLE PASSWORD '{password}'"
                ))
                .await
                .unwrap();
        }
        let document = json!({"username": admin_role, "password": password, "host": HOST,
            "port": world().postgres.port});
        let secret = Application::storing(
            &admin_role,
            "",
            document.clone(),
            &document.to_string(),
            "admin/",
        )
        .await
        .secret;
        let application = Application::for_role(&current, &password, |document| {
            document["masterarn"] = json!(secret);
        })
        .await;
        let token = application.begin().await;
        application.steps(&function, &["createSecret"], &token).await;
        let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
        assert_eq!(refused.kind, "AdminRefused");
        assert!(refused.message.contains("it is the admin itself"), "{}", refused.message);
    }
}

#[tokio::test]
async fn a_role_that_only_happens_to_have_the_name_is_nobodys_second_user() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.admin_session()
        .await
        .batch_execute(&pair.filled("CREATE ROLE :clone LOGIN"))
        .await
        .unwrap();
    let refusal = refused(&pair, &function).await;
    assert_eq!(refusal.kind, "UsersNotReady");
    assert!(
        refusal.message.contains("nothing shows that it is the second user"),
        "{}",
        refusal.message
    );
    pair.admin_session().await.batch_execute(statements(&refusal, "Run ")).await.unwrap();
    pair.turn(&function).await;

    // The other way round: the owner of "x_clone" gets no hold of "x".
    let (victim, function) = (Pair::new().await, Function::start(&[]));
    let attacker =
        Pair::named(&victim.clone, |document| document["username"] = json!(victim.clone)).await;
    let victims_admin: Value =
        serde_json::from_str(&victim.application.value("AWSCURRENT").await.unwrap()).unwrap();
    let mut document = attacker.application.document.clone();
    document["masterarn"] = victims_admin["masterarn"].clone();
    attacker.application.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;
    let token = attacker.application.begin().await;
    attacker.application.steps(&function, &["createSecret"], &token).await;
    let stored = victim.application.stored_hash().await;
    let refused = attacker.application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "UsersNotReady", "{}", refused.message);
    assert!(refused.message.contains("may not act as"), "{}", refused.message);
    assert_eq!(victim.application.stored_hash().await, stored);
}

#[tokio::test]
async fn an_owner_role_that_is_missing_or_not_the_pairs_is_refused() {
    let pair = Pair::new().await;
    let owner = unique("owner_");
    let function =
        Function::start(&[("ROTATION_POLICY", &policy(&pair, &json!({"owner_role": owner})))]);
    let missing = refused(&pair, &function).await;
    assert_eq!(missing.kind, "UsersNotReady");
    assert!(
        missing.message.contains(&owner) && missing.message.contains("does not exist"),
        "{}",
        missing.message
    );
    pair.admin_session().await.batch_execute(&format!("CREATE ROLE {owner}")).await.unwrap();
    let foreign = refused(&pair, &function).await;
    assert_eq!(foreign.kind, "UsersNotReady");
    assert!(
        foreign.message.contains("never grants a pair a role that it does not have"),
        "{}",
        foreign.message
    );
    pair.admin_session().await.batch_execute(statements(&foreign, "Run ")).await.unwrap();
    pair.superuser(&format!("ALTER SCHEMA :base OWNER TO {owner}")).await;
    // Until it acts as that role, what it creates would be its own alone.
    let idle = refused(&pair, &function).await;
    assert_eq!(idle.kind, "UsersNotReady");
    assert!(idle.message.contains("acts as"), "{}", idle.message);
    pair.superuser(statements(&idle, "Run ")).await;
    pair.turn(&function).await;
    pair.turn(&function).await;
}

#[tokio::test]
async fn nobody_gets_hold_of_another_role_by_a_role_that_both_have() {
    let function = Function::start(&[]);
    let (victim, group) = (Pair::new().await, unique("group_"));
    victim.superuser(&format!("CREATE ROLE {group}; GRANT {group} TO :base")).await;
    // The owner of "x_clone" may set which role it acts as, and both are members of a group.
    let attacker =
        Pair::named(&victim.clone, |document| document["username"] = json!(victim.clone)).await;
    attacker
        .superuser(&format!("GRANT {group} TO :base; GRANT {group} TO :admin WITH ADMIN OPTION"))
        .await;
    let own = world().postgres.login(&victim.clone, &attacker.application.password).await.unwrap();
    own.batch_execute(&format!("ALTER ROLE {} SET role = '{group}'", victim.clone)).await.unwrap();
    let token = attacker.application.begin().await;
    attacker.application.steps(&function, &["createSecret"], &token).await;
    let stored = victim.application.stored_hash().await;
    let refused = attacker.application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "UsersNotReady", "{}", refused.message);
    assert!(
        refused.message.contains("nothing shows that it is the second user"),
        "{}",
        refused.message
    );
    assert_eq!(victim.application.stored_hash().await, stored);
}

#[tokio::test]
async fn a_membership_that_the_current_user_has_granted_itself_proves_nothing() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.superuser("CREATE ROLE :clone LOGIN").await;
    let granted =
        pair.session("AWSCURRENT").await.batch_execute(&pair.filled("GRANT :base TO :clone")).await;
    assert_eq!(
        granted.is_ok(),
        version().await < 150_000,
        "only before PostgreSQL 15 a role may grant itself: {granted:?}"
    );
    let refused = refused(&pair, &function).await;
    assert_eq!(refused.kind, "UsersNotReady", "{}", refused.message);
    assert!(
        refused.message.contains("nothing shows that it is the second user"),
        "{}",
        refused.message
    );
    pair.superuser(statements(&refused, "If it is: Run ")).await;
    if version().await >= 160_000 {
        pair.superuser("GRANT :clone TO :admin WITH ADMIN OPTION").await;
    }
    pair.turn(&function).await;
}

#[tokio::test]
async fn a_role_that_the_database_sets_for_everybody_is_refused() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let (database, owner) = (unique("shop_"), unique("owner_"));
    pair.superuser(&format!(
        "CREATE ROLE {owner}; GRANT {owner} TO :base; GRANT {owner} TO :admin WITH ADMIN OPTION; \
         ALTER SCHEMA :base OWNER TO {owner}"
    ))
    .await;
    pair.superuser(&format!("CREATE DATABASE {database}")).await;
    pair.superuser(&format!("ALTER DATABASE {database} SET role = {owner}")).await;
    let mut document = pair.application.document.clone();
    document["dbname"] = json!(database);
    pair.application.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;
    let refusal = refused(&pair, &function).await;
    assert_eq!(refusal.kind, "UsersNotReady");
    assert!(
        refusal.message.contains("because of a setting of the database"),
        "{}",
        refusal.message
    );
    pair.superuser(statements(&refusal, "Run ")).await;
    pair.turn(&function).await;
    pair.turn(&function).await;
    pair.superuser(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
}

#[tokio::test]
async fn a_clone_whose_base_user_is_gone_is_refused() {
    let pair = Pair::new().await;
    let function = Function::start(&[]);
    pair.superuser("CREATE ROLE :clone LOGIN PASSWORD 'of the clone'").await;
    let mut document = pair.application.document.clone();
    document["username"] = json!(pair.clone);
    document["password"] = json!("of the clone");
    pair.application.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;
    pair.superuser("DROP OWNED BY :base; DROP ROLE :base").await;
    let refused = refused(&pair, &function).await;
    assert_eq!(refused.kind, "UsersNotReady");
    assert!(
        refused.message.contains(&format!("owner role \"{}\" does not exist", pair.base)),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn a_value_that_is_not_valid_any_more_is_not_shown() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let canary = random_hex();
    // No statement sets it so, but an upgrade may leave it behind.
    pair.superuser(&format!(
        "ALTER ROLE :base SET DateStyle = 'german'; \
         UPDATE pg_db_role_setting SET setconfig = ARRAY['DateStyle={canary}'] WHERE setrole = \
         (SELECT oid FROM pg_roles WHERE rolname = '{}')",
        pair.base
    ))
    .await;
    let refused = refused(&pair, &function).await;
    assert_eq!(refused.kind, "DatabaseError");
    assert!(
        refused.message.contains("copying the settings") && refused.message.contains("22023"),
        "{}",
        refused.message
    );
    assert!(!refused.message.contains(&canary), "{}", refused.message);
}

#[tokio::test]
async fn another_cluster_is_refused() {
    let elsewhere = Cluster::start(&Settings::default());
    let document = json!({"username": "postgres", "password": elsewhere.admin_password,
        "host": HOST, "port": elsewhere.port});
    let admin_secret =
        Application::storing("postgres", "", document.clone(), &document.to_string(), "admin/")
            .await
            .secret;
    let pair = Pair::edited(|document| document["masterarn"] = json!(admin_secret)).await;
    let bundle = world().postgres.ca_file.with_file_name(unique("both-"));
    let roots = [&world().postgres.ca_file, &elsewhere.ca_file]
        .map(|file| std::fs::read_to_string(file).unwrap())
        .join("\n");
    std::fs::write(&bundle, roots).unwrap();
    let function = Function::start(&[("CA_BUNDLE_FILE", bundle.to_str().unwrap())]);
    let refused = refused(&pair, &function).await;
    assert_eq!(refused.kind, "AdminRefused");
    assert!(
        refused.message.contains("not the one that the secret's role logs in to"),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn a_current_password_that_the_database_does_not_have_stops_the_turn() {
    let pair = Pair::new().await;
    let function = Function::start(&[]);
    pair.application.set_password("a password set by hand").await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &["createSecret"], &token).await;
    let before = roles(&pair).await;
    let refused = pair.application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "NoCredentialAccepted");
    assert!(refused.message.contains("admin_reset"), "{}", refused.message);
    assert_eq!(roles(&pair).await, before);

    let function = Function::start(&[(
        "ROTATION_POLICY",
        &policy(&pair, &json!({"admin_reset": true, "role": pair.base})),
    )]);
    pair.application.steps(&function, &STEPS, &token).await;
    pair.session("AWSCURRENT").await;
}

#[tokio::test]
async fn a_pending_user_that_is_ready_helps_where_the_current_password_is_lost() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let token = pair.application.begin().await;
    pair.application.steps(&function, &["createSecret", "setSecret"], &token).await;
    pair.application.set_password("a password set by hand").await;
    let report = pair.application.step(&function, "setSecret", &token).await.unwrap();
    assert_eq!(report["Outcome"], "AlreadySet");
    pair.application.steps(&function, &["testSecret", "finishSecret"], &token).await;
    pair.session("AWSCURRENT").await;
}

#[tokio::test]
async fn nothing_of_the_databases_own_runs_with_the_admins_rights() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.superuser("ALTER ROLE :admin SUPERUSER").await;
    let trap = pair.filled(
        "CREATE TABLE :base.caught (who text, what text); GRANT ALL ON :base.caught TO PUBLIC; \
         GRANT USAGE ON SCHEMA :base TO PUBLIC; CREATE FUNCTION :base.format(text, VARIADIC \
         \"any\") RETURNS text LANGUAGE internal AS 'text_format'; CREATE FUNCTION \
         :base.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT \
         INTO :base.caught VALUES (current_user, 'set_config'); RETURN $2; END $$; CREATE FUNCTION \
         :base.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO \
         :base.caught VALUES (current_user, 'current_setting'); RETURN ''; END $$; CREATE FUNCTION \
         :base.same(name, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO \
         :base.caught VALUES (current_user, '='); RETURN true; END $$; CREATE OPERATOR :base.= \
         (LEFTARG = name, RIGHTARG = text, FUNCTION = :base.same); ALTER ROLE :base SET \
         search_path = :base, pg_catalog",
    );
    // The function that C code stands behind takes a superuser to make.
    admin().await.batch_execute(&trap).await.unwrap();
    pair.superuser("ALTER FUNCTION :base.set_config(text, text, boolean) OWNER TO :base").await;
    pair.turn(&function).await;
    pair.turn(&function).await;
    let caught =
        admin().await.query(&pair.filled("SELECT who, what FROM :base.caught"), &[]).await.unwrap();
    let caught: Vec<(String, String)> =
        caught.into_iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(caught.is_empty(), "{caught:?}");
}
