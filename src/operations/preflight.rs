//! `preflight`: tries everything that a rotation will need, hop by hop, and changes nothing.

use std::time::{Duration, Instant};

use crate::database::progress::{Part, Progress};
use crate::database::role::{self, Standing};
use crate::database::{Database, Login, Purpose, Session};
use crate::error::{DatabaseFault, Error, RotationFault};
use crate::event::Operation;
use crate::policy::Strategy;
use crate::report::{Details, Hop, OperationReport};
use crate::rotation::create_secret::new_password;
use crate::rotation::set_secret::{alternating_users, single_user};
use crate::rotation::{Context, Rotation, admin, labels, requirements};
use crate::secret::store::{self, Which};

const UNCHANGED: &str = "Nothing was changed.";
const ADMIN: &str = "admin secret, and its login";

/// Never fails itself: what failed is a hop.
pub(super) async fn run(context: &Context<'_>, operation: &Operation) -> OperationReport {
    let mut hops = Hops(Vec::new());
    let rotation = secret(context, &operation.secret_id, &mut hops).await;
    if let Some(rotation) = &rotation {
        database(context, rotation, &mut hops).await;
    }
    let failed = hops.0.iter().find(|hop| !hop.passed);
    let message = match failed {
        None => match rotation.as_ref().map(|rotation| rotation.strategy) {
            // It cannot be known before the next user is ready, which takes a rotation.
            Some(Strategy::AlternatingUsers) => {
                "A rotation can begin. Whether the next user can do all that the current one can, \
                 testSecret finds out before AWSCURRENT moves. Nothing was changed."
            }
            _ => "A rotation has all that it needs. Nothing was changed.",
        }
        .to_owned(),
        Some(Hop { hop, message, .. }) => {
            // Some errors say so themselves.
            let reason =
                message.as_deref().unwrap_or_default().trim_end_matches(UNCHANGED).trim_end();
            format!("A rotation would fail: {hop}. {reason} {UNCHANGED}")
        }
    };
    let details = Details::Preflight { ready: failed.is_none(), hops: hops.0 };
    operation.report(rotation.map(|rotation| rotation.strategy), message, details)
}

/// Secrets Manager: every call that a rotation makes, the labels, and what the secret and its
/// policy say.
async fn secret(context: &Context<'_>, secret: &str, hops: &mut Hops) -> Option<Rotation> {
    let fault = |fault| Error::Rotation { secret: secret.to_owned(), fault };
    let description =
        hops.run("secretsmanager:DescribeSecret", context.store.describe(secret)).await?;
    let ready = labels::may_rotate(&description).and_then(|()| labels::at_rest(&description));
    hops.note("labels", Duration::ZERO, ready.map_err(fault));
    let current = async {
        context
            .store
            .read(secret, Which::Stage(store::CURRENT))
            .await?
            .ok_or_else(|| fault(RotationFault::NoCurrent))
    };
    let current = hops.run("secretsmanager:GetSecretValue", current).await?;
    let rotation = Rotation::of(context.config, current.clone(), "");
    // It refuses what the policy does not allow, such as plaintext.
    let rotation = rotation.and_then(|rotation| {
        rotation.database(context, &rotation.current).map(drop).map(|()| rotation)
    });
    let rotation = hops.note("value and policy", Duration::ZERO, rotation)?;
    // Nothing is written to a secret that is being rotated.
    if description.under_way().is_none() {
        hops.run("secretsmanager:PutSecretValue", context.store.try_put(secret, &current)).await;
        hops.run(
            "secretsmanager:UpdateSecretVersionStage",
            context.store.try_move(secret, &current.id),
        )
        .await;
    }
    hops.run("secretsmanager:ListSecretVersionIds", context.store.unlabelled_versions(secret))
        .await;
    Some(rotation)
}

/// The database: the way there, the login, what is declared, and the right to change what has to be
/// changed.
async fn database(context: &Context<'_>, rotation: &Rotation, hops: &mut Hops) -> Option<()> {
    let database = rotation.database(context, &rotation.current).ok()?;
    let address = database.target.address();
    let session = login(rotation, &database, hops).await?;
    if requirements::declared(rotation) {
        let declared = async {
            let standing: Standing = role::standing(&session).await?;
            requirements::check(rotation, &session, &standing)
                .await?
                .into_error(&session, &address, "")
                .map(drop)
        };
        hops.run("declared grants and probes", declared).await;
    }
    match (role::administer(&session).await, rotation.strategy) {
        (Err(error), _) => drop(hops.need::<()>("leaving the application's settings", Err(error))),
        (Ok(()), Strategy::SingleUser) => drop(one_user(context, rotation, &session, hops).await),
        (Ok(()), Strategy::AlternatingUsers) => {
            drop(two_users(context, rotation, &session, &address, hops).await)
        }
    }
    session.close().await;
    Some(())
}

