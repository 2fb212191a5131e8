//! The script that makes the role of a secret an owner role. Another role then logs in in its place
//! and acts as it.
//!
//! The owner keeps its name, so everything that depends on `current_user` stays in force: schemas
//! found by "$user", policies, defaults, the application's own checks. Only what depends on the
//! role that logs in has to be copied.

use postgres_protocol::escape::{escape_identifier, escape_literal};

use super::script::Script;
use crate::database::advice::{AskedBy, RightRemedy};
use crate::database::owner::{self, OwnerFacts};
use crate::database::{Session, role};
use crate::error::Error;
use crate::policy::Strategy;
use crate::rotation::{Rotation, strategy};

/// The suffix of the role that logs in.
const LOGIN: &str = "_login";

/// The roles of the script.
#[derive(Debug, Clone, Copy)]
struct ScriptRoles<'a> {
    owner: &'a str,
    login: &'a str,
    /// The user in AWSCURRENT, the owner or its clone.
    current: &'a str,
    /// The role of the admin secret, if it is known.
    admin: Option<&'a str>,
}

/// Adds the statements to the script if the policy names the role of the secret as `owner_role`.
/// The session's `search_path` has to be `pg_catalog`.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn script(
    rotation: &Rotation,
    session: &Session,
    admin: Option<&str>,
    script: &mut Script,
) -> Result<(), Error> {
    let current = rotation.current.credentials.username.as_str();
    let owner = strategy::base(current);
    if rotation.policy.owner_role.as_deref() != Some(owner) {
        return Ok(());
    }
    let login = format!("{owner}{LOGIN}");
    if strategy::next_username(Strategy::AlternatingUsers, &login).is_err() {
        let advice = format!(
            "Role {owner:?} cannot become an owner role: {login:?} and its second user would have \
             names that PostgreSQL cuts off."
        );
        script.advice(None, &advice);
        return Ok(());
    }
    let facts = owner::read(session, owner, &login, current).await?;
    let names = ScriptRoles { owner, login: &login, current, admin };
    match refusal(&facts, names) {
        Some(refusal) => script.advice(None, &refusal),
        None => write(&facts, names, script),
    }
    Ok(())
}

/// Why there is nothing to run.
fn refusal(facts: &OwnerFacts, names: ScriptRoles<'_>) -> Option<String> {
    let ScriptRoles { owner, login, current, .. } = names;
    if !facts.exists {
        Some(format!("Role {owner:?} does not exist, so it cannot become an owner role."))
    } else if facts.superuser {
        Some(format!("Role {owner:?} is a superuser. No statement makes it an owner role."))
    } else if facts.acts_as != owner {
        Some(format!(
            "Role {current:?} acts as {:?}, so {owner:?} cannot become its owner role.",
            facts.acts_as
        ))
    } else if facts.login_exists && facts.login_acts {
        Some(format!(
            "Role {login:?} acts as {owner:?} already. Store {login:?} as \"username\" in the \
             secret, with the password that the role has, and run preflight again."
        ))
    } else if facts.login_exists {
        Some(format!(
            "Role {login:?} exists, and nothing shows that it belongs to this application. Rename \
             it first."
        ))
    } else {
        None
    }
}

fn write(facts: &OwnerFacts, names: ScriptRoles<'_>, script: &mut Script) {
    let ScriptRoles { owner, login, current, admin } = names;
    let mut grant = role::grant(owner, login);
    if facts.version >= 160_000 {
        grant.push_str(" WITH INHERIT TRUE, SET TRUE");
    }
    let grant = match AskedBy::Policy.advise(owner, grant) {
        RightRemedy::Statement(grant) => grant,
        RightRemedy::Advice(advice) => {
            script.advice(None, &format!("Role {owner:?} as an owner role: {advice}."));
            return;
        }
    };
    for remark in remarks(facts, names) {
        script.advice(None, &remark);
    }
    script.statement(None, "BEGIN");
    script.statement(None, "SET LOCAL search_path = pg_catalog");
    let attributes = attributes(facts).join(" ");
    let create = format!("CREATE ROLE {} LOGIN {attributes}", escape_identifier(login));
    script.statement(None, create.trim_end());
    script.statement(None, &grant);
    if facts.settings {
        script.statement(None, &owner::copy_settings(current, login));
    }
    script.statement(None, &role::act_as(login, owner));
    script.statement(None, &owner::copy_password(current, login));
    if let Some(admin) = admin.filter(|_| facts.version >= 160_000) {
        script.statement(None, &owner::grant_admin_option(login, admin));
    }
    script.statement(None, "COMMIT");
    for step in next_steps(facts, names) {
        script.advice(None, &step);
    }
}

/// The attributes that count for the role that logs in. All others count for the role that acts.
fn attributes(facts: &OwnerFacts) -> Vec<String> {
    let replication = facts.replication.then(|| "REPLICATION".to_owned());
    let limit = (facts.connection_limit >= 0)
        .then(|| format!("CONNECTION LIMIT {}", facts.connection_limit));
    let until = facts.valid_until.as_ref().map(|until| format!("VALID UNTIL {}", literal(until)));
    replication.into_iter().chain(limit).chain(until).collect()
}

fn literal(text: &str) -> String {
    escape_literal(text).trim_start().to_owned()
}

