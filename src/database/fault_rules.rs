//! The table that tells the server's refusals apart, by what we were doing, the SQLSTATE and the
//! server's own function. Messages come in any language, so only words count that no translation
//! changes.

use crate::error::{DatabaseFault, DatabaseFault as F};

/// What we were doing. Some codes mean something else at a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Login,
    SettingPassword,
    /// Asking for catalogs and settings.
    Reading,
    Statement,
}

/// A refusal of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerRefusal<'a> {
    pub(super) code: &'a str,
    /// The server's C function.
    pub(super) routine: &'a str,
    pub(super) message: &'a str,
}

/// Fits a refusal if all of its parts do.
#[derive(Clone, Copy)]
struct Rule {
    /// Empty fits every phase.
    phases: &'static [Phase],
    /// The start of the SQLSTATE.
    code: &'static str,
    /// Empty fits every function.
    routine: &'static str,
    /// A word in the message that is the same in every language.
    word: &'static str,
    fault: DatabaseFault,
}

const fn rule(
    phases: &'static [Phase],
    code: &'static str,
    routine: &'static str,
    fault: DatabaseFault,
) -> Rule {
    Rule { phases, code, routine, word: "", fault }
}

const fn with_word(rule: Rule, word: &'static str) -> Rule {
    Rule { word, ..rule }
}

const LOGIN: &[Phase] = &[Phase::Login];
const SETTING: &[Phase] = &[Phase::SettingPassword];
const READING: &[Phase] = &[Phase::Reading];
const RUNNING: &[Phase] = &[Phase::Reading, Phase::Statement];

/// The first rule that fits decides.
const RULES: &[Rule] = &[
    // A ban of credcheck says nothing about the password.
    rule(LOGIN, "", "credcheck_max_auth_failure", F::RoleBanned),
    rule(LOGIN, "28P01", "", F::LoginRejected),
    rule(LOGIN, "28000", "InitializeSessionUserId", F::LoginNotPermitted),
    with_word(rule(LOGIN, "28000", "ClientAuthentication", F::HostNotPermitted), "pg_hba.conf"),
    rule(LOGIN, "28000", "ClientAuthentication", F::ClientCertificateWanted),
    // Amazon RDS checks members of rds_iam by PAM.
    with_word(rule(LOGIN, "28000", "auth_failed", F::IamLogin), "PAM"),
    rule(LOGIN, "28000", "auth_failed", F::OtherLogin),
    rule(LOGIN, "42501", "CheckMyDatabase", F::ConnectNotPermitted),
    rule(LOGIN, "55000", "", F::DatabaseClosed),
    // RDS Proxy and PgBouncer answer so to options in the start-up packet.
    rule(LOGIN, "0A000", "", F::ProxyInTheWay),
    rule(LOGIN, "08P01", "", F::ProxyInTheWay),
    rule(LOGIN, "42704", "", F::ProxyInTheWay),
    // What an event trigger or an extension says to a session that has just begun.
    rule(LOGIN, "28", "", F::SessionRefused),
    rule(LOGIN, "42", "", F::SessionRefused),
    rule(LOGIN, "P0", "", F::SessionRefused),
    // passwordcheck raises the first, credcheck the next two, and a PL/pgSQL hook the last.
    rule(SETTING, "22023", "", F::PasswordRefused),
    rule(SETTING, "28000", "", F::PasswordRefused),
    rule(SETTING, "28P01", "", F::PasswordRefused),
    rule(SETTING, "P0001", "", F::PasswordRefused),
    // Another session made the role meanwhile.
    rule(SETTING, "42710", "", F::ConcurrentUpdate),
    rule(SETTING, "23505", "", F::ConcurrentUpdate),
    rule(READING, "42501", "", F::CatalogHidden),
    rule(&[], "42501", "", F::PermissionDenied),
    // At a login it is the role's search_path, which servers report from 18 on.
    rule(&[], "22021", "", F::NameNotUtf8),
    rule(&[], "42704", "", F::RoleMissing),
    rule(RUNNING, "42", "", F::NotSupported),
    rule(RUNNING, "0A", "", F::NotSupported),
    rule(&[], "53300", "", F::TooManyConnections),
    rule(&[], "53", "", F::OutOfResources),
    rule(&[], "57P01", "", F::NotAccepting),
    rule(&[], "57P02", "", F::NotAccepting),
    rule(&[], "57P03", "", F::NotAccepting),
    rule(&[], "57P04", "", F::DatabaseMissing),
    rule(&[], "3D000", "", F::DatabaseMissing),
    rule(&[], "25006", "", F::ReadOnly),
    // The server ended the session after a time-out of its own.
    rule(&[], "25P03", "", F::ConnectionLost),
    rule(&[], "25P04", "", F::ConnectionLost),
    rule(&[], "57P05", "", F::ConnectionLost),
    rule(&[], "08", "", F::ConnectionLost),
    rule(&[], "55P03", "", F::LockTimedOut),
    rule(&[], "57014", "", F::StatementTimedOut),
    rule(&[], "40", "", F::ConcurrentUpdate),
    // "tuple concurrently updated" and "deleted" have no code of their own.
    rule(&[], "XX000", "simple_heap_update", F::ConcurrentUpdate),
    rule(&[], "XX000", "simple_heap_delete", F::ConcurrentUpdate),
];

