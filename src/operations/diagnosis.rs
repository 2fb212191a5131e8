//! What repairs a secret: one pure decision over its labels and the passwords that the database
//! accepts.

use crate::event::Prefer;
use crate::policy::Strategy;
use crate::report::{Remedy, Verdict};

/// The version that carries AWSPENDING and not AWSCURRENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pending {
    None,
    /// It has no value.
    Empty,
    /// It has the password of AWSCURRENT.
    Copy,
    Value(Verdict),
}

/// The facts that the decision needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) strategy: Strategy,
    pub(crate) current: Verdict,
    pub(crate) pending: Pending,
    /// The best verdict on older passwords of the current user. `None` if none was tried.
    pub(crate) older: Option<Verdict>,
    /// Whether the admin may set a lost password.
    pub(crate) admin_reset: bool,
    /// Whether AWSCURRENT's lease can and should be renewed. A refused password then means that the
    /// lease has ended.
    pub(crate) renewable: bool,
}

/// Decides. The match is exhaustive, so every state has a remedy.
pub(crate) fn decide(findings: Findings, prefer: Prefer) -> Remedy {
    use Verdict::{Accepted, Rejected, Unknown};
    let Findings { strategy, current, pending, older, admin_reset, renewable } = findings;
    match (current, pending) {
        (Unknown, _) | (_, Pending::Value(Unknown)) => Remedy::Wait,
        (Accepted, Pending::None) if renewable => Remedy::RenewLease,
        (Accepted, Pending::None) => Remedy::Nothing,
        (Accepted, Pending::Empty | Pending::Copy | Pending::Value(Rejected)) => {
            Remedy::RemovePendingLabel
        }
        (Accepted, Pending::Value(Accepted)) => match (strategy, prefer) {
            (Strategy::AlternatingUsers, Prefer::Forward) => Remedy::RollForward,
            (Strategy::AlternatingUsers, Prefer::Back | Prefer::Previous) => {
                Remedy::RemovePendingLabel
            }
            // Two passwords of one role: the server accepts any (`trust`), which proves neither.
            (Strategy::SingleUser, _) => Remedy::ManualInterventionRequired,
        },
        (Rejected, Pending::Value(Accepted)) => match (strategy, prefer) {
            (_, Prefer::Forward) => Remedy::RollForward,
            (_, Prefer::Back | Prefer::Previous) if renewable => Remedy::RenewLease,
            (Strategy::SingleUser, Prefer::Back | Prefer::Previous) => Remedy::RestoreCurrent,
            (Strategy::AlternatingUsers, Prefer::Back | Prefer::Previous) if admin_reset => {
                Remedy::ResetByAdmin
            }
            (Strategy::AlternatingUsers, Prefer::Back | Prefer::Previous) => {
                Remedy::ManualInterventionRequired
            }
        },
        (Rejected, Pending::None | Pending::Empty | Pending::Copy | Pending::Value(Rejected))
            if renewable =>
        {
            Remedy::RenewLease
        }
        (Rejected, Pending::None | Pending::Empty | Pending::Copy | Pending::Value(Rejected)) => {
            match older {
                Some(Accepted) => Remedy::RestoreCurrent,
                Some(Unknown) => Remedy::Wait,
                Some(Rejected) if admin_reset => Remedy::ResetByAdmin,
                Some(Rejected) => Remedy::ManualInterventionRequired,
                None => Remedy::TryOlderPasswords,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERDICTS: [Verdict; 3] = [Verdict::Accepted, Verdict::Rejected, Verdict::Unknown];

    /// Every possible state.
    fn all() -> Vec<Findings> {
        let pendings = [Pending::None, Pending::Empty, Pending::Copy]
            .into_iter()
            .chain(VERDICTS.map(Pending::Value));
        let olders: Vec<_> = std::iter::once(None).chain(VERDICTS.map(Some)).collect();
        let mut all = Vec::new();
        for pending in pendings {
            for strategy in [Strategy::SingleUser, Strategy::AlternatingUsers] {
                for current in VERDICTS {
                    for older in olders.clone() {
                        all.extend([false, true].map(|admin_reset| Findings {
                            strategy,
                            current,
                            pending,
                            older,
                            admin_reset,
                            renewable: false,
                        }));
                    }
                }
            }
        }
        all
    }

    #[test]
    fn nothing_is_decided_on_ignorance() {
        for findings in all() {
            let unknown = findings.current == Verdict::Unknown
                || findings.pending == Pending::Value(Verdict::Unknown);
            for prefer in [Prefer::Forward, Prefer::Back] {
                let waits = decide(findings, prefer) == Remedy::Wait;
                let needs_older = findings.current == Verdict::Rejected
                    && findings.pending != Pending::Value(Verdict::Accepted);
                assert_eq!(
                    waits,
                    unknown || needs_older && findings.older == Some(Verdict::Unknown),
                    "{findings:?}"
                );
            }
        }
    }

    #[test]
    fn a_current_password_that_works_is_never_changed() {
        for findings in all().into_iter().filter(|findings| findings.current == Verdict::Accepted) {
            for prefer in [Prefer::Forward, Prefer::Back] {
                let remedy = decide(findings, prefer);
                assert!(
                    !matches!(remedy, Remedy::RestoreCurrent | Remedy::ResetByAdmin),
                    "{findings:?}: {remedy:?}"
                );
            }
        }
    }

    #[test]
    fn the_admin_is_asked_only_where_the_policy_allows_it() {
        for findings in all() {
            for prefer in [Prefer::Forward, Prefer::Back] {
                assert!(
                    findings.admin_reset || decide(findings, prefer) != Remedy::ResetByAdmin,
                    "{findings:?}"
                );
            }
        }
    }

    #[test]
    fn each_state_has_its_remedy() {
        use Pending::{Copy, Empty, None as NoPending, Value};
        use Strategy::{AlternatingUsers as Two, SingleUser as One};
        use Verdict::{Accepted as A, Rejected as R, Unknown as U};
        for (strategy, current, pending, older, admin_reset, forward, back) in [
            (One, A, NoPending, None, false, Remedy::Nothing, Remedy::Nothing),
            (Two, A, NoPending, None, true, Remedy::Nothing, Remedy::Nothing),
            (One, A, Empty, None, false, Remedy::RemovePendingLabel, Remedy::RemovePendingLabel),
            (One, A, Copy, None, false, Remedy::RemovePendingLabel, Remedy::RemovePendingLabel),
            (One, A, Value(R), None, false, Remedy::RemovePendingLabel, Remedy::RemovePendingLabel),
            (Two, A, Value(R), None, false, Remedy::RemovePendingLabel, Remedy::RemovePendingLabel),
            (Two, A, Value(A), None, false, Remedy::RollForward, Remedy::RemovePendingLabel),
            (
                One,
                A,
                Value(A),
                None,
                true,
                Remedy::ManualInterventionRequired,
                Remedy::ManualInterventionRequired,
            ),
            (One, R, Value(A), None, false, Remedy::RollForward, Remedy::RestoreCurrent),
            (
                Two,
                R,
                Value(A),
                None,
                false,
                Remedy::RollForward,
                Remedy::ManualInterventionRequired,
            ),
            (Two, R, Value(A), None, true, Remedy::RollForward, Remedy::ResetByAdmin),
            (One, R, Value(R), Some(A), false, Remedy::RestoreCurrent, Remedy::RestoreCurrent),
            (One, R, NoPending, Some(A), true, Remedy::RestoreCurrent, Remedy::RestoreCurrent),
            (One, R, Empty, Some(R), true, Remedy::ResetByAdmin, Remedy::ResetByAdmin),
            (
                One,
                R,
                Empty,
                Some(R),
                false,
                Remedy::ManualInterventionRequired,
                Remedy::ManualInterventionRequired,
            ),
            (Two, R, NoPending, None, true, Remedy::TryOlderPasswords, Remedy::TryOlderPasswords),
            (One, R, Value(R), None, false, Remedy::TryOlderPasswords, Remedy::TryOlderPasswords),
            (One, R, Copy, Some(U), true, Remedy::Wait, Remedy::Wait),
            (One, U, Value(A), None, true, Remedy::Wait, Remedy::Wait),
            (Two, A, Value(U), None, true, Remedy::Wait, Remedy::Wait),
        ] {
            let renewable = false;
            let findings = Findings { strategy, current, pending, older, admin_reset, renewable };
            assert_eq!(
                (decide(findings, Prefer::Forward), decide(findings, Prefer::Back)),
                (forward, back),
                "{findings:?}"
            );
        }
    }

    #[test]
    fn a_lease_is_renewed_where_nothing_else_is_wrong_and_where_it_is_what_is_wrong() {
        for findings in all() {
            let renewable = Findings { renewable: true, ..findings };
            for prefer in [Prefer::Forward, Prefer::Back] {
                let (before, after) = (decide(findings, prefer), decide(renewable, prefer));
                let expected = match (findings.current, findings.pending) {
                    // AWSCURRENT is refused: before older passwords, and before the admin.
                    (Verdict::Accepted, Pending::None) | (Verdict::Rejected, _)
                        if before != Remedy::RollForward
                            && findings.pending != Pending::Value(Verdict::Unknown) =>
                    {
                        Remedy::RenewLease
                    }
                    _ => before,
                };
                assert_eq!(after, expected, "{findings:?} {prefer:?}");
            }
        }
    }
}
