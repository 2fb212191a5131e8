//! Lists the account's secrets, page by page.

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry};

use super::{Description, RotationRules, Store, version};
use crate::error::Error;

/// The most that one page holds.
const PAGE: i32 = 100;
/// Stands for the secret in errors of a call that is about all of them.
const ALL: &str = "*";

impl Store {
    /// Calls `see` with every secret of the account and region whose name begins with `prefix`.
    /// Keeps one page in memory. The list may be minutes behind.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub(crate) async fn list(
        &self,
        prefix: Option<&str>,
        mut see: impl FnMut(Description),
    ) -> Result<(), Error> {
        let by_name =
            |prefix: &str| Filter::builder().key(FilterNameStringType::Name).values(prefix).build();
        let filters = prefix.map(|prefix| vec![by_name(prefix)]);
        let mut page = None;
        loop {
            let request = self.client.list_secrets().max_results(PAGE);
            let request = request.set_filters(filters.clone()).set_next_token(page);
            let output = self.answer("ListSecrets", ALL, Box::pin(request.send())).await?;
            let described = output.secret_list.unwrap_or_default().into_iter().map(described);
            described
                .filter(|secret| prefix.is_none_or(|prefix| secret.name.starts_with(prefix)))
                .for_each(&mut see);
            page = output.next_token.filter(|token| !token.is_empty());
            if page.is_none() {
                return Ok(());
            }
        }
    }
}

fn described(entry: SecretListEntry) -> Description {
    Description {
        rules: entry.rotation_rules.as_ref().map(RotationRules::of),
        arn: entry.arn.unwrap_or_default(),
        name: entry.name.unwrap_or_default(),
        rotation_enabled: entry.rotation_enabled,
        function: entry.rotation_lambda_arn,
        scheduled: entry.rotation_rules.is_some(),
        interval: entry.rotation_rules.as_ref().and_then(version::interval),
        owning_service: entry.owning_service,
        stages: entry.secret_versions_to_stages.unwrap_or_default(),
        created: entry.created_date.and_then(|date| date.try_into().ok()),
        last_rotated: entry.last_rotated_date.and_then(|date| date.try_into().ok()),
        last_changed: entry.last_changed_date.and_then(|date| date.try_into().ok()),
        next_rotation: entry.next_rotation_date.and_then(|date| date.try_into().ok()),
    }
}