/// The fault of a refusal.
pub(super) fn fault(phase: Phase, refusal: ServerRefusal<'_>) -> DatabaseFault {
    let fits = |rule: &&Rule| {
        (rule.phases.is_empty() || rule.phases.contains(&phase))
            && refusal.code.starts_with(rule.code)
            && (rule.routine.is_empty() || rule.routine == refusal.routine)
            && refusal.message.contains(rule.word)
    };
    RULES.iter().find(fits).map_or(DatabaseFault::Other, |rule| rule.fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 4] =
        [Phase::Login, Phase::SettingPassword, Phase::Reading, Phase::Statement];

    /// A refusal that fits the rule, in German.
    fn refusal(rule: &Rule) -> (String, String) {
        (format!("{:0<5}", rule.code), format!("Anmeldung {} fehlgeschlagen", rule.word))
    }

    #[test]
    fn every_rule_decides_something_and_says_what_to_do() {
        for (n, rule) in RULES.iter().enumerate() {
            let (code, message) = refusal(rule);
            let refusal = ServerRefusal { code: &code, routine: rule.routine, message: &message };
            let phases = if rule.phases.is_empty() { &PHASES } else { rule.phases };
            let decides = phases.iter().any(|phase| fault(*phase, refusal) == rule.fault);
            assert!(decides, "rule {n}, {code} {}: another one comes first", rule.routine);
            let run = rule.fault.statement("app", "shop").map(|run| format!(" Run {run}."));
            let text = format!("{}{}", rule.fault, run.unwrap_or_default());
            let sentences = text.matches(". ").count() + 1;
            assert!(sentences >= 2 || text.contains("A retry"), "no advice: {text}");
        }
    }

    #[test]
    fn one_cause_has_one_fault_in_every_language() {
        for (phase, code, routine, message, expected) in [
            (
                Phase::Login,
                "28000",
                "ClientAuthentication",
                "kein pg_hba.conf-Eintrag f\u{fc}r Host \u{bb}10.0.0.1\u{ab}",
                F::HostNotPermitted,
            ),
            (
                Phase::Login,
                "28000",
                "ClientAuthentication",
                "Verbindung erfordert ein g\u{fc}ltiges Client-Zertifikat",
                F::ClientCertificateWanted,
            ),
            (
                Phase::Login,
                "28000",
                "auth_failed",
                "PAM-Authentifizierung f\u{fc}r Benutzer fehlgeschlagen",
                F::IamLogin,
            ),
            (
                Phase::Login,
                "28000",
                "auth_failed",
                "LDAP-Authentifizierung f\u{fc}r Benutzer fehlgeschlagen",
                F::OtherLogin,
            ),
            (Phase::Login, "XX000", "credcheck_max_auth_failure", "banned", F::RoleBanned),
            (Phase::Login, "28P01", "auth_failed", "falsch", F::LoginRejected),
            (Phase::Login, "P0001", "exec_stmt_raise", "not at night", F::SessionRefused),
            (Phase::Login, "XX000", "elsewhere", "", F::Other),
            (Phase::SettingPassword, "28000", "check_password", "", F::PasswordRefused),
            (Phase::SettingPassword, "42501", "AlterRole", "", F::PermissionDenied),
            (Phase::Reading, "42501", "aclcheck_error", "", F::CatalogHidden),
            (Phase::Reading, "42883", "ParseFuncOrColumn", "", F::NotSupported),
            (Phase::Statement, "42501", "aclcheck_error", "", F::PermissionDenied),
            (Phase::Statement, "40P01", "DeadLockReport", "", F::ConcurrentUpdate),
            (Phase::Statement, "53100", "mdextend", "", F::OutOfResources),
        ] {
            let refusal = ServerRefusal { code, routine, message };
            assert_eq!(fault(phase, refusal), expected, "{phase:?} {code} {routine}");
        }
    }
}
