//! What a finding means and what puts it right, in words for a person.

use postgres_protocol::escape::escape_identifier;

use super::health::{Cause, Facts, Finding, RotationSetting};
use crate::report::Timestamp;
use crate::secret::store::Description;

/// The module's default name for the function. `tools/rotation` asks it by default.
const DEFAULT_FUNCTION: &str = "postgres-secret-rotation";

/// Why the secret is in its state, and what to do. `seen` is the look's own reason.
pub(super) fn reason(finding: &Finding, facts: &Facts, role: Option<&str>, seen: &str) -> String {
    let since = finding.since.map(|since| Timestamp(since).to_string()).unwrap_or_default();
    let role = role.unwrap_or_default();
    let statement = format!(
        "As an admin, run ALTER ROLE {} VALID UNTIL 'infinity', or set a later date.",
        escape_identifier(role)
    );
    match finding.cause {
        Cause::InOrder => "It is in order.".to_owned(),
        Cause::Managed => "Another service manages and rotates it.".to_owned(),
        Cause::Refused => {
            "The database refuses the password of AWSCURRENT: applications cannot log in with it. \
             It refused twice, and AWSCURRENT did not move."
                .to_owned()
        }
        Cause::Expired => format!(
            "Role {role:?} is past its VALID UNTIL, so the server refuses every password. \
             {statement}"
        ),
        Cause::UnderWay => {
            let since = if since.is_empty() { String::new() } else { format!(" since {since}") };
            format!(
                "A rotation began and has not ended{since}. Secrets Manager begins no other one \
                 until it ends."
            )
        }
        Cause::WindowPassed => format!("The last moment for its next rotation was {since}."),
        Cause::StoredByHand => {
            let at = facts.stored_by_hand.map(Timestamp);
            let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
            format!(
                "A person stored its value{at}. By its schedule, a rotation was due at {since}, \
                 and none has ended since."
            )
        }
        Cause::LoginFailed | Cause::NotLookedAt | Cause::LeaseDue | Cause::LeaseEnded => {
            seen.to_owned()
        }
        Cause::Expires => {
            let at = facts.expires.map(|end| Timestamp(end.date).to_string()).unwrap_or_default();
            format!("The password of role {role:?} ends at {at}, its VALID UNTIL. {statement}")
        }
        Cause::SwitchedOff => "Rotation is switched off.".to_owned(),
        Cause::OtherFunction => "Secrets Manager rotates it with another function.".to_owned(),
        Cause::NoFunction => "Nothing rotates it.".to_owned(),
        Cause::NeverRotated => "Rotation is on, and no rotation has ended yet.".to_owned(),
        Cause::CurrentMoved => {
            "AWSCURRENT moved while it was looked at. The next look shows how it is.".to_owned()
        }
    }
}

/// The command that puts it right, if there is one.
pub(super) fn command(
    finding: &Finding,
    described: &Description,
    function_arn: &str,
    wanted_here: bool,
) -> Option<String> {
    let secret = name_for_a_shell(described);
    let asked = |operation: &str| Some(ask(operation, secret, function_arn));
    match finding.cause {
        Cause::InOrder | Cause::Managed | Cause::Expired | Cause::Expires => None,
        Cause::Refused | Cause::UnderWay | Cause::LeaseEnded => asked("recover"),
        Cause::LoginFailed => asked("preflight"),
        Cause::NotLookedAt | Cause::CurrentMoved => asked("status"),
        Cause::WindowPassed
        | Cause::StoredByHand
        | Cause::SwitchedOff
        | Cause::NeverRotated
        | Cause::LeaseDue => {
            // Secrets Manager calls the secret's own function.
            Some(format!("tools/rotation rotate {secret} --via secrets-manager"))
        }
        // Another function rotates it. Only the policy can want it here.
        Cause::OtherFunction if !wanted_here => None,
        Cause::OtherFunction | Cause::NoFunction => {
            let arn = function_arn.split(':').take(7).collect::<Vec<_>>().join(":");
            // Its own schedule stays.
            let rules = if described.scheduled {
                ""
            } else {
                " --rotation-rules AutomaticallyAfterDays=30"
            };
            Some(format!(
                "aws secretsmanager rotate-secret --secret-id {secret} --rotation-lambda-arn \
                 {arn}{rules}"
            ))
        }
    }
}

/// The command that shows more of a secret that could not be described.
pub(super) fn look_again(id: &str, function_arn: &str) -> Option<String> {
    (!id.starts_with('-')).then(|| ask("status", id, function_arn))
}

fn ask(operation: &str, secret: &str, function_arn: &str) -> String {
    let function = function_name(function_arn).filter(|name| *name != DEFAULT_FUNCTION);
    let function = function.map(|name| format!(" --function {name}")).unwrap_or_default();
    format!("tools/rotation {operation} {secret}{function}")
}

