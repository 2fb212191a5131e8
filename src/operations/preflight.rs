//! `preflight`: tries everything that a rotation needs, check by check, and changes nothing.

use std::time::{Instant, SystemTime};

use super::checks::Checks;
use super::operation_result::OperationResult;
use crate::context::{Context, TIME_TO_CHANGE};
use crate::database::progress::Part;
use crate::database::{Database, Login, Purpose, Session};
use crate::error::{DatabaseFault, RotationFault};
use crate::policy::Strategy;
use crate::report::{Details, PreflightCheck};
use crate::rotation::lock::Changer;
use crate::rotation::pair::script::Script;
use crate::rotation::pair::{equality, owner_role};
use crate::rotation::rehearsal::Rehearsal;
use crate::rotation::storage::storage;
use crate::rotation::{Rotation, admin, labels, requirements, timing};
use crate::secret::credentials::Credentials;
use crate::secret::store::{self, VersionSelector};
use crate::steps::set_secret::alternating_users::Turn;

const ADMIN: &str = "login with the admin secret";
const WAY_BACK_NOT_TRIED: &str = "Not tried: whether the server takes AWSCURRENT's password once \
    more. Its log may hold a password that is sent in clear. setSecret tries it.";
/// The number of differences between two users that a check names.
const EXAMPLES: u32 = 10;

/// Never fails: a failure is a check that did not pass.
pub(super) async fn run(context: &Context<'_>, secret: &str, fix: bool) -> OperationResult {
    let script = fix.then(Script::default);
    let mut checks = Checks { list: Vec::new(), script, admin: None };
    let rotation = check_secret(context, secret, &mut checks).await;
    if let Some(rotation) = &rotation {
        check_database(context, rotation, &mut checks).await;
    }
    let failed = checks.list.iter().find(|check| !check.passed);
    let message = match failed {
        None => "A rotation has all that it needs. Nothing was changed.".to_owned(),
        Some(PreflightCheck { check, message, .. }) => {
            let reason = message.as_deref().unwrap_or_default();
            format!("A rotation would fail: {check}. {reason} Nothing was changed.")
        }
    };
    let (ready, script) = (failed.is_none(), checks.script.map(Script::into_text));
    let details = Details::Preflight { ready, checks: checks.list, script };
    OperationResult { strategy: rotation.map(|rotation| rotation.strategy), message, details }
}

/// Checks Secrets Manager: every call of a rotation, the labels, the value and the policy.
async fn check_secret(
    context: &Context<'_>,
    secret: &str,
    checks: &mut Checks,
) -> Option<Rotation> {
    let store = &context.store;
    let description = checks.run("secretsmanager:DescribeSecret", store.describe(secret)).await?;
    let ready = labels::may_rotate(&description).and_then(|()| labels::at_rest(&description));
    checks.decide("labels", ready.map_err(|fault| fault.of(secret)));
    let current = async {
        let current = store.read(secret, VersionSelector::Stage(store::CURRENT)).await?;
        current.ok_or_else(|| RotationFault::NoCurrent.of(secret))
    };
    let current = checks.run("secretsmanager:GetSecretValue", current).await?;
    let rotation = Rotation::of(context.config, current.clone(), "");
    // This fails if the policy forbids what the value asks for, such as plaintext. It also fails if
    // the value holds the password twice.
    let rotation = rotation.and_then(|rotation| {
        rotation.database(context, &rotation.current)?;
        rotation.next_value(&rotation.new_password(context)?)?;
        Ok(rotation)
    });
    let rotation = checks.decide("value and policy", rotation)?;
    checks.remark(rotation.warnings().join(" "));
    let fits = timing::check(&rotation, &description, SystemTime::now());
    if rotation.policy.lease.is_some() || fits.is_err() {
        checks.decide("lease and overlap", fits);
    }
    // Writes nothing to a secret that is being rotated.
    if description.under_way().is_none() {
        checks.run("secretsmanager:PutSecretValue", store.try_put(secret, &current)).await;
        let moved = store.try_move(secret, &current.id);
        checks.run("secretsmanager:UpdateSecretVersionStage", moved).await;
    }
    let listed = store.earlier_versions(secret);
    checks.run("secretsmanager:ListSecretVersionIds", listed).await;
    Some(rotation)
}

/// Checks the database: the connection, the login, what is declared, and the right to change the
/// password.
async fn check_database(
    context: &Context<'_>,
    rotation: &Rotation,
    checks: &mut Checks,
) -> Option<()> {
    let database = rotation.database(context, &rotation.current).ok()?;
    let session = check_login(rotation, &database, checks).await?;
    let standing = session.standing().await;
    let standing = standing
        .and_then(|standing| requirements::ensure_direct(&session, &standing).map(|()| standing));
    let standing = checks.need("session as the application", standing)?;
    if requirements::declared(rotation) {
        let declared = async {
            requirements::check(rotation, &session, &standing).await?.complete(&session).map(drop)
        };
        checks.run("declared grants and probes", declared).await;
    }
    if let Err(error) = session.apply_admin_settings().await {
        checks.need::<()>("settings of the session", Err(error));
    } else {
        checks.remark(rotation.expiring(context, &session).await.join(" "));
        checks.remark(rotation.copies(&session).await.join(" "));
        match rotation.strategy {
            Strategy::SingleUser => check_single_user(context, rotation, &session, checks).await,
            Strategy::AlternatingUsers => {
                check_alternating_users(context, rotation, &session, checks).await
            }
        };
        if let Some(script) = &mut checks.script {
            let admin = checks.admin.as_deref();
            if let Err(error) = owner_role::script(rotation, &session, admin, script).await {
                script.advice(None, &error.to_string());
            }
        }
    }
    session.close().await;
    Some(())
}

