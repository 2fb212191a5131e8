//! Which secrets `monitor` looks at, in a fixed order.

use std::collections::BTreeMap;

use crate::context::Context;
use crate::error::Error;
use crate::event::{Choice, MonitorRequest, Portion};
use crate::secret::store::Description;

/// The secrets to look at, by ARN, or by what the event or the policy calls them. A secret that
/// does not name this function comes with its description from the list: IAM may not let the
/// function describe it.
pub(super) type ChosenSecrets = BTreeMap<String, Option<Box<Description>>>;

/// The secrets of the request, less those that another invocation looks at.
///
/// `ListSecrets` is called only if the event holds no list.
///
/// # Errors
/// [`Error::SecretsManager`].
pub(super) async fn choose(
    context: &Context<'_>,
    request: &MonitorRequest,
) -> Result<ChosenSecrets, Error> {
    let wanted = |arn: &str| match &request.portion {
        Portion::Start => true,
        Portion::After(last) => arn > last.as_str(),
        Portion::Part { number, of } => part_of(arn, *of) == *number,
    };
    let mut chosen = ChosenSecrets::new();
    let mut choose = |id: &str, listed: Option<Description>| {
        if wanted(id) {
            let foreign = listed.filter(|listed| !is_of(listed, context.function_arn));
            chosen.insert(id.to_owned(), foreign.map(Box::new));
        }
    };
    match &request.choice {
        Choice::Ids(ids) => ids.iter().for_each(|id| choose(id, None)),
        Choice::Prefix(prefix) => {
            let see = |secret: Description| choose(&secret.arn.clone(), Some(secret));
            context.store.list(Some(prefix), see).await?;
        }
        Choice::Fleet => {
            let mut named: Vec<&str> = context.config.policies.named_whole().collect();
            let see = |secret: Description| {
                let before = named.len();
                named.retain(|id| *id != secret.arn && *id != secret.name);
                if named.len() < before || is_of(&secret, context.function_arn) {
                    choose(&secret.arn.clone(), Some(secret));
                }
            };
            context.store.list(None, see).await?;
            // The list may be minutes old. Where a secret is gone, the look says so.
            for id in named {
                choose(id, None);
            }
        }
    }
    Ok(chosen)
}

/// Whether the secret names this function.
pub(super) fn is_of(secret: &Description, function_arn: &str) -> bool {
    secret.function.as_deref().is_some_and(|arn| same_function(arn, function_arn))
}

/// Whether two ARNs name the same function, whatever version or alias they name.
fn same_function(a: &str, b: &str) -> bool {
    /// `arn:partition:lambda:region:account:function:name`.
    const PARTS: usize = 7;
    let unqualified = |arn: &str| arn.split(':').take(PARTS).map(str::to_owned).collect::<Vec<_>>();
    unqualified(a) == unqualified(b)
}

/// The part, from 1 to `of`, that a secret belongs to.
///
/// FNV-1a: each part runs in its own process, so the hash must be the same in every process and
/// release. The standard library promises neither.
fn part_of(id: &str, of: u64) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash = id.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    hash % of + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // From the authors' own list of test vectors.
        for (text, hash) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(part_of(text, u64::MAX), hash % u64::MAX + 1, "{text}");
        }
    }

    #[test]
    fn the_parts_are_of_similar_size() {
        let mut parts = [0; 7];
        for n in 0..7_000 {
            let arn = format!("arn:aws:secretsmanager:eu-central-1:1:secret:shop/{n}-AbCdEf");
            parts[usize::try_from(part_of(&arn, 7)).unwrap() - 1] += 1;
        }
        assert!(parts.iter().all(|size| (800..1200).contains(size)), "{parts:?}");
    }

    #[test]
    fn an_alias_names_the_same_function() {
        let arn = |rest: &str| format!("arn:aws:lambda:eu-central-1:1:function:{rest}");
        assert!(same_function(&arn("rotation"), &arn("rotation:live")));
        assert!(same_function(&arn("rotation:1"), &arn("rotation")));
        assert!(!same_function(&arn("rotation"), &arn("rotation2")));
        assert!(!same_function(&arn("rotation"), &arn("rotation").replace("eu-", "us-")));
    }
}