/// What is copied, and what is not.
fn remarks(facts: &OwnerFacts, names: ScriptRoles<'_>) -> Vec<String> {
    let ScriptRoles { owner, login, .. } = names;
    let mut carried = attributes(facts);
    if facts.settings {
        carried.push("the settings in every database".to_owned());
    }
    let carried = if carried.is_empty() { "nothing".to_owned() } else { carried.join(", ") };
    let mut remarks = vec![
        format!(
            "Role {owner:?} becomes the owner role. {login:?} logs in in its place and acts as it."
        ),
        format!(
            "Unchanged, since current_user stays {owner:?}: what it owns and was granted, default \
             privileges, schemas found by \"$user\", policies and column defaults on current_user."
        ),
        format!("Carried over to {login:?}: {carried}."),
    ];
    if facts.replication {
        remarks.push(
            "Only a superuser can create a role with REPLICATION. From PostgreSQL 16 on, a role \
             that has it can, too."
                .to_owned(),
        );
    }
    if facts.asking_total > 0 {
        let more = facts.asking_total.saturating_sub(facts.asking.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        remarks.push(format!(
            "Not carried over: session_user becomes {login:?}. These ask for it: {}{more}.",
            facts.asking.join("; ")
        ));
    }
    if !facts.other_databases.is_empty() {
        remarks.push(format!(
            "Not searched for session_user: databases {}.",
            facts.other_databases.join(", ")
        ));
    }
    remarks.push(format!(
        "Not visible from here: lines of pg_hba.conf and of poolers that name {owner:?}. They have \
         to name {login:?} too."
    ));
    remarks
}

/// What a person does after the script.
fn next_steps(facts: &OwnerFacts, names: ScriptRoles<'_>) -> Vec<String> {
    let ScriptRoles { owner, login, current, .. } = names;
    let mut steps = vec![format!(
        "Next: store {login:?} as \"username\" in the secret, with the same password. If the \
         policy has \"role\", set it to {login:?}. Then run preflight, and rotate."
    )];
    if facts.subscriptions > 0 {
        steps.push(format!(
            "Role {owner:?} owns {} subscriptions. Before PostgreSQL 17 their workers stop if it \
             may not log in.",
            facts.subscriptions
        ));
    }
    let mut roles = vec![owner];
    if current != owner {
        roles.push(current);
    }
    let statements: Vec<_> = roles
        .iter()
        .map(|role| format!("ALTER ROLE {} NOLOGIN", escape_identifier(role)))
        .collect();
    steps.push(format!(
        "Last, when status shows that nothing logs in as {} any more: {}",
        roles.iter().map(|role| format!("{role:?}")).collect::<Vec<_>>().join(" or "),
        statements.join("; ")
    ));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> OwnerFacts {
        OwnerFacts {
            version: 160_000,
            exists: true,
            login_exists: false,
            login_acts: false,
            acts_as: "app".to_owned(),
            superuser: false,
            replication: false,
            connection_limit: -1,
            valid_until: None,
            settings: false,
            asking: Vec::new(),
            asking_total: 0,
            other_databases: Vec::new(),
            subscriptions: 0,
        }
    }

    type Edit = fn(&mut OwnerFacts);

    const NAMES: ScriptRoles<'static> =
        ScriptRoles { owner: "app", login: "app_login", current: "app", admin: None };

    #[test]
    fn a_role_that_cannot_become_an_owner_role_is_told_why() {
        let cases: [(&str, Edit); 5] = [
            ("does not exist", |facts| facts.exists = false),
            ("is a superuser", |facts| facts.superuser = true),
            ("acts as \"other\"", |facts| facts.acts_as = "other".to_owned()),
            ("Rename it first", |facts| facts.login_exists = true),
            ("Store \"app_login\"", |facts| {
                (facts.login_exists, facts.login_acts) = (true, true);
            }),
        ];
        for (expected, edit) in cases {
            let mut facts = facts();
            edit(&mut facts);
            let refusal = refusal(&facts, NAMES);
            assert!(refusal.as_ref().is_some_and(|text| text.contains(expected)), "{refusal:?}");
        }
        assert_eq!(refusal(&facts(), NAMES), None);
    }

    #[test]
    fn no_statement_gives_a_powerful_role() {
        let (mut script, mut names) = (Script::default(), NAMES);
        names.owner = "rds_superuser";
        write(&facts(), names, &mut script);
        let text = script.into_text();
        assert!(text.contains("powerful role") && !text.contains("GRANT"), "{text}");
    }

    #[test]
    fn what_is_not_carried_over_is_named() {
        let (mut script, mut facts) = (Script::default(), facts());
        facts.asking = vec!["policy p on public.t".to_owned()];
        facts.asking_total = 3;
        facts.other_databases = vec!["ledger".to_owned()];
        facts.subscriptions = 2;
        write(&facts, NAMES, &mut script);
        let text = script.into_text();
        for expected in [
            "These ask for it: policy p on public.t and 2 more.",
            "Not searched for session_user: databases ledger.",
            "owns 2 subscriptions",
            "-- Last, when status shows that nothing logs in as \"app\" any more: ALTER ROLE \
             \"app\" NOLOGIN\n",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }
}
