//! `monitor`: looks at every secret that this function rotates, and says which are not in order.
//!
//! A look tries AWSCURRENT once, and once more after a refusal, and no other password of the
//! secret. It changes nothing. With `"Retire"` it ends previous credentials where the policy names
//! `retire_after`.

mod admins;
mod advice;
mod health;
mod leases;
mod listing;
mod look;
mod retiring;
mod sight;
mod twins;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use self::admins::Admins;
use self::listing::ChosenSecrets;
use self::look::{Look, look};
use crate::context::Context;
use crate::error::Error;
use crate::event::{Choice, MonitorRequest, Portion};
use crate::report::{Counts, FleetReport, Health, SecretHealth};

/// The secrets that are looked at at the same time. Each holds one connection to a database and
/// some 100 KB.
const AT_ONCE: usize = 20;
/// The time that must be left to begin another look. A login then waits for half of it.
const TIME_FOR_A_LOOK: Duration = Duration::from_secs(12);
/// The most secrets in one answer, which may have 6 MB.
const MOST_IN_AN_ANSWER: usize = 2_000;

/// Looks at the secrets that the request names, as far as the time allows.
///
/// # Errors
/// [`Error::SecretsManager`] if the secrets cannot be listed. A secret that cannot be looked at is
/// no error: it is in the report.
pub(crate) async fn run(
    context: &Context<'_>,
    request: &MonitorRequest,
) -> Result<FleetReport, Error> {
    let started = Instant::now();
    let chosen = listing::choose(context, request).await?;
    // A schedule passes no token on, so one run has to look at its whole part.
    let is_part = matches!(request.portion, Portion::Part { .. });
    let most = if is_part { usize::MAX } else { MOST_IN_AN_ANSWER };
    let (mut looked, left) = look_at(context, request, &chosen, most).await;
    twins::warn(&mut looked);
    let mut secrets: Vec<_> = looked.into_iter().map(|looked| looked.health).collect();
    let mut next_token = None;
    let left_out = if is_part { left.len() } else { 0 };
    if is_part {
        let without_time = |id| without_time(id, context.function_arn);
        secrets.extend(left.into_iter().map(without_time));
    } else if let Some(first) = left.first() {
        next_token = chosen.range(..first.clone()).next_back().map(|(id, _)| id.clone());
    }
    secrets.sort_by(|a, b| (b.state, &a.secret_id).cmp(&(a.state, &b.secret_id)));
    let counts = Counts::of(secrets.iter());
    let shown = |secret: &SecretHealth| request.all || secret.state != Health::Ok;
    let (mut secrets, mut not_shown): (Vec<_>, Vec<_>) = secrets.into_iter().partition(shown);
    not_shown.extend(secrets.drain(secrets.len().min(MOST_IN_AN_ANSWER)..));
    Ok(FleetReport {
        operation: MonitorRequest::NAME,
        message: message(&counts, &not_shown, left_out, next_token.is_some()),
        counts,
        secrets,
        not_shown,
        next_token,
        refused_logins: context.refused_logins.so_far(),
        duration: started.elapsed(),
        whole_fleet: request.choice == Choice::Fleet,
        left_out,
    })
}

/// Looks at the first `most` of these secrets, in order and some at a time. The second value has
/// those that no time was left for.
async fn look_at(
    context: &Context<'_>,
    request: &MonitorRequest,
    chosen: &ChosenSecrets,
    most: usize,
) -> (Vec<Look>, BTreeSet<String>) {
    let admins = Admins::default();
    let admins = &admins;
    let (mut waiting, mut running) =
        (chosen.iter().take(most).enumerate(), FuturesUnordered::new());
    let mut looked = Vec::new();
    let mut left: BTreeSet<String> = chosen.keys().skip(most).cloned().collect();
    loop {
        while running.len() < AT_ONCE {
            let Some((number, (id, listed))) = waiting.next() else { break };
            // The first ones always begin, so that each invocation makes progress.
            let is_first = number < AT_ONCE;
            if !is_first && !context.deadline.leaves(TIME_FOR_A_LOOK) {
                left.insert(id.clone());
                continue;
            }
            // Boxed: a look is a large future.
            running.push(Box::pin(async move {
                let mut looked = look(context, admins, id, listed.as_deref(), request.every).await;
                if request.retire && looked.may_retire {
                    retiring::retire(context, &mut looked.health).await;
                }
                (id, is_first, looked)
            }));
        }
        let Some((id, is_first, result)) = running.next().await else { break };
        if result.complete || is_first {
            looked.push((id, result));
        } else {
            left.insert(id.clone());
        }
    }
    // The next invocation begins at the first that is left, and looks at all later ones again.
    let first_left = left.first().filter(|_| !matches!(request.portion, Portion::Part { .. }));
    let before = |id: &String| first_left.is_none_or(|first| id < first);
    let looked = looked.into_iter().filter(|(id, _)| before(id));
    (looked.map(|(_, looked)| looked).collect(), left)
}

/// A secret of a schedule's part that no time was left for.
fn without_time(id: String, function_arn: &str) -> SecretHealth {
    SecretHealth {
        reason: "There was no time left to look at it. Raise the number of parts, or the \
                 function's time-out or memory."
            .to_owned(),
        command: advice::look_again(&id, function_arn),
        ..SecretHealth::unknown(id)
    }
}

fn message(counts: &Counts, not_shown: &[SecretHealth], left_out: usize, more: bool) -> String {
    let total = counts.total();
    let ok = counts.number(Health::Ok);
    let secrets = |number: usize| match number {
        1 => "1 secret".to_owned(),
        number => format!("{number} secrets"),
    };
    let mut sentences = vec![match (total, ok) {
        (0, _) => "There is no secret to look at.".to_owned(),
        (total, ok) if total == ok => format!("All is well: {}, all in order.", secrets(total)),
        (total, ok) => {
            let states = Health::WORST_FIRST.into_iter().filter(|state| *state != Health::Ok);
            let states = states.map(|state| (state, counts.number(state)));
            let states = states.filter(|(_, number)| *number > 0);
            let states = states.map(|(state, number)| format!("{number} {}", state.name()));
            let states = states.collect::<Vec<_>>().join(", ");
            format!("{} of {} not in order: {states}.", total - ok, secrets(total))
        }
    }];
    let warned = not_shown.iter().filter(|secret| !secret.warnings.is_empty()).count();
    if warned > 0 {
        sentences
            .push(format!("Warnings for {} in order; \"All\": true shows them.", secrets(warned)));
    }
    if left_out > 0 {
        sentences.push(format!("No time was left for {}.", secrets(left_out)));
    }
    if more {
        sentences.push("There are more: send \"NextToken\".".to_owned());
    }
    sentences.join(" ")
}
