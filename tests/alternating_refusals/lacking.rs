//! What a turn lacks is named, and what is named is enough.

use serde_json::json;

use super::{policy, refused, statements};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::version;
use crate::world::{unique, world};

#[tokio::test]
async fn what_the_admin_lacks_is_named_and_what_is_named_is_enough() {
    let function = Function::start(&[]);
    let options = version().await >= 160_000;
    // The two sets of rules: CREATEROLE for all but two attributes, which took a superuser; ADMIN
    // OPTION, and one's own attributes alone.
    for (prepare, before_16, from_16) in [
        (
            "ALTER ROLE :admin NOCREATEROLE",
            Some("ALTER ROLE :admin CREATEROLE"),
            Some("ALTER ROLE :admin CREATEROLE"),
        ),
        // As after an upgrade from PostgreSQL 15: nobody has ADMIN OPTION on roles that were there
        // before.
        ("REVOKE :base FROM :admin", None, Some("GRANT :base TO :admin WITH ADMIN OPTION")),
        (
            "CREATE ROLE :clone; GRANT :base TO :clone",
            None,
            Some("GRANT :clone TO :admin WITH ADMIN OPTION"),
        ),
        ("ALTER ROLE :base CREATEDB", None, Some("ALTER ROLE :admin CREATEDB")),
        (
            "ALTER ROLE :base REPLICATION",
            Some("ALTER ROLE :admin SUPERUSER"),
            Some("ALTER ROLE :admin REPLICATION"),
        ),
        (
            "CREATE ROLE :clone; GRANT :base TO :clone; ALTER ROLE :base BYPASSRLS; \
             DO $$ BEGIN IF current_setting('server_version_num')::int >= 160000 THEN GRANT :clone \
             TO :admin WITH ADMIN OPTION; END IF; END $$",
            Some("ALTER ROLE :clone BYPASSRLS"),
            Some("ALTER ROLE :admin BYPASSRLS"),
        ),
        (
            "ALTER ROLE :base BYPASSRLS",
            Some("CREATE ROLE :clone BYPASSRLS; ALTER ROLE :clone SET role = ':base'"),
            Some("ALTER ROLE :admin BYPASSRLS"),
        ),
    ] {
        let pair = Pair::new().await;
        pair.superuser(prepare).await;
        if let Some(expected) = if options { from_16 } else { before_16 } {
            let refused = refused(&pair, &function).await;
            assert_eq!(refused.kind, "AdminLacksRight", "{}", refused.message);
            assert!(
                refused.message.contains(&pair.admin)
                    && refused.message.contains("Nothing was changed"),
                "{}",
                refused.message
            );
            let named = statements(&refused, "run: ");
            let expected = expected.replace("':base'", &format!("'{}'", pair.base));
            assert_eq!(named, pair.filled(&expected));
            pair.superuser(named).await;
        }
        pair.turn(&function).await;
        pair.turn(&function).await;
    }
}

#[tokio::test]
async fn what_the_current_user_lacks_is_named_and_what_is_named_is_enough() {
    let function = Function::start(&[]);
    // AWS's function leaves a second user that acts as itself, and here it does not inherit.
    let pair = Pair::new().await;
    pair.imitate_aws_function().await;
    let option = if version().await < 160_000 { "" } else { " WITH INHERIT FALSE" };
    pair.admin_session()
        .await
        .batch_execute(
            &pair.filled(&format!("ALTER ROLE :clone NOINHERIT; GRANT :base TO :clone{option}")),
        )
        .await
        .unwrap();
    let failed = refused(&pair, &function).await;
    assert!(failed.message.contains("does not inherit from"), "{}", failed.message);
    pair.superuser(statements(&failed, "Run ")).await;
    pair.turn(&function).await;

    // The policy's owner role, which no user of the pair has yet.
    let (pair, owner) = (Pair::new().await, unique("owner_"));
    pair.superuser(&format!("CREATE ROLE {owner}; GRANT {owner} TO :admin WITH ADMIN OPTION"))
        .await;
    let fields = policy(&pair, &json!({"owner_role": owner}));
    let function = Function::start(&[("ROTATION_POLICY", &fields)]);
    for expected in ["Is this the right owner role?", "could not use what it creates"] {
        let failed = refused(&pair, &function).await;
        assert!(failed.message.contains(expected), "{}", failed.message);
        pair.superuser(statements(&failed, "Run ")).await;
    }
    pair.turn(&function).await;
}

