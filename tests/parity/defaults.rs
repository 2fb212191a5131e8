//! Default privileges: who can use what is created tomorrow.

use super::{Situation, Unequal, situation};

const OF_CURRENT: &str = "ALTER DEFAULT PRIVILEGES FOR ROLE :current";
const OF_ADMIN: &str = "ALTER DEFAULT PRIVILEGES FOR ROLE :admin";

fn defaults(of: &str, change: &str, missing: &'static str) -> Situation {
    situation(format!("CREATE ROLE :thing; CREATE SCHEMA :thing; {of} {change}"), missing)
}

#[tokio::test]
async fn what_others_can_do_with_what_the_application_creates_stays_the_same() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    let situations = vec![
        defaults(
            OF_CURRENT,
            "GRANT SELECT ON TABLES TO :thing",
            "SELECT for \":thing\" on tables that role :next creates later",
        ),
        defaults(
            OF_CURRENT,
            "IN SCHEMA :thing GRANT INSERT ON TABLES TO :thing WITH GRANT OPTION",
            "INSERT WITH GRANT OPTION for \":thing\" on tables that role :next creates later in \
             schema \":thing\"",
        ),
        defaults(
            OF_CURRENT,
            "GRANT SELECT ON SEQUENCES TO PUBLIC",
            "SELECT for PUBLIC on sequences that role :next creates later",
        ),
        defaults(
            OF_CURRENT,
            "GRANT CREATE ON SCHEMAS TO :thing",
            "CREATE for \":thing\" on schemas that role :next creates later",
        ),
        defaults(
            OF_CURRENT,
            "GRANT SELECT ON LARGE OBJECTS TO :thing",
            "SELECT for \":thing\" on large objects that role :next creates later",
        )
        .from(18),
        // What every role may do unless it is said otherwise.
        defaults(
            OF_CURRENT,
            "REVOKE EXECUTE ON ROUTINES FROM PUBLIC",
            "EXECUTE for PUBLIC on routines that role :next creates later, which role :current \
             does not give",
        ),
        defaults(
            OF_CURRENT,
            "REVOKE USAGE ON TYPES FROM PUBLIC",
            "USAGE for PUBLIC on types that role :next creates later, which role :current does \
             not give",
        ),
        // Now that PUBLIC may not, it matters that a role may.
        defaults(
            OF_CURRENT,
            "GRANT EXECUTE ON FUNCTIONS TO :thing",
            "EXECUTE for \":thing\" on routines that role :next creates later",
        ),
    ];
    unequal.each("default privileges of the creator", situations).await;
}

#[tokio::test]
async fn what_the_application_can_do_with_what_others_create_stays_the_same() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    let situations = vec![
        defaults(
            OF_ADMIN,
            "GRANT SELECT ON TABLES TO :current",
            "SELECT for :next on tables that role :admin creates later",
        ),
        defaults(
            OF_ADMIN,
            "IN SCHEMA :thing GRANT UPDATE ON TABLES TO :current",
            "UPDATE for :next on tables that role :admin creates later in schema \":thing\"",
        ),
        defaults(
            OF_ADMIN,
            "GRANT USAGE ON SEQUENCES TO :current WITH GRANT OPTION",
            "USAGE WITH GRANT OPTION for :next on sequences that role :admin creates later",
        ),
    ];
    unequal.each("default privileges of the grantee", situations).await;
}

#[tokio::test]
async fn the_effect_is_compared_and_not_the_presence() {
    let unequal = Unequal::new().await;
    let (owner, reader) = (crate::world::unique("owner_"), crate::world::unique("reader_"));
    unequal
        .superuser(&format!(
            "CREATE ROLE {reader}; CREATE ROLE {owner}; GRANT {owner} TO :next; CREATE SCHEMA s; \
             ALTER DEFAULT PRIVILEGES FOR ROLE :current GRANT SELECT ON TABLES TO {reader}; ALTER \
             DEFAULT PRIVILEGES FOR ROLE :next GRANT SELECT ON TABLES TO PUBLIC; ALTER DEFAULT \
             PRIVILEGES FOR ROLE :current IN SCHEMA s GRANT INSERT ON TABLES TO {reader}; ALTER \
             DEFAULT PRIVILEGES FOR ROLE :next GRANT INSERT ON TABLES TO {reader}; ALTER DEFAULT \
             PRIVILEGES FOR ROLE :current REVOKE SELECT ON TABLES FROM :current; ALTER DEFAULT \
             PRIVILEGES FOR ROLE :current GRANT EXECUTE ON FUNCTIONS TO {reader}; ALTER DEFAULT \
             PRIVILEGES FOR ROLE :current GRANT USAGE ON SEQUENCES TO :next; ALTER DEFAULT \
             PRIVILEGES FOR ROLE :next GRANT USAGE ON SEQUENCES TO :current; ALTER DEFAULT \
             PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO :current; ALTER DEFAULT \
             PRIVILEGES FOR ROLE :admin IN SCHEMA s GRANT SELECT ON TABLES TO :current; ALTER \
             DEFAULT PRIVILEGES FOR ROLE :admin GRANT SELECT ON TABLES TO :next"
        ))
        .await;
    unequal.set().await;
    let statement = unequal
        .missing(
            "SELECT for PUBLIC on tables that role :next creates later, which role :current does \
             not give",
        )
        .await;
    unequal.superuser(&statement).await;
    let statement = unequal
        .missing(&format!("SELECT for \"{reader}\" on tables that role :next creates later"))
        .await;
    unequal.superuser(&statement).await;
    unequal.passes("all else has the same effect").await;
}