async fn check_login(
    rotation: &Rotation,
    database: &Database<'_>,
    checks: &mut Checks,
) -> Option<Session> {
    let Credentials { username, password, .. } = &rotation.current.credentials;
    let (operation, purpose) = (name(Part::Login), Purpose::Application);
    let (login, progress) = database.watched_login(operation, username, password, purpose).await;
    let (parts, last) = progress.into_parts();
    let on_the_way = [Part::Dns, Part::Tcp, Part::Tls]
        .into_iter()
        .filter(|part| *part != Part::Tls || database.target.encrypted());
    let mut failed_at = Part::Login;
    for part in on_the_way {
        let Some((_, took)) = parts.iter().find(|(reached, _)| *reached == part) else {
            failed_at = part;
            break;
        };
        checks.note(name(part), *took, Ok(()));
    }
    let took = parts.iter().find(|(part, _)| *part == Part::Login).map_or(last, |(_, took)| *took);
    let session = checks.note(name(failed_at), took, login.and_then(Login::accepted));
    checks.remark_slow(database.slow_logins);
    session
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Dns => "DNS",
        Part::Tcp => "TCP",
        Part::Tls => "TLS",
        Part::Login => "login with AWSCURRENT",
    }
}

async fn check_single_user(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    checks: &mut Checks,
) -> Option<()> {
    let left = context.deadline.remaining(TIME_TO_CHANGE);
    if left < TIME_TO_CHANGE {
        let detail =
            format!("{} s are left, and {} s are needed", left.as_secs(), TIME_TO_CHANGE.as_secs());
        let error = session.error("changing the password", DatabaseFault::TooLittleTime, detail);
        checks.need::<()>("the function's time-out", Err(error))?;
    }
    let password = checks.need("new password", rotation.new_password(context))?;
    let started = Instant::now();
    let right = "right to change the password (tried and rolled back)";
    let prepared = async {
        let storage = storage(rotation, session).await?;
        Ok((storage, session.lock(rotation.lock_name()).await?))
    };
    let (storage, lock) = checks.need(right, prepared.await)?;
    // AWSCURRENT's own password is not sent: with `cleartext`, the server's log could hold it.
    let rehearsal = Rehearsal { throwaway: &password, storage, way_back: false };
    let by_role = rehearsal.run(rotation, Changer::role(&lock)).await;
    let has_admin = rotation.admin_secret().is_some();
    let denied =
        matches!(&by_role, Err(error) if error.is_database(DatabaseFault::PermissionDenied));
    // The admin sets the password if the role may not, and if it is lost (`admin_reset`).
    let by_admin = denied && has_admin;
    checks.note(right, started.elapsed(), if by_admin { Ok(()) } else { by_role })?;
    if storage.cleartext {
        checks.remark(WAY_BACK_NOT_TRIED.to_owned());
    }
    if by_admin {
        checks.remark("The role may not change its own password, so the admin does it.".to_owned());
    } else if !has_admin || !rotation.policy.admin_reset {
        return Some(());
    }
    let proof = Some(session).filter(|_| by_admin);
    let admin = checks.run(ADMIN, admin::session(context, rotation, proof)).await?;
    checks.remark_slow(context.slow_logins);
    let by_admin = rehearsal.run(rotation, Changer::admin(&lock, &admin));
    let changed = async { by_admin.await.map_err(|error| admin::lacks_right(rotation, error)) };
    let right = "the admin's right to change the password (tried and rolled back)";
    checks.run(right, changed).await;
    admin.close().await;
    Some(())
}

async fn check_alternating_users(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    checks: &mut Checks,
) -> Option<()> {
    let password = &checks.need("new password", rotation.new_password(context))?;
    let admin = checks.run(ADMIN, admin::session(context, rotation, Some(session))).await?;
    checks.remark_slow(context.slow_logins);
    checks.admin = Some(admin.role().to_owned());
    let next_user = &rotation.next_username;
    let right = format!("the admin's right to prepare {next_user:?} (tried and rolled back)");
    let examples = if checks.script.is_some() { equality::IN_A_SCRIPT } else { EXAMPLES };
    let changed = async {
        let storage = storage(rotation, session).await?;
        let lock = session.lock(rotation.lock_name()).await?;
        let turn = Turn { rotation, host: session.host(), password, storage };
        let rehearsed = turn.rehearse(Changer::admin(&lock, &admin), examples).await;
        let _ = lock.release().await;
        rehearsed.map_err(|error| admin::lacks_right(rotation, error))
    };
    let rehearsed = checks.run(&right, changed).await;
    admin.close().await;
    let (plan, parity) = rehearsed?;
    checks.remark(plan.warnings.join(" "));
    let (version, host, started) = (&rotation.current, session.host(), Instant::now());
    let compared =
        equality::in_databases(context, rotation, session, version, parity, examples).await;
    if let (Some(script), Ok(equality)) = (&mut checks.script, &compared) {
        equality.script(script);
    }
    let equal = compared.and_then(|equality| {
        equality.acts_as_the_owner(rotation, host)?;
        equality.can_do_as_much(&version.credentials.username, host, EXAMPLES)?;
        Ok(equality.warnings())
    });
    let can = format!("what {next_user:?} can do (compared after that, and rolled back)");
    let warnings = checks.note(&can, started.elapsed(), equal)?;
    checks.remark(warnings.join(" "));
    Some(())
}
