//! The two decisions of a promotion, after the proof and after the move: pure functions.

/// The result of a login with the new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The server accepted the password. It may have refused the session afterwards: no connection
    /// left, no right to connect, NOLOGIN.
    Accepted,
    /// 28P01, or `pg_hba.conf` refuses the way in which the password would be checked.
    Refused,
    /// Every other failure, which says nothing about the password.
    Unknown,
}

/// What to do after a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterProof {
    Move,
    TryAgain,
    /// The new password does not work: restore the old one and fail.
    Restore,
    /// Whether the new password works is unknown, and the old one worked in this invocation.
    RestoreAndRetry,
}

pub(super) fn after_proof(proof: Proof, time_left: bool) -> AfterProof {
    match (proof, time_left) {
        (Proof::Accepted, _) => AfterProof::Move,
        (Proof::Refused, _) => AfterProof::Restore,
        (Proof::Unknown, true) => AfterProof::TryAgain,
        (Proof::Unknown, false) => AfterProof::RestoreAndRetry,
    }
}

/// The result of the request to move AWSCURRENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// AWSCURRENT is on the new version, by this call or another.
    Moved,
    /// Secrets Manager refused, and AWSCURRENT did not move.
    Refused,
    /// No answer, or one that does not say whether AWSCURRENT moved.
    Unanswered,
    /// AWSCURRENT is on a third version.
    OnThirdVersion,
}

/// What to do after that request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterMove {
    Done,
    /// Restore the old password and fail.
    Restore,
    /// Send the compare-and-swap again. It changes nothing if the first one took effect.
    Repeat,
    /// The move may still take effect, so the password must stay. A retry finishes.
    LeaveToRetry,
    /// Set the password that applications read now.
    FollowThirdVersion,
}

/// `unanswered_before` means that an earlier request may still take effect.
pub(super) fn after_move(moved: Move, unanswered_before: bool, time_left: bool) -> AfterMove {
    match (moved, unanswered_before, time_left) {
        (Move::Moved, ..) => AfterMove::Done,
        (Move::OnThirdVersion, ..) => AfterMove::FollowThirdVersion,
        (Move::Refused, false, _) => AfterMove::Restore,
        (Move::Refused, true, true) | (Move::Unanswered, _, true) => AfterMove::Repeat,
        (Move::Refused, true, false) | (Move::Unanswered, _, false) => AfterMove::LeaveToRetry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_proof_has_one_consequence() {
        for (proof, time_left, expected) in [
            (Proof::Accepted, true, AfterProof::Move),
            (Proof::Accepted, false, AfterProof::Move),
            (Proof::Refused, true, AfterProof::Restore),
            (Proof::Refused, false, AfterProof::Restore),
            (Proof::Unknown, true, AfterProof::TryAgain),
            (Proof::Unknown, false, AfterProof::RestoreAndRetry),
        ] {
            assert_eq!(after_proof(proof, time_left), expected, "{proof:?} {time_left}");
        }
    }

    #[test]
    fn each_answer_to_the_move_has_one_consequence() {
        for (moved, before, time_left, expected) in [
            (Move::Moved, false, true, AfterMove::Done),
            (Move::Moved, true, false, AfterMove::Done),
            (Move::OnThirdVersion, false, true, AfterMove::FollowThirdVersion),
            (Move::OnThirdVersion, true, false, AfterMove::FollowThirdVersion),
            (Move::Refused, false, true, AfterMove::Restore),
            (Move::Refused, false, false, AfterMove::Restore),
            (Move::Refused, true, true, AfterMove::Repeat),
            (Move::Refused, true, false, AfterMove::LeaveToRetry),
            (Move::Unanswered, false, true, AfterMove::Repeat),
            (Move::Unanswered, false, false, AfterMove::LeaveToRetry),
            (Move::Unanswered, true, true, AfterMove::Repeat),
            (Move::Unanswered, true, false, AfterMove::LeaveToRetry),
        ] {
            let decided = after_move(moved, before, time_left);
            assert_eq!(decided, expected, "{moved:?} {before} {time_left}");
        }
    }

    #[test]
    fn the_database_never_goes_back_while_the_move_may_take_effect() {
        for moved in [Move::Moved, Move::Refused, Move::Unanswered] {
            for time_left in [true, false] {
                assert_ne!(after_move(moved, true, time_left), AfterMove::Restore);
            }
        }
    }
}
