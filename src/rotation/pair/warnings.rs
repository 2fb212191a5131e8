//! What a person should know about a turn, although it succeeds.

use postgres_protocol::escape::escape_identifier;

use crate::database::pair::{Change, Facts, Surplus};
use crate::database::role;

/// The differences that were made equal, and what stays as it was.
pub(super) fn warnings(
    facts: &Facts,
    current: &str,
    next_user: &str,
    change: &Change,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let settings = facts.settings.iter().map(|setting| format!("setting {setting}"));
    let changed: Vec<_> = change.attributes.iter().cloned().chain(settings).collect();
    if !change.create && !changed.is_empty() {
        warnings.push(format!(
            "role {next_user:?} differed from role {current:?} and was made its equal: {}. Change \
             both users when you change one.",
            changed.join(", ")
        ));
    }
    if change.ends_lease {
        warnings.push(format!(
            "the policy has no lease any more, so the password of role {next_user:?} has no end \
             from now on."
        ));
    }
    if !facts.surplus.is_empty() {
        let revoke = facts.surplus.iter().map(|Surplus { role, grantor }| {
            // A grant can only be revoked as its grantor.
            let by = if facts.needs_admin_option() {
                format!(" GRANTED BY {}", escape_identifier(grantor))
            } else {
                String::new()
            };
            format!("REVOKE {} FROM {}{by}", escape_identifier(role), escape_identifier(next_user))
        });
        warnings.push(format!(
            "role {next_user:?} is a member of roles that role {current:?} is not a member of. If \
             that is not intended, run {}.",
            revoke.collect::<Vec<_>>().join("; ")
        ));
    }
    if facts.current_acts_as == current && facts.owner_name != current && !facts.by_database {
        warnings.push(format!(
            "role {current:?} acts as itself until its next turn, and the other user cannot use \
             what it creates until then. Run {}.",
            role::act_as(current, &facts.owner_name)
        ));
    }
    if facts.sessions > 0 {
        warnings.push(format!(
            "{} sessions of role {next_user:?} stay open. An application that still has its old \
             password cannot open another one.",
            facts.sessions
        ));
    }
    warnings
}
