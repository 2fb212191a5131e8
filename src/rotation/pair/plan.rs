//! The change that the next user of a pair needs, or the reason against it: one pure decision over
//! facts from the catalogs.

use std::collections::HashMap;

use postgres_protocol::escape::escape_identifier;

use super::rights::{next_user_role, rights_lacking, withheld, withheld_last};
use super::warnings::warnings;
use crate::database::advice::{self, AskedBy};
use crate::database::expiry;
use crate::database::pair::{Change, Facts, Membership, Names, Role};
use crate::database::role;

/// Why the next user cannot become the current one's equal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TurnRefusal {
    /// The admin must not change this role.
    Admin(String),
    /// A person has to correct the users or their owner role first.
    NotReady(String),
    /// The policy leaves these statements to a person.
    ByHand(Vec<String>),
    /// The admin lacks rights. These statements grant them.
    LacksRight(Vec<String>),
}

/// A safe change, and what a person should know about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) change: Change,
    pub(crate) warnings: Vec<String>,
}

/// Decides. The worst comes first: a role that the admin must not change, then what the pair lacks,
/// then what the admin lacks.
pub(crate) fn plan(
    facts: &Facts,
    names: Names<'_>,
    create_users: bool,
) -> Result<Plan, TurnRefusal> {
    let Names { current, next_user, .. } = names;
    let owner = facts.owner_name.as_str();
    if next_user == facts.admin.name {
        return Err(TurnRefusal::Admin(
            "it is the admin itself. Name another admin secret.".to_owned(),
        ));
    }
    let Some(current_role) = &facts.current else {
        return Err(TurnRefusal::NotReady(format!(
            "role {current:?} does not exist, so it cannot become that role's equal."
        )));
    };
    if has_power(current_role, "SUPERUSER") {
        let reason = format!(
            "role {current:?} is a superuser or may act as one, and an admin secret never creates \
             a second one."
        );
        return Err(TurnRefusal::Admin(reason));
    }
    let more: Vec<_> = facts
        .next_user
        .iter()
        .flat_map(|role| &role.powers)
        .filter(|power| !has_power(current_role, power))
        .cloned()
        .collect();
    if !more.is_empty() {
        // SUPERUSER includes all the others.
        let more = if more.iter().any(|power| power == "SUPERUSER") {
            "SUPERUSER".to_owned()
        } else {
            more.join(", ")
        };
        return Err(TurnRefusal::Admin(format!(
            "it has, directly or through a role it can act as, attributes that role {current:?} \
             lacks: {more}."
        )));
    }
    if !facts.owner_exists {
        return Err(TurnRefusal::NotReady(format!(
            "owner role {owner:?} does not exist. Create it, or correct owner_role in \
             ROTATION_POLICY."
        )));
    }
    // The base user's name and a setting of the current user do not come from the policy.
    let known = owner == current || names.owner == Some(owner);
    let asked_by = if known { AskedBy::Policy } else { AskedBy::Setting };
    if facts.current_may_act != Some(true) {
        return Err(TurnRefusal::NotReady(format!(
            "role {current:?} may not act as {owner:?}. The admin never grants a pair a role that \
             it does not have. Is this the right owner role? {}.",
            asked_by.advise_grant(owner, current)
        )));
    }
    let itself = facts.current_acts_as == current;
    // AWS's function leaves a second user that acts as itself. That ends with its next turn.
    let left_by_aws = itself && owner == names.base && current != names.base;
    if facts.current_acts_as != owner && !facts.by_database && !left_by_aws {
        let by_database = if facts.role_of_all_users.is_some() {
            " because of a setting of the database"
        } else {
            ""
        };
        let should =
            facts.role_of_all_users.as_deref().filter(|_| names.owner.is_none()).unwrap_or(owner);
        return Err(TurnRefusal::NotReady(format!(
            "role {current:?} acts as {:?}{by_database}, so the other user could not use what it \
             creates. Run {}.",
            facts.current_acts_as,
            role::act_as(current, should)
        )));
    }
    if itself && facts.current_inherits != Some(true) {
        return Err(TurnRefusal::NotReady(format!(
            "role {current:?} acts as itself and does not inherit from {owner:?}. It could not use \
             what moves to that role. Run {}.",
            role::act_as(current, owner)
        )));
    }
    if facts.next_user.is_some() && next_user != owner && facts.next_user_is_second != Some(true) {
        return Err(TurnRefusal::NotReady(format!(
            "a role of that name exists, and nothing shows that it is the second user of role \
             {current:?}. If it is: {}; {}.",
            asked_by.advise_grant(owner, next_user),
            role::act_as(next_user, owner)
        )));
    }
    let change = change(facts, current_role, next_user);
    if !create_users && (change.create || !change.grants.is_empty()) {
        let create =
            change.create.then(|| format!("CREATE ROLE {} LOGIN", escape_identifier(next_user)));
        let options = facts.needs_admin_option();
        let powerful = facts.lacking.iter().filter(|one| advice::is_powerful(&one.role));
        let withheld: HashMap<_, _> = powerful
            .map(|one| (one.grant(next_user, options), withheld("membership in", &one.role)))
            .collect();
        let grants = change
            .grants
            .iter()
            .map(|grant| withheld.get(grant).cloned().unwrap_or_else(|| format!("GRANT {grant}")));
        let act_as = change.act_as.iter().map(|owner| role::act_as(next_user, owner));
        let statements = create.into_iter().chain(grants).chain(act_as).collect();
        return Err(TurnRefusal::ByHand(withheld_last(statements)));
    }
    let lacking = rights_lacking(facts, current_role, next_user, &change);
    if !lacking.is_empty() {
        return Err(TurnRefusal::LacksRight(lacking));
    }
    let warnings = warnings(facts, current, next_user, &change);
    Ok(Plan { change, warnings })
}