#[tokio::test]
async fn what_a_turn_warns_of_is_gone_after_the_statement_in_the_warning() {
    let function = Function::start(&[]);
    let attempt = async |pair: &Pair| {
        let token = pair.application.abandon_and_begin().await;
        pair.application.steps(&function, &["createSecret"], &token).await;
        let report = pair.application.step(&function, "setSecret", &token).await.unwrap();
        report["Warnings"][0].as_str().map(str::to_owned)
    };
    let (of_aws, surplus, group) = (Pair::new().await, Pair::new().await, unique("group_"));
    of_aws.imitate_aws_function().await;
    let act_as = format!("ALTER ROLE :clone SET role = '{}'", surplus.base);
    let create = surplus.filled(&format!("CREATE ROLE :clone; GRANT :base TO :clone; {act_as}"));
    surplus.admin_session().await.batch_execute(&create).await.unwrap();
    surplus.superuser(&format!("CREATE ROLE {group}; GRANT {group} TO :clone")).await;
    for (pair, expected) in
        [(of_aws, "acts as itself until its next turn"), (surplus, "is a member of roles that")]
    {
        let warning = attempt(&pair).await.unwrap_or_default();
        assert!(warning.contains(expected), "{warning}");
        let at = warning.rfind("un ").unwrap() + "un ".len();
        pair.superuser(warning[at..].trim_end_matches('.')).await;
        assert_eq!(attempt(&pair).await, None, "{expected}");
    }
}

/// From PostgreSQL 16 on, the admin needs ADMIN OPTION on that role. It is named, and enough.
async fn turn_with_admin_option(pair: &Pair, function: &Function, role: &str) {
    if version().await >= 160_000 {
        let refused = refused(pair, function).await;
        assert_eq!(refused.kind, "AdminLacksRight", "{}", refused.message);
        let named = statements(&refused, "run: ");
        assert_eq!(named, pair.filled(&format!("GRANT \"{role}\" TO :admin WITH ADMIN OPTION")));
        pair.superuser(named).await;
    }
    pair.turn(function).await;
}

#[tokio::test]
async fn a_membership_that_the_admin_may_not_pass_on_is_named() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.turn(&function).await;
    let group = unique("Group ");
    pair.superuser(&format!("CREATE ROLE \"{group}\"; GRANT \"{group}\" TO :clone")).await;
    turn_with_admin_option(&pair, &function, &group).await;
}

#[tokio::test]
async fn an_admin_option_that_the_admin_does_not_inherit_is_none_for_a_grant() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let (owner, boss) = (unique("owner_"), unique("boss_"));
    pair.superuser(&format!(
        "CREATE ROLE {owner}; CREATE ROLE {boss}; GRANT {owner} TO {boss} WITH ADMIN OPTION; GRANT \
         {owner} TO :base; ALTER ROLE :base SET role = {owner}; ALTER SCHEMA :base OWNER TO \
         {owner}; ALTER ROLE :admin NOINHERIT; GRANT {boss} TO :admin"
    ))
    .await;
    turn_with_admin_option(&pair, &function, &owner).await;
}

#[tokio::test]
async fn a_setting_that_the_admin_may_not_set_is_named() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.superuser(
        "ALTER ROLE :base SET log_duration = on; ALTER ROLE :base SET statement_timeout = '1h'; \
         ALTER ROLE :base IN DATABASE postgres SET app.\"Key\" = 'v'; ALTER ROLE :base SET \
         session_preload_libraries = 'plpgsql'",
    )
    .await;
    let failed = refused(&pair, &function).await;
    assert_eq!(failed.kind, "AdminLacksRight");
    if version().await < 150_000 {
        assert!(failed.message.contains("a superuser has to set it"), "{}", failed.message);
        return;
    }
    let named = statements(&failed, "run: ");
    let expected = "GRANT SET ON PARAMETER \"app\".\"Key\" TO :admin; GRANT SET ON PARAMETER \
        \"log_duration\" TO :admin; -- SET on parameter session_preload_libraries, which loads \
        code: no statement is shown";
    assert_eq!(named, pair.filled(expected));
    pair.superuser(named).await;
    let failed = refused(&pair, &function).await;
    assert!(failed.message.contains("run: -- SET on parameter"), "{}", failed.message);
    pair.superuser("ALTER ROLE :base RESET session_preload_libraries").await;
    pair.turn(&function).await;
}

#[tokio::test]
async fn nobody_is_created_and_nothing_granted_where_the_policy_says_so() {
    let pair = Pair::new().await;
    let function =
        Function::start(&[("ROTATION_POLICY", &policy(&pair, &json!({"create_users": false})))]);
    let refusal = refused(&pair, &function).await;
    assert_eq!(refusal.kind, "UsersNotReady");
    assert!(refusal.message.contains("create_users is false"), "{}", refusal.message);
    pair.admin_session().await.batch_execute(statements(&refusal, "run: ")).await.unwrap();
    for user in [&pair.clone, &pair.base] {
        pair.turn(&function).await;
        assert_eq!(pair.credentials("AWSCURRENT").await.0, *user);
    }
    let sent = world().postgres.log();
    let by_admin: Vec<_> = sent
        .lines()
        .filter(|line| line.contains(&format!("|{}|postgres-secret-rotation|", pair.admin)))
        .collect();
    assert!(
        !by_admin.is_empty()
            && !by_admin.iter().any(|line| line.contains("GRANT") || line.contains("CREATE")),
        "{by_admin:#?}"
    );
}