/// The secret's name, or its ARN where a command would take the name for an option.
fn name_for_a_shell(described: &Description) -> &str {
    if described.name.is_empty() || described.name.starts_with('-') {
        &described.arn
    } else {
        &described.name
    }
}

fn function_name(arn: &str) -> Option<&str> {
    arn.split(':').nth(6).filter(|name| !name.is_empty())
}

/// What the secret's description says of its rotation.
pub(super) fn setting(described: &Description, here: bool) -> RotationSetting {
    if described.owning_service.is_some() {
        return RotationSetting::Managed;
    }
    match (described.rotation_enabled == Some(true), here, &described.function) {
        (true, true, _) => RotationSetting::Here,
        (false, true, _) => RotationSetting::Off,
        (true, false, Some(_)) => RotationSetting::Elsewhere,
        (_, false, _) => RotationSetting::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Health;

    const HERE: &str = "arn:aws:lambda:eu-central-1:1:function:postgres-secret-rotation:live";

    fn described(name: &str) -> Description {
        Description {
            arn: "arn:aws:secretsmanager:eu-central-1:1:secret:x-AbCdEf".to_owned(),
            name: name.to_owned(),
            ..Description::default()
        }
    }

    fn command_for(cause: Cause, described: &Description, function: &str) -> Option<String> {
        let finding = Finding { state: Health::Ok, since: None, cause };
        command(&finding, described, function, false)
    }

    #[test]
    fn each_cause_has_the_command_that_puts_it_right() {
        let via = "tools/rotation rotate shop/app --via secrets-manager";
        for (cause, expected) in [
            (Cause::InOrder, None),
            (Cause::Managed, None),
            (Cause::Refused, Some("tools/rotation recover shop/app")),
            (Cause::Expired, None),
            (Cause::UnderWay, Some("tools/rotation recover shop/app")),
            (Cause::WindowPassed, Some(via)),
            (Cause::StoredByHand, Some(via)),
            (Cause::LoginFailed, Some("tools/rotation preflight shop/app")),
            (Cause::Expires, None),
            (Cause::LeaseEnded, Some("tools/rotation recover shop/app")),
            (Cause::LeaseDue, Some(via)),
            (Cause::SwitchedOff, Some(via)),
            (Cause::OtherFunction, None),
            (
                Cause::NoFunction,
                Some(
                    "aws secretsmanager rotate-secret --secret-id shop/app --rotation-lambda-arn \
                     arn:aws:lambda:eu-central-1:1:function:postgres-secret-rotation \
                     --rotation-rules AutomaticallyAfterDays=30",
                ),
            ),
            (Cause::NeverRotated, Some(via)),
            (Cause::CurrentMoved, Some("tools/rotation status shop/app")),
            (Cause::NotLookedAt, Some("tools/rotation status shop/app")),
        ] {
            let command = command_for(cause, &described("shop/app"), HERE);
            assert_eq!(command.as_deref(), expected, "{cause:?}");
        }
    }

    #[test]
    fn a_command_fits_the_secret_and_the_function() {
        let other = HERE.replace("postgres-secret-rotation", "shop");
        let command = command_for(Cause::Refused, &described("shop/app"), &other).unwrap();
        assert_eq!(command, "tools/rotation recover shop/app --function shop");
        assert_eq!(look_again("a", &other).unwrap(), "tools/rotation status a --function shop");
        let command = command_for(Cause::Refused, &described("-x"), HERE).unwrap();
        assert!(command.ends_with("recover arn:aws:secretsmanager:eu-central-1:1:secret:x-AbCdEf"));
        let scheduled = Description { scheduled: true, ..described("shop/app") };
        let command = command_for(Cause::NoFunction, &scheduled, HERE).unwrap();
        assert!(!command.contains("--rotation-rules"), "its own schedule stays: {command}");
        let finding = Finding { state: Health::Disabled, since: None, cause: Cause::OtherFunction };
        let wanted = super::command(&finding, &scheduled, HERE, true);
        assert!(wanted.unwrap().starts_with("aws secretsmanager rotate-secret"));
    }

    #[test]
    fn the_setting_is_that_of_the_secret() {
        let of = |enabled, function: Option<&str>, owner: Option<&str>| Description {
            rotation_enabled: enabled,
            function: function.map(str::to_owned),
            owning_service: owner.map(str::to_owned),
            ..described("x")
        };
        for (secret, here, expected) in [
            (of(Some(true), Some("f"), None), true, RotationSetting::Here),
            (of(Some(false), Some("f"), None), true, RotationSetting::Off),
            (of(None, Some("f"), None), true, RotationSetting::Off),
            (of(Some(true), Some("g"), None), false, RotationSetting::Elsewhere),
            (of(Some(false), Some("g"), None), false, RotationSetting::Nowhere),
            (of(None, None, None), false, RotationSetting::Nowhere),
            (of(Some(true), None, Some("rds")), false, RotationSetting::Managed),
        ] {
            assert_eq!(setting(&secret, here), expected, "{secret:?}");
        }
    }
}
