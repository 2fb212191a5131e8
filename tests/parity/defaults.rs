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

/// Decides at random, the same in each run.
struct Dice(u64);

impl Dice {
    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
        let sides = u64::try_from(of.len()).unwrap();
        of[usize::try_from((self.0 >> 33) % sides).unwrap()]
    }

    /// A change of the default privileges of one of the two users.
    fn change(&mut self, creator: &str, grantees: &[&str]) -> String {
        let (objects, privilege) = *self.pick(&[
            &("TABLES", "SELECT"),
            &("TABLES", "INSERT"),
            &("SEQUENCES", "USAGE"),
            &("ROUTINES", "EXECUTE"),
            &("TYPES", "USAGE"),
            &("SCHEMAS", "USAGE"),
        ]);
        let place = if objects == "SCHEMAS" { "" } else { self.pick(&["", "", "IN SCHEMA s"]) };
        let grantee = self.pick(&[grantees, &["PUBLIC", creator]].concat());
        let change = match self.pick(&["grant", "grant", "grantable", "revoke"]) {
            "revoke" => format!("REVOKE {privilege} ON {objects} FROM {grantee}"),
            "grantable" if grantee != "PUBLIC" => {
                format!("GRANT {privilege} ON {objects} TO {grantee} WITH GRANT OPTION")
            }
            _ => format!("GRANT {privilege} ON {objects} TO {grantee}"),
        };
        format!("ALTER DEFAULT PRIVILEGES FOR ROLE {creator} {place} {change}")
    }
}

/// What really differs between things that the two users create, in schema `s` and in another. That
/// is what roles can do with the current user's things and not with the next one's. It is also what
/// PUBLIC can do with the next user's things alone.
async fn tomorrow(unequal: &Unequal, observers: &[&str]) -> Vec<String> {
    let postgres = &crate::world::world().postgres;
    let session =
        postgres.login_to(&unequal.database, "postgres", &postgres.admin_password).await.unwrap();
    session.batch_execute("BEGIN").await.unwrap();
    for (user, name) in [(":current", "theirs"), (":next", "ours")] {
        let create = format!(
            "SET LOCAL ROLE {user}; CREATE SCHEMA {name}; CREATE TABLE s.{name} (id int); CREATE \
             TABLE u.{name} (id int); CREATE SEQUENCE s.{name}_s; CREATE SEQUENCE u.{name}_s; \
             CREATE FUNCTION s.{name}() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION \
             u.{name}() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE s.{name}_t AS ENUM (); \
             CREATE TYPE u.{name}_t AS ENUM (); RESET ROLE"
        );
        session.batch_execute(&unequal.filled(&create)).await.unwrap();
    }
    let can = |who: &str, role: &str, of: &str, option: &str| {
        format!(
            "SELECT '{who} {option}', ARRAY[has_schema_privilege({role}, '{of}', 'USAGE{option}')] \
             || ARRAY(SELECT has_table_privilege({role}, p || '.{of}', r || '{option}') FROM \
             unnest('{{s,u}}'::text[]) AS p, unnest('{{SELECT,INSERT,UPDATE}}'::text[]) AS r) || \
             ARRAY(SELECT has_sequence_privilege({role}, p || '.{of}_s', 'USAGE{option}') FROM \
             unnest('{{s,u}}'::text[]) AS p) || ARRAY(SELECT has_function_privilege({role}, p || \
             '.{of}()', 'EXECUTE{option}') FROM unnest('{{s,u}}'::text[]) AS p) || ARRAY(SELECT \
             has_type_privilege({role}, p || '.{of}_t', 'USAGE{option}') FROM \
             unnest('{{s,u}}'::text[]) AS p)"
        )
    };
    let (current, next) = (unequal.pair.clone.clone(), unequal.pair.base.clone());
    let named = |name: &str| format!("'{name}'");
    let mut pairs = vec![("creator", named(&current), named(&next))];
    pairs.extend(observers.iter().map(|name| (*name, named(name), named(name))));
    let mut differences = Vec::new();
    for (who, their, our) in &pairs {
        for option in ["", " WITH GRANT OPTION"] {
            let sql = format!(
                "SELECT t.*, o.* FROM ({}) AS t, ({}) AS o",
                can(who, their, "theirs", option),
                can(who, our, "ours", option)
            );
            let row = session.query_one(&sql, &[]).await.unwrap();
            let (theirs, ours): (Vec<bool>, Vec<bool>) = (row.get(1), row.get(3));
            // The first observer has no right but PUBLIC's.
            let surplus = *who == observers[0];
            for (n, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
                if *theirs && !ours || surplus && *ours && !theirs {
                    differences.push(format!("{who}{option} {n}"));
                }
            }
        }
    }
    differences
}

#[tokio::test]
async fn what_is_created_tomorrow_can_be_used_by_the_same_roles() {
    let unequal = Unequal::new().await;
    let roles = ["public_", "reader_", "member_"].map(crate::world::unique);
    let [public, reader, member] = roles.each_ref().map(String::as_str);
    unequal
        .superuser(&format!(
            "CREATE SCHEMA s; CREATE SCHEMA u; CREATE ROLE {public}; CREATE ROLE {reader}; CREATE \
             ROLE {member} IN ROLE {reader}"
        ))
        .await;
    unequal.set().await;
    let (mut dice, mut equal, mut different) = (Dice(14), 0, 0);
    for _ in 0..24 {
        let may = "GRANT CREATE ON DATABASE :database TO :current, :next; GRANT USAGE, CREATE ON \
            SCHEMA s, u TO :current, :next; GRANT USAGE ON SCHEMA s, u TO PUBLIC";
        unequal.superuser(&format!("DROP OWNED BY :current, :next; {may}")).await;
        let changes: Vec<_> = [":current", ":current", ":next", ":next"]
            .map(|creator| dice.change(creator, &[reader, member]))
            .into_iter()
            .collect();
        unequal.superuser(&changes.join("; ")).await;
        let mut differences = tomorrow(&unequal, &[public, reader, member]).await;
        if differences.is_empty() {
            equal += 1;
        } else {
            different += 1;
        }
        // What REVOKE takes from PUBLIC, some may have had only by PUBLIC.
        for round in 0..4 {
            let tested = unequal.step("testSecret").await;
            assert_eq!(
                tested.is_ok(),
                differences.is_empty(),
                "round {round} of {changes:#?}: {differences:?}, {tested:?}"
            );
            if differences.is_empty() {
                break;
            }
            let event = serde_json::json!({"Operation": "status", "Fix": "sql",
                "SecretId": unequal.pair.application.secret});
            let report = unequal.function.invoke(event).await.unwrap();
            super::script::run(&unequal, report["Script"].as_str().unwrap()).await;
            differences = tomorrow(&unequal, &[public, reader, member]).await;
        }
        assert!(differences.is_empty(), "{changes:#?}: {differences:?}");
    }
    assert!(equal > 2 && different > 8, "{equal} equal, {different} different");
    super::tell("default privileges at random", equal + different);
}