fn has_power(role: &Role, power: &str) -> bool {
    role.powers.iter().any(|known| known == power)
}

fn change(facts: &Facts, current: &Role, next_user: &str) -> Change {
    let act_as = (facts.owner_name != next_user).then(|| facts.owner_name.clone());
    let owner = match &act_as {
        Some(role) if facts.next_user_may_act != Some(true) => Some(Membership {
            role: role.clone(),
            admin: false,
            inherit: true,
            set: true,
            grantable: false,
        }),
        _ => None,
    };
    let grants = owner
        .iter()
        .chain(&facts.lacking)
        .map(|membership| membership.grant(next_user, facts.needs_admin_option()))
        .collect();
    Change {
        create: facts.next_user.is_none(),
        attributes: attributes(current, &next_user_role(facts)),
        valid_until: None,
        ends_lease: ends_lease(current, &next_user_role(facts)),
        act_as,
        grants,
        settings: !facts.settings.is_empty(),
    }
}

/// Whether the next user still has the date of a former lease, and the current one has no other
/// date. Nothing would renew such a date, so no turn copies it.
fn ends_lease(current: &Role, next_user: &Role) -> bool {
    let of_lease = |date: &String| expiry::is_of_lease(date);
    next_user.valid_until.as_ref().is_some_and(of_lease)
        && current.valid_until.as_ref().is_none_or(of_lease)
}

