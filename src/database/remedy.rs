//! What gives a role what it lacks: a statement that runs unchanged, or what a person has to
//! decide.

use super::advice::{AskedBy, RightRemedy};
use super::missing::{Missing, MissingKind, quoted, shown};
use crate::error::{self, clean};

/// The roles that lack it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LackingRole<'a> {
    /// The role that logs in.
    pub(crate) login: &'a str,
    /// The role that its sessions act as.
    pub(crate) acts_as: &'a str,
    /// Who asks for it.
    pub(crate) asked_by: AskedBy,
}

/// The remedy for what the next attempt of a rotation makes equal.
const NEXT_ATTEMPT: &str = "the next attempt of the rotation makes the two users equal again";

impl Missing {
    /// The description, with the remedy in brackets.
    pub(crate) fn text(&self, lacking: LackingRole<'_>) -> String {
        let what = self.words(lacking.acts_as);
        clean::clause(&match self.remedy(lacking) {
            Some(RightRemedy::Statement(statement)) => {
                format!("{what} ({})", error::shown(&statement))
            }
            Some(RightRemedy::Advice(advice)) => format!("{what} ({advice})"),
            None => what,
        })
    }

    /// The remedy, if there is one.
    pub(crate) fn remedy(&self, lacking: LackingRole<'_>) -> Option<RightRemedy> {
        use RightRemedy::{Advice, Statement};
        let (acts_as, login) = (quoted(lacking.acts_as), quoted(lacking.login));
        let (identity, name) = (shown(self.identity.as_ref()), shown(self.name.as_ref()));
        let grant_option = if self.grantable { " WITH GRANT OPTION" } else { "" };
        Some(match self.what {
            MissingKind::Owner => self.new_owner(&acts_as),
            MissingKind::Privilege => {
                let on = match (&self.column, &self.table) {
                    (Some(column), Some(table)) => format!("({column}) ON TABLE {table}"),
                    _ => format!("ON {} {identity}", keyword(shown(self.kind.as_ref()))),
                };
                let privilege = shown(self.privilege.as_ref());
                let grant = format!("GRANT {privilege} {on} TO {acts_as}{grant_option}");
                let object = shown(self.table.as_ref().or(self.identity.as_ref()));
                lacking.asked_by.advise_right(shown(self.kind.as_ref()), object, grant)
            }
            MissingKind::Connect => {
                Statement(format!("GRANT CONNECT ON DATABASE {} TO {login}", quoted(name)))
            }
            MissingKind::Policy => {
                Statement(format!("ALTER POLICY {identity} TO {name}, {acts_as}"))
            }
            MissingKind::RestrictivePolicy => Advice(format!(
                "it applies to {name}: limit it by ALTER POLICY to roles that {acts_as} does not \
                 inherit from, or drop it"
            )),
            MissingKind::Mapping => Advice(format!(
                "create one for {acts_as} with the options of role {}'s; a superuser sees them in \
                 pg_user_mappings",
                shown(self.other.as_ref())
            )),
            MissingKind::Default | MissingKind::SurplusDefault => {
                let schema = self
                    .schema
                    .as_deref()
                    .map_or(String::new(), |schema| format!(" IN SCHEMA {}", quoted(schema)));
                let on = format!(
                    "{} ON {}",
                    shown(self.privilege.as_ref()),
                    shown(self.objects.as_ref())
                );
                let change = if self.what == MissingKind::Default {
                    let grantee = self.other.as_deref().map_or("PUBLIC".to_owned(), quoted);
                    format!("GRANT {on} TO {grantee}{grant_option}")
                } else {
                    format!("REVOKE {on} FROM PUBLIC")
                };
                Statement(format!(
                    "ALTER DEFAULT PRIVILEGES FOR ROLE {}{schema} {change}",
                    quoted(name)
                ))
            }
            MissingKind::Path => Statement(format!(
                "ALTER ROLE {} IN DATABASE {} SET search_path = {}",
                quoted(name),
                quoted(shown(self.objects.as_ref())),
                shown(self.other.as_ref())
            )),
            MissingKind::InheritedRole if self.ungrantable == Some(true) => Advice(format!(
                "no statement: the role is powerful, or {acts_as} cannot become a member that \
                 inherits. Grant the rights on the objects, or revoke the role from the current \
                 user"
            )),
            MissingKind::InheritedRole => {
                let option = if self.grantable { " WITH ADMIN OPTION" } else { "" };
                let grant = format!("GRANT {} TO {acts_as}{option}", quoted(name));
                lacking.asked_by.advise(name, grant)
            }
            MissingKind::Member if lacking.asked_by != AskedBy::Pair => {
                let grant = format!("GRANT {} TO {login}", quoted(name));
                lacking.asked_by.advise(name, grant)
            }
            MissingKind::ActorAttribute if name == "CREATEDB" => {
                Statement(format!("ALTER ROLE {acts_as} CREATEDB"))
            }
            MissingKind::ActorAttribute => Advice(format!(
                "no statement: it gives power. A superuser can give it to {acts_as}, or take it \
                 from the current user"
            )),
            MissingKind::Member
            | MissingKind::AdminOption
            | MissingKind::Attribute
            | MissingKind::Setting
            | MissingKind::Label => Advice(NEXT_ATTEMPT.to_owned()),
            MissingKind::RowSecurity => Advice(format!(
                "create a policy FOR INSERT TO {acts_as} whose WITH CHECK names the rows"
            )),
            MissingKind::Absent | MissingKind::Unsupported => return None,
        })
    }

    fn new_owner(&self, acts_as: &str) -> RightRemedy {
        let (kind, identity) = (shown(self.kind.as_ref()), shown(self.identity.as_ref()));
        let owner = quoted(shown(self.name.as_ref()));
        match kind {
            // No statement changes the owner of one extension.
            "extension" => {
                RightRemedy::Statement(format!("REASSIGN OWNED BY {owner} TO {acts_as}"))
            }
            "foreign-data wrapper" | "event trigger" => RightRemedy::Advice(format!(
                "only a superuser may own one: ALTER {} {identity} OWNER TO a superuser",
                keyword(kind)
            )),
            "subscription" if self.ungrantable == Some(true) => RightRemedy::Advice(format!(
                "only a superuser may own one: ALTER SUBSCRIPTION {identity} OWNER TO a superuser, \
                 in its database"
            )),
            _ => RightRemedy::Statement(format!(
                "ALTER {} {identity} OWNER TO {acts_as}",
                owned_keyword(kind)
            )),
        }
    }
}

/// The keyword for this type in GRANT.
fn keyword(kind: &str) -> String {
    match kind {
        "view" | "materialized view" | "foreign table" | "partitioned table" => "TABLE".to_owned(),
        "aggregate" => "ROUTINE".to_owned(),
        "server" => "FOREIGN SERVER".to_owned(),
        "foreign-data wrapper" => "FOREIGN DATA WRAPPER".to_owned(),
        "parameter ACL" => "PARAMETER".to_owned(),
        kind => kind.to_uppercase(),
    }
}

/// The keyword for this type in ALTER ... OWNER.
fn owned_keyword(kind: &str) -> String {
    match kind {
        // ALTER AGGREGATE would need another form for an aggregate without arguments.
        "function" | "procedure" | "aggregate" => "ROUTINE".to_owned(),
        "statistics object" => "STATISTICS".to_owned(),
        kind => kind.to_uppercase(),
    }
}