async fn login(rotation: &Rotation, database: &Database<'_>, hops: &mut Hops) -> Option<Session> {
    let current = &rotation.current.credentials;
    let attempt = database
        .watched_login(
            "login with AWSCURRENT",
            &current.username,
            &current.password,
            Purpose::Application,
        )
        .await;
    let (login, progress): (Result<Login, Error>, Progress) = attempt;
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
        hops.note(name(part), *took, Ok(()));
    }
    let took = parts.iter().find(|(part, _)| *part == Part::Login).map_or(last, |(_, took)| *took);
    let session = match login {
        Ok(Login::Accepted(session)) => Ok(session),
        Ok(Login::Rejected(error)) | Err(error) => Err(error),
    };
    hops.note(name(failed_at), took, session)
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Dns => "DNS",
        Part::Tcp => "TCP",
        Part::Tls => "TLS",
        Part::Login => "login with AWSCURRENT",
    }
}

async fn one_user(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    hops: &mut Hops,
) -> Option<()> {
    const RIGHT: &str = "right to change the password (tried, and rolled back)";
    let password = hops.need("new password", new_password(context, rotation))?;
    let started = Instant::now();
    let own = single_user::rehearse(rotation, session, session, &password).await;
    let has_admin = admin::secret(rotation).is_some();
    let denied = matches!(&own, Err(error) if error.is_database(DatabaseFault::PermissionDenied));
    // The admin sets the password where the role may not, and where the role has none that anybody
    // knows.
    let proof = if denied && has_admin {
        hops.note(RIGHT, started.elapsed(), role::roll_back(session).await)?;
        hops.remark("the role may not change its own password: the admin does it".to_owned());
        Some(session)
    } else {
        hops.note(RIGHT, started.elapsed(), own)?;
        None
    };
    if !has_admin || proof.is_none() && !rotation.policy.admin_reset {
        return Some(());
    }
    let admin = hops.run(ADMIN, admin::session(context, rotation, proof)).await?;
    let changed = async {
        single_user::rehearse(rotation, session, &admin, &password)
            .await
            .map_err(admin::lacks_right)
    };
    hops.run("the admin's right to change the password (tried, and rolled back)", changed).await;
    admin.close().await;
    Some(())
}

async fn two_users(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    host: &str,
    hops: &mut Hops,
) -> Option<()> {
    let password = hops.need("new password", new_password(context, rotation))?;
    let admin = hops.run(ADMIN, admin::session(context, rotation, Some(session))).await?;
    let hop = format!(
        "the admin's right to make {:?} ready (tried, and rolled back)",
        rotation.next_username
    );
    if let Some(warnings) = hops
        .run(&hop, alternating_users::rehearse(rotation, session, &admin, host, &password))
        .await
    {
        hops.remark(warnings.join(" "));
    }
    admin.close().await;
    Some(())
}

/// What was tried, in its order.
struct Hops(Vec<Hop>);

impl Hops {
    /// Tries something and takes its time; what it gives, if it was passed.
    async fn run<T>(
        &mut self,
        hop: &str,
        attempt: impl Future<Output = Result<T, Error>>,
    ) -> Option<T> {
        let started = Instant::now();
        let result = attempt.await;
        self.note(hop, started.elapsed(), result)
    }

    fn note<T>(&mut self, hop: &str, duration: Duration, result: Result<T, Error>) -> Option<T> {
        let (message, error_kind) = match &result {
            Ok(_) => (None, None),
            Err(error) => (Some(error.to_string()), Some(error.kind())),
        };
        self.0.push(Hop {
            hop: hop.to_owned(),
            passed: result.is_ok(),
            duration,
            message,
            error_kind,
        });
        result.ok()
    }

    /// What is no hop unless it fails.
    fn need<T>(&mut self, hop: &str, result: Result<T, Error>) -> Option<T> {
        if result.is_err() { self.note(hop, Duration::ZERO, result) } else { result.ok() }
    }

    /// Something to know about the last hop, which was passed.
    fn remark(&mut self, message: String) {
        if let Some(hop) = self.0.last_mut() {
            hop.message = Some(message).filter(|message| !message.is_empty());
        }
    }
}