/// Only the attributes that differ: naming an attribute needs rights that the admin may lack.
fn attributes(current: &Role, next_user: &Role) -> Vec<String> {
    let flags = [
        ("CREATEROLE", current.create_role, next_user.create_role),
        ("CREATEDB", current.create_db, next_user.create_db),
        ("REPLICATION", current.replication, next_user.replication),
        ("BYPASSRLS", current.bypass_rls, next_user.bypass_rls),
        ("INHERIT", current.inherit, next_user.inherit),
    ];
    let differing = flags.into_iter().filter(|(_, current, next_user)| current != next_user);
    let mut attributes: Vec<_> = differing
        .map(|(name, current, _)| format!("{}{name}", if current { "" } else { "NO" }))
        .collect();
    if current.connection_limit != next_user.connection_limit {
        attributes.push(format!("CONNECTION LIMIT {}", current.connection_limit));
    }
    let until = |role: &Role| role.valid_until.clone().unwrap_or_else(|| "infinity".to_owned());
    if until(current) != until(next_user)
        && !ends_lease(current, next_user)
        && !expiry::is_of_lease(&until(current))
    {
        attributes.push(expiry::clause(&until(current)));
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::pair::Surplus;

    type Edit = fn(&mut Facts);

    const NAMES: Names<'static> =
        Names { current: "app", next_user: "app_clone", owner: None, base: "app", dbname: "shop" };

    fn role(name: &str) -> Role {
        Role { name: name.to_owned(), inherit: true, connection_limit: -1, ..Role::default() }
    }

    /// The turn of a clone in order, on a server with or without membership options.
    fn facts(version: u32) -> Facts {
        Facts {
            version,
            admin: Role { create_role: true, ..role("admin") },
            current: Some(role("app")),
            next_user: Some(role("app_clone")),
            owner_name: "app".to_owned(),
            owner_exists: true,
            role_of_all_users: None,
            current_acts_as: "app".to_owned(),
            by_database: false,
            current_may_act: Some(true),
            current_inherits: Some(true),
            next_user_is_second: Some(true),
            next_user_may_act: Some(true),
            admin_option_on_next_user: Some(true),
            admin_option_on_owner: Some(true),
            lacking: Vec::new(),
            surplus: Vec::new(),
            settings: Vec::new(),
            settings_not_permitted: Vec::new(),
            sessions: 0,
        }
    }

    fn absent(facts: &mut Facts) {
        facts.next_user = None;
        facts.next_user_is_second = None;
        facts.next_user_may_act = None;
        facts.admin_option_on_next_user = None;
    }

    fn decide(version: u32, edit: impl FnOnce(&mut Facts)) -> Result<Plan, TurnRefusal> {
        let mut facts = facts(version);
        edit(&mut facts);
        plan(&facts, NAMES, true)
    }

    #[test]
    fn a_pair_in_order_has_its_password_set_and_nothing_else() {
        for version in [130_000, 180_000] {
            let plan = decide(version, |_| {}).unwrap();
            assert_eq!(
                plan,
                Plan {
                    change: Change { act_as: Some("app".to_owned()), ..Change::default() },
                    warnings: Vec::new()
                }
            );
        }
        let mut back = facts(180_000);
        (back.current, back.next_user) = (Some(role("app_clone")), Some(role("app")));
        let names = Names { current: "app_clone", next_user: "app", ..NAMES };
        assert_eq!(
            plan(&back, names, true).unwrap(),
            Plan { change: Change::default(), warnings: Vec::new() },
            "the base user acts as itself"
        );
        back.current_acts_as = "app_clone".to_owned();
        let left_by_aws = plan(&back, names, true).unwrap();
        assert!(
            left_by_aws.warnings[0].contains("ALTER ROLE \"app_clone\" SET role = 'app'"),
            "{left_by_aws:?}"
        );
    }

    #[test]
    fn a_persons_date_is_taken_over_and_that_of_a_former_lease_is_not() {
        let of_person = "2030-01-01 00:00:00+00";
        let [of_lease, before] = ["2030-01-01 04:00:00", "2030-01-01 00:00:00"]
            .map(|second| expiry::of_lease(&format!("{second} UTC")));
        for (current, next_user, expected) in [
            (None, None, None),
            (Some(of_person), None, Some(of_person)),
            (Some(of_person), Some(of_lease.as_str()), Some(of_person)),
            (Some(of_lease.as_str()), Some(of_person), None),
            (None, Some(of_person), Some("infinity")),
            (Some(of_lease.as_str()), Some(before.as_str()), Some("no end")),
            (Some(of_lease.as_str()), Some(of_lease.as_str()), Some("no end")),
            (Some(of_lease.as_str()), None, None),
            (None, Some(before.as_str()), Some("no end")),
        ] {
            let decided = decide(150_000, |facts| {
                facts.current.as_mut().unwrap().valid_until = current.map(str::to_owned);
                facts.next_user.as_mut().unwrap().valid_until = next_user.map(str::to_owned);
            });
            let Plan { change, warnings } = decided.unwrap();
            let until = expected.filter(|date| *date != "no end");
            let until: Vec<_> =
                until.map(|date| format!("VALID UNTIL '{date}'")).into_iter().collect();
            assert_eq!(change.attributes, until, "{current:?} {next_user:?}");
            assert_eq!(change.ends_lease, expected == Some("no end"), "{current:?} {next_user:?}");
            let told = warnings.concat().contains("has no end from now on");
            assert_eq!(told, change.ends_lease, "{warnings:?}");
        }
    }

    #[test]
    fn a_user_that_is_missing_is_created_as_the_current_ones_equal() {
        let make = |facts: &mut Facts| {
            absent(facts);
            let current = facts.current.as_mut().unwrap();
            (current.create_db, current.inherit, current.connection_limit) = (true, false, 7);
            current.valid_until = Some("2030-01-01 00:00:00+00".to_owned());
            facts.admin.create_db = true;
            facts.lacking = vec![Membership {
                role: "Read ers".to_owned(),
                admin: true,
                inherit: true,
                set: false,
                grantable: true,
            }];
            facts.settings = vec!["search_path".to_owned()];
        };
        let expected = |grants: &[&str]| Change {
            create: true,
            attributes: [
                "CREATEDB",
                "NOINHERIT",
                "CONNECTION LIMIT 7",
                "VALID UNTIL '2030-01-01 00:00:00+00'",
            ]
            .map(str::to_owned)
            .to_vec(),
            valid_until: None,
            ends_lease: false,
            act_as: Some("app".to_owned()),
            grants: grants.iter().map(|grant| (*grant).to_owned()).collect(),
            settings: true,
        };
        let old = ["\"app\" TO \"app_clone\"", "\"Read ers\" TO \"app_clone\" WITH ADMIN OPTION"];
        assert_eq!(
            decide(150_000, make).unwrap(),
            Plan { change: expected(&old), warnings: Vec::new() }
        );
        let new = [
            "\"app\" TO \"app_clone\" WITH INHERIT true, SET true",
            "\"Read ers\" TO \"app_clone\" WITH ADMIN true, INHERIT true, SET false",
        ];
        assert_eq!(
            decide(160_000, make).unwrap(),
            Plan { change: expected(&new), warnings: Vec::new() }
        );
    }

    #[test]
    fn roles_that_the_admin_must_not_change() {
        let cases: [(&str, Edit); 5] = [
            ("it is the admin itself", |facts| facts.admin.name = "app_clone".to_owned()),
            ("is a superuser", |facts| {
                facts.current.as_mut().unwrap().powers = vec!["SUPERUSER".to_owned()];
            }),
            ("lacks: SUPERUSER", |facts| {
                facts.next_user.as_mut().unwrap().powers = vec!["SUPERUSER".to_owned()];
            }),
            ("lacks: CREATEROLE, rds_superuser", |facts| {
                facts.next_user.as_mut().unwrap().powers =
                    vec!["CREATEROLE".to_owned(), "rds_superuser".to_owned()];
            }),
            ("lacks: REPLICATION", |facts| {
                facts.current.as_mut().unwrap().powers = vec!["CREATEROLE".to_owned()];
                facts.next_user.as_mut().unwrap().powers =
                    vec!["CREATEROLE".to_owned(), "REPLICATION".to_owned()];
            }),
        ];
        for (expected, edit) in cases {
            let refusal = decide(160_000, edit);
            assert!(
                matches!(&refusal, Err(TurnRefusal::Admin(reason)) if reason.contains(expected)),
                "{expected}: {refusal:?}"
            );
        }
        let equal = decide(160_000, |facts| {
            facts.current.as_mut().unwrap().powers = vec!["REPLICATION".to_owned()];
            facts.next_user.as_mut().unwrap().powers = vec!["REPLICATION".to_owned()];
        });
        assert!(equal.is_ok(), "{equal:?}");
    }

    #[test]
    fn roles_that_are_no_pair_are_refused() {
        let cases: [(&str, Edit); 8] = [
            ("role \"app\" does not exist", |facts| facts.current = None),
            ("owner role \"owner\" does not exist", |facts| {
                facts.owner_exists = false;
                facts.owner_name = "owner".to_owned();
            }),
            ("Run GRANT \"app\" TO \"app\"", |facts| facts.current_may_act = Some(false)),
            (
                "GRANT \"app\" TO \"app_clone\"; ALTER ROLE \"app_clone\" SET role = 'app'",
                |facts| facts.next_user_is_second = Some(false),
            ),
            ("nothing shows that it is the second user", |facts| {
                facts.next_user_is_second = Some(false);
            }),
            (
                "acts as \"x\", so the other user could not use what it creates. Run ALTER ROLE \
                 \"app\" SET role = 'app'",
                |facts| {
                    facts.current_acts_as = "x".to_owned();
                },
            ),
            (
                "because of a setting of the database, so the other user could not use what it \
                 creates. Run ALTER ROLE \"app\" SET role = 'x'",
                |facts| {
                    facts.current_acts_as = "x".to_owned();
                    facts.role_of_all_users = Some("x".to_owned());
                },
            ),
            ("does not inherit from \"app\"", |facts| facts.current_inherits = Some(false)),
        ];
        for (expected, edit) in cases {
            let refusal = decide(160_000, edit);
            let Err(TurnRefusal::NotReady(problem)) = &refusal else {
                panic!("{expected}: {refusal:?}")
            };
            assert!(problem.contains(expected), "{expected}: {problem}");
        }
    }

    #[test]
    fn no_user_is_created_and_nothing_granted_if_the_policy_forbids_it() {
        let by_hand = |facts: &Facts| match plan(facts, NAMES, false) {
            Err(TurnRefusal::ByHand(statements)) => statements.join("; "),
            other => panic!("{other:?}"),
        };
        let mut missing = facts(160_000);
        absent(&mut missing);
        assert_eq!(
            by_hand(&missing),
            "CREATE ROLE \"app_clone\" LOGIN; GRANT \"app\" TO \"app_clone\" WITH INHERIT true, \
             SET true; ALTER ROLE \"app_clone\" SET role = 'app'"
        );
        let mut weak = facts(130_000);
        weak.next_user_may_act = Some(false);
        assert_eq!(
            by_hand(&weak),
            "GRANT \"app\" TO \"app_clone\"; ALTER ROLE \"app_clone\" SET role = 'app'"
        );
        let mut powerful = facts(160_000);
        powerful.lacking = vec![Membership {
            role: "rds_superuser".to_owned(),
            admin: false,
            inherit: true,
            set: true,
            grantable: true,
        }];
        assert_eq!(
            by_hand(&powerful),
            "ALTER ROLE \"app_clone\" SET role = 'app'; -- membership in \"rds_superuser\", a \
             powerful role: no statement is shown"
        );
        assert!(plan(&facts(160_000), NAMES, false).is_ok());
    }

    #[test]
    fn a_right_that_the_admin_lacks_is_named_with_the_statement_that_grants_it() {
        let lacks = |version, expected: &[&str], edit: fn(&mut Facts)| {
            let lacking = match decide(version, edit) {
                Ok(_) => Vec::new(),
                Err(TurnRefusal::LacksRight(lacking)) => lacking,
                Err(other) => panic!("{other:?}"),
            };
            assert_eq!(lacking, expected, "{version}");
        };
        let createrole = ["ALTER ROLE \"admin\" CREATEROLE"];
        for version in [150_000, 160_000] {
            lacks(version, &createrole, |facts| facts.admin.create_role = false);
            lacks(version, &[], |facts| {
                facts.admin = Role { superuser: true, ..role("admin") };
                facts.admin_option_on_next_user = Some(false);
            });
        }
        let no_option: fn(&mut Facts) = |facts| facts.admin_option_on_next_user = Some(false);
        lacks(150_000, &[], no_option);
        lacks(160_000, &["GRANT \"app_clone\" TO \"admin\" WITH ADMIN OPTION"], no_option);
        let creating: fn(&mut Facts) = |facts| {
            absent(facts);
            facts.admin_option_on_owner = Some(false);
            facts.lacking = vec![Membership {
                role: "readers".to_owned(),
                admin: false,
                inherit: true,
                set: true,
                grantable: false,
            }];
        };
        lacks(150_000, &[], creating);
        let both = [
            "GRANT \"app\" TO \"admin\" WITH ADMIN OPTION",
            "GRANT \"readers\" TO \"admin\" WITH ADMIN OPTION",
        ];
        lacks(160_000, &both, creating);
        let last = [
            "GRANT \"app_clone\" TO \"admin\" WITH ADMIN OPTION",
            "ALTER ROLE \"admin\" CREATEDB",
            "-- ADMIN OPTION on \"rds_superuser\", a powerful role: no statement is shown",
        ];
        lacks(160_000, &last, |facts| {
            facts.admin_option_on_next_user = Some(false);
            facts.current.as_mut().unwrap().create_db = true;
            facts.lacking = vec![Membership {
                role: "rds_superuser".to_owned(),
                admin: false,
                inherit: true,
                set: true,
                grantable: false,
            }];
        });
        let attributes: fn(&mut Facts) = |facts| {
            let current = facts.current.as_mut().unwrap();
            (current.create_db, current.replication) = (true, true);
            facts.next_user.as_mut().unwrap().bypass_rls = true;
            facts.current.as_mut().unwrap().powers = vec!["BYPASSRLS".to_owned()];
        };
        lacks(150_000, &["ALTER ROLE \"admin\" SUPERUSER"], attributes);
        lacks(150_000, &["ALTER ROLE \"app_clone\" BYPASSRLS"], |facts| {
            facts.current.as_mut().unwrap().bypass_rls = true;
        });
        lacks(
            160_000,
            &["CREATEDB", "REPLICATION", "BYPASSRLS"]
                .map(|flag| format!("ALTER ROLE \"admin\" {flag}"))
                .each_ref()
                .map(String::as_str),
            attributes,
        );
    }

    #[test]
    fn a_person_gets_every_warning() {
        let warnings = |edit: fn(&mut Facts)| decide(160_000, edit).unwrap().warnings;
        let changed = warnings(|facts| {
            facts.current.as_mut().unwrap().connection_limit = 5;
            facts.settings = vec!["statement_timeout in database shop".to_owned()];
        });
        assert!(
            changed[0].contains("CONNECTION LIMIT 5, setting statement_timeout in database shop"),
            "{changed:?}"
        );
        let surplus = warnings(|facts| {
            facts.surplus =
                vec![Surplus { role: "payroll".to_owned(), grantor: "boss".to_owned() }];
        });
        assert!(
            surplus[0].contains("REVOKE \"payroll\" FROM \"app_clone\" GRANTED BY \"boss\""),
            "{surplus:?}"
        );
        assert!(
            warnings(|facts| facts.sessions = 3)[0].starts_with("3 sessions of role \"app_clone\"")
        );
    }
}
